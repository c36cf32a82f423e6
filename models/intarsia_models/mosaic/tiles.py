"""A picture as tiles with the surroundings that a network has to see besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Area(NamedTuple):
    """A rectangle of a canvas; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def within(self, size: tuple[int, int]) -> Area:
        """The part of it on a canvas."""
        return Area(
            max(0, self.top), min(size[0], self.bottom), max(0, self.left), min(size[1], self.right)
        )

    def inside(self, other: Area) -> tuple[slice, slice]:
        """Its rows and columns, counted from another area's corner."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )

    def times(self, scale: int) -> Area:
        """The same on a canvas so many times as large."""
        return Area(*(scale * side for side in self))

    def tile(self) -> Tile:
        """It with nothing around it."""
        sides = (self.top, self.left, self.height, self.width)
        return Tile(*sides, *sides)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a canvas, and the larger one that it is computed from."""

    top: int
    left: int
    height: int
    width: int
    outer_top: int
    outer_left: int
    outer_height: int
    outer_width: int

    @property
    def rows(self) -> slice:
        """On the canvas."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """On the canvas."""
        return slice(self.left, self.left + self.width)

    @property
    def outer_rows(self) -> slice:
        """On the canvas."""
        return slice(self.outer_top, self.outer_top + self.outer_height)

    @property
    def outer_columns(self) -> slice:
        """On the canvas."""
        return slice(self.outer_left, self.outer_left + self.outer_width)

    @property
    def outer(self) -> Area:
        """What it is computed from."""
        bottom, right = self.outer_top + self.outer_height, self.outer_left + self.outer_width
        return Area(self.outer_top, bottom, self.outer_left, right)

    def around(self, halo: int, size: tuple[int, int], multiple: int = 1) -> Tile:
        """The same tile with other surroundings, see `tile_plan`."""
        spans = []
        places = ((self.top, self.height), (self.left, self.width))
        for (start, length), whole in zip(places, size, strict=True):
            first = max(0, (start - halo) // multiple * multiple)
            last = min(whole, up_to(start + length + halo, multiple))
            spans.append((first, last - first))
        (top, height), (left, width) = spans
        return Tile(self.top, self.left, self.height, self.width, top, left, height, width)

    def within(self, other: Tile, scale: int = 1) -> tuple[slice, slice]:
        """Rows and columns of what is around this tile, within what is around ``other``, at
        1 / ``scale`` of the size."""
        top = (self.outer_top - other.outer_top) // scale
        left = (self.outer_left - other.outer_left) // scale
        return (
            slice(top, top + self.outer_height // scale),
            slice(left, left + self.outer_width // scale),
        )

    def inner(self, scale: int = 1) -> tuple[slice, slice]:
        """Rows and columns of the tile within what is computed, at 1 / ``scale`` of the size."""
        top, left = (self.top - self.outer_top) // scale, (self.left - self.outer_left) // scale
        return (
            slice(top, top + self.height // scale),
            slice(left, left + self.width // scale),
        )


def tile_plan(size: tuple[int, int], tile: int, halo: int, multiple: int) -> list[Tile]:
    """Tiles of a canvas, row by row, that do not overlap and leave nothing out.

    Args:
        size: (height, width), multiples of ``multiple``.
        tile: Side of a tile; the last ones of a row or column may be smaller.
        halo: Pixels around a tile that are computed with it, as far as the canvas goes.
        multiple: Borders of tiles and of what is computed are multiples of it, so that the levels
            of a network halve at the same places as in the whole picture.

    Raises:
        ValueError: ``size`` is no multiple, or ``tile`` is not positive.
    """
    if any(side <= 0 or side % multiple for side in size):
        raise ValueError(f"The canvas must have multiples of {multiple} as sides, got {size}.")
    if tile < 1 or halo < 0:
        raise ValueError(f"tile must be positive and halo not negative, got {tile} and {halo}.")
    side, around = up_to(tile, multiple), up_to(halo, multiple)
    rows, columns = (_spans(whole, side, around) for whole in size)
    return [
        Tile(top, left, high, wide, outer_top, outer_left, outer_high, outer_wide)
        for top, high, outer_top, outer_high in rows
        for left, wide, outer_left, outer_wide in columns
    ]


def up_to(number: int, multiple: int) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


def _spans(whole: int, side: int, halo: int) -> list[tuple[int, int, int, int]]:
    """(start, length, outer start, outer length) along one axis."""
    found = []
    for start in range(0, whole, side):
        end = min(whole, start + side)
        first, last = max(0, start - halo), min(whole, end + halo)
        found.append((start, end - start, first, last - first))
    return found
