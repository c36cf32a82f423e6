"""New jobs: from a submit to accepted, once its pixels are stored and it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Operation
from intarsia_client.version import __version__
from intarsia_daemon import headers
from intarsia_daemon.answers import Answers, Asker
from intarsia_daemon.headers import Incoming
from intarsia_daemon.inbox import Inbox
from intarsia_daemon.jobs import Job, JobRecord
from intarsia_daemon.lanes import Lanes
from intarsia_daemon.ledger import Ledger
from intarsia_daemon.lifecycle import Lifecycle
from intarsia_daemon.scheduler import Scheduler
from intarsia_daemon.sessions import Session, Sessions
from intarsia_daemon.settings import Settings
from intarsia_daemon.spool import Spool


@dataclass
class Arriving:
    """A job whose pixels are being stored."""

    record: JobRecord
    session: str
    asker: Asker
    request: Incoming
    again: list[tuple[Asker, Incoming]] = field(default_factory=list)
    """The same submit, sent again meanwhile."""
    cancelled: bool = False


@dataclass(frozen=True)
class Stored:
    """Inbox item: the spool is done with a job's pixels."""

    arriving: Arriving
    future: Future[None]


@dataclass(frozen=True)
class Compared:
    """Inbox item: the spool compared a second submit's pixels with the first one's."""

    asker: Asker
    request: headers.Submit
    future: Future[bool]


