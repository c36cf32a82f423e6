"""The conversation with the engine, in threads of its own, so that Krita's window never waits.

No Qt here: what happens is handed to one function, ``tell``, in whatever thread it happened; the
panel passes the ``emit`` of a signal, which brings it into the window's thread. One thread sleeps
until somebody asks something; each running job has a thread that sleeps in `Job.wait`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from intarsia_client.endpoint import Endpoint, home, read_engine_command
from intarsia_client.errors import (
    EngineError,
    EngineMissing,
    EngineNotRunning,
    EngineUnreachable,
    IntarsiaError,
    InvalidRequest,
    JobCancelled,
)
from intarsia_client.latest import LatestOnly
from intarsia_client.schema import Operation, Pixels, Result

APP = "krita"
REACH_S = 45.0
"""Seconds for starting and reaching the engine."""
LOOK_S = 3.0
"""Seconds for reaching an engine that already runs."""
LIVE_KEEP_S = 30.0
"""Seconds that the engine keeps a small picture that nobody fetched."""
LOG_BYTES = 16 * 1024
LOGS = ("engine.log", "start.log")
"""The engine's own words, and what it said when it could not even start."""


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    kind: str
    """``connecting accepted progress event finished failed cancelled`` of a job;
    ``live live_failed`` of a `LiveRequest`, with it and its result or error as the value;
    ``status estimate jobs said log models classes trouble`` of the engine."""
    job: str = ""
    value: Any = None


@dataclass(frozen=True)
class Request:
    """A job to run; ``job`` is the id that it will have."""

    job: str
    operation: Operation
    inputs: tuple[Pixels, ...]
    parameters: Mapping[str, Any]
    seed: int
    label: str


@dataclass(frozen=True)
class LiveRequest:
    """A small picture of what a run would give; only the newest one counts."""

    operation: Operation
    inputs: tuple[Pixels, ...]
    parameters: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class EngineStatus:
    """How the engine is."""

    state: str
    """``missing`` (not installed), ``off``, ``running`` or ``trouble``."""
    device: str = ""
    version: str = ""
    jobs: tuple[dict[str, Any], ...] = ()
    error: IntarsiaError | None = field(default=None, compare=False)


def _changed(path: Path) -> float:
    try:
        about = path.stat()
    except OSError:
        return 0.0
    return about.st_mtime if about.st_size else 0.0


def _connect(**settings: Any) -> Any:
    from intarsia_client.client import Client

    return Client.connect(**settings)


