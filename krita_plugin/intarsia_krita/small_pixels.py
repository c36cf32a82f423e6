"""Small pixels for a preview, read in bands: one takes so little time that painting never waits.

Everything is made smaller by one whole number, on a grid that begins at the canvas's corner; so
places and sizes stay exact, and a pixel is the mean of the square that it stands for. Where Krita
must convert the colours, which takes long, it is the middle of the square.
"""

from __future__ import annotations

import zlib
from typing import Any, Generator, Iterable

from intarsia_client.schema import Pixels
from intarsia_krita.layer_tree import is_shown
from intarsia_krita.qt import Qt, QtGui
from intarsia_krita.reading import is_composed, read_one
from intarsia_krita.sources import Source
from intarsia_krita.wire_pixels import (
    ColorSpace,
    Rectangle,
    around,
    color_space,
    fade,
    is_srgb8,
    srgb_bytes,
)

SIDE = 512
"""Largest width and height of what is read, all inputs together."""
BAND = 1 << 19
"""Pixels read at once, at most; a band is one row of the small picture at least."""
CONVERTED = 1 << 14
"""Pixels whose colours are converted at once, at most."""
_COVERAGE = ("selection", "mask")
_ITEMS: dict[int, Any] = {4: "I", 2: "H", 1: "B"}

Format = QtGui.QImage.Format


