"""The experiments on mosaics as a section of the page, with pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from intarsia_models.evaluation.mosaic_cost import Cost
from intarsia_models.evaluation.mosaic_experiments import Mosaics, Row, Shown, TileRow
from intarsia_models.evaluation.mosaic_trainings import (
    BASE,
    COARSE,
    COARSE_TV,
    FINE_TV,
    FIXED,
    HARD,
    HARD_ENTROPY,
    LARGER,
    LARGER_TV,
    PARAMETRIC,
    SOFT_ENTROPY,
)
from intarsia_models.evaluation.page import put_section
from intarsia_models.gan_training.reports import write_picture
from intarsia_models.mosaic.weight_layers import colour_map

HEADING = "Mosaics"
CELL = 230
"""Height of a mosaic in the pictures of the page."""
GAP = 4


def write_mosaics(page: Path, images: Path, found: Mosaics, facts: Mapping[str, Any]) -> None:
    """Write the section and its pictures; the rest of the page is kept.

    Args:
        page: The Markdown file.
        images: The folder of the pictures, beside or below the page's folder.
        found: Of `mosaic_experiments.mosaics`.
        facts: ``templates``, ``contents``, ``command``, ``device``, ``date``, ``seconds``.
    """
    place = images.relative_to(page.parent).as_posix()
    shown = found.shown
    pictures = {
        "weights": [_weight_cells(shown, index) for index in (0, len(shown[BASE]) - 1)],
        "counts": [
            [cell for row in found.counts for cell in _parts(shown[row.name][0], collage=False)]
        ],
        "styles": [_style_cells(shown, "", 0), _style_cells(shown, ", unseen", 0)],
    }
    for name, rows in pictures.items():
        write_picture(images / f"results-mosaic-{name}.jpg", _grid(rows))
    put_section(page, _section(found, place, facts))


def _section(found: Mosaics, place: str, facts: Mapping[str, Any]) -> str:
    base = found.trainings[BASE]
    training = base.training
    seconds = ", ".join(
        f"{name}: {trained.seconds:.0f} s" for name, trained in found.trainings.items()
    )
    return f"""## {HEADING}

{facts["date"]}, {facts["device"]}, {facts["seconds"]:.0f} seconds, and the trainings ({seconds}):

```
{facts["command"]}
```

Templates: {facts["templates"]}. Contents: {facts["contents"]}.
Every model has {training.iterations} iterations with patches of {training.patch} pixels, batches of
{training.batch}, {base.settings.width} channels at half size and depth {base.settings.depth}; MAGIC
sees {training.templates_least} to {training.templates_most} templates at a time. **These are short
trainings**: they show directions, not what a model is worth that was trained for long (the paper:
a quarter of an hour on three V100, 256 pixels, 48 channels, depth 5).

Entropy: mean over the pixels, in nats. TV: absolute differences of the weights to the right and
downwards, summed over the templates; a hard border counts 2 per pixel. Templates used: the
exponential of the entropy of their shares of the picture. Content: root mean square of the
difference of blurred greys, in grey levels, and their correlation. Nearest patch: how far patches
of 16 pixels are from the nearest one in the templates at any place, mirrored or not, root mean
square in grey levels, the mean of some at random places: 0 is copied as it is; the contents' own
patches are {found.floor:.1f} away.


### Weights of entropy and total variation

The paper's weights: entropy {SOFT_ENTROPY:g} or {HARD_ENTROPY:g} ("hard"), total variation
{FINE_TV:g} or {COARSE_TV:g} ("coarse"); and {LARGER_TV:g} between them ("{LARGER}").

{_rows(found.weightings)}

![content, and per model collage, result and weights]({place}/results-mosaic-weights.jpg)

From left to right: content; collage, result and the weights as colours of {BASE}; {HARD};
{LARGER}; {COARSE}.
{_evenly(found)}


### Other numbers of templates than in training

{_rows(found.counts)}

![result and weights per number of templates]({place}/results-mosaic-counts.jpg)

In pairs, result and weights: {", ".join(row.name for row in found.counts)}.


### Three ways of making a mosaic

MAGIC ("{BASE}") beside FAMOS's modes with the same U-Net, critic, losses and number of iterations.
Contents of the training:

{_rows(found.styles)}

Contents that no model was trained on:

