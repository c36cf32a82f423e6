"""The protocol's constants, and messages to frames and back (docs/wire.md is the contract)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

from intarsia_client.errors import InvalidRequest, ProtocolError
from intarsia_client.schema import ITEM_BYTES

try:  # the copy that travels inside an editor's plug-in folder
    from intarsia_client._vendor import msgpack  # type: ignore[import-not-found]
except ImportError:
    import msgpack

PROTOCOL = (1, 0)
MAGIC = b"IN"
USER = b"intarsia"
"""PLAIN user name; the password is the endpoint file's token."""

HEADER_LIMIT = 64 * 1024
"""Bytes of a header towards the engine."""
REPLY_LIMIT = 256 * 1024
"""Bytes of a header towards a client."""
MAX_BUFFERS = 32
MAX_SIDE = 65535
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
    header: Dict[str, Any] = field(default_factory=dict)
    buffers: Tuple[Any, ...] = ()


def pack(message: Message) -> List[Any]:
    """Frames of a message, ready for a multipart send.

    Raises:
        InvalidRequest: The header is larger than `REPLY_LIMIT` or there are too many buffers.
    """
    header = msgpack.packb(message.header, use_bin_type=True)
    if len(header) > REPLY_LIMIT:
        raise InvalidRequest(
            "A message header may have %d bytes, this one has %d." % (REPLY_LIMIT, len(header)),
            value=len(header),
            remedy="Send large data as buffers.",
            code="TOO_LARGE",
        )
    if len(message.buffers) > MAX_BUFFERS:
        raise InvalidRequest(
            "A message may carry %d buffers, this one has %d." % (MAX_BUFFERS, len(message.buffers)),
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
            "The other side speaks protocol %d, this side %d." % (major, PROTOCOL[0]),
            value=major,
            remedy="Update the older of the two: engine and plug-ins come from one release.",
            code="UNSUPPORTED_VERSION",
        )
    if code not in NAMES:
        raise ProtocolError("A message of the unknown kind %d arrived." % code, value=code)
    if len(frames[1]) > limit:
        raise ProtocolError("A header of %d bytes is over the limit." % len(frames[1]), value=limit)
    if len(frames) - 2 > MAX_BUFFERS:
        raise ProtocolError("A message with %d buffers arrived." % (len(frames) - 2), value=MAX_BUFFERS)
    try:
        header = msgpack.unpackb(bytes(frames[1]), raw=False, strict_map_key=True, max_ext_len=0)
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError("A header could not be read (%s)." % type(error).__name__) from None
    if not isinstance(header, dict):
        raise ProtocolError("A header must be a map, got %s." % type(header).__name__)
    return Message(NAMES[code], header, tuple(frames[2:]))


def describe(item: Any, data: Any, encoding: str) -> Dict[str, Any]:
    """The description of one buffer; ``item`` is a `Pixels` or a `ResultLayer`."""
    return {
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


def encode_buffers(items: Sequence[Any]) -> Tuple[List[Dict[str, Any]], List[Any]]:
    """Descriptions and raw frames for `Pixels` or `ResultLayer` objects.

    Raises:
        InvalidRequest: A buffer's length does not fit its size.
    """
    descriptions, frames = [], []
    for item in items:
        view = memoryview(item.data)
        wanted = item.width * item.height * item.channels * ITEM_BYTES[item.dtype]
        if view.nbytes != wanted:
            raise InvalidRequest(
                "%dx%d with %d channels of %s needs %d bytes, got %d."
                % (item.width, item.height, item.channels, item.dtype, wanted, view.nbytes),
                value=view.nbytes,
                remedy="Send whole rows without padding.",
            )
        encoding, data = "raw", item.data
        if item.channels == 1 and wanted >= DEFLATE_FROM:
            encoding, data = "zlib", zlib.compress(view, 1)
        descriptions.append(describe(item, data, encoding))
        frames.append(data)
    return descriptions, frames


def check_buffer(description: Any, frame: Any) -> Dict[str, Any]:
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
            raise ProtocolError("%s must be a whole number." % key, value=value, code="BAD_REQUEST")
    width, height, channels = (description[k] for k in ("width", "height", "channels"))
    dtype, encoding = description.get("dtype"), description.get("encoding")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ProtocolError(
            "A layer may be 1 to %d pixels a side, got %dx%d." % (MAX_SIDE, width, height),
            value=[width, height],
            code="BAD_REQUEST",
        )
    if channels not in (1, 4) or dtype not in ITEM_BYTES or encoding not in ("raw", "zlib"):
        raise ProtocolError(
            "Channels, dtype and encoding must be 1 or 4, u8/u16/f32, raw or zlib.",
            value=[channels, str(dtype), str(encoding)],
            code="BAD_REQUEST",
        )
    nbytes = width * height * channels * ITEM_BYTES[dtype]
    length = memoryview(frame).nbytes
    if description["nbytes"] != nbytes or (encoding == "raw" and length != nbytes):
        raise ProtocolError(
            "%dx%d with %d channels of %s needs %d bytes; described are %d, sent %d."
            % (width, height, channels, dtype, nbytes, description["nbytes"], length),
            value=length,
            code="BAD_REQUEST",
        )
    return description


def inflate(description: Dict[str, Any], frame: Any) -> Any:
    """The raw bytes of a checked buffer.

    Raises:
        ProtocolError: A deflated buffer is broken or larger than it says.
    """
    if description["encoding"] == "raw":
        return frame
    decoder = zlib.decompressobj()
    try:
        data = decoder.decompress(bytes(frame), description["nbytes"])
    except zlib.error as error:
        raise ProtocolError("A deflated buffer is broken (%s)." % error, code="BAD_REQUEST") from None
    if len(data) != description["nbytes"] or decoder.unconsumed_tail:
        raise ProtocolError("A deflated buffer has another size than it says.", code="BAD_REQUEST")
    return data
