"""The phases of a rendering: statistics, mix, statistics of the refinement, refinement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intarsia_models.mosaic.networks import Statistics, UNet, picture_norms
from intarsia_models.mosaic.render_storage import RenderStorage
from intarsia_models.mosaic.roll_out import RollOut, surrounded
from intarsia_models.mosaic.stored_levels import StoredLevels
from intarsia_models.mosaic.streaming import (
    Moments,
    OnTile,
    Run,
    gather_statistics,
    given_statistics,
    norm_works,
    own_statistics,
)
from intarsia_models.mosaic.tile_passes import Probe
from intarsia_models.mosaic.tiles import Area, Tile

Norm = Literal["exact", "fast"]
Array = NDArray[Any]
OnProgress = Callable[[float, Tile], None]
"""(share of the work that is done in [0, 1], the tile that was just computed)."""
OnArrays = Callable[[Mapping[str, Array]], None]
"""Is handed the arrays that fill up, at the padded size, zeros at first: "collage" and others."""
Tick = Callable[[], None]
MAKING = {"first": "mix", "refinement": "refine"}
"""What comes after the statistics of a network."""


class RenderStatistics(NamedTuple):
    """What a rendering knows of the whole picture; the same for all frames of an animation."""

    first: list[Statistics]
    """Of the norms of the network that makes the weights."""
    refinement: list[Statistics]
    theta: Tensor | None
    """(1, K, 6) of an affine warp, which depends on the whole picture."""


class RenderPhases:
    """One rendering; what it makes lies in `arrays`, at the padded size."""

    def __init__(
        self,
        out: RollOut,
        storage: RenderStorage,
        side: int,
        *,
        norm: Norm,
        refine: bool,
        reduced_side: int,
        stores: bool = False,
        tick: Tick | None = None,
        on_progress: OnProgress | None = None,
        on_arrays: OnArrays | None = None,
    ) -> None:
        """Prepare a rendering.

        Args:
            out: What is rendered.
            storage: Where it is kept.
            side: Of the tiles.
            norm: See `rendering.render`.
            refine: See there.
            reduced_side: Of the longer side of the picture whose statistics are "fast".
            stores: Whether activations are stored level by level, see `stored_levels`.
            tick: See `rendering.render`.
            on_progress: See there.
            on_arrays: See there.
        """
        self.out, self.storage, self.side, self.norm = out, storage, side, norm
        self.reduced_side = reduced_side
        self.refine = refine and out.refinement is not None
        self.tick, self.on_progress, self.on_arrays = tick, on_progress, on_arrays
        self.tiles = out.tiles(side)
        self.arrays: dict[str, Array] = {}
        self._levels: dict[str, StoredLevels] = {}
        if stores:
            folder = storage.folder
            self._levels["first"] = out.stored_levels(out.unet, out.inputs, folder)
            if out.refinement is not None:
                unet, source = out.refinement.unet, self._refinement_inputs
                self._levels["refinement"] = out.stored_levels(unet, source, folder)
        self._works = self._phase_works()
        self._done, self._total = 0.0, 1.0

    def run(self, given: RenderStatistics | None, *, keep_weights: bool) -> RenderStatistics:
        """All phases.

        Args:
            given: Statistics to take; None: they are gathered.
            keep_weights: Whether `arrays` gets "weights", and "moved" for warped templates.

        Returns:
            The statistics that were taken.
        """
        self._allocate(keep_weights)
        if self.on_arrays is not None:
            self.on_arrays(self.arrays)
        known = self._reduced() if given is None and self.norm == "fast" else given
        phases = ["mix"] + ["refine"] * self.refine
        if known is None or self._levels:
            phases += ["first"] + ["refinement"] * self.refine
        self._total = sum(self._works[phase] for phase in phases) * float(np.prod(self.out.padded))
        first = self._statistics("first", known.first if known else None)
        theta = known.theta if known else self._theta(first)
        self._mix(first, theta)
        self._forget_levels("first")
        refinement = known.refinement if known else []
        if self.refine:
            refinement = self._statistics("refinement", known.refinement if known else None)
            self._refine(refinement)
            self._forget_levels("refinement")
        return RenderStatistics(first, refinement, theta)

    def _phase_works(self) -> dict[str, float]:
        """Multiplications per pixel."""
        found: dict[str, float] = {}
        networks = [("first", self.out.unet, self.out.rows)]
        if self.out.refinement is not None:
            networks.append(("refinement", self.out.refinement.unet, 1))
        for gathering, unet, rows in networks:
            if gathering in self._levels:
                levels = self._levels[gathering]
                works, whole = levels.fill_work, levels.result_work
            else:
                works, whole = norm_works(unet)
            found |= {gathering: rows * sum(works), MAKING[gathering]: rows * whole}
        return found

    def _allocate(self, keep_weights: bool) -> None:
        out, count = self.out, len(self.out.canvases)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {"collage": ((3,), np.float32)}
        if self.refine:
            shapes["picture"] = ((3,), np.float32)
        if keep_weights and out.settings.style != "parametric":
            shapes["weights"] = ((count,), np.float16)
            if out.settings.warp != "none":
                shapes["moved"] = ((count, 3), np.float16)
        for name, (shape, dtype) in shapes.items():
            self.arrays[name] = self.storage.array(name, (*shape, *out.padded), dtype)

    def _statistics(self, phase: str, given: list[Statistics] | None) -> list[Statistics]:
        """Of the norms of a network for the whole picture; levels are filled, if there are any."""
        first = phase == "first"
        if phase in self._levels and self.storage.done(MAKING[phase]) < len(self.tiles):
            return self._filled(phase, given)
        if given is not None:
            return given
        if first:
            return self._gathered(phase, self.out.unet, self.out.raw)
        assert self.out.refinement is not None
        return self._gathered(phase, self.out.refinement.unet, self._refined)

    def _filled(self, phase: str, given: list[Statistics] | None) -> list[Statistics]:
        levels, known = self._levels[phase], self.storage.statistics(phase)
        if not levels.has_kept(len(known)):
            known = []
        rows, pixels = levels.rows, float(np.prod(self.out.padded))
        self._done += rows * pixels * sum(levels.fill_work[: len(known)])
        with self.out.arithmetic():
            found = levels.fill(
                known,
                given=given,
                on_norm=lambda found: self.storage.put_statistics(phase, found),
                on_tile=self._counting(rows),
            )
        self.out.levels[levels.unet] = levels
        return found

    def _forget_levels(self, phase: str) -> None:
        if phase in self._levels:
            self.out.levels.pop(self._levels[phase].unet, None)
            self._levels[phase].remove()

    def _counting(self, rows: int) -> OnTile:
        def on_tile(work: float, tile: Tile) -> None:
            self._count(work * rows, tile)
            self._wait()

        return on_tile

    def _gathered(self, phase: str, unet: UNet, run: Run) -> list[Statistics]:
        """Statistics of the norms of a U-Net for the whole picture."""
        known = self.storage.statistics(phase)
        per_tile = 1 if phase == "refinement" else self.out.rows
        works, _ = norm_works(unet)
        self._done += sum(works[: len(known)]) * per_tile * float(np.prod(self.out.padded))
        if len(self.tiles) == 1:
            self._wait()
            return own_statistics(unet, lambda: run(self.tiles[0], None))
        return gather_statistics(
            unet,
            self.out.settings,
            run,
            size=self.out.padded,
            tile=self.side,
            known=known,
            on_norm=lambda found: self.storage.put_statistics(phase, found),
            on_tile=self._counting(per_tile),
        )

    def _theta(self, statistics: list[Statistics]) -> Tensor | None:
        """Of an affine warp: the mean of what the network says of it, over the whole picture."""
        if self.out.settings.warp != "affine":
            return None
        moments = Moments()
        with given_statistics(picture_norms(self.out.unet), statistics):
            for tile in self.tiles:
                self._wait()
                made = self.out.raw(tile)
                assert made is not None
                moments.add(made[:, 1:])
        return self.out.settings.warp_reach * torch.tanh(moments.statistics().mean)[None]

    def _reduced(self) -> RenderStatistics:
        """Statistics of one pass over a smaller picture."""
        small = self.out.reduced(self.reduced_side)
        whole = small.whole()
        self._wait()
        first = own_statistics(self.out.unet, lambda: small.raw(whole))
        theta = None
        with given_statistics(picture_norms(self.out.unet), first):
            if self.out.settings.warp == "affine":
                theta = small.first(whole).theta
            collage = small.mix(whole, theta).collage[None]
        if not self.refine or self.out.refinement is None:
            return RenderStatistics(first, [], theta)
        second = own_statistics(self.out.refinement, lambda: small.refined(collage, whole))
        return RenderStatistics(first, second, theta)

    def _mix(self, statistics: list[Statistics], theta: Tensor | None) -> None:
        norms = picture_norms(self.out.unet)
        for tile in self._open_tiles("mix"):
            with given_statistics(norms, statistics):
                mix = self.out.mix(tile, theta)
            for name, made in (
                ("collage", mix.collage),
                ("weights", mix.weights),
                ("moved", mix.moved),
            ):
                if name in self.arrays and made is not None:
                    self.arrays[name][..., tile.rows, tile.columns] = made.float().cpu().numpy()

    def _refine(self, statistics: list[Statistics]) -> None:
        assert self.out.refinement is not None
        norms = picture_norms(self.out.refinement)
        for tile in self._open_tiles("refine"):
            with given_statistics(norms, statistics):
                made = self._refined(tile)
            assert made is not None
            self.arrays["picture"][:, tile.rows, tile.columns] = made[0].float().cpu().numpy()

    def _refined(self, tile: Tile, probe: Probe | None = None) -> Tensor | None:
        around = self.arrays["collage"][None, :, tile.outer_rows, tile.outer_columns]
        return self.out.refined(torch.from_numpy(np.array(around)), tile, probe)

    def _refinement_inputs(self, area: Area) -> Tensor:
        there = area.within(self.out.padded)
        rows, columns = slice(there.top, there.bottom), slice(there.left, there.right)
        collage = torch.from_numpy(np.array(self.arrays["collage"][None, :, rows, columns]))
        return surrounded(collage, there, area)

    def _open_tiles(self, phase: str) -> Iterator[Tile]:
        """Tiles that are not done; one counts as done when the next one is asked for."""
        work = self._works[phase]
        done = self.storage.done(phase)
        self._done += work * sum(tile.height * tile.width for tile in self.tiles[:done])
        for number, tile in enumerate(self.tiles[done:], done + 1):
            self._wait()
            yield tile
            self.storage.set_done(phase, number)
            self._count(work * tile.height * tile.width, tile)

    def _wait(self) -> None:
        if self.tick is not None:
            self.tick()

    def _count(self, work: float, tile: Tile) -> None:
        self._done += work
        if self.on_progress is not None:
            self.on_progress(min(1.0, self._done / self._total), tile)
