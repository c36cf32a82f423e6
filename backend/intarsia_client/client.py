"""The one object a front end talks to: submit a job, wait for its layers, ask what there is.

    with Client.connect(app="krita") as client:
        job = client.submit("blend", [picture, element], {"method": "poisson"})
        for layer in job.wait(on_progress=show).layers: ...

Everything may be called from any thread, an editor's background thread above all. While nobody
waits, nothing runs but two threads asleep in their sockets.
"""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Mapping, Sequence

from intarsia_client import replies, requests
from intarsia_client.connection import Connection
from intarsia_client.errors import (
    EngineError,
    EngineUnreachable,
    InvalidRequest,
)
from intarsia_client.job import Job
from intarsia_client.schema import Operation, Pixels, ResultLayer
from intarsia_client.session import Session
from intarsia_client.wire import Message

__all__ = ["Client", "Job"]


class Client:
    """A client of the engine. Make one with `connect`; leave it by `close` or a ``with`` block."""

    def __init__(
        self, *, app: str, start: bool, timeout_s: float, home_folder: Path | None
    ) -> None:
        self._jobs: weakref.WeakValueDictionary[str, Job] = weakref.WeakValueDictionary()
        self._jobs_lock = threading.Lock()
        self._connection = Connection(
            app=app,
            start=start,
            timeout_s=timeout_s,
            home_folder=home_folder,
            on_event=self._dispatch,
            on_lost=self._lost,
            on_found=self._watch_again,
        )

    @classmethod
    def connect(
        cls,
        *,
        app: str = "script",
        start: bool = True,
        timeout_s: float = 60.0,
        home_folder: Path | None = None,
    ) -> Client:
        """Connect to this user's engine.

        Args:
            app: Name of this program, as shown in the list of jobs.
            start: Whether to start the engine where none runs, now and after it died.
            timeout_s: Seconds for starting and reaching it, now and after each break.
            home_folder: Another home than `intarsia_client.endpoint.home`.

        Raises:
            EngineMissing: It is not installed where this program looks.
            EngineUnreachable: It does not answer; with ``start=False`` also: none runs.
            EngineRefused: Its token or protocol does not fit, or its files are open to others.
        """
        client = cls(app=app, start=start, timeout_s=timeout_s, home_folder=home_folder)
        client._connection.session()
        return client

    @property
    def welcome(self) -> dict[str, Any]:
        """What the engine said of itself: ``operations, device, limits, features, boot`` …"""
        return self._connection.session().welcome

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._connection.closed

    # --- jobs ---------------------------------------------------------------------------------

    def submit(
        self,
        operation: Operation | str,
        inputs: Sequence[Pixels],
        parameters: Mapping[str, Any],
        *,
        seed: int = 0,
        job: str | None = None,
        label: str = "",
        priority: str = "interactive",
        on_disconnect: str = "keep",
        supersedes: str | None = None,
        keep_s: float | None = None,
    ) -> Job:
        """Send a job; returns when it is safe in the engine, even from a kill of the engine.

        Args:
            operation: A declaration, or the id of one in the catalogue.
            inputs: Pixels for the operation's inputs.
            parameters: Values by name; what is absent takes its default.
            seed: In [0, 2**31 - 1]; the same seed gives the same picture.
            job: 32 hex digits; the same id with the same content is one job, however often sent.
            label: What the list of jobs calls it.
            priority: ``interactive`` or ``batch``; interactive ones pass ahead.
            on_disconnect: ``keep`` the job or ``cancel`` it when this program is gone.
            supersedes: Id of an earlier job that this one makes pointless.
            keep_s: Seconds the result waits for `Job.wait`; the engine's default is a day.

        Raises:
            InvalidRequest: A name, value, size or input is wrong; said before anything is sent
                where this side can know it.
            EngineRefused: The engine cannot take it now (``BUSY``).
            EngineUnreachable: The engine cannot be reached.
        """
        header, frames = requests.submission(
            requests.declaration(operation),
            inputs,
            parameters,
            seed=seed,
            job=job,
            label=label,
            priority=priority,
            on_disconnect=on_disconnect,
        )
        if supersedes is not None:
            header["supersedes"] = supersedes
        if keep_s is not None:
            header["keep_s"] = float(keep_s)
        session = self._connection.session()
        requests.check_fits(header, session.welcome)
        return self._submit(header, frames)

    def attach(self, job_id: str, since: int = 0) -> Job:
        """A job that was submitted before, perhaps by another program.

        Args:
            job_id: Its id.
            since: Events up to this number were seen before and are not told again.

        Raises:
            InvalidRequest: The engine does not know it (any more).
        """
        job = Job(self, job_id, since)
        self._remember(job)
        answer = self._connection.request("watch", {"job": job_id, "since": 0})
        job._accept(answer.header)
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """The engine's jobs, as docs/wire.md describes them under ``list``."""
        return list(self._ask("list").get("jobs") or [])

    def cancel(self, job_id: str) -> None:
        """Ask the engine to stop a job; returns at once, the job's event follows."""
        self._ask("cancel", job=job_id)

    def pause(self, job_id: str) -> None:
        """Ask the engine to pause a job at its next step."""
        self._ask("pause", job=job_id)

    def resume(self, job_id: str) -> None:
        """Let a paused job go on."""
        self._ask("resume", job=job_id)

    def acknowledge(self, job_id: str) -> None:
        """Let the engine forget a job that is over, with its result."""
        self._ask("acknowledge", job=job_id)

    def fetch(self, job_id: str, *, frames: bool = False) -> tuple[ResultLayer, ...]:
        """The layers of a finished job.

        Args:
            job_id: Its id.
            frames: Whether to add the frames (those with ``frame_of``) behind the layers.

        Raises:
            InvalidRequest: The engine has no result of that job (any more).
        """
        header: dict[str, Any] = {"job": job_id}
        if frames:
            header["frames"] = True
        return replies.layers(self._connection.request("fetch", header))

    # --- the engine ---------------------------------------------------------------------------

    def models(self) -> list[dict[str, Any]]:
        """The models there are, as docs/wire.md describes them under *Models*."""
        return list(self._ask("models").get("models") or [])

    def labels(self, model_id: str = "") -> list[str]:
        """The names of a model's classes, by their numbers; empty for a model without.

        `intarsia_client.catalog.packs` has those of the models that ship, with no engine running.

        Args:
            model_id: Its id; empty means the best model with classes.

        Raises:
            InvalidRequest: There is no such model.
        """
        return [str(label) for label in self._ask("labels", model=model_id).get("labels") or []]

    def remove_model(self, model: str) -> None:
        """Delete a trained or imported model for good; one that ships cannot be removed."""
        self._ask("remove", model=model)

    def estimate(
        self,
        operation: Operation | str,
        parameters: Mapping[str, Any],
        sizes: Sequence[Pixels | Mapping[str, Any]],
    ) -> dict[str, Any]:
        """How long a job would take: ``{"seconds", "trains", "text"}``.

        Args:
            operation: A declaration, or the id of one in the catalogue.
            parameters: Values by name; what is absent takes its default.
            sizes: For each input its `Pixels`, or a map with ``input, width, height`` (``x, y``).

        Raises:
            InvalidRequest: A name or value is wrong.
        """
        header = requests.estimation(requests.declaration(operation), parameters, sizes)
        answer = self._ask("estimate", **header)
        return {key: answer.get(key) for key in ("seconds", "trains", "text")}

    def release(self) -> int:
        """Unload every idle model; returns the bytes freed."""
        return int(self._ask("release").get("freed_bytes") or 0)

    def ping(self, timeout_s: float = 3.0) -> dict[str, Any]:
        """``{"workers": […], "seconds": …}``: the workers' last beats and the round trip's time.

        Raises:
            EngineUnreachable: No answer within ``timeout_s``.
        """
        begin = time.monotonic()
        answer = self._connection.session().request("ping", {}, timeout_s=timeout_s)
        return {
            "workers": list(answer.header.get("workers") or []),
            "seconds": time.monotonic() - begin,
        }

    def shutdown(self, now: bool = False) -> None:
        """End the engine when its jobs are done, or at once (``now``: they go on when it is back).

        Raises:
            EngineUnreachable: No answer within 10 s.
        """
        session = self._connection.session()
        try:
            session.request("shutdown", {"now": bool(now)}, timeout_s=10.0)
        except EngineUnreachable:
            if session.error is None:  # no answer, and yet connected
                raise
            # It was faster to leave than its answer to arrive.

    def close(self) -> None:
        """End the connection; whoever waits gets `EngineUnreachable`, jobs stay in the engine."""
        self._connection.close()
        self._lost(EngineUnreachable("This client was closed."))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------

    def _submit(self, header: dict[str, Any], frames: Sequence[Any]) -> Job:
        job = Job(self, header["job"])
        self._remember(job)
        answer = self._connection.request("submit", header, frames)
        job._accept(answer.header)
        if answer.header.get("duplicate"):  # its first events may have gone to an earlier session
            self._ask("watch", job=job.id, since=job.last_event)
        return job

    def _ask(self, kind: str, **header: Any) -> dict[str, Any]:
        return self._connection.request(kind, header).header

    def _remember(self, job: Job) -> None:
        with self._jobs_lock:
            self._jobs[job.id] = job

    def _known_jobs(self) -> list[Job]:
        with self._jobs_lock:
            return list(self._jobs.values())

    def _dispatch(self, message: Message) -> None:
        """Hand an event to its job (in a reader thread)."""
        with self._jobs_lock:
            job = self._jobs.get(str(message.header["job"]))
        if job is not None:
            job._arrive(message, self._connection.current)

    def _lost(self, error: EngineError) -> None:
        for job in self._known_jobs():
            job._wake()

    def _watch_again(self, session: Session) -> None:
        """Follow every open job on a new session, from the last event that arrived."""
        for job in self._known_jobs():
            if job._is_followed():
                try:
                    header = {"job": job.id, "since": job.last_event}
                    session.request("watch", header, timeout_s=10.0)
                except InvalidRequest as error:
                    job._give_up(replies.forgotten(job.id, error))
