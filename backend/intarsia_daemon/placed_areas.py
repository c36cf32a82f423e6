"""Choosing what of a picture a model sees, and finding it there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intarsia_daemon.held_pictures import HeldPicture, Holder
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import (
    REACH,
    Blending,
    Crop,
    Detail,
    Edge,
    blending_of,
    crop_around,
    whole_crop,
)


@dataclass(frozen=True)
class Placing:
    """How an area is brought to the model and back, as the artist chose."""

    softness: float = 8.0
    detail: Detail = "difference"
    edge: Edge = "soft"
    crop: str = "auto"
    surroundings: float = 0.5

    def blending(self, crop: Crop, coverage: np.ndarray | None) -> Blending:
        """Where and how a change of that area shows."""
        return blending_of(
            crop, coverage, softness=self.softness, edge=self.edge, detail=self.detail
        )


def hold_placed(
    holder: Holder,
    picture: Picture,
    coverage: np.ndarray | None,
    placing: Placing,
    resolution: int,
) -> HeldPicture:
    """Find a picture, or the part of it around an area, in the model.

    A picture that the model itself made is always taken whole, so that it comes back exactly.

    Args:
        holder: Of the model.
        picture: Its `visible_part`.
        coverage: (H, W) on the picture's rectangle; None: all of it.
        placing: The artist's choices.
        resolution: The model's.
    """
    whole = whole_crop(picture, resolution)
    height, width = picture.array.shape[:2]
    if height == width:
        known = holder.known(whole)
        if known is not None:
            return known
    return holder.hold(placed_crop(picture, coverage, placing, resolution))


def placed_crop(
    picture: Picture, coverage: np.ndarray | None, placing: Placing, resolution: int
) -> Crop:
    """The square that a model sees of a picture; arguments as `hold_placed`."""
    if coverage is None or placing.crop == "whole":
        return whole_crop(picture, resolution)
    reach = REACH * placing.softness
    return crop_around(picture, coverage, resolution, context=placing.surroundings, reach=reach)
