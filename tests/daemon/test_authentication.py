"""Nothing enters without the token, and the proof of it is made at every start."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from engine_runs import Peer, endpoint_of, scripted_environment, wait_until
from tests.support import running_engine

from intarsia_client import wire
from intarsia_client.errors import EngineRefused
from intarsia_daemon.authentication import Gatekeeper, bind_router, probe

DROPPED = "without our prefix were dropped"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    environment = scripted_environment(tmp_path_factory.mktemp("engine"))
    with running_engine(environment) as process:
        log = Path(environment["INTARSIA_HOME"]) / "log" / "engine.log"
        yield {**endpoint_of(environment), "log": log, "process": process}


def served(engine: dict[str, Any]) -> None:
    """A good client is served, now."""
    with Peer(engine) as peer:
        assert tuple(peer.welcome["protocol"]) == wire.PROTOCOL
        peer.submit("identity", pixels=b"12345678" * 2)


def hears_nothing(engine: dict[str, Any], **options: Any) -> None:
    with Peer(engine, hello=False, **options) as stranger:
        stranger.knock("hello", protocol=[1, 0], client="stranger")
        stranger.knock("shutdown", now=True)
        assert stranger.receive(timeout_s=0.7) is None
    assert DROPPED not in engine["log"].read_text("utf-8")
    assert engine["process"].poll() is None
    served(engine)


def test_the_right_token_is_welcome(engine: dict[str, Any]) -> None:
    served(engine)


@pytest.mark.parametrize("token", ["wrong", " ", "x" * 255])
def test_a_wrong_token_gets_no_answer(engine: dict[str, Any], token: str) -> None:
    hears_nothing(engine, token=token)


def test_another_user_name_gets_no_answer(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "USER", b"somebody")
    with Peer(engine, hello=False) as stranger:
        stranger.knock("hello", protocol=[1, 0])
        assert stranger.receive(timeout_s=0.7) is None


def test_a_peer_without_mechanism_gets_no_answer(engine: dict[str, Any]) -> None:
    hears_nothing(engine, mechanism="NULL")


ZMTP1 = b"\x01\x00" + b"\x05\x00IN\x01\x01" + b"\x02\x00\x80"
ZMTP2 = b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + b"\x00\x04IN\x01\x01\x00\x01\x80"
HTTP = (
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000\r\n\r\n"
    + b"IN\x01\x23\x81\xa2id\x01" * 200
)
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))
ZMTP3_NULL = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)


@pytest.mark.parametrize("side", ["control", "bulk"])
@pytest.mark.parametrize(
    "data",
    [HTTP, TLS, ZMTP1, ZMTP2, ZMTP3_NULL, b"\x00" * 1000, b"\xff" * 1000, None],
    ids=["http", "tls", "zmtp1", "zmtp2", "zmtp3-null", "zeros", "ones", "random"],
)
def test_bytes_of_strangers_are_never_delivered(
    engine: dict[str, Any], data: bytes | None, side: str
) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", engine[side]), timeout=5) as stranger:
            stranger.sendall(data if data is not None else os.urandom(4096))
            stranger.settimeout(0.2)
            try:
                while stranger.recv(4096):
                    pass
            except OSError:
                pass
    assert DROPPED not in engine["log"].read_text("utf-8")
    served(engine)


def test_idle_connections_do_not_keep_a_client_out(engine: dict[str, Any]) -> None:
    idle = [socket.create_connection(("127.0.0.1", engine["control"])) for _ in range(200)]
    try:
        served(engine)
    finally:
        for connection in idle:
            connection.close()


def test_only_loopback_is_bound(engine: dict[str, Any]) -> None:
    family = [psutil.Process(engine["process"].pid)]
    family += family[0].children(recursive=True)
    listening = {
        connection.laddr
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {engine["control"], engine["bulk"]}


def test_stray_frames_of_a_known_peer_are_dropped_and_counted(tmp_path: Path) -> None:
    """Also the proof that the tests above would notice a delivery."""
    environment = scripted_environment(tmp_path)
    with running_engine(environment), Peer(endpoint_of(environment)) as peer:
        for frames in ([b"GET / HTTP/1.1"], [b""] * 1000, [b"IN"], [b"XX\x01\x01", b"\x80"]):
            peer.sockets["control"].send_multipart(frames)
        log = Path(environment["INTARSIA_HOME"]) / "log" / "engine.log"
        wait_until(lambda: f"4 messages {DROPPED}" in log.read_text("utf-8"))
        assert peer.ask("ping")["workers"]


def bound(context: zmq.Context) -> tuple[zmq.Socket, int]:
    return bind_router(context, frame_bytes=1000, receive=4, send=4, heartbeats=True)


def test_the_probe_is_content_with_a_guarded_socket() -> None:
    context = zmq.Context()
    gatekeeper = Gatekeeper(context, "secret")
    router, port = bound(context)
    probe(context, (port,), "secret")
    with pytest.raises(EngineRefused, match="own token"):
        probe(context, (port,), "another")
    router.close(0)
    gatekeeper.close()
    context.term()


def test_the_probe_refuses_a_socket_whose_gatekeeper_is_gone() -> None:
    context = zmq.Context()
    gatekeeper = Gatekeeper(context, "secret")
    router, port = bound(context)
    gatekeeper.close()
    with pytest.raises(EngineRefused, match="refuses the engine's own token"):
        probe(context, (port,), "secret")
    router.close(0)
    context.term()


def test_the_probe_refuses_a_socket_that_lets_everybody_in() -> None:
    context = zmq.Context()
    handler = context.socket(zmq.REP)
    handler.bind("inproc://zeromq.zap.01")

    def let_everybody_in() -> None:
        version, number, *_ = handler.recv_multipart()
        handler.send_multipart([version, number, b"200", b"OK", b"anybody", b""])

    thread = threading.Thread(target=let_everybody_in)
    thread.start()
    router, port = bound(context)
    with pytest.raises(EngineRefused, match="without the token"):
        probe(context, (port,), "secret")
    thread.join()
    handler.close(0)
    router.close(0)
    context.term()
