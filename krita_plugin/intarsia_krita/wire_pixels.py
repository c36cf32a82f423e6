"""Krita's bytes and the wire's: only here is Krita's byte order known.

Krita gives 8 and 16 bit RGBA as B, G, R, A; on the wire it is R, G, B, A in sRGB, straight alpha.
Other depths, models and profiles are converted by Krita itself, on a node that is in no document.
"""

from __future__ import annotations

from typing import Any, Iterable, Tuple

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ITEM_BYTES, ResultLayer
from intarsia_krita.texts import tr

_SRGB = ("sRGB-elle-V2-srgbtrc.icc", "sRGB built-in", "sRGB IEC61966-2.1")
_TARGET_PROFILE = _SRGB[0]
_DEPTHS = {"u8": "U8", "u16": "U16"}

ColorSpace = Tuple[str, str, str]
"""Krita's colour model, depth and profile."""
Rectangle = Tuple[int, int, int, int]
"""x, y, width, height in canvas coordinates."""


def swap_red_and_blue(data: Any, item_bytes: int) -> bytearray:
    """BGRA to RGBA or back; its own inverse.

    Args:
        data: Pixels of four samples.
        item_bytes: Bytes of one sample, 1 or 2.
    """
    swapped, pixel = bytearray(data), 4 * item_bytes
    for byte in range(item_bytes):
        red, blue = 2 * item_bytes + byte, byte
        swapped[blue::pixel], swapped[red::pixel] = swapped[red::pixel], swapped[blue::pixel]
    return swapped


def color_space(item: Any) -> ColorSpace:
    """The colour model, depth and profile of a document or node."""
    return item.colorModel(), item.colorDepth(), item.colorProfile()


def to_wire(
    document: Any, data: bytes, bounds: Rectangle, space: ColorSpace, dtype: str
) -> bytearray:
    """Krita's bytes as RGBA, sRGB, of that dtype (``u8`` or ``u16``)."""
    converted = _convert(document, data, bounds, space, ("RGBA", _DEPTHS[dtype], _TARGET_PROFILE))
    return swap_red_and_blue(converted, ITEM_BYTES[dtype])


def from_wire(document: Any, layer: ResultLayer, space: ColorSpace) -> bytes:
    """A result layer's bytes as Krita wants them for a node of that colour space."""
    if layer.dtype not in _DEPTHS:
        raise refuse(
            tr("The engine sent samples of type %s.", layer.dtype), tr("Update the plug-in.")
        )
    bounds = (layer.x, layer.y, layer.width, layer.height)
    rgba = layer.data if layer.channels == 4 else _white_with_alpha(layer)
    bgra = bytes(swap_red_and_blue(rgba, ITEM_BYTES[layer.dtype]))
    return _convert(document, bgra, bounds, ("RGBA", _DEPTHS[layer.dtype], _TARGET_PROFILE), space)


def _convert(
    document: Any, data: bytes, bounds: Rectangle, source: ColorSpace, target: ColorSpace
) -> bytes:
    """Let Krita convert pixels, on a node that never enters the document."""
    same_profile = source[2] == target[2] or (source[2] in _SRGB and target[2] in _SRGB)
    if source[:2] == target[:2] and same_profile:
        return data
    node = document.createNode("conversion", "paintlayer")
    x, y, width, height = bounds
    if not node.setColorSpace(*source):
        raise _no_conversion(source)
    node.setPixelData(data, x, y, width, height)
    if not node.setColorSpace(*target):
        raise _no_conversion(target)
    return bytes(node.pixelData(x, y, width, height))


def _white_with_alpha(layer: ResultLayer) -> bytearray:
    """A mask as a layer: white, as opaque as the mask is strong."""
    size = ITEM_BYTES[layer.dtype]
    pixels = bytearray(b"\xff") * (layer.width * layer.height * 4 * size)
    alpha = bytes(layer.data)
    for byte in range(size):
        pixels[3 * size + byte :: 4 * size] = alpha[byte::size]
    return pixels


def coverage(document: Any, data: bytes, bounds: Rectangle, space: ColorSpace) -> bytes:
    """How opaque each pixel is: Krita's bytes as one byte a pixel, 255 = opaque."""
    return bytes(to_wire(document, data, bounds, space, "u8")[3::4])


def united(pieces: Iterable[tuple[Rectangle, bytes]]) -> tuple[Rectangle, bytes]:
    """Coverages laid over each other: at each pixel the strongest, on the rectangle of them all."""
    pieces = list(pieces)
    left, top = min(r[0] for r, _ in pieces), min(r[1] for r, _ in pieces)
    width = max(r[0] + r[2] for r, _ in pieces) - left
    height = max(r[1] + r[3] for r, _ in pieces) - top
    whole = bytearray(width * height)
    for (x, y, w, h), data in pieces:
        for row in range(h):
            begin = (y - top + row) * width + x - left
            there, fresh = whole[begin : begin + w], data[row * w : (row + 1) * w]
            whole[begin : begin + w] = bytes(map(max, there, fresh)) if any(there) else fresh
    return (left, top, width, height), bytes(whole)


def crop(rectangle: Rectangle, size: tuple[int, int]) -> Rectangle | None:
    """What of a rectangle lies on a canvas of that width and height, or None."""
    x, y, width, height = rectangle
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + width), min(size[1], y + height)
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def refuse(what: str, remedy: str) -> InvalidRequest:
    """An error with what to do about it."""
    return InvalidRequest(what, remedy=remedy)


def _no_conversion(space: ColorSpace) -> InvalidRequest:
    return refuse(
        tr("Krita cannot convert colours to or from %s, %s, %s.", *space),
        tr("Convert the picture with Image > Convert Image Color Space, to RGB."),
    )