class Submissions:
    """Takes new jobs; the same submit twice is one job."""

    def __init__(
        self,
        settings: Settings,
        *,
        operations: Mapping[str, Operation],
        sessions: Sessions,
        answers: Answers,
        ledger: Ledger,
        lifecycle: Lifecycle,
        lanes: Lanes,
        scheduler: Scheduler,
        spool: Spool,
        inbox: Inbox,
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._sessions = sessions
        self._answers = answers
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._lanes = lanes
        self._scheduler = scheduler
        self._spool = spool
        self._inbox = inbox
        self._arriving: dict[str, Arriving] = {}
        self.arriving_bytes = 0
        """Pixels in memory that are not stored yet."""
        self.closing = False
        """Whether new jobs are refused."""

    def __len__(self) -> int:
        return len(self._arriving)

    def versions(self) -> dict[str, int]:
        """Every operation and its version."""
        return {item.id: item.version for item in self._operations.values()}

    def submit(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Check a new job and store its pixels in the background.

        Raises:
            IntarsiaError: The request is wrong, the queue is full, or the engine is leaving.
        """
        submit: headers.Submit = request.header
        record = self._record(submit, session, request)
        if submit.job in self._arriving:
            arriving = self._arriving[submit.job]
            if not record.same_request(arriving.record):
                raise _conflict(submit.job)
            arriving.again.append((asker, request))
            self.arriving_bytes += _bytes(record)
            return
        if (known := self._ledger.find(submit.job)) is not None:
            if not record.same_request(known.record):
                raise _conflict(submit.job)
            self._compare(known, asker, request)
            return
        self.refuse_when_closing()
        if not self._scheduler.has_room(len(self._arriving)):
            raise IntarsiaError(
                f"{self._settings.queue_limit} jobs wait already.",
                value=self._settings.queue_limit,
                remedy="Wait until some are done, or cancel some.",
                action={"label": "Try again", "do": "retry"},
                code="BUSY",
                retryable=True,
            )
        arriving = Arriving(record, session.id, asker, request)
        self._arriving[submit.job] = arriving
        self.arriving_bytes += _bytes(record)
        stored = self._spool.store(
            submit.job,
            record.inputs,
            submit.inputs,
            request.buffers,
            durable=self._is_durable(record),
        )
        stored.add_done_callback(lambda f: self._inbox.put(Stored(arriving, f)))

    def _is_durable(self, record: JobRecord) -> bool:
        """Batches and trainings also survive a power failure."""
        return record.priority == "batch" or self._operations[record.operation].trains

    def refuse_when_closing(self) -> None:
        """Raise ``SHUTTING_DOWN`` when the engine is leaving."""
        if self.closing:
            raise IntarsiaError(
                "The engine is leaving and takes no new jobs.",
                remedy="Try again in a moment; it is started again then.",
                action={"label": "Try again", "do": "retry"},
                code="SHUTTING_DOWN",
                retryable=True,
            )

    def operation(self, name: str, version: int | None) -> Operation:
        """The operation of that name, in that version if one is given.

        Raises:
            InvalidRequest: There is none; says what there is and which side is older.
        """
        operation = self._operations.get(name)
        if operation is None:
            raise InvalidRequest(
                f"This engine (release {__version__}) has no operation named {name!r}.",
                value=name,
                remedy=f"It has: {', '.join(self._operations) or 'none'}.",
                code="UNSUPPORTED_OPERATION",
            )
        if version is not None and version != operation.version:
            older = "program that asks" if version < operation.version else "engine"
            raise InvalidRequest(
                f"The request is for {name} version {version}; this engine has {name}"
                f" version {operation.version}.",
                value=version,
                remedy=f"Update the {older}: engine and plug-ins come from one release.",
                code="UNSUPPORTED_OPERATION",
            )
        return operation

    def _record(self, submit: headers.Submit, session: Session, request: Incoming) -> JobRecord:
        operation = self.operation(submit.operation, submit.version)
        files = self._spool.plan(
            submit.job, submit.inputs, request.buffers, total_bytes=self._settings.total_bytes
        )
        parameters = operation.check([item.input for item in files], submit.parameters)
        return JobRecord(
            job=submit.job,
            session=session.id,
            client=session.client,
            operation=operation.id,
            version=operation.version,
            parameters=parameters,
            seed=submit.seed,
            inputs=files,
            label=submit.label or operation.title,
            priority=submit.priority,
            on_disconnect=submit.on_disconnect,
            keep_s=submit.keep_s or self._settings.keep_s,
        )

    def stored(self, item: Stored) -> None:
        """The pixels of a new job are stored, or could not be."""
        arriving, record = item.arriving, item.arriving.record
        self._arriving.pop(record.job, None)
        self.arriving_bytes -= _bytes(record) * (1 + len(arriving.again))
        try:
            item.future.result()
            job = self._lifecycle.begin(record, durable=self._is_durable(record))
        except Exception as error:
            self._spool.remove(record.job)
            for asker, request in [(arriving.asker, arriving.request), *arriving.again]:
                self._answers.refuse(asker, request.header.id, error)
            return
        job.watchers.add(arriving.session)
        submit: headers.Submit = arriving.request.header
        self._accepted(arriving.asker, submit, job, duplicate=False)
        for asker, request in arriving.again:
            self._compare(job, asker, request)
        if submit.supersedes:
            self._supersede(job, submit.supersedes)
        if arriving.cancelled:
            self._lifecycle.cancel(job)
        elif record.on_disconnect == "cancel" and self._sessions.get(arriving.session) is None:
            self._lifecycle.session_gone(arriving.session)
        self._lanes.dispatch()

    def _accepted(self, asker: Asker, submit: headers.Submit, job: Job, *, duplicate: bool) -> None:
        session = self._sessions.of(asker.side, asker.route)
        if session is not None:
            job.watchers.add(session.id)
        self._answers.send(
            asker,
            "accepted",
            submit.id,
            job=job.id,
            position=self._scheduler.position(job.id) if job.id in self._scheduler else 0,
            state=job.record.state,
            duplicate=duplicate,
        )

    def _supersede(self, job: Job, older: str) -> None:
        if older in self._arriving and self._arriving[older].session == job.record.session:
            self._arriving[older].cancelled = True
        other = self._ledger.live(older)
        if other is not None and other.record.session == job.record.session and other is not job:
            self._lifecycle.cancel(other)

    def _compare(self, job: Job, asker: Asker, request: Incoming) -> None:
        submit: headers.Submit = request.header
        same = self._spool.holds_same(job.record.inputs, submit.inputs, request.buffers)
        same.add_done_callback(lambda f: self._inbox.put(Compared(asker, submit, f)))

    def compared(self, item: Compared) -> None:
        """A second submit of a known job was compared with the first."""
        try:
            same = item.future.result()
        except Exception as error:
            self._answers.refuse(item.asker, item.request.id, error)
            return
        job = self._ledger.find(item.request.job)
        if job is None or not same:
            self._answers.refuse(item.asker, item.request.id, _conflict(item.request.job))
        else:
            self._accepted(item.asker, item.request, job, duplicate=True)

    def cancel(self, job: str) -> bool:
        """Cancel a job whose pixels are still being stored; False when it is not one."""
        arriving = self._arriving.get(job)
        if arriving is not None:
            arriving.cancelled = True
        return arriving is not None


def _bytes(record: JobRecord) -> int:
    return sum(item.nbytes for item in record.inputs)


def _conflict(job: str) -> InvalidRequest:
    return InvalidRequest(
        "There is a job with this id already, with other content.",
        value=job,
        remedy="Use a new id for each job.",
    )
