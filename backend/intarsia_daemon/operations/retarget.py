"""A picture at another size or shape, its textures at their own scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Input, Option, Toggle, Whole
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.composition import window_of
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import REUSE, STOP_EARLY, stored_model
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Outcome,
    Picture,
    alpha_tensor,
    layer_from_tensors,
    on_canvas,
)
from intarsia_models.single_image.painting import paint_to_picture
from intarsia_models.single_image.sampling import retarget as make_larger

PRESETS = {"wide": (2.0, 1.0), "high": (1.0, 2.0), "both": (2.0, 2.0)}
"""Width and height as shares of the picture's."""
LARGEST_SHARE = 8.0
SEAM = 0.06
"""Share of the picture's longer side over which it passes, mirrored, into what was drawn."""
LARGEST_SIDE = 16384


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    using = shared.using_estimate(parameters["model"])
    if using is not None:
        return using
    size = sizes["picture"]
    settings = shared.wanted_settings(
        "retarget", parameters["quality"], size, parameters["stop_early"]
    )
    return shared.training_estimate(settings, size, context)


@operation(
    title="Retarget",
    verb="Change the size",
    group="Change a picture",
    inputs=(
        shared.PICTURE,
        Input(
            "area",
            "area",
            "Area to extend into",
            "Selected canvas beside the picture is filled with more of it, and the picture itself "
            "stays; without it the whole picture is made anew at the size below.",
            required=False,
        ),
    ),
    parameters=(
        shared.QUALITY,
        Choice(
            "size",
            "Size",
            "How large the result is; with an area to extend into, that decides.",
            (
                Option("wide", "Twice as wide"),
                Option("high", "Twice as high"),
                Option("both", "Twice as wide and high"),
                Option("exact", "As said below", "In pixels."),
            ),
            default="wide",
        ),
        Whole("width", "Width", "In pixels; 0: as it is.", 0, 16384, 0, only_with="size=exact"),
        Whole("height", "Height", "In pixels; 0: as it is.", 0, 16384, 0, only_with="size=exact"),
        Toggle(
            "keep_layout",
            "Keep the layout",
            "Large things keep their places, stretched; otherwise they are arranged anew.",
            True,
        ),
        STOP_EARLY,
        REUSE,
        stored_model("variations"),
    ),
    trains=True,
    estimate=estimate,
)
def retarget(
    picture: Picture,
    area: Area | None,
    quality: str,
    size: str,
    width: int,
    height: int,
    keep_layout: bool,
    stop_early: bool,
    reuse: str,
    model: str,
    context: Context,
) -> Outcome:
    """Make a picture wider, higher or narrower without stretching its textures.

    Source: Hinz et al. 2020, arXiv:2003.11512, section 4.1 and appendix. Extending into an area is
    ours: the picture is mirrored beyond its edge, the model redraws that, and near the edge the
    mirrored picture passes into what was drawn.
    """
    part = shared.part_of(picture, None)
    if area is None:
        share = _share(part, size, width, height)
    else:
        share = None
        _rectangle_of_both(part, area)  # refused before anything is learnt
    settings = shared.wanted_settings("retarget", quality, part.array.shape[:2], stop_early)
    use = "variations" if area is None else "painting"
    known = shared.learnt(
        context, part, settings, reuse, operation="retarget", chosen=model, use=use
    )
    name = f"{picture.name or 'Picture'}, retargeted"
    with context.phase("make"), torch.inference_mode():
        context.progress("Painting", 0, 1)
        if area is not None:
            layer = _extended(known, area, name, context)
        else:
            assert share is not None
            small, large = known.size_at(*share)
            trained = known.model.trained
            made = make_larger(trained, small, seed=context.seed, keep_layout=keep_layout)
            layer = shared.picture_layer(name, made, large, part)
    used = context.models.reference(known.model.id)
    return Outcome([layer], model=used, notes=known.notes)