{_rows(found.unseen)}

![content, and per style collage and result]({place}/results-mosaic-styles.jpg)

From left to right: content; collage and result of MAGIC, of the fixed memory; the parametric
result. Above a content of the training, below one that no model has seen.


### Tiles against the whole picture

The largest and the mean difference to the same picture in one pass, in grey levels. Statistics of
all instance norms: streamed (one pass over the tiles per norm), from one pass over a smaller
picture (tiles fit together, the picture is a slightly different one), or each tile's own. With
halos of {base.settings.reach} pixels, the reach of the network.

{_tiles(found.tiles)}


### What a mosaic takes

Random weights of the same sizes, tiles of 128 pixels, a fresh process each. Memory is what the
process takes more than before: pictures, weights and one tile's activations.

{_costs(found.costs)}
"""


def _evenly(found: Mosaics) -> str:
    """Says which models have not learnt to choose."""
    most = math.log(found.trainings[BASE].training.templates_most)
    even = [row.name for row in found.weightings if (row.entropy or 0.0) > 0.9 * most]
    if not even:
        return ""
    return f"""
Mixes all templates evenly everywhere: {", ".join(even)}. Its entropy is the largest there is and
its total variation next to nothing, but not because its segments are large: it has none yet.
"""


def _rows(rows: Sequence[Row]) -> str:
    lines = [
        "| | entropy | TV | templates used | content | correlation | nearest patch: collage | "
        "result |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        weights = [
            "" if value is None else f"{value:{form}}"
            for value, form in (
                (row.entropy, ".3f"),
                (row.variation, ".4f"),
                (row.used, ".1f"),
            )
        ]
        painted = row.entropy is None
        lines.append(
            f"| {row.name} | {' | '.join(weights)} | {row.distance:.1f} | {row.correlation:.2f} | "
            f"{'' if painted else f'{row.collage_fidelity:.1f}'} | {row.fidelity:.1f} |"
        )
    return "\n".join(lines)


def _tiles(rows: Sequence[TileRow]) -> str:
    lines = ["| statistics | tile | largest | mean |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.tile} | {r.worst:.2g} | {r.mean:.2g} |" for r in rows]
    return "\n".join(lines)


def _costs(costs: Sequence[Cost]) -> str:
    lines = [
        "| K | megapixels | statistics | seconds | memory, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {c.count} | {c.megapixels:g} | {c.norm} | {c.seconds:.1f} | {c.peak_mb:.0f} |"
        for c in costs
    ]
    return "\n".join(lines)


def _weight_cells(shown: Mapping[str, Sequence[Shown]], index: int) -> list[Tensor]:
    cells = [shown[BASE][index].content]
    for name in (BASE, HARD, LARGER, COARSE):
        cells += _parts(shown[name][index])
    return cells


def _style_cells(shown: Mapping[str, Sequence[Shown]], suffix: str, index: int) -> list[Tensor]:
    cells = [shown[BASE + suffix][index].content]
    for name in (BASE, FIXED):
        one = shown[name + suffix][index].rendering
        cells += [_tensor(one.collage), _tensor(one.picture)]
    return [*cells, _tensor(shown[PARAMETRIC + suffix][index].rendering.picture)]


def _parts(one: Shown, *, collage: bool = True) -> list[Tensor]:
    """Collage, result and weights as colours."""
    assert one.rendering.weights is not None
    colours = torch.from_numpy(colour_map(one.rendering.weights)).permute(2, 0, 1)[None]
    cells = [_tensor(one.rendering.collage)] if collage else []
    return [*cells, _tensor(one.rendering.picture), colours.float() / 127.5 - 1]


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))[None]


def _grid(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """(1, 3, h, w): every picture as high as the others of its row, white between them."""
    made = []
    for row in rows:
        cells = []
        for picture in row:
            width = round(picture.shape[-1] * CELL / picture.shape[-2])
            sized = interpolate(
                picture, (CELL, width), mode="bicubic", antialias=True, align_corners=False
            )
            cells.append(pad(sized.clamp(-1, 1), (0, GAP, 0, GAP), value=1.0))
        made.append(torch.cat(cells, -1))
    widest = max(row.shape[-1] for row in made)
    return torch.cat([pad(row, (0, widest - row.shape[-1]), value=1.0) for row in made], -2)
