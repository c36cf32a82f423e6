"""Who runs where: each lane's queue, its worker, and the training that stays back for edits."""

from __future__ import annotations

import time
from collections.abc import Callable

from intarsia_daemon import messages as pipe
from intarsia_daemon.gate import Gate
from intarsia_daemon.jobs import Job
from intarsia_daemon.ledger import Ledger
from intarsia_daemon.messages import Lane
from intarsia_daemon.process import WorkerProcess
from intarsia_daemon.scheduler import LANES, Scheduler
from intarsia_daemon.settings import Settings
from intarsia_daemon.supervisor import Supervisor


class Lanes:
    """Puts waiting jobs and idle workers together."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        scheduler: Scheduler,
        supervisor: Supervisor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._scheduler = scheduler
        self._supervisor = supervisor
        self._clock = clock
        self._gate = Gate(
            linger_s=settings.linger_s,
            share=settings.training_share,
            window_s=settings.gate_window_s,
        )
        self.closed = False
        """Set while the engine stops: no job is started any more."""

    def queue(self, job: Job, *, front: bool = False) -> None:
        """Let a job wait for its lane; ``front`` before all others."""
        record = job.record
        self._scheduler.add(
            job.id,
            client=record.session,
            priority=record.priority,
            lane=record.lane,
            front=front,
        )

    def dispatch(self) -> None:
        """Give the lanes' idle workers their next jobs."""
        if self.closed:
            return
        for lane in LANES:
            if not self._lane_is_free(lane):
                continue
            if self._go_on_with_parked(lane) or not self._scheduler.waiting(lane):
                continue
            worker = self._supervisor.ensure(lane)
            if worker is None or not worker.ready:
                continue
            job = self._ledger.live(self._scheduler.take(lane))
            if job is not None:
                self._start(job, worker)
        self.watch_gate()

    def _lane_is_free(self, lane: Lane) -> bool:
        worker = self._supervisor.lane(lane)
        return worker is None or worker.job is None

    def _start(self, job: Job, worker: WorkerProcess) -> None:
        worker.job, worker.idle_since, job.worker = job.id, None, worker.number
        job.pause_asked = False
        worker.note()
        worker.send(job.run_message())
        self.occupied(job)
        extra = {}
        if job.seconds_expected is not None:
            extra["seconds_expected"] = job.seconds_expected
        record = job.record
        self._ledger.tell(
            job, "running", "started", lane=record.lane, attempt=record.attempt, **extra
        )

    def occupied(self, job: Job) -> None:
        """A job runs (again)."""
        if job.record.lane == "training":
            self._gate.training_started()
        else:
            self._gate.edit_started(self._clock())

    def vacated(self, job: Job, worker: WorkerProcess) -> None:
        """A job does not run any more: it ended, or it stands still."""
        if job.record.lane == "edit":
            self._gate.edit_ended(self._clock())
        else:
            if self._gate.holds:
                worker.send(pipe.Go())
            self._gate.training_ended()

    def watch_gate(self) -> None:
        """Hold the training back, or let it go on."""
        decision = self._gate.decide(self._clock())
        worker = self._supervisor.lane("training")
        if decision and worker is not None:
            worker.note()
            worker.send(pipe.Yield() if decision == "yield" else pipe.Go())

    def _go_on_with_parked(self, lane: Lane) -> bool:
        """Resume a parked job that was asked to go on; whether there was one."""
        for worker in self._supervisor.parked():
            job = self._ledger.live(worker.job)
            wanted = job is not None and job.record.state == "paused" and not job.pause_asked
            if worker.lane == lane and job is not None and wanted and job.cancel_asked is None:
                self._supervisor.unpark(worker)
                worker.send(pipe.Resume(job=job.id))
                return True
        return False

    def free(self, worker: WorkerProcess, job: Job) -> None:
        """A worker is done with its job; one that was parked leaves."""
        if job.record.state != "paused":
            self.vacated(job, worker)
        elif worker in self._supervisor.parked():
            worker.stop()
        worker.job, job.worker, worker.idle_since = None, None, self._clock()

    def standing_still(self) -> set[int]:
        """Numbers of the workers whose job is paused or held back."""
        paused = {job.worker for job in self._ledger if job.record.state == "paused"}
        training = self._supervisor.lane("training")
        if training is not None and self._gate.holds:
            paused.add(training.number)
        return {number for number in paused if number is not None}

    def retire_training(self) -> None:
        """Let a training worker that is idle for long leave: its memory is free then."""
        now = self._clock()
        worker = self._supervisor.lane("training")
        if worker is None or worker.job or worker.stopping or worker.idle_since is None:
            return
        if now - worker.idle_since > self._settings.training_idle_s:
            worker.stop()

    def next_change(self) -> float | None:
        """When the gate may change its mind (monotonic clock)."""
        return self._gate.next_change(self._clock())
