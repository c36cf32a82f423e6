"""The protocol's constants, and messages to frames and back (docs/wire.md is the contract)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, Sequence

from intarsia_client.errors import InvalidRequest, ProtocolError
from intarsia_client.schema import ITEM_BYTES

try:  # the copy that travels inside an editor's plug-in folder
    from intarsia_client._vendor import msgpack  # type: ignore[import-not-found]
except ImportError:
    import msgpack

PROTOCOL = (1, 2)
MAGIC = b"IN"
USER = b"intarsia"
"""PLAIN user name; the password is the endpoint file's token."""

HEADER_LIMIT = 64 * 1024
"""Bytes of a header towards the engine."""
REPLY_LIMIT = 256 * 1024
"""Bytes of a header towards a client."""
MAX_BUFFERS = 208
"""64 layers with a mask each, or the 200 frames of an animation, and some more."""
MAX_DEPTH = 16
"""Levels of maps and lists in a header, the header itself included."""
MAX_SIDE = 65535
MAX_DURATION_MS = 3_600_000
ENCODINGS = ("raw", "zlib")
LAYER_KEYS = ("amount", "frame_of", "mask_of", "group", "duration_ms")
"""What only some descriptions of result layers hold: those of frames and of layers that have
frames, of masks, of layers that go into a group, and of pictures of an animation."""
DEFLATE_FROM = 64 * 1024
"""Bytes from which a 1-channel buffer is deflated."""

KINDS = {
    "hello": 1,
    "welcome": 2,
    "refused": 3,
    "submit": 10,
    "accepted": 11,
    "started": 12,
    "progress": 13,
    "paused": 14,
    "resumed": 15,
    "finished": 16,
    "failed": 17,
    "cancelled": 18,
    "requeued": 19,
    "cancel": 20,
    "pause": 21,
    "resume": 22,
    "watch": 23,
    "fetch": 24,
    "pixels": 25,
    "acknowledge": 26,
    "done": 27,
    "list": 30,
    "models": 31,
    "remove": 32,
    "estimate": 33,
    "release": 34,
    "shutdown": 35,
    "labels": 36,
    "ping": 40,
    "pong": 41,
}
NAMES = {code: name for name, code in KINDS.items()}
EVENTS = ("started", "paused", "resumed", "finished", "failed", "cancelled", "requeued")
"""Kinds that are numbered and kept with the job."""
FINAL = ("finished", "failed", "cancelled")


@dataclass(frozen=True)
class Message:
    """One message: its kind, its header and its raw buffers."""

    kind: str
    header: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[Any, ...] = ()


def pack(message: Message, limit: int = REPLY_LIMIT) -> list[Any]:
    """Frames of a message, ready for a multipart send.

    Raises:
        InvalidRequest: The header is larger than ``limit`` or cannot be written, or there are too
            many buffers.
    """
    try:
        header: Any = msgpack.packb(message.header, use_bin_type=True)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(
            f"A {message.kind} request cannot be sent as it is ({error}).",
            remedy="Use numbers, texts, lists and maps with text keys.",
        ) from None
    if len(header) > limit:
        raise InvalidRequest(
            f"A message header may have {limit} bytes, this one has {len(header)}.",
            value=len(header),
            remedy="Send large data as buffers.",
            code="TOO_LARGE",
        )
    if len(message.buffers) > MAX_BUFFERS:
        raise InvalidRequest(
            f"A message may carry {MAX_BUFFERS} buffers, this one has {len(message.buffers)}.",
            value=len(message.buffers),
            remedy="Send fewer layers at once.",
            code="TOO_LARGE",
        )
    prefix = MAGIC + bytes((PROTOCOL[0], KINDS[message.kind]))
    return [prefix, header, *message.buffers]


