"""Krita's tiles: a text header, then tiles, each raw or packed with LZF by byte planes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from intarsia_daemon.documents.limits import Budget, reject

_HEADER = re.compile(
    rb"VERSION (\d{1,3})\nTILEWIDTH (\d{1,4})\nTILEHEIGHT (\d{1,4})\nPIXELSIZE (\d{1,3})\n"
    rb"DATA (\d{1,8})\n"
)
_TILE = re.compile(rb"(-?\d{1,9}),(-?\d{1,9}),([A-Z0-9]{1,8}),(\d{1,9})\n")
TILE = 64


@dataclass
class Tiles:
    """The rectangle that the tiles cover: (H, W, channels), and where it lies."""

    array: np.ndarray
    x: int
    y: int


def read_tiles(
    data: bytes,
    channels: int,
    item: np.dtype,
    default: bytes,
    budget: Budget,
    what: str,
    *,
    cover: tuple[int, int, int, int] | None = None,
) -> Tiles:
    """Unpack a layer's tiles; places between them get the default pixel.

    Args:
        data: A layer's file.
        channels: Samples of a pixel.
        item: Their type.
        default: The pixel between the tiles, at least ``channels * item.itemsize`` bytes.
        budget: Counts the rectangle before it is allocated.
        what: Names the layer in errors.
        cover: A rectangle (left, top, right, bottom) to have in the result in any case.

    Raises:
        FileRejected: The data are broken, or cover more than the budget allows.
    """
    header = _HEADER.match(data)
    pixel = channels * item.itemsize
    if header is None:
        raise reject(f"{what} does not begin as Krita's tiles do.")
    version, width, height, size, count = (int(v) for v in header.groups())
    if version != 2 or (width, height) != (TILE, TILE) or size != pixel:
        raise reject(
            f"{what} has tiles of version {version}, {width}x{height}, {size} bytes a pixel; "
            f"expected are version 2, 64x64, {pixel}.",
            remedy="Save the document again with a current Krita.",
        )
    tiles, position = [], header.end()
    for _ in range(count):
        entry = _TILE.match(data, position)
        if entry is None:
            raise reject(f"{what} ends in the middle of its tiles.")
        x, y, packing, length = int(entry[1]), int(entry[2]), entry[3], int(entry[4])
        start, position = entry.end(), entry.end() + length
        if packing != b"LZF" or position > len(data) or length < 1 or x % TILE or y % TILE:
            raise reject(f"{what} has a broken tile.")
        tiles.append((x, y, data[start:position]))
    boxes = [(x, y, x + TILE, y + TILE) for x, y, _ in tiles] + ([cover] if cover else [])
    if not boxes:
        empty = np.frombuffer(default[:pixel], item).reshape(1, 1, channels)
        return Tiles(empty.copy(), 0, 0)
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    budget.pixels(right - left, bottom - top, what)
    array = np.empty((bottom - top, right - left, channels), item)
    array[...] = np.frombuffer(default[:pixel], item)
    for x, y, packed in tiles:
        block = _unpack(packed, pixel, what).view(item).reshape(TILE, TILE, channels)
        array[y - top : y - top + TILE, x - left : x - left + TILE] = block
    return Tiles(array, left, top)


def _unpack(packed: bytes, pixel: int, what: str) -> np.ndarray:
    """One tile's bytes, pixel by pixel."""
    wanted = TILE * TILE * pixel
    if packed[0] == 0:
        if len(packed) - 1 != wanted:
            raise reject(f"{what} has a tile of {len(packed) - 1} bytes; {wanted} are needed.")
        return np.frombuffer(packed, np.uint8, offset=1).copy()
    try:
        planes = unpack_lzf(packed[1:], wanted)
    except ValueError as error:
        raise reject(f"{what} has a broken tile ({error}).") from None
    return np.ascontiguousarray(
        np.frombuffer(planes, np.uint8).reshape(pixel, TILE * TILE).T
    ).ravel()


def unpack_lzf(packed: bytes, wanted: int) -> bytes:
    """Decompress LZF.

    Args:
        packed: The compressed bytes.
        wanted: How many bytes must come out.

    Raises:
        ValueError: Another number comes out, or the data are broken.
    """
    output = bytearray()
    position, end = 0, len(packed)
    try:
        while position < end:
            control = packed[position]
            position += 1
            if control < 32:
                output += packed[position : position + control + 1]
                position += control + 1
            else:
                length, high = control >> 5, control & 31
                if length == 7:
                    length += packed[position]
                    position += 1
                distance = (high << 8 | packed[position]) + 1
                position += 1
                length += 2
                start = len(output) - distance
                if start < 0:
                    raise ValueError("a reference before the beginning")
                if distance >= length:
                    output += output[start : start + length]
                else:
                    piece = bytes(output[start:])
                    output += (piece * (length // distance + 1))[:length]
            if len(output) > wanted:
                raise ValueError("more bytes than a tile has")
    except IndexError:
        raise ValueError("it ends too early") from None
    if len(output) != wanted or position != end:
        raise ValueError(f"{len(output)} bytes instead of {wanted}")
    return bytes(output)
