"""Messages to frames and back, and what hostile frames may do: nothing but a ProtocolError."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import ROOT

from intarsia_client import replies, wire
from intarsia_client.errors import CODES, InvalidRequest, ProtocolError
from intarsia_client.schema import ITEM_BYTES, Pixels, ResultLayer
from intarsia_client.wire import Message

FUZZ = settings(deadline=None, max_examples=200)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
odd = st.recursive(
    plain | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.binary() | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=10,
)


def frames(header: Any, kind: str = "done") -> list[bytes]:
    packed: Any = msgpack.packb(header)
    return [wire.MAGIC + bytes((wire.PROTOCOL[0], wire.KINDS[kind])), packed]


def test_the_document_and_the_constants_name_the_same_messages():
    document = (ROOT / "docs" / "wire.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", document, flags=re.MULTILINE)
    assert {name: int(code) for name, code in rows} == wire.KINDS
    events = re.findall(r"^\| `(\w+)` \| \d+ \| [^|]*, event \|", document, flags=re.MULTILINE)
    assert sorted(events) == sorted(wire.EVENTS)
    codes = document.split("## Codes")[1].split("\n\nTexts")[0]
    assert tuple(re.findall(r"`([A-Z_]+)`", codes)) == CODES


@FUZZ
@given(st.sampled_from(sorted(wire.KINDS)), st.dictionaries(st.text(), plain, max_size=5))
def test_a_message_survives_the_way(kind: str, header: dict[str, Any]):
    sent = Message(kind, header, (b"abc", b""))
    assert wire.unpack(wire.pack(sent)) == sent


@FUZZ
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_random_frames_raise_only_a_protocol_error(parts: list[bytes]):
    with pytest.raises(ProtocolError):
        wire.unpack(parts)


@FUZZ
@given(st.binary(max_size=200))
def test_random_headers_raise_only_a_protocol_error(header: bytes):
    try:
        message = wire.unpack([b"IN\x01\x28", header])
    except ProtocolError:
        return
    assert isinstance(message.header, dict)


@FUZZ
@given(odd)
def test_only_maps_with_text_keys_and_plain_values_pass(value: Any):
    try:
        header = wire.unpack(frames(value)).header
    except ProtocolError:
        assert not (isinstance(value, dict) and is_plain(value))
    else:
        assert is_plain(header)


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return not isinstance(value, msgpack.ExtType)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
def test_a_header_that_nests_without_end_is_refused(opening: bytes):
    with pytest.raises(ProtocolError):
        wire.unpack([b"IN\x01\x28", opening * 20_000 + b"\xc0"])


def test_sixteen_levels_pass_and_seventeen_do_not():
    value: Any = None
    for _ in range(wire.MAX_DEPTH - 1):
        value = [value]
    assert wire.unpack(frames({"a": value})).header == {"a": value}
    with pytest.raises(ProtocolError, match="deeper than 16"):
        wire.unpack(frames({"a": [value]}))


def test_a_timestamp_is_refused_like_every_extension():
    with pytest.raises(ProtocolError):
        wire.unpack(frames({"when": msgpack.Timestamp(1, 2)}))


def test_another_major_version_is_named_with_ours():
    with pytest.raises(ProtocolError, match="protocol 7, this side 1") as caught:
        wire.unpack([b"IN\x07\x28", b"\x80"])
    assert caught.value.code == "UNSUPPORTED_VERSION"


def test_an_unknown_kind_too_many_buffers_and_a_large_header_are_refused():
    with pytest.raises(ProtocolError, match="unknown kind 99"):
        wire.unpack([b"IN\x01\x63", b"\x80"])
    with pytest.raises(ProtocolError, match=f"{wire.MAX_BUFFERS + 1} buffers"):
        wire.unpack(frames({}) + [b""] * (wire.MAX_BUFFERS + 1))
    with pytest.raises(ProtocolError, match="over the limit"):
        wire.unpack([b"IN\x01\x28", bytes(wire.HEADER_LIMIT + 1)], limit=wire.HEADER_LIMIT)


def test_unknown_header_fields_are_kept_and_do_not_disturb():
    assert wire.unpack(frames({"re": 1, "from_the_future": [1]})).header["from_the_future"] == [1]


@pytest.mark.parametrize(
    "header", [{"x": object()}, {"x": 2**80}, {"x": "a" * (wire.REPLY_LIMIT + 1)}]
)
def test_what_cannot_be_sent_is_an_invalid_request(header: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        wire.pack(Message("done", header))


def test_the_limit_towards_the_engine_is_the_callers_choice():
    message = Message("done", {"x": "a" * (wire.HEADER_LIMIT + 1)})
    assert wire.pack(message)
    with pytest.raises(InvalidRequest, match=str(wire.HEADER_LIMIT)):
        wire.pack(message, wire.HEADER_LIMIT)
    with pytest.raises(InvalidRequest, match=str(wire.MAX_BUFFERS + 1)):
        wire.pack(Message("done", {}, (b"",) * (wire.MAX_BUFFERS + 1)))


# --- buffers --------------------------------------------------------------------------------------

junk = plain | st.lists(plain, max_size=2) | st.just(True) | st.just(10**30)
good = {
    "name": "Sky",
    "input": "picture",
    "width": 3,
    "height": 2,
    "channels": 4,
    "dtype": "u8",
    "x": -5,
    "y": 9,
    "nbytes": 24,
    "encoding": "raw",
    "amount": 0.5,
    "frame_of": 0,
    "mask_of": 0,
    "group": "Mosaic",
    "duration_ms": 100.0,
}


@FUZZ
@given(
    st.dictionaries(st.sampled_from(sorted(good)), junk, max_size=4),
    st.sets(st.sampled_from(sorted(good)), max_size=2),
    st.binary(max_size=30),
)
def test_a_wrong_description_raises_only_a_protocol_error(
    changes: dict[str, Any], removed: set[str], frame: bytes
):
    description = {k: v for k, v in dict(good, **changes).items() if k not in removed}
    try:
        checked = wire.check_buffer(description, frame)
    except ProtocolError as error:
        assert error.code == "BAD_REQUEST"
        return
    size = checked["width"] * checked["height"] * checked["channels"] * ITEM_BYTES[checked["dtype"]]
    assert size == checked["nbytes"]
    assert checked["encoding"] == "zlib" or len(frame) == size


@FUZZ
@given(junk, st.binary(max_size=10))
def test_a_description_that_is_no_map_raises_only_a_protocol_error(description: Any, frame: bytes):
    with pytest.raises(ProtocolError):
        wire.check_buffer(description, frame)


@FUZZ
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1, 4]),
    st.sampled_from(sorted(ITEM_BYTES)),
    st.integers(-9, 9),
    st.randoms(use_true_random=False),
)
def test_pixels_survive_the_way(
    width: int, height: int, channels: int, dtype: str, x: int, source: Any
):
    data = source.randbytes(width * height * channels * ITEM_BYTES[dtype])
    item = Pixels("picture", width, height, channels, data, dtype, x, -x, "Sky")
    (description,), (frame,) = wire.encode_buffers([item])
    checked = wire.check_buffer(description, frame)
    assert bytes(wire.inflate(checked, frame)) == data
    assert (checked["x"], checked["y"], checked["name"]) == (x, -x, "Sky")


def test_a_large_coverage_buffer_is_deflated_and_a_picture_is_not():
    area = Pixels("area", 300, 300, 1, bytes(90_000))
    layer = ResultLayer("out", 300, 300, 4, bytes(360_000))
    descriptions, sent = wire.encode_buffers([area, layer])
    assert [d["encoding"] for d in descriptions] == ["zlib", "raw"]
    assert len(sent[0]) < 1000
    assert wire.inflate(wire.check_buffer(descriptions[0], sent[0]), sent[0]) == bytes(90_000)


def test_a_picture_is_not_copied():
    data = bytearray(24)
    _, (frame,) = wire.encode_buffers([Pixels("picture", 3, 2, 4, data)])
    data[0] = 7
    assert frame[0] == 7


def deflated(data: bytes, nbytes: int) -> tuple[dict[str, Any], bytes]:
    changes = {"channels": 1, "width": nbytes, "height": 1, "nbytes": nbytes, "encoding": "zlib"}
    return dict(good, **changes), data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no deflate at all",
        zlib.compress(bytes(99)),
        zlib.compress(bytes(101)),
        zlib.compress(bytes(100_000_000)),
        zlib.compress(bytes(100))[:-1],
        zlib.compress(bytes(100)) + b"more",
    ],
)
def test_a_deflated_buffer_of_another_size_is_refused(data: bytes):
    description, frame = deflated(data, 100)
    with pytest.raises(ProtocolError, match="deflated buffer"):
        wire.inflate(wire.check_buffer(description, frame), frame)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_level_of_deflate_is_understood(level: int):
    data = struct.pack("100B", *range(100))
    assert wire.inflate(*deflated(zlib.compress(data, level), 100)) == data


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"data": bytes(23)}, "needs 24 bytes, got 23"),
        ({"width": 0}, "1 to 65535"),
        ({"width": 65536}, "1 to 65535"),
        ({"width": 2.5}, "1 to 65535"),
        ({"channels": 3}, "1 or 4 channels"),
        ({"dtype": "f64"}, "u8, u16 or f32"),
        ({"dtype": []}, "u8, u16 or f32"),
        ({"data": "text"}, "contiguous"),
        ({"data": memoryview(bytes(48))[::2]}, "contiguous"),
    ],
)
def test_wrong_pixels_are_refused_before_sending(changes: dict[str, Any], match: str):
    fields = {"input": "picture", "width": 3, "height": 2, "channels": 4, "data": bytes(24)}
    with pytest.raises(InvalidRequest, match=match):
        wire.encode_buffers([Pixels(**dict(fields, **changes))])


def test_only_frames_are_described_as_such():
    layers = [
        ResultLayer("All", 1, 1, 4, b"abcd", amount=1.0),
        ResultLayer("Some", 1, 1, 4, b"efgh", amount=0.25, frame_of=0),
    ]
    first, second = wire.encode_buffers(layers)[0]
    assert first["amount"] == 1.0 and "frame_of" not in first
    assert (second["amount"], second["frame_of"]) == (0.25, 0)
    plain_one = wire.encode_buffers([Pixels("picture", 1, 1, 4, b"abcd")])[0][0]
    assert not set(wire.LAYER_KEYS) & set(plain_one)


def test_masks_and_groups_survive_the_wire():
    layers = (
        ResultLayer("Map", 1, 1, 4, b"abcd"),
        ResultLayer("Apple", 1, 1, 4, b"efgh", x=3, group="Mosaic"),
        ResultLayer("Apple", 1, 1, 1, b"i", x=3, mask_of=1),
    )
    descriptions, frames = wire.encode_buffers(layers)
    assert not set(wire.LAYER_KEYS) & set(descriptions[0])
    arrived = wire.unpack(wire.pack(Message("pixels", {"buffers": descriptions}, tuple(frames))))
    assert [replace(x, data=bytes(x.data)) for x in replies.layers(arrived)] == list(layers)


def test_how_long_a_picture_of_an_animation_shows_survives_the_wire():
    layer = ResultLayer("Frame", 1, 1, 4, b"abcd", duration_ms=83.3)
    descriptions, frames = wire.encode_buffers([layer])
    arrived = wire.unpack(wire.pack(Message("pixels", {"buffers": descriptions}, tuple(frames))))
    assert [x.duration_ms for x in replies.layers(arrived)] == [83.3]


def test_sixty_four_layers_with_masks_fit_into_one_message():
    name = "A template with a rather long name, as photographs have them.jpeg"
    layers = [ResultLayer(name, 1, 1, 4, b"abcd", group="Mosaic of the portrait")] * 64
    layers += [ResultLayer(name, 1, 1, 1, b"a", mask_of=i) for i in range(64)]
    descriptions, frames = wire.encode_buffers(layers)
    message = Message("finished", {"layers": descriptions}, tuple(frames))
    assert len(wire.pack(message, wire.HEADER_LIMIT)) == 2 + 128


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1.5},
        {"amount": "1"},
        {"amount": True},
        {"amount": float("nan")},
        {"frame_of": -1},
        {"frame_of": wire.MAX_BUFFERS},
        {"frame_of": 0.0},
        {"frame_of": False},
        {"mask_of": -1},
        {"mask_of": wire.MAX_BUFFERS},
        {"mask_of": "0"},
        {"group": 3},
        {"group": None},
        {"duration_ms": 0},
        {"duration_ms": wire.MAX_DURATION_MS + 1},
        {"duration_ms": "100"},
        {"duration_ms": True},
    ],
)
def test_a_frame_mask_or_group_that_is_wrongly_described_is_refused(changes: dict[str, Any]):
    with pytest.raises(ProtocolError, match=r"(amount|frame_of|mask_of|group|duration_ms) must be"):
        wire.check_buffer({**good, **changes}, bytes(24))
