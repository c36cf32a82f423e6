"""Engines that die, come back, lose messages: no event is missed, none is told twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine, Visit

from intarsia_client.client import Client
from intarsia_client.errors import EngineUnreachable, JobCancelled, JobFailed
from intarsia_client.schema import Operation, Pixels, ResultLayer

Connect = Callable[..., Client]
LAYER = ResultLayer("out", 1, 1, 4, b"abcd")


class Told:
    """What `Job.wait` told, and a way to wait for it."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.numbers: list[int] = []
        self._changed = threading.Condition()

    def __call__(self, kind: str, header: dict[str, Any]) -> None:
        with self._changed:
            self.kinds.append(kind)
            if "seq" in header:
                self.numbers.append(header["seq"])
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 20), (self.kinds, self.numbers)


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run work beside; the returned function waits for its value, or raises its error."""
    outcome: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(60)
        assert not thread.is_alive()
        if errors:
            raise errors[0]
        return outcome[0]

    return result


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_events_before_during_and_after_a_break_are_told_once_and_in_order(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    told = Told()
    with ScriptedEngine(home) as first:
        job = connect().submit(operation, [picture], {})
        result = in_thread(lambda: job.wait(on_event=told))
        first.event(job.id, "started")
        first.event(job.id, "paused", reason="asked")
        told.wait_for(lambda: told.numbers == [1, 2])
    journal = first.jobs
    journal[job.id].events += [("resumed", {"job": job.id, "seq": 3})]
    with ScriptedEngine(home, jobs=journal) as second:
        told.wait_for(lambda: told.numbers == [1, 2, 3])
        assert [m.header["since"] for m in second.received if m.kind == "watch"] == [2]
        second.finish(job.id, [LAYER])
        assert bytes(result().layers[0].data) == b"abcd"
    assert told.numbers == [1, 2, 3, 4]
    assert told.kinds == [
        "started",
        "paused",
        "disconnected",
        "resumed",
        "reconnected",
        "finished",
    ] or told.kinds == ["started", "paused", "disconnected", "reconnected", "resumed", "finished"]


@pytest.mark.parametrize("seed", range(3))
def test_through_many_breaks_at_any_moment_the_numbers_have_no_gap_and_no_duplicate(
    home: Path, connect: Connect, operation: Operation, picture: Pixels, seed: int
):
    dice = random.Random(seed)
    told = Told()
    journal: dict[str, Any] = {}
    with ScriptedEngine(home, jobs=journal) as engine:
        job = connect().submit(operation, [picture], {})
        result = in_thread(lambda: job.wait(on_event=told))
    for _ in range(5):
        with ScriptedEngine(home, jobs=journal) as engine:
            until(lambda engine=engine: engine.count("watch") > 0)
            for _ in range(dice.randrange(1, 8)):
                if dice.random() < 0.3:  # an event that was journalled and never sent
                    events = journal[job.id].events
                    events.append(("started", {"job": job.id, "seq": len(events) + 1}))
                engine.event(job.id, dice.choice(["started", "paused", "resumed"]))
                if dice.random() < 0.3:  # sent again for no reason
                    engine._calls.put(lambda engine=engine: send_again(engine, job.id))
    with ScriptedEngine(home, jobs=journal) as engine:
        engine.finish(job.id, [LAYER])
        assert result().layers
    assert told.numbers == list(range(1, len(journal[job.id].events) + 1))


def send_again(engine: ScriptedEngine, job: str) -> None:
    kind, header = engine.jobs[job].events[-1]
    engine.raw(job, kind, header)


def test_a_lost_event_is_asked_for_on_the_standing_connection(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    told = Told()
    with ScriptedEngine(home) as engine:
        job = connect().submit(operation, [picture], {})
        engine.event(job.id, "started")
        until(lambda: job.last_event == 1)
        engine.jobs[job.id].events.append(("paused", {"job": job.id, "seq": 2}))  # never sent
        engine.event(job.id, "resumed")
        until(lambda: job.last_event == 3)
        assert engine.count("watch") == 1
        engine.finish(job.id, [LAYER])
        job.wait(on_event=told)
    assert told.numbers == [1, 2, 3, 4]
    assert told.kinds == ["started", "paused", "resumed", "finished"]


def test_a_submit_that_broke_off_is_sent_again_with_the_same_id(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    def die(engine: ScriptedEngine, visit: Visit) -> None:
        engine._stop.set()

    first = ScriptedEngine(home)
    first.on("submit", die)
    with first:
        client = connect()
        submitted = in_thread(lambda: client.submit(operation, [picture], {}))
        until(first._stop.is_set)
    with ScriptedEngine(home) as second:
        job = submitted()
        assert list(second.jobs) == [job.id]
        assert [m.header["job"] for m in first.received if m.kind == "submit"] == [job.id]
        second.finish(job.id, [LAYER])
        assert job.wait().layers


def test_an_answer_lost_after_the_job_was_journalled_does_not_double_it(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    told = Told()
    first = ScriptedEngine(home)

    def keep_and_die(engine: ScriptedEngine, visit: Visit) -> None:
        engine.accept(visit)
        engine._stop.set()

    first.on("submit", keep_and_die)
    with first:
        client = connect()
        submitted = in_thread(lambda: client.submit(operation, [picture], {}))
        until(first._stop.is_set)
    (job_id,) = first.jobs
    first.jobs[job_id].events.append(("started", {"job": job_id, "seq": 1}))
    with ScriptedEngine(home, jobs=first.jobs) as second:
        job = submitted()
        second.finish(job.id, [LAYER])
        assert job.wait(on_event=told).layers
    assert told.numbers == [1, 2]
    assert list(first.jobs) == [job.id]


def test_an_engine_that_dies_while_the_result_is_fetched_loses_nothing(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    first = ScriptedEngine(home)
    first.on("fetch", lambda engine, visit: engine._stop.set())
    with first:
        job = connect().submit(operation, [picture], {})
        first.finish(job.id, [LAYER])
        result = in_thread(job.wait)
        until(first._stop.is_set)
    second = ScriptedEngine(home, jobs=first.jobs)
    second.results = first.results
    with second:
        assert bytes(result().layers[0].data) == b"abcd"


def test_a_cancel_asked_while_the_engine_is_away_is_sent_when_it_is_back(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    wanted = threading.Event()
    with ScriptedEngine(home) as first:
        job = connect().submit(operation, [picture], {})
        result = in_thread(lambda: job.wait(should_cancel=wanted.is_set))
    wanted.set()
    second = ScriptedEngine(home, jobs=first.jobs)

    def cancel(engine: ScriptedEngine, visit: Visit) -> None:
        visit.reply("done")
        engine.event(job.id, "cancelled")

    second.on("cancel", cancel)
    with second, pytest.raises(JobCancelled):
        result()
    assert second.count("cancel") == 1


def test_a_job_that_the_new_engine_does_not_know_fails_with_a_button(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    with ScriptedEngine(home):
        job = connect().submit(operation, [picture], {})
        result = in_thread(job.wait)
    with ScriptedEngine(home), pytest.raises(JobFailed, match="no longer knows this job") as caught:
        result()
    assert caught.value.retryable
    assert job.state == "failed"


def test_a_job_that_is_over_is_not_watched_again(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    with ScriptedEngine(home) as first:
        client = connect()
        job = client.submit(operation, [picture], {})
        first.finish(job.id, [LAYER])
        job.wait()
    with ScriptedEngine(home) as second:
        assert client.jobs() == []
        assert second.count("watch") == 0
        assert job.wait().layers


def test_an_engine_that_stays_away_is_unreachable_and_the_job_can_be_found_later(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    with ScriptedEngine(home) as first:
        client = connect(timeout_s=0.5)
        job = client.submit(operation, [picture], {})
        result = in_thread(job.wait)
    with pytest.raises(EngineUnreachable, match="No engine listens"):
        result()
    with ScriptedEngine(home, jobs=first.jobs) as second:
        second.finish(job.id, [LAYER])
        assert job.wait().layers


def test_an_engine_that_breaks_off_again_and_again_is_given_up(
    home: Path,
    connect: Connect,
    operation: Operation,
    picture: Pixels,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("intarsia_client.job.BREAKS", 2)
    with ScriptedEngine(home) as engine:
        journal = engine.jobs
        job = connect().submit(operation, [picture], {})
        result = in_thread(job.wait)
    for _ in range(2):
        with ScriptedEngine(home, jobs=journal) as engine:
            until(lambda engine=engine: engine.count("watch") > 0)
            until(lambda: job._client._connection.current is not None)
    with pytest.raises(EngineUnreachable, match="broke"):
        result()


def test_an_engine_that_is_leaving_is_waited_out(home: Path, connect: Connect):
    def refuse(engine: ScriptedEngine, visit: Visit) -> None:
        engine.refuse(visit, "SHUTTING_DOWN", "The engine is leaving.")
        engine._stop.set()

    first = ScriptedEngine(home)
    first.on("list", refuse)
    with first:
        client = connect()
        jobs = in_thread(client.jobs)
        until(first._stop.is_set)
    with ScriptedEngine(home) as second:
        assert jobs() == []
        assert second.count("list") == 1


def test_an_engine_that_dies_while_it_is_asked_for_the_events_is_met_again(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    with ScriptedEngine(home) as first:
        job = connect().submit(operation, [picture], {})
        result = in_thread(job.wait)
    second = ScriptedEngine(home, jobs=first.jobs)
    second.on("watch", lambda engine, visit: engine._stop.set())
    with second:
        until(second._stop.is_set)
    with ScriptedEngine(home, jobs=first.jobs) as third:
        third.finish(job.id, [LAYER])
        assert result().layers


def test_a_request_after_an_idle_time_finds_the_new_engine(home: Path, connect: Connect):
    with ScriptedEngine(home) as first:
        client = connect()
        assert client.welcome["boot"] == first.boot
    with ScriptedEngine(home) as second:
        assert client.models() == []
        assert client.welcome["boot"] == second.boot
