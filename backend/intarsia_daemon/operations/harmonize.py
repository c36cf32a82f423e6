"""Repaint a pasted element in the picture's manner, with a model that learnt the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar, Toggle
from intarsia_daemon.composition import place
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.operations.blend import AREA, ELEMENT
from intarsia_daemon.picture_trainings import (
    REUSE,
    PictureTrainings,
    training_seconds,
    tuning_seconds,
)
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.single_image.harmonization import harmonize as harmonize_picture
from intarsia_models.single_image.pyramid import full_size
from intarsia_models.single_image.settings import TaskSettings, harmonization_settings

FOUR_STAGES_FROM = 400
"""Pixels of the model's longer side above which "auto" takes four stages."""
STEPS = 1000
"""Progress steps of a whole training."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train; ``sizes`` are (height, width) by input."""
    height, width = sizes["picture"]
    settings = wanted_settings(parameters["quality"], parameters["stages"], height, width)
    seconds = training_seconds(settings, height, width, context)
    if parameters["fine_tune"]:
        seconds += tuning_seconds(settings, height, width, context)
    text = "Learns this picture first, unless it knows it already: then it takes seconds."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Harmonize",
    verb="Harmonize the element",
    group="Pasted things",
    inputs=(
        Input(
            "picture",
            "picture",
            "Picture",
            "What the model learns: everything visible below the element, or a picture file.",
        ),
        ELEMENT,
        AREA,
    ),
    parameters=(
        Choice(
            "quality",
            "Quality",
            "How much the model learns before it is used; it learns once per picture.",
            (
                Option("draft", "Draft", "Small and quick: a few minutes without a graphics card."),
                Option("normal", "Normal", "As published: meant for a graphics card."),
                Option("fine", "Fine", "For pictures of 700 pixels and more: a graphics card."),
            ),
            default="draft",
        ),
        Scalar(
            "strength",
            "Strength",
            "How much of the change is made.",
            0.0,
            1.0,
            1.0,
            recompute=False,
        ),
        Toggle(
            "fine_tune",
            "Fit to element",
            "Learns a little more on this very element: closer to the picture, takes longer.",
            False,
        ),
        Scalar(
            "grow",
            "Reach",
            "How far beyond the element the change may go, at the model's size.",
            0.0,
            30.0,
            0.0,
            unit="px",
            step=1.0,
            advanced=True,
        ),
        Scalar(
            "softness",
            "Softness",
            "How softly the change ends, at the model's size.",
            0.0,
            30.0,
            0.0,
            unit="px",
            step=0.5,
            advanced=True,
        ),
        Choice(
            "stages",
            "Stages",
            "In how many sizes the picture is learnt, small to large.",
            (
                Option("auto", "By size", "Three; four where more than 400 pixels are learnt."),
                Option("3", "Three", "For pictures of about 250 pixels."),
                Option("4", "Four", "For pictures of about 700 pixels."),
            ),
            default="auto",
            advanced=True,
        ),
        REUSE,
    ),
    trains=True,
    estimate=estimate,
)
def harmonize(
    picture: Picture,
    element: Picture,
    area: Area | None,
    quality: str,
    strength: float,
    fine_tune: bool,
    grow: float,
    softness: float,
    stages: str,
    reuse: str,
    context: Context,
) -> Outcome:
    """Repaint a pasted object in the colours and strokes of the picture around it.

    Source: Hinz et al. 2020, arXiv:2003.11512, section 4.2. The composite is made over the
    pasted picture, so that everything outside the element stays as it is; on pictures larger than
    the model the difference is enlarged, so that detail stays
    (docs/decisions/0009-full-resolution.md). Deviation: the change keeps to the element's own alpha
    unless told otherwise; the published 7 pixels of growth and 5 of softness, enlarged to the
    picture, show as a halo.
    """
    with context.phase("prepare"):
        placed = place(picture, element, area, margin=None)
        height, width = placed.target.shape[-2:]
        settings = wanted_settings(quality, stages, height, width)
    trainings = PictureTrainings(
        context,
        placed.picture,
        placed.target,
        settings,
        operation="harmonize",
        shown=placed.naive,
        any_seed=False,
    )
    model, notes = trainings.model(reuse)
    if fine_tune:
        model = trainings.tuned(model, placed.naive, element.name or "element")
    with context.phase("harmonize"), torch.inference_mode():
        context.progress("Harmonizing", 0, 1)
        done = harmonize_picture(
            model.trained,
            placed.naive,
            placed.edit_mask,
            strength=strength,
            radius=round(grow),
            sigma=softness,
        )
    with context.phase("layer"):
        name = f"Harmonized {element.name}"
        layer = placed.changed_layer(name, done.picture, done.edit_mask)
    used = context.models.reference(model.id)
    return Outcome([layer], model=used, notes=[*notes, *model.trained.notes])


def wanted_settings(quality: str, stages: str, height: int, width: int) -> TaskSettings:
    """The training settings that the artist's choices mean for a picture of that size.

    Args:
        quality: "draft", "normal" or "fine".
        stages: "3", "4", or "auto": four where the model itself is larger than `FOUR_STAGES_FROM`.
        height: Rows of the picture.
        width: Columns of the picture.

    Source: arXiv:2003.11512, section 4.2: three stages at 250 pixels, four at about 700.
    """
    size = (height, width)
    if stages == "auto":
        largest = max(full_size(*size, harmonization_settings(quality).max_size))
        stages = "4" if largest > FOUR_STAGES_FROM else "3"
    return harmonization_settings(quality, stages=int(stages), size=size)
