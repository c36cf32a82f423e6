"""Parts of several pictures put together at random, so that each finds a place of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.picture_parts import FoundPart, key_parts
from intarsia_daemon.pixels import Picture
from intarsia_models.errors import ModelsError
from intarsia_models.key_patches.objectness import BoxRule

CHOICE = 2
"""Of each picture so many times as many parts are found as one whole takes, to choose from."""
REMEMBERED = 64
"""Pictures whose parts are kept."""


@dataclass(frozen=True)
class Combination:
    """Which parts make one picture."""

    number: int
    """From 1 on; the same seed and number choose the same parts of the same pictures."""
    parts: list[FoundPart]
    sources: list[int]
    """By part: the number of the picture it comes from."""


@dataclass
class Combinations:
    """Chooses parts of pictures."""

    names: Sequence[str]
    """Of the pictures, for people."""
    read: Callable[[int], Picture]
    """Reads a picture by its number; may raise `InvalidRequest`."""
    parts: int
    """Of one whole."""
    sources: int
    """Of how many pictures they come, at most."""
    rule: BoxRule
    failed: dict[int, str] = field(default_factory=dict)
    """Pictures that could not be used, and why."""
    _known: OrderedDict[int, list[FoundPart]] = field(default_factory=OrderedDict)

    def chosen(self, seed: int, number: int) -> Combination:
        """The parts of one whole.

        Parts are taken in turn from the pictures, of each the one whose place in its picture is
        least taken by those before.

        Args:
            seed: Of the run.
            number: Of the combination, from 1 on.

        Raises:
            InvalidRequest: No picture can be used.
        """
        random = np.random.default_rng((seed, number))
        usable: list[int] = []
        for index in map(int, random.permutation(len(self.names))):
            if index not in self.failed and self._parts_of(index):
                usable.append(index)
            if len(usable) == min(self.sources, self.parts):
                break
        if not usable:
            reasons = "; ".join(list(self.failed.values())[:3])
            raise InvalidRequest(
                f"None of the {len(self.names)} pictures can be used: {reasons}",
                value=len(self.names),
                remedy="Give pictures that can be read and show something.",
            )
        chosen: list[FoundPart] = []
        sources = [usable[turn % len(usable)] for turn in range(self.parts)]
        for source in sources:
            found = [part for part in self._parts_of(source) if part not in chosen]
            found = found or self._parts_of(source)
            if chosen:
                chosen.append(min(found, key=lambda part: _taken(part, chosen)))
            else:
                chosen.append(found[int(random.integers(min(len(found), self.parts)))])
        return Combination(number, chosen, sources)

    def _parts_of(self, index: int) -> list[FoundPart]:
        """The best first; empty where the picture cannot be used."""
        if index not in self._known:
            found: list[FoundPart] = []
            try:
                found = key_parts(self.read(index), CHOICE * self.parts, self.rule)
            except (IntarsiaError, ModelsError) as error:
                self.failed[index] = error.what
            self._known[index] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(index)
        return self._known[index]


def _taken(part: FoundPart, others: Sequence[FoundPart]) -> float:
    """The largest share that another part has of a part's place, were the pictures laid over each
    other; in [0, 1]."""
    left, top, right, bottom = part.box
    shares = []
    for other in others:
        a, b, c, d = other.box
        shared = max(0.0, min(right, c) - max(left, a)) * max(0.0, min(bottom, d) - max(top, b))
        shares.append(shared / ((right - left) * (bottom - top)))
    return max(shares)
