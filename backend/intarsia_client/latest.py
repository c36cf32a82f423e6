"""Only the newest request counts: for previews that follow the artist's hand.

    live = LatestOnly(send, on_result=show, on_error=tell)
    live.request(pixels)  # again and again; an older request that is under way is cancelled

``send`` turns a request into a job, e.g. by `Client.submit` with ``on_disconnect="cancel"`` and a
small ``keep_s``. At most one request is with the engine and at most one waits here.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Generic, Protocol, TypeVar

from intarsia_client.errors import IntarsiaError, JobCancelled, JobFailed
from intarsia_client.schema import Result

__all__ = ["LatestOnly", "LiveJob"]

Request = TypeVar("Request")


class LiveJob(Protocol):
    """What `LatestOnly` needs of a job; `intarsia_client.client.Job` has it."""

    def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
        """Wait for the result; ask ``should_cancel`` now and then."""
        ...

    def look_now(self) -> None:
        """Let `wait` ask ``should_cancel`` at once, also one that begins later."""
        ...

    def cancel(self) -> None:
        """Ask the engine to stop it; may raise an `IntarsiaError`."""
        ...


class LatestOnly(Generic[Request]):
    """Sends requests one at a time, the newest next, and tells of none that a newer one overtook.

    All methods return at once and may be called from any thread. The callbacks are called in a
    thread of this object, one at a time; it runs only while there is something to do. After an
    error, an engine that is gone included, the next request is simply tried anew.

    Args:
        submit: Makes a job of a request; may block and raise.
        on_result: Called with a request and its result, unless a newer request came.
        on_error: Called with a request and what `submit` or the job raised, unless a newer request
            came.
    """

    def __init__(
        self,
        submit: Callable[[Request], LiveJob],
        on_result: Callable[[Request, Result], None],
        on_error: Callable[[Request, Exception], None],
    ) -> None:
        self._submit = submit
        self._on_result = on_result
        self._on_error = on_error
        self._changed = threading.Condition()
        self._newest = 0
        self._waiting: tuple[int, Request] | None = None
        self._job: LiveJob | None = None
        self._left: LiveJob | None = None
        self._busy = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a request waits, is under way, or is being told of."""
        return self._busy

    def request(self, request: Request) -> None:
        """Ask for a result; what was asked before counts no more. Ignored after `close`."""
        with self._changed:
            if not self._closed:
                self._replace(request)

    def cancel(self) -> None:
        """Drop what was asked: nothing is told of it, but by a callback that is running already."""
        with self._changed:
            self._drop()

    def close(self) -> None:
        """Cancel, and ignore every later request."""
        with self._changed:
            self._closed = True
            self._drop()

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is under way; False when ``timeout_s`` seconds were too short."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout_s)

    # --- inside; the first three with the lock held -------------------------------------------

    def _replace(self, request: Request) -> None:
        self._drop()
        self._waiting = (self._newest, request)
        if not self._busy:
            self._start()

    def _drop(self) -> None:
        self._newest += 1
        self._waiting = None
        if self._job is not None:
            self._job.look_now()

    def _start(self) -> None:
        self._busy = True
        threading.Thread(target=self._work, name="intarsia-live", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                todo, self._waiting = self._waiting, None
                if todo is None:
                    self._busy = False
                    self._changed.notify_all()
                    return
            try:
                self._do(*todo)
            except (
                BaseException
            ):  # a callback's own fault: reported as a thread's, not ours to hide
                with self._changed:
                    self._start()
                raise

    def _do(self, number: int, request: Request) -> None:
        result: Any = None
        problem: Exception | None = None
        try:
            result = self._finished(number, self._submit(request))
        except Exception as error:
            problem = error
        if number != self._newest:
            return
        if problem is not None:
            self._on_error(request, problem)
        else:
            self._on_result(request, result)

    def _finished(self, number: int, job: LiveJob) -> Result:
        left, self._left = self._left, job
        with self._changed:
            self._job = job
            if number != self._newest:
                job.look_now()
        if left is not None:  # the engine was gone in the midst of it, and may take it up again
            with contextlib.suppress(IntarsiaError):
                left.cancel()
        try:
            result = job.wait(should_cancel=lambda: number != self._newest)
            self._left = None
            return result
        except (JobFailed, JobCancelled):
            self._left = None
            raise
        finally:
            with self._changed:
                self._job = None
