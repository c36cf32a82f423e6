"""Buffers of RGBA or gray samples, kept as numbers in [0, 1].

As strict as the real one is deadly: an unknown format aborts GIMP and a wrong length writes nothing
without a word; here both raise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Callable

_PACK: dict[str, Callable[[list[float]], bytes]] = {
    "u8": lambda v: bytes(round(255 * x) for x in v),
    "u16": lambda v: struct.pack("%dH" % len(v), *(round(65535 * x) for x in v)),
    "float": lambda v: struct.pack("%df" % len(v), *v),
}
_UNPACK: dict[str, Callable[[bytes], list[float]]] = {
    "u8": lambda b: [x / 255 for x in b],
    "u16": lambda b: [x / 65535 for x in struct.unpack("%dH" % (len(b) // 2), b)],
    "float": lambda b: list(struct.unpack("%df" % (len(b) // 4), b)),
}
_CHANNELS = {"R'G'B'A": 4, "Y": 1}
WEIGHTED = "RaGaBaA u16"
"""The one format of which averages of soft edges are right, kept here as if it were straight."""


def init(args: Any) -> None:
    pass


class AbyssPolicy:
    NONE = 0


class Color:
    @classmethod
    def new(cls, name: str) -> Color:
        return cls()


@dataclass(frozen=True)
class Rectangle:
    x: int
    y: int
    width: int
    height: int

    @classmethod
    def new(cls, x: int, y: int, width: int, height: int) -> Rectangle:
        return cls(x, y, width, height)


class Buffer:
    """``pixels[y][x]`` is a tuple of samples; outside everything is zero."""

    def __init__(self, width: int, height: int, channels: int) -> None:
        self.width, self.height, self.channels = width, height, channels
        self.pixels: list[list[tuple[float, ...]]] = [
            [(0.0,) * channels for _ in range(width)] for _ in range(height)
        ]

    weighted = False

    @classmethod
    def new(cls, babl_format: str, x: int, y: int, width: int, height: int) -> Buffer:
        assert babl_format == WEIGHTED and (x, y) == (0, 0)
        made = cls(width, height, 4)
        made.weighted = True
        return made

    def copy(self, source: Rectangle, abyss: int, to: Buffer, place: Rectangle) -> None:
        """Copy a rectangle to another buffer of the same size as the rectangle."""
        assert abyss == AbyssPolicy.NONE and (place.x, place.y) == (0, 0)
        assert self.channels == to.channels
        assert (source.width, source.height) == (place.width, place.height) == (to.width, to.height)
        to.pixels = [
            [self._at(x, y) for x in range(source.x, source.x + source.width)]
            for y in range(source.y, source.y + source.height)
        ]

    def _at(self, x: int, y: int) -> tuple[float, ...]:
        inside = 0 <= x < self.width and 0 <= y < self.height
        return self.pixels[y][x] if inside else (0.0,) * self.channels

    def _reduced(self, rectangle: Rectangle, scale: float, kind: str) -> bytes:
        """Averages of boxes; colours count by their alpha only in a weighted buffer."""
        if self.channels == 4 and not self.weighted:
            raise AssertionError("GEGL would have darkened soft edges")
        samples: list[float] = []
        for y in range(rectangle.y, rectangle.y + rectangle.height):
            for x in range(rectangle.x, rectangle.x + rectangle.width):
                samples += self._box(x / scale, y / scale, 1 / scale)
        return _PACK[kind](samples)

    def _box(self, x: float, y: float, side: float) -> tuple[float, ...]:
        xs = range(int(x), max(int(x) + 1, int(x + side)))
        ys = range(int(y), max(int(y) + 1, int(y + side)))
        inside = [self._at(i, j) for j in ys for i in xs]
        count = len(inside)
        if self.channels == 1:
            return (sum(p[0] for p in inside) / count,)
        alpha = sum(p[3] for p in inside)
        if alpha == 0:
            return (0.0,) * 4
        return (*(sum(p[c] * p[3] for p in inside) / alpha for c in range(3)), alpha / count)

    def get(self, rectangle: Rectangle, scale: float, babl_format: str, abyss: int) -> bytes:
        model, kind = self._format(babl_format)
        assert abyss == AbyssPolicy.NONE
        if scale != 1.0:
            return self._reduced(rectangle, scale, kind)
        samples: list[float] = []
        for y in range(rectangle.y, rectangle.y + rectangle.height):
            for x in range(rectangle.x, rectangle.x + rectangle.width):
                samples += self._at(x, y)
        return _PACK[kind](samples)

    def set(self, rectangle: Rectangle, babl_format: str, data: bytes) -> None:
        _, kind = self._format(babl_format)
        samples = _UNPACK[kind](bytes(data))
        if len(samples) != rectangle.width * rectangle.height * self.channels:
            raise AssertionError("GEGL would have written nothing, without a word")
        right, bottom = rectangle.x + rectangle.width, rectangle.y + rectangle.height
        if min(rectangle.x, rectangle.y) < 0 or right > self.width or bottom > self.height:
            raise AssertionError("GIMP kills a plug-in that writes beyond a drawable")
        at = iter(range(0, len(samples), self.channels))
        for y in range(rectangle.y, rectangle.y + rectangle.height):
            for x in range(rectangle.x, rectangle.x + rectangle.width):
                index = next(at)
                if 0 <= x < self.width and 0 <= y < self.height:
                    self.pixels[y][x] = tuple(samples[index : index + self.channels])

    def flush(self) -> None:
        pass

    def _format(self, babl_format: str) -> tuple[str, str]:
        model, _, kind = babl_format.partition(" ")
        if model not in _CHANNELS or kind not in _PACK or _CHANNELS[model] != self.channels:
            raise AssertionError("babl would have aborted GIMP on %r" % babl_format)
        return model, kind
