"""A ZeroMQ DEALER connection in the standard library: ZMTP 3 over TCP with the PLAIN mechanism.

Editors on Windows and signed ones on macOS cannot load pyzmq, so the client speaks the protocol
itself. One `Dealer` is one connection: it does not reconnect (`intarsia_client.connection` makes a
new one). A reader thread of its own answers the engine's heartbeats at all times, whatever the
program does meanwhile, and costs nothing while nothing arrives.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import socket
import struct
import sys
import threading
import time
from typing import Any, Callable, Sequence

from intarsia_client import framing
from intarsia_client.errors import EngineError, EngineNotRunning, EngineUnreachable, ProtocolError

DEFAULT_LIMIT = 8 * 1024 * 1024
"""Bytes of one incoming message, all parts together, unless said otherwise."""
MAX_PARTS = 64
SEND_STALL_S = 10
"""How long the other side may take nothing at all before a send gives up."""


class Dealer:
    """A connection to a ROUTER socket.

    Args:
        host: Name or address.
        port: TCP port.
        username: PLAIN user name, at most 255 bytes.
        password: PLAIN password, at most 255 bytes.
        timeout_s: Seconds for connecting and the whole handshake.
        limit: Largest incoming message in bytes, all parts together; may be set later.
        on_message: Called in the reader thread with every message (a list of bytes-like parts); it
            must return soon. Without it, messages wait for `recv`.
        on_close: Called in the reader thread once when the connection ended by itself.

    Raises:
        EngineNotRunning: Nobody listens there.
        EngineUnreachable: No connection or no handshake within ``timeout_s``.
        EngineRefused: The token is wrong.
        ProtocolError: What listens there is not an engine.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        username: bytes,
        password: bytes,
        timeout_s: float = 5.0,
        limit: int = DEFAULT_LIMIT,
        on_message: Callable[[list[Any]], None] | None = None,
        on_close: Callable[[EngineError], None] | None = None,
    ) -> None:
        self.limit = limit
        self.error: EngineError | None = None
        """Why the connection is gone; None while it stands."""
        self._closing = False
        self._on_message = on_message
        self._on_close = on_close
        self._inbox: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._pongs: collections.deque[bytes] = collections.deque()
        deadline = time.monotonic() + timeout_s
        self._socket = _connect(host, port, timeout_s)
        try:
            self._stream = framing.Stream(self._socket, deadline)
            framing.shake_hands(self._stream, username, password)
            self._stream.deadline = None
            self._socket.settimeout(None)
            _limit_stalls(self._socket, SEND_STALL_S)
        except OSError as error:
            self._socket.close()
            raise _unreachable(error, f"{host}:{port}", timeout_s) from error
        except BaseException:
            self._socket.close()
            raise
        self._reader = threading.Thread(target=self._read, name=f"intarsia-{port}", daemon=True)
        self._reader.start()

    def send(self, frames: Sequence[Any]) -> None:
        """Send one message; returns when the operating system has taken all of it.

        Args:
            frames: Its parts, bytes-like and contiguous; large ones are not copied.

        Raises:
            EngineUnreachable: The connection is gone, or the other side takes nothing.
        """
        with self._sending:
            if self.error is not None:
                raise self.error
            try:
                framing.send_frames(self._socket, frames)
            except OSError as error:
                raise self._break(_lost(error)) from error
        self._send_pongs()

    def recv(self, timeout_s: float | None = None) -> list[Any]:
        """The next message, for connections made without ``on_message``.

        Raises:
            EngineUnreachable: The connection is gone, or nothing came within ``timeout_s``.
        """
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            raise EngineUnreachable(
                f"The engine did not answer within {timeout_s or 0:g} s.", retryable=True
            ) from None
        if message is None:
            self._inbox.put(None)
            raise self.error or _lost(None)
        return message

    def close(self) -> None:
        """End the connection; the reader thread has left when this returns. May be called twice."""
        self._closing = True
        self._break(EngineUnreachable("This connection was closed."))
        self._socket.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(5.0)

    def fileno(self) -> int:
        """The socket's file descriptor, -1 after `close`."""
        return self._socket.fileno()

    def _break(self, error: EngineError) -> EngineError:
        """Mark the connection as gone and wake both directions; the first reason stays."""
        if self.error is None:
            self.error = error
        with contextlib.suppress(OSError):  # already gone
            self._socket.shutdown(socket.SHUT_RDWR)
        return self.error

    def _read(self) -> None:
        try:
            while True:
                self._deliver(self._message())
        except OSError as error:
            reason: EngineError = _lost(error)
        except EngineError as error:
            reason = error
        except Exception as error:  # a handler's fault must not look like an engine that is alive
            reason = ProtocolError(f"A message could not be handled ({error!r}).")
        reason = self._break(reason)
        self._inbox.put(None)
        if self._on_close is not None and not self._closing:
            self._on_close(reason)

    def _deliver(self, message: list[Any]) -> None:
        if self._on_message is not None:
            self._on_message(message)
        else:
            self._inbox.put(message)

    def _message(self) -> list[Any]:
        parts: list[Any] = []
        left = self.limit
        while True:
            flags, body = framing.read_frame(self._stream, left)
            if flags & framing.COMMAND:
                self._command(body)
                continue
            parts.append(body)
            left -= len(body)
            if len(parts) > MAX_PARTS:
                raise ProtocolError(f"A message with more than {MAX_PARTS} parts arrived.")
            if not flags & framing.MORE:
                return parts

    def _command(self, body: bytearray) -> None:
        if body.startswith(b"\x04PING"):
            # 2 bytes time to live, then a context of at most 16 bytes that the answer repeats
            self._pongs.append(framing.frame(framing.COMMAND, b"\x04PONG" + bytes(body[7:23])))
            self._send_pongs()
        elif body.startswith(framing.ERRORS):
            raise framing.refusal(body)

    def _send_pongs(self) -> None:
        """Send what waits, unless somebody is sending: then that thread does it when it is done.

        So the reader never waits behind a large layer.
        """
        while self._pongs and self._sending.acquire(False):
            try:
                while self._pongs:
                    self._socket.sendall(self._pongs.popleft())
            except OSError as error:
                self._break(_lost(error))
                self._pongs.clear()
            finally:
                self._sending.release()


def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    try:
        sock = socket.create_connection((host, port), timeout_s)
    except ConnectionRefusedError as error:
        raise EngineNotRunning(f"No engine listens on {host}:{port}.", value=port) from error
    except OSError as error:
        raise _unreachable(error, f"{host}:{port}", timeout_s) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _limit_stalls(sock: socket.socket, seconds: int) -> None:
    """Let a blocked send fail after a while; reading stays without limit."""
    value = (
        struct.pack("I", seconds * 1000)
        if sys.platform == "win32"
        else struct.pack("ll", seconds, 0)
    )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def _unreachable(error: OSError, where: str, timeout_s: float) -> EngineUnreachable:
    if isinstance(error, socket.timeout):
        what = f"The engine at {where} did not answer within {timeout_s:g} s."
    else:
        what = f"The engine at {where} broke the connection off ({error})."
    return EngineUnreachable(
        what, remedy='Try again; "intarsia doctor" looks for the cause.', retryable=True
    )


def _lost(error: OSError | None) -> EngineUnreachable:
    if isinstance(error, BlockingIOError):
        what = f"The engine took no data for {SEND_STALL_S} s."
    else:
        what = f"The connection to the engine broke ({error or 'closed'})."
    return EngineUnreachable(
        what, remedy="The job goes on when the engine is back.", retryable=True
    )
