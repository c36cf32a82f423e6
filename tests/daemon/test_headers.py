"""Requests of clients: what is taken and what is not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import pytest
from engine_runs import job_id, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia_client import wire
from intarsia_daemon.headers import BadRequest, Incoming, Stray, decode

PREFIX = wire.MAGIC + bytes((wire.PROTOCOL[0],))


def frames(kind: str | int, header: Any, *buffers: bytes) -> list[bytes]:
    code = wire.KINDS[kind] if isinstance(kind, str) else kind
    data: Any = header if isinstance(header, bytes) else msgpack.packb(header)
    return [PREFIX + bytes((code,)), data, *buffers]


def submit(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "job": job_id(),
        "operation": "identity",
        "version": 1,
        "parameters": {},
        "seed": 0,
        "inputs": [picture(1, 1)],
        **changes,
    }


def refusal(*message: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(list(message))
    assert caught.value.what and caught.value.code in (
        "BAD_REQUEST",
        "TOO_LARGE",
        "UNSUPPORTED_VERSION",
    )
    return caught.value


def test_every_request_of_the_protocol_is_known() -> None:
    towards_the_engine = {
        *("hello", "submit", "cancel", "pause", "resume", "watch", "fetch", "acknowledge"),
        *("list", "models", "labels", "remove", "estimate", "release", "shutdown", "ping", "pong"),
    }
    for kind, code in wire.KINDS.items():
        try:
            decode(frames(code, {"id": 1}))
        except BadRequest as error:
            assert ("takes no message" in error.what) == (kind not in towards_the_engine), kind
        else:
            assert kind in towards_the_engine


def test_a_submit_is_decoded_with_its_buffers() -> None:
    found = decode(frames("submit", submit(label="Düne", seed=9, later="unknown"), b"1234"))
    assert isinstance(found, Incoming) and found.kind == "submit"
    assert found.header.seed == 9 and found.header.label == "Düne"
    assert found.header.priority == "interactive" and found.header.on_disconnect == "keep"
    assert list(found.buffers) == [b"1234"]


@pytest.mark.parametrize(
    "message",
    [
        [],
        [b""],
        [b"IN"],
        [b"GET ", b""],
        [b"IN\x01\x01"],
        [b"IN\x01\x01\x00", b"\x80"],
        [b"XX\x01\x01", b"\x80"],
    ],
)
def test_frames_without_our_prefix_are_dropped(message: list[bytes]) -> None:
    with pytest.raises(Stray):
        decode(message)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"id": -1}, "id"),
        ({"id": "1"}, "id"),
        ({"id": 2**63}, "id"),
        ({"job": "../../etc"}, "job"),
        ({"job": "A" * 32}, "job"),
        ({"job": "a" * 32 + "\n"}, "job"),
        ({"operation": ""}, "operation"),
        ({"operation": 5}, "operation"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"priority": "urgent"}, "priority"),
        ({"on_disconnect": None}, "on_disconnect"),
        ({"keep_s": float("nan")}, "keep_s"),
        ({"keep_s": 0}, "keep_s"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [picture(1, 1)] * (wire.MAX_BUFFERS + 1)}, "inputs"),
        ({"inputs": [5]}, "inputs"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {5: 1}}, "parameters"),
        ({"parameters": {"a": {5: 1}}}, "not text"),
        ({"parameters": {"a": msgpack.ExtType(1, b"x")}}, "extension"),
        ({"supersedes": "x"}, "supersedes"),
        ({"label": "x" * 501}, "label"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], match: str) -> None:
    error = refusal(*frames("submit", submit(**changes)))
    assert match in error.what
    assert error.re == (1 if "id" not in changes else 0)


def test_another_major_version_is_refused_naming_both() -> None:
    message = frames("list", {"id": 4})
    error = refusal(b"IN" + bytes((7, wire.KINDS["list"])), message[1])
    assert error.code == "UNSUPPORTED_VERSION" and error.re == 4
    assert "7" in error.what and "1" in error.what and "Update" in error.remedy


def test_headers_that_are_too_long_too_deep_or_no_maps_are_refused() -> None:
    assert refusal(*frames("list", b"\x80" + bytes(wire.HEADER_LIMIT))).code == "TOO_LARGE"
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    assert "deeper than 16" in refusal(*frames("submit", submit(parameters={"a": deep}))).what
    refusal(*frames("submit", b"\x81\xa7unknown" + b"\x91" * 60000 + b"\x01"))
    for header in (b"", b"\x91\x01", b"\xc0", b"\xdf\xff\xff\xff\xff", b"\x81\x01\x01"):
        refusal(*frames("list", header))


def test_more_buffers_than_a_message_may_carry_are_refused() -> None:
    many = [b""] * (wire.MAX_BUFFERS + 1)
    assert refusal(*frames("submit", submit(), *many)).code == "TOO_LARGE"


def test_a_header_of_many_small_things_needs_little_memory() -> None:
    bomb = b"\x82\xa2id\x01\xaaparameters\x81\xa1a\xdc\xff\x00" + b"\x80" * 0xFF00
    assert len(bomb) < wire.HEADER_LIMIT
    tracemalloc.start()
    with pytest.raises(BadRequest):
        decode(frames("submit", bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_frames_are_refused_or_decoded(message: list[bytes]) -> None:
    check(message)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(wire.KINDS.values())), st.binary(max_size=300))
def test_any_header_is_refused_or_decoded(code: int, header: bytes) -> None:
    check(frames(code, header))


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(wire.KINDS)),
    st.dictionaries(
        st.sampled_from([*submit(), "session", "protocol", "model", "since", "now"]), json_like
    ),
)
def test_any_fields_are_refused_or_decoded(kind: str, header: dict[str, Any]) -> None:
    check(frames(kind, {"id": 3, **header}))


def check(message: list[bytes]) -> None:
    try:
        found = decode(message)
    except Stray:
        return
    except BadRequest as error:
        assert error.what and 0 <= error.re < 2**63
    else:
        assert found.kind in wire.KINDS
