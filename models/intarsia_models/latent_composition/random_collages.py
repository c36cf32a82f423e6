"""Collages put together at random from parts of pictures, for evaluation and for trying things out.

Source: Chai et al. 2021, arXiv:2103.10426, appendix A.1.2 and A.2.4: collage i draws its pictures
with numpy's RandomState(i); parts come from areas that are given in an order from back to front,
from a salient subject over another whole picture, or from rectangles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from intarsia_models.latent_composition.collages import Piece
from intarsia_models.latent_composition.saliency import salient_area

Parts = Literal["rectangles", "saliency", "areas"]
RECTANGLES = 4
SMALLEST, LARGEST = 0.4, 0.7
"""Sides of rectangles, of the picture's side."""
LEAST_AREA = 0.02
"""Of the picture: smaller parts are drawn again, up to `TRIES` times."""
TRIES = 20


class DrawnPart(NamedTuple):
    """A part of one of the pictures."""

    picture: int
    """Its number, from 0."""
    area: Tensor
    """(1, 1, R, R) in [0, 1]."""


def random_pieces(
    pictures: Tensor,
    number: int,
    *,
    parts: Parts = "rectangles",
    areas: Mapping[str, Tensor] | None = None,
    count: int = RECTANGLES,
) -> list[Piece]:
    """The pieces of collage ``number``, back to front; arguments as `random_parts`."""
    drawn = random_parts(pictures, number, parts=parts, areas=areas, count=count)
    return [Piece(pictures[part.picture][None], part.area.to(pictures)) for part in drawn]


def random_parts(
    pictures: Tensor,
    number: int,
    *,
    parts: Parts = "rectangles",
    areas: Mapping[str, Tensor] | None = None,
    count: int = RECTANGLES,
) -> list[DrawnPart]:
    """What collage ``number`` takes, back to front; the same for a number every time.

    Args:
        pictures: (N, 3, R, R) in [-1, 1], at least two.
        number: From 0: the seed.
        parts: "rectangles": ``count`` of them, each from another picture, kept at its place, with
            holes between; "saliency": one picture's subject over another whole picture; "areas":
            one part of each name, each from any picture that has it.
        areas: By name, back to front: (N, 1, R, R) in [0, 1], where each picture shows that part.
        count: Of rectangles.

    Raises:
        ValueError: There are too few pictures, the areas do not fit, or no picture has a part.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3 or len(pictures) < 2:
        raise ValueError(f"Give two pictures or more, (N, 3, R, R); got {tuple(pictures.shape)}.")
    source = np.random.RandomState(number)
    if parts == "rectangles":
        return _rectangles(pictures, source, count)
    if parts == "saliency":
        return _subject_over(pictures, source)
    if parts != "areas" or not areas:
        raise ValueError('parts is "rectangles", "saliency", or "areas" together with areas.')
    return [_part(pictures, name, area, source) for name, area in areas.items()]


def _rectangles(pictures: Tensor, source: np.random.RandomState, count: int) -> list[DrawnPart]:
    """Rectangles that start in different corners, so that they lie beside each other rather than
    over each other."""
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}.")
    size = pictures.shape[-1]
    chosen = source.choice(len(pictures), count, replace=count > len(pictures))
    corners = source.permutation(4)
    found = []
    for turn, index in enumerate(chosen):
        corner = corners[turn % 4]
        height, width = (round(size * side) for side in source.uniform(SMALLEST, LARGEST, 2))
        shift = source.uniform(0, 0.15, 2)
        top, left = (round(size * part) for part in shift)
        if corner & 1:
            top = size - height - top
        if corner & 2:
            left = size - width - left
        alpha = pictures.new_zeros(1, 1, size, size)
        alpha[:, :, max(top, 0) : top + height, max(left, 0) : left + width] = 1
        found.append(DrawnPart(int(index), alpha))
    return found


def _subject_over(pictures: Tensor, source: np.random.RandomState) -> list[DrawnPart]:
    for _ in range(TRIES):
        behind, front = source.choice(len(pictures), 2, replace=False)
        area = salient_area(pictures[front][None])
        if float(area.mean()) >= LEAST_AREA:
            return [DrawnPart(int(behind), torch.ones_like(area)), DrawnPart(int(front), area)]
    raise ValueError("No picture with a subject that stands out was found; take rectangles.")


def _part(pictures: Tensor, name: str, areas: Tensor, source: np.random.RandomState) -> DrawnPart:
    wanted = (len(pictures), 1, *pictures.shape[2:])
    if tuple(areas.shape) != wanted:
        raise ValueError(f"The areas of {name!r} must be {wanted}, got {tuple(areas.shape)}.")
    sizes = areas.mean((1, 2, 3))
    for _ in range(TRIES):
        index = int(source.randint(len(pictures)))
        if float(sizes[index]) >= LEAST_AREA:
            return DrawnPart(index, areas[index][None])
    index = int(sizes.argmax())
    if not float(sizes[index]) > 0:
        raise ValueError(f"No picture shows the part {name!r}.")
    return DrawnPart(index, areas[index][None])
