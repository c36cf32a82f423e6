"""Where a mosaic goes, and what it follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composition import window_of
from intarsia_daemon.generated_layers import blank_canvas
from intarsia_daemon.learnt_pictures import opaque_tensor
from intarsia_daemon.pixels import Area, Picture, alpha_tensor
from intarsia_daemon.real_pictures import coverage_on, visible_part
from intarsia_daemon.rough_pieces import MOST_PIXELS
from intarsia_models.mosaic.templates import PictureSource

DEFAULT_SIDE = 512
"""Of a mosaic without a guide and without a given size."""
LEAST_SIDE = 8
MOST_LAYER_BYTES = 1 << 30
"""Of a mosaic as layers with masks, uncompressed."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a mosaic goes, and what it follows."""

    frame: Picture
    """Its rectangle, with the sample type of the result; the pixels are those of the guide."""
    coverage: np.ndarray
    """(H, W) float32 in [0, 1]: how much of the result shows."""
    content: Tensor | None
    """(1, 3, H, W) in [-1, 1]; None without a guide."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.coverage.shape
        return height, width

    def contents(self) -> PictureSource:
        """The guide as what a model learns to follow."""
        assert self.content is not None
        levels = ((self.content[0] + 1) * 127.5).round().clamp(0, 255).byte()
        return PictureSource([levels], names=[self.frame.name or "Guide"])


def place_of(
    picture: Picture | None, area: Area | None, size: tuple[int, int], *, guided: bool
) -> Place:
    """The rectangle of a mosaic.

    Args:
        picture: The guide, or, where it is not followed, what gives the canvas.
        area: Where on it; None: everywhere that something is visible.
        size: (height, width) of a mosaic that has neither; 0: `DEFAULT_SIDE`.
        guided: Whether the picture is followed.

    Raises:
        InvalidRequest: Nothing is visible, the area lies outside, or the mosaic would be too small
            or too large.
    """
    if picture is not None:
        frame = visible_part(picture)
        if area is not None:
            window = window_of(coverage_on(frame, area))
            frame = window.picture(frame)
            coverage = coverage_on(frame, area)
        else:
            coverage = np.ones(frame.array.shape[:2], np.float32)
        coverage = coverage * alpha_tensor(frame)[0, 0].numpy()
    elif area is not None:
        whole = alpha_tensor(area)[0, 0].numpy()
        if not whole.any():
            raise InvalidRequest(
                "The area is empty.", value=0, remedy="Select a part of the canvas, or nothing."
            )
        window = window_of(whole)
        coverage = window.cut(whole)
        height, width = coverage.shape
        left, top = area.x + window.left, area.y + window.top
        frame = blank_canvas(height, width, left, top, np.dtype(np.uint8))
    else:
        height, width = (side or DEFAULT_SIDE for side in size)
        _check_size(width, height)  # before memory is taken for it
        coverage = np.ones((height, width), np.float32)
        frame = blank_canvas(height, width, 0, 0, np.dtype(np.uint8))
    height, width = coverage.shape
    _check_size(width, height)
    if min(height, width) < LEAST_SIDE:
        raise InvalidRequest(
            f"The mosaic would have {width} x {height} pixels.",
            value=[width, height],
            remedy=f"Choose a larger area: {LEAST_SIDE} pixels a side at least.",
        )
    content = opaque_tensor(frame) if guided and picture is not None else None
    return Place(frame, np.ascontiguousarray(coverage), content)


def whole_place(picture: Picture) -> Place:
    """A guide on its whole rectangle, whatever of it is visible: one of several frames.

    Raises:
        InvalidRequest: Nothing of it is visible, or it is too large.
    """
    visible_part(picture)  # refuses what shows nothing
    height, width = picture.array.shape[:2]
    _check_size(width, height)
    return Place(picture, alpha_tensor(picture)[0, 0].numpy(), opaque_tensor(picture))


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        fitting = int((MOST_PIXELS * width / height) ** 0.5)
        raise InvalidRequest(
            f"The mosaic would have {width} x {height} pixels.",
            value=[width, height],
            remedy=f"Make it smaller: at most {MOST_PIXELS // 10**6} million pixels, "
            f"{fitting} wide at this shape.",
            code="TOO_LARGE",
        )


def check_layers(count: int, size: tuple[int, int]) -> None:
    """Refuse layers with masks that no editor could hold, before anything is computed.

    Raises:
        InvalidRequest: They would be too large.
    """
    asked = 4 * count * size[0] * size[1]
    if asked > MOST_LAYER_BYTES:
        fitting = max(1, MOST_LAYER_BYTES // (4 * size[0] * size[1]))
        raise InvalidRequest(
            f"{count} layers of {size[1]} x {size[0]} pixels would take {asked >> 20} MiB.",
            value=asked,
            remedy=f"Use at most {fitting} templates, a smaller area, or choose Gives: Collage.",
            code="TOO_LARGE",
        )
