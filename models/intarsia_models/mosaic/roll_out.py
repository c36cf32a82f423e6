"""A model on a canvas of any size, of which any tile can be computed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.baselines import FixedMemoryNetwork, ParametricNetwork, noise_area
from intarsia_models.mosaic.model import MagicNetwork, MosaicModel
from intarsia_models.mosaic.networks import Level, RefinementUNet, SetOutput, UNet
from intarsia_models.mosaic.pooling import normalized, pooled, warped
from intarsia_models.mosaic.render_storage import identity_of
from intarsia_models.mosaic.stored_levels import NUMBERS_AT_ONCE, Source, StoredLevels
from intarsia_models.mosaic.template_areas import fill_areas, fillable
from intarsia_models.mosaic.templates import TemplateCanvas, stacked
from intarsia_models.mosaic.tile_passes import Probe, tile_pass
from intarsia_models.mosaic.tiles import Area, Tile, tile_plan, up_to

Precision = Literal["float32", "bfloat16"]
LEAST_TILE = 64
PIXEL_BYTES = 16
"""Per pixel and template, besides activations: pixels, weights, sums."""
AROUND, INNER, ACTIVATIONS_AT_ONCE = 20.0, 32.0, 6.0
"""Numbers per pixel besides what the encoder keeps, and activations of the first level's size in
the decoder. Measured: 100 to 130 bytes per pixel and template around a tile at width 16, 164 to 174
at 48; 250 and 490 where the tile is all there is."""


class Mix(NamedTuple):
    """One tile before the refinement, without its surroundings."""

    collage: Tensor
    """(3, h, w)."""
    weights: Tensor | None
    """(K, h, w)."""
    moved: Tensor | None
    """(K, 3, h, w): the templates as they were warped, where they were."""


class RollOut:
    """What a rendering computes with; sizes and places are those of the padded canvas."""

    def __init__(
        self,
        model: MosaicModel,
        content: Tensor | None,
        canvases: Sequence[TemplateCanvas],
        size: tuple[int, int],
        *,
        seed: int = 0,
        adjustment: Adjustment | None = None,
        precision: Precision = "float32",
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        """Check what is to be rendered.

        Args:
            model: See `rendering.render`.
            content: See there.
            canvases: See there.
            size: See there.
            seed: See there.
            adjustment: See there.
            precision: See there.
            corner: (top, left) of this canvas in those of the templates.

        Raises:
            ValueError: Something does not fit.
        """
        network = model.network
        assert isinstance(network, MagicNetwork | FixedMemoryNetwork | ParametricNetwork)
        self.model, self.network, self.settings = model, network, model.settings
        self.content, self.canvases, self.size = content, list(canvases), size
        self.seed, self.corner = seed, corner
        self.precision: Precision = precision
        self.adjustment = adjustment or Adjustment()
        self.levels: dict[UNet, StoredLevels] = {}
        """Of a network, once they are filled: a tile is made from them."""
        multiple = self.settings.multiple
        self.padded: tuple[int, int] = (up_to(size[0], multiple), up_to(size[1], multiple))
        self._check()

    @property
    def unet(self) -> UNet:
        """Of the first network; only it has norms there."""
        first = self.network
        return first.set_network.unet if isinstance(first, MagicNetwork) else first.unet

    @property
    def refinement(self) -> RefinementUNet | None:
        """The second network."""
        return None if isinstance(self.network, ParametricNetwork) else self.network.refinement

    @property
    def rows(self) -> int:
        """How many pictures go through the first network at once."""
        return len(self.canvases) if isinstance(self.network, MagicNetwork) else 1

    @property
    def halo(self) -> int:
        """Pixels around a tile that it is computed with."""
        return self.settings.reach + self.adjustment.reach

    @property
    def _warp_reach(self) -> int:
        """Pixels that a warp moves a template's pixel at most, and one for interpolation."""
        parts = {"none": 0, "flow": 1, "affine": 3}[self.settings.warp]
        return int(parts * self.settings.warp_reach) + 1

    def tiles(self, side: int) -> list[Tile]:
        """The padded canvas in tiles."""
        return tile_plan(self.padded, side, self.halo, self.settings.multiple)

    def raw(self, tile: Tile, probe: Probe | None = None, *, margin: int = 0) -> Tensor | None:
        """What the first network's U-Net makes of a tile and a margin; None with a probe."""
        with self.arithmetic():
            if self.unet in self.levels:
                made = self.levels[self.unet].result(tile.around(margin, self.padded).outer)
            else:
                x = self._joined(tile)
                made = self._passed(self.unet, x, tile, self.rows, margin, probe)
        return None if made is None else made.float()

    def inputs(self, area: Area) -> Tensor:
        """What the first network's U-Net gets of an area, zeros beyond the canvas: (N, h, w, C)."""
        there = area.within(self.padded)
        if not isinstance(self.network, MagicNetwork) or not fillable():
            return surrounded(self._joined(there.tile()), there, area)
        content = self._content(there.tile())
        shape = (self.rows, area.height, area.width, 3 if content is None else 6)
        made = torch.empty(shape) if there == area else torch.zeros(shape)
        rows, columns = there.inside(area)
        corner = (there.top + self.corner[0], there.left + self.corner[1])
        fill_areas(self.canvases, corner, content, made[:, rows, columns])
        return made

    def stored_levels(self, unet: UNet, source: Source, folder: Path | None) -> StoredLevels:
        """For one of the networks, see `stored_levels`."""
        return StoredLevels(
            unet,
            self.settings,
            source,
            rows=self.rows if unet is self.unet else 1,
            size=self.padded,
            folder=folder,
            name="first" if unet is self.unet else "refinement",
        )

    def first(self, tile: Tile, *, margin: int = 0) -> SetOutput:
        """Logits, and warps, of a tile and a margin.

        Raises:
            ValueError: The model has no weights of templates.
        """
        if isinstance(self.network, ParametricNetwork):
            raise ValueError("A parametric mosaic has no weights of templates.")
        made = self.raw(tile, margin=margin)
        assert made is not None
        if isinstance(self.network, MagicNetwork):
            return self.network.set_network.read(made[None])
        return self.network.read(made)

    def mix(self, tile: Tile, theta: Tensor | None = None) -> Mix:
        """A tile before the refinement.

        Args:
            tile: Where.
            theta: (1, K, 6) of an affine warp of the whole picture.
        """
        if isinstance(self.network, ParametricNetwork):
            made = self.raw(tile)
            assert made is not None
            return Mix(self.network.finish(made)[0], None, None)
        found = self.first(tile, margin=self.adjustment.reach)
        templates, near = self._moved(tile, found.theta if theta is None else theta)
        logits = self.adjustment(found.logits, templates, self._content(near))
        rows, columns = near.inner()
        weights, inner = normalized(logits)[..., rows, columns], templates[..., rows, columns]
        return Mix(pooled(weights, inner)[0], weights[0], None if found.theta is None else inner[0])

    def refined(self, collage: Tensor, tile: Tile, probe: Probe | None = None) -> Tensor | None:
        """A tile of the result.

        Args:
            collage: (1, 3, h, w) around the tile.
            tile: Where.
            probe: See `raw`.
        """
        refinement = self.refinement
        assert refinement is not None
        collage = collage.to(self.model.device)
        with self.arithmetic():
            if refinement.unet in self.levels:
                made = self.levels[refinement.unet].result(tile.around(0, self.padded).outer)
            else:
                x = collage.contiguous(memory_format=torch.channels_last)
                made = self._passed(refinement.unet, x, tile, 1, 0, probe)
        rows, columns = tile.inner()
        return None if made is None else refinement.finish(made, collage[..., rows, columns])

    def reduced(self, side: int) -> RollOut:
        """The same with a smaller canvas, for what only needs to be about right: the content is
        resized, the templates stay as large as they are and are cut from the middle.

        Args:
            side: Of the longer side at most.
        """
        height, width = self.size
        scale = min(1.0, side / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        content = self.content
        if content is not None and scale < 1:
            content = interpolate(content.float(), size, mode="area")
        middle = ((height - size[0]) // 2, (width - size[1]) // 2)
        return RollOut(
            self.model,
            content,
            self.canvases,
            size,
            seed=self.seed,
            adjustment=self.adjustment,
            precision=self.precision,
            corner=(self.corner[0] + middle[0], self.corner[1] + middle[1]),
        )

    def whole(self) -> Tile:
        """All of it as one tile."""
        (tile,) = self.tiles(max(self.padded))
        return tile

    def level_tile(self) -> int:
        """Side of the tiles that are made from stored levels."""
        side = int((NUMBERS_AT_ONCE / self.rows) ** 0.5)
        return up_to(max(LEAST_TILE, min(side, max(self.padded))), self.settings.multiple)

    def largest_tile(self, memory_mb: int) -> int:
        """Side of the largest tiles whose activations take about so much memory, or
        `LEAST_TILE`."""
        around, inner = bytes_per_pixel(self.unet, self.precision)
        more = PIXEL_BYTES * (len(self.canvases) + 4)
        multiple, halo = self.settings.multiple, up_to(self.halo, self.settings.multiple)
        whole = max(self.padded)
        for side in range(up_to(whole, multiple), LEAST_TILE, -multiple):
            outer = float(min(side + 2 * halo, self.padded[0]) * min(side + 2 * halo, whole))
            own = float(min(side, self.padded[0]) * min(side, whole))
            taken = self.rows * max(around * outer, inner * own) + more * outer
            if taken <= memory_mb * 2**20:
                return side
        return up_to(LEAST_TILE, multiple)

    def identity(self, facts: Mapping[str, Any]) -> str:
        """A digest of everything that is rendered; ``facts`` are plain JSON values."""
        own = {
            "settings": self.settings.to_card(),
            "size": self.size,
            "seed": self.seed,
            "adjustment": repr(self.adjustment),
            "precision": self.precision,
            "canvases": [canvas.to_card() for canvas in self.canvases],
        }
        arrays = [canvas.pixels for canvas in self.canvases]
        arrays += [] if self.content is None else [self.content]
        return identity_of(self.network, arrays, {**own, **facts})

    def _joined(self, tile: Tile) -> Tensor:
        """What the first network's U-Net gets of what is around a tile: (N, C, h, w)."""
        content = self._content(tile)
        if isinstance(self.network, ParametricNetwork):
            return self.network.joined(content, self._noise(tile))
        first = self.network
        network = first.set_network if isinstance(first, MagicNetwork) else first
        return network.joined(self._templates(tile), content)

    def _passed(
        self, unet: UNet, x: Tensor, tile: Tile, count: int, margin: int, probe: Probe | None
    ) -> Tensor | None:
        return tile_pass(
            unet,
            x,
            tile,
            self.settings,
            size=self.padded,
            count=count,
            margin=margin,
            probe=probe,
        )

    def _moved(self, tile: Tile, theta: Tensor | None) -> tuple[Tensor, Tile]:
        """Templates as they are mixed, (1, K, 3, h, w), and the place they are of: the tile and
        the margin of the adjustment."""
        near = tile.around(self.adjustment.reach, self.padded)
        if theta is None:
            return self._templates(near), near
        wide = tile.around(self.adjustment.reach + self._warp_reach, self.padded)
        rows, columns = near.within(wide)
        if self.settings.warp == "flow":  # beyond the wanted place nothing need move
            flow = theta.new_zeros((*theta.shape[:3], wide.outer_height, wide.outer_width))
            flow[..., rows, columns] = theta
            theta = flow
        moved = warped(
            self._templates(wide),
            theta,
            self.settings.warp,
            corner=(wide.outer_top, wide.outer_left),
            whole=self.padded,
        )
        return moved[..., rows, columns], near

    def _content(self, tile: Tile) -> Tensor | None:
        """(1, 3, h, w) around a tile, mirrored beyond the picture."""
        if self.content is None:
            return None
        rows = _mirrored(tile.outer_top, tile.outer_height, self.size[0])
        columns = _mirrored(tile.outer_left, tile.outer_width, self.size[1])
        area = self.content[..., rows[:, None], columns]
        return area.to(self.model.device, torch.float32)

    def _templates(self, tile: Tile) -> Tensor:
        """(1, K, 3, h, w) around a tile."""
        top, left = tile.outer_top + self.corner[0], tile.outer_left + self.corner[1]
        made = stacked(self.canvases, top, left, tile.outer_height, tile.outer_width)
        return made.to(self.model.device)

    def _noise(self, tile: Tile) -> Tensor | None:
        channels = self.settings.noise_channels
        if not channels:
            return None
        top, left = tile.outer_top + self.corner[0], tile.outer_left + self.corner[1]
        made = noise_area(self.seed, channels, top, left, tile.outer_height, tile.outer_width)
        return made.to(self.model.device)

    def arithmetic(self) -> AbstractContextManager[Any]:
        """What networks run in."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16)

    def _check(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size must be positive, got {self.size}.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f'precision must be "float32" or "bfloat16", got {self.precision!r}.')
        if (self.content is None) == self.settings.guided:
            raise ValueError(
                "This mosaic follows a content picture: give one."
                if self.settings.guided
                else "This mosaic was trained without contents and cannot follow one."
            )
        wanted = (1, 3, *self.size)
        if self.content is not None and tuple(self.content.shape) != wanted:
            raise ValueError(f"content must be {wanted}, got {tuple(self.content.shape)}.")
        if isinstance(self.network, ParametricNetwork):
            return
        if not self.canvases:
            raise ValueError("There are no templates: give at least one canvas.")
        slots = self.settings.slots
        if slots and len(self.canvases) != slots:
            raise ValueError(
                f"This mosaic has a fixed memory of {slots} templates, got {len(self.canvases)}."
            )


def bytes_per_pixel(unet: UNet, precision: Precision = "float32") -> tuple[float, float]:
    """About what a pass takes at its largest, per picture in the batch: in the encoder per pixel of
    all that is around a tile, in the decoder per pixel of the tile."""
    widths: list[int] = []
    for level in unet.encoder:
        assert isinstance(level, Level)
        widths.append(level.convolution.out_channels)
    kept = sum(width / 4 ** (n + 1) for n, width in enumerate(widths))
    size = 4 if precision == "float32" else 2
    return size * (AROUND + kept), size * (INNER + kept + ACTIVATIONS_AT_ONCE * widths[0] / 4)


def surrounded(x: Tensor, there: Area, area: Area) -> Tensor:
    """(N, C, h, w) of an area within a larger one, zeros around it: (N, h, w, C)."""
    x = x.permute(0, 2, 3, 1)
    if there == area:
        return x
    made = x.new_zeros((x.shape[0], area.height, area.width, x.shape[3]))
    rows, columns = there.inside(area)
    made[:, rows, columns] = x
    return made


def _mirrored(start: int, length: int, side: int) -> Tensor:
    """Positions start … start + length - 1, mirrored into 0 … side - 1."""
    at = torch.arange(start, start + length).remainder(2 * side)
    return torch.minimum(at, 2 * side - 1 - at)