def _share(picture: Picture, size: str, width: int, height: int) -> tuple[float, float]:
    """Width and height of the result as shares of the picture's.

    Raises:
        InvalidRequest: The result would be as the picture is, or far too large.
    """
    own_height, own_width = picture.array.shape[:2]
    if size in PRESETS:
        share = PRESETS[size]
    else:
        share = (width or own_width) / own_width, (height or own_height) / own_height
    if share == (1.0, 1.0):
        raise InvalidRequest(
            "The result would have the picture's own size.",
            value=[own_width, own_height],
            remedy="Choose a size, say a width or height, or select canvas to extend into.",
        )
    return _checked_share(*share, own_width, own_height)


def _checked_share(wider: float, higher: float, width: int, height: int) -> tuple[float, float]:
    """Refuse a result that is far too large.

    Raises:
        InvalidRequest: With the largest that would do.
    """
    largest = max(wider * width, higher * height)
    if max(wider, higher) > LARGEST_SHARE or largest > LARGEST_SIDE:
        raise InvalidRequest(
            f"The result would be {wider:.1f} times as wide and {higher:.1f} times as high.",
            value=[round(wider * width), round(higher * height)],
            remedy=f"At most {LARGEST_SHARE:.0f} times and {LARGEST_SIDE} pixels a side.",
        )
    return wider, higher


def _extended(known: shared.Learnt, area: Area, name: str, context: Context) -> Layer:
    """The picture continued into an area beside it, over the rectangle of both."""
    picture = known.picture
    height, width = picture.array.shape[:2]
    canvas = _rectangle_of_both(picture, area)
    size = canvas.array.shape[:2]
    own = alpha_tensor(on_canvas(picture, canvas))
    inside = alpha_tensor(on_canvas(area, canvas)) * (1 - own)  # the picture itself stays
    if not bool((inside >= 0.5).any()):
        raise InvalidRequest(
            "The selection lies on the picture, there is nothing to extend into.",
            value=[area.x, area.y, area.array.shape[1], area.array.shape[0]],
            remedy="Enlarge the canvas and select the empty part, or select nothing.",
        )
    rows = _mirrored(canvas.y - picture.y, size[0], height)
    columns = _mirrored(canvas.x - picture.x, size[1], width)
    naive = shared.opaque_tensor(picture)[:, :, rows][..., columns]
    scale = known.model_size[0] / height
    small = shared.checked_size((round(size[0] * scale), round(size[1] * scale)))
    made = paint_to_picture(
        known.model.trained,
        shared.resized(naive, small),
        colours=0,
        seed=context.seed,
        size=small,
    )
    near = ndimage.distance_transform_edt(own[0, 0].numpy() == 0) / (SEAM * max(height, width))
    share = torch.from_numpy(np.asarray(near, np.float32)).clamp(max=1)[None, None]
    mixed = torch.lerp(naive, shared.resized(made, size), share.square() * (3 - 2 * share))
    return layer_from_tensors(name, mixed, torch.maximum(own, inside), like=canvas)


def _rectangle_of_both(picture: Picture, area: Area) -> Picture:
    """Nothing, as large as picture and area together, with the picture's sample type.

    Raises:
        InvalidRequest: The area is empty, or the rectangle far too large.
    """
    coverage = alpha_tensor(area)[0, 0].numpy()
    if not coverage.any():
        raise InvalidRequest(
            "The area to extend into is empty.",
            value=[area.x, area.y],
            remedy="Select canvas beside the picture, or select nothing.",
        )
    selected = window_of(coverage)
    height, width = picture.array.shape[:2]
    left, top = min(picture.x, area.x + selected.left), min(picture.y, area.y + selected.top)
    right = max(picture.x + width, area.x + selected.right)
    bottom = max(picture.y + height, area.y + selected.bottom)
    _checked_share((right - left) / width, (bottom - top) / height, width, height)
    shape = (bottom - top, right - left, 4)
    return Picture(np.zeros(shape, picture.array.dtype), left, top, picture.name)


def _mirrored(start: int, count: int, size: int) -> Tensor:
    """Indices of an axis that is mirrored beyond its ends."""
    index = torch.arange(start, start + count) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)
