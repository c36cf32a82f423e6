"""Statistics of a whole picture's norms, gathered from its tiles.

Instance norms look at the whole picture: tiles with statistics of their own do not fit together.
Here the first norm's statistics are summed over all tiles, then the second one's with the first one
given, and so on, so that no more than a tile is in memory at a time and every tile is computed as
the whole picture would be.

Source: ours. Means and squared deviations of parts are merged as in Chan, Golub and LeVeque 1979
("Updating formulae and a pairwise algorithm for computing sample variances"), in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from intarsia_models.kernel_threads import run_parts
from intarsia_models.mosaic.networks import Level, PictureNorm, Statistics, UNet, picture_norms
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.tile_passes import Probe
from intarsia_models.mosaic.tiles import Tile, tile_plan

Run = Callable[[Tile, Probe | None], Any]
"""Sends what is around a tile through a network, to a probe."""
SHARED_FROM = 1 << 18
"""With fewer numbers than this, one thread does it all."""
OnTile = Callable[[float, Tile], None]
"""Gets the work just done, in multiplications, and the tile."""


class Moments:
    """Mean and mean squared deviation of numbers that come in parts."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Take (N, C, h, w) in, each row and channel for itself."""
        count = x.shape[-1] * x.shape[-2]
        mean, squares = _mean_and_squares(x)
        total = self._count + count
        away = mean - self._mean
        self._mean = self._mean + away * (count / total)
        self._squares = self._squares + squares + away * away * (self._count * count / total)
        self._count = total

    def statistics(self) -> Statistics:
        """Of all that was taken in.

        Raises:
            ValueError: Nothing was.
        """
        if not self._count:
            raise ValueError("There are no statistics of nothing.")
        return Statistics(self._mean.float(), (self._squares / self._count).float())


def _mean_and_squares(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and sums of squared deviations from them, float64."""
    lines = x.permute(0, 2, 3, 1)
    kernel = _kernel() if x.device.type == "cpu" and x.dtype == torch.float32 else None
    if kernel is None or not lines.is_contiguous():
        variance, mean = torch.var_mean(x.float(), (-2, -1), correction=0)
        return mean.double(), variance.double() * (x.shape[-1] * x.shape[-2])
    made = [torch.empty(x.shape[:2], dtype=torch.float64) for _ in range(2)]
    arrays = [t.detach().numpy() for t in (lines, *made)]
    parts = [tuple(array[n] for array in arrays) for n in range(x.shape[0])]
    run_parts(kernel, parts, torch.get_num_threads() if x.numel() >= SHARED_FROM else 1)
    return made[0], made[1]


@cache
def _kernel() -> Callable[..., None] | None:
    try:
        from intarsia_models.mosaic.picture_kernels import mean_and_squares
    except ImportError:
        return None
    return mean_and_squares


def gather_statistics(
    unet: UNet,
    settings: MosaicSettings,
    run: Run,
    *,
    size: tuple[int, int],
    tile: int,
    known: Sequence[Statistics] = (),
    on_norm: Callable[[Sequence[Statistics]], None] | None = None,
    on_tile: OnTile | None = None,
) -> list[Statistics]:
    """The statistics of every norm for a whole picture, one pass over the tiles per norm.

    Args:
        unet: Whose norms they are.
        settings: Of it.
        run: See `Run`.
        size: (height, width) of the picture, multiples of ``settings.multiple``.
        tile: Side of the tiles.
        known: Of the first norms, from an interrupted run.
        on_norm: Called after every pass with all that is known.
        on_tile: Called after every tile; may raise to stop.

    Returns:
        In the order of `picture_norms`.
    """
    found = list(known)
    norms = picture_norms(unet)
    works, _ = norm_works(unet)
    for index in range(len(found), len(norms)):
        halo = norm_reach(settings, index)
        moments = Moments()
        with given_statistics(norms, found):
            for part in tile_plan(size, tile, halo, settings.multiple):
                run(part, Probe(norms[index], moments.add))
                if on_tile is not None:
                    on_tile(works[index] * part.height * part.width, part)
        found.append(moments.statistics())
        if on_norm is not None:
            on_norm(found)
    return found


def own_statistics(network: nn.Module, run: Callable[[], Any]) -> list[Statistics]:
    """The statistics of every norm in one pass over a picture as a whole.

    Args:
        network: Whose norms they are.
        run: Sends a picture through it.
    """
    norms = picture_norms(network)
    found: dict[int, Statistics] = {}

    def hook(index: int) -> Callable[[nn.Module, Any], None]:
        def before(module: nn.Module, inputs: Any) -> None:
            moments = Moments()
            moments.add(inputs[0])
            found[index] = moments.statistics()

        return before

    handles = [norm.register_forward_pre_hook(hook(n)) for n, norm in enumerate(norms)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [found[index] for index in range(len(norms))]


@contextmanager
def given_statistics(
    norms: Sequence[PictureNorm], statistics: Sequence[Statistics]
) -> Iterator[None]:
    """Let the first norms take these statistics instead of their inputs' own."""
    try:
        for norm, given in zip(norms, statistics, strict=False):
            norm.given = given
        yield
    finally:
        for norm in norms:
            norm.given = None


def norm_reach(settings: MosaicSettings, index: int) -> int:
    """Pixels around a place that the input of a norm depends on there.

    Args:
        settings: Of the U-Net.
        index: Of the norm, in the order in which they run. The encoder's first level has none.
    """
    level = index + 2
    if level > settings.depth:
        return settings.reach
    return (settings.kernel // 2) * (2**level - 1)


def level_works(unet: UNet) -> tuple[list[float], list[float]]:
    """What the levels cost, the encoder's first: multiplications per pixel of the picture, of the
    convolution and of the attention after it, without those of queries and keys."""
    convolutions: list[float] = []
    sets: list[float] = []
    size = 1.0
    for part in (*unet.encoder, *unet.decoder):
        assert isinstance(part, Level)
        size *= 0.25 if part.shrinks else 4.0
        convolutions.append(size * part.convolution.weight.numel())
        linear = [] if part.sets is None else [p for p in part.sets.parameters() if p.ndim == 2]
        sets.append(size * sum(p.numel() for p in linear))
    return convolutions, sets


def norm_works(unet: UNet) -> tuple[list[float], float]:
    """What a pass as far as each norm costs, and a whole one; see `level_works`."""
    works: list[float] = []
    done = 0.0
    parts = (*unet.encoder, *unet.decoder)
    for part, convolution, sets in zip(parts, *level_works(unet), strict=True):
        assert isinstance(part, Level)
        done += convolution
        if part.norm is not None:
            works.append(done)
        done += sets
    return works, done
