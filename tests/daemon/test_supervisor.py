"""Which workers are late, and when dead ones are replaced, with a clock of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from engine_runs import wait_until

from intarsia_daemon import messages as pipe
from intarsia_daemon.inbox import Inbox
from intarsia_daemon.process import Ended, Said, WorkerProcess
from intarsia_daemon.settings import Settings
from intarsia_daemon.supervisor import Supervisor


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setting:
    def __init__(self, tmp_path: Any, **settings: Any) -> None:
        self.clock, self.inbox = Clock(), Inbox()
        self.items: list[Any] = []
        fields = {"home": str(tmp_path), "worker": "scripted_worker:main", **settings}
        self.supervisor = Supervisor(Settings(**fields), self.inbox, clock=self.clock)

    def worker(self, lane: Any = "edit") -> WorkerProcess:
        worker = self.supervisor.ensure(lane)
        assert worker is not None
        return worker

    def until(self, kind: Any) -> Any:
        """The next item of a kind that threads put into the inbox."""

        def look() -> Any:
            self.items.extend(self.inbox.take())
            return next((i for i in self.items if isinstance(getattr(i, "message", i), kind)), None)

        found = wait_until(look)
        self.items.remove(found)
        return found


@pytest.fixture
def one(tmp_path: Any) -> Iterator[Setting]:
    setting = Setting(tmp_path, storm_deaths=2, storm_s=60, backoff_s=4)
    yield setting
    setting.supervisor.kill_all()
    for _ in list(setting.supervisor):
        setting.supervisor.ended(setting.until(Ended).worker, expected=True)
    setting.inbox.close()


def test_a_worker_starts_says_ready_and_leaves_when_asked(one: Setting) -> None:
    worker = one.worker()
    said = one.until(pipe.Ready)
    assert isinstance(said, Said) and isinstance(said.message, pipe.Ready)
    assert said.worker is worker and said.message.pid == worker.pid
    assert one.worker() is worker, "a lane has one process"
    worker.stop()
    ended = one.until(Ended)
    assert ended.worker is worker and ended.exit_code == 0
    one.supervisor.ended(worker, expected=True)
    assert one.supervisor.lane("edit") is None


def test_a_killed_worker_is_reported(one: Setting) -> None:
    worker = one.worker()
    one.until(pipe.Ready)
    worker.kill()
    assert one.until(Ended).exit_code == -9
    one.supervisor.ended(worker, expected=True)


def test_a_worker_killed_before_it_runs_is_reported_too(one: Setting) -> None:
    worker = one.worker()
    worker.kill()
    assert one.until(Ended).worker is worker
    one.supervisor.ended(worker, expected=True)


def test_many_deaths_slow_the_restarts_down_and_more_so_each_time(one: Setting) -> None:
    waits = []
    for _ in range(5):
        worker = one.worker()
        worker.kill()
        one.until(Ended)
        one.supervisor.ended(worker, expected=False)
        until = one.supervisor.held_back_until()
        waits.append(0.0 if until is None else until - one.clock.now)
        if until is not None:
            assert one.supervisor.ensure("edit") is None
            one.clock.now = until + 0.01
    assert waits == [0.0, 0.0, 4.0, 8.0, 16.0]
    one.clock.now += 100
    worker = one.worker()
    worker.kill()
    one.until(Ended)
    one.supervisor.ended(worker, expected=False)
    assert one.supervisor.held_back_until() is None, "the storm is over"


def hung(one: Setting, still: set[int] | None = None) -> list[str]:
    return [reason for _, reason in one.supervisor.hung(still=still or set())]


def test_silence_and_standing_still_are_noticed(one: Setting) -> None:
    worker = one.worker()
    one.clock.now += 181
    assert hung(one) == ["it did not start"]
    worker.ready = True
    worker.note()
    one.clock.now += 21
    assert hung(one) == ["it gave no sign of life"]
    worker.job = "a"
    worker.note()
    for second in range(1, 400):
        one.clock.now += 1
        worker.note(steps=5)
        assert hung(one) == (["it made no step"] if second > 301 else [])
    assert hung(one, still={worker.number}) == []
    worker.note(steps=6)
    assert hung(one) == []


def test_a_parked_worker_leaves_its_lane_to_another_and_comes_back(one: Setting) -> None:
    first = one.worker()
    one.supervisor.park(first)
    assert one.supervisor.parked() == [first]
    second = one.worker()
    assert second is not first
    one.supervisor.unpark(first)
    assert one.supervisor.lane("edit") is first and second.stopping
    assert one.supervisor.parked() == []


def test_a_worker_that_does_not_leave_is_overdue(one: Setting) -> None:
    worker = one.worker()
    worker.stop()
    assert one.supervisor.overdue() == []
    one.clock.now += 11
    assert one.supervisor.overdue() == [worker]
