"""Mosaics of any size: tile by tile, in bounded memory, equal to the whole picture at once.

Every tile is computed together with what the networks see around it, and with the statistics of the
whole picture in all norms (`streaming`). Templates are canvases without an end, of which each tile
takes its own place, so that nothing breaks at the borders of tiles.

Source: Jetchev et al. 2019, arXiv:1910.07236 (MAGIC), section 2 and figure 6, where overlapping squares
are trimmed; that the tiles equal the whole is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.baselines import ParametricNetwork, noise_area
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.networks import (
    RefinementUNet,
    SetOutput,
    Statistics,
    UNet,
    picture_norms,
)
from intarsia_models.mosaic.pooling import normalized, pooled, warped
from intarsia_models.mosaic.render_storage import RenderStorage, identity_of
from intarsia_models.mosaic.streaming import (
    gather_statistics,
    given_statistics,
    norm_works,
    own_statistics,
)
from intarsia_models.mosaic.templates import TemplateCanvas, stacked
from intarsia_models.mosaic.tiles import Tile, tile_plan, up_to

Norm = Literal["exact", "fast"]
NORMS: tuple[Norm, ...] = ("exact", "fast")
Array = NDArray[Any]
OnProgress = Callable[[float, Tile], None]
"""(share of the work that is done in [0, 1], the tile that was just computed)."""
Tick = Callable[[], None]
MEMORY_MB = 4096
FIRST, REFINEMENT = "first", "refinement"
"""The two networks of a rendering."""


class RenderStatistics(NamedTuple):
    """What a rendering knows of the whole picture; the same for all frames of an animation."""

    first: list[Statistics]
    """Of the norms of the network that makes the weights."""
    refinement: list[Statistics]
    theta: Tensor | None
    """(1, K, 6) of an affine warp, which depends on the whole picture."""


@dataclass(frozen=True)
class Rendering:
    """A mosaic of any size; its arrays may lie on disk."""

    picture: Array
    """(3, H, W) float32 in [-1, 1]."""
    collage: Array
    """(3, H, W) float32: before the refinement, copied and pasted only."""
    weights: Array | None
    """(K, H, W) float16, summing to 1 over the templates; None where there are none or they were
    not wanted."""
    templates: Callable[[int, int], Array]
    """Rows of what was mixed, as `weight_layers.weight_layers` asks for it."""
    statistics: RenderStatistics
    norm: Norm | Literal["given"]
    """How the statistics were found."""
    tile: int
    halo: int


@torch.no_grad()
def render(
    model: MosaicModel,
    content: Tensor | None,
    canvases: Sequence[TemplateCanvas],
    size: tuple[int, int],
    *,
    tile: int | None = None,
    norm: Norm = "exact",
    refine: bool = True,
    adjustment: Adjustment | None = None,
    seed: int = 0,
    keep_weights: bool = True,
    statistics: RenderStatistics | None = None,
    folder: Path | None = None,
    memory_mb: int = MEMORY_MB,
    precision: Precision = "float32",
    tick: Tick | None = None,
    on_progress: OnProgress | None = None,
) -> Rendering:
    """Compose a mosaic tile by tile.

    Args:
        model: Of any style.
        content: (1, 3, H, W) in [-1, 1], or None for an unguided model.
        canvases: K of them, one for each template.
        size: (H, W), any.
        tile: Side of the tiles; None: as large as ``memory_mb`` allows.
        norm: "exact": statistics of the whole picture, one pass over it for every norm. "fast":
            those of one pass over a smaller picture, the content resized to what fits into memory
            at once and as much of the templates; tiles fit together just as well.
        refine: Whether the result is refined, where the model can.
        adjustment: Of the weights; None: none.
        seed: Of the noise, for models that take some.
        keep_weights: Whether the weights are kept, 2 K H W bytes (and 6 K H W more for warped
            templates).
        statistics: Of another rendering with as many templates: nothing is gathered then.
        folder: Keeps what is done, so that a rendering that was stopped goes on; to be removed by
            the caller when it is no longer needed.
        memory_mb: What a tile's activations may take, about.
        precision: "bfloat16" computes convolutions and attention so; norms and sums stay float32.
        tick: Called before every tile; may raise to stop.
        on_progress: Called after every tile.

    Returns:
        Equal to the whole picture in one pass with the same statistics, but for rounding.

    Raises:
        ValueError: Content, canvases, size or ``norm`` do not fit the model.
        OSError: ``folder`` cannot be written.
    """
    plan = _Plan(model, content, canvases, size, seed, adjustment, precision)
    _check_norm(norm)
    side = tile or plan.largest_tile(memory_mb)
    facts = {"side": side, "norm": norm, "refine": refine, "given": statistics is not None}
    storage = RenderStorage(folder, plan.identity(facts) if folder else "")
    return _Renderer(plan, storage, side, norm, refine, keep_weights, tick, on_progress).render(
        statistics
    )
