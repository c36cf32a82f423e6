"""What clients ask for, answered: one ``on_…`` method per kind of request in docs/wire.md."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from intarsia_client import wire
from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.version import __version__
from intarsia_client.wire import Message
from intarsia_daemon import headers
from intarsia_daemon.answers import Answers, Asker
from intarsia_daemon.headers import BadRequest, Incoming, Stray
from intarsia_daemon.jobs import Job, describe_layer
from intarsia_daemon.ledger import Ledger
from intarsia_daemon.lifecycle import Lifecycle
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.questions import Questions
from intarsia_daemon.sessions import Parcel, Session, Sessions, Side
from intarsia_daemon.settings import Settings
from intarsia_daemon.spool import map_file
from intarsia_daemon.submissions import Submissions
from intarsia_daemon.supervisor import Supervisor

FEATURES = [
    *("pause", "preview", "watch", "supersedes", "estimate", "models", "frames", "labels"),
    "masks",
]
ON_BULK = ("submit", "fetch")
QUIET = ("ping", "pong")
"""Requests that do not keep an idle engine from leaving."""

log = logging.getLogger(__name__)


class Requests:
    """Handles every message of clients; called by the router's loop alone."""

    def __init__(
        self,
        settings: Settings,
        *,
        boot: str,
        sessions: Sessions,
        answers: Answers,
        submissions: Submissions,
        questions: Questions,
        ledger: Ledger,
        lifecycle: Lifecycle,
        supervisor: Supervisor,
        models: ModelStore,
        shutdown: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._boot = boot
        self._sessions = sessions
        self._answers = answers
        self._submissions = submissions
        self._questions = questions
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._supervisor = supervisor
        self._models = models
        self._shutdown = shutdown
        self._clock = clock
        self.active = clock()
        """When somebody last wanted something."""
        self.strays = 0
        """Messages that were not ours."""

    def receive(self, side: Side, route: bytes, frames: list[Any]) -> None:
        """Handle one multipart message."""
        asker = Asker(side, route)
        try:
            request = headers.decode(frames)
        except Stray:
            self.strays += 1
            if self.strays & (self.strays - 1) == 0:
                log.warning("%d messages without our prefix were dropped.", self.strays)
            return
        except BadRequest as error:
            self._answers.refuse(asker, error.re, error)
            return
        if request.kind not in QUIET:
            self.active = self._clock()
        try:
            self._handle(asker, request)
        except Exception as error:
            self._answers.refuse(asker, getattr(request.header, "id", 0), error)

    def _handle(self, asker: Asker, request: Incoming) -> None:
        kind = request.kind
        if kind == "hello":
            self._hello(asker, request.header)
            return
        session = self._sessions.of(asker.side, asker.route)
        if session is None:
            raise _no_session("This connection has no session.")
        if (kind in ON_BULK) != (asker.side == "bulk"):
            right = "bulk" if kind in ON_BULK else "control"
            raise InvalidRequest(f"{kind} belongs on the {right} socket.", value=asker.side)
        if request.buffers and kind != "submit":
            raise InvalidRequest(f"{kind} takes no buffers.", value=len(request.buffers))
        getattr(self, f"on_{kind}")(asker, session, request)

    def _done(self, asker: Asker, request: Incoming, **fields: Any) -> None:
        self._answers.done(asker, request.header.id, **fields)

    # --- sessions ---------------------------------------------------------------------------------

    def _hello(self, asker: Asker, hello: headers.Hello) -> None:
        major = hello.protocol[0]
        if major != wire.PROTOCOL[0]:
            older = "this program" if major < wire.PROTOCOL[0] else "the engine"
            raise IntarsiaError(
                f"The program speaks protocol {major}, the engine {wire.PROTOCOL[0]}.",
                value=major,
                remedy=f"Update {older}: engine and plug-ins come from one release.",
                code="UNSUPPORTED_VERSION",
            )
        if asker.side == "control":
            session = self._sessions.open(asker.route, hello.client or "unnamed")
        else:
            session = self._sessions.join(hello.session, asker.route)
            if session is None:
                raise _no_session("The session is not known (any more).")
        settings = self._settings
        self._answers.send(
            asker,
            "welcome",
            hello.id,
            session=session.id,
            boot=self._boot,
            protocol=list(wire.PROTOCOL),
            version=__version__,
            features=FEATURES,
            device=self._questions.device,
            operations=self._submissions.versions(),
            limits={
                "frame": settings.frame_bytes,
                "total": settings.total_bytes,
                "jobs": settings.queue_limit,
            },
            idle_s=settings.idle_s,
        )

    def on_ping(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Say that the router lives, and how the workers are."""
        workers = self._supervisor.status()
        self._answers.send(asker, "pong", request.header.id, workers=workers)

    def on_pong(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Nothing: ZeroMQ itself tells whether a peer can be reached."""

    # --- jobs -------------------------------------------------------------------------------------

    def on_submit(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Store the pixels; the answer follows."""
        self._submissions.submit(asker, session, request)

    def _job(self, request: Incoming) -> Job:
        job = self._ledger.find(request.header.job)
        if job is None:
            raise InvalidRequest(
                "The engine does not know this job.",
                value=request.header.job,
                remedy="It was never accepted, or its time is up. Run it again.",
                code="NOT_FOUND",
            )
        return job

    def on_cancel(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Stop a job; one that has ended stays as it is."""
        if self._submissions.cancel(request.header.job):
            self._done(asker, request)
            return
        job = self._job(request)
        self._done(asker, request, state=job.record.state)
        self._lifecycle.cancel(job)

    def on_pause(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Let a job stand still."""
        self._lifecycle.pause(self._job(request))
        self._done(asker, request)

    def on_resume(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Let a paused job go on."""
        self._submissions.refuse_when_closing()
        self._lifecycle.resume(self._job(request))
        self._done(asker, request)

    def on_watch(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Tell a job's story from some event on."""
        job = self._job(request)
        self._done(asker, request, state=job.record.state)
        self._ledger.watch(job, session, request.header.since)

    def on_fetch(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Send a result's layers, mapped from their files when the client's credit allows."""
        job = self._job(request)
        wanted, re = request.header, request.header.id
        layers = [x for x in job.record.layers if wanted.frames or x.frame_of is None]
        if job.record.state != "finished" or job.record.acknowledged:
            state = "acknowledged" if job.record.acknowledged else job.record.state
            raise InvalidRequest(
                f"There is no result to fetch: the job is {state}.",
                value=state,
                remedy="Fetch a result between its event finished and its acknowledge.",
                code="NOT_FOUND",
            )

        def opened() -> Message:
            header = {"re": re, "job": job.id, "buffers": [describe_layer(x) for x in layers]}
            return Message("pixels", header, tuple(map_file(layer) for layer in layers))

        self._sessions.post(session, Parcel(opened, sum(layer.nbytes for layer in layers), re))

    def on_acknowledge(self, asker: Asker, session: Session, request: Incoming) -> None:
        """The client has what it wants of a job that ended."""
        job = self._job(request)
        if not job.record.is_final:
            raise InvalidRequest(
                f"Only a job that has ended can be acknowledged; this one is {job.record.state}.",
                value=job.record.state,
                remedy="Wait for its last event.",
            )
        self._ledger.acknowledge(job)
        self._done(asker, request)

    def on_list(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Tell which jobs there are."""
        self._done(asker, request, jobs=self._ledger.summaries())

    # --- models and the engine itself -------------------------------------------------------------

    def on_models(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Tell which models are stored."""
        self._done(asker, request, models=self._models.list(thumbnails=True))

    def on_labels(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Tell the names of a model's classes."""
        self._done(asker, request, labels=self._models.labels(request.header.model))

    def on_remove(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Remove a stored model."""
        self._done(asker, request, freed_bytes=self._models.remove(request.header.model))

    def on_estimate(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Ask a worker how long something would take; its answer is passed on."""
        header: headers.Estimate = request.header
        operation = self._submissions.operation(header.operation, None)
        self._questions.estimate(asker, header, operation)

    def on_release(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Ask the workers to unload idle models; the sum of their answers is passed on."""
        self._questions.release(asker, request.header.id)

    def on_shutdown(self, asker: Asker, session: Session, request: Incoming) -> None:
        """Leave."""
        self._done(asker, request)
        self._shutdown(request.header.now)


def _no_session(what: str) -> IntarsiaError:
    return IntarsiaError(
        what,
        remedy="Say hello on the control socket, then on the bulk socket with the session's id.",
        code="UNAUTHORIZED",
        retryable=True,
    )
