"""Worker processes: real ones, over their pipe, with operations that misbehave on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hosted_worker import HostedWorker, pixels_of

from intarsia_client.wire import MAX_BUFFERS
from intarsia_daemon.messages import (
    Beat,
    BufferFile,
    Cancel,
    Estimate,
    Estimated,
    Failed,
    Finished,
    Go,
    InputSize,
    ModelsChanged,
    NeedsTraining,
    Pause,
    Paused,
    Ready,
    Release,
    Released,
    Resume,
    Resumed,
    Run,
    Stop,
    Stopped,
    Working,
    Yield,
)


@pytest.fixture(scope="module", name="home")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", name="edit")
def _edit(home: Path) -> Iterator[HostedWorker]:
    worker = HostedWorker(home)
    yield worker
    worker.end()


@pytest.fixture(name="fresh")
def _fresh(tmp_path: Path) -> Iterator[HostedWorker]:
    worker = HostedWorker(tmp_path, "training")
    yield worker
    worker.end()


def _picture(dtype: type = np.uint8) -> np.ndarray:
    values = np.random.default_rng(3).integers(0, 256, (9, 7, 4))
    return (values / 255).astype(dtype) if dtype is np.float32 else values.astype(dtype)


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pixels_come_back_byte_by_byte(edit: HostedWorker, dtype: type) -> None:
    picture, area = _picture(dtype), _picture(dtype)[:4, :, 0].copy()
    copy, coverage = edit.do("identity", {}, {"picture": picture, "area": area}, x=-5, y=8).layers
    np.testing.assert_array_equal(pixels_of(copy), picture)
    np.testing.assert_array_equal(pixels_of(coverage), area)
    assert (copy.x, copy.y, copy.name, copy.channels, coverage.channels) == (-5, 8, "Copy", 4, 1)


def test_an_input_given_several_times_arrives_as_a_list_in_order(edit: HostedWorker) -> None:
    picture, area = _picture(), _picture()[..., 0].copy()
    one, two = area[:4], area[:, :3].copy()
    inputs = {"picture": picture, "areas:blue": one, "areas:hat": two, "samples:A": picture}
    done = edit.do(
        "bind", {"classes": {"blue": 7, "hat": "kit fox"}, "class_name": "lemon"}, inputs
    )
    assert done.notes == (
        f"blue=7 7x4+0+0 {one.sum()}",
        f"hat=kit fox 3x9+0+0 {two.sum()}",
        "sample A",
        "model= class=lemon words= pictures=",
    )
    assert [item["name"] for item in done.recipe["inputs"]] == ["Picture", "blue", "hat", "A"]
    assert done.recipe["parameters"]["classes"] == {"blue": "7", "hat": "kit fox"}
    assert edit.do("bind", {}, {"picture": picture}).notes[0].startswith("model="), "none: []"


def test_frames_are_files_beside_the_layers(edit: HostedWorker) -> None:
    picture = _picture()
    done = edit.do("bind", {"frames": 4}, {"picture": picture}, x=3)
    (layer,) = done.layers
    assert (layer.amount, layer.frame_of) == (1.0, None)
    found = [(frame.amount, frame.frame_of, frame.x) for frame in done.frames]
    assert found == [(0.0, 0, 3), (0.25, 0, 3), (0.5, 0, 3), (0.75, 0, 3)]
    np.testing.assert_array_equal(pixels_of(done.frames[2]), (picture * 0.5).astype(np.uint8))


def test_a_mask_and_its_group_are_told_with_the_files(edit: HostedWorker) -> None:
    picture = _picture()
    area = picture[..., 0].copy()
    done = edit.do("masked", {}, {"picture": picture, "area": area}, x=3)
    told = [(x.name, x.channels, x.mask_of, x.group) for x in done.layers]
    assert told == [("Below", 4, None, ""), ("Inner", 4, None, "Made"), ("Inner", 1, 1, "")]
    np.testing.assert_array_equal(pixels_of(done.layers[2]), area)


@pytest.mark.parametrize("how", ["layer", "amount", "size"])
def test_frames_that_nobody_could_show_are_a_fault_of_the_operation(
    edit: HostedWorker, how: str
) -> None:
    edit.start("bad_frames", {"how": how}, {"picture": _picture()})
    assert edit.expect(Failed).code == "OPERATION_FAILED"


def test_more_frames_than_a_message_carries_are_refused_in_a_sentence(edit: HostedWorker) -> None:
    edit.start("bind", {"frames": MAX_BUFFERS}, {"picture": _picture()})
    failed = edit.expect(Failed)
    told = f"{MAX_BUFFERS + 1} layers and frames; {MAX_BUFFERS} can be sent"
    assert failed.code == "TOO_LARGE" and told in failed.what


def test_every_16_bit_value_survives_the_way_through_tensors(edit: HostedWorker) -> None:
    picture = np.arange(4 * 65536, dtype=np.uint16).reshape(256, 256, 4)
    (copy,) = edit.do("through_tensors", {}, {"picture": picture}).layers
    np.testing.assert_array_equal(pixels_of(copy), picture)


def test_the_recipe_holds_all_that_repeats_the_edit(edit: HostedWorker) -> None:
    picture = _picture()
    done = edit.do("through_tensors", {}, {"picture": picture}, seed=11, x=2)
    assert json.loads(json.dumps(done.recipe)) == {
        "operation": "through_tensors",
        "version": 1,
        "parameters": {},
        "seed": 11,
        "inputs": [
            {
                "input": "picture",
                "name": "Picture",
                "width": 7,
                "height": 9,
                "x": 2,
                "y": 0,
                "sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
            }
        ],
        "model": None,
        "software": done.recipe["software"],
        "device": done.recipe["device"],
    }
    assert set(done.recipe["software"]) == {"intarsia", "torch"}
    assert done.recipe["device"].startswith("CPU")
    assert done.notes == ("Converted.",)
    assert done.metrics["mean"] == pytest.approx(picture[..., :3].mean() / 127.5 - 1, abs=1e-5)
    assert done.seconds["total"] >= done.seconds["write"] >= 0


def test_defaults_are_filled_in_and_stand_in_the_recipe(edit: HostedWorker) -> None:
    done = edit.do("sleep", {"seconds": 0.0})
    assert done.recipe["parameters"] == {"seconds": 0.0, "preview": False}


@pytest.mark.parametrize(
    ("operation", "parameters", "inputs", "code", "text"),
    [
        ("nothing", {}, {}, "UNSUPPORTED_OPERATION", "no operation named 'nothing'"),
        ("sleep", {"seconds": 1e9}, {}, "BAD_REQUEST", "must lie in"),
        ("identity", {}, {}, "BAD_REQUEST", "needs the input 'picture'"),
        ("identity", {}, {"picture": _picture()[..., 0]}, "BAD_REQUEST", "came with 1 channels"),
        (
            "identity",
            {},
            {"picture": _picture(), "area": _picture()},
            "BAD_REQUEST",
            "came with 4 channels",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(
    edit: HostedWorker,
    operation: str,
    parameters: dict[str, float],
    inputs: dict[str, np.ndarray],
    code: str,
    text: str,
) -> None:
    job = edit.start(operation, parameters, inputs)
    failed = edit.expect(Failed)
    assert (failed.job, failed.code, failed.report) == (job, code, "")
    assert text in failed.what and failed.remedy


def test_pixels_that_are_cut_off_are_refused(edit: HostedWorker, home: Path) -> None:
    folder = home / "jobs" / "cut"
    folder.mkdir(parents=True)
    (folder / "in-0.raw").write_bytes(bytes(15))
    cut = BufferFile(
        input="picture", width=2, height=2, channels=4, dtype="u8", nbytes=16,
        path=str(folder / "in-0.raw"),
    )  # fmt: skip
    edit.send(
        Run(
            job="cut", operation="identity", parameters={}, seed=0, folder=str(folder),
            inputs=(cut,), lane="edit",
        )
    )  # fmt: skip
    failed = edit.expect(Failed)
    assert failed.code == "BAD_REQUEST" and "should have 16 bytes, 15 are there" in failed.what


# --- progress, cancel, pause ----------------------------------------------------------------------


def test_progress_comes_at_most_ten_times_a_second_with_a_small_preview(edit: HostedWorker) -> None:
    began = time.monotonic()
    done = edit.do("sleep", {"seconds": 1.5, "preview": True})
    took = time.monotonic() - began
    news = [m for m in edit.said if isinstance(m, Working) and m.job == done.job]
    assert 3 <= len(news) <= 10 * took + 1
    assert [m.step for m in news] == sorted(m.step for m in news)
    assert news[-1].stage == "Sleeping" and news[-1].total == 1500 and news[-1].numbers["done"] > 0
    assert news[-1].seconds_left is not None and news[-1].seconds_left <= 1.5
    preview = news[-1].preview
    assert preview is not None and (preview.width, preview.height) == (256, 128)
    np.testing.assert_array_equal(pixels_of(preview), np.full((128, 256, 4), 128))


def test_a_cancelled_job_stops_and_the_worker_goes_on(edit: HostedWorker) -> None:
    job = edit.start("sleep", {"seconds": 600.0})
    edit.expect(Working)
    edit.send(Cancel(job=job))
    assert edit.expect(Stopped).job == job
    assert edit.do("sleep", {"seconds": 0.0}).layers


def test_a_cancel_right_behind_its_job_is_not_lost(edit: HostedWorker) -> None:
    job = edit.start("sleep", {"seconds": 600.0})
    edit.send(Cancel(job=job))
    assert edit.expect(Stopped).job == job


def test_a_cancel_of_another_job_changes_nothing(edit: HostedWorker) -> None:
    edit.start("sleep", {"seconds": 0.3})
    edit.send(Cancel(job="another"))
    edit.expect(Finished)


def test_a_paused_job_stands_still_until_it_is_resumed(edit: HostedWorker) -> None:
    job = edit.start("sleep", {"seconds": 0.8})
    edit.expect(Working)
    edit.send(Pause(job=job))
    assert edit.expect(Paused).job == job
    count = len(edit.said)
    with pytest.raises(TimeoutError):
        edit.read(timeout_s=1.5)
    assert all(isinstance(message, Beat) for message in edit.said[count:])
    edit.send(Resume(job=job))
    assert edit.expect(Resumed).job == job
    done = edit.expect(Finished)
    assert done.seconds["sleep"] < 1.5, "the pause does not count"


def test_a_paused_job_can_be_cancelled(edit: HostedWorker) -> None:
    job = edit.start("sleep", {"seconds": 600.0})
    edit.send(Pause(job=job))
    edit.expect(Paused)
    edit.send(Cancel(job=job))
    assert edit.expect(Stopped).job == job


def test_a_job_that_gives_way_says_nothing_and_goes_on_later(edit: HostedWorker) -> None:
    edit.start("sleep", {"seconds": 0.5})
    edit.expect(Working)
    edit.send(Yield())
    count = len(edit.said)
    with pytest.raises(TimeoutError):
        edit.read(timeout_s=1.2)
    late = [m for m in edit.said[count:] if not isinstance(m, Beat)]
    assert len(late) <= 1, "at most the news that was under way"
    edit.send(Go())
    edit.expect(Finished)


def test_the_worker_beats_and_counts_its_steps(edit: HostedWorker) -> None:
    edit.do("sleep", {"seconds": 2.5})
    beats = [m.steps for m in edit.said if isinstance(m, Beat)]
    assert beats == sorted(beats) and len(set(beats[-2:])) == 2


# --- trainings ------------------------------------------------------------------------------------


def test_the_edit_lane_does_not_train(edit: HostedWorker) -> None:
    job = edit.start("train_counter", {"steps": 100, "step_ms": 50.0})
    needs = edit.expect(NeedsTraining)
    assert (needs.job, needs.seconds_expected) == (job, pytest.approx(5.0))
    assert edit.do("sleep", {"seconds": 0.0}).layers


def test_a_killed_training_resumes_to_the_very_same_result(tmp_path: Path) -> None:
    parameters = {"steps": 30, "step_ms": 1.0, "every": 4}
    whole = HostedWorker(tmp_path, "training")
    undisturbed = whole.do("train_counter", parameters, seed=5)
    whole.end()
    first = HostedWorker(tmp_path, "training")
    job = first.start("train_counter", {**parameters, "crash_at": 18}, seed=5)
    with pytest.raises(EOFError):
        first.expect(Finished)
    first.process.join(20)
    assert first.process.exitcode == -9
    first.connection.close()
    second = HostedWorker(tmp_path, "training")
    resumed = second.do("train_counter", {**parameters, "crash_at": 18}, seed=5, job=job, attempt=2)
    second.end()
    assert resumed.notes == ("Began at step 16.",)
    (left,), (right,) = undisturbed.layers, resumed.layers
    np.testing.assert_array_equal(pixels_of(left), pixels_of(right))


def test_a_training_that_is_stopped_with_the_engine_resumes_too(fresh: HostedWorker) -> None:
    parameters = {"steps": 100, "step_ms": 10.0, "every": 2}
    job = fresh.start("train_counter", parameters)
    fresh.expect(Working)
    fresh.send(Stop())
    with pytest.raises(EOFError):
        fresh.expect(Finished)
    fresh.process.join(20)
    assert fresh.process.exitcode == 0
    assert not any(isinstance(message, Stopped) for message in fresh.said), "the job is not over"
    again = HostedWorker(fresh.home, "training")
    done = again.do("train_counter", parameters, job=job, attempt=2)
    again.end()
    assert 0 <= done.metrics["steps_taken"] <= 100


def test_a_trained_model_is_stored_told_of_and_used_by_the_edit_lane(fresh: HostedWorker) -> None:
    parameters = {"steps": 3, "step_ms": 1.0, "keep": True}
    trained = fresh.do("train_counter", parameters, seed=9)
    assert any(isinstance(message, ModelsChanged) for message in fresh.said)
    edit = HostedWorker(fresh.home)
    known = edit.do("train_counter", parameters, seed=9)
    edit.send(Release(re=4))
    released = edit.expect(Released)
    edit.end()
    assert known.notes == ("Used the stored model.",)
    np.testing.assert_array_equal(pixels_of(known.layers[0]), pixels_of(trained.layers[0]))
    assert (released.re, released.freed_bytes) == (4, 64)


def test_an_estimate_is_answered_also_while_a_job_runs(edit: HostedWorker) -> None:
    job = edit.start("sleep", {"seconds": 600.0})
    size = InputSize(input="picture", width=10, height=10)
    edit.send(Estimate(re=7, operation="train_counter", parameters={"steps": 200}, inputs=(size,)))
    told = edit.expect(Estimated)
    assert (told.re, told.trains, told.text) == (7, True, "1 inputs.")
    assert told.seconds == pytest.approx(2.0)
    edit.send(Estimate(re=8, operation="nothing", parameters={}, inputs=()))
    failed = edit.expect(Failed)
    assert (failed.re, failed.job, failed.code) == (8, "", "UNSUPPORTED_OPERATION")
    edit.send(Cancel(job=job))
    edit.expect(Stopped)


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "number"), [("torch", "GiB more were needed"), ("cuda", "20.5 GiB more were needed")]
)
def test_memory_that_runs_out_is_told_with_numbers_and_a_smaller_quality(
    edit: HostedWorker, how: str, number: str
) -> None:
    edit.start("out_of_memory", {"how": how, "quality": "normal"})
    failed = edit.expect(Failed)
    assert failed.code == "OUT_OF_MEMORY" and failed.retryable and not failed.replace
    assert number in failed.what and "are free now" in failed.what
    assert failed.action == {"label": "Use quality Draft", "set": {"quality": "draft"}}


def test_memory_that_runs_out_at_the_smallest_quality_offers_to_unload(edit: HostedWorker) -> None:
    edit.start("out_of_memory", {"how": "python"})
    failed = edit.expect(Failed)
    assert failed.code == "OUT_OF_MEMORY"
    assert failed.action == {"label": "Unload models", "do": "release"}


def test_a_full_disk_is_told_as_such(edit: HostedWorker, home: Path) -> None:
    edit.start("fault", {"how": "disk"})
    failed = edit.expect(Failed)
    assert failed.code == "DISK_FULL" and str(home) in failed.what and "MiB are left" in failed.what


def test_an_error_of_ours_passes_with_all_its_fields(edit: HostedWorker) -> None:
    edit.start("fault", {"how": "told"})
    failed = edit.expect(Failed)
    assert (failed.code, failed.what, failed.remedy) == (
        "MODEL_UNTRUSTED",
        "The wind is wrong.",
        "Wait.",
    )
    assert failed.action == {"label": "Wait", "do": "retry"}
    assert failed.report == "" and "3.0" in failed.value


@pytest.mark.parametrize(("how", "secret"), [("program", "secret text"), ("result", "NoneType")])
def test_a_fault_in_the_program_is_a_sentence_and_a_report_in_the_log(
    edit: HostedWorker, home: Path, how: str, secret: str
) -> None:
    edit.start("fault", {"how": how})
    failed = edit.expect(Failed)
    assert failed.code == "OPERATION_FAILED" and failed.report
    assert "Traceback" not in failed.what + failed.remedy and secret not in failed.what
    log = (home / "log" / "worker-edit.log").read_text()
    assert failed.report in log and "Traceback" in log and secret in log


def test_a_broken_device_ends_the_worker_after_it_said_so(fresh: HostedWorker) -> None:
    fresh.start("fault", {"how": "device"})
    failed = fresh.expect(Failed)
    assert (failed.code, failed.retryable, failed.replace) == ("WORKER_CRASHED", True, True)
    fresh.process.join(20)
    assert fresh.process.exitcode == 71


@pytest.mark.parametrize(("how", "code"), [("segfault", -11), ("abort", -6), ("exit", 7)])
def test_a_crash_closes_the_pipe(fresh: HostedWorker, how: str, code: int) -> None:
    fresh.start("crash", {"how": how})
    with pytest.raises(EOFError):
        fresh.expect(Finished)
    fresh.process.join(20)
    assert fresh.process.exitcode == code


@pytest.mark.parametrize("operation", ["sleep", "hang"])
def test_a_worker_ends_when_its_engine_is_gone(fresh: HostedWorker, operation: str) -> None:
    fresh.start(operation, {"seconds": 600.0} if operation == "sleep" else {})
    fresh.expect(Ready)
    assert fresh.end() == 0


def test_a_hanging_job_does_not_stop_the_beat_but_the_steps(fresh: HostedWorker) -> None:
    fresh.start("hang")
    with pytest.raises(TimeoutError):
        while True:
            fresh.read(timeout_s=7.0)
    beats = [message.steps for message in fresh.said if isinstance(message, Beat)]
    assert len(beats) >= 3 and beats[-1] == beats[-2]


def test_a_wanted_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    worker = HostedWorker(tmp_path, device="cuda:97")
    ready = worker.expect(Ready)
    worker.end()
    assert ready.pid == worker.process.pid != os.getpid()
    assert "cuda:97 is not available" in ready.device and ready.device.startswith("CPU")
