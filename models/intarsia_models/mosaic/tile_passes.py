"""A tile through a U-Net, with no more of its surroundings at each level than is needed.

The encoder has to see as far as the whole network does, but the decoder's levels, which take most
of the work and memory, only need a margin that shrinks towards the full size. What stands after a
norm with given statistics is computed in strips of rows: nothing there mixes pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from intarsia_models.mosaic.networks import Level, PictureNorm, UNet
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.tiles import Tile

STRIP = 1 << 21
"""Numbers in a strip, about."""


class Probe(NamedTuple):
    """Ends a pass at a norm."""

    norm: PictureNorm
    seen: Callable[[Tensor], None]
    """Gets what the norm gets, of the tile alone: (N, C, h, w)."""


class _Probed(Exception):
    """The norm was reached."""


def tile_pass(
    unet: UNet,
    x: Tensor,
    tile: Tile,
    settings: MosaicSettings,
    *,
    size: tuple[int, int],
    count: int = 1,
    margin: int = 0,
    probe: Probe | None = None,
) -> Tensor | None:
    """Send what is around a tile through a U-Net.

    Args:
        unet: Of these settings.
        x: (N, C, outer height, outer width) of the tile.
        tile: With at least ``settings.reach`` + ``margin`` around it, or all there is.
        settings: Kernel and depth.
        size: (height, width) of the canvas.
        count: K, where there is attention over sets.
        margin: Pixels around the tile that are wanted, too.
        probe: Where to end; None: nowhere.

    Returns:
        (N, outputs, height, width) of ``tile.around(margin, size)``; None with a probe.
    """
    try:
        return _passed(unet, x, tile, settings, size, count, margin, probe)
    except _Probed:
        return None


def margins(settings: MosaicSettings, margin: int = 0) -> list[int]:
    """Pixels around a tile that are needed of the activations of each size, from the full one to
    1 / 2 ** depth of it."""
    found, half = [margin], settings.kernel // 2
    for level in range(settings.depth):
        found.append(found[-1] + (half + 1) * 2**level)
    return found


def _passed(
    unet: UNet,
    x: Tensor,
    tile: Tile,
    settings: MosaicSettings,
    size: tuple[int, int],
    count: int,
    margin: int,
    probe: Probe | None,
) -> Tensor:
    kept: list[Tensor] = []
    for number, part in enumerate(unet.encoder, 1):
        x = _level(part, x, count, tile, 2**number, probe)
        kept.append(x)
    kept.pop()
    region = tile
    needed = margins(settings, margin)
    for number, part in zip(reversed(range(settings.depth)), unet.decoder, strict=True):
        scale = 2 ** (number + 1)
        smaller = tile.around(needed[number + 1], size, scale)
        x = _cut(x, smaller, region, scale)
        region = smaller
        x = _level(part, x, count, region, scale // 2, probe)
        if kept:
            x = torch.cat([x, _cut(kept.pop(), region, tile, scale // 2)], 1)
    return _cut(x, tile.around(margin, size), region, 1)


def _level(
    part: object, x: Tensor, count: int, region: Tile, scale: int, probe: Probe | None
) -> Tensor:
    """A level of the U-Net; its result is at 1 / ``scale`` of the size."""
    assert isinstance(part, Level)
    x = part.convolve(x)
    norm = part.norm
    if probe is not None and norm is probe.norm:
        rows, columns = region.inner(scale)
        probe.seen(x[..., rows, columns])
        raise _Probed
    if norm is not None and norm.given is None:
        x, norm = norm(x), None
    rows = max(1, STRIP // (x.shape[0] * x.shape[1] * x.shape[3]))
    made = [
        part.finish(strip if norm is None else norm(strip), count, None)
        for strip in x.split(rows, dim=-2)
    ]
    return torch.cat(made, -2) if len(made) > 1 else made[0]


def _cut(x: Tensor, region: Tile, current: Tile, scale: int) -> Tensor:
    rows, columns = region.within(current, scale)
    return x[..., rows, columns]
