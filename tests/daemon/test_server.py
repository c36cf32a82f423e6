"""A job's whole life, frame by frame, with an engine whose workers are scripted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_runs import (
    Peer,
    Refused,
    endpoint_of,
    job_id,
    picture,
    scripted_environment,
    wait_until,
)
from tests.support import running_engine

from intarsia_client import wire

PIXELS = bytes(range(16))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return scripted_environment(
        tmp_path_factory.mktemp("engine"),
        stall_limit_s=1,
        beat_limit_s=1.5,
        queue_limit=6,
        storm_deaths=99,
    )


@pytest.fixture(scope="module")
def endpoint(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    with running_engine(environment):
        yield endpoint_of(environment)


@pytest.fixture
def peer(endpoint: dict[str, Any]) -> Iterator[Peer]:
    with Peer(endpoint) as one:
        yield one
        for job in one.ask("list")["jobs"]:
            if job["state"] not in wire.FINAL:
                one.ask("cancel", job=job["job"])
        wait_until(lambda: all(j["state"] in wire.FINAL for j in one.ask("list")["jobs"]))


def kinds(events: list[wire.Message]) -> list[str]:
    return [event.kind for event in events]


def refusal(peer: Peer, *arguments: Any, **header: Any) -> dict[str, Any]:
    with pytest.raises(Refused) as caught:
        peer.ask(*arguments, **header)
    assert caught.value.header["what"] and "remedy" in caught.value.header
    return caught.value.header


# --- greeting -------------------------------------------------------------------------------------


def test_welcome_tells_what_the_engine_can_do(peer: Peer, environment: dict[str, str]) -> None:
    assert peer.welcome["operations"]["identity"] == 1
    assert peer.welcome["boot"] == endpoint_of(environment)["boot"]
    assert peer.welcome["limits"]["jobs"] == 6
    assert {"session", "features", "device", "idle_s", "version"} <= set(peer.welcome)


def test_another_major_version_is_refused_naming_both(peer: Peer) -> None:
    found = refusal(peer, "hello", protocol=[2, 0])
    assert found["code"] == "UNSUPPORTED_VERSION" and "2" in found["what"] and "1" in found["what"]


def test_another_minor_version_is_welcome(endpoint: dict[str, Any]) -> None:
    with Peer(endpoint, hello=False) as peer:
        assert peer.ask("hello", protocol=[1, 9], news="?")["protocol"] == list(wire.PROTOCOL)


def test_requests_before_hello_are_refused(endpoint: dict[str, Any]) -> None:
    with Peer(endpoint, hello=False) as peer:
        assert refusal(peer, "list")["code"] == "UNAUTHORIZED"
        found = refusal(peer, "hello", side="bulk", protocol=[1, 0], session="made up")
        assert found["code"] == "UNAUTHORIZED"


def test_requests_on_the_wrong_socket_are_refused(peer: Peer) -> None:
    assert "control socket" in refusal(peer, "list", side="bulk")["what"]
    assert "bulk socket" in refusal(peer, "fetch", job=job_id())["what"]


# --- a job's life ---------------------------------------------------------------------------------


def test_a_job_is_accepted_run_fetched_and_acknowledged(
    peer: Peer, environment: dict[str, str]
) -> None:
    accepted = peer.submit("identity", pixels=PIXELS)
    job = accepted["job"]
    assert (accepted["state"], accepted["duplicate"]) == ("queued", False)
    events = peer.events(job)
    assert kinds(events) == ["started", "finished"]
    assert [event.header["seq"] for event in events] == [1, 2]
    assert events[0].header["lane"] == "edit" and events[0].header["attempt"] == 1
    layers = events[1].header["layers"]
    assert layers[0]["nbytes"] == 16 and "path" not in layers[0]
    assert events[1].header["recipe"]["seed"] == 7

    number = peer.send("fetch", side="bulk", job=job)
    pixels = peer.answer(number, "bulk")
    assert bytes(pixels.buffers[0]) == PIXELS and pixels.header["buffers"] == layers

    folder = Path(environment["INTARSIA_HOME"]) / "jobs" / job
    assert [item.name for item in folder.iterdir()] == ["out-0.raw"]
    peer.ask("acknowledge", job=job)
    wait_until(lambda: not folder.exists())
    assert refusal(peer, "fetch", side="bulk", job=job)["code"] == "NOT_FOUND"
    found = next(item for item in peer.ask("list")["jobs"] if item["job"] == job)
    assert found["state"] == "finished" and found["client"] == "peer"


def test_progress_comes_with_a_preview(peer: Peer) -> None:
    job = peer.submit("sleep", parameters={"seconds": 0.3})["job"]
    peer.events(job)
    progress = [m for m in peer.seen if m.kind == "progress"]
    assert progress and "seq" not in progress[0].header
    assert bytes(progress[0].buffers[0]) == bytes(range(16))
    assert progress[0].header["buffers"][0]["width"] == 2


def test_a_training_moves_to_its_lane(peer: Peer) -> None:
    job = peer.submit("train", parameters={"steps": 5})["job"]
    events = peer.events(job)
    assert kinds(events) == ["started", "started", "finished"]
    assert [e.header["lane"] for e in events[:2]] == ["edit", "training"]
    assert events[1].header["seconds_expected"] == 7.0


def test_edits_run_while_a_training_waits(peer: Peer) -> None:
    training = peer.submit("train", parameters={"steps": 150})["job"]
    peer.events(training, until=("started",))
    peer.events(training, until=("started",))
    edit = peer.submit("sleep", parameters={"seconds": 0.8})["job"]
    events = peer.events(edit, until=("started", *wire.FINAL))
    peer.seen.clear()
    peer.events(edit)
    steps = [m.header["step"] for m in peer.seen if m.header["job"] == training]
    assert len(set(steps)) <= 2, "the training went on during the edit"
    found = peer.events(training)
    assert found[-1].header["metrics"]["sum"] == expected_sum(150)
    assert kinds(events) == ["started"]


def expected_sum(steps: int) -> float:
    total = 0
    for step in range(1, steps + 1):
        total = (total * 31 + step) % 1000003
    return float(total)


def test_a_failure_arrives_with_remedy_and_button(peer: Peer) -> None:
    failed = peer.events(peer.submit("fail")["job"])[-1]
    assert failed.kind == "failed" and failed.header["code"] == "OUT_OF_MEMORY"
    assert failed.header["action"]["set"] == {"quality": "draft"}
    assert failed.header["retryable"] and failed.header["remedy"]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"operation": "unknown"}, "UNSUPPORTED_OPERATION"),
        ({"version": 9}, "UNSUPPORTED_OPERATION"),
        ({"parameters": {"nonsense": 1}}, "BAD_REQUEST"),
        ({"inputs": [picture(2, 2, input="other")]}, "BAD_REQUEST"),
        ({"inputs": [picture(3, 2)]}, "BAD_REQUEST"),
        ({"inputs": []}, "BAD_REQUEST"),
        ({"inputs": [picture(2, 2), picture(2, 2)]}, "BAD_REQUEST"),
    ],
)
def test_a_wrong_submit_is_refused_and_leaves_no_job(
    peer: Peer, environment: dict[str, str], changes: dict[str, Any], code: str
) -> None:
    job = job_id()
    header = {"job": job, "operation": "identity", "inputs": [picture(2, 2)], **changes}
    found = refusal(peer, "submit", side="bulk", buffers=[PIXELS], **header)
    assert found["code"] == code
    assert refusal(peer, "watch", job=job)["code"] == "NOT_FOUND"
    assert not (Path(environment["INTARSIA_HOME"]) / "jobs" / job).exists()


def test_an_unknown_operation_is_refused_naming_both_sides(peer: Peer) -> None:
    found = refusal(peer, "submit", side="bulk", job=job_id(), operation="paint", inputs=[])
    assert "paint" in found["what"] and "identity" in found["remedy"]


@pytest.mark.parametrize("kind", ["cancel", "pause", "resume", "watch", "acknowledge"])
def test_unknown_jobs_are_refused(peer: Peer, kind: str) -> None:
    assert refusal(peer, kind, job=job_id())["code"] == "NOT_FOUND"


def test_a_full_queue_is_refused_as_busy(peer: Peer) -> None:
    peer.submit("sleep", parameters={"seconds": 30})
    waiting = [peer.submit("identity") for _ in range(6)]
    assert [item["position"] for item in waiting][-1] >= 4
    with pytest.raises(Refused) as caught:
        peer.submit("identity")
        peer.submit("identity")
    assert caught.value.code == "BUSY" and caught.value.header["retryable"]


def test_a_broken_header_is_refused_and_the_connection_lives(peer: Peer) -> None:
    peer.sockets["control"].send_multipart([b"IN\x01" + bytes([wire.KINDS["list"]]), b"\xc1"])
    message = peer.receive()
    assert message is not None and message.kind == "refused"
    assert message.header["code"] == "BAD_REQUEST" and message.header["re"] == 0
    assert "jobs" in peer.ask("list")


# --- the same submit twice ------------------------------------------------------------------------


def test_the_same_submit_twice_is_one_job(peer: Peer) -> None:
    job = job_id()
    assert not peer.submit("identity", pixels=PIXELS, job=job)["duplicate"]
    again = peer.submit("identity", pixels=PIXELS, job=job)
    assert again["duplicate"]
    assert kinds(peer.events(job)) == ["started", "finished"]
    assert peer.submit("identity", pixels=PIXELS, job=job)["state"] == "finished"
    assert [item["job"] for item in peer.ask("list")["jobs"]].count(job) == 1


def test_two_submits_in_one_breath_are_one_job(peer: Peer) -> None:
    header = {
        "job": job_id(),
        "operation": "sleep",
        "parameters": {"seconds": 1.0},
        "inputs": [picture(512, 512)],
    }
    pixels = os.urandom(512 * 512 * 4)
    numbers = [peer.send("submit", side="bulk", buffers=[pixels], **header) for _ in range(3)]
    other = peer.send("submit", side="bulk", buffers=[bytes(len(pixels))], **header)
    answers = [peer.answer(number, "bulk").header for number in numbers]
    assert [item["duplicate"] for item in answers] == [False, True, True]
    with pytest.raises(Refused, match="other content"):
        peer.answer(other, "bulk")
    assert kinds(peer.events(header["job"])) == ["started", "finished"]


def test_the_same_id_with_other_content_is_refused(peer: Peer) -> None:
    job = job_id()
    peer.submit("sleep", parameters={"seconds": 0.5}, pixels=PIXELS, job=job)
    for changes in (
        {"parameters": {"seconds": 0.6}, "pixels": PIXELS},
        {"parameters": {"seconds": 0.5}, "pixels": PIXELS[::-1]},
        {"parameters": {"seconds": 0.5}, "pixels": PIXELS * 2},
    ):
        with pytest.raises(Refused, match="other content"):
            peer.submit("sleep", job=job, **changes)
    peer.events(job)


# --- watching -------------------------------------------------------------------------------------


def test_watching_again_gives_every_event_without_gap_or_duplicate(
    peer: Peer, endpoint: dict[str, Any]
) -> None:
    job = peer.submit("crash_once")["job"]
    told = peer.events(job)
    with Peer(endpoint) as other:
        assert other.ask("watch", job=job, since=0)["state"] == "finished"
        again = other.events(job)
        assert [e.header for e in again] == [e.header for e in told]
        assert [e.header["seq"] for e in again] == [1, 2, 3, 4]
        other.ask("watch", job=job, since=3)
        assert [e.header["seq"] for e in other.events(job)] == [4]


def test_who_begins_to_watch_gets_the_newest_progress_and_all_that_follows(
    peer: Peer, endpoint: dict[str, Any]
) -> None:
    job = peer.submit("sleep", parameters={"seconds": 0.8})["job"]
    wait_until(lambda: (m := peer.receive(timeout_s=0.1)) and m.kind == "progress")
    with Peer(endpoint) as other:
        assert other.ask("watch", job=job)["state"] == "running"
        assert kinds(other.events(job)) == ["started", "finished"]
        assert other.seen[0].kind == "progress"


# --- cancel, pause, supersede ---------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once(peer: Peer) -> None:
    first = peer.submit("sleep", parameters={"seconds": 0.5})["job"]
    second = peer.submit("identity", pixels=PIXELS)["job"]
    peer.ask("cancel", job=second)
    assert kinds(peer.events(second)) == ["cancelled"]
    assert kinds(peer.events(first)) == ["started", "finished"]


def test_a_running_job_is_cancelled_soon(peer: Peer, environment: dict[str, str]) -> None:
    job = peer.submit("sleep", parameters={"seconds": 60}, pixels=PIXELS)["job"]
    peer.events(job, until=("started",))
    peer.ask("cancel", job=job)
    assert kinds(peer.events(job)) == ["cancelled"]
    peer.ask("cancel", job=job)  # once more does no harm
    wait_until(lambda: not (Path(environment["INTARSIA_HOME"]) / "jobs" / job).exists())
    assert refusal(peer, "fetch", side="bulk", job=job)["code"] == "NOT_FOUND"


def test_a_worker_that_does_not_stop_is_replaced(peer: Peer) -> None:
    job = peer.submit("hang", parameters={"seconds": 60})["job"]
    peer.events(job, until=("started",))
    peer.ask("cancel", job=job)
    assert kinds(peer.events(job, timeout_s=5)) == ["cancelled"]
    assert kinds(peer.events(peer.submit("identity")["job"])) == ["started", "finished"]


def test_cancel_right_behind_submit_is_not_lost(peer: Peer) -> None:
    for _ in range(10):
        job = job_id()
        number = peer.send(
            "submit",
            side="bulk",
            job=job,
            operation="sleep",
            parameters={"seconds": 60},
            inputs=[],
            on_disconnect="cancel",
        )
        wait_until(lambda j=job: _cancelled(peer, j))
        peer.answer(number, "bulk")
        assert peer.events(job)[-1].kind == "cancelled"


def _cancelled(peer: Peer, job: str) -> bool:
    try:
        peer.ask("cancel", job=job)
    except Refused:
        return False
    return True


def test_a_paused_job_lets_others_pass_and_goes_on(peer: Peer) -> None:
    job = peer.submit("sleep", parameters={"seconds": 1.0})["job"]
    peer.events(job, until=("started",))
    peer.ask("pause", job=job)
    assert kinds(peer.events(job, until=("paused",))) == ["paused"]
    other = peer.submit("identity", pixels=PIXELS)["job"]
    assert kinds(peer.events(other)) == ["started", "finished"]
    assert next(j for j in peer.ask("list")["jobs"] if j["job"] == job)["state"] == "paused"
    peer.ask("resume", job=job)
    events = peer.events(job)
    assert kinds(events) == ["resumed", "finished"]
    assert [e.header["seq"] for e in events] == [3, 4]


def test_a_waiting_job_can_be_paused(peer: Peer) -> None:
    first = peer.submit("sleep", parameters={"seconds": 0.4})["job"]
    second = peer.submit("identity")["job"]
    peer.ask("pause", job=second)
    peer.events(first)
    assert kinds(peer.events(second, until=("paused",))) == ["paused"]
    peer.ask("resume", job=second)
    assert kinds(peer.events(second)) == ["resumed", "started", "finished"]


def test_a_paused_job_can_be_cancelled(peer: Peer) -> None:
    job = peer.submit("train", parameters={"steps": 10000})["job"]
    peer.events(job, until=("started",))
    peer.events(job, until=("started",))
    peer.ask("pause", job=job)
    peer.events(job, until=("paused",))
    peer.ask("cancel", job=job)
    assert kinds(peer.events(job)) == ["cancelled"]
    assert (
        kinds(peer.events(peer.submit("train", parameters={"steps": 3})["job"]))[-1] == "finished"
    )


def test_only_so_many_jobs_are_paused_in_mid_work(peer: Peer) -> None:
    for _ in range(2):
        job = peer.submit("sleep", parameters={"seconds": 60})["job"]
        peer.events(job, until=("started",))
        peer.ask("pause", job=job)
        peer.events(job, until=("paused",))
    job = peer.submit("sleep", parameters={"seconds": 60})["job"]
    peer.events(job, until=("started",))
    assert refusal(peer, "pause", job=job)["code"] == "BUSY"


def test_an_ended_job_is_neither_paused_nor_resumed(peer: Peer) -> None:
    job = peer.submit("identity")["job"]
    peer.events(job)
    for kind in ("pause", "resume"):
        assert "finished" in refusal(peer, kind, job=job)["what"]


def test_a_newer_job_supersedes_an_older_one(peer: Peer) -> None:
    old = peer.submit("sleep", parameters={"seconds": 60})["job"]
    peer.events(old, until=("started",))
    new = peer.submit("identity", supersedes=old)["job"]
    assert kinds(peer.events(old)) == ["cancelled"]
    assert kinds(peer.events(new)) == ["started", "finished"]


def test_a_stranger_does_not_supersede_ones_job(peer: Peer, endpoint: dict[str, Any]) -> None:
    old = peer.submit("sleep", parameters={"seconds": 0.5})["job"]
    with Peer(endpoint) as other:
        other.submit("identity", supersedes=old)
        assert kinds(peer.events(old)) == ["started", "finished"]


# --- workers die ----------------------------------------------------------------------------------


def test_a_job_that_kills_its_worker_is_given_up_after_three_attempts(peer: Peer) -> None:
    events = peer.events(peer.submit("crash")["job"])
    assert kinds(events) == ["started", "requeued", "started", "requeued", "started", "failed"]
    assert [e.header["attempt"] for e in events if e.kind == "started"] == [1, 2, 3]
    assert events[-1].header["code"] == "POISONED"
    assert kinds(peer.events(peer.submit("identity")["job"])) == ["started", "finished"]


@pytest.mark.parametrize("operation", ["hang", "freeze"])
def test_an_edit_that_hangs_is_ended(peer: Peer, operation: str) -> None:
    events = peer.events(peer.submit(operation, parameters={"seconds": 60})["job"], timeout_s=8)
    assert kinds(events) == ["started", "failed"]
    assert events[-1].header["code"] == "WORKER_TIMEOUT" and events[-1].header["retryable"]
    assert kinds(peer.events(peer.submit("identity")["job"])) == ["started", "finished"]


def test_a_worker_killed_from_outside_is_replaced(peer: Peer, endpoint: dict[str, Any]) -> None:
    job = peer.submit("sleep", parameters={"seconds": 0.5})["job"]
    peer.events(job, until=("started",))
    newest_worker(endpoint["pid"]).kill()
    assert kinds(peer.events(job)) == ["requeued", "started", "finished"]


def newest_worker(engine: int) -> psutil.Process:
    """The process that was started last by the fork server."""
    found = [
        grandchild for child in psutil.Process(engine).children() for grandchild in child.children()
    ]
    return max(found, key=lambda process: process.pid)


def test_processes_that_die_at_once_fail_the_waiting_jobs(tmp_path: Path) -> None:
    environment = scripted_environment(
        tmp_path, worker="scripted_worker:nothing_there", storm_deaths=2, backoff_s=0.2
    )
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        failed = peer.events(peer.submit("identity")["job"])[-1]
        assert failed.header["code"] == "WORKER_CRASHED" and failed.header["retryable"]
        assert peer.ask("ping") is not None
    log = (Path(environment["INTARSIA_HOME"]) / "log" / "engine.log").read_text("utf-8")
    assert "the next one starts in" in log


# --- clients vanish -------------------------------------------------------------------------------


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("keep", "finished")])
def test_a_job_ends_with_its_client_only_if_asked_to(
    peer: Peer, endpoint: dict[str, Any], wish: str, state: str
) -> None:
    vanishing = Peer(endpoint)
    job = vanishing.submit("sleep", parameters={"seconds": 1.0}, on_disconnect=wish)["job"]
    vanishing.events(job, until=("started",))
    vanishing.close()
    peer.ask("watch", job=job)
    assert peer.events(job)[-1].kind == state


def test_a_client_that_never_reads_costs_no_memory_and_others_are_served(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path, credit_bytes=8 << 20)
    side = 1024
    with running_engine(environment) as process:
        endpoint = endpoint_of(environment)
        with Peer(endpoint, hwm=2) as lazy, Peer(endpoint) as lively:
            job = job_id()
            lazy.ask(
                "submit",
                side="bulk",
                buffers=[bytes(side * side * 4)],
                job=job,
                operation="identity",
                inputs=[picture(side, side)],
            )
            lazy.events(job)
            before = psutil.Process(process.pid).memory_full_info().uss
            for _ in range(100):  # 400 MiB are asked for and never read
                lazy.send("fetch", side="bulk", job=job)
            for _ in range(5):
                done = lively.submit("identity", pixels=PIXELS)["job"]
                assert kinds(lively.events(done))[-1] == "finished"
            grown = psutil.Process(process.pid).memory_full_info().uss - before
            assert grown < 80 << 20
            for number in range(lazy.number - 99, lazy.number + 1):  # at last it does
                assert len(lazy.answer(number, "bulk").buffers[0]) == 4 << 20


# --- the engine itself ----------------------------------------------------------------------------


def test_ping_tells_how_the_workers_are(peer: Peer) -> None:
    workers = peer.ask("ping")["workers"]
    assert workers and {"lane", "busy", "beat_s"} <= set(workers[0])


def test_estimates_and_releases_are_answered_by_workers(peer: Peer) -> None:
    found = peer.ask(
        "estimate", operation="identity", inputs=[{"input": "picture", "width": 5, "height": 5}]
    )
    assert (found["seconds"], found["trains"], found["text"]) == (2.5, False, "2.5 s")
    assert peer.ask("release")["freed_bytes"] >= 1000
    assert refusal(peer, "estimate", operation="nothing")["code"] == "UNSUPPORTED_OPERATION"


def test_models_are_listed_and_unknown_ones_not_removed(peer: Peer) -> None:
    assert [entry for entry in peer.ask("models")["models"] if not entry["shipped"]] == []
    assert refusal(peer, "remove", model="nothing")["code"] in ("NOT_FOUND", "BAD_REQUEST")


def test_labels_of_an_unknown_model_are_refused_and_of_the_best_are_texts(peer: Peer) -> None:
    assert refusal(peer, "labels", model="nothing")["code"] == "NOT_FOUND"
    assert all(isinstance(label, str) for label in peer.ask("labels")["labels"])


def test_a_second_engine_leaves_and_the_first_serves_on(
    peer: Peer, environment: dict[str, str]
) -> None:
    before = endpoint_of(environment)
    second = subprocess.run(
        [sys.executable, "-m", "intarsia_daemon", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 75 and "running already" in second.stderr
    assert endpoint_of(environment) == before
    assert "jobs" in peer.ask("list")


def test_an_idle_engine_leaves_but_not_while_a_job_runs(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path, idle_s=1)
    with running_engine(environment) as process:
        with Peer(endpoint_of(environment)) as peer:
            job = peer.submit("sleep", parameters={"seconds": 2.5})["job"]
            assert kinds(peer.events(job))[-1] == "finished"
            assert process.poll() is None
        assert process.wait(15) == 0
    assert not Path(environment["INTARSIA_HOME"], "run", "endpoint.json").exists()


def test_shutdown_waits_for_the_running_edit_and_takes_no_new_job(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path)
    with running_engine(environment) as process, Peer(endpoint_of(environment)) as peer:
        job = peer.submit("sleep", parameters={"seconds": 1.0})["job"]
        peer.events(job, until=("started",))
        peer.ask("shutdown", now=False)
        with pytest.raises(Refused) as caught:
            peer.submit("identity")
        assert caught.value.code == "SHUTTING_DOWN"
        assert kinds(peer.events(job)) == ["finished"]
        assert process.wait(15) == 0


def test_results_that_nobody_fetches_are_forgotten_in_time(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path, keep_s=1)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        job = peer.submit("identity", pixels=PIXELS)["job"]
        kept = peer.submit("identity", pixels=PIXELS, keep_s=600)["job"]
        peer.events(job)
        wait_until(lambda: job not in [j["job"] for j in peer.ask("list")["jobs"]])
        folder = Path(environment["INTARSIA_HOME"]) / "jobs"
        wait_until(lambda: not (folder / job).exists())
        assert (folder / kept).exists()


def test_too_little_disk_space_is_refused_and_the_engine_lives(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path, disk_reserve_bytes=1 << 60)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        with pytest.raises(Refused) as caught:
            peer.submit("identity", pixels=PIXELS)
        assert caught.value.code == "DISK_FULL" and caught.value.header["remedy"]
        assert peer.ask("list")["jobs"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
def test_a_disk_that_is_really_full_is_refused_and_the_engine_lives(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path)
    with running_engine(environment) as process, Peer(endpoint_of(environment)) as peer:
        psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (2 << 20, 2 << 20))
        header = {"operation": "identity", "inputs": [picture(1024, 1024)]}
        job = job_id()
        found = refusal(peer, "submit", side="bulk", buffers=[bytes(4 << 20)], job=job, **header)
        assert found["code"] == "DISK_FULL"
        assert not (Path(environment["INTARSIA_HOME"]) / "jobs" / job).exists()
        assert kinds(peer.events(peer.submit("identity", pixels=PIXELS)["job"]))[-1] == "finished"


# --- kill and restart -----------------------------------------------------------------------------


def restart_in_training(tmp_path: Path, number: int) -> tuple[list[wire.Message], int]:
    """End the engine with a signal in mid-training, start it again; the job's events."""
    environment = scripted_environment(tmp_path)
    job = job_id()
    with running_engine(environment) as process, Peer(endpoint_of(environment)) as peer:
        peer.submit("train", parameters={"steps": 120}, pixels=PIXELS, job=job)
        peer.events(job, until=("started",))
        peer.events(job, until=("started",))
        wait_until(lambda: (m := peer.receive(timeout_s=0.1)) and m.header.get("step", 0) >= 20)
        workers = [c for c in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(number)
        code = process.wait(15)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert alive == []
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        peer.ask("watch", job=job, since=0)
        return peer.events(job), code


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_training_survives_kill_9_and_ends_as_if_undisturbed(tmp_path: Path) -> None:
    events, code = restart_in_training(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert kinds(events) == ["started", "started", "requeued", "started", "finished"]
    assert [e.header["seq"] for e in events] == [1, 2, 3, 4, 5]
    assert events[3].header["attempt"] == 2 and events[3].header["lane"] == "training"
    assert events[-1].header["metrics"]["sum"] == expected_sum(120)
    assert events[-1].header["metrics"]["started_at"] >= 20


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_training_survives_sigterm_without_losing_an_attempt(tmp_path: Path) -> None:
    events, code = restart_in_training(tmp_path, signal.SIGTERM)
    assert code == 0
    assert kinds(events) == ["started", "started", "requeued", "started", "finished"]
    assert events[3].header["attempt"] == 1
    assert events[-1].header["metrics"]["sum"] == expected_sum(120)


def test_jobs_that_were_to_end_with_their_client_wait_a_moment_after_a_restart(
    tmp_path: Path,
) -> None:
    environment = scripted_environment(tmp_path, adopt_s=1)
    with running_engine(environment) as process, Peer(endpoint_of(environment)) as peer:
        first = peer.submit("sleep", parameters={"seconds": 2.0}, on_disconnect="cancel")["job"]
        second = peer.submit("sleep", parameters={"seconds": 60}, on_disconnect="cancel")["job"]
        peer.events(first, until=("started",))
        process.kill()
        process.wait()
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        peer.ask("watch", job=first, since=1)
        assert kinds(peer.events(first)) == ["requeued", "started", "finished"]
        wait_until(
            lambda: [
                j
                for j in peer.ask("list")["jobs"]
                if (j["job"], j["state"]) == (second, "cancelled")
            ]
        )


def test_a_broken_journal_does_not_keep_the_engine_from_starting(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path)
    home = Path(environment["INTARSIA_HOME"])
    (home / "journal.sqlite").write_bytes(b"garbage" * 1000)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        assert kinds(peer.events(peer.submit("identity")["job"])) == ["started", "finished"]
    assert list(home.glob("journal.sqlite.broken-*"))
    assert "was moved to" in (home / "log" / "engine.log").read_text("utf-8")


def test_results_survive_a_restart(tmp_path: Path) -> None:
    environment = scripted_environment(tmp_path)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        job = peer.submit("identity", pixels=PIXELS)["job"]
        peer.events(job)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        assert peer.submit("identity", pixels=PIXELS, job=job)["duplicate"]
        number = peer.send("fetch", side="bulk", job=job)
        assert bytes(peer.answer(number, "bulk").buffers[0]) == PIXELS


def test_time_between_cancel_and_cancelled_is_short(peer: Peer) -> None:
    """Not a benchmark: only that nothing waits for a timer of seconds."""
    job = peer.submit("sleep", parameters={"seconds": 60})["job"]
    peer.events(job, until=("started",))
    began = time.monotonic()
    peer.ask("cancel", job=job)
    peer.events(job)
    assert time.monotonic() - began < 5
