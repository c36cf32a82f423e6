"""Who may talk to the engine: the sockets, the token, and the proof that the token is asked for.

ZeroMQ asks a handler inside the process (ZAP) about every peer's user name and password. Without
``ZAP_ENFORCE_DOMAIN`` a missing handler lets everybody in; with it nobody. Either way `probe` finds
out before the endpoint file is written.
"""

from __future__ import annotations

import time

import zmq
import zmq.auth.thread
import zmq.utils.monitor

from intarsia_client.errors import EngineRefused
from intarsia_client.wire import HEADER_LIMIT, USER

DOMAIN = "intarsia"
HANDSHAKE_MS = 2000
HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 6000
CONTROL_FRAME = HEADER_LIMIT + 1024
"""Largest frame on the control socket; a little more, so that a slip can be answered."""


class Gatekeeper:
    """The ZAP handler: lets in the user ``intarsia`` with this boot's token and nobody else."""

    def __init__(self, context: zmq.Context, token: str) -> None:
        self._handler = zmq.auth.thread.ThreadAuthenticator(context)
        self._handler.start()
        self._handler.configure_plain(domain=DOMAIN, passwords={USER.decode(): token})

    def close(self) -> None:
        """Stop the handler; from now on every handshake is refused."""
        if self._handler.is_alive():
            self._handler.stop()


def bind_router(
    context: zmq.Context, *, frame_bytes: int, receive: int, send: int, heartbeats: bool
) -> tuple[zmq.Socket, int]:
    """Bind a ROUTER socket on loopback, on a port that the system chooses.

    Args:
        context: The context with the `Gatekeeper`.
        frame_bytes: Longest frame that is accepted; a peer that announces more is cut off.
        receive: Messages of one peer that may wait to be read.
        send: Messages to one peer that may wait to be sent.
        heartbeats: Whether a peer that does not answer for `HEARTBEAT_TIMEOUT_MS` is cut off. Only
            for small messages: a peer cannot answer while it sends a large frame through a slow
            tunnel.

    Returns:
        The socket and its port.
    """
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.PLAIN_SERVER, 1)
    socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDTIMEO, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, frame_bytes)
    socket.setsockopt(zmq.RCVHWM, receive)
    socket.setsockopt(zmq.SNDHWM, send)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if heartbeats:
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    return socket, socket.bind_to_random_port("tcp://127.0.0.1")


def probe(context: zmq.Context, ports: tuple[int, ...], token: str) -> None:
    """Knock at every port with the right and with a wrong token.

    Args:
        context: Any context but the engine's own is fine; it only dials.
        ports: Ports of the bound sockets.
        token: The right token.

    Raises:
        EngineRefused: A wrong token was let in, or the right one was not.
    """
    for port in ports:
        if _let_in(context, port, "not-" + token):
            raise EngineRefused(
                f"Port {port} lets programs in without the token, so the engine does not start.",
                value=port,
                remedy="Install pyzmq from its official wheels and start again.",
            )
        if not _let_in(context, port, token):
            raise EngineRefused(
                f"Port {port} refuses the engine's own token, so the engine does not start.",
                value=port,
                remedy="Start again. If it stays so, see whether a firewall blocks 127.0.0.1.",
            )


def _let_in(context: zmq.Context, port: int, token: str, timeout_s: float = 5.0) -> bool:
    socket = context.socket(zmq.DEALER)
    events = (
        zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    )
    monitor = socket.get_monitor_socket(events)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.PLAIN_USERNAME, USER)
        socket.setsockopt_string(zmq.PLAIN_PASSWORD, token)
        socket.connect(f"tcp://127.0.0.1:{port}")
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if monitor.poll(int(left * 1000) + 1):
                event = zmq.utils.monitor.recv_monitor_message(monitor)["event"]
                return event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return False
    finally:
        socket.disable_monitor()
        monitor.close(0)
        socket.close(0)
