"""Mosaics of any size: tile by tile, in bounded memory, equal to the whole picture at once.

Every tile is computed together with what the networks see around it, and with the statistics of the
whole picture in all norms (`streaming`). Templates are canvases without an end, of which each tile
takes its own place, so that nothing breaks at the borders of tiles.

Source: Jetchev et al. 2019, arXiv:1910.07236 (MAGIC), section 2 and figure 6, where overlapping
squares are trimmed; that the tiles equal the whole is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.networks import picture_norms
from intarsia_models.mosaic.render_phases import (
    Array,
    Norm,
    OnArrays,
    OnProgress,
    RenderPhases,
    RenderStatistics,
    Tick,
)
from intarsia_models.mosaic.render_storage import RenderStorage, room_for_scratch
from intarsia_models.mosaic.roll_out import Precision, RollOut
from intarsia_models.mosaic.stored_levels import IN_MEMORY
from intarsia_models.mosaic.templates import TemplateCanvas

NORMS: tuple[Norm, ...] = ("exact", "fast")
MEMORY_MB = 4096


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
    scratch_mb: int | None = None,
    precision: Precision = "float32",
    tick: Tick | None = None,
    on_progress: OnProgress | None = None,
    on_arrays: OnArrays | None = None,
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
            at once and as much of the templates; tiles fit together just as well. Where activations
            are stored (``scratch_mb``) "exact" takes no longer, and is taken.
        refine: Whether the result is refined, where the model can.
        adjustment: Of the weights; None: none.
        seed: Of the noise, for models that take some.
        keep_weights: Whether the weights are kept, 2 K H W bytes (and 6 K H W more for warped
            templates).
        statistics: Of another rendering with as many templates: nothing is gathered then.
        folder: Keeps what is done, so that a rendering that was stopped goes on; to be removed by
            the caller when it is no longer needed.
        memory_mb: What a tile's activations may take, about.
        scratch_mb: What stored activations may take, on the disk of ``folder`` or of temporary
            files: with enough of it nothing is computed twice on a CPU (see `stored_levels`). None:
            half of what is free there. 0: none.
        precision: "bfloat16" computes convolutions and attention so; norms and sums stay float32.
        tick: Called before every tile; may raise to stop.
        on_progress: Called after every tile.
        on_arrays: Called once at the beginning, to look at what is composed by then; (3, h, w)
            "collage" and "picture" are at least as large as the mosaic.

    Returns:
        Equal to the whole picture in one pass with the same statistics, but for rounding.

    Raises:
        ValueError: Content, canvases, size or ``norm`` do not fit the model.
        OSError: ``folder`` cannot be written.
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {list(NORMS)}, got {norm!r}.")
    out = RollOut(
        model, content, canvases, size, seed=seed, adjustment=adjustment, precision=precision
    )
    stores = _stores_levels(out, folder, scratch_mb)
    if stores:
        norm = "exact"
    largest = out.largest_tile(memory_mb)
    side = tile or (out.level_tile() if stores else largest)
    facts = {
        "side": side,
        "norm": norm,
        "refine": refine,
        "weights": keep_weights,
        "given": None if statistics is None else _sums(statistics),
    }
    storage = RenderStorage(folder, "" if folder is None else out.identity(facts))
    phases = RenderPhases(
        out,
        storage,
        side,
        norm=norm,
        refine=refine,
        reduced_side=(tile or largest) + 2 * out.halo,
        stores=stores,
        tick=tick,
        on_progress=on_progress,
        on_arrays=on_arrays,
    )
    found = phases.run(statistics, keep_weights=keep_weights)
    height, width = size
    cut = {name: array[..., :height, :width] for name, array in phases.arrays.items()}
    return Rendering(
        picture=cut.get("picture", cut["collage"]),
        collage=cut["collage"],
        weights=cut.get("weights"),
        templates=_template_rows(out, cut.get("moved")),
        statistics=found,
        norm=norm if statistics is None else "given",
        tile=side,
        halo=out.halo,
    )


def _stores_levels(out: RollOut, folder: Path | None, scratch_mb: int | None) -> bool:
    """Whether activations are stored; a graphics card makes them faster than a disk reads."""
    if out.model.device.type != "cpu" or not picture_norms(out.unet):
        return False
    needed = out.stored_levels(out.unet, out.inputs, None).bytes
    if scratch_mb is not None:
        return needed <= scratch_mb * 2**20
    return needed <= max(IN_MEMORY, room_for_scratch(folder) // 2)


def _template_rows(out: RollOut, moved: Array | None) -> Callable[[int, int], Array]:
    if moved is not None:
        return lambda top, bottom: moved[:, :, top:bottom]
    width = out.size[1]
    return lambda top, bottom: np.stack(
        [canvas.area(top, 0, bottom - top, width).numpy() for canvas in out.canvases]
    )


def render_frames(
    model: MosaicModel,
    contents: Iterable[Tensor],
    canvases: Sequence[TemplateCanvas],
    size: tuple[int, int],
    *,
    statistics: RenderStatistics | None = None,
    on_frame: Callable[[int], None] | None = None,
    **options: Any,
) -> Iterator[Rendering]:
    """Frames of an animation, rendered alike: fixed templates, and the first frame's statistics.

    Args:
        model: Guided.
        contents: (1, 3, H, W) each.
        canvases: Of all frames.
        size: (H, W) of all frames.
        statistics: Instead of the first frame's.
        on_frame: Called with the number of each frame before it is rendered.
        **options: Of `render`.

    Raises:
        ValueError: See `render`.
    """
    for number, content in enumerate(contents):
        if on_frame is not None:
            on_frame(number)
        made = render(model, content, canvases, size, statistics=statistics, **options)
        statistics = made.statistics
        yield made


def _sums(statistics: RenderStatistics) -> list[float]:
    """Tells statistics apart."""
    both = [*statistics.first, *statistics.refinement]
    return [float(part.double().sum()) for one in both for part in one]
