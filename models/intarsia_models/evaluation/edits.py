"""What is compared: relabelling an area of a real picture, and what one might do instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.projection import Projection, project

AREA_SHARE = 0.5
"""Side of the edited square, of the picture's side."""
SOFT_EDGE = 3
"""Pixels over which the area fades out."""


@dataclass(frozen=True)
class Case:
    """A real picture, its projection, and the class that its middle should become."""

    picture: Tensor
    """(1, 3, R, R) in [-1, 1]."""
    y: int
    target: int
    projection: Projection


def central_area(size: int) -> Tensor:
    """(1, 1, R, R) in [0, 1]: a square in the middle with soft edges."""
    side = round(size * AREA_SHARE)
    start = (size - side) // 2
    area = torch.zeros(1, 1, size, size)
    area[:, :, start : start + side, start : start + side] = 1.0
    window = 2 * SOFT_EDGE + 1
    padded = F.pad(area, (SOFT_EDGE,) * 4, mode="replicate")
    return F.avg_pool2d(padded, window, 1)


def projected(
    generator: Generator, picture: Tensor, y: int, target: int, *, steps: int, space: str = "auto"
) -> Case:
    """Project a picture with its own class."""
    found = project(
        generator,
        picture,
        torch.tensor([y]),
        steps=steps,
        space=space,  # pyright: ignore[reportArgumentType]
    )
    return Case(picture, y, target, found)


@torch.inference_mode()
def relabelled(
    generator: Generator, case: Case, area: Tensor, layers: Sequence[str] | None = None
) -> Tensor:
    """(1, 3, R, R): the model's picture with the target class in the area (eq. 2)."""
    maps = ClassMaps.from_areas({case.target: area}, case.y)
    return generator.synthesize(
        case.projection.z, torch.tensor([case.y]), class_weights=maps, class_layers=layers
    )


def as_difference(case: Case, edited: Tensor, area: Tensor) -> Tensor:
    """The original with what the model changed, inside the area."""
    change = edited - case.projection.reconstruction
    return (case.picture + area * change).clamp(-1, 1)


def as_model_output(case: Case, edited: Tensor, area: Tensor) -> Tensor:
    """The original, and the model's picture inside the area."""
    return case.picture + area * (edited - case.picture)


@torch.inference_mode()
def translated(generator: Generator, case: Case) -> Tensor:
    """(1, 3, R, R): the whole picture as the target class, from the same latent."""
    return generator.synthesize(case.projection.z, torch.tensor([case.target]))


def pasted(case: Case, other: Tensor, area: Tensor) -> Tensor:
    """The same area of another real picture, which shows the target class."""
    return case.picture + area * (other - case.picture)
