"""The threads that talk to the engine, with a client that does what a test says."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intarsia_client.endpoint import write_engine_file
from intarsia_client.errors import EngineMissing, EngineUnreachable, JobCancelled, JobFailed
from intarsia_client.schema import Operation, Pixels, Progress, Result
from intarsia_krita.jobs import Event, Jobs, LiveRequest, Request

BLEND = Operation("blend", "Blend", "Blend", "", (), ())
RESULT = Result((), {"operation": "blend"})


class FakeJob:
    """A job whose end a test decides."""

    def __init__(self, number: str) -> None:
        self.id, self.state = number, "queued"
        self.end: queue.Queue[Any] = queue.Queue()
        self.cancels = 0

    def wait(self, *, on_event: Any, on_progress: Any = None, **settings: Any) -> Result:
        assert settings.get("acknowledge") is False or "should_cancel" in settings
        while True:
            step = self.end.get(timeout=20)
            if isinstance(step, Progress):
                on_progress(step)
            elif isinstance(step, tuple):
                on_event(*step)
            elif isinstance(step, BaseException):
                raise step
            else:
                return step

    def look_now(self) -> None:
        pass

    def cancel(self) -> None:
        self.cancels += 1
        self.end.put(JobCancelled("cancelled"))


class FakeClient:
    """An engine with one job."""

    def __init__(self) -> None:
        self.closed = False
        self.job = FakeJob("j1")
        self.acknowledged = threading.Event()
        self.sent: list[Any] = []
        self.may_submit = threading.Event()
        self.may_submit.set()
        self.entered = threading.Event()
        self.settings: list[Any] = []

    def __call__(self, **settings: Any) -> FakeClient:
        self.settings.append(settings)
        return self

    def submit(self, *arguments: Any, **more: Any) -> FakeJob:
        self.entered.set()
        assert self.may_submit.wait(20)
        self.sent.append((arguments, more))
        return self.job

    def attach(self, number: str) -> FakeJob:
        assert number == self.job.id
        return self.job

    def acknowledge(self, number: str) -> None:
        self.acknowledged.set()

    def models(self) -> list[dict[str, Any]]:
        return [{"id": "abc", "resolution": 64}]

    def labels(self, model_id: str = "") -> list[str]:
        return {"": ["wolf"], "abc": ["cat", "dog"]}[model_id]

    def cancel(self, number: str) -> None:
        self.job.cancel()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def events() -> queue.Queue[Event]:
    return queue.Queue()


@pytest.fixture
def jobs(
    client: FakeClient,
    events: queue.Queue[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Jobs]:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    monkeypatch.setattr("intarsia_krita.jobs.Endpoint.read", lambda: None)
    made = Jobs(events.put, client)
    yield made
    made.close()


def request() -> Request:
    return Request(
        "j1", BLEND, (Pixels("picture", 1, 1, 4, b"abcd"),), {"a": 1}, 7, "x.kra – Blend"
    )


def kinds(events: queue.Queue[Event], last: str) -> list[str]:
    found: list[str] = []
    while not found or found[-1] != last:
        found.append(events.get(timeout=20).kind)
    return found


def test_a_run_is_told_from_reaching_the_engine_to_its_result(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    for step in (Progress("Blending", 1, 2), ("started", {"lane": "edit"}), RESULT):
        client.job.end.put(step)
    jobs.run(request())
    assert kinds(events, "finished") == ["connecting", "accepted", "progress", "event", "finished"]
    (arguments, more) = client.sent[0]
    assert arguments[0] is BLEND and arguments[2] == {"a": 1}
    assert more == {"seed": 7, "job": "j1", "label": "x.kra – Blend"}
    assert client.settings[0]["app"] == "krita" and client.settings[0]["start"] is True
    assert not client.acknowledged.is_set()  # only once the layer is in the document


def test_a_failure_arrives_as_the_error_itself(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    error = JobFailed("Too large.", remedy="Make it smaller.")
    client.job.end.put(error)
    jobs.run(request())
    while (event := events.get(timeout=20)).kind != "failed":
        pass
    assert event.value is error


def test_cancelling_a_running_job_ends_it_and_lets_the_engine_forget_it(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    jobs.run(request())
    assert kinds(events, "accepted") == ["connecting", "accepted"]
    jobs.cancel("j1")
    assert kinds(events, "cancelled") == ["cancelled"]
    assert client.acknowledged.wait(20)


def test_cancelling_while_it_is_being_sent_cancels_it_once_it_is_sent(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    client.may_submit.clear()
    jobs.run(request())
    assert client.entered.wait(20)
    jobs.cancel("j1")
    client.may_submit.set()
    assert kinds(events, "cancelled")[-1] == "cancelled"
    assert client.job.cancels == 1


def test_cancelling_before_it_is_sent_sends_nothing(
    client: FakeClient, events: queue.Queue[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    gate = threading.Event()

    def slow(**settings: Any) -> FakeClient:
        assert gate.wait(20)
        return client

    jobs = Jobs(events.put, slow)
    jobs.run(request())
    jobs.cancel("j1")
    gate.set()
    assert kinds(events, "cancelled") == ["connecting", "cancelled"]
    assert client.sent == []
    jobs.close()


def test_a_cancel_that_got_lost_with_the_engine_is_sent_again_after_it_came_back(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.run(request())
    kinds(events, "accepted")
    monkeypatch.setattr(client, "cancel", lambda number: None)  # the wish is lost
    jobs.cancel("j1")
    client.job.end.put(("disconnected", {}))
    client.job.end.put(("reconnected", {}))
    assert kinds(events, "cancelled")[-1] == "cancelled"
    assert client.job.cancels == 1


def test_an_engine_that_cannot_be_reached_fails_the_job_with_its_sentence(
    events: queue.Queue[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))

    def gone(**settings: Any) -> Any:
        raise EngineUnreachable("The engine does not answer.")

    jobs = Jobs(events.put, gone)
    jobs.run(request())
    assert kinds(events, "failed") == ["connecting", "failed"]
    jobs.close()


def test_the_status_without_an_engine_says_missing_or_off_and_connects_nowhere(
    client: FakeClient, events: queue.Queue[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    jobs = Jobs(events.put, client)
    jobs.ask_status()
    status = events.get(timeout=20).value
    assert status.state == "missing" and isinstance(status.error, EngineMissing)
    program = tmp_path / "python"
    program.touch()
    write_engine_file([str(program)])
    jobs.ask_status()
    assert events.get(timeout=20).value.state == "off"
    assert client.settings == []
    jobs.close()


def test_no_estimate_is_asked_of_an_engine_that_does_not_run(
    client: FakeClient, events: queue.Queue[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    jobs = Jobs(events.put, client)
    jobs.ask_estimate(BLEND, {}, [])
    assert events.get(timeout=20) == Event("estimate", value=("blend", None))
    assert client.settings == []
    jobs.close()


def test_a_job_of_an_earlier_krita_is_followed_again(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    client.job.end.put(RESULT)
    jobs.attach("j1")
    assert kinds(events, "finished") == ["connecting", "accepted", "finished"]


def test_all_threads_end_when_it_is_closed(jobs: Jobs, client: FakeClient) -> None:
    jobs.close()
    jobs._asker.join(20)
    assert not jobs._asker.is_alive()


def test_of_an_engine_that_could_not_start_the_newer_log_is_read(
    jobs: Jobs, events: queue.Queue[Event], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    for name, time in (("engine.log", 1000), ("start.log", 2000)):
        (tmp_path / "log" / name).write_text(name, "utf-8")
        os.utime(str(tmp_path / "log" / name), (time, time))
    jobs.ask_log()
    assert events.get(timeout=20).value == "start.log"


def test_the_log_is_read_from_its_end(
    jobs: Jobs, events: queue.Queue[Event], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "engine.log").write_text("x" * 100_000 + "\nlast line\n", "utf-8")
    jobs.ask_log()
    text = events.get(timeout=20).value
    assert text.endswith("last line\n") and len(text) <= 16 * 1024


def test_models_and_their_classes_are_asked_of_an_engine_that_runs(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    jobs.ask_models()
    jobs.ask_classes("abc")
    jobs.ask_classes("")
    found = [events.get(timeout=20) for _ in range(3)]
    assert [event.value for event in found] == [
        [{"id": "abc", "resolution": 64}],
        ("abc", ["cat", "dog"]),
        ("", ["wolf"]),
    ]
    assert {settings["start"] for settings in client.settings} == {False}


def test_where_no_engine_runs_nothing_is_said_about_models(
    jobs: Jobs, events: queue.Queue[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise EngineUnreachable("none runs")

    monkeypatch.setattr("intarsia_krita.jobs.Endpoint.read", none)
    jobs.ask_models()
    jobs.ask_classes("")
    jobs.ask_log()  # answered after them, in the same thread
    assert [events.get(timeout=20).kind] == ["log"]


# --- the live preview -----------------------------------------------------------------------------


def small() -> LiveRequest:
    return LiveRequest(BLEND, (Pixels("picture", 1, 1, 4, b"abcd"),), {"a": 1}, 7)


def next_event(events: queue.Queue[Event]) -> Event:
    return events.get(timeout=20)


def test_a_small_picture_is_a_job_that_ends_with_this_krita(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    request = small()
    client.job.end.put(RESULT)
    jobs.show_live(request)
    event = next_event(events)
    assert (event.kind, event.value) == ("live", (request, RESULT))
    ((arguments, more),) = client.sent
    assert arguments == (BLEND, request.inputs, {"a": 1})
    assert more == {"seed": 7, "on_disconnect": "cancel", "keep_s": 30.0}  # no label: not listed


def test_only_the_first_small_picture_starts_an_engine(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise EngineUnreachable("None runs.")

    client.job.end.put(RESULT)
    jobs.show_live(small())
    assert next_event(events).kind == "live"
    assert [settings["start"] for settings in client.settings] == [True, False]
    monkeypatch.setattr("intarsia_krita.jobs.Endpoint.read", none)  # the engine is gone
    jobs.show_live(small())
    event = next_event(events)
    assert event.kind == "live_failed" and event.value[1].what == "None runs."
    assert len(client.settings) == 2 and len(client.sent) == 1


def test_a_small_picture_is_not_made_again_by_an_engine_that_comes_back(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    client.job.end.put(("disconnected", {}))
    client.job.end.put(RESULT)
    jobs.show_live(small())
    event = next_event(events)
    assert event.kind == "live_failed" and event.value[1].what == "The engine stopped."


def test_nothing_is_told_of_a_small_picture_after_the_preview_was_stopped(
    jobs: Jobs, client: FakeClient, events: queue.Queue[Event]
) -> None:
    client.may_submit.clear()
    jobs.show_live(small())
    assert client.entered.wait(20) and jobs.live_is_busy()
    jobs.stop_live()
    client.may_submit.set()
    client.job.end.put(RESULT)
    assert jobs._live.wait_idle(20)
    assert events.empty() and not jobs.live_is_busy()
