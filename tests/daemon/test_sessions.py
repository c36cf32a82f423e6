"""What may be under way to a client, with sockets that do as they are told."""

from __future__ import annotations

from typing import Any

import zmq
from engine_runs import wait_until

from intarsia_client import wire
from intarsia_client.errors import IntarsiaError
from intarsia_client.wire import Message
from intarsia_daemon.sessions import CONTROL_BACKLOG, Parcel, Session, Sessions


class FakeSocket:
    """Takes messages, or says that the peer is slow or gone."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Message]] = []
        self.mood: dict[bytes, int] = {}

    def send_multipart(self, frames: list[Any], flags: int, copy: bool) -> None:
        route = frames[0]
        if self.mood.get(route):
            raise zmq.Again() if self.mood[route] == zmq.EAGAIN else zmq.ZMQError(self.mood[route])
        self.sent.append((route, wire.unpack([bytes(f) for f in frames[1:]])))


class Setting:
    def __init__(self, credit_bytes: int = 100) -> None:
        self.control, self.bulk = FakeSocket(), FakeSocket()
        self.gone: list[Session] = []
        self.sessions = Sessions(
            {"control": self.control, "bulk": self.bulk},  # type: ignore[dict-item]
            credit_bytes=credit_bytes,
            on_gone=self.gone.append,
        )

    def session(self) -> Session:
        session = self.sessions.open(b"c", "test")
        assert self.sessions.join(session.id, b"b") is session
        return session


def note(number: int, size: int = 0) -> Message:
    return Message("done", {"re": number, "text": "x" * size})


def numbers(socket: FakeSocket) -> list[int]:
    return [message.header["re"] for _, message in socket.sent]


def test_a_session_is_found_by_its_routes() -> None:
    one = Setting()
    session = one.session()
    assert one.sessions.of("control", b"c") is session is one.sessions.of("bulk", b"b")
    assert one.sessions.of("control", b"b") is None
    assert one.sessions.join("made up", b"x") is None


def test_a_second_hello_on_a_connection_ends_its_first_session() -> None:
    one = Setting()
    first = one.session()
    second = one.sessions.open(b"c", "test")
    assert one.gone == [first] and first.id != second.id
    assert one.sessions.of("bulk", b"b") is None and len(one.sessions) == 1


def test_what_a_slow_client_does_not_take_waits_in_order() -> None:
    one = Setting()
    session = one.session()
    one.control.mood[b"c"] = zmq.EAGAIN
    one.sessions.send(session, note(1))
    one.control.mood.clear()
    one.sessions.send(session, note(2))  # must not overtake
    one.sessions.send(session, note(99), droppable=True)  # lost, as announced
    assert numbers(one.control) == []
    assert not one.sessions.flush()
    assert numbers(one.control) == [1, 2] and session.backlog_bytes == 0


def test_a_client_that_reads_nothing_is_given_up() -> None:
    one = Setting()
    session = one.session()
    one.control.mood[b"c"] = zmq.EAGAIN
    for number in range(CONTROL_BACKLOG // 200_000 + 2):
        one.sessions.send(session, note(number, 200_000))
    assert one.gone == [session] and not session.backlog


def test_a_ping_finds_out_who_is_gone() -> None:
    one = Setting()
    session, other = one.session(), one.sessions.open(b"other", "other")
    one.control.mood[b"c"] = zmq.EHOSTUNREACH
    one.sessions.ping(1)
    assert one.gone == [session] and list(one.sessions) == [other]


def test_a_slow_client_is_not_taken_for_a_gone_one() -> None:
    one = Setting()
    one.session()
    one.control.mood[b"c"] = zmq.EAGAIN
    one.sessions.ping(1)
    assert one.gone == []


def parcel(number: int, opened: list[int], nbytes: int = 60) -> Parcel:
    def open_it() -> Message:
        opened.append(number)
        return Message("pixels", {"re": number}, (bytes(nbytes),))

    return Parcel(open_it, nbytes, number)


def test_pixels_beyond_the_credit_wait_unopened() -> None:
    one, opened = Setting(credit_bytes=100), []
    session = one.session()
    held: list[Any] = []  # what ZeroMQ still holds

    def hold(frames: list[Any], flags: int, copy: bool) -> None:
        held.append(frames)

    one.bulk.send_multipart = hold  # type: ignore[method-assign]
    for number in range(3):
        one.sessions.post(session, parcel(number, opened))
    assert opened == [0] and session.flying_bytes == 60
    assert one.sessions.flush(), "something waits"
    assert opened == [0]
    held.clear()  # the client read
    wait_until(lambda: one.sessions.flush() and opened == [0, 1])
    held.clear()
    wait_until(lambda: not one.sessions.flush() and opened == [0, 1, 2])


def test_one_parcel_larger_than_the_credit_is_sent_alone() -> None:
    one, opened = Setting(credit_bytes=10), []
    one.sessions.post(one.session(), parcel(1, opened, nbytes=5000))
    assert numbers(one.bulk) == [1]


def test_a_parcel_that_cannot_be_opened_is_refused() -> None:
    one = Setting()

    def broken() -> Message:
        raise IntarsiaError("The layer is gone.", code="NOT_FOUND")

    one.sessions.post(one.session(), Parcel(broken, 5, 8))
    _, message = one.bulk.sent[0]
    assert message.kind == "refused" and message.header["re"] == 8


def test_losing_the_bulk_connection_does_not_end_the_session() -> None:
    one, opened = Setting(), []
    session = one.session()
    one.bulk.mood[b"b"] = zmq.EHOSTUNREACH
    one.sessions.post(session, parcel(1, opened))
    assert one.gone == [] and one.sessions.of("bulk", b"b") is None
    assert one.sessions.join(session.id, b"b2") is session
    one.sessions.post(session, parcel(2, opened))
    assert numbers(one.bulk) == [2]
