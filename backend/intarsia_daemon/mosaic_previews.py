"""What an artist sees of a mosaic while it is composed: a sketch, then the tiles as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from intarsia_daemon.context import PREVIEW_SIDE
from intarsia_daemon.mosaic_places import Place
from intarsia_daemon.pixels import Layer
from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.rendering import render
from intarsia_models.mosaic.templates import TemplateCanvas, resized

EVERY_S = 1.0
SKETCH_SIDE = 160
"""Longer side of the sketch."""
_NAME = "Mosaic"


class MosaicPreviews:
    """Small pictures of one mosaic that is being composed."""

    def __init__(self, place: Place) -> None:
        """Begin with nothing.

        Args:
            place: Of the mosaic.
        """
        self._size = place.size
        coverage = _strided(place.coverage[None], place.size)[0]
        self._coverage = np.asarray(coverage, np.float32)
        self._arrays: Mapping[str, np.ndarray] = {}
        self._base: np.ndarray | None = None
        self._told = -np.inf
        self._last: Layer | None = None

    def sketch(
        self,
        model: MosaicModel,
        place: Place,
        canvases: Sequence[TemplateCanvas],
        adjustment: Adjustment,
        *,
        seed: int,
        tick: Callable[[], None],
    ) -> None:
        """Compose all of it small, at once: what is shown until the tiles come.

        Guide and templates are reduced alike. Pieces are larger than they are going to be, for a
        network cuts pieces of some pixels at any size.

        Args:
            model: That composes it.
            place: Of the mosaic.
            canvases: Its templates.
            adjustment: Of the weights.
            seed: Of the noise.
            tick: May raise to stop.
        """
        scale = min(1.0, SKETCH_SIDE / max(place.size))
        height, width = (max(1, round(side * scale)) for side in place.size)
        content = None
        if place.content is not None:
            content = interpolate(place.content, (height, width), mode="area")
        small = [_reduced(canvas, scale) for canvas in canvases]
        made = render(
            model,
            content,
            small,
            (height, width),
            refine=False,
            adjustment=adjustment if adjustment.changes else None,
            seed=seed,
            keep_weights=False,
            tick=tick,
        )
        found = torch.from_numpy(np.array(made.collage, np.float32))[None]
        sides = self._coverage.shape
        self._base = interpolate(found, sides, mode="bilinear", align_corners=False)[0].numpy()

    def watch(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the arrays that fill up: "collage" and, where it is refined, "picture"; both
        (3, H', W') in [-1, 1], zero where nothing is made yet."""
        self._arrays = arrays

    def due(self) -> Layer | None:
        """What there is to see, if some time has passed and it has changed; else None."""
        now = time.monotonic()
        if now - self._told < EVERY_S:
            return None
        self._told = now
        shown, last = self.layer(), self._last
        if shown is None or (last is not None and np.array_equal(shown.array, last.array)):
            return None
        self._last = shown
        return shown

    def layer(self) -> Layer | None:
        """RGBA float32: what is composed so far over the sketch; None where there is neither."""
        shown = self._base
        for name in ("collage", "picture"):
            if name not in self._arrays:
                continue
            made = _strided(self._arrays[name], self._size)
            there = (made != 0).any(0)
            if there.any():
                shown = np.where(there, made, np.nan if shown is None else shown)
        if shown is None:
            return None
        known = np.isfinite(shown).all(0)
        array = np.empty((*self._coverage.shape, 4), np.float32)
        array[..., :3] = np.where(known, np.clip(shown, -1, 1) / 2 + 0.5, 0).transpose(1, 2, 0)
        array[..., 3] = self._coverage * known
        return Layer(_NAME, array)


def _strided(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w): every so manieth pixel of the first rows and columns, about twice a preview's."""
    stride = max(1, max(size) // (2 * PREVIEW_SIDE))
    return np.array(array[:, : size[0] : stride, : size[1] : stride])


def _reduced(canvas: TemplateCanvas, scale: float) -> TemplateCanvas:
    if scale == 1.0:
        return canvas
    pixels: Tensor = resized(canvas.pixels, scale)
    return replace(
        canvas,
        pixels=pixels,
        top=round(canvas.top * scale),
        left=round(canvas.left * scale),
        scale=canvas.scale * scale,
    )
