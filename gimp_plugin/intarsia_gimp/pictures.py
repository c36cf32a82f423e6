"""Small pictures for the dialogs: what the engine sends while it works, as GdkPixbuf."""

from __future__ import annotations

import math
import sys
from array import array
from typing import Any, Sequence

from gi.repository import GdkPixbuf, GLib

from intarsia_client.schema import ResultLayer


def eight_bit(layer: ResultLayer) -> bytes:
    """The layer's samples as u8, same channels, rounded."""
    if layer.dtype == "u8":
        return bytes(layer.data)
    if layer.dtype == "u16":
        data = bytes(layer.data)
        return data[1::2] if sys.byteorder == "little" else data[0::2]
    values = array("f")
    values.frombytes(bytes(layer.data))
    return bytes(min(255, max(0, round(255 * v))) if v == v else 0 for v in values)


def pixbuf_of(layer: ResultLayer) -> Any:
    """A picture of a layer; coverage becomes gray."""
    data = eight_bit(layer)
    if layer.channels == 1:
        data = b"".join(bytes((v, v, v, 255)) for v in data)
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(data),
        GdkPixbuf.Colorspace.RGB,
        True,
        8,
        layer.width,
        layer.height,
        4 * layer.width,
    )


def fitted_size(width: int, height: int, room: tuple[int, int]) -> tuple[int, int]:
    """The size that fits into ``room`` (width, height), same proportions, at least 1 × 1."""
    factor = min(room[0] / max(width, 1), room[1] / max(height, 1))
    return max(1, round(width * factor)), max(1, round(height * factor))


def fitted(pixbuf: Any, room: tuple[int, int]) -> Any:
    """The picture scaled into ``room`` (width, height), transparency shown as checks."""
    width, height = fitted_size(pixbuf.get_width(), pixbuf.get_height(), room)
    return pixbuf.composite_color_simple(
        width, height, GdkPixbuf.InterpType.BILINEAR, 255, 8, 0x999999, 0x666666
    )


def over(base: Any, layers: Sequence[ResultLayer], factor: float) -> Any:
    """A copy of a picture with a result's layers laid over it, masks and channels left out.

    Args:
        base: The whole canvas as a `GdkPixbuf.Pixbuf`.
        layers: In stacking order, lowest first.
        factor: Pixels of ``base`` for one pixel of the layers and of their places.
    """
    picture = base.copy()
    for layer in layers:
        if layer.channels != 4:
            continue
        x, y = layer.x * factor, layer.y * factor
        left, top = max(0, math.floor(x)), max(0, math.floor(y))
        right = min(picture.get_width(), math.ceil(x + layer.width * factor))
        bottom = min(picture.get_height(), math.ceil(y + layer.height * factor))
        if left < right and top < bottom:
            pixbuf_of(layer).composite(
                picture,
                left,
                top,
                right - left,
                bottom - top,
                x,
                y,
                factor,
                factor,
                GdkPixbuf.InterpType.BILINEAR,
                255,
            )
    return picture
