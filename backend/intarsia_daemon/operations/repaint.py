"""A rough painting takes on the look of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Whole
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import REUSE, STOP_EARLY, stored_model
from intarsia_daemon.pixels import Outcome, Picture
from intarsia_daemon.real_pictures import visible_part
from intarsia_models.single_image.painting import paint_to_picture

FOLLOWS = {"loosely": 0, "closely": 1}
"""Stage at which the painting enters, by how its outlines are followed."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    using = shared.using_estimate(parameters["model"])
    if using is not None:
        return using
    size = sizes["reference"]
    settings = shared.wanted_settings(
        "generation", parameters["quality"], size, parameters["stop_early"]
    )
    return shared.training_estimate(settings, size, context)


@operation(
    title="Paint to picture",
    verb="Make a picture of the painting",
    group="New pictures",
    inputs=(
        Input(
            "picture",
            "picture",
            "Painting",
            "Flat areas in roughly the colours of those in the picture.",
        ),
        Input("reference", "reference", "Looks like", "The picture that is learnt."),
    ),
    parameters=(
        shared.QUALITY,
        Choice(
            "follows",
            "Follows the painting",
            "How closely its outlines are followed.",
            (
                Option("loosely", "Loosely", "More is drawn."),
                Option("closely", "Closely", "Less is drawn."),
            ),
            default="loosely",
        ),
        Whole(
            "colours",
            "Colours",
            "The painting's colours are moved to this many of the picture's; 0: they stay.",
            0,
            64,
            8,
        ),
        Whole("count", "How many", "How many pictures are made.", 1, 16, 1),
        STOP_EARLY,
        REUSE,
        stored_model("painting"),
    ),
    trains=True,
    estimate=estimate,
)
def repaint(
    picture: Picture,
    reference: Picture,
    quality: str,
    follows: str,
    colours: int,
    count: int,
    stop_early: bool,
    reuse: str,
    model: str,
    context: Context,
) -> Outcome:
    """Turn a rough painting of a few areas into a picture that looks like another one.

    Good for landscapes and other scenes of a few large areas that the learnt picture also shows; it
    cannot draw what is not in there. Source: said to be possible in Hinz et al. 2020,
    arXiv:2003.11512, section 5; the way is SinGAN's (arXiv:1905.01164, section 4).
    """
    painting = visible_part(picture)
    look = shared.part_of(reference, None)
    settings = shared.wanted_settings("generation", quality, look.array.shape[:2], stop_early)
    known = shared.learnt(
        context, look, settings, reuse, operation="repaint", chosen=model, use="painting"
    )
    trained = known.model.trained
    size = painting.array.shape[:2]
    target = shared.opaque_tensor(painting)
    layers = []
    with context.phase("make"), torch.inference_mode():
        for index in range(count):
            context.progress("Painting", index, count)
            made = paint_to_picture(
                trained,
                target,
                start_stage=min(FOLLOWS[follows], len(trained.sizes) - 1),
                colours=colours,
                seed=context.seed + index,
            )
            name = f"{picture.name or 'Painting'} as {reference.name or 'picture'}"
            name += f", {index + 1}" if count > 1 else ""
            layers.append(shared.picture_layer(name[:120], made, size, painting))
    used = context.models.reference(known.model.id)
    return Outcome(layers, model=used, notes=known.notes)
