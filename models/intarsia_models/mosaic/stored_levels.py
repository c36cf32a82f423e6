"""A U-Net over a picture too large for the memory, level by level.

Every level's convolution is computed once for the whole picture, a small area after the other, and
kept, on disk where it is large. The statistics of its norm are known then, and the next level can
follow. Nothing is computed twice but what follows the norms, and the first level, whose results
would be the largest.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from intarsia_models.mosaic.level_storage import StoredLevel
from intarsia_models.mosaic.networks import Level, Statistics, UNet
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.streaming import Moments, given_statistics, level_works
from intarsia_models.mosaic.tiles import Area, Tile

NUMBERS_AT_ONCE = 1 << 22
"""Of a level's result that are computed at once, about."""
LEAST_SIDE = 16
"""Of an area, in pixels of its level."""
IN_MEMORY = 512 << 20
"""Bytes up to which all levels are held in memory where no later run is to go on with them."""
EXACT_UP_TO = 4 << 30
"""Bytes up to which levels are kept in 32 bits, and then in 16."""
Source = Callable[[Area], Tensor]
"""(N, h, w, C) of what the U-Net gets, of an area that may lie partly outside: zeros there."""
OnNorm = Callable[[Sequence[Statistics]], None]
OnTile = Callable[[float, Tile], None]
"""Gets the multiplications just done, of one row of the batch, and where on the canvas."""


