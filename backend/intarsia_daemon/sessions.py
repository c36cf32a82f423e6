"""The clients that are connected: who they are, and what may be under way to each.

A session has a control route and, once its second connection joined, a bulk route. Routes are made
by ZeroMQ for each connection, so a client cannot take another one's. Nothing here blocks: what a
client does not read is kept within a limit of bytes, then the client is given up (control) or its
next pixels wait on disk (bulk).
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import zmq

from intarsia_client import wire
from intarsia_client.errors import IntarsiaError
from intarsia_client.wire import Message

Side = Literal["control", "bulk"]
CONTROL_BACKLOG = 4 << 20
"""Bytes of answers and events that wait for a client before it is given up."""
BULK_BACKLOG = 256
"""Answers that wait on a client's bulk connection before it is given up."""

log = logging.getLogger(__name__)


@dataclass
class Parcel:
    """A message for the bulk socket, opened (mapped) only when its turn has come."""

    open: Callable[[], Message]
    nbytes: int
    re: int = 0
    """The request it answers."""


@dataclass(eq=False)
class Session:
    """One client."""

    id: str
    client: str
    routes: dict[str, bytes]
    """Route by side."""
    backlog: deque[list[Any]] = field(default_factory=deque)
    backlog_bytes: int = 0
    parcels: deque[Parcel] = field(default_factory=deque)
    flying: deque[tuple[list[zmq.MessageTracker], int]] = field(default_factory=deque)
    """Pixels that ZeroMQ still holds, and how many bytes."""

    @property
    def flying_bytes(self) -> int:
        """Bytes handed to ZeroMQ that the client has not taken yet."""
        return sum(nbytes for _, nbytes in self.flying)


