"""The engine as a GTK program sees it: calls run in threads, answers arrive in the main loop.

GIMP's and GTK's functions belong to the main thread; the client blocks. So nothing here touches
GIMP, and every callback is delivered by GLib's main loop.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Mapping, Sequence

from gi.repository import GLib

from intarsia_client.client import Client
from intarsia_client.errors import IntarsiaError, JobCancelled
from intarsia_client.schema import Operation, Pixels, Progress, Result
from intarsia_gimp.problems import as_error

APP = "gimp"
START_TIMEOUT_S = 60.0


def in_main_loop(function: Callable[..., Any], *arguments: Any) -> None:
    """Call the function from the main loop, once."""

    def call() -> bool:
        function(*arguments)
        return False

    GLib.idle_add(call)


def in_background(
    function: Callable[[], Any],
    done: Callable[[Any], Any],
    failed: Callable[[IntarsiaError], Any],
) -> None:
    """Run a function in a thread; ``done(value)`` or ``failed(error)`` follows in the main loop."""

    def run() -> None:
        try:
            value = function()
        except Exception as error:
            in_main_loop(failed, as_error(error))
        else:
            in_main_loop(done, value)

    threading.Thread(target=run, daemon=True).start()


class Link:
    """One connection for one window, made when it is first needed and again when it broke."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._starts = False

    def client(self, start: bool) -> Client:
        """The connected client; blocks, so call it in a thread.

        Args:
            start: Whether to start the engine when it does not run.

        Raises:
            EngineError: There is no engine to talk to.
        """
        with self._lock:
            if self._client is not None and start and not self._starts:
                self._client.close()  # it would not start the engine again if that died
                self._client = None
            if self._client is None:
                self._client = Client.connect(app=APP, start=start, timeout_s=START_TIMEOUT_S)
                self._starts = start
            return self._client

    def drop(self) -> None:
        """Forget the connection, e.g. after the engine was stopped."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class Run:
    """One job, started now and reported to four callbacks in the main loop.

    Exactly one of ``on_result`` and ``on_error`` is called, unless `leave` was called first; a
    cancel arrives as `JobCancelled` in ``on_error``.
    """

    def __init__(
        self,
        link: Link,
        *,
        on_accepted: Callable[[str], Any],
        on_progress: Callable[[Progress], Any],
        on_event: Callable[[str], Any],
        on_result: Callable[[Result], Any],
        on_error: Callable[[IntarsiaError], Any],
    ) -> None:
        self._link = link
        self._on_accepted = on_accepted
        self._on_progress = on_progress
        self._on_event = on_event
        self._on_result = on_result
        self._on_error = on_error
        self._job: Any = None
        self._cancelled = threading.Event()
        self._left = threading.Event()

    def start(
        self,
        operation: Operation,
        inputs: Sequence[Pixels],
        parameters: Mapping[str, Any],
        seed: int,
        label: str,
    ) -> None:
        """Submit and watch, in a thread. A training stays with the engine if GIMP goes away."""

        def run() -> Result:
            client = self._link.client(start=True)
            if self._cancelled.is_set():
                raise JobCancelled("Cancelled before it was sent.")
            self._job = client.submit(
                operation,
                inputs,
                parameters,
                seed=seed,
                label=label,
                on_disconnect="keep" if operation.trains else "cancel",
            )
            in_main_loop(self._tell, self._on_accepted, self._job.id)
            return self._job.wait(
                on_progress=lambda p: in_main_loop(self._tell, self._on_progress, p),
                on_event=lambda kind, _: in_main_loop(self._tell, self._on_event, kind),
                should_cancel=self._cancelled.is_set,
                acknowledge=False,
            )

        in_background(
            run,
            lambda result: self._tell(self._on_result, result),
            lambda error: self._tell(self._on_error, error),
        )

    def cancel(self) -> None:
        """Ask the engine to stop the job; the end comes through ``on_error``."""
        self._cancelled.set()

    def pause(self, paused: bool, failed: Callable[[IntarsiaError], Any]) -> None:
        """Pause or go on; the engine confirms with an event."""
        job = self._job
        if job is not None:
            in_background(job.pause if paused else job.resume, lambda _: None, failed)

    def leave(self) -> None:
        """Stop reporting; the job goes on in the engine."""
        self._left.set()

    def acknowledge(self) -> None:
        """Tell the engine that the result is safe in the image, or not wanted. Blocks briefly."""
        job = self._job
        if job is not None:
            with contextlib.suppress(IntarsiaError):  # the engine drops it by itself after a day
                self._link.client(start=False).acknowledge(job.id)

    def _tell(self, callback: Callable[..., Any], *arguments: Any) -> None:
        if not self._left.is_set():
            callback(*arguments)
