"""Whatever goes wrong, GIMP gets a sentence; and the words of the jobs window."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from gi.repository import Gimp, GLib

import intarsia_gimp
from intarsia_client.errors import InvalidRequest, JobCancelled
from intarsia_client.schema import ResultLayer
from intarsia_gimp import engine, jobs, pictures, procedures, work

NOW = time.mktime((2026, 5, 4, 18, 0, 0, 0, 0, -1))


def _run(error: BaseException) -> Any:
    def broken(*_: Any) -> None:
        raise error

    procedure = Gimp.ImageProcedure.new(None, "x", "plugin", None, None)
    return procedures.guarded(broken)(procedure, None)


def test_an_error_of_ours_is_returned_as_its_sentence_and_remedy() -> None:
    status, error = _run(InvalidRequest("It is too wide.", remedy="Make it smaller."))
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert str(error) == "It is too wide. Make it smaller."


def test_any_other_error_is_returned_too_and_its_traceback_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    status, error = _run(ZeroDivisionError("by zero"))
    log = tmp_path / "log" / "gimp.log"
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "by zero" in str(error) and str(log) in str(error)
    assert "ZeroDivisionError: by zero" in log.read_text("utf-8")


def test_a_cancel_is_silent() -> None:
    assert _run(JobCancelled("The job was cancelled.")) == (Gimp.PDBStatusType.CANCEL, None)


def test_answers_of_a_thread_arrive_in_the_main_loop() -> None:
    heard: list[Any] = []
    work.in_background(lambda: 7, heard.append, heard.append)
    work.in_background(lambda: [][0], heard.append, heard.append)
    deadline = time.monotonic() + 5
    while len(heard) < 2 and time.monotonic() < deadline:
        GLib.iterate()
        time.sleep(0.01)
    assert 7 in heard and any("list index" in str(x) for x in heard)


# --- starting -------------------------------------------------------------------------------------


def test_the_script_s_folder_does_not_shadow_other_modules(tmp_path: Path) -> None:
    """GIMP runs the script, so Python puts its folder, with canvas.py in it, first on the path."""
    folder = Path(intarsia_gimp.__file__).parent
    copy = tmp_path / "intarsia_gimp"
    copy.mkdir()
    for path in folder.glob("*.py"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "_vendor").mkdir()
    (copy / "_vendor" / "carried.py").write_text("")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import importlib.util as u, pathlib\n"
        "s = u.spec_from_file_location('start', sys.argv[1] + '/intarsia_gimp.py')\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m); m.make_importable(m.FOLDER)\n"
        "import carried, intarsia_gimp\n"
        "assert intarsia_gimp.__path__ == [sys.argv[1]]\n"
        "assert u.find_spec('canvas') is None and u.find_spec('intarsia_gimp.canvas')\n"
        "assert str(pathlib.Path(sys.argv[1]).parent) not in sys.path\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(copy)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


# --- words and pictures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ({"state": "queued"}, ["cancel"]),
        ({"state": "running", "lane": "edit"}, ["cancel"]),
        ({"state": "running", "lane": "training"}, ["pause", "cancel"]),
        ({"state": "paused", "lane": "training"}, ["resume", "cancel"]),
        ({"state": "finished"}, ["insert", "remove"]),
        ({"state": "failed"}, ["remove"]),
    ],
)
def test_a_job_has_the_buttons_that_make_sense(job: dict[str, Any], wanted: list[str]) -> None:
    assert [what for what, _ in jobs.buttons_for(job)] == wanted


def test_a_job_is_told_in_the_artist_s_words() -> None:
    job = {"operation": "harmonize", "label": "street.xcf", "state": "running", "step": 62}
    job.update(stage="Training, stage 2 of 3", total=100, seconds_left=9)
    assert jobs.title_of(job) == "Harmonize “street.xcf”"
    assert jobs.line_of(job, NOW) == "Training, stage 2 of 3 – 62 % – 9 s left"
    assert jobs.line_of(dict(job, state="paused"), NOW).startswith("Paused – Training")
    done = dict(job, state="finished", submitted=NOW - 3600)
    assert jobs.line_of(done, NOW) == "Finished, not yet in an image (17:00)"
    broken = dict(job, state="failed", error={"what": "Too large.", "remedy": "Use Draft."})
    assert jobs.line_of(broken, NOW) == "Too large. Use Draft."


def test_only_jobs_that_concern_the_artist_are_listed_newest_first() -> None:
    known = [
        {"job": "a", "state": "finished", "submitted": 1, "acknowledged": False},
        {"job": "b", "state": "finished", "submitted": 2, "acknowledged": True},
        {"job": "c", "state": "cancelled", "submitted": 3},
        {"job": "d", "state": "running", "submitted": 4},
    ]
    assert [job["job"] for job in jobs.listed(known)] == ["d", "a"]


def test_yesterday_s_job_shows_its_date() -> None:
    assert jobs.when(NOW - 86400, NOW) == "03 May 18:00"


def test_bytes_are_told_in_megabytes_and_gigabytes() -> None:
    assert engine.megabytes(84_400_000) == "84 MB" and engine.megabytes(1_240_000_000) == "1.2 GB"


def test_the_engine_s_state_tells_own_models_from_those_that_came_along() -> None:
    models = [{"bytes": 84_000_000}, {"bytes": 9_000_000, "shipped": True}]
    jobs_now = [{"state": "running"}, {"state": "paused"}, {"state": "finished", "job": "a"}]
    state = {"welcome": {"version": "1.0", "device": "cpu"}, "jobs": jobs_now, "models": models}
    assert engine.lines_of(state) == [
        "The engine is running: version 1.0, computing on cpu.",
        "Jobs: 1 running, 1 waiting, 1 finished and not yet in an image.",
        "Models: 1 of your own, 84 MB on disk, and 1 that came with Intarsia.",
    ]


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("u8", bytes((0, 128, 255, 255))),
        ("u16", b"\x00\x00\x10\x80\xff\xff\xff\xff"),
        ("f32", b"\x00\x00\x00\xbf\x81\x80\x00\x3f\x00\x00\x00\x40\x00\x00\x80\x3f"),
    ],
)
def test_a_preview_of_any_depth_becomes_eight_bit(dtype: str, data: bytes) -> None:
    layer = ResultLayer("p", 1, 1, 4, data, dtype)
    assert pictures.pixbuf_of(layer).data == bytes((0, 128, 255, 255))


def test_a_coverage_preview_becomes_gray() -> None:
    layer = ResultLayer("p", 2, 1, 1, b"\x07\x09")
    assert pictures.pixbuf_of(layer).data == bytes((7, 7, 7, 255, 9, 9, 9, 255))


@pytest.mark.parametrize(
    ("size", "wanted"), [((640, 480), (320, 240)), ((10, 40), (80, 320)), ((9000, 3), (320, 1))]
)
def test_pictures_fit_into_their_room(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert pictures.fitted_size(*size, (320, 320)) == wanted
