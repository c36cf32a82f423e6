"""Our DEALER against real pyzmq ROUTERs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth.thread

from intarsia_client.errors import (
    EngineError,
    EngineNotRunning,
    EngineRefused,
    EngineUnreachable,
    ProtocolError,
)
from intarsia_client.zmtp import Dealer

USER, TOKEN = b"intarsia", b"the-token"
BIG = 64 * 1024 * 1024


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made = zmq.Context()
    authenticator = zmq.auth.thread.ThreadAuthenticator(made)
    authenticator.start()
    authenticator.configure_plain("intarsia", {USER.decode(): TOKEN.decode()})
    yield made
    authenticator.stop()
    made.destroy(0)


@pytest.fixture
def bind(context: zmq.Context[Any]) -> Iterator[Callable[..., tuple[Any, int]]]:
    """A ROUTER with PLAIN behind a ZAP handler, and its port."""
    routers: list[Any] = []

    def make(**options: Any) -> tuple[Any, int]:
        router = context.socket(zmq.ROUTER)
        routers.append(router)
        fields = {"plain_server": True, "zap_domain": b"intarsia", "router_mandatory": True}
        for name, value in dict(fields, linger=0, rcvtimeo=10_000, **options).items():
            setattr(router, name, value)
        return router, router.bind_to_random_port("tcp://127.0.0.1")

    yield make
    for router in routers:
        router.close(0)


@contextlib.contextmanager
def dealer(port: int, **options: Any) -> Iterator[Dealer]:
    fields = {"username": USER, "password": TOKEN, "timeout_s": 10.0}
    made = Dealer("127.0.0.1", port, **dict(fields, **options))
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def watched(router: Any) -> Iterator[Any]:
    """A socket that becomes readable when the router drops a peer."""
    monitor = router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    try:
        yield monitor
    finally:
        router.disable_monitor()
        monitor.close(0)


def echo(router: Any, count: int) -> threading.Thread:
    def run() -> None:
        for _ in range(count):
            router.send_multipart(router.recv_multipart(copy=False), copy=False)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_the_right_token_is_let_in_and_parts_stay_apart(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    with dealer(port) as client:
        client.send([b"one", b"", bytearray(b"x" * 300)])
        sender, *parts = router.recv_multipart()
        assert parts == [b"one", b"", b"x" * 300]
        router.send_multipart([sender, b"", b"y" * 255, b"y" * 256])
        assert client.recv(10) == [b"", b"y" * 255, b"y" * 256]


def test_a_wrong_token_is_refused_with_a_sentence(bind: Callable[..., tuple[Any, int]]):
    _, port = bind()
    with pytest.raises(EngineRefused, match="does not accept this program's token") as caught:
        Dealer("127.0.0.1", port, username=USER, password=b"wrong", timeout_s=10)
    assert caught.value.value == "400"


def test_a_server_that_wants_no_token_is_not_our_engine(bind: Callable[..., tuple[Any, int]]):
    _, port = bind(plain_server=False)
    with pytest.raises(ProtocolError, match="not an Intarsia engine: it does not ask for a token"):
        Dealer("127.0.0.1", port, username=USER, password=TOKEN, timeout_s=10)


def test_nobody_listening_is_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(EngineNotRunning, match="No engine listens"):
        Dealer("127.0.0.1", port, username=USER, password=TOKEN)


def test_heartbeats_are_answered_while_the_program_does_nothing(
    bind: Callable[..., tuple[Any, int]],
):
    router, port = bind(heartbeat_ivl=50, heartbeat_timeout=150, heartbeat_ttl=150)
    with watched(router) as monitor, dealer(port) as client:
        assert monitor.poll(1500) == 0, "the server dropped a client that answers its heartbeats"
        client.send([b"still here"])
        assert router.recv_multipart()[1] == b"still here"


def test_a_server_drops_a_client_that_would_not_answer(bind: Callable[..., tuple[Any, int]]):
    """The control for the test above: without PONG the same server gives up."""
    router, port = bind(heartbeat_ivl=50, heartbeat_timeout=150)
    with watched(router) as monitor, dealer(port) as client:
        client._send_pongs = lambda: None  # type: ignore[method-assign]
        assert monitor.poll(10_000)


def test_64_megabytes_go_both_ways_unchanged(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    data = os.urandom(1 << 20) * (BIG >> 20)
    with dealer(port, limit=2 * BIG) as client:
        thread = echo(router, 1)
        client.send([b"head", memoryview(data), b"tail"])
        head, body, tail = client.recv(60)
        thread.join()
    assert (head, tail) == (b"head", b"tail")
    assert hashlib.sha256(body).digest() == hashlib.sha256(data).digest()


def test_many_small_messages_keep_their_order(bind: Callable[..., tuple[Any, int]]):
    router, port = bind(sndhwm=0, rcvhwm=0)
    count = 5000
    with dealer(port) as client:
        thread = echo(router, count)
        for number in range(count):
            client.send([b"%d" % number, b"x" * (number % 300)])
        for number in range(count):
            assert client.recv(10) == [b"%d" % number, b"x" * (number % 300)]
        thread.join()


def test_messages_of_several_threads_do_not_mix(bind: Callable[..., tuple[Any, int]]):
    router, port = bind(rcvhwm=0)
    with dealer(port) as client:

        def send(name: bytes) -> None:
            for _ in range(50):
                client.send([name, name * 100_000, name])

        threads = [threading.Thread(target=send, args=(b"%d" % n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            _, first, body, last = router.recv_multipart()
            assert first == last and body == first * 100_000
        for thread in threads:
            thread.join()


def test_a_server_that_vanishes_ends_the_wait(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    told: list[EngineError] = []
    with dealer(port, on_close=told.append) as client:
        threading.Timer(0.1, router.close, (0,)).start()
        with pytest.raises(EngineUnreachable, match="connection to the engine broke"):
            client.recv(10)
        with pytest.raises(EngineUnreachable):
            client.send([b"anybody?"])
        with pytest.raises(EngineUnreachable):
            client.recv(10)
        client._reader.join(10)
    assert len(told) == 1


def test_recv_gives_up_in_time_and_the_connection_stays(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    with dealer(port) as client:
        with pytest.raises(EngineUnreachable, match=r"within 0\.05 s"):
            client.recv(0.05)
        client.send([b"hello"])
        router.send_multipart(router.recv_multipart())
        assert client.recv(10) == [b"hello"]


def test_close_ends_the_thread_is_repeatable_and_tells_nobody(
    bind: Callable[..., tuple[Any, int]],
):
    _, port = bind()
    told: list[EngineError] = []
    with dealer(port, on_close=told.append) as client:
        assert client.fileno() >= 0
        client.close()
        client.close()
        assert not client._reader.is_alive()
        assert client.fileno() == -1
        with pytest.raises(EngineUnreachable, match="was closed"):
            client.send([b"x"])
    assert told == []


def test_what_is_no_buffer_is_not_half_sent(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    with dealer(port) as client:
        with pytest.raises(TypeError):
            client.send([b"x" * 100_000, memoryview(bytes(10))[::2]])
        client.send([b"whole"])
        assert router.recv_multipart()[1:] == [b"whole"]


def test_a_message_over_the_limit_ends_the_connection(bind: Callable[..., tuple[Any, int]]):
    router, port = bind()
    with dealer(port, limit=1000) as client:
        client.send([b"x"])
        sender, _ = router.recv_multipart()
        router.send_multipart([sender, bytes(600), bytes(400)])
        assert len(client.recv(10)) == 2
        router.send_multipart([sender, bytes(600), bytes(401)])
        with pytest.raises(ProtocolError, match="more than the"):
            client.recv(10)


def test_a_fault_in_a_handler_ends_the_connection_and_is_told(
    bind: Callable[..., tuple[Any, int]],
):
    router, port = bind()
    told: list[EngineError] = []
    done = threading.Event()

    def handle(parts: list[Any]) -> None:
        raise ZeroDivisionError(parts)

    def close(error: EngineError) -> None:
        told.append(error)
        done.set()

    with dealer(port, on_message=handle, on_close=close) as client:
        client.send([b"x"])
        router.send_multipart(router.recv_multipart())
        assert done.wait(10)
    assert isinstance(told[0], ProtocolError)
    assert "ZeroDivisionError" in told[0].what


@pytest.mark.skipif(sys.platform != "linux", reason="counts context switches through /proc")
def test_an_idle_connection_wakes_nobody(bind: Callable[..., tuple[Any, int]]):
    _, port = bind()
    with dealer(port) as client:
        status = Path(f"/proc/self/task/{client._reader.native_id}/status")

        def switches() -> int:
            lines = status.read_text().splitlines()
            return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

        before = -1
        while before != switches():  # until it has settled in its recv
            before = switches()
            time.sleep(0.05)
        time.sleep(0.5)
        assert switches() == before


# --- a server made by hand, for what pyzmq cannot be told to do -----------------------------------

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\x01" + bytes(31)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = peer.recv(min(1 << 20, count - len(data)))
        assert more, "the client left"
        data += more
    return data


def command(peer: socket.socket) -> bytes:
    flags, size = exactly(peer, 2)
    assert flags == 4
    return exactly(peer, size)


def frame(flags: int, body: bytes) -> bytes:
    return bytes((flags, len(body))) + body


def welcome(server: socket.socket) -> socket.socket:
    """Take a connection and lead it through the whole handshake."""
    peer, _ = server.accept()
    peer.settimeout(10)
    greeting = exactly(peer, 11)
    peer.sendall(GREETING)
    assert (greeting + exactly(peer, 53))[12:32].rstrip(b"\0") == b"PLAIN"
    assert command(peer) == b"\x05HELLO\x08intarsia\x09the-token"
    peer.sendall(frame(4, b"\x07WELCOME"))
    assert command(peer).startswith(b"\x08INITIATE\x0bSocket-Type\x00\x00\x00\x06DEALER")
    peer.sendall(frame(4, b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"))
    return peer


@contextlib.contextmanager
def met(server: socket.socket, **options: Any) -> Iterator[tuple[Dealer, socket.socket]]:
    found: list[socket.socket] = []
    thread = threading.Thread(target=lambda: found.append(welcome(server)))
    thread.start()
    with dealer(server.getsockname()[1], **options) as client:
        thread.join()
        with found[0] as peer:
            yield client, peer


def test_a_ping_is_answered_with_its_context_even_within_a_message(listener: socket.socket):
    with met(listener) as (client, peer):
        peer.sendall(frame(1, b"first") + frame(4, b"\x04PING\x00\x0acontext") + frame(0, b"last"))
        assert client.recv(10) == [b"first", b"last"]
        assert command(peer) == b"\x04PONGcontext"


def test_a_ping_during_a_large_send_neither_blocks_the_reader_nor_tears_the_layer(
    listener: socket.socket,
):
    size = 32 * 1024 * 1024
    with met(listener) as (client, peer):
        sending = threading.Thread(target=client.send, args=([bytes(size)],))
        sending.start()
        head = exactly(peer, 9)
        assert head == b"\x02" + size.to_bytes(8, "big")
        peer.sendall(frame(4, b"\x04PING\x00\x00a") + frame(0, b"news"))
        assert client.recv(10) == [b"news"]  # read although the layer is still on its way
        assert sending.is_alive()
        assert exactly(peer, size) == bytes(size)
        assert command(peer) == b"\x04PONGa"
        sending.join()


def test_a_server_that_takes_nothing_ends_the_send(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("intarsia_client.zmtp.SEND_STALL_S", 1)
    with (
        met(listener) as (client, _),
        pytest.raises(EngineUnreachable, match="took no data for 1 s"),
    ):
        client.send([bytes(BIG)])


@pytest.mark.parametrize("body", [b"\x05ERROR\x03400", b"^RROR\x03400"])
def test_both_spellings_of_a_refusal_are_understood(listener: socket.socket, body: bytes):
    def refuse() -> None:
        peer, _ = listener.accept()
        with peer:
            exactly(peer, 11)
            peer.sendall(GREETING)
            exactly(peer, 53)
            command(peer)
            peer.sendall(frame(4, body))

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(EngineRefused, match="token") as caught:
        Dealer("127.0.0.1", listener.getsockname()[1], username=USER, password=TOKEN, timeout_s=10)
    thread.join()
    assert caught.value.value == "400"


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak ZeroMQ"),
        (b"\xff" + bytes(8) + b"\x7f\x01" + bytes(60), "old ZeroMQ, 1.x"),
        (GREETING.replace(b"PLAIN", b"CURVE"), "does not ask for a token"),
        (GREETING + frame(4, b"\x05READY"), "answers in the handshake"),
        (GREETING + frame(0, b"\x07WELCOME"), "answers in the handshake"),
        (GREETING + b"\x06" + (2**40).to_bytes(8, "big"), "more than the"),
    ],
)
def test_strangers_on_the_port_are_told_from_engines(
    listener: socket.socket, answer: bytes, match: str
):
    def reply() -> None:
        peer, _ = listener.accept()
        with peer:
            exactly(peer, 11)
            peer.sendall(answer)
            while peer.recv(1000):
                pass

    thread = threading.Thread(target=reply)
    thread.start()
    with pytest.raises(ProtocolError, match=match):
        Dealer("127.0.0.1", listener.getsockname()[1], username=USER, password=TOKEN, timeout_s=10)
    thread.join()


@pytest.mark.parametrize("drip", [b"", b"\xff"])
def test_a_silent_or_dripping_server_ends_the_handshake_in_time(
    listener: socket.socket, drip: bytes
):
    stop = threading.Event()

    def dribble() -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            while not stop.wait(0.05):
                peer.sendall(drip)

    thread = threading.Thread(target=dribble)
    thread.start()
    with pytest.raises(EngineUnreachable, match=r"did not answer within 0.3 s"):
        Dealer("127.0.0.1", listener.getsockname()[1], username=USER, password=TOKEN, timeout_s=0.3)
    stop.set()
    thread.join()


def test_frames_with_unknown_flags_end_the_connection(listener: socket.socket):
    with met(listener) as (client, peer):
        peer.sendall(b"\x80\x00")
        with pytest.raises(ProtocolError, match="unknown flags"):
            client.recv(10)


def test_a_message_without_end_is_cut_off(listener: socket.socket):
    with met(listener) as (client, peer):
        peer.sendall(frame(1, b"") * 100)
        with pytest.raises(ProtocolError, match="more than 64 parts"):
            client.recv(10)
