"""A picture enlarged with detail of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Scalar, Toggle
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import REUSE, STOP_EARLY
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.single_image.enlarging import enlarge as enlarge_picture
from intarsia_models.single_image.settings import TaskSettings

LARGEST_SIDE = 400
"""Pixels of a picture's longer side that is learnt at its full size."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    height, width = sizes["picture"]
    scale = min(1.0, LARGEST_SIDE / max(height, width))  # of larger ones a part is selected
    size = round(height * scale), round(width * scale)
    settings = wanted_settings(parameters["quality"], size, parameters["stop_early"])
    usual = shared.wanted_settings(
        "generation", parameters["quality"], size, parameters["stop_early"]
    )
    shares = "" if settings == usual else "Enlarging it has a model of its own."
    return shared.training_estimate(settings, size, context, shares=shares)


@operation(
    title="Enlarge",
    verb="Enlarge",
    group="Change a picture",
    inputs=(shared.PICTURE, shared.AREA),
    parameters=(
        shared.QUALITY,
        Scalar("factor", "Factor", "How much longer the sides become.", 1.25, 8.0, 2.0, step=0.25),
        Toggle(
            "faithful",
            "Faithful",
            "The result, made small again, is the picture; without it the model is freer.",
            True,
        ),
        STOP_EARLY,
        REUSE,
    ),
    trains=True,
    estimate=estimate,
)
def enlarge(
    picture: Picture,
    area: Area | None,
    quality: str,
    factor: float,
    faithful: bool,
    stop_early: bool,
    reuse: str,
    context: Context,
) -> Outcome:
    """Enlarge a small picture with detail that it shows elsewhere.

    Good for textures that recur at several sizes: foliage, masonry, water, brush strokes. It knows
    nothing but this picture: no faces, no letters, nothing that is not there larger somewhere.
    Source: said to be possible in Hinz et al. 2020, arXiv:2003.11512, section 5.
    """
    part = shared.part_of(picture, area)
    height, width = part.array.shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise InvalidRequest(
            f"The picture has {width} x {height} pixels; it is learnt at its full size, which is "
            f"done up to {LARGEST_SIDE} pixels.",
            value=[width, height],
            remedy="Select the part that you want larger, or make the picture smaller first.",
        )
    settings = wanted_settings(quality, (height, width), stop_early)
    known = shared.learnt(context, part, settings, reuse, operation="enlarge")
    with context.phase("make"), torch.inference_mode():
        context.progress("Enlarging", 0, 1)
        made = enlarge_picture(known.model.trained, factor, faithful=faithful)
    size = round(height * factor), round(width * factor)
    name = f"{picture.name or 'Picture'}, {factor:g} times"
    layer = shared.picture_layer(name, made, size, part)
    used = context.models.reference(known.model.id)
    return Outcome([layer], model=used, notes=known.notes)


def wanted_settings(quality: str, size: tuple[int, int], stop_early: bool) -> TaskSettings:
    """The training at the picture's full size: that of variations where it is small enough."""
    settings = shared.wanted_settings("generation", quality, size, stop_early)
    return replace(settings, max_size=max(settings.max_size, *size))
