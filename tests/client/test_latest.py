"""Only the newest request counts, whatever happens to the older ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from intarsia_client.errors import EngineUnreachable, JobCancelled, JobFailed
from intarsia_client.latest import LatestOnly
from intarsia_client.schema import Result

PATIENCE_S = 20.0


class FakeJob:
    """Ends when it is told to, or soon after its owner wants no more of it."""

    def __init__(self, request: str) -> None:
        self.request = request
        self.cancelled = False
        self._look = threading.Event()
        self._outcome: Result | Exception | None = None

    def look_now(self) -> None:
        self._look.set()

    def cancel(self) -> None:
        self.cancelled = True

    def end(self, outcome: Exception | None = None) -> None:
        self._outcome = outcome or Result((), {"request": self.request})
        self._look.set()

    def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
        while True:
            assert self._look.wait(PATIENCE_S), "nobody cared for this job"
            self._look.clear()
            if isinstance(self._outcome, Exception):
                raise self._outcome
            if self._outcome is not None:
                return self._outcome
            if should_cancel():
                self.cancelled = True
                raise JobCancelled("The job was cancelled.")


class Bench:
    """A `LatestOnly` with an engine that takes jobs one by one and does as the test says."""

    def __init__(self) -> None:
        self.jobs: list[FakeJob] = []
        self.told: list[tuple[str, Any]] = []
        self.problem: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.sending = threading.Event()
        self._arrived = threading.Condition()
        self.live: LatestOnly[str] = LatestOnly(self.submit, self.result, self.error)

    def submit(self, request: str) -> FakeJob:
        self.sending.set()
        assert self.gate.wait(PATIENCE_S)
        if self.problem is not None:
            raise self.problem
        job = FakeJob(request)
        with self._arrived:
            self.jobs.append(job)
            self._arrived.notify_all()
        return job

    def result(self, request: str, result: Result) -> None:
        self.told.append((request, result.recipe["request"]))

    def error(self, request: str, error: Exception) -> None:
        self.told.append((request, type(error).__name__))

    def job(self, number: int) -> FakeJob:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.jobs) > number, PATIENCE_S)
        return self.jobs[number]

    def rest(self) -> list[tuple[str, Any]]:
        assert self.live.wait_idle(PATIENCE_S)
        assert not self.live.busy
        return self.told


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lone_request_brings_its_result(bench: Bench) -> None:
    bench.live.request("one")
    assert bench.live.busy
    bench.job(0).end()

    assert bench.rest() == [("one", "one")]


def test_a_newer_request_cancels_the_running_one_which_is_not_told_of(bench: Bench) -> None:
    bench.live.request("old")
    old = bench.job(0)
    bench.live.request("new")
    bench.job(1).end()

    assert bench.rest() == [("new", "new")]
    assert old.cancelled


def test_of_many_requests_only_the_running_and_the_newest_reach_the_engine(bench: Bench) -> None:
    bench.gate.clear()
    for number in range(50):
        bench.live.request(str(number))
        assert bench.sending.wait(PATIENCE_S)
    bench.gate.set()
    bench.job(1).end()

    assert bench.rest() == [("49", "49")]
    assert [job.request for job in bench.jobs] == ["0", "49"]


def test_a_job_that_was_overtaken_while_it_was_sent_is_cancelled_at_once(bench: Bench) -> None:
    bench.gate.clear()
    bench.live.request("old")
    assert bench.sending.wait(PATIENCE_S)
    bench.live.request("new")
    bench.gate.set()
    bench.job(1).end()

    assert bench.rest() == [("new", "new")]
    assert bench.job(0).cancelled


def test_a_result_that_a_newer_request_overtook_is_dropped(bench: Bench) -> None:
    class Late(FakeJob):
        def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
            bench.live.request("new")
            return Result((), {"request": self.request})

    def submit(request: str) -> FakeJob:
        return Late(request) if request == "old" else FakeJob.__new__(Done)

    class Done(FakeJob):
        def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
            return Result((), {"request": "new"})

    bench.live = LatestOnly(submit, bench.result, bench.error)
    bench.live.request("old")

    assert bench.rest() == [("new", "new")]


def test_an_error_is_told_and_the_next_request_is_tried_anew(bench: Bench) -> None:
    bench.problem = EngineUnreachable("gone")
    bench.live.request("one")
    assert bench.rest() == [("one", "EngineUnreachable")]

    bench.problem = None
    bench.live.request("two")
    bench.job(0).end(JobFailed("no"))
    assert bench.rest()[1:] == [("two", "JobFailed")]

    bench.live.request("three")
    bench.job(1).end()
    assert bench.rest()[2:] == [("three", "three")]


def test_what_is_cancelled_is_not_told_of(bench: Bench) -> None:
    bench.live.request("one")
    job = bench.job(0)
    bench.live.cancel()

    assert bench.rest() == []
    assert job.cancelled
    bench.live.request("two")
    bench.job(1).end()
    assert bench.rest() == [("two", "two")]


def test_after_close_nothing_is_sent(bench: Bench) -> None:
    bench.live.close()
    bench.live.request("one")

    assert bench.rest() == [] and not bench.jobs


def test_a_callback_that_fails_is_reported_and_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, heard = threading.Event(), []

    def hook(failure: threading.ExceptHookArgs) -> None:
        heard.append(str(failure.exc_value))
        reported.set()

    def fail(request: str, result: Result) -> None:
        if request == "one":
            raise RuntimeError("the panel is gone")
        bench.result(request, result)

    monkeypatch.setattr(threading, "excepthook", hook)
    bench.live = LatestOnly(bench.submit, fail, bench.error)
    bench.live.request("one")
    bench.job(0).end()
    assert reported.wait(PATIENCE_S) and heard == ["the panel is gone"]
    bench.live.request("two")
    bench.job(1).end()

    assert bench.rest() == [("two", "two")]


def test_requests_from_many_threads_end_with_one_result(bench: Bench) -> None:
    class Done(FakeJob):
        def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
            return Result((), {"request": self.request})

    bench.live = LatestOnly(Done, bench.result, bench.error)
    threads = [
        threading.Thread(target=lambda n=n: [bench.live.request(f"{n}.{i}") for i in range(200)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = bench.rest()
    assert told and told[-1][0].endswith(".199")
    assert all(asked == given for asked, given in told)
