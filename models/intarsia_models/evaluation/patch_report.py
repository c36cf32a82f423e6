"""The experiments on key patches as a section of the page, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from intarsia_models.evaluation.page import put_section
from intarsia_models.evaluation.part_features import Telling
from intarsia_models.evaluation.patch_experiments import Experiments, Row, first
from intarsia_models.gan_training.grids import arranged
from intarsia_models.gan_training.reports import write_picture
from intarsia_models.key_patches.training_settings import KeyPatchTraining
from intarsia_models.key_patches.wholes import Wholes, shown

HEADING = "## Wholes of key patches"
SHOWN = 10
ENLARGED = 1.5


def write_patches(
    page: Path, images: Path, found: Experiments, told: Telling, facts: dict[str, Any]
) -> None:
    """Write the section and its pictures; the rest of the page is kept.

    Args:
        page: The Markdown file.
        images: The folder of the pictures, beside or below the page's folder.
        found: Of `patch_experiments.experiments`.
        told: Of `part_features.telling`.
        facts: ``classes``, ``command``, ``device``, ``date``, ``seconds``, ``settings`` (of the
            trainings), ``model`` (the pack's name; empty: none), ``trained_on`` and
            ``look_accuracy``.
    """
    images.mkdir(parents=True, exist_ok=True)
    place = images.relative_to(page.parent).as_posix()
    pictures = {
        "parts": _parts_picture(found.chosen),
        "structures": _columns_picture(found.structures),
        "counts": _columns_picture(found.counts),
        "degraded": _columns_picture(found.degraded),
    }
    for name, picture in pictures.items():
        grown = interpolate(picture, scale_factor=ENLARGED, mode="bilinear", align_corners=False)
        write_picture(images / f"results-patches-{name}.png", grown)
    text = "\n".join(
        (
            _head(found, facts),
            _chosen(found, place),
            _structures(found, place),
            _counts(found, place),
            _degraded(found, place),
            _features(told, facts),
        )
    )
    put_section(page, text)


def _head(found: Experiments, facts: dict[str, Any]) -> str:
    settings = facts["settings"]
    pack = facts["model"]
    shown_pictures = settings.iterations * settings.batch
    usual = f"The pack `{pack}`, trained longer" if pack else "The published model, trained here"
    return f"""{HEADING}

{facts["date"]}, {facts["device"]}; {facts["seconds"] / 60:.0f} minutes for what was trained and
measured here:

```
{facts["command"]}
```

Pictures of clothes laid flat ({", ".join(facts["classes"])}): {facts["trained_on"]} to learn from,
{found.pictures} others to measure with. {usual}, is what parts are given to
but where structures are compared; there, every model was trained here, and **for
{settings.iterations} steps of {settings.batch} pictures only** ({shown_pictures:,} pictures shown;
the paper's were shown five million), at {settings.resolution} pixels and with {settings.width}
channels where the paper has 64. Those figures compare the beginnings of trainings with each other
and say nothing of what any of them reaches in the end. `tools/gpu_run.sh` runs the same longer and
wider. {_deviations(settings)}

*Appearance* is |G A - y M| as a mean over pixels and colours, values in [-1, 1]: what is made at
the predicted place A against what was at the true one M (the paper does not say how its figures are
normalised; in [0, 1] they would be half of these). Without a mask network, A is M; a soft A makes
the figure larger. *At parts* is the mean of |G - y| over M alone, whatever was predicted. *Placed*
is the intersection over union of where A is above 1/2 and M. *Whole* is |G - y|. *Fréchet* is the
distance of the wholes to the training pictures, as seen by {found.look} (trained on the
same pictures, right for {facts["look_accuracy"]:.0%} of the held-out ones); the held-out pictures
themselves are at {found.reference:.2f}.
"""


def _deviations(settings: KeyPatchTraining) -> str:
    """What differs from the paper in every training."""
    if settings.spatial == "l1":
        return ""
    return (
        "As in all drafts, placements are learnt by cross-entropy and wholes are compared at the "
        "true place: in so short a training the published L1 leaves every placement at nothing."
    )


def _chosen(found: Experiments, place: str) -> str:
    key, same, *own = (row.likeness.appearance for row in found.chosen)
    longer = f", and {own[0] / key:.2f} times for one that learnt from random parts" if own else ""
    return f"""
### Key parts and random parts

{_rows(found.chosen)}

Random parts cost {same / key:.2f} times the appearance error of key parts{longer}. (The paper, at
256 pixels after a whole training: 0.192 against 0.0515, 3.7 times.)

![parts, picture, true place, predicted place, whole]({place}/results-patches-parts.png)

From top to bottom: three parts, the picture they are of, their true place, the predicted place, the
whole. On the left key parts, on the right random parts of the same pictures.
"""


def _structures(found: Experiments, place: str) -> str:
    return f"""
### Objectives and structures

{_rows(found.structures)}

All trained here, for the same short time. "Alternative objective" lets the critic see no composites
(the supplement's section 5); the next three are the baselines of its section 6. The nearest
training picture is the one that differs least where the parts were; it is no new picture.

![the models side by side]({place}/results-patches-structures.png)

From left to right: the picture that the parts are of, then the rows of the table.
"""


def _counts(found: Experiments, place: str) -> str:
    return f"""
### Number of parts

{_rows(found.counts)}

With fewer different parts, some come again (section 7).

![one to three parts]({place}/results-patches-counts.png)

From left to right: the picture, then the rows of the table.
"""


def _degraded(found: Experiments, place: str) -> str:
    return f"""
### Smaller and noisy parts

{_rows(found.degraded)}

The model learnt from parts of at most 16 % of the picture, without noise (section 8).

![smaller and noisy parts]({place}/results-patches-degraded.png)

From left to right: the picture, then the rows of the table.
"""


def _features(told: Telling, facts: dict[str, Any]) -> str:
    rows = "\n".join(f"| {row.name} | {row.whole:.1%} | {row.parts:.1%} |" for row in told.rows)
    return f"""
### What the critic's features tell

A linear support vector machine on {told.numbers} features of critics that saw no labels: is it one
of {", ".join(facts["classes"])}, or other clothes? Balanced accuracy on {told.tested_on} held-out
pictures ({told.trained_on} to learn from; guessing gives 50 %), for whole pictures and for the one
part of each with the highest objectness. The GAN without parts has the same critic and was trained
with the same pictures and steps.

| features | whole pictures | parts |
| --- | --- | --- |
{rows}

(The paper's table 4, cars of CIFAR-10: 94.59 % for DCGAN, 94.75 % for theirs on whole pictures and
87.15 % on parts.)
"""


def _rows(rows: Sequence[Row]) -> str:
    lines = [
        "| parts or model | appearance | at parts | placed | whole | Fréchet |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        like = row.likeness
        overlap = "" if like.overlap is None else f"{like.overlap:.2f}"
        lines.append(
            f"| {row.name} | {like.appearance:.4f} | {row.at_parts:.3f} | {overlap} | "
            f"{like.whole:.3f} | {row.frechet:.2f} |"
        )
    return "\n".join(lines)


def _parts_picture(rows: Sequence[Row]) -> Tensor:
    """Key parts and random parts of the same pictures, beside each other."""
    halves = [shown(_some(row.wholes, SHOWN // 2 + 1)) for row in rows[:2]]
    gap = torch.ones(1, 3, halves[0].shape[2], 8)
    return torch.cat((halves[0], gap, halves[1]), 3)


def _some(wholes: Wholes, count: int) -> Wholes:
    placement = wholes.placement
    return Wholes(
        first(wholes.real, count),
        first(wholes.patches, count),
        first(wholes.boxes, count),
        first(wholes.generated, count),
        None if placement is None else first(placement, count),
    )


def _columns_picture(rows: Sequence[Row]) -> Tensor:
    """A line for each picture: it, and what came of its parts."""
    columns = [first(rows[0].wholes.real, SHOWN)]
    columns += [first(row.wholes.generated, SHOWN) for row in rows]
    return arranged(torch.stack(columns, 1).flatten(0, 1), len(columns))