class StoredLevels:
    """A U-Net's levels on one canvas; `fill` comes first, then any `result`."""

    def __init__(
        self,
        unet: UNet,
        settings: MosaicSettings,
        source: Source,
        *,
        rows: int,
        size: tuple[int, int],
        folder: Path | None = None,
        name: str = "levels",
    ) -> None:
        """Plan; nothing is computed or kept yet.

        Args:
            unet: Of these settings.
            settings: Kernel and depth.
            source: Of what the U-Net gets.
            rows: N, all of one set where there is attention over sets.
            size: (H, W) of the canvas, multiples of ``settings.multiple``.
            folder: Where levels are kept for a later run; None: nowhere.
            name: Tells several U-Nets in one folder apart.
        """
        self.unet, self.source, self.rows, self.size = unet, source, rows, size
        self.folder, self.name = folder, name
        self.half, self.depth = settings.kernel // 2, settings.depth
        self.parts: list[Level] = []
        for part in (*unet.encoder, *unet.decoder):
            assert isinstance(part, Level)
            self.parts.append(part)
        self.norms = [part.norm for part in self.parts if part.norm is not None]
        self._convolutions, self._sets = level_works(unet)
        self._stored: dict[int, StoredLevel] = {}
        self.bytes, self._dtype = 4 * self._most_numbers(), torch.float32
        if self.bytes > EXACT_UP_TO:
            self.bytes, self._dtype = self.bytes // 2, torch.float16

    def has_kept(self, known: int) -> bool:
        """Whether the folder has what a run with so many known statistics goes on with."""
        needed = [p for p in self._with_norms()[:known] if self._last_use(p) > known]
        places = [self._place(p) for p in needed]
        return all(place is not None and place.is_file() for place in places)

    def fill(
        self,
        known: Sequence[Statistics] = (),
        *,
        given: Sequence[Statistics] | None = None,
        on_norm: OnNorm | None = None,
        on_tile: OnTile | None = None,
    ) -> list[Statistics]:
        """Compute every level with a norm.

        Args:
            known: Statistics of the first norms, from an interrupted run, see `has_kept`.
            given: Statistics of all norms to take; None: they are gathered.
            on_norm: Called after every level with all that is known.
            on_tile: Called after every area; may raise to stop.

        Returns:
            In the order of `picture_norms`.

        Raises:
            OSError: The disk is full.
        """
        found = list(known)
        for number, index in enumerate(self._with_norms()):
            if number < len(known):
                if self._last_use(index) > len(known):
                    self._stored[index] = self._level(index)
                continue
            moments = self._filled(index, found, on_tile)
            found.append(moments.statistics() if given is None else given[number])
            if on_norm is not None:
                on_norm(found)
            for old in [p for p in self._stored if self._last_use(p) <= index]:
                self._stored.pop(old).remove()
        return found

    def result(self, area: Area) -> Tensor:
        """What the U-Net makes of an area on the canvas: (N, outputs, h, w); its norms must have
        got their statistics."""
        return self._convolved(len(self.parts) - 1, area)

    def remove(self) -> None:
        """Give the levels' room back."""
        while self._stored:
            self._stored.popitem()[1].remove()

    @property
    def fill_work(self) -> list[float]:
        """Multiplications per pixel of the canvas and row of the batch, level by level."""
        return [self._work(index) for index in self._with_norms()]

    @property
    def result_work(self) -> float:
        """Likewise, of the result."""
        return self._work(len(self.parts) - 1)

    def _with_norms(self) -> list[int]:
        return [index for index, part in enumerate(self.parts) if part.norm is not None]

    def _last_use(self, index: int) -> int:
        """The last level whose convolution sees this one's activations."""
        return 2 * self.depth - 1 - index if index < self.depth else index + 1

    def _inputs(self, index: int) -> list[int]:
        """Levels whose activations a level's convolution sees, joined."""
        before = [index - 1] if index else []
        return [*before, 2 * self.depth - 1 - index] if index > self.depth else before

    def _scale(self, index: int) -> int:
        """Pixels of the canvas per pixel of a level's result."""
        return 2 ** (index + 1 if index < self.depth else 2 * self.depth - 1 - index)

    def _side(self, index: int) -> tuple[int, int]:
        scale = self._scale(index)
        return self.size[0] // scale, self.size[1] // scale

    def _channels(self, index: int) -> int:
        return self.parts[index].convolution.out_channels

    def _most_numbers(self) -> int:
        """That are kept at the same time."""
        most = 0
        for index in self._with_norms():
            there = [p for p in self._with_norms() if p <= index <= self._last_use(p)]
            sides = [self._side(p) for p in there]
            numbers = [h * w * self._channels(p) for p, (h, w) in zip(there, sides, strict=True)]
            most = max(most, self.rows * sum(numbers))
        return most

    def _work(self, index: int) -> float:
        work = self._convolutions[index]
        for before in self._inputs(index):
            work += self._sets[before]
            if self.parts[before].norm is None:
                work += self._work(before)
        return work

    def _place(self, index: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.name}-{index}.numbers"

    def _level(self, index: int) -> StoredLevel:
        shape = (self.rows, self._channels(index), *self._side(index))
        in_memory = self.bytes <= IN_MEMORY
        return StoredLevel(shape, self._dtype, self._place(index), in_memory=in_memory)

    def _filled(
        self, index: int, statistics: Sequence[Statistics], on_tile: OnTile | None
    ) -> Moments:
        stored, moments = self._level(index), Moments()
        work, scale = self._work(index), self._scale(index)
        with given_statistics(self.norms, statistics):
            for area in self._areas(index):
                x = self._convolved(index, area)
                moments.add(x)
                stored.write(area, x)
                if on_tile is not None:
                    tile = area.times(scale).tile()
                    on_tile(work * tile.height * tile.width, tile)
        self._stored[index] = stored
        return moments

    def _areas(self, index: int) -> Iterator[Area]:
        """Of a level's result, without overlap."""
        numbers = NUMBERS_AT_ONCE / (self.rows * self._channels(index))
        side = max(LEAST_SIDE, int(numbers**0.5) // 2 * 2)
        height, width = self._side(index)
        for top in range(0, height, side):
            for left in range(0, width, side):
                yield Area(top, min(height, top + side), left, min(width, left + side))

    def _convolved(self, index: int, area: Area) -> Tensor:
        """What a level's norm gets, of an area: (N, C, h, w)."""
        part = self.parts[index]
        if part.shrinks:
            seen = Area(
                2 * area.top - self.half,
                2 * area.bottom - 1 + self.half,
                2 * area.left - self.half,
                2 * area.right - 1 + self.half,
            )
            return part.convolve(self._seen(index, seen), padded=True)
        reach = (self.half + 1) // 2
        even = Area(
            area.top // 2 * 2, -(-area.bottom // 2) * 2, area.left // 2 * 2, -(-area.right // 2) * 2
        )
        seen = Area(
            even.top // 2 - reach,
            even.bottom // 2 + reach,
            even.left // 2 - reach,
            even.right // 2 + reach,
        )
        made = part.convolve(self._seen(index, seen), padded=True)
        rows, columns = area.inside(even)
        return made[..., rows, columns]

    def _seen(self, index: int, area: Area) -> Tensor:
        """What a level's convolution gets, zeros beyond the canvas: (N, C, h, w), channels last."""
        before = self._inputs(index)
        if not before:
            return self.source(area).permute(0, 3, 1, 2)
        there = area.within(self._side(before[0]))
        widths = [self._channels(p) for p in before]
        shape = (self.rows, area.height, area.width, sum(widths))
        joined = torch.empty(shape) if there == area else torch.zeros(shape)
        rows, columns = there.inside(area)
        for p, part in zip(before, joined[:, rows, columns].split(widths, -1), strict=True):
            self._activations(p, there, part)
        return joined.permute(0, 3, 1, 2)

    def _activations(self, index: int, area: Area, into: Tensor) -> None:
        """What a level hands on, of an area on the canvas, into (N, h, w, C)."""
        part = self.parts[index]
        if index in self._stored:
            x = torch.empty(into.shape)
            self._stored[index].read(area, x)
            x = x.permute(0, 3, 1, 2)
        else:
            x = self._convolved(index, area)
        part.activate(x, self.rows, into)
