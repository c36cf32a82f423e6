"""Requests of clients, decoded into typed structures; nothing untyped gets past this module.

docs/wire.md describes the fields. `decode` checks the frames (prefix, version, sizes, depth), then
every field's type and range in one pass, so that handlers can rely on what they get.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from intarsia_client import wire
from intarsia_client.errors import ProtocolError

MAX_DEPTH = 16
REMEDY = "Update the older of the two: engine and plug-ins come from one release."

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
JobId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Side = Annotated[int, msgspec.Meta(ge=1, le=wire.MAX_SIDE)]
Offset = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every request."""

    id: Id


class Hello(Request, frozen=True):
    """Opens a session (control) or joins one (bulk)."""

    protocol: Annotated[list[Version], msgspec.Meta(min_length=2, max_length=2)]
    client: Text = ""
    version: Text = ""
    session: Text = ""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """An input without its pixels."""

    input: Name
    width: Side
    height: Side
    x: Offset = 0
    y: Offset = 0


class Submit(Request, frozen=True):
    """A new job; its pixels are the message's buffers."""

    job: JobId
    operation: Name
    inputs: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=wire.MAX_BUFFERS)]
    """Descriptions of the buffers; `intarsia_client.wire.check_buffer` checks them."""
    version: Version | None = None
    parameters: dict[str, Any] = {}
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    label: Text = ""
    priority: Literal["interactive", "batch"] = "interactive"
    supersedes: JobId | None = None
    on_disconnect: Literal["keep", "cancel"] = "keep"
    keep_s: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] | None = None


class OfJob(Request, frozen=True):
    """A request about one job."""

    job: JobId


class Watch(OfJob, frozen=True):
    """Send the events after number ``since`` again, and all further ones."""

    since: Annotated[int, msgspec.Meta(ge=0)] = 0


class Fetch(OfJob, frozen=True):
    """Send the layers of a result, and its frames if they are wanted."""

    frames: bool = False


class Labels(Request, frozen=True):
    """Tell the names of a model's classes; empty: of the best model with classes."""

    model: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Remove(Request, frozen=True):
    """Remove a model."""

    model: Name


class Estimate(Request, frozen=True):
    """How long would this take?"""

    operation: Name
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[Size], msgspec.Meta(max_length=wire.MAX_BUFFERS)] = []


class Shutdown(Request, frozen=True):
    """Leave: after the running edits, or now."""

    now: bool = False


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The client's answer to a ping."""

    re: Id = 0


_HEADERS: dict[str, type[msgspec.Struct]] = {
    "hello": Hello,
    "submit": Submit,
    "cancel": OfJob,
    "pause": OfJob,
    "resume": OfJob,
    "watch": Watch,
    "fetch": Fetch,
    "acknowledge": OfJob,
    "list": Request,
    "models": Request,
    "labels": Labels,
    "remove": Remove,
    "estimate": Estimate,
    "release": Request,
    "shutdown": Shutdown,
    "ping": Request,
    "pong": Pong,
}


def _refuse_extension(code: int, data: memoryview) -> None:
    raise ValueError(f"the extension type {code} is not allowed")


class _AnyId(msgspec.Struct):
    id: int = 0


_DECODERS = {
    kind: msgspec.msgpack.Decoder(header, ext_hook=_refuse_extension)
    for kind, header in _HEADERS.items()
}
_ANY_ID = msgspec.msgpack.Decoder(_AnyId)


class Incoming(msgspec.Struct, frozen=True):
    """A decoded request: its kind, its header and the frames with pixels."""

    kind: str
    header: Any
    buffers: Sequence[Any]


class Stray(Exception):
    """Frames that are not ours: dropped and counted, never answered."""


class BadRequest(ProtocolError):
    """A message of ours with something wrong in it; ``re`` is the request to refuse."""

    code = "BAD_REQUEST"
    re = 0


def decode(frames: Sequence[Any]) -> Incoming:
    """The request in a list of frames (bytes or memoryviews).

    Raises:
        Stray: Not our prefix.
        BadRequest: Another major version, an unknown kind, a header that is too long, too deep,
            no map, or has a field of the wrong type or out of range.
    """
    if len(frames) < 2 or len(frames[0]) != 4 or bytes(frames[0][:2]) != wire.MAGIC:
        raise Stray
    prefix, header = bytes(frames[0]), bytes(frames[1][: wire.HEADER_LIMIT + 1])
    if len(header) > wire.HEADER_LIMIT:
        raise _bad(
            f"A header may have {wire.HEADER_LIMIT} bytes, this one has {len(frames[1])}.",
            value=len(frames[1]),
            code="TOO_LARGE",
        )
    re = _request_id(header)
    if prefix[2] != wire.PROTOCOL[0]:
        raise _bad(
            f"The program speaks protocol {prefix[2]}, the engine {wire.PROTOCOL[0]}.",
            re,
            value=prefix[2],
            remedy=REMEDY,
            code="UNSUPPORTED_VERSION",
        )
    kind = wire.NAMES.get(prefix[3], "")
    if kind not in _DECODERS:
        raise _bad(
            f"The engine takes no message of the kind {kind or prefix[3]}.", re, value=prefix[3]
        )
    if len(frames) - 2 > wire.MAX_BUFFERS:
        raise _bad(
            f"A message may carry {wire.MAX_BUFFERS} buffers, this one has {len(frames) - 2}.",
            re,
            value=len(frames) - 2,
            code="TOO_LARGE",
        )
    try:
        decoded = _DECODERS[kind].decode(header)
        for part in (getattr(decoded, "parameters", None), getattr(decoded, "inputs", None)):
            _check_plain(part, 2)
    except RecursionError:
        raise _bad(f"A {kind} header is nested deeper than {MAX_DEPTH} levels.", re) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _bad(f"A {kind} header is wrong: {error}.", re) from None
    return Incoming(kind, decoded, frames[2:])


def _bad(what: str, re: int = 0, **fields: Any) -> BadRequest:
    error = BadRequest(what, **fields)
    error.re = re
    return error


def _request_id(header: bytes) -> int:
    try:
        re = _ANY_ID.decode(header).id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 0
    return re if 0 <= re < 2**63 else 0


def _check_plain(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is not text")
            _check_plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, depth + 1)
