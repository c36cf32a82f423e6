"""ZMTP 3 on a socket: frames, and the handshake with the PLAIN mechanism.

`intarsia_client.zmtp` makes a connection of it.

Source: ZMTP 3.1 (rfc.zeromq.org/spec/37) and PLAIN (rfc.zeromq.org/spec/24).
Deviation: a refusal is also understood as ``^RROR``, which is what libzmq really sends.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Sequence

from intarsia_client.errors import EngineRefused, ProtocolError

MORE, LONG, COMMAND = 1, 2, 4
"""Flags of a frame: another part follows, eight length bytes, not for the application."""
READ_AHEAD = 64 * 1024
SLICE = 64 * 1024 * 1024
"""Bytes given to one system call; some systems refuse more than 2 GiB."""
MECHANISM = b"PLAIN"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + MECHANISM.ljust(20, b"\0") + bytes(32)
VERSION_END = 11
"""Bytes of a greeting up to the major version; a peer sends the rest of its own after these."""
ERRORS = (b"\x05ERROR", b"^RROR")
"""How a refusing command begins."""


class Stream:
    """A socket with a read buffer: many small frames cost one system call."""

    def __init__(self, sock: socket.socket, deadline: float | None) -> None:
        self.socket = sock
        self.deadline = deadline
        self._buffer = memoryview(bytearray(READ_AHEAD))
        self._start = self._end = 0

    def read(self, count: int) -> bytearray:
        """Exactly that many bytes; large ones land in place without a copy."""
        target = bytearray(count)
        view, filled = memoryview(target), 0
        while filled < count:
            if self._start == self._end and count - filled >= READ_AHEAD:
                filled += self._receive(view[filled : filled + SLICE])
                continue
            if self._start == self._end:
                self._start, self._end = 0, self._receive(self._buffer)
            taken = min(count - filled, self._end - self._start)
            view[filled : filled + taken] = self._buffer[self._start : self._start + taken]
            self._start += taken
            filled += taken
        return target

    def _receive(self, view: memoryview) -> int:
        if self.deadline is not None:
            self.socket.settimeout(max(0.001, self.deadline - time.monotonic()))
        count = self.socket.recv_into(view)
        if count == 0:
            raise ConnectionError("the other side closed the connection")
        return count


def read_frame(stream: Stream, limit: int) -> tuple[int, bytearray]:
    flags, size = stream.read(2)
    if flags & ~(MORE | LONG | COMMAND):
        raise ProtocolError("A frame with unknown flags arrived.", value=flags)
    if flags & LONG:
        (size,) = struct.unpack(">Q", bytes((size,)) + stream.read(7))
    if size > (READ_AHEAD if flags & COMMAND else limit):
        raise ProtocolError(
            f"The engine sent more than the {limit} bytes expected here.",
            value=size,
            code="TOO_LARGE",
        )
    return flags, stream.read(size)


def _frame_head(flags: int, size: int) -> bytes:
    if size > 255:
        return struct.pack(">BQ", flags | LONG, size)
    return bytes((flags, size))


def frame(flags: int, body: bytes) -> bytes:
    return _frame_head(flags, len(body)) + body


def send_frames(sock: socket.socket, frames: Sequence[Any]) -> None:
    """Small parts travel together in one packet, large ones straight from where they lie."""
    together = bytearray()
    views = [memoryview(part).cast("B") for part in frames]  # all checked before the first is sent
    for index, view in enumerate(views):
        together += _frame_head(MORE if index < len(views) - 1 else 0, len(view))
        if len(view) <= READ_AHEAD:
            together += view
            continue
        sock.sendall(together)
        together = bytearray()
        for start in range(0, len(view), SLICE):
            sock.sendall(view[start : start + SLICE])
    if together:
        sock.sendall(together)


def shake_hands(stream: Stream, username: bytes, password: bytes) -> None:
    """Greeting, HELLO, WELCOME, INITIATE, READY.

    Our greeting waits for theirs after the version: libzmq hangs up on another mechanism before it
    has named its own.
    """
    stream.socket.sendall(GREETING[:VERSION_END])
    greeting = stream.read(10)
    if greeting[0] != 0xFF or greeting[9] & 1 != 1:
        raise _stranger("it does not speak ZeroMQ")
    greeting += stream.read(54)
    mechanism = bytes(greeting[12:32]).rstrip(b"\0")
    if greeting[10] < 3:
        raise _stranger(f"it speaks an old ZeroMQ, {greeting[10]}.x")
    if mechanism != MECHANISM:
        raise _stranger(
            "it does not ask for a token ({})".format(mechanism.decode("ascii", "replace"))
        )
    stream.socket.sendall(GREETING[VERSION_END:])
    hello = b"".join(bytes((len(text),)) + text for text in (username, password))
    stream.socket.sendall(frame(COMMAND, b"\x05HELLO" + hello))
    _expect(stream, b"\x07WELCOME")
    kind = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    stream.socket.sendall(frame(COMMAND, b"\x08INITIATE" + kind + b"\x08Identity" + bytes(4)))
    _expect(stream, b"\x05READY")


def _expect(stream: Stream, name: bytes) -> None:
    flags, body = read_frame(stream, READ_AHEAD)
    if body.startswith(ERRORS):
        raise refusal(body)
    if not flags & COMMAND or not body.startswith(name):
        raise _stranger(f"it answers in the handshake with {bytes(body[:16])!r}")


def refusal(body: bytes | bytearray) -> EngineRefused:
    """The error in a refusing command."""
    reason = bytes(body[7:] if body.startswith(ERRORS[0]) else body[6:]).decode("ascii", "replace")
    return EngineRefused(
        "The engine does not accept this program's token.",
        value=reason,
        remedy='Try again; if it stays so, end the engine with "intarsia stop" and start it anew.',
        retryable=True,
    )


def _stranger(how: str) -> ProtocolError:
    return ProtocolError(
        f"What listens on the engine's port is not an Intarsia engine: {how}.",
        remedy='End the engine with "intarsia stop" and try again.',
        retryable=True,
    )