def divisor(places: Iterable[Rectangle], side: int = SIDE) -> int:
    """The whole number by which rectangles are made smaller so that they fit together."""
    place = around(places)
    number = max(1, max(place[2:]) // side)
    while max(cells(place, number)[2:]) > side:
        number += 1
    return number


def cells(place: Rectangle, number: int) -> Rectangle:
    """Where a rectangle lies on the grid of squares of ``number`` pixels a side."""
    x, y, width, height = place
    left, top = x // number, y // number
    return left, top, -(-(x + width) // number) - left, -(-(y + height) // number) - top


def bands(document: Any, source: Source, number: int) -> list[Rectangle]:
    """What is read one after the other, in pixels of the canvas: whole rows of the grid."""
    left, top, width, height = cells(source.bounds, number)
    rows = max(1, BAND // (width * number * number))
    if source.kind not in _COVERAGE and not is_srgb8(_space(document, source)):
        rows = max(1, min(rows, CONVERTED // width))
    return [
        (
            left * number,
            (top + row) * number,
            width * number,
            min(rows, height - row) * number,
        )
        for row in range(0, height, rows)
    ]


def watched(document: Any, source: Source, band: Rectangle) -> bytes:
    """Pixels that change when what is read of a source in a band does, as Krita has them."""
    if source.kind == "selection":
        selection = document.selection()
        return bytes(selection.pixelData(*band)) if selection is not None else bytes(_area(band))
    if source.kind == "mask":
        return bytes(source.nodes[0].pixelData(*band))
    if source.kind in ("canvas", "below"):
        return bytes(document.pixelData(*band))
    return b"".join(bytes(node.projectionPixelData(*band)) for node in source.nodes)


def read_small(
    document: Any, source: Source, number: int, prints: dict[Rectangle, int]
) -> Generator[None, None, Pixels]:
    """Read an input small, with a pause after each band.

    Args:
        document: The open picture.
        source: From where.
        number: From `divisor`.
        prints: Gets a checksum of what is `watched` in each band.

    Returns:
        ``u8`` pixels in coordinates of the grid.

    Raises:
        InvalidRequest: Krita cannot convert the colours.
    """
    coverage, data = source.kind in _COVERAGE, bytearray()
    whole = None if is_read_in_bands(document, source) else read_one(document, source, "u8")
    prints.clear()
    for band in bands(document, source, number):
        raw = watched(document, source, band)
        prints[band] = zlib.crc32(raw)
        if whole is None:
            data += _small(document, source, band, number, raw)
        yield
    if whole is not None:
        return _made_smaller(whole, number)
    if source.kind == "piece":
        fade(data, "u8", source.nodes[0].opacity())
    x, y, width, height = cells(source.bounds, number)
    channels = 1 if coverage else 4
    return Pixels(source.input, width, height, channels, bytes(data), "u8", x, y, source.name)


def is_read_in_bands(document: Any, source: Source) -> bool:
    """Whether what is watched is what is read; else Krita must compose it, which takes long."""
    if source.kind == "piece":
        return not is_composed(source)
    if source.kind == "layer":
        return is_shown(document, source.nodes[0])
    return source.kind in ("canvas", *_COVERAGE)


def _small(document: Any, source: Source, band: Rectangle, number: int, raw: bytes) -> bytes:
    """A band as Krita has it, made smaller."""
    width, height = band[2:]
    if source.kind in _COVERAGE:
        gray = _whole(raw, _area(band))
        return _smaller(QtGui.QImage(gray, width, height, width, Format.Format_Grayscale8), number)
    space = _space(document, source)
    if not is_srgb8(space):
        place = cells(band, number)
        raw = srgb_bytes(document, _middles(raw, band, number), place, space, "u8")
        width, height, number = *place[2:], 1
    bgra = _whole(raw, 4 * width * height)
    image = QtGui.QImage(bgra, width, height, 4 * width, Format.Format_ARGB32)
    return _smaller(image, number)


def _middles(raw: bytes, band: Rectangle, number: int) -> bytes:
    """Of each square of a band the pixel in its middle, whatever a pixel is made of."""
    width, height = band[2:]
    size = len(raw) // _area(band)
    if number == 1 or not size:
        return raw
    item = next(item for item in (4, 2, 1) if size % item == 0)
    parts, there = size // item, memoryview(raw).cast(_ITEMS[item])
    small = memoryview(bytearray(size * (width // number) * (height // number)))
    taken, line, row = small.cast(_ITEMS[item]), width * parts, width // number * parts
    for index in range(height // number):
        begin = (index * number + number // 2) * line
        for part in range(parts):
            first = begin + number // 2 * parts + part
            found = there[first : begin + line : number * parts]
            taken[index * row + part : (index + 1) * row : parts] = found
    return bytes(small)


def _space(document: Any, source: Source) -> ColorSpace:
    return color_space(source.nodes[0] if source.nodes else document)


def _area(place: Rectangle) -> int:
    return place[2] * place[3]


def _whole(data: bytes, length: int) -> bytes:
    """Nothing shows of a layer that was removed meanwhile; Qt itself does not count the bytes."""
    return data if len(data) == length else bytes(length)


def _made_smaller(pixels: Pixels, number: int) -> Pixels:
    """Pixels of any place, drawn on the grid."""
    x, y, width, height = cells((pixels.x, pixels.y, pixels.width, pixels.height), number)
    gray = pixels.channels == 1
    kind = Format.Format_Grayscale8 if gray else Format.Format_RGBA8888
    line, data = pixels.width * pixels.channels, bytes(pixels.data)
    image = QtGui.QImage(data, pixels.width, pixels.height, line, kind)
    below = Format.Format_Grayscale8 if gray else Format.Format_ARGB32_Premultiplied
    ground = QtGui.QImage(width * number, height * number, below)
    ground.fill(0)
    painter = QtGui.QPainter(ground)
    painter.drawImage(pixels.x - x * number, pixels.y - y * number, image)
    painter.end()
    small = _smaller(ground, number)
    return Pixels(pixels.input, width, height, pixels.channels, small, "u8", x, y, pixels.name)


def _smaller(image: Any, number: int) -> bytes:
    """The samples of an image made smaller: RGBA, or one of coverage, without padding."""
    gray = image.format() == Format.Format_Grayscale8
    width, height = image.width() // number, image.height() // number
    if not gray:  # colours count by how opaque they are
        image = image.convertToFormat(Format.Format_ARGB32_Premultiplied)
    if number > 1:
        ratio = Qt.AspectRatioMode.IgnoreAspectRatio
        smooth = Qt.TransformationMode.SmoothTransformation
        image = image.scaled(width, height, ratio, smooth)
    image = image.convertToFormat(Format.Format_Grayscale8 if gray else Format.Format_RGBA8888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    data, line, wanted = bytes(bits), image.bytesPerLine(), width * (1 if gray else 4)
    if line == wanted:
        return data
    return b"".join(data[row * line : row * line + wanted] for row in range(height))
