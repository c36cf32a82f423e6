"""``intarsia run`` and ``jobs`` against a real engine with real workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Called
from tests.cli.sample_files import noise, opaque, save_png, wide_profile

from intarsia_daemon import recipes
from intarsia_daemon.documents import formats, openraster, pictures
from intarsia_daemon.documents.document import Document, Layer

Intarsia = Callable[..., Called]
Process = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.usefixtures("engine")


def test_a_picture_goes_through_the_engine_byte_by_byte(intarsia: Intarsia, tmp_path: Path) -> None:
    array = noise(40, 30)
    picture = save_png(tmp_path / "p.png", array)

    called = intarsia(
        "run",
        "identity",
        f"--input=picture={picture}",
        "--out",
        tmp_path / "o.png",
        "--layers-only",
    )

    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    shown = array[..., 3] > 0
    assert called.code == 0
    assert called.out.startswith(str(tmp_path / "o.png"))
    assert np.array_equal(out[shown], array[shown])


def test_json_is_one_object_with_everything(intarsia: Intarsia, tmp_path: Path) -> None:
    picture = save_png(tmp_path / "p.png", opaque(8, 8))

    called = intarsia(
        "run", "through_tensors", f"--input=picture={picture}", "--seed=5",
        "--out", tmp_path / "o.png", "--json",
    )  # fmt: skip

    told = called.json
    assert called.err == ""
    assert set(told) == {"outputs", "seconds", "metrics", "recipe", "notes"}
    assert told["outputs"] == [str(tmp_path / "o.png")]
    assert {"reading", "writing", "all"} < set(told["seconds"])
    assert isinstance(told["metrics"]["mean"], float)
    assert (told["recipe"]["operation"], told["recipe"]["seed"]) == ("through_tensors", 5)
    assert "Converted." in told["notes"]
    assert recipes.read_recipe(tmp_path / "o.png") == told["recipe"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_depth_and_profile_survive_the_engine(
    intarsia: Intarsia, tmp_path: Path, dtype: str
) -> None:
    array = opaque(16, 16, dtype=dtype)
    half = np.iinfo(dtype).max // 2
    array[..., :3] = array[..., :3] // 5 + half  # muted: inside sRGB
    (tmp_path / "p.png").write_bytes(pictures.encode_png(array, wide_profile()))

    called = intarsia(
        "run", "identity", f"--input=picture={tmp_path / 'p.png'}", "--out", tmp_path / "o.png"
    )

    out = pictures.decode((tmp_path / "o.png").read_bytes())
    assert "The colours were converted from" in called.err
    assert (out.array.dtype, out.icc) == (array.dtype, wide_profile())
    assert np.abs(out.array.astype(int) - array).max() <= (2 if dtype == "uint8" else 40)


def test_blend_hides_the_edge_of_a_layer_and_keeps_the_document(
    intarsia: Intarsia, tmp_path: Path
) -> None:
    sky = np.full((60, 80, 4), (100, 120, 140, 255), np.uint8)
    patch = np.full((20, 20, 4), (180, 60, 60, 255), np.uint8)
    document = Document(80, 60, [Layer("Patch", 30, 20, patch), Layer("Sky", array=sky)])
    path = tmp_path / "d.ora"
    path.write_bytes(openraster.write(document))

    called = intarsia(
        "run", "blend", f"--input=picture={path}#below:Patch", f"--input=element={path}#Patch",
        "--out", tmp_path / "o.ora",
    )  # fmt: skip

    out = formats.parse((tmp_path / "o.ora").read_bytes(), "o")
    assert called.code == 0, called.err
    assert [layer.name for layer in out.layers][1:] == ["Patch", "Sky"]
    assert np.array_equal(out.layers[1].array, patch)  # type: ignore[arg-type]
    result = out.layers[0]
    assert result.array is not None
    middle = result.array[30 - result.y, 40 - result.x]
    # a patch of one colour has no gradients: blended into one colour it disappears
    assert np.abs(middle.astype(int) - (100, 120, 140, 255)).max() <= 1


def test_a_recipe_is_repeated_to_the_byte(intarsia: Intarsia, tmp_path: Path) -> None:
    picture = save_png(tmp_path / "p.png", opaque(20, 20))
    element = save_png(tmp_path / "e.png", noise(20, 20, 1))
    inputs = (f"--input=picture={picture}", f"--input=element={element}")
    first, second, third = (tmp_path / name for name in ("1.png", "2.png", "3.png"))

    intarsia("run", "blend", *inputs, "--set=method=feather", "--set=feather=3", "--out", first)
    again = intarsia("run", "--recipe", first, *inputs, "--out", second, "--json")
    changed = intarsia("run", "--recipe", first, *inputs, "--set=method=hard", "--out", third)

    assert again.json["recipe"]["parameters"]["feather"] == 3.0
    assert again.json["notes"] == []
    assert first.read_bytes() == second.read_bytes()
    assert changed.code == 0
    assert first.read_bytes() != third.read_bytes()


def test_a_repeated_recipe_tells_of_other_pixels(intarsia: Intarsia, tmp_path: Path) -> None:
    one, other = (save_png(tmp_path / f"{i}.png", opaque(8, 8, i)) for i in range(2))
    intarsia("run", "identity", f"--input=picture={one}", "--out", tmp_path / "o.png")

    called = intarsia(
        "run",
        "--recipe",
        tmp_path / "o.png",
        f"--input=picture={other}",
        "--out",
        tmp_path / "q.png",
    )

    assert "'picture' has other pixels than in the recipe" in called.err


def test_an_input_is_placed(intarsia: Intarsia, tmp_path: Path) -> None:
    picture = save_png(tmp_path / "p.png", opaque(8, 8))
    element = save_png(tmp_path / "e.png", np.full((2, 2, 4), 255, np.uint8))

    called = intarsia(
        "run", "blend", f"--input=picture={picture}", f"--input=element={element}",
        "--place=element=5,3", "--set=method=hard", "--out", tmp_path / "o.png",
    )  # fmt: skip

    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert called.code == 0, called.err
    assert (out[3:5, 5:7] == 255).all()


def test_a_failed_operation_is_exit_code_1_with_its_sentence(
    intarsia: Intarsia, tmp_path: Path
) -> None:
    called = intarsia("run", "fault", "--set=how=told", "--out", tmp_path / "o.png", "--json")

    assert called.code == 1
    assert called.json["error"]["what"] == "The wind is wrong."
    assert called.json["error"]["code"] == "MODEL_UNTRUSTED"
    assert not (tmp_path / "o.png").exists()


def test_an_inner_error_shows_no_traceback(intarsia: Intarsia, tmp_path: Path) -> None:
    called = intarsia("run", "fault", "--out", tmp_path / "o.png")

    assert called.code == 1
    assert "Traceback" not in called.err
    assert "secret" not in called.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_the_job(
    intarsia: Intarsia, process: Process, tmp_path: Path, number: signal.Signals
) -> None:
    running = process("run", "sleep", "--set=seconds=120", "--out", tmp_path / "o.png")
    assert running.stderr is not None
    line = running.stderr.readline()
    assert line.startswith("Sleep: Sleeping"), "a plain line tells the stage"

    running.send_signal(number)
    out, err = running.communicate(timeout=30)

    assert running.returncode == 4, err
    assert "cancelled" in err
    assert out == ""
    assert not (tmp_path / "o.png").exists()
    jobs = intarsia("jobs", "--json").json["jobs"]
    assert all(job["state"] not in ("running", "queued") for job in jobs)


def wait_for_job(intarsia: Intarsia, label: str, state: str) -> dict[str, object]:
    for _ in range(200):
        for job in intarsia("jobs", "--json").json["jobs"]:
            if label in job["label"] and job["state"] == state:
                return job
        time.sleep(0.05)
    raise AssertionError(f"no job {label!r} became {state}")


def test_jobs_are_listed_paused_resumed_and_cancelled(
    intarsia: Intarsia, process: Process, tmp_path: Path
) -> None:
    picture = save_png(tmp_path / "to_be_cancelled.png", opaque(4, 4))
    running = process(
        "run", "train_counter", "--set=steps=100000", f"--input=picture={picture}",
        "--out", tmp_path / "o.png",
    )  # fmt: skip
    job = wait_for_job(intarsia, "to_be_cancelled", "running")
    name = str(job["job"])[:8]

    assert name in intarsia("jobs").out
    assert intarsia("jobs", "pause", name).code == 0
    wait_for_job(intarsia, "to_be_cancelled", "paused")
    assert intarsia("jobs", "resume", name).code == 0
    wait_for_job(intarsia, "to_be_cancelled", "running")
    assert intarsia("jobs", "cancel", name).code == 0
    running.communicate(timeout=30)

    assert running.returncode == 4
    unknown = intarsia("jobs", "cancel", "zzzz")
    assert unknown.code == 2
    assert "No job begins with 'zzzz'" in unknown.err


def test_doctor_finds_the_running_engine(intarsia: Intarsia) -> None:
    findings = {f["subject"]: f for f in intarsia("doctor", "--json").json["findings"]}

    assert findings["engine"]["state"] == "ok"
    assert "it took our token" in findings["engine"]["text"]
    assert findings["device"]["state"] == "ok"


def test_a_second_engine_leaves_with_75(process: Process) -> None:
    second = process("serve")
    second.communicate(timeout=60)

    assert second.returncode == 75


def test_as_a_process_of_its_own_json_is_all_there_is_on_stdout(
    process: Process, tmp_path: Path
) -> None:
    picture = save_png(tmp_path / "p.png", opaque(8, 8))

    done = process(
        "run", "identity", f"--input=picture={picture}", "--out", tmp_path / "o.png", "--json"
    )
    out, _ = done.communicate(timeout=60)

    assert done.returncode == 0
    assert json.loads(out)["recipe"]["operation"] == "identity"
