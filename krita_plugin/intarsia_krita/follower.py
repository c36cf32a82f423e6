"""Follows what a run would read while the artist paints: notices changes, keeps small pixels.

Krita tells a plug-in of no change, so this looks: at the places, opacities and thumbnails of the
layers each time (Krita keeps a thumbnail until its layer changes), and at the pixels themselves of
one band each time, in turn, which finds whatever else there is.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field
from typing import Any, Generator, Sequence

from intarsia_client.schema import Pixels
from intarsia_krita.layer_tree import node_id
from intarsia_krita.small_pixels import bands, divisor, is_read_in_bands, read_small, watched
from intarsia_krita.sources import Source
from intarsia_krita.wire_pixels import Rectangle

_THUMBNAIL = 48


@dataclass
class _Followed:
    """One input's source."""

    source: Source
    facts: tuple[Any, ...]
    prints: dict[Rectangle, int] = field(default_factory=dict)
    pixels: Pixels | None = None
    reading: Generator[None, None, Pixels] | None = None
    stale: bool = True
    """Whether it changed after its reading began."""
    turn: int = 0


class Follower:
    """What a run would read, small, as it is now.

    Args:
        document: The open picture.
    """

    def __init__(self, document: Any) -> None:
        self._document = document
        self._followed: dict[tuple[Any, ...], _Followed] = {}
        self._number = 1
        self._next = 0

    def look(self, sources: Sequence[Source]) -> bool:
        """See whether something changed since the last look.

        Args:
            sources: What a run would read now; at least one.
        """
        number = divisor(source.bounds for source in sources)
        keys = [_key(source) for source in sources]
        changed = number != self._number or keys != list(self._followed)
        before, self._followed = self._followed, {}
        for key, source in zip(keys, sources):
            facts, one = _facts(source), before.get(key)
            if one is None or number != self._number:
                one = _Followed(source, facts)
            elif facts != one.facts:
                one.source, one.facts, one.stale, changed = source, facts, True, True
            self._followed[key] = one
        self._number = number
        return self._check_a_band() or changed

    def work(self, budget_s: float, rests: bool = True) -> bool:
        """Read what is stale, at least one band of it; whether there is no more to read now.

        Args:
            budget_s: Seconds after which no further band is begun.
            rests: Whether the artist does not work at the moment; else what Krita would have to
                compose first, in one go, is left for later.

        Raises:
            InvalidRequest: Krita cannot convert the colours.
        """
        end = time.perf_counter() + budget_s
        while True:
            one = self._next_to_read(rests)
            if one is None:
                return True
            self._read_a_band(one)
            if time.perf_counter() > end:
                return self._next_to_read(rests) is None

    @property
    def is_current(self) -> bool:
        """Whether `pixels` are all read and as they were at the last look."""
        return not any(one.stale or one.reading for one in self._followed.values())

    def pixels(self) -> tuple[Pixels, ...]:
        """Everything that is read, in the sources' order, in coordinates of the small picture."""
        return tuple(one.pixels for one in self._followed.values() if one.pixels is not None)

    def _next_to_read(self, rests: bool) -> _Followed | None:
        for one in self._followed.values():
            if one.reading is not None:
                return one
            if one.stale and (rests or is_read_in_bands(self._document, one.source)):
                return one
        return None

    def _read_a_band(self, one: _Followed) -> None:
        if one.reading is None:  # a reading is finished first, else steady painting starves it
            one.stale = False
            one.reading = read_small(self._document, one.source, self._number, one.prints)
        try:
            next(one.reading)
        except StopIteration as end:
            one.reading = None
            if one.pixels != end.value:  # the same object as long as it is the same picture
                one.pixels = end.value

    def _check_a_band(self) -> bool:
        """Compare one band of a source that was read with what it was then, each in its turn."""
        rested = [one for one in self._followed.values() if one.prints and not one.reading]
        if not rested:
            return False
        self._next += 1
        one = rested[self._next % len(rested)]
        every = bands(self._document, one.source, self._number)
        one.turn = (one.turn + 1) % len(every)
        band = every[one.turn]
        if zlib.crc32(watched(self._document, one.source, band)) == one.prints.get(band):
            return False
        one.stale = True
        return True


def _key(source: Source) -> tuple[Any, ...]:
    return (source.input, source.kind, *(node_id(node) for node in source.nodes))


def _facts(source: Source) -> tuple[Any, ...]:
    """What differs when a source's pixels were changed in the usual ways."""
    found: list[Any] = [source.bounds, source.name]
    for node in source.nodes:
        found += [node.opacity(), node.visible(), node.layerStyleToAsl(), _thumbnail(node)]
        for mask in node.childNodes():
            if mask.type().endswith("mask"):
                found += [node_id(mask), mask.visible(), _thumbnail(mask)]
    return tuple(found)


def _thumbnail(node: Any) -> int:
    """A number that changes with the pixels of a layer or mask."""
    return int(node.thumbnail(_THUMBNAIL, _THUMBNAIL).cacheKey())
