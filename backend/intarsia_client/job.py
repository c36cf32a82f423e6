"""One job as a client sees it: its state, its events in order, its result."""

from __future__ import annotations

import collections
import contextlib
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping

from intarsia_client import replies, wire
from intarsia_client.errors import (
    EngineError,
    EngineUnreachable,
    IntarsiaError,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    from_dict,
)
from intarsia_client.schema import Progress, Result
from intarsia_client.session import PING_EVERY_S, Session
from intarsia_client.wire import Message

if TYPE_CHECKING:
    from intarsia_client.client import Client

LOOK_EVERY_S = 0.1
"""How often ``should_cancel`` is asked."""
BREAKS = 5
"""Lost connections in a row, without news of the job between them, after which `wait` gives up."""

_STATES = {
    "started": "running",
    "paused": "paused",
    "resumed": "running",
    "requeued": "queued",
    "finished": "finished",
    "failed": "failed",
    "cancelled": "cancelled",
}

_ALL_STATES = ("queued", *_STATES.values())


class Job:
    """A job in the engine. Made by `Client.submit` and `Client.attach`."""

    def __init__(self, client: Client, job_id: str, since: int = 0) -> None:
        self.id = job_id
        self.state = "queued"
        """``queued``, ``running``, ``paused``, ``finished``, ``failed`` or ``cancelled``; always up
        to date while the connection stands."""
        self.last_progress: Progress | None = None
        self.last_event = 0
        """Number of the newest event that arrived: the ``since`` of a later `Client.attach`."""
        self._client = client
        self._since = since
        self._one_waits = threading.Lock()
        self._changed = threading.Condition()
        self._inbox: collections.deque[Message] = collections.deque()
        self._accepted = False
        self._over = False
        self._news = 0
        self._asked_again = (-1, 0.0)
        self._look_now = False
        self._result: Result | None = None
        self._error: IntarsiaError | None = None

    def wait(
        self,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
        timeout_s: float | None = None,
        acknowledge: bool = True,
    ) -> Result:
        """Wait until the job is over, through breaks of the connection and restarts of the engine.

        All callbacks run in the calling thread.

        Args:
            on_progress: Called with the newest progress; some may be left out.
            on_event: Called with each numbered event, in order, each once (kind and header of
                docs/wire.md), and with ``disconnected`` (the error's fields) and ``reconnected``.
            should_cancel: Asked about ten times a second; True cancels the job once.
            timeout_s: Give up waiting after so long; the job goes on.
            acknowledge: Whether the engine may forget the job once its result is here.

        Returns:
            The layers with their recipe.

        Raises:
            JobFailed: With code, sentence and remedy; code ``DEADLINE`` after ``timeout_s``.
            JobCancelled: Somebody cancelled it.
            EngineUnreachable: The engine is gone and could not be brought back; the job waits there
                for `Client.attach`.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        look = _Look(on_progress, on_event, should_cancel, deadline, acknowledge)
        with self._one_waits:
            return self._wait(look)

    def _wait(self, look: _Look) -> Result:
        breaks, seen = 0, self._news
        while True:
            try:
                return self._follow(look)
            except EngineUnreachable as error:
                breaks = breaks + 1 if self._news == seen else 1
                seen = self._news
                in_vain = error is self._client._connection.last_failure
                late = time.monotonic() > look.deadline
                if self._client.closed or in_vain or late or breaks > BREAKS:
                    raise
                look.tell("disconnected", error.to_dict())
                self._client._connection.session()
                look.tell("reconnected", {})

    def cancel(self) -> None:
        """Ask the engine to stop the job; `wait` then raises `JobCancelled`."""
        self._client.cancel(self.id)

    def pause(self) -> None:
        """Ask the engine to pause the job at its next step."""
        self._client.pause(self.id)

    def resume(self) -> None:
        """Let a paused job go on."""
        self._client.resume(self.id)

    def look_now(self) -> None:
        """Let a `wait` in another thread ask ``should_cancel`` at once."""
        with self._changed:
            self._look_now = True
            self._changed.notify_all()

    def _follow(self, look: _Look) -> Result:
        while not self._over or self._inbox:
            if not self._over and look.wants_cancel():
                with contextlib.suppress(
                    InvalidRequest
                ):  # it ended meanwhile; its last event says how
                    self.cancel()
                look.cancel_sent()
            message = self._next(look.pause_s)
            if message is not None:
                self._handle(message, look)
            if time.monotonic() > look.deadline and not self._over:
                raise _too_late(self.id)
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise JobFailed("The job is over, but its result never arrived.", value=self.id)
        return self._result

    def _next(self, pause_s: float) -> Message | None:
        with self._changed:
            empty = not self._inbox and not self._over and not self._look_now
            if empty and self._client._connection.current is not None:
                self._changed.wait(pause_s)
            self._look_now = False
            if self._inbox:
                return self._inbox[0]
        if not self._over:
            self._client._connection.keep_watch()
        return None

    def _handle(self, message: Message, look: _Look) -> None:
        """Act on the oldest message; it leaves the inbox only when that succeeded."""
        if message.kind == "finished" and self._result is None:
            self._result = self._collect(message.header)
        elif message.kind == "failed":
            self._error = from_dict(message.header, JobFailed)
        elif message.kind == "cancelled":
            self._error = JobCancelled("The job was cancelled.", value=self.id)
        with self._changed:
            if self._inbox and self._inbox[0] is message:
                self._inbox.popleft()
        if message.kind == "progress":
            look.show(self.last_progress)
        elif message.header["seq"] > self._since:
            look.tell(message.kind, message.header)
        if message.kind in wire.FINAL and look.acknowledge:
            with contextlib.suppress(EngineError, InvalidRequest):  # it is forgotten after a while
                self._client.acknowledge(self.id)

    def _collect(self, header: Mapping[str, Any]) -> Result:
        try:
            found = self._client.fetch(self.id, frames=bool(header.get("frames")))
        except InvalidRequest as error:
            raise JobFailed(
                error.what, value=self.id, remedy=error.remedy, code=error.code
            ) from None
        return Result(
            layers=tuple(layer for layer in found if layer.frame_of is None),
            frames=tuple(layer for layer in found if layer.frame_of is not None),
            recipe=dict(header.get("recipe") or {}),
            metrics=dict(header.get("metrics") or {}),
            seconds=dict(header.get("seconds") or {}),
            notes=tuple(header.get("notes") or ()),
        )

    # --- called from reader threads; must not block -------------------------------------------

    def _arrive(self, message: Message, session: Session | None) -> None:
        """Take a message about this job: events in order and once, of the progress the newest."""
        with self._changed:
            if self._over:
                return
            if message.kind == "progress":
                self.last_progress = replies.progress(message)
                if self._inbox and self._inbox[-1].kind == "progress":
                    self._inbox.pop()
            elif message.kind in _STATES:
                number = message.header.get("seq")
                if not isinstance(number, int) or number <= self.last_event:
                    return
                if number > self.last_event + 1:
                    self._ask_again(session)
                    return
                self.last_event = number
                self.state = _STATES[message.kind]
                self._over = message.kind in wire.FINAL
            else:
                return
            self._inbox.append(message)
            self._news += 1
            self._changed.notify_all()

    def _ask_again(self, session: Session | None) -> None:
        """An event is missing: have everything after the last one sent again, once a second."""
        since, now = self.last_event, time.monotonic()
        if session is None or (self._asked_again[0] == since and now < self._asked_again[1]):
            return
        self._asked_again = (since, now + PING_EVERY_S)
        session.tell("watch", {"job": self.id, "since": since})

    def _accept(self, header: Mapping[str, Any]) -> None:
        """The engine answered that it has the job."""
        with self._changed:
            self._accepted = True
            if self.last_event == 0 and header.get("state") in _ALL_STATES:
                self.state = header["state"]

    def _is_followed(self) -> bool:
        return self._accepted and not self._over

    def _give_up(self, error: IntarsiaError) -> None:
        """End the job here because the engine does not know it any more."""
        with self._changed:
            if not self._over:
                self._over, self.state, self._error = True, "failed", error
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Look:
    """How one call of `Job.wait` looks at the job."""

    def __init__(
        self,
        on_progress: Callable[[Progress], None] | None,
        on_event: Callable[[str, dict[str, Any]], None] | None,
        should_cancel: Callable[[], bool] | None,
        deadline: float,
        acknowledge: bool,
    ) -> None:
        self._on_progress = on_progress
        self._on_event = on_event
        self._should_cancel = should_cancel
        self.deadline = deadline
        self.acknowledge = acknowledge

    @property
    def pause_s(self) -> float:
        longest = PING_EVERY_S if self._should_cancel is None else LOOK_EVERY_S
        return max(0.0, min(longest, self.deadline - time.monotonic()))

    def show(self, news: Progress | None) -> None:
        if self._on_progress is not None and news is not None:
            self._on_progress(news)

    def tell(self, kind: str, header: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(kind, header)

    def wants_cancel(self) -> bool:
        return self._should_cancel is not None and bool(self._should_cancel())

    def cancel_sent(self) -> None:
        self._should_cancel = None  # once is enough


def _too_late(job_id: str) -> JobFailed:
    return JobFailed(
        "The job was not done in the time given for waiting; it goes on in the engine.",
        value=job_id,
        remedy="Wait longer, or attach to it later.",
        retryable=True,
        code="DEADLINE",
    )
