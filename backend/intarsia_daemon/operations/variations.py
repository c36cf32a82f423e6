"""New pictures that look like a picture and are not it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.schema import Choice, Option, Scalar, Whole
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import REUSE, STOP_EARLY, stored_model
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.single_image.sampling import variations as make_variations

SHEET_SIDE = 256
"""Pixels of a picture's longer side on a sheet."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    using = shared.using_estimate(parameters["model"])
    if using is not None:
        return using
    size = sizes["picture"]
    settings = shared.wanted_settings(
        "generation",
        parameters["quality"],
        size,
        parameters["stop_early"],
        likeness=parameters["likeness"],
        stages=parameters["stages"],
    )
    return shared.training_estimate(settings, size, context)


@operation(
    title="Variations",
    verb="Make variations",
    group="New pictures",
    inputs=(shared.PICTURE, shared.AREA),
    parameters=(
        shared.QUALITY,
        Whole("count", "How many", "How many pictures are made.", 1, 16, 4),
        Choice(
            "varies",
            "Varies",
            "What is made anew.",
            (
                Option("everything", "Everything", "Things are arranged anew."),
                Option("layout", "All but the layout", "Large areas keep their places."),
                Option("forms", "Smaller forms", "Large forms stay."),
                Option("detail", "Detail only", "Forms stay, surfaces differ."),
            ),
            default="everything",
        ),
        Scalar("width", "Width", "Of the result, as a share.", 25, 400, 100, unit="%", step=5),
        Scalar("height", "Height", "Of the result, as a share.", 25, 400, 100, unit="%", step=5),
        shared.LIKENESS,
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("layers", "Layers", "One layer each."),
                Option("sheet", "Sheet", "All on one layer, small, to choose from."),
            ),
            default="layers",
        ),
        Whole(
            "stages",
            "Stages",
            "In how many sizes the picture is learnt; fewer: larger pieces stay whole less. "
            "0: by quality.",
            0,
            10,
            0,
            advanced=True,
        ),
        STOP_EARLY,
        REUSE,
        stored_model("variations"),
    ),
    trains=True,
    estimate=estimate,
)
def variations(
    picture: Picture,
    area: Area | None,
    quality: str,
    count: int,
    varies: str,
    width: float,
    height: float,
    likeness: str,
    output: str,
    stages: int,
    stop_early: bool,
    reuse: str,
    model: str,
    context: Context,
) -> Outcome:
    """Make new pictures that look like yours, of any size and shape.

    Source: Hinz et al. 2020, arXiv:2003.11512, section 4.1. Another seed makes other pictures
    with the same model.
    """
    part = shared.part_of(picture, area)
    settings = shared.wanted_settings(
        "generation",
        quality,
        part.array.shape[:2],
        stop_early,
        likeness=likeness,
        stages=stages,
    )
    known = shared.learnt(context, part, settings, reuse, operation="variations", chosen=model)
    small, large = known.size_at(width / 100, height / 100)
    trained = known.model.trained
    start = min(shared.STARTS[varies], len(trained.sizes) - 1)
    with context.phase("make"), torch.inference_mode():
        made = make_variations(
            trained,
            count,
            size=small,
            seed=context.seed,
            start_stage=start,
            tick=context.tick,
        ).split(1)
    name = picture.name or "Picture"
    with context.phase("layer"):
        if output == "sheet":
            scale = min(1.0, SHEET_SIDE / max(small))
            shown = (round(small[0] * scale), round(small[1] * scale))
            tiles = [_square(shared.resized(one, shown)) for one in made]
            captions = [f"seed {context.seed + index}" for index in range(count)]
            layers = [contact_sheet(f"Variations of {name}", tiles, captions, x=part.x, y=part.y)]
        else:
            layers = [
                shared.picture_layer(f"{name}, variation {index + 1}", one, large, part)
                for index, one in enumerate(made)
            ]
    used = context.models.reference(known.model.id)
    return Outcome(layers, model=used, notes=known.notes)


def _square(picture: torch.Tensor) -> torch.Tensor:
    """The picture in the middle of a white square."""
    height, width = picture.shape[-2:]
    side = max(height, width)
    square = picture.new_ones(1, 3, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    square[..., top : top + height, left : left + width] = picture
    return square
