"""``intarsia batch`` against a real engine: past bad files, resumed, several in flight."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Called
from tests.cli.sample_files import opaque, save_png

from intarsia_daemon.documents import pictures

Intarsia = Callable[..., Called]
Process = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text('operation = "identity"\n[output]\nname = "{stem}-copy.png"\n')
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [save_png(tmp_path / f"photo{i}.png", opaque(8, 8, i)) for i in range(4)]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_file_is_done(
    intarsia: Intarsia, tmp_path: Path, recipe: Path, photos: list[Path], workers: int
) -> None:
    called = intarsia("batch", recipe, *photos, "--out", tmp_path / "out", f"--workers={workers}")

    assert called.code == 0, called.err
    assert called.out == "4 done\n"
    for index, photo in enumerate(photos):
        out = tmp_path / "out" / f"{photo.stem}-copy.png"
        assert np.array_equal(pictures.decode(out.read_bytes()).array, opaque(8, 8, index))
    lines = [line for line in called.err.splitlines() if "done (" in line]
    assert sorted(line[:5] for line in lines) == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


def test_a_bad_file_is_reported_and_stops_nothing(
    intarsia: Intarsia, tmp_path: Path, recipe: Path, photos: list[Path]
) -> None:
    photos[1].write_bytes(b"no picture")
    gone = tmp_path / "gone.png"

    called = intarsia("batch", recipe, *photos, gone, "--out", tmp_path / "out", "--json")

    told = called.json
    assert called.code == 5
    assert (told["done"], told["failed"], told["skipped"]) == (3, 2, 0)
    failed = {item["file"]: item["error"] for item in told["files"] if item["state"] == "failed"}
    assert set(failed) == {str(photos[1]), str(gone)}
    assert failed[str(gone)]["code"] == "FILE_REJECTED"
    assert "no such file" in failed[str(gone)]["what"]
    manifest = json.loads((tmp_path / "out" / "intarsia-batch.json").read_text())["files"]
    assert manifest["photo1-copy.png"]["state"] == "failed"
    assert manifest["photo0-copy.png"]["state"] == "done"


def test_resume_does_only_what_is_missing_changed_or_failed(
    intarsia: Intarsia, tmp_path: Path, recipe: Path, photos: list[Path]
) -> None:
    out = tmp_path / "out"
    photos[3].write_bytes(b"no picture")
    assert intarsia("batch", recipe, *photos, "--out", out).code == 5
    save_png(photos[3], opaque(8, 8, 3))  # mended
    save_png(photos[2], opaque(8, 8, 77))  # changed
    (out / "photo1-copy.png").write_bytes(b"damaged")
    before = (out / "photo0-copy.png").stat().st_mtime_ns

    called = intarsia("batch", recipe, *photos, "--out", out, "--resume", "--json")

    states = {Path(item["file"]).stem: item["state"] for item in called.json["files"]}
    assert called.code == 0
    assert states == {"photo0": "skipped", "photo1": "done", "photo2": "done", "photo3": "done"}
    assert (out / "photo0-copy.png").stat().st_mtime_ns == before
    attempts = json.loads((out / "intarsia-batch.json").read_text())["files"]
    assert attempts["photo3-copy.png"]["attempt"] == 2
    again = intarsia("batch", recipe, *photos, "--out", out, "--resume")
    assert again.out == "4 skipped\n"


def test_a_changed_recipe_is_done_anew(
    intarsia: Intarsia, tmp_path: Path, recipe: Path, photos: list[Path]
) -> None:
    intarsia("batch", recipe, photos[0], "--out", tmp_path / "out")
    recipe.write_text("seed = 9\n" + recipe.read_text())

    called = intarsia("batch", recipe, photos[0], "--out", tmp_path / "out", "--resume")

    assert called.out == "1 done\n"


def test_a_wrong_recipe_starts_nothing(
    intarsia: Intarsia, tmp_path: Path, recipe: Path, photos: list[Path]
) -> None:
    recipe.write_text('operation = "nothing"\n')

    called = intarsia("batch", recipe, *photos, "--out", tmp_path / "out")

    assert called.code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_a_batch_that_can_be_resumed(
    intarsia: Intarsia, process: Process, tmp_path: Path, photos: list[Path]
) -> None:
    recipe = tmp_path / "slow.toml"
    recipe.write_text('operation = "sleep"\n[parameters]\nseconds = 120.0\n')
    running = process("batch", recipe, *photos, "--out", tmp_path / "out", "--workers=2")
    assert running.stderr is not None
    assert "Sleeping" in running.stderr.readline()

    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)

    assert running.returncode == 4, err
    assert out == "4 cancelled\n"
    recipe.write_text('operation = "sleep"\n[parameters]\nseconds = 0.0\n')
    assert intarsia("batch", recipe, *photos, "--out", tmp_path / "out", "--resume").code == 0
