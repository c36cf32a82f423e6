"""A picture with something missing: what is missing, what a model sees, and how it is filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composition import continued, window_of
from intarsia_daemon.generated_layers import blank_canvas
from intarsia_daemon.pixels import (
    FULL,
    Area,
    Layer,
    Picture,
    alpha_tensor,
    dtype_name,
    layer_from_tensors,
    on_canvas,
    picture_tensor,
)
from intarsia_daemon.real_pictures import Crop, crop_around, whole_crop
from intarsia_daemon.rough_pieces import VISIBLE, check_size
from intarsia_models.blending import poisson_blend

Edge = Literal["poisson", "model"]


@dataclass(frozen=True, eq=False)
class IncompletePicture:
    """A picture on the rectangle that it has afterwards."""

    picture: Picture
    seen: np.ndarray
    """(H, W) float32 in [0, 1]: how much of it is known to the model."""
    fill: np.ndarray
    """(H, W) float32 in [0, 1]: how much is made anew; elsewhere it stays, to the pixel."""

    def crop(self, resolution: int, *, surroundings: float | None) -> Crop:
        """The square that the model sees.

        Args:
            resolution: The model's.
            surroundings: How much around what is missing, as a share of its longer side; None: the
                whole picture.
        """
        if surroundings is None:
            return whole_crop(self.picture, resolution)
        missing = (self.fill > 0).astype(np.float32)
        return crop_around(self.picture, missing, resolution, context=surroundings, reach=0)

    def piece(self) -> Picture:
        """What is known, as a piece of a collage."""
        array = self.picture.array.copy()
        values = self.seen * np.float32(FULL[dtype_name(array)])
        array[..., 3] = values if array.dtype.kind == "f" else values.round()
        return Picture(array, self.picture.x, self.picture.y, self.picture.name)

    def layer(
        self, name: str, crop: Crop, made: Tensor, edge: Edge, tick: Callable[[], None]
    ) -> Layer:
        """What was missing, filled in; transparent where the picture stays.

        Args:
            name: For the artist.
            crop: What the model saw.
            made: (1, 3, R, R) in [-1, 1]: the model's picture.
            edge: "poisson": colours flow in from what is known around; "model": its own.
            tick: As `poisson_blend`.
        """
        window = window_of(self.fill).grown(1, *self.fill.shape)
        part = window.picture(self.picture)
        seen, fill = (
            torch.from_numpy(np.ascontiguousarray(window.cut(plane)))[None, None]
            for plane in (self.seen, self.fill)
        )
        filled = crop.enlarged(made.detach().float().cpu().clamp(-1, 1), window)
        hidden = (fill > 0) & (seen < VISIBLE)
        if edge == "poisson" and bool((seen > 0).any()):
            around = picture_tensor(continued(part))
            filled = poisson_blend(filled, around, hidden.float(), tick=tick).clamp(-1, 1)
        mixed = torch.lerp(filled, picture_tensor(part), seen)
        return layer_from_tensors(name, mixed, (fill > 0).float(), like=part)


def incomplete(picture: Picture, area: Area | None, margin: float) -> IncompletePicture:
    """Find what is missing.

    Args:
        picture: Any size; its transparent places are unknown.
        area: What is to be made anew; may reach beyond the picture. None: what is transparent.
        margin: What is added on every side, as a share of the longer side.

    Raises:
        InvalidRequest: Nothing is missing, nothing is known, or it becomes too large.
    """
    border = round(margin * max(picture.array.shape[:2]))
    canvas = _canvas(picture, area, border)
    whole = on_canvas(picture, canvas)
    seen = alpha_tensor(whole)[0, 0].numpy()
    wanted = np.ones_like(seen, dtype=bool)
    if area is not None:
        coverage = alpha_tensor(on_canvas(area, canvas))[0, 0].numpy()
        wanted = coverage > 0
        if border:
            wanted |= ~_inside(picture, canvas)
        seen = seen * (1 - coverage)
    fill = np.where(wanted, 1 - seen, np.float32(0))
    if not fill.any():
        raise InvalidRequest(
            f"Nothing is missing in the picture {picture.name!r}.",
            value=picture.name,
            remedy="Select what is to be made anew, erase it, or add a margin.",
        )
    if not seen.any():
        raise InvalidRequest(
            f"Nothing of the picture {picture.name!r} would be left to go by.",
            value=picture.name,
            remedy="Select less of it, or choose the layer that shows the picture.",
        )
    return IncompletePicture(whole, seen, fill)


def _canvas(picture: Picture, area: Area | None, border: int) -> Picture:
    """The rectangle of picture, margin and area."""
    height, width = picture.array.shape[:2]
    left, top = picture.x - border, picture.y - border
    right, bottom = picture.x + width + border, picture.y + height + border
    if area is not None and area.array.any():
        window = window_of(area.array)
        left, top = min(left, area.x + window.left), min(top, area.y + window.top)
        right = max(right, area.x + window.right)
        bottom = max(bottom, area.y + window.bottom)
    check_size(right - left, bottom - top)
    return blank_canvas(bottom - top, right - left, left, top, picture.array.dtype)


def _inside(picture: Picture, canvas: Picture) -> np.ndarray:
    """(H, W) bool on the canvas: the picture's rectangle."""
    height, width = picture.array.shape[:2]
    inside = np.zeros(canvas.array.shape[:2], bool)
    top, left = picture.y - canvas.y, picture.x - canvas.x
    inside[top : top + height, left : left + width] = True
    return inside