def unpack(frames: Sequence[Any], limit: int = REPLY_LIMIT) -> Message:
    """The message in a list of frames.

    Raises:
        ProtocolError: Not our prefix, another major version, an unknown kind, or a header that is
            too large, too deep or not a map with text keys.
    """
    if len(frames) < 2 or len(frames[0]) != 4 or bytes(frames[0][:2]) != MAGIC:
        raise ProtocolError("A message without the Intarsia prefix arrived.", value=len(frames))
    major, code = frames[0][2], frames[0][3]
    if major != PROTOCOL[0]:
        raise ProtocolError(
            f"The other side speaks protocol {major}, this side {PROTOCOL[0]}.",
            value=major,
            remedy="Update the older of the two: engine and plug-ins come from one release.",
            code="UNSUPPORTED_VERSION",
        )
    if code not in NAMES:
        raise ProtocolError(f"A message of the unknown kind {code} arrived.", value=code)
    if len(frames[1]) > limit:
        raise ProtocolError(f"A header of {len(frames[1])} bytes is over the limit.", value=limit)
    if len(frames) - 2 > MAX_BUFFERS:
        raise ProtocolError(f"A message with {len(frames) - 2} buffers arrived.", value=MAX_BUFFERS)
    try:
        header = msgpack.unpackb(bytes(frames[1]), raw=False, strict_map_key=True, max_ext_len=0)
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError(f"A header could not be read ({type(error).__name__}).") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"A header must be a map, got {type(header).__name__}.")
    _check_plain(header, MAX_DEPTH)
    return Message(NAMES[code], header, tuple(frames[2:]))


def _check_plain(value: Any, depth: int) -> None:
    """Refuse what the protocol leaves out: deep nesting, keys that are no text, extension types."""
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise ProtocolError(
                f"A header is nested deeper than {MAX_DEPTH} levels.", value=MAX_DEPTH
            )
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise ProtocolError("The keys of a header must be texts.")
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, depth - 1)
    elif not isinstance(value, (str, bytes, int, float, type(None))):  # a bool is an int
        raise ProtocolError(f"A header holds a value of the type {type(value).__name__}.")


def describe(item: Any, encoding: str) -> dict[str, Any]:
    """The description of one buffer; ``item`` is a `Pixels` or a `ResultLayer`."""
    description = {
        "name": item.name,
        "input": getattr(item, "input", ""),
        "width": item.width,
        "height": item.height,
        "channels": item.channels,
        "dtype": item.dtype,
        "x": item.x,
        "y": item.y,
        "nbytes": item.width * item.height * item.channels * ITEM_BYTES[item.dtype],
        "encoding": encoding,
    }
    description.update(layer_keys(item))
    return description


def layer_keys(item: Any) -> dict[str, Any]:
    """Those of `LAYER_KEYS` that a layer has a value for."""
    found = {key: getattr(item, key, None) for key in LAYER_KEYS}
    return {key: value for key, value in found.items() if value is not None and value != ""}


