"""What happens to a job: who may run, what a worker's message means, what when a worker dies."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.wire import Message
from intarsia_daemon import messages as pipe
from intarsia_daemon.jobs import Job, JobRecord, describe_layer
from intarsia_daemon.lanes import Lanes
from intarsia_daemon.ledger import Ledger
from intarsia_daemon.messages import Lane
from intarsia_daemon.process import WorkerProcess
from intarsia_daemon.scheduler import Scheduler
from intarsia_daemon.settings import Settings
from intarsia_daemon.supervisor import Supervisor

PREVIEW_LIMIT = 256 * 256 * 4 * 4
"""Bytes of a preview's pixels."""
RESTARTED = "The engine was restarted; the job goes on."
LEAVING = "The engine leaves; the job goes on when it is started again."

log = logging.getLogger(__name__)


class Lifecycle:
    """Moves jobs through their states; all methods are called by the router's loop."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        scheduler: Scheduler,
        lanes: Lanes,
        supervisor: Supervisor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._scheduler = scheduler
        self._lanes = lanes
        self._supervisor = supervisor
        self._clock = clock
        self._hangs: dict[int, str] = {}

    # --- jobs come --------------------------------------------------------------------------------

    def restore(self) -> None:
        """At the start: take up what the last engine left."""
        for job in self._ledger.load():
            record = job.record
            if any(not os.path.exists(item.path) for item in record.inputs):
                self._ledger.fail(
                    job,
                    code="NOT_FOUND",
                    what="The job's pixels are not on disk any more.",
                    remedy="Run it again.",
                    action={"label": "Run again", "do": "retry"},
                )
                continue
            if record.on_disconnect == "cancel":
                job.adopt_until = self._clock() + self._settings.adopt_s
            if record.state == "running":
                self._try_again(job, RESTARTED)
            elif record.state == "queued":
                self._lanes.queue(job)

    def begin(self, record: JobRecord, *, durable: bool) -> Job:
        """Take a new job whose pixels are stored.

        Raises:
            JournalFull: It could not be written down.
        """
        job = self._ledger.add(record, durable=durable)
        self._lanes.queue(job)
        return job

    # --- what clients ask -------------------------------------------------------------------------

    def cancel(self, job: Job) -> None:
        """Stop a job; the event follows when it has stopped."""
        if job.record.is_final or job.cancel_asked is not None:
            return
        self._scheduler.discard(job.id)
        worker = self._supervisor.get(job.worker)
        if worker is None:
            self._ledger.cancelled(job)
        else:
            job.cancel_asked = self._clock()
            worker.send(pipe.Cancel(job=job.id))

    def pause(self, job: Job) -> None:
        """Let a job stand still.

        Raises:
            IntarsiaError: It has ended, or too many jobs are paused in mid-work.
        """
        self._refuse_ended(job, "paused")
        worker = self._supervisor.get(job.worker)
        if job.record.state == "paused" or job.pause_asked or job.cancel_asked is not None:
            return
        if worker is None:
            self._scheduler.discard(job.id)
            self._ledger.tell(job, "paused", "paused", reason="Paused before it began.")
            return
        if len(self._supervisor.parked()) >= self._settings.parked_limit:
            raise IntarsiaError(
                f"{self._settings.parked_limit} jobs are paused in mid-work already.",
                value=self._settings.parked_limit,
                remedy="Let one of them go on, or cancel it.",
                code="BUSY",
                retryable=True,
            )
        job.pause_asked = True
        worker.send(pipe.Pause(job=job.id))

    def resume(self, job: Job) -> None:
        """Let a paused job go on, as soon as its lane is free.

        Raises:
            IntarsiaError: It has ended.
        """
        self._refuse_ended(job, "resumed")
        worker = self._supervisor.get(job.worker)
        if worker is None and job.record.state == "paused":
            self._ledger.tell(job, "queued", "resumed")
            self._lanes.queue(job, front=True)
        elif job.pause_asked:
            job.pause_asked = False
            if worker is not None and job.record.state == "running":  # it has not stopped yet
                worker.send(pipe.Resume(job=job.id))
        self._lanes.dispatch()

    @staticmethod
    def _refuse_ended(job: Job, verb: str) -> None:
        if job.record.is_final:
            raise InvalidRequest(
                f"The job cannot be {verb}: it is {job.record.state}.",
                value=job.record.state,
                remedy="Run it again.",
            )

    def session_gone(self, session_id: str) -> None:
        """A client is gone: its jobs go on, unless they were to end with it."""
        for job in self._ledger:
            job.watchers.discard(session_id)
            if job.record.session == session_id and job.record.on_disconnect == "cancel":
                log.info("The client of job %s is gone; the job is cancelled.", job.id)
                self.cancel(job)

    # --- what workers say -------------------------------------------------------------------------

    def heard(self, worker: WorkerProcess, message: Any) -> None:
        """A worker said something about itself or its job."""
        if isinstance(message, pipe.Beat):
            worker.note(message.steps)
            return
        worker.note()
        if isinstance(message, pipe.Ready):
            worker.ready, worker.device, worker.idle_since = True, message.device, self._clock()
        elif (job := self._ledger.live(getattr(message, "job", ""))) and worker.job == job.id:
            self._heard_of_job(worker, job, message)
        self._lanes.dispatch()

    def _heard_of_job(self, worker: WorkerProcess, job: Job, message: Any) -> None:
        if isinstance(message, pipe.Working):
            self._working(job, message)
        elif isinstance(message, pipe.Paused):
            self._lanes.vacated(job, worker)
            self._supervisor.park(worker)
            self._ledger.tell(job, "paused", "paused", reason="Paused on request.")
        elif isinstance(message, pipe.Resumed):
            if job.record.state == "paused":
                self._lanes.occupied(job)
                self._ledger.tell(job, "running", "resumed")
        elif isinstance(message, pipe.NeedsTraining):
            self._needs_training(worker, job, message)
        elif isinstance(message, pipe.Finished):
            self._lanes.free(worker, job)
            self._ledger.finish(job, message)
        elif isinstance(message, pipe.Failed):
            self._lanes.free(worker, job)
            if message.replace:
                worker.stop()
            self._ledger.fail(
                job,
                code=message.code,
                what=message.what,
                value=message.value,
                remedy=message.remedy,
                action=message.action,
                retryable=message.retryable,
                report=message.report,
            )
        elif isinstance(message, pipe.Stopped):
            self._lanes.free(worker, job)
            if job.cancel_asked is not None:
                self._ledger.cancelled(job)
            else:
                self._interrupted(job)

    def _working(self, job: Job, message: pipe.Working) -> None:
        header: dict[str, Any] = {
            "job": job.id,
            "stage": message.stage,
            "step": message.step,
            "total": message.total,
            "seconds_left": message.seconds_left,
            "numbers": message.numbers,
            "buffers": [],
        }
        pixels = _preview(job, message.preview) if message.preview else None
        if message.preview and pixels is not None:
            header["buffers"] = [describe_layer(message.preview)]
        self._ledger.progress(job, Message("progress", header, () if pixels is None else (pixels,)))

    def _needs_training(self, worker: WorkerProcess, job: Job, message: pipe.NeedsTraining) -> None:
        self._lanes.free(worker, job)
        job.record.lane = "training"
        job.seconds_expected = message.seconds_expected
        job.progress = None
        if job.cancel_asked is not None:
            self._ledger.cancelled(job)
        elif job.pause_asked:
            job.pause_asked = False
            self._ledger.tell(job, "paused", "paused", reason="Paused before its training.")
        else:
            self._ledger.set_state(job, "queued")
            self._lanes.queue(job)
            self._supervisor.ensure("training")

    # --- when workers die -------------------------------------------------------------------------

    def ended(self, worker: WorkerProcess, exit_code: int | None) -> None:
        """A worker's process is no more."""
        reason = self._hangs.pop(worker.number, None)
        expected = worker.stopping and reason is None
        self._supervisor.ended(worker, expected=expected)
        job = self._ledger.live(worker.job)
        if not expected:
            log.error(
                "Worker %d (%s lane) ended unexpectedly: %s.",
                worker.number,
                worker.lane,
                reason or f"exit code {exit_code}",
            )
        if job is not None:
            self._lost_worker(job, worker, reason)
        if not expected and not worker.ready and worker.lane:
            self._give_up_waiting(worker.lane)
        self._lanes.dispatch()

    def _lost_worker(self, job: Job, worker: WorkerProcess, reason: str | None) -> None:
        was_paused = job.record.state == "paused"
        if not was_paused:
            self._lanes.vacated(job, worker)
        worker.job, job.worker = None, None
        if job.cancel_asked is not None:
            self._ledger.cancelled(job)
        elif was_paused:
            if not job.pause_asked and not self._lanes.closed:  # it was about to go on
                self.resume(job)
        elif self._lanes.closed:
            self._interrupted(job)
        elif reason is not None and job.record.lane == "edit":
            self._ledger.fail(
                job,
                code="WORKER_TIMEOUT",
                what="The job stopped answering and was ended.",
                remedy="Run it again, perhaps with a smaller picture.",
                action={"label": "Run again", "do": "retry"},
                retryable=True,
            )
        else:
            self._try_again(job, "The process that ran the job died; the job is tried again.")

    def _try_again(self, job: Job, reason: str) -> None:
        record = job.record
        if record.attempt >= self._settings.attempts:
            self._ledger.fail(
                job,
                code="POISONED",
                what=f"The job ended its process {record.attempt} times, so it is not tried again.",
                value=record.attempt,
                remedy="Try other settings or a smaller picture; the engine's log tells more.",
                action={"label": "Open the log", "do": "log"},
            )
            return
        record.attempt += 1
        job.progress = None
        self._ledger.tell(job, "queued", "requeued", reason=reason)
        self._lanes.queue(job, front=True)

    def _interrupted(self, job: Job) -> None:
        """The engine leaves in mid-job; this was no fault of the job and counts as no attempt."""
        if job.record.state == "running":
            self._ledger.tell(job, "queued", "requeued", reason=LEAVING)
        if not self._lanes.closed:
            self._lanes.queue(job, front=True)

    def _give_up_waiting(self, lane: Lane) -> None:
        """Processes of this lane die before they are ready: do not let artists wait for ever."""
        if self._supervisor.held_back_until() is None:
            return
        for job_id in self._scheduler.waiting(lane):
            self._scheduler.discard(job_id)
            job = self._ledger.live(job_id)
            if job is not None:
                self._ledger.fail(
                    job,
                    code="WORKER_CRASHED",
                    what="The engine's working processes end as soon as they start.",
                    remedy='Run "intarsia doctor"; the engine\'s log tells more.',
                    action={"label": "Open the log", "do": "log"},
                    retryable=True,
                )

    # --- time -------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at what is late; called a few times a second while there is work."""
        now = self._clock()
        for job in self._ledger:
            worker = self._supervisor.get(job.worker)
            late = job.cancel_asked is not None and now - job.cancel_asked > self._settings.cancel_s
            if late and worker is not None and not worker.stopping:
                log.warning("Job %s did not stop in time; its process is ended.", job.id)
                worker.kill()
            if job.adopt_until is not None and now > job.adopt_until:
                job.adopt_until = None
                self.cancel(job)
        for worker in self._supervisor.overdue():
            worker.kill()
        for worker, reason in self._supervisor.hung(still=self._lanes.standing_still()):
            self._hangs[worker.number] = reason
            worker.kill()
        if not self._lanes.closed:
            self._supervisor.ensure("edit")
            self._lanes.retire_training()
        self._lanes.dispatch()

    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits; paused jobs may stay on disk."""
        return all(job.record.state == "paused" for job in self._ledger)

    def edits_done(self) -> bool:
        """Whether no edit runs."""
        worker = self._supervisor.lane("edit")
        return worker is None or worker.job is None

    def leave(self) -> None:
        """Ask the workers to write checkpoints and leave."""
        self._lanes.closed = True
        self._supervisor.stop_all()

    def abandon(self) -> None:
        """The last step: what is still marked as running is taken up by the next engine."""
        self._supervisor.kill_all()
        for job in self._ledger:
            if job.cancel_asked is not None:
                self._ledger.cancelled(job)
            else:
                self._interrupted(job)


def _preview(job: Job, file: pipe.BufferFile) -> bytes | None:
    """A preview's pixels; None where the worker is just writing the next one."""
    if file.nbytes > PREVIEW_LIMIT or Path(file.path).parent != Path(job.folder):
        return None
    try:
        data = Path(file.path).read_bytes()
    except OSError:
        return None
    return data if len(data) == file.nbytes else None
