"""Areas, classes and frames from the command line to a real engine and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Called
from tests.cli.sample_files import opaque, save_png

from intarsia_daemon.documents import pictures

Intarsia = Callable[..., Called]
pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> dict[str, Path]:
    made = {"p": opaque(6, 8, 1), "blue": opaque(3, 3, 2), "hat": opaque(2, 2, 3)}
    return {name: save_png(tmp_path / f"{name}.png", array) for name, array in made.items()}


def test_named_areas_and_their_classes_reach_the_operation(
    intarsia: Intarsia, tmp_path: Path, files: dict[str, Path]
) -> None:
    called = intarsia(
        "run", "bind", f"--input=picture={files['p']}",
        f"--input=areas:blue={files['blue']}", f"--input=areas:hat={files['hat']}",
        f"--input=samples={files['p']}", f"--input=samples={files['hat']}",
        "--place=areas:hat=4,1", "--set=classes=blue=lemon, hat=kit fox", "--set=class_name=7",
        "--set=words=hello", f"--set=pictures={tmp_path}", "--set=model=some-model",
        "--out", tmp_path / "o.png", "--json",
    )  # fmt: skip

    assert called.code == 0, called.out
    notes = called.json["notes"]
    assert notes[0].startswith("blue=lemon 3x3+0+0") and notes[1].startswith("hat=kit fox 2x2+4+1")
    assert notes[2:4] == ["sample p", "sample hat"]
    assert notes[4] == f"model=some-model class=7 words=hello pictures={tmp_path}"
    recipe = called.json["recipe"]
    assert recipe["parameters"]["classes"] == {"blue": "lemon", "hat": "kit fox"}


def test_a_class_binding_that_is_none_is_refused_with_an_example(
    intarsia: Intarsia, tmp_path: Path, files: dict[str, Path]
) -> None:
    called = intarsia(
        "run", "bind", f"--input=picture={files['p']}", "--set=classes=lemon",
        "--out", tmp_path / "o.png",
    )  # fmt: skip

    assert called.code == 2
    assert "blue=lemon, green=lime" in called.err


def test_frames_are_written_as_pictures_by_amount(
    intarsia: Intarsia, tmp_path: Path, files: dict[str, Path]
) -> None:
    frames = tmp_path / "frames"

    called = intarsia(
        "run", "bind", f"--input=picture={files['p']}", "--set=frames=2", "--frames", frames,
        "--out", tmp_path / "o.png", "--layers-only", "--json",
    )  # fmt: skip

    names = ["o-0.000.png", "o-0.500.png", "o-1.000.png"]
    assert called.json["outputs"] == [
        str(tmp_path / "o.png"),
        *(str(frames / name) for name in names),
    ]
    half = pictures.decode((frames / names[1]).read_bytes()).array
    whole = pictures.decode((frames / names[2]).read_bytes()).array
    assert np.array_equal(whole, opaque(6, 8, 1))
    assert np.array_equal(half[..., :3], opaque(6, 8, 1)[..., :3] // 2)
    assert (tmp_path / "o.png").read_bytes() != (frames / names[1]).read_bytes()


def test_without_frames_that_is_said_and_no_folder_is_left(
    intarsia: Intarsia, tmp_path: Path, files: dict[str, Path]
) -> None:
    called = intarsia(
        "run", "identity", f"--input=picture={files['p']}", "--frames", tmp_path / "frames",
        "--out", tmp_path / "o.png",
    )  # fmt: skip
    refused = intarsia(
        "run", "identity", f"--input=picture={files['p']}", "--frames", files["p"],
        "--out", tmp_path / "o.png",
    )  # fmt: skip

    assert called.code == 0 and "Identity brought no frames" in called.err
    assert not (tmp_path / "frames").exists()
    assert refused.code == 2 and "no folder that frames can be written to" in refused.err


def test_a_batch_recipe_has_tables_for_areas_and_classes(
    intarsia: Intarsia, tmp_path: Path, files: dict[str, Path]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        """
        operation = "bind"
        [parameters]
        class_name = 7
        pictures = "data"
        words = "hello"
        [parameters.classes]
        blue = "lemon"
        hat = 3
        [inputs.areas]
        blue = "blue.png"
        hat = "hat.png"
        [place]
        "areas:hat" = [2, 2]
        """,
        "utf-8",
    )

    called = intarsia("batch", recipe, files["p"], "--out", tmp_path / "out", "--json")

    assert called.code == 0, called.out
    notes = called.json["files"][0]["notes"]
    assert notes[0].startswith("blue=lemon 3x3+0+0") and notes[1].startswith("hat=3 2x2+2+2")
    assert notes[2] == f"model= class=7 words=hello pictures={tmp_path / 'data'}"


def test_a_training_is_a_command_made_from_its_declaration(
    intarsia: Intarsia, tmp_path: Path
) -> None:
    listed = intarsia("train", "--help")
    described = intarsia("train", "counter", "--help")
    trained = intarsia("train", "counter", "--steps", 3, "--step-ms", 0, "--keep", "yes",
                       "--out", tmp_path / "o.png", "--json")  # fmt: skip
    wrong = intarsia("train", "counter", "--steps", 0)

    assert "counter" in listed.out
    assert "--step-ms" in described.out and "usually 50" in described.out
    assert trained.code == 0, trained.out
    assert trained.json["metrics"]["steps_taken"] == 3
    assert (tmp_path / "o.png").exists()
    assert trained.json["recipe"]["parameters"]["keep"] is True
    assert wrong.code == 2 and "steps must lie in [1, 100000]" in wrong.err
    assert intarsia("train", "nothing").code == 2


def test_a_training_can_be_left_to_the_engine(intarsia: Intarsia) -> None:
    job = intarsia("train", "counter", "--steps", 5, "--step-ms", 1, "--detach", "--json").json[
        "job"
    ]

    found = {item["job"]: item for item in intarsia("jobs", "--json").json["jobs"]}
    assert found[job]["operation"] == "train_counter"