def encode_buffers(items: Sequence[Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Descriptions and raw frames for `Pixels` or `ResultLayer` objects.

    Raises:
        InvalidRequest: A size, a sample type or a buffer's length is wrong.
    """
    descriptions, frames = [], []
    for item in items:
        encoding, data = "raw", _whole_buffer(item)
        if item.channels == 1 and data.nbytes >= DEFLATE_FROM:
            encoding, data = "zlib", zlib.compress(data, 1)
        descriptions.append(describe(item, encoding))
        frames.append(data)
    return descriptions, frames


def _whole_buffer(item: Any) -> memoryview:
    """The bytes of a `Pixels` or `ResultLayer`, checked against its size, not copied."""
    sides = [item.width, item.height]
    if not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in sides):
        raise InvalidRequest(
            f"A layer may be 1 to {MAX_SIDE} pixels a side, got {item.width}x{item.height}.",
            value=sides,
            remedy="Use a smaller or a larger layer.",
        )
    if item.channels not in (1, 4) or item.dtype not in tuple(ITEM_BYTES):
        raise InvalidRequest(
            "Pixels have 1 or 4 channels of u8, u16 or f32; "
            f"got {item.channels!r} of {item.dtype!r}.",
            value=[item.channels, item.dtype],
            remedy="Convert the layer first.",
        )
    wanted = item.width * item.height * item.channels * ITEM_BYTES[item.dtype]
    try:
        view = memoryview(item.data).cast("B")
    except TypeError:
        raise InvalidRequest(
            f"Pixels must lie in one contiguous piece of bytes, got {type(item.data).__name__}.",
            remedy="Give bytes, a bytearray or a contiguous array.",
        ) from None
    if view.nbytes != wanted:
        raise InvalidRequest(
            f"{item.width}x{item.height} with {item.channels} channels of {item.dtype} needs "
            f"{wanted} bytes, got {view.nbytes}.",
            value=view.nbytes,
            remedy="Send whole rows without padding.",
        )
    return view


def check_buffer(description: Any, frame: Any) -> dict[str, Any]:
    """Check one description against its frame before anything is allocated.

    Returns:
        The description, as given.

    Raises:
        ProtocolError: A field is missing or has the wrong type, a size is out of range, or the
            sizes do not fit the bytes.
    """
    if not isinstance(description, dict):
        raise ProtocolError("A buffer's description must be a map.", code="BAD_REQUEST")
    for key in ("width", "height", "channels", "nbytes", "x", "y"):
        value = description.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ProtocolError(f"{key} must be a whole number.", value=value, code="BAD_REQUEST")
    width, height, channels = (description[k] for k in ("width", "height", "channels"))
    dtype, encoding = description.get("dtype"), description.get("encoding")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ProtocolError(
            f"A layer may be 1 to {MAX_SIDE} pixels a side, got {width}x{height}.",
            value=[width, height],
            code="BAD_REQUEST",
        )
    if channels not in (1, 4) or dtype not in tuple(ITEM_BYTES) or encoding not in ENCODINGS:
        raise ProtocolError(
            "Channels, dtype and encoding must be 1 or 4, u8/u16/f32, raw or zlib.",
            value=[channels, str(dtype), str(encoding)],
            code="BAD_REQUEST",
        )
    for key in ("name", "input", "group"):
        if not isinstance(description.get(key, ""), str):
            raise ProtocolError(f"{key} must be a text.", code="BAD_REQUEST")
    _check_amount(description.get("amount"))
    for key in ("frame_of", "mask_of"):
        _check_number(key, description.get(key))
    _check_duration(description.get("duration_ms"))
    nbytes = width * height * channels * ITEM_BYTES[dtype]
    length = memoryview(frame).nbytes
    if description["nbytes"] != nbytes or (encoding == "raw" and length != nbytes):
        raise ProtocolError(
            f"{width}x{height} with {channels} channels of {dtype} needs {nbytes} bytes; "
            f"described are {description['nbytes']}, sent {length}.",
            value=length,
            code="BAD_REQUEST",
        )
    return description


def _check_amount(amount: Any) -> None:
    number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
    if amount is not None and not (number and 0 <= amount <= 1):
        raise ProtocolError(
            "amount must be a number in [0, 1].", value=repr(amount), code="BAD_REQUEST"
        )


def _check_duration(duration_ms: Any) -> None:
    number = isinstance(duration_ms, (int, float)) and not isinstance(duration_ms, bool)
    if duration_ms is not None and not (number and 0 < duration_ms <= MAX_DURATION_MS):
        raise ProtocolError(
            f"duration_ms must be a number above 0, {MAX_DURATION_MS} at most.",
            value=repr(duration_ms),
            code="BAD_REQUEST",
        )


def _check_number(key: str, number: Any) -> None:
    whole = isinstance(number, int) and not isinstance(number, bool)
    if number is not None and not (whole and 0 <= number < MAX_BUFFERS):
        raise ProtocolError(
            f"{key} must be a layer's number.", value=repr(number), code="BAD_REQUEST"
        )


def inflate(description: dict[str, Any], frame: Any) -> Any:
    """The raw bytes of a checked buffer.

    Raises:
        ProtocolError: A deflated buffer is broken or larger than it says.
    """
    if description["encoding"] == "raw":
        return frame
    decoder = zlib.decompressobj()
    try:
        # room for one byte more than described, so that a whole stream always reaches its end
        data = decoder.decompress(frame, description["nbytes"] + 1)
    except zlib.error as error:
        raise ProtocolError(f"A deflated buffer is broken ({error}).", code="BAD_REQUEST") from None
    if len(data) != description["nbytes"] or not decoder.eof or decoder.unused_data:
        raise ProtocolError("A deflated buffer has another size than it says.", code="BAD_REQUEST")
    return data
