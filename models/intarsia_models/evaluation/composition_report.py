"""The experiments on latent composition as sections of the page, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from intarsia_models.evaluation.composition_experiments import (
    Adapting,
    Blends,
    Composition,
    Parts,
    Row,
    Table,
)
from intarsia_models.evaluation.page import put_section
from intarsia_models.gan_training.grids import arranged
from intarsia_models.gan_training.reports import write_picture

HEADING = "## Latent composition"
SHOWN = 10
"""Collages in the pictures of methods."""
ENLARGED = 2.0
OURS = ("RGBM, one class", "RGBM, each piece's class")
COLOURS = torch.tensor(
    [[230, 80, 60], [70, 150, 230], [240, 200, 60], [90, 190, 110], [170, 110, 210], [240, 150, 80]]
)


def write_composition(page: Path, images: Path, found: Composition, facts: dict[str, Any]) -> None:
    """Write the page's section and its pictures; the rest of the page is kept.

    Args:
        page: The Markdown file.
        images: The folder of the pictures, beside or below the page's folder.
        found: Of `composition_experiments.composition`.
        facts: ``pack``, ``command``, ``device``, ``date``, ``seconds``.
    """
    images.mkdir(parents=True, exist_ok=True)
    section = _section(found, images, images.relative_to(page.parent).as_posix(), facts)
    put_section(page, section)


def _section(found: Composition, images: Path, place: str, facts: dict[str, Any]) -> str:
    """Markdown; its pictures are written."""
    pictures = {
        "composition-methods": _methods_picture(found.quick),
        "composition-slow": _methods_picture(found.slow, _slow_columns(found)),
        "composition-blends": _grid(found.blends.shown),
        "composition-influence": _influence_picture(found.parts),
        "composition-parts": _parts_picture(found.parts),
        "composition-adapting": _adapting_picture(found.adapting),
    }
    for name, picture in pictures.items():
        write_picture(images / f"results-{name}.png", picture)
    return "\n".join(
        (
            _head(found, facts),
            _tables(found, place),
            _blends(found.blends, place),
            _parts(found.parts, place),
            _adapting(found.adapting, place),
        )
    )


def _head(found: Composition, facts: dict[str, Any]) -> str:
    first, second = found.looks
    looked = first if first == second else f"{first} (FID), {second} (density, coverage)"
    return f"""{HEADING}

Pack `{facts["pack"]}`, {facts["date"]}, {facts["device"]}, {facts["seconds"]:.0f} seconds:

```
{facts["command"]}
```

