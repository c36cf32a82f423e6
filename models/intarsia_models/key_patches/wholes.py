"""What a model of parts makes of known pictures, in figures and in pictures to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intarsia_models.gan_training.grids import arranged
from intarsia_models.key_patches.boxes import BoxRule, random_boxes, union_mask
from intarsia_models.key_patches.losses import appearance_error
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.objectness import key_boxes
from intarsia_models.key_patches.patches import Degradation, cut_patches, degraded, shrunk_boxes

Choice = Literal["key", "random"]


@dataclass(frozen=True, eq=False)
class Wholes:
    """Pictures, their parts, and what was made of these alone."""

    real: Tensor
    """(B, 3, R, R) in [-1, 1]."""
    patches: Tensor
    """(B, N, 3, R, R) in [-1, 1]."""
    boxes: Tensor
    """(B, 1, R, R) of 0 and 1: where the parts were."""
    generated: Tensor
    """(B, 3, R, R) in [-1, 1]."""
    placement: Tensor | None
    """(B, 1, R, R) in [0, 1]: where they went; None without a mask network."""


@dataclass(frozen=True)
class Likeness:
    """How near wholes come to the pictures that the parts are of."""

    appearance: float
    """Mean of |G A - y M|, values in [-1, 1]; see `losses.appearance_error`. Without a mask network
    the true place stands for the predicted one."""
    placement: float | None
    """Mean of |A - M|."""
    overlap: float | None
    """Intersection over union of the true place and of where the predicted one is above 1/2."""
    whole: float
    """Mean of |G - y|."""


def made_wholes(
    model: KeyPatchModel,
    pixels: Tensor,
    *,
    choice: Choice = "key",
    unique: int | None = None,
    rule: BoxRule | None = None,
    degradation: Degradation | None = None,
    seed: int = 0,
) -> Wholes:
    """Cut parts out of pictures and make wholes of them.

    Args:
        model: Which one.
        pixels: (B, 3, R, R) uint8, of the model's side.
        choice: The parts with the highest objectness, or parts from anywhere.
        unique: How many different parts; None: as many as the model takes. The first ones come
            again in the remaining places.
        rule: Their sizes; None: those of the paper.
        degradation: What is done to them before the model sees them.
        seed: Of all random choices.

    Raises:
        ValueError: ``unique`` or the pictures' size is not the model's.
    """
    side, parts = model.resolution, model.parts
    if tuple(pixels.shape[1:]) != (3, side, side):
        raise ValueError(f"pixels must be (B, 3, {side}, {side}), got {tuple(pixels.shape)}.")
    count = parts if unique is None else unique
    if not 1 <= count <= parts:
        raise ValueError(f"unique must lie in [1, {parts}], got {count}.")
    source = torch.Generator().manual_seed(seed)
    if choice == "key":
        boxes = key_boxes(pixels, count, rule=rule)
    else:
        boxes = random_boxes(len(pixels), count, side, source, rule=rule)
    if degradation is not None:
        boxes = shrunk_boxes(boxes, degradation.shrink)
    boxes = boxes[:, [place % count for place in range(parts)]]
    real = pixels.float() / 127.5 - 1.0
    patches = cut_patches(real, boxes, side)
    if degradation is not None and degradation.noise:
        patches = degraded(patches, Degradation(noise=degradation.noise), source)
    generated, placement = model.generate(patches, model.sample_z(len(pixels), seed))
    return Wholes(real, patches, union_mask(boxes, side), generated, placement)


def likeness(wholes: Wholes) -> Likeness:
    """Means over all pictures."""
    made, real, boxes = wholes.generated, wholes.real, wholes.boxes
    at = boxes if wholes.placement is None else wholes.placement
    placement = overlap = None
    if wholes.placement is not None:
        placement = float((at - boxes).abs().mean())
        found, true = at > 0.5, boxes > 0.5
        shared, either = (found & true).sum((1, 2, 3)), (found | true).sum((1, 2, 3))
        overlap = float((shared / either).mean())
    return Likeness(
        appearance=float(appearance_error(made, at, real, boxes).mean()),
        placement=placement,
        overlap=overlap,
        whole=float((made - real).abs().mean()),
    )


def shown(wholes: Wholes) -> Tensor:
    """Columns of a picture: the parts, the whole they are of, its boxes, the placement, the result.

    Returns:
        (1, 3, rows R, B R) in [-1, 1].
    """
    rows = [*wholes.patches.unbind(1), wholes.real, _grey(wholes.boxes)]
    if wholes.placement is not None:
        rows.append(_grey(wholes.placement))
    return arranged(torch.cat([*rows, wholes.generated]), len(wholes.real))


def _grey(placement: Tensor) -> Tensor:
    return (placement * 2 - 1).expand(-1, 3, -1, -1)
