"""Mosaics measured: what the weights of the losses do, other numbers of templates, three ways of
making one, tiles against the whole, and what rendering takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.evaluation.mosaic_cost import Cost, rendering_costs
from intarsia_models.evaluation.mosaic_trainings import (
    BASE,
    COARSE,
    FIXED,
    HARD,
    LARGER,
    PARAMETRIC,
    Material,
    Scale,
)
from intarsia_models.mosaic.measures import (
    content_correlation,
    content_distance,
    nearest_patch_distance,
    weight_figures,
)
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.rendering import Rendering, render
from intarsia_models.mosaic.roll_out import RollOut
from intarsia_models.mosaic.templates import PictureSource, TemplateCanvas, resized
from intarsia_models.mosaic.training import MEMORY_SEED, TrainedMosaic

QUERIES = 32
"""Patches of each mosaic that the nearest one is sought for."""
SEED = 5
"""Of the canvases; those of the training had others."""


@dataclass(frozen=True)
class Row:
    """The means of some mosaics; None where there are no weights."""

    name: str
    entropy: float | None
    variation: float | None
    used: float | None
    distance: float
    """Of the content, in grey levels."""
    correlation: float
    fidelity: float
    """To the nearest patch of the templates, in grey levels."""
    collage_fidelity: float
    """The same before the refinement."""


@dataclass(frozen=True)
class TileRow:
    """Tiles against the whole picture, in grey levels."""

    name: str
    tile: int
    worst: float
    mean: float


@dataclass(frozen=True)
class Shown:
    """One mosaic in the pictures."""

    content: Tensor
    rendering: Rendering


@dataclass(frozen=True)
class Mosaics:
    """All that was found."""

    weightings: list[Row]
    counts: list[Row]
    unseen: list[Row]
    """As the base and the other styles, on contents that nothing was trained on."""
    styles: list[Row]
    floor: float
    """Distance of the contents' own patches to the templates."""
    tiles: list[TileRow]
    costs: list[Cost]
    shown: Mapping[str, Sequence[Shown]]
    """By name of the model or number of templates."""
    trainings: Mapping[str, TrainedMosaic]


@torch.no_grad()
def mosaics(
    data: Material,
    models: Mapping[str, TrainedMosaic],
    scale: Scale,
    *,
    counts: Sequence[int],
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Mosaics:
    """All experiments.

    Args:
        data: The pictures.
        models: Of `mosaic_trainings.trained`.
        scale: That of the models.
        counts: Numbers of templates that the base model is tried with.
        device: Where the models are.
        say: Told what is done.
    """
    usual = scale.templates_most
    seen, unseen = contents(data.contents), contents(data.unseen)
    templates = sized(data.templates)
    shown: dict[str, list[Shown]] = {}

    def row(name: str, model: str, pictures: Sequence[Tensor], count: int) -> Row:
        say(f"measuring: {name}")
        canvases = canvases_of(data.templates, models[model].model, count)
        made = [composed(models[model].model, picture, canvases) for picture in pictures]
        shown.setdefault(name, []).extend(
            Shown(content, rendering) for content, rendering in zip(pictures, made, strict=True)
        )
        return means(name, pictures, made, templates)

    weightings = [row(name, name, seen, usual) for name in (BASE, HARD, LARGER, COARSE)]
    styles = [weightings[0]] + [row(name, name, seen, usual) for name in (FIXED, PARAMETRIC)]
    strange = [row(f"{name}, unseen", name, unseen, usual) for name in (BASE, FIXED, PARAMETRIC)]
    by_count = [row(f"K = {count}", BASE, seen[:1], count) for count in counts]
    say("measuring: tiles and costs")
    floor = [nearest_patch_distance(c, templates, queries=QUERIES) for c in seen]
    return Mosaics(
        weightings,
        by_count,
        strange,
        styles,
        float(np.mean(floor)),
        tile_rows(models[BASE].model, seen[0], data.templates, usual),
        rendering_costs(models[BASE].model, device=device),
        shown,
        models,
    )


def contents(source: PictureSource) -> list[Tensor]:
    """(1, 3, h, w) in [-1, 1] each."""
    return [picture[None].float() / 127.5 - 1 for picture in source.pictures]


def sized(source: PictureSource) -> list[Tensor]:
    """(3, h, w) in [-1, 1] each, at the size at which they are used."""
    return [resized(picture, source.scale).float() / 127.5 - 1 for picture in source.pictures]


def canvases_of(source: PictureSource, model: MosaicModel, count: int) -> list[TemplateCanvas]:
    """Fresh templates; of a fixed memory those that it was trained with."""
    slots = model.settings.slots
    return source.canvases(slots, MEMORY_SEED) if slots else source.canvases(count, SEED)


def composed(model: MosaicModel, content: Tensor, canvases: Sequence[TemplateCanvas]) -> Rendering:
    """A mosaic as large as its content."""
    height, width = content.shape[-2:]
    return render(model, content, canvases, (height, width))


def means(
    name: str, pictures: Sequence[Tensor], made: Sequence[Rendering], templates: Sequence[Tensor]
) -> Row:
    """The figures of some mosaics."""
    figures = [weight_figures(m.weights) for m in made if m.weights is not None]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    def nearest(arrays: Sequence[Any]) -> float:
        return mean(
            [nearest_patch_distance(_tensor(array), templates, queries=QUERIES) for array in arrays]
        )

    results = [_tensor(m.picture) for m in made]
    return Row(
        name,
        mean([f.entropy for f in figures]) if figures else None,
        mean([f.variation for f in figures]) if figures else None,
        mean([f.used for f in figures]) if figures else None,
        mean([content_distance(r, c) for r, c in zip(results, pictures, strict=True)]),
        mean([content_correlation(r, c) for r, c in zip(results, pictures, strict=True)]),
        nearest([m.picture for m in made]),
        nearest([m.collage for m in made]),
    )


def tile_rows(
    model: MosaicModel, content: Tensor, source: PictureSource, count: int
) -> list[TileRow]:
    """Exact, fast and own statistics of tiles against the whole picture at once."""
    canvases = source.canvases(count, SEED)
    size = (int(content.shape[-2]), int(content.shape[-1]))
    whole = render(model, content, canvases, size, tile=max(size))
    found = []
    for tile in (64, 128):
        exact = render(model, content, canvases, size, tile=tile)
        found.append(_compared("streamed", tile, exact.picture, whole.picture))
        fast = render(model, content, canvases, size, tile=tile, norm="fast")
        found.append(_compared("of a smaller picture", tile, fast.picture, whole.picture))
        own = np.zeros_like(whole.collage)
        out = RollOut(model, content, canvases, size)
        for part in out.tiles(tile):
            collage = out.mix(part).collage.cpu().numpy()
            place = own[:, part.rows, part.columns]
            place[...] = collage[:, : place.shape[1], : place.shape[2]]
        found.append(_compared("each tile's own (collage)", tile, own, whole.collage))
    return found


def _compared(name: str, tile: int, made: Any, wanted: Any) -> TileRow:
    away = np.abs(np.asarray(made, np.float64) - np.asarray(wanted, np.float64)) * 127.5
    return TileRow(name, tile, float(away.max()), float(away.mean()))


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))[None]
