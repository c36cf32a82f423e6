"""Krita's bytes and the wire's: only here is Krita's byte order known.

Krita gives 8 and 16 bit RGBA as B, G, R, A; on the wire it is R, G, B, A in sRGB, straight alpha.
Other depths, models and profiles are converted by Krita itself, on a node that is in no document.
"""

from __future__ import annotations

from array import array
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


def rectangle(rect: Any) -> Rectangle:
    """Krita's rectangle as numbers."""
    return rect.x(), rect.y(), rect.width(), rect.height()


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


def is_srgb8(space: ColorSpace) -> bool:
    """Whether Krita's bytes need no conversion but their order to be RGBA, sRGB, ``u8``."""
    return space[:2] == ("RGBA", "U8") and space[2] in _SRGB


def to_wire(
    document: Any, data: bytes, bounds: Rectangle, space: ColorSpace, dtype: str
) -> bytearray:
    """Krita's bytes as RGBA, sRGB, of that dtype (``u8`` or ``u16``)."""
    return swap_red_and_blue(srgb_bytes(document, data, bounds, space, dtype), ITEM_BYTES[dtype])


def srgb_bytes(
    document: Any, data: bytes, bounds: Rectangle, space: ColorSpace, dtype: str
) -> bytes:
    """Krita's bytes in Krita's order, B, G, R, A, as sRGB of that dtype (``u8`` or ``u16``)."""
    return _convert(document, data, bounds, space, ("RGBA", _DEPTHS[dtype], _TARGET_PROFILE))


def from_wire(document: Any, layer: ResultLayer, space: ColorSpace) -> bytes:
    """A result layer's bytes as Krita wants them for a node of that colour space."""
    if layer.dtype not in _DEPTHS:
        raise _unknown_samples(layer)
    bounds = (layer.x, layer.y, layer.width, layer.height)
    rgba = layer.data if layer.channels == 4 else _white_with_alpha(layer)
    bgra = bytes(swap_red_and_blue(rgba, ITEM_BYTES[layer.dtype]))
    return _convert(document, bgra, bounds, ("RGBA", _DEPTHS[layer.dtype], _TARGET_PROFILE), space)


def coverage_bytes(layer: ResultLayer) -> bytes:
    """A one-channel result layer as Krita wants it for a mask: one byte a pixel, 255 = shows."""
    if layer.dtype not in _DEPTHS:
        raise _unknown_samples(layer)
    samples = bytes(layer.data)
    if layer.dtype == "u8":
        return samples
    return bytes((value + 128) // 257 for value in memoryview(samples).cast("H"))


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


def fade(rgba: bytearray, dtype: str, opacity: int) -> bytearray:
    """RGBA pixels with their alpha multiplied by a layer's opacity.

    Args:
        rgba: Changed in place.
        dtype: ``u8`` or ``u16``.
        opacity: In [0, 255], as Krita has it.
    """
    if opacity >= 255:
        return rgba
    full = 2 ** (8 * ITEM_BYTES[dtype]) - 1
    faded = [(alpha * opacity + 127) // 255 for alpha in range(full + 1)]
    if dtype == "u8":
        rgba[3::4] = rgba[3::4].translate(bytes(faded))
        return rgba
    samples = memoryview(rgba).cast("H")
    samples[3::4] = array("H", map(faded.__getitem__, samples[3::4]))
    return rgba


def coverage(document: Any, data: bytes, bounds: Rectangle, space: ColorSpace) -> bytes:
    """How opaque each pixel is: Krita's bytes as one byte a pixel, 255 = opaque."""
    return bytes(to_wire(document, data, bounds, space, "u8")[3::4])


def around(places: Iterable[Rectangle]) -> Rectangle:
    """The smallest rectangle that holds all of some; there must be one at least."""
    places = list(places)
    left, top = min(p[0] for p in places), min(p[1] for p in places)
    right, bottom = max(p[0] + p[2] for p in places), max(p[1] + p[3] for p in places)
    return left, top, right - left, bottom - top


def united(pieces: Iterable[tuple[Rectangle, bytes]]) -> tuple[Rectangle, bytes]:
    """Coverages laid over each other: at each pixel the strongest, on the rectangle of them all."""
    pieces = list(pieces)
    left, top, width, height = around(place for place, _ in pieces)
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


def _unknown_samples(layer: ResultLayer) -> InvalidRequest:
    return refuse(tr("The engine sent samples of type %s.", layer.dtype), tr("Update the plug-in."))


def _no_conversion(space: ColorSpace) -> InvalidRequest:
    return refuse(
        tr("Krita cannot convert colours to or from %s, %s, %s.", *space),
        tr("Convert the picture with Image > Convert Image Color Space, to RGB."),
    )
