"""Repaint a pasted element in the picture's manner, with a model that learnt the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar, Toggle
from intarsia_daemon.composition import Placed, place
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.learnt_pictures import TEXT as LEARNS
from intarsia_daemon.learnt_pictures import using_estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.operations.blend import AREA, ELEMENT
from intarsia_daemon.picture_trainings import (
    REUSE,
    STOP_EARLY,
    PictureTrainings,
    early_text,
    stopping_early,
    stored_model,
    training_seconds,
    tuning_seconds,
)
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.single_image.harmonization import harmonize_several
from intarsia_models.single_image.pyramid import full_size
from intarsia_models.single_image.settings import TaskSettings, harmonization_settings

FOUR_STAGES_FROM = 400
"""Pixels of the model's longer side above which "auto" takes four stages."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train; ``sizes`` are (height, width) by input."""
    height, width = sizes["picture"]
    settings = wanted_settings(parameters["quality"], parameters["stages"], height, width)
    settings = stopping_early(settings, parameters["stop_early"])
    found = using_estimate(parameters["model"])
    if found is None:
        seconds = training_seconds(settings, height, width, context)
        text = f"{LEARNS} One model serves every object on this picture.{early_text(settings)}"
        found = Estimate(seconds=seconds, trains=True, text=text)
    if not parameters["fine_tune"]:
        return found
    tuning = tuning_seconds(settings, height, width, context)
    return replace(found, seconds=found.seconds + tuning, trains=True)


@operation(
    title="Harmonize",
    verb="Harmonize the object",
    group="Pasted things",
    inputs=(
        Input(
            "picture",
            "picture",
            "Picture",
            "What the model learns: everything visible below the object, or a picture file.",
        ),
        ELEMENT,
        Input(
            "others",
            "reference",
            "Further objects",
            "Other pasted layers above the picture, harmonized together with this one; each gets a "
            "layer of its own.",
            required=False,
            several=True,
        ),
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
            "Fit to object",
            "Learns a little more on this very object: closer to the picture, takes longer.",
            False,
        ),
        Scalar(
            "grow",
            "Reach",
            "How far beyond the object the change may go, at the model's size.",
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
        STOP_EARLY,
        REUSE,
        stored_model("harmonization"),
    ),
    trains=True,
    estimate=estimate,
)
def harmonize(
    picture: Picture,
    element: Picture,
    others: Sequence[Picture],
    area: Area | None,
    quality: str,
    strength: float,
    fine_tune: bool,
    grow: float,
    softness: float,
    stages: str,
    stop_early: bool,
    reuse: str,
    model: str,
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
        elements = [element, *others]
        placed = _all_placed(picture, elements, area)
        first, naive = placed[0], placed[-1].naive
        height, width = naive.shape[-2:]
        settings = wanted_settings(quality, stages, height, width)
        settings = stopping_early(settings, stop_early)
    trainings = PictureTrainings(
        context,
        first.picture,
        first.target,
        settings,
        operation="harmonize",
        shown=naive,
        any_seed=False,
    )
    known, notes = trainings.model(reuse, model, "harmonization")
    if fine_tune:
        names = ", ".join(one.name or "element" for one in elements)
        known = trainings.tuned(known, naive, names[:100])
    with context.phase("harmonize"), torch.inference_mode():
        context.progress("Harmonizing", 0, 1)
        made = harmonize_several(
            known.trained,
            naive,
            [one.edit_mask for one in placed],
            strengths=[strength] * len(placed),
            radius=round(grow),
            sigma=softness,
            elsewhere=known.elsewhere,
        )
    with context.phase("layer"):
        layers = [
            own.changed_layer(f"Harmonized {one.name}", done.picture, done.edit_mask)
            for one, own, done in zip(elements, placed, made, strict=True)
        ]
    used = context.models.reference(known.id)
    return Outcome(layers, model=used, notes=[*notes, *known.trained.notes])


def _all_placed(picture: Picture, elements: Sequence[Picture], area: Area | None) -> list[Placed]:
    """Every element on the picture, the last one's ``naive`` with all of them pasted in."""
    placed: list[Placed] = []
    for element in elements:
        own = place(picture, element, area, margin=None)
        if placed:
            below = placed[-1].naive - own.target
            own = replace(own, naive=own.naive + (1 - own.edit_mask) * below)
        placed.append(own)
    return placed


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
