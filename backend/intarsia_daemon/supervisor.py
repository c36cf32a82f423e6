"""The workers: which process has which lane, which hang, and when a dead one is replaced."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from intarsia_daemon.inbox import Inbox
from intarsia_daemon.messages import Lane
from intarsia_daemon.process import METHOD, WorkerProcess, worker_context
from intarsia_daemon.settings import Settings

LONGEST_BACKOFF_S = 30.0

log = logging.getLogger(__name__)


class Supervisor:
    """Starts, parks, stops and replaces worker processes.

    Each lane has one process; those of paused jobs are *parked* beside it, so that other jobs of
    the lane can go on. Where processes start slowly (no fork), one more waits ready.
    """

    def __init__(
        self, settings: Settings, inbox: Inbox, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._clock = clock
        self._context = worker_context(settings.worker)
        self._numbers = 0
        self._all: dict[int, WorkerProcess] = {}
        self._lanes: dict[str, WorkerProcess] = {}
        self._spare: WorkerProcess | None = None
        self._deaths: deque[float] = deque()
        self._not_before = float("-inf")
        self._backoff_s = settings.backoff_s

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._all.values()))

    def get(self, number: int | None) -> WorkerProcess | None:
        """The worker of that number, while its process lives."""
        return None if number is None else self._all.get(number)

    def lane(self, lane: Lane) -> WorkerProcess | None:
        """The process that has a lane now."""
        return self._lanes.get(lane)

    def ensure(self, lane: Lane) -> WorkerProcess | None:
        """The lane's process, started if need be; None while restarts are slowed down."""
        worker = self._lanes.get(lane)
        if worker is not None and not worker.stopping:
            return worker
        if self._clock() < self._not_before:
            return None
        worker, self._spare = self._spare or self._start(), None
        worker.assign(lane)
        self._lanes[lane] = worker
        self.keep_spare()
        return worker

    def keep_spare(self) -> None:
        """Where processes start slowly, have one more ready."""
        if METHOD == "spawn" and self._spare is None and self._clock() >= self._not_before:
            self._spare = self._start()

    def _start(self) -> WorkerProcess:
        self._numbers += 1
        worker = WorkerProcess(
            self._numbers,
            context=self._context,
            entry=self._settings.worker,
            settings=self._settings.to_dict(),
            inbox=self._inbox,
            clock=self._clock,
        )
        self._all[worker.number] = worker
        return worker

    def parked(self) -> list[WorkerProcess]:
        """Processes that hold a paused job beside their lane's own process."""
        return [w for w in self if w.lane and self._lanes.get(w.lane) is not w and not w.stopping]

    def park(self, worker: WorkerProcess) -> None:
        """Take a process with a paused job out of its lane, which is free for another one then."""
        if worker.lane and self._lanes.get(worker.lane) is worker:
            del self._lanes[worker.lane]

    def unpark(self, worker: WorkerProcess) -> None:
        """Give a parked process its lane back; an idle one that has it now leaves."""
        if worker.lane:
            present = self._lanes.get(worker.lane)
            if present is not None and present is not worker:
                present.stop()
            self._lanes[worker.lane] = worker

    def ended(self, worker: WorkerProcess, *, expected: bool) -> None:
        """A process is no more; too many unexpected ends slow the next start down."""
        self._all.pop(worker.number, None)
        if worker.lane and self._lanes.get(worker.lane) is worker:
            del self._lanes[worker.lane]
        if self._spare is worker:
            self._spare = None
        if expected:
            return
        now = self._clock()
        self._deaths.append(now)
        while self._deaths and self._deaths[0] < now - self._settings.storm_s:
            self._deaths.popleft()
        if len(self._deaths) <= self._settings.storm_deaths:
            self._backoff_s = self._settings.backoff_s
            return
        self._not_before = now + self._backoff_s
        log.error(
            "%d workers died within %g s; the next one starts in %g s.",
            len(self._deaths),
            self._settings.storm_s,
            self._backoff_s,
        )
        self._backoff_s = min(LONGEST_BACKOFF_S, 2 * self._backoff_s)

    def held_back_until(self) -> float | None:
        """When the next process may start, if that is later than now."""
        return self._not_before if self._not_before > self._clock() else None

    def hung(self, *, still: set[int]) -> list[tuple[WorkerProcess, str]]:
        """Workers that gave no sign of life, or whose job makes no step, for too long; and why.

        Args:
            still: Numbers of the workers that are allowed to stand still (paused, held back).
        """
        now, found = self._clock(), []
        for worker in self:
            if worker.stopping or worker.lane is None:
                continue
            if not worker.ready:
                if now - worker.started > self._settings.start_limit_s:
                    found.append((worker, "it did not start"))
            elif now - worker.heard > self._settings.beat_limit_s:
                found.append((worker, "it gave no sign of life"))
            elif (
                worker.job is not None
                and worker.number not in still
                and now - worker.moved > self._settings.stall_limit_s
            ):
                found.append((worker, "it made no step"))
        return found

    def overdue(self) -> list[WorkerProcess]:
        """Workers that were asked to leave and did not."""
        latest = self._clock() - self._settings.stop_s
        return [w for w in self if w.stop_asked is not None and w.stop_asked < latest]

    def status(self) -> list[dict[str, Any]]:
        """The ``workers`` of a ``pong``."""
        now = self._clock()
        return [
            {
                "lane": worker.lane,
                "busy": worker.job is not None,
                "beat_s": round(now - worker.heard, 2),
                **({"job": worker.job} if worker.job else {}),
            }
            for worker in self
            if worker.lane and not worker.stopping
        ]

    def stop_all(self) -> None:
        """Ask every process to write its checkpoint and leave."""
        for worker in self:
            worker.stop()

    def kill_all(self) -> None:
        """End every process that is left."""
        for worker in self:
            worker.kill()