class Sessions:
    """All sessions, and the only code that sends to clients.

    Args:
        sockets: The two ROUTER sockets by side.
        credit_bytes: Pixels that may be under way to one client.
        on_gone: Told about every session that ended.
    """

    def __init__(
        self,
        sockets: dict[Side, zmq.Socket],
        *,
        credit_bytes: int,
        on_gone: Callable[[Session], None],
    ) -> None:
        self._sockets = sockets
        self._credit_bytes = credit_bytes
        self._on_gone = on_gone
        self._by_id: dict[str, Session] = {}
        self._by_route: dict[tuple[str, bytes], Session] = {}

    def __iter__(self) -> Any:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def open(self, route: bytes, client: str) -> Session:
        """Begin a session on a control route; an older one of the same connection ends."""
        self.close(self.of("control", route))
        session = Session(secrets.token_hex(16), client, {"control": route})
        self._by_id[session.id] = session
        self._by_route["control", route] = session
        return session

    def join(self, session_id: str, route: bytes) -> Session | None:
        """Add a bulk route to a session; None when there is no such session."""
        session = self._by_id.get(session_id)
        if session is not None:
            self._leave_bulk(session)
            session.routes["bulk"] = route
            self._by_route["bulk", route] = session
        return session

    def get(self, session_id: str) -> Session | None:
        """The session of that id."""
        return self._by_id.get(session_id)

    def of(self, side: Side, route: bytes) -> Session | None:
        """The session that a message came from."""
        return self._by_route.get((side, route))

    def close(self, session: Session | None) -> None:
        """End a session; what was not delivered is dropped."""
        if session is None or self._by_id.pop(session.id, None) is None:
            return
        for side, route in session.routes.items():
            self._by_route.pop((side, route), None)
        session.parcels.clear()
        session.backlog.clear()
        self._on_gone(session)

    def _leave_bulk(self, session: Session) -> None:
        route = session.routes.pop("bulk", None)
        if route is not None:
            self._by_route.pop(("bulk", route), None)
        session.parcels.clear()
        session.flying.clear()

    # --- control ----------------------------------------------------------------------------------

    def send(self, session: Session, message: Message, *, droppable: bool = False) -> None:
        """Send on the control socket; ``droppable`` ones are lost when the client is slow."""
        if session.id not in self._by_id or (session.backlog and droppable):
            return
        frames = wire.pack(message)
        if session.backlog:
            self._queue(session, frames)
            return
        if self._try(session, "control", frames) == "full" and not droppable:
            self._queue(session, frames)

    def _queue(self, session: Session, frames: list[Any]) -> None:
        session.backlog.append(frames)
        session.backlog_bytes += sum(len(frame) for frame in frames)
        if session.backlog_bytes > CONTROL_BACKLOG:
            log.warning("%s does not read what it is sent; its session ends.", session.client)
            self.close(session)

    def answer(self, side: Side, route: bytes, message: Message) -> None:
        """Answer a connection, with or without a session."""
        session = self.of(side, route)
        if session is None:
            self._send_frames(side, route, wire.pack(message))
        elif side == "control":
            self.send(session, message)
        else:
            self.post(session, Parcel(lambda: message, 0))

    # --- bulk -------------------------------------------------------------------------------------

    def post(self, session: Session, parcel: Parcel) -> None:
        """Send on the bulk socket when the client's credit allows."""
        if session.id not in self._by_id:
            return
        session.parcels.append(parcel)
        if len(session.parcels) > BULK_BACKLOG:
            log.warning("%s does not read its pixels; its session ends.", session.client)
            self.close(session)
        else:
            self._flush_bulk(session)

    def _flush_bulk(self, session: Session) -> None:
        while session.flying and all(tracker.done for tracker in session.flying[0][0]):
            session.flying.popleft()
        while session.parcels and "bulk" in session.routes:
            parcel = session.parcels[0]
            if session.flying and session.flying_bytes + parcel.nbytes > self._credit_bytes:
                return
            frames, trackers = self._opened(parcel)
            outcome = self._try(session, "bulk", frames)
            if outcome == "full":
                return
            if outcome == "gone":
                self._leave_bulk(session)
                return
            session.parcels.popleft()
            if parcel.nbytes:
                session.flying.append((trackers, parcel.nbytes))

    @staticmethod
    def _opened(parcel: Parcel) -> tuple[list[Any], list[zmq.MessageTracker]]:
        try:
            message = parcel.open()
        except IntarsiaError as error:
            message = Message("refused", {"re": parcel.re, **error.to_dict()})
        prefix, header, *buffers = wire.pack(message)
        frames = [zmq.Frame(buffer, track=True, copy=False) for buffer in buffers]
        trackers = [
            frame.tracker for frame in frames if isinstance(frame.tracker, zmq.MessageTracker)
        ]
        return [prefix, header, *frames], trackers

    # --- both -------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Try to send what waits; returns whether something still waits."""
        waiting = False
        for session in self:
            while session.backlog:
                if self._try(session, "control", session.backlog[0]) != "sent":
                    break
                frames = session.backlog.popleft()
                session.backlog_bytes -= sum(len(frame) for frame in frames)
            self._flush_bulk(session)
            waiting |= bool(session.backlog or session.parcels)
        return waiting

    def ping(self, number: int) -> None:
        """Ping every session; those that cannot be reached end."""
        frames = wire.pack(Message("ping", {"id": number}))
        for session in self:
            self._try(session, "control", frames)

    def _try(
        self, session: Session, side: Side, frames: Sequence[Any]
    ) -> Literal["sent", "full", "gone"]:
        route = session.routes.get(side)
        outcome = "gone" if route is None else self._send_frames(side, route, frames)
        if outcome == "gone" and side == "control":
            self.close(session)
        return outcome

    def _send_frames(
        self, side: Side, route: bytes, frames: Sequence[Any]
    ) -> Literal["sent", "full", "gone"]:
        try:
            self._sockets[side].send_multipart([route, *frames], zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return "full"
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                log.error("A message could not be sent: %s.", error)
            return "gone"
        return "sent"