class _Watched:
    """A job of the live preview: when the engine is gone it is over, and nobody sends it again."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self.look_now: Callable[[], None] = job.look_now
        self.cancel: Callable[[], None] = job.cancel

    def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
        return self._job.wait(should_cancel=should_cancel, on_event=self._hear)

    def _hear(self, kind: str, header: Mapping[str, Any]) -> None:
        if kind == "disconnected":
            raise EngineUnreachable("The engine stopped.")


class Jobs:
    """Everything that talks to the engine; every method returns at once.

    Args:
        tell: Called with each `Event`, in any thread.
        connect: Makes a client; tests give a fake.
    """

    def __init__(
        self, tell: Callable[[Event], None], connect: Callable[..., Any] = _connect
    ) -> None:
        self._tell = tell
        self._connect = connect
        self._clients: dict[bool, Any] = {}
        self._client_lock = threading.Lock()
        self._lock = threading.Lock()
        self._sent: set[str] = set()
        self._unwanted: set[str] = set()
        self._estimates = 0
        self._closed = False
        self._questions: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._asker = threading.Thread(target=self._answer, name="intarsia-ask", daemon=True)
        self._asker.start()
        self._has_begun = False
        self._live = LatestOnly(
            self._submit_live,
            lambda request, result: tell(Event("live", value=(request, result))),
            lambda request, error: tell(Event("live_failed", value=(request, error))),
        )

    # --- jobs ---------------------------------------------------------------------------------

    def run(self, request: Request) -> None:
        """Start the engine if need be, send the job and follow it to its end."""
        self._follow(request.job, lambda: self._submit(request))

    def attach(self, job: str) -> None:
        """Follow a job that was sent before, perhaps by a Krita that is gone."""
        with self._lock:
            self._sent.add(job)
        self._follow(job, lambda: self._reach(start=True).attach(job))

    def cancel(self, job: str) -> None:
        """Stop a job, also one that is still being sent."""
        with self._lock:
            self._unwanted.add(job)
            sent = job in self._sent
        if sent:
            self._ask(lambda: self._running().cancel(job), quiet=True)

    def pause(self, job: str) -> None:
        """Pause a job at its next step."""
        self._ask(lambda: self._running().pause(job))

    def resume(self, job: str) -> None:
        """Let a paused job go on."""
        self._ask(lambda: self._running().resume(job))

    def acknowledge(self, job: str) -> None:
        """The result is in the document: let the engine forget the job."""
        self._ask(lambda: self._running().acknowledge(job), quiet=True)

    # --- the live preview ---------------------------------------------------------------------

    def show_live(self, request: LiveRequest) -> None:
        """Have a small picture made (event ``live`` or ``live_failed``); cancels the one before.

        The first one after `stop_live` starts the engine if need be; no later one does.
        """
        self._live.request(request)

    def live_is_busy(self) -> bool:
        """Whether a small picture is being made."""
        return self._live.busy

    def stop_live(self) -> None:
        """Cancel the small picture that is being made."""
        self._live.cancel()
        self._has_begun = False

    # --- the engine ---------------------------------------------------------------------------

    def ask_status(self) -> None:
        """Say how the engine is (event ``status``); never starts it."""
        self._ask(lambda: self._tell(Event("status", value=self._status())))

    def ask_estimate(
        self,
        operation: Operation,
        parameters: Mapping[str, Any],
        sizes: Sequence[Mapping[str, Any]],
    ) -> None:
        """Say how long a run would take (event ``estimate``), or None where no engine runs."""
        with self._lock:
            self._estimates += 1
            number = self._estimates
        self._ask(lambda: self._estimate(number, operation, parameters, sizes), quiet=True)

    def ask_models(self) -> None:
        """Say which models there are (event ``models`` with their cards); never starts it."""
        self._ask(lambda: self._tell(Event("models", value=self._running().models())), quiet=True)

    def ask_classes(self, model: str) -> None:
        """Say which classes a model knows (event ``classes``); empty: the best there is."""

        def work() -> None:
            labels = self._running().labels(model)
            self._tell(Event("classes", value=(model, labels)))

        self._ask(work, quiet=True)

    def start(self) -> None:
        """Start the engine."""

        def work() -> None:
            self._reach(start=True)
            self._tell(Event("status", value=self._status()))

        self._ask(work)

    def release(self) -> None:
        """Unload the models (event ``said`` with the bytes freed)."""
        self._ask(lambda: self._tell(Event("said", value=("released", self._running().release()))))

    def stop(self) -> None:
        """End the engine when its jobs are done."""

        def work() -> None:
            self._running().shutdown()
            self._tell(Event("said", value=("stopping", 0)))

        self._ask(work)

    def ask_log(self) -> None:
        """Read the end of the engine's log (event ``log``)."""

        def work() -> None:
            folder = home() / "log"
            path = max((folder / name for name in LOGS), key=_changed)
            try:
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - LOG_BYTES))
                    text = file.read().decode("utf-8", "replace")
            except OSError as error:
                text = f"{path}: {error}"
            self._tell(Event("log", value=text))

        self._ask(work)

    def close(self) -> None:
        """End all threads; jobs go on in the engine."""
        self._closed = True
        self._live.close()
        self._questions.put(None)
        for client in list(self._clients.values()):
            client.close()

    # --- inside -------------------------------------------------------------------------------

    def _follow(self, job: str, begin: Callable[[], Any]) -> None:
        threading.Thread(
            target=self._work, args=(job, begin), name=f"intarsia-job-{job[:8]}", daemon=True
        ).start()

    def _work(self, job: str, begin: Callable[[], Any]) -> None:
        try:
            self._tell(Event("connecting", job))
            running = begin()
            self._tell(Event("accepted", job, running.state))
            result = running.wait(
                on_progress=lambda progress: self._tell(Event("progress", job, progress)),
                on_event=lambda kind, header: self._hear(running, kind, header),
                acknowledge=False,
            )
            self._tell(Event("finished", job, result))
        except JobCancelled:
            self._tell(Event("cancelled", job))
            self.acknowledge(job)
        except Exception as error:
            if self._closed:
                return
            unwanted = job in self._unwanted and isinstance(error, EngineError)
            self._tell(Event("cancelled", job) if unwanted else Event("failed", job, error))

    def _hear(self, running: Any, kind: str, header: Mapping[str, Any]) -> None:
        with self._lock:
            unwanted = running.id in self._unwanted
        if kind == "reconnected" and unwanted:  # the wish may have been lost with the old engine
            running.cancel()
        self._tell(Event("event", running.id, (kind, dict(header))))

    def _submit(self, request: Request) -> Any:
        client = self._reach(start=True)
        self._stop_if_unwanted(request.job)
        running = client.submit(
            request.operation,
            request.inputs,
            request.parameters,
            seed=request.seed,
            job=request.job,
            label=request.label,
        )
        with self._lock:
            self._sent.add(request.job)
            unwanted = request.job in self._unwanted
        if unwanted:
            running.cancel()
        return running

    def _submit_live(self, request: LiveRequest) -> _Watched:
        if not self._has_begun:
            self._reach(start=True)
        client = self._running()
        self._has_begun = True
        job = client.submit(
            request.operation,
            request.inputs,
            request.parameters,
            seed=request.seed,
            on_disconnect="cancel",
            keep_s=LIVE_KEEP_S,
        )
        return _Watched(job)

    def _stop_if_unwanted(self, job: str) -> None:
        with self._lock:
            if job in self._unwanted:
                raise JobCancelled("The job was cancelled before it was sent.", value=job)

    def _reach(self, *, start: bool) -> Any:
        """The client that starts the engine where none runs, or the one that never does."""
        with self._client_lock:
            client = self._clients.get(start)
            if client is None or client.closed:
                wait_s = REACH_S if start else LOOK_S
                client = self._connect(app=APP, start=start, timeout_s=wait_s)
                self._clients[start] = client
            return client

    def _running(self) -> Any:
        """The client of an engine that runs; raises where none does, never starts one."""
        Endpoint.read()
        return self._reach(start=False)

    def _status(self) -> EngineStatus:
        try:
            Endpoint.read()
        except EngineNotRunning:
            return self._installed()
        except EngineError as error:
            return EngineStatus("trouble", error=error)
        try:
            client = self._reach(start=False)
            about = client.welcome
            jobs = tuple(client.jobs())
        except EngineNotRunning:  # its process is over, but its file is still there
            return self._installed()
        except EngineError as error:
            return EngineStatus("trouble", error=error)
        device, version = str(about.get("device") or ""), str(about.get("version") or "")
        return EngineStatus("running", device, version, jobs)

    def _installed(self) -> EngineStatus:
        try:
            read_engine_command()
        except EngineMissing as error:
            return EngineStatus("missing", error=error)
        except EngineError as error:
            return EngineStatus("trouble", error=error)
        return EngineStatus("off")

    def _estimate(
        self,
        number: int,
        operation: Operation,
        parameters: Mapping[str, Any],
        sizes: Sequence[Mapping[str, Any]],
    ) -> None:
        if number != self._estimates:  # a newer one waits behind
            return
        found = None
        with contextlib.suppress(EngineError, InvalidRequest):
            found = self._running().estimate(operation, parameters, sizes)
        self._tell(Event("estimate", value=(operation.id, found)))

    def _ask(self, question: Callable[[], None], quiet: bool = False) -> None:
        def work() -> None:
            try:
                question()
            except Exception as error:
                if not quiet and not self._closed:
                    self._tell(Event("trouble", value=error))

        self._questions.put(work)

    def _answer(self) -> None:
        while True:
            question = self._questions.get()
            if question is None:
                return
            question()
