"""The jobs there are, and their story: every event is numbered, written down, then told.

The ledger knows nothing of workers or queues; `intarsia_daemon.lifecycle` decides what happens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from intarsia_client.wire import REPLY_LIMIT, Message
from intarsia_daemon.jobs import Job, JobRecord, State, describe_layer
from intarsia_daemon.journal import Journal
from intarsia_daemon.messages import Finished
from intarsia_daemon.sessions import Session, Sessions
from intarsia_daemon.spool import Spool

LISTED = 200
"""Jobs in one ``list``."""
_LIST_LIMIT = REPLY_LIMIT - 4096

log = logging.getLogger(__name__)
_size = msgspec.msgpack.Encoder().encode


class Ledger:
    """Every live job, and access to those that ended.

    Args:
        journal: Where jobs and events are written down.
        spool: The jobs' folders.
        sessions: Who is told.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        journal: Journal,
        spool: Spool,
        sessions: Sessions,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._spool = spool
        self._sessions = sessions
        self._wall = wall
        self._live: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def live(self, job: str | None) -> Job | None:
        """The live job of that id, or None."""
        return self._live.get(job or "")

    def find(self, job: str) -> Job | None:
        """The job of that id, live or ended; None when it is unknown or was forgotten."""
        if job in self._live:
            return self._live[job]
        record = self._journal.get(job)
        return None if record is None else self._job(record)

    def _job(self, record: JobRecord) -> Job:
        return Job(record, str(self._spool.folder(record.job)))

    def add(self, record: JobRecord, *, durable: bool) -> Job:
        """Write a new job down; when this returns, it is accepted.

        Raises:
            JournalFull: It could not be written.
        """
        record.submitted = self._wall()
        self._journal.add(record, durable=durable)
        job = self._live[record.job] = self._job(record)
        return job

    def load(self) -> list[Job]:
        """At the start: the jobs that the last engine left unfinished."""
        for record in self._journal.live():
            self._live[record.job] = self._job(record)
        return list(self)

    # --- telling ----------------------------------------------------------------------------------

    def tell(self, job: Job, state: State, kind: str, **header: Any) -> None:
        """Change the state with a numbered event, and send it to everybody who watches."""
        job.record.state = state
        self._send(job, Message(kind, self._journal.append(job.record, kind, header)))

    def set_state(self, job: Job, state: State) -> None:
        """Change the state without an event."""
        job.record.state = state
        self._journal.update(job.record)

    def progress(self, job: Job, message: Message) -> None:
        """Tell how far a job is; neither numbered nor kept."""
        job.progress = message
        self._send(job, message, droppable=True)

    def _send(self, job: Job, message: Message, *, droppable: bool = False) -> None:
        for watcher in list(job.watchers):
            session = self._sessions.get(watcher)
            if session is None:
                job.watchers.discard(watcher)
            else:
                self._sessions.send(session, message, droppable=droppable)

    def watch(self, job: Job, session: Session, since: int) -> None:
        """Send the events after number ``since`` again, the newest progress, and all that come."""
        for kind, header in self._journal.events(job.id, since):
            self._sessions.send(session, Message(kind, header))
        if job.progress is not None and not job.record.is_final:
            self._sessions.send(session, job.progress, droppable=True)
        job.watchers.add(session.id)
        job.adopt_until = None
        if self._sessions.get(job.record.session) is None:
            job.record.session = session.id

    # --- ends -------------------------------------------------------------------------------------

    def finish(self, job: Job, done: Finished) -> None:
        """The job has a result."""
        header = {
            "layers": [describe_layer(layer) for layer in done.layers],
            "recipe": done.recipe,
            "metrics": done.metrics,
            "seconds": done.seconds,
            "notes": list(done.notes),
        }
        if done.frames:
            header["frames"] = [describe_layer(frame) for frame in done.frames]
        if len(_size(header)) > REPLY_LIMIT - 1024:
            self.fail(
                job,
                code="INTERNAL",
                what="The job's result has a description that is too long to send.",
                remedy="Report this with the engine's log.",
                action={"label": "Open the log", "do": "log"},
            )
            return
        job.record.layers = [*done.layers, *done.frames]
        self._end(job, "finished", "finished", header)
        self._spool.finish(job.id, job.record.layers)

    def fail(
        self,
        job: Job,
        *,
        code: str,
        what: str,
        value: Any = None,
        remedy: str = "",
        action: dict[str, Any] | None = None,
        retryable: bool = False,
        report: str = "",
    ) -> None:
        """The job ends without a result."""
        error = {
            "code": code,
            "what": what,
            "value": value,
            "remedy": remedy,
            "action": action,
            "retryable": retryable,
            "report": report,
        }
        job.record.error = error
        self._end(job, "failed", "failed", error)
        self._spool.remove(job.id)

    def cancelled(self, job: Job) -> None:
        """The job ends because somebody asked for it."""
        self._end(job, "cancelled", "cancelled", {})
        self._spool.remove(job.id)

    def _end(self, job: Job, state: State, kind: str, header: dict[str, Any]) -> None:
        job.record.ended = self._wall()
        self.tell(job, state, kind, **header)
        self._live.pop(job.id, None)

    def acknowledge(self, job: Job) -> None:
        """The client has the result: its pixels may go; the job is remembered for a while."""
        job.record.layers = []
        job.record.acknowledged = True
        self._journal.update(job.record)
        self._spool.remove(job.id)

    def expire(self) -> None:
        """Forget ended jobs whose time is up, with their results."""
        for job in self._journal.expired(self._wall()):
            self._spool.remove(job)
            self._journal.forget(job)

    def sweep(self, older_s: float) -> None:
        """Remove old folders that belong to no job."""
        self._spool.sweep(self._journal.ids(), older_s=older_s)

    def summaries(self) -> list[dict[str, Any]]:
        """The ``jobs`` of a ``list``: live ones first, then the newest that ended."""
        records = self._journal.recent(LISTED)
        ended = [self._job(record) for record in records if record.job not in self._live]
        found, size = [], 0
        for job in [*self, *ended][:LISTED]:
            summary = job.summary()
            size += len(_size(summary))
            if size > _LIST_LIMIT:
                break
            found.append(summary)
        return found
