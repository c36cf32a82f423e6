"""Pieces of a picture that were moved or cloned roughly are made to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar, Toggle
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.composition import place
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import (
    REUSE,
    STOP_EARLY,
    PictureTrainings,
    stored_model,
    tuning_seconds,
)
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.blending import poisson_blend
from intarsia_models.single_image.retouching import retouch as retouch_picture

ENTERS = {"most": 0, "some": 1, "little": 2}
"""Stage at which the edit enters, by how much may change."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    size = sizes["picture"]
    settings = shared.wanted_settings(
        "editing", parameters["quality"], size, parameters["stop_early"]
    )
    using = shared.using_estimate(parameters["model"])
    learning = using or shared.training_estimate(settings, size, context)
    if not parameters["fine_tune"]:
        return learning
    return replace(learning, seconds=learning.seconds + tuning_seconds(settings, *size, context))


@operation(
    title="Retouch",
    verb="Make the pieces fit",
    group="Pasted things",
    inputs=(
        Input(
            "picture",
            "picture",
            "Picture",
            "What the model learns: everything visible below the moved pieces.",
        ),
        Input(
            "element",
            "element",
            "Moved pieces",
            "A layer with pieces of the picture that were moved or cloned roughly, or with rough "
            "painting in its colours.",
        ),
        Input(
            "area",
            "area",
            "Area",
            "Only these pieces are used; without it all are.",
            required=False,
        ),
    ),
    parameters=(
        shared.QUALITY,
        Scalar(
            "strength",
            "Strength",
            "How much of the change is made.",
            0.0,
            1.0,
            1.0,
            recompute=False,
        ),
        Choice(
            "freedom",
            "May change",
            "How far the model may depart from what was moved.",
            (
                Option("most", "Most", "Forms may change, so that things belong together."),
                Option("some", "Some"),
                Option("little", "Little", "Mostly edges and surfaces."),
            ),
            default="most",
        ),
        Toggle(
            "fine_tune",
            "Fit to these pieces",
            "Learns a little more on this very edit: more coherent, takes longer.",
            False,
        ),
        Scalar(
            "grow",
            "Reach",
            "How far beyond the pieces the change may go, as a share of the picture's longer side.",
            0.0,
            20.0,
            4.0,
            unit="%",
            step=0.5,
        ),
        Scalar(
            "softness",
            "Softness",
            "How softly the change ends, as a share of the picture's longer side.",
            0.0,
            20.0,
            2.0,
            unit="%",
            step=0.5,
            advanced=True,
        ),
        STOP_EARLY,
        REUSE,
        stored_model("editing"),
    ),
    trains=True,
    estimate=estimate,
)
def retouch(
    picture: Picture,
    element: Picture,
    area: Area | None,
    quality: str,
    strength: float,
    freedom: str,
    fine_tune: bool,
    grow: float,
    softness: float,
    stop_early: bool,
    reuse: str,
    model: str,
    context: Context,
) -> Outcome:
    """Make pieces of a picture that you moved, cloned or painted roughly part of it.

    Source: Hinz et al. 2020, arXiv:2003.11512, section 4.2 ("image editing"). Deviations: a reach
    of 4 % of the longer side and not the published 8 %, since more of the picture stays as it is;
    detail that is finer than the model comes from the pieces after Poisson blending, so that their
    outlines do not stay behind in pictures that are larger than the model.
    """
    with context.phase("prepare"):
        placed = place(picture, element, area, margin=None)
        size = placed.target.shape[-2], placed.target.shape[-1]
        settings = shared.wanted_settings("editing", quality, size, stop_early)
    trainings = PictureTrainings(
        context,
        placed.picture,
        placed.target,
        settings,
        operation="retouch",
        shown=placed.naive,
    )
    known, notes = trainings.model(reuse, model, "editing")
    if fine_tune:
        known = trainings.tuned(known, placed.naive, element.name or "pieces")
    trained = known.trained
    longer = max(trained.sizes[-1])
    with context.phase("retouch"), torch.inference_mode():
        context.progress("Retouching", 0, 1)
        blended = poisson_blend(placed.source, placed.target, placed.edit_mask, tick=context.tick)
        done = retouch_picture(
            trained,
            placed.naive,
            placed.edit_mask,
            start_stage=min(ENTERS[freedom], len(trained.sizes) - 1),
            strength=strength,
            radius=round(grow / 100 * longer),
            sigma=softness / 100 * longer,
            detail=blended.clamp(-1, 1),
            elsewhere=known.elsewhere,
        )
    with context.phase("layer"):
        name = f"Retouched {element.name}"
        layer = placed.changed_layer(name, done.picture, done.edit_mask)
    used = context.models.reference(known.id)
    return Outcome([layer], model=used, notes=[*notes, *trained.notes])
