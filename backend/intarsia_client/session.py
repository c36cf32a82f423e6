"""One visit to a running engine: two connections, a hello on both, requests with their answers.

A session does not reconnect; `intarsia_client.connection` opens the next one.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, Callable, Mapping, Sequence

from intarsia_client import version, wire
from intarsia_client.endpoint import Endpoint
from intarsia_client.errors import (
    EngineError,
    EngineRefused,
    EngineUnreachable,
    IntarsiaError,
    InvalidRequest,
    ProtocolError,
    from_dict,
)
from intarsia_client.wire import Message
from intarsia_client.zmtp import Dealer

BULK = ("submit", "fetch")
"""Requests that travel on the bulk socket."""
PING_EVERY_S = 1.0
MISSED_PINGS = 3
"""Pings without any sign of life, while waiting, after which the engine counts as gone."""
CONTROL_LIMIT = 4 * 1024 * 1024
"""Bytes of one message on the control socket: a header and a preview."""
BULK_LIMIT = 4 * 1024**3
"""Bytes of one message on the bulk socket: all layers of a result."""

_OUR_FAULT = (
    "BAD_FRAME",
    "BAD_REQUEST",
    "FILE_REJECTED",
    "NOT_FOUND",
    "TOO_LARGE",
    "UNSUPPORTED_OPERATION",
)


class Session:
    """Two connections to one engine; all methods may be called from any thread.

    Make one with `open`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        on_event: Callable[[Message], None] | None,
        on_lost: Callable[[EngineError], None] | None,
    ) -> None:
        self.endpoint = endpoint
        self.welcome: dict[str, Any] = {}
        """The header of the engine's ``welcome`` (docs/wire.md)."""
        self.error: EngineError | None = None
        """Why the session ended; None while it stands."""
        self._on_event = on_event
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Answer] = {}
        self._unanswered = 0
        self._next_ping = 0.0
        self._dealers: list[Dealer] = []

    @classmethod
    def open(
        cls,
        endpoint: Endpoint,
        *,
        app: str,
        timeout_s: float = 5.0,
        on_event: Callable[[Message], None] | None = None,
        on_lost: Callable[[EngineError], None] | None = None,
    ) -> Session:
        """Connect both sockets and say hello on both.

        Args:
            endpoint: Where the engine listens.
            app: Name of this program, as shown in the list of jobs.
            timeout_s: Seconds for each of the steps.
            on_event: Called in a reader thread with every message about a job that is no answer.
            on_lost: Called once, in some thread, when the session ended by itself.

        Raises:
            EngineNotRunning: Nobody listens there.
            EngineUnreachable: No answer in time.
            EngineRefused: The token or the protocol's version does not fit.
            ProtocolError: What answers is not an engine.
        """
        session = cls(endpoint, on_event, on_lost)
        hello = {"protocol": list(wire.PROTOCOL), "client": app, "version": version.__version__}
        try:
            session._connect(endpoint.control, CONTROL_LIMIT, timeout_s)
            session.welcome = session._greet(hello, 0, timeout_s)
            session._connect(endpoint.bulk, BULK_LIMIT, timeout_s)
            hello["session"] = session.welcome.get("session")
            session._greet(hello, 1, timeout_s)
        except BaseException:
            session.close()
            raise
        return session

    def request(
        self,
        kind: str,
        header: Mapping[str, Any],
        buffers: Sequence[Any] = (),
        *,
        timeout_s: float,
    ) -> Message:
        """Send a request and wait for its answer, watching meanwhile that the engine lives.

        Raises:
            InvalidRequest: The engine refused what was asked.
            EngineRefused: The engine cannot do it now, or not for us.
            EngineUnreachable: The connection broke, or no answer in time.
        """
        return self._ask(
            1 if kind in BULK else 0, Message(kind, dict(header), tuple(buffers)), timeout_s
        )

    def tell(self, kind: str, header: Mapping[str, Any]) -> None:
        """Send a request on control without waiting; its answer is ignored."""
        self._send(0, Message(kind, dict(header, id=next(self._ids))))

    def keep_watch(self) -> None:
        """Ping the engine if it is time; to be called now and then by whoever waits for it.

        Raises:
            EngineUnreachable: The session is over, or several pings in a row had no answer.
        """
        now = time.monotonic()
        with self._lock:
            if self.error is not None:
                raise self.error
            if now < self._next_ping:
                return
            self._next_ping = now + PING_EVERY_S
            self._unanswered += 1
            hung = self._unanswered > MISSED_PINGS
        if hung:
            error = EngineUnreachable(
                f"The engine has not answered for {MISSED_PINGS * PING_EVERY_S:g} s.",
                value=self.endpoint.pid,
                remedy='Wait a moment and try again, or end it with "intarsia stop".',
                action={"label": "Try again", "do": "retry"},
                retryable=True,
            )
            self._lose(error)
            raise error
        self.tell("ping", {})

    def close(self) -> None:
        """End both connections; what waits for an answer gets `EngineUnreachable`."""
        self._on_lost = None
        self._lose(EngineUnreachable("This connection was closed."))
        for dealer in self._dealers:
            dealer.close()

    def _connect(self, port: int, limit: int, timeout_s: float) -> None:
        self._dealers.append(
            Dealer(
                self.endpoint.host,
                port,
                username=wire.USER,
                password=self.endpoint.token.encode("utf-8"),
                timeout_s=timeout_s,
                limit=limit,
                on_message=self._receive,
                on_close=self._lose,
            )
        )

    def _greet(self, hello: Mapping[str, Any], socket: int, timeout_s: float) -> dict[str, Any]:
        answer = self._ask(socket, Message("hello", dict(hello)), timeout_s)
        if answer.kind != "welcome":
            raise ProtocolError(f"The engine answered a hello with {answer.kind!r}.")
        return answer.header

    def _ask(self, socket: int, message: Message, timeout_s: float) -> Message:
        number = next(self._ids)
        answer = _Answer()
        with self._lock:
            if self.error is not None:
                raise self.error
            self._waiting[number] = answer
        try:
            message.header["id"] = number
            self._send(socket, message)
            self._wait(answer, message.kind, time.monotonic() + timeout_s, timeout_s)
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if answer.message is None:
            raise self.error or EngineUnreachable("The connection to the engine broke.")
        if answer.message.kind == "refused":
            raise _refusal(answer.message.header)
        return answer.message

    def _wait(self, answer: _Answer, kind: str, deadline: float, timeout_s: float) -> None:
        while not answer.arrived.wait(max(0.0, min(PING_EVERY_S, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise EngineUnreachable(
                    f"The engine did not answer within {timeout_s:g} s ({kind}).",
                    value=timeout_s,
                    remedy='Try again; "intarsia doctor" looks for the cause.',
                    action={"label": "Try again", "do": "retry"},
                    retryable=True,
                )
            if kind != "hello":
                self.keep_watch()

    def _send(self, socket: int, message: Message) -> None:
        self._dealers[socket].send(wire.pack(message, wire.HEADER_LIMIT))

    def _receive(self, frames: list[Any]) -> None:
        """A message came (in a reader thread)."""
        message = wire.unpack(frames)
        self._unanswered = 0
        number = message.header.get("re")
        if message.kind == "ping":
            self._send(0, Message("pong", {"re": message.header.get("id"), "workers": []}))
        elif number is not None:
            with self._lock:
                answer = self._waiting.get(number) if isinstance(number, int) else None
            if answer is not None:
                answer.message = message
                answer.arrived.set()
        elif "job" in message.header and self._on_event is not None:
            self._on_event(message)

    def _lose(self, error: EngineError) -> None:
        if error.code == "UNSUPPORTED_VERSION" and isinstance(error, ProtocolError):
            error = _refusal(error.to_dict())  # type: ignore[assignment]
        with self._lock:
            first = self.error is None
            if first:
                self.error = error
            waiting = list(self._waiting.values())
        for answer in waiting:
            answer.arrived.set()
        if first and self._on_lost is not None:
            self._on_lost(error)


class _Answer:
    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.message: Message | None = None


def _refusal(header: Mapping[str, Any]) -> IntarsiaError:
    ours = header.get("code") in _OUR_FAULT
    return from_dict(header, InvalidRequest if ours else EngineRefused)