Rough collages of real parts that neither generator nor regressor has seen: every other one of four
rectangles from four pictures, with holes between, every other one of a picture and the subject of
another (found by its contrast to the picture's edges). Parts of all kinds of fruit are mixed, so
that no picture can be right in every way.

L1 is the difference to the collage where it is known, in values from -1 to 1, divided by the known
area (eq. 5 of the paper as its public code computes it). FID, density and coverage (k = 5) compare
with {found.real} real pictures and their mirror images, as seen by
{looked};
with so few pictures they are for comparison within one table, not with figures from elsewhere. The
collages are cut from those same real pictures, which favours whatever copies pixels.
"""


def _tables(found: Composition, place: str) -> str:
    best = {row.name: row for row in found.slow.rows}
    ours = best[OURS[0]]
    assert ours.seconds is not None
    ratios = ", ".join(
        f"{row.seconds / ours.seconds:.0f} times for {row.name}"
        for row in found.slow.rows
        if row.seconds is not None and "L-BFGS" in row.name
    )
    return f"""
### What becomes of {len(found.quick.cases)} collages in one pass

{_rows(found.references + found.quick.rows)}

"RGB" is the same regressor without being told where the holes are (the paper trains another one).
Alpha-blends mix the whole pictures that the pieces come from, by the area of each.

![one row per collage]({place}/results-composition-methods.png)

From left to right: the rows of the table from "collage as it is" on.

### Beside optimisation

The first {len(found.slow.cases)} of these collages, {found.steps} updates each (the paper's are up
to 3,000). One pass takes {ours.seconds * 1e3:.0f} ms per collage; against it optimisation takes
{ratios}. For so few pictures
FID, density and coverage say little.

{_rows(found.slow.rows)}

![one row per collage]({place}/results-composition-slow.png)

From left to right: {", ".join(_slow_columns(found))}.
"""


def _rows(rows: Sequence[Row]) -> str:
    lines = [
        "| method | L1 | FID | density | coverage | ms per picture |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        l1 = "" if row.l1 is None else f"{row.l1:.3f}"
        milliseconds = "" if row.seconds is None else f"{row.seconds * 1e3:.1f}"
        lines.append(
            f"| {row.name} | {l1} | {row.frechet:.2f} | {row.density:.2f} | {row.coverage:.2f} | "
            f"{milliseconds} |"
        )
    return "\n".join(lines)


def _blends(found: Blends, place: str) -> str:
    rows = "\n".join(
        f"| {name} | {away[0]:.3f} | {away[1]:.3f} | {away[2]:.3f} |"
        for name, away in found.distances.items()
    )
    return f"""
### Composition beside alpha-blends

A rectangle of one real picture put into another, {found.count} times (figure 7 of the paper): L1 to
the context outside the rectangle, to the target inside it, and to the collage.

| | from the context | from the target | from the collage |
| --- | --- | --- | --- |
{rows}

![context, target, collage, and the three results]({place}/results-composition-blends.png)

From left to right: context, target, collage, {", ".join(found.distances)}.
"""


def _parts(found: Parts, place: str) -> str:
    rows = "\n".join(
        f"| {kind} | {name} | {score:.3f} |"
        for kind, scores in found.scores.items()
        for name, score in scores.items()
    )
    return f"""
### What moves with what

One part is replaced by that of {found.replacements} pictures of the same kind; the score is how
much it moves outside of itself, of all that moves there (section 4.4 of the paper; lower is more
independent), the mean of {found.pictures} real pictures.

| parts | replaced | score |
| --- | --- | --- |
{rows}

![influence]({place}/results-composition-influence.png)

In threes: a real picture with its subject outlined, what moves when the subject is replaced, and
when the ground is (brighter moves more).

![parts found without labels]({place}/results-composition-parts.png)

In threes: a real picture, its superpixels, and those that move together in one colour.
"""


def _adapting(found: Sequence[Adapting], place: str) -> str:
    rows = "\n".join(
        f"| {run.rate:g} | {run.before:.3f} | {run.after:.3f} | {run.seconds:.2f} |"
        for run in found
    )
    return f"""
### Fitting the regressor to one picture

{found[0].steps} steps on each of {found[0].count} real pictures; mean absolute difference of the
reconstruction, in values from -1 to 1.

| step size | before | after | seconds per picture |
| --- | --- | --- | --- |
{rows}

![picture, before, after]({place}/results-composition-adapting.png)

In groups: a real picture, its reconstruction before, and after at each step size.
"""


def _slow_columns(found: Composition) -> list[str]:
    wanted = ["collage as it is", *OURS]
    return wanted + [
        row.name for row in found.slow.rows if "RGBM, then" in row.name or "random" in row.name
    ]


def _methods_picture(table: Table, names: Sequence[str] | None = None) -> Tensor:
    chosen = [row for row in table.rows if names is None or row.name in names]
    count = min(SHOWN, len(table.cases))
    return _grid([[row.pictures[i : i + 1] for row in chosen] for i in range(count)])


def _grid(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Rows of pictures (1, 3, R, R), enlarged."""
    grid = arranged(torch.cat([torch.cat(list(row)) for row in rows]), len(rows[0]))
    return interpolate(grid, scale_factor=ENLARGED, mode="nearest")


def _influence_picture(found: Parts) -> Tensor:
    cells = [
        [_outlined(picture, subject), _heat(by_subject), _heat(by_ground)]
        for picture, subject, by_subject, by_ground in found.shown
    ]
    return _grid(_paired(cells))


def _parts_picture(found: Parts) -> Tensor:
    cells = [
        [picture, _coloured(seen.superpixels, picture), _coloured(seen.parts, picture)]
        for picture, seen in found.discovered
    ]
    return _grid(_paired(cells))


def _adapting_picture(found: Sequence[Adapting]) -> Tensor:
    cells = []
    for index in range(min(SHOWN, found[0].count)):
        picture, before, _ = found[0].shown[index]
        cells.append([picture, before, *(run.shown[index][2] for run in found)])
    return _grid(_paired(cells))


def _paired(cells: Sequence[list[Tensor]]) -> list[list[Tensor]]:
    """Two groups beside each other in a row; a last odd one is left out."""
    if len(cells) < 2:
        return list(cells)
    return [[*cells[i], *cells[i + 1]] for i in range(0, len(cells) - 1, 2)]


def _outlined(picture: Tensor, area: Tensor) -> Tensor:
    inside = area > 0.5
    grown = torch.nn.functional.max_pool2d(area, 3, 1, 1) > 0.5
    edge = (grown & ~inside).expand_as(picture)
    red = torch.tensor([1.0, -0.8, -0.8]).view(1, 3, 1, 1).expand_as(picture)
    return torch.where(edge, red, picture)


def _heat(variation: Tensor) -> Tensor:
    """(1, 3, R, R): from black over red and yellow to white, the largest value white."""
    share = variation / variation.max().clamp_min(1e-6)
    ramp = torch.cat([3 * share, 3 * share - 1, 3 * share - 2], 1)
    return ramp.clamp(0, 1) * 2 - 1


def _coloured(labels: Tensor, picture: Tensor) -> Tensor:
    """(1, 3, R, R): a colour per label, with the picture's light."""
    colours = (COLOURS[labels % len(COLOURS)].permute(2, 0, 1)[None] / 127.5) - 1
    return (0.75 * colours + 0.25 * picture.mean(1, keepdim=True)).clamp(-1, 1)
