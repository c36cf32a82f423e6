"""Key patches of pictures: found, and cut out at their own place and with their own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Scalar, Whole
from intarsia_daemon.composition import Window
from intarsia_daemon.pixels import Area, Picture, alpha_tensor, picture_tensor
from intarsia_daemon.real_pictures import coverage_on, visible_part
from intarsia_models.key_patches.objectness import BoxRule, KeyPatch, find_key_patches

MOST_PARTS = 16
COUNT = Whole("count", "Parts", "How many are found at most.", 1, MOST_PARTS, 3)
LEAST = Scalar(
    "least",
    "Smallest side",
    "Shortest side of a part, as a share of the picture's side.",
    5.0,
    100.0,
    25.0,
    unit="%",
    step=1.0,
    advanced=True,
)
MOST = Scalar(
    "most",
    "Largest side",
    "Longest side of a part, as a share of the picture's side.",
    5.0,
    100.0,
    40.0,
    unit="%",
    step=1.0,
    advanced=True,
)
OVERLAP = Scalar(
    "overlap",
    "Overlap",
    "How far two parts may cover each other, as a share of both together.",
    1.0,
    100.0,
    50.0,
    unit="%",
    step=1.0,
    advanced=True,
)
LARGEST_AREA = 0.16
"""Of the picture, as published; where sides are wanted that need more, that counts."""


@dataclass(frozen=True, eq=False)
class FoundPart:
    """A key patch of a picture."""

    piece: Picture
    """Its pixels, at its place on the canvas."""
    patch: KeyPatch
    """Where it lies in `whole`."""
    whole: Picture
    """The visible part of the picture it comes from."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom as shares of the picture."""
        height, width = self.whole.array.shape[:2]
        patch = self.patch
        return (
            patch.x / width,
            patch.y / height,
            (patch.x + patch.width) / width,
            (patch.y + patch.height) / height,
        )


def box_rule(least: float, most: float, overlap: float) -> BoxRule:
    """Which parts are looked for.

    Args:
        least: Of `LEAST`, in percent.
        most: Of `MOST`, in percent.
        overlap: Of `OVERLAP`, in percent.

    Raises:
        InvalidRequest: The smallest side is larger than the largest.
    """
    if least > most:
        raise InvalidRequest(
            f"The smallest side of a part, {least:g} %, is larger than the largest, {most:g} %.",
            value=least,
            remedy="Make the smallest side smaller, or the largest one larger.",
        )
    area = max(LARGEST_AREA, (least / 100) ** 2)
    return BoxRule(least / 100, most / 100, largest_area=area, overlap=overlap / 100)


def key_parts(
    picture: Picture, count: int, rule: BoxRule, *, area: Area | None = None
) -> list[FoundPart]:
    """The key patches of a picture, the best first.

    Args:
        picture: Of any size and sample type; transparent places have no parts.
        count: At most how many.
        rule: Their sizes.
        area: They are looked for in it alone; None: everywhere.

    Raises:
        InvalidRequest: Nothing of the picture is visible, or the area covers nothing of it.
        UnsuitablePicture: The picture is too small, or there is no room for a part.
    """
    whole = visible_part(picture)
    alpha = alpha_tensor(whole)
    if area is not None:
        alpha = alpha * torch.from_numpy(coverage_on(whole, area))[None, None]
    seen = None if bool((alpha >= 1).all()) else alpha
    found = find_key_patches(picture_tensor(whole), count, alpha=seen, rule=rule)
    return [FoundPart(_cut(whole, patch), patch, whole) for patch in found]


def _cut(whole: Picture, patch: KeyPatch) -> Picture:
    part = Window(patch.x, patch.y, patch.x + patch.width, patch.y + patch.height).picture(whole)
    return Picture(np.array(part.array), part.x, part.y, part.name)
