"""A picture of any size, as a model of one small square size sees it, and changes going back.

The square around the area is reduced to the model's size by area averaging. After the edit the
*difference* that it made there is enlarged and added to the picture, so that detail finer than the
model's stays (docs/decisions/0009-full-resolution.md); how far it reaches is the area's softness.
Colours outside, alpha and sample type stay as they are.

Source: Suzuki et al. 2018, arXiv:1811.10153, section 3.4, pastes the model's own pixels by Poisson
blending; that is "model" in `Blending` with "poisson". Deviation: pictures keep their aspect (the
published code stretches them to a square); what the square lacks beyond the picture's edge is
mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composition import Window, window_of
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Picture,
    alpha_tensor,
    dtype_name,
    layer_from_tensors,
    on_canvas,
    picture_tensor,
)
from intarsia_models.blending import poisson_blend

Detail = Literal["difference", "model"]
Edge = Literal["soft", "poisson"]

REACH = 3.0
"""Standard deviations of the area's softness beyond which nothing changes."""


@dataclass(frozen=True)
class Crop:
    """The square of a picture that a model sees; it may stick out of the picture."""

    picture: Picture
    left: int
    """Relative to the picture, like ``top``; may be negative."""
    top: int
    side: int
    resolution: int

    @property
    def window(self) -> Window:
        """The part of the picture inside the square."""
        height, width = self.picture.array.shape[:2]
        return Window(
            max(0, self.left),
            max(0, self.top),
            min(width, self.left + self.side),
            min(height, self.top + self.side),
        )

    def target(self) -> Tensor:
        """(1, 3, R, R) in [-1, 1]: what the model sees.

        Transparent places take the mean of the visible colours.

        Raises:
            InvalidRequest: An f32 picture holds nan or infinity, or nothing is visible.
        """
        alpha = self._plane(3)
        if float(alpha.max()) <= 0:
            raise InvalidRequest(
                f"The picture {self.picture.name!r} is transparent where it is to be edited.",
                value=self.picture.name,
                remedy="Choose the layer that shows the picture, or an area on visible pixels.",
            )
        opaque = float(alpha.min()) >= 1
        small_alpha = None if opaque else self._reduced(alpha)
        planes = []
        for channel in range(3):
            plane = self._plane(channel)
            if small_alpha is None:
                planes.append(self._reduced(plane))
                continue
            mean = float((plane * alpha).sum(dtype=np.float64) / alpha.sum(dtype=np.float64))
            planes.append(self._reduced(plane * alpha) + (1 - small_alpha) * np.float32(mean))
        unit = torch.from_numpy(np.stack(planes))[None]
        return (unit * 2 - 1).clamp(-1, 1)

    def small_coverage(self, coverage: np.ndarray) -> Tensor:
        """(1, 1, R, R) in [0, 1] from an (H, W) float32 coverage on the picture's rectangle."""
        small = self._reduced(np.ascontiguousarray(self._square(coverage)))
        return torch.from_numpy(small)[None, None].clamp(0, 1)

    def position(self, x: float, y: float) -> tuple[float, float]:
        """A canvas position in the model's pixels, (0, 0) being the square's top left corner."""
        scale = self.resolution / self.side
        return (
            (x - self.picture.x - self.left) * scale,
            (y - self.picture.y - self.top) * scale,
        )

    def enlarged(self, values: Tensor, window: Window) -> Tensor:
        """Bring something of the model's size to the picture's.

        Args:
            values: (1, C, R, R).
            window: The wanted part of the picture, inside `window`.

        Returns:
            (1, C, h, w) on the CPU: by cubic interpolation (averaged where the picture is smaller
            than the model); the values themselves where the sizes are equal.
        """
        matrices = [
            interpolation_matrix(low - start, high - start, self.side, self.resolution)
            for low, high, start in (
                (window.top, window.bottom, self.top),
                (window.left, window.right, self.left),
            )
        ]
        small = values.detach().float().cpu()
        return matrices[0] @ small @ matrices[1].T

    def _plane(self, channel: int) -> np.ndarray:
        plane = self._square(self.picture.array[..., channel])
        return alpha_tensor(Area(plane, name=self.picture.name))[0, 0].numpy()

    def _square(self, array: np.ndarray) -> np.ndarray:
        rows, columns = (
            _mirrored(start, self.side, size)
            for start, size in zip((self.top, self.left), array.shape[:2], strict=True)
        )
        return array[rows][:, columns]

    def _reduced(self, plane: np.ndarray) -> np.ndarray:
        if self.side == self.resolution:
            return np.array(plane, np.float32)
        method = cv2.INTER_AREA if self.side > self.resolution else cv2.INTER_CUBIC
        size = (self.resolution, self.resolution)
        return np.clip(cv2.resize(plane.astype(np.float32), size, interpolation=method), 0, 1)


def visible_part(picture: Picture) -> Picture:
    """The picture without transparent rows and columns around it.

    Raises:
        InvalidRequest: Nothing is visible.
    """
    alpha = picture.array[..., 3]
    visible = alpha > 0
    if not visible.any():
        raise InvalidRequest(
            f"The picture {picture.name!r} has no visible pixels.",
            value=picture.name,
            remedy="Choose a layer that shows something.",
        )
    if visible.all():
        return picture
    return window_of(visible).picture(picture)


def coverage_on(picture: Picture, area: Area) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the area on the picture's rectangle.

    Raises:
        InvalidRequest: The area has no pixel on the picture, or holds nan.
    """
    coverage = alpha_tensor(on_canvas(area, picture))[0, 0].numpy()
    if not coverage.any():
        named = f" {area.name!r}" if area.name else ""
        raise InvalidRequest(
            f"The area{named} covers nothing of the picture.",
            value=[area.x, area.y, area.array.shape[1], area.array.shape[0]],
            remedy="Select a part of the picture, or select nothing to change all of it.",
        )
    return coverage


def whole_crop(picture: Picture, resolution: int) -> Crop:
    """The square that holds the whole picture, around its middle."""
    height, width = picture.array.shape[:2]
    side = max(height, width)
    return Crop(picture, (width - side) // 2, (height - side) // 2, side, resolution)


def crop_around(
    picture: Picture, coverage: np.ndarray, resolution: int, *, context: float, reach: float
) -> Crop:
    """The square around an area, moved into the picture as far as it fits.

    Args:
        picture: Any size.
        coverage: (H, W) on the picture's rectangle, not all zero.
        resolution: The model's.
        context: What is added on every side, as a share of the area's longer side.
        reach: Pixels around the area that may change.
    """
    height, width = coverage.shape
    bounds = window_of(coverage)
    longer = max(bounds.right - bounds.left, bounds.bottom - bounds.top)
    wanted = math.ceil(longer + 2 * max(context * longer, reach))
    side = min(max(wanted, min(resolution, height, width)), max(height, width))
    left = _placed(bounds.left, bounds.right, side, width)
    top = _placed(bounds.top, bounds.bottom, side, height)
    return Crop(picture, left, top, side, resolution)


@dataclass(frozen=True)
class Blending:
    """Where a change shows on the picture, and how it ends."""

    window: Window
    weight: Tensor
    """(1, 1, h, w) in [0, 1] on the window: how much of the change is made."""
    edge: Edge = "soft"
    detail: Detail = "difference"
    """"difference" adds the change to the picture; "model" puts in the model's own pixels."""


def blending_of(
    crop: Crop, coverage: np.ndarray | None, *, softness: float, edge: Edge, detail: Detail
) -> Blending:
    """Where the change of an area shows.

    Args:
        crop: What the model sees; nothing outside it changes.
        coverage: (H, W) on the picture's rectangle; None: everything the model sees.
        softness: Standard deviation in pixels of the picture, as of the class map.
        edge: How it ends.
        detail: What is put in.
    """
    inside = crop.window
    if coverage is None:
        size = (1, 1, inside.bottom - inside.top, inside.right - inside.left)
        return Blending(inside, torch.ones(size), edge, detail)
    weight = spread(inside.cut(coverage), REACH * softness)
    part = window_of(weight)
    window = Window(
        inside.left + part.left,
        inside.top + part.top,
        inside.left + part.right,
        inside.top + part.bottom,
    )
    chosen = np.ascontiguousarray(part.cut(weight))
    return Blending(window, torch.from_numpy(chosen)[None, None], edge, detail)


class ChangedPicture:
    """Puts what a model made of a crop back into the picture, as layers."""

    def __init__(self, crop: Crop, blending: Blending, reconstruction: Tensor) -> None:
        """Prepare for several edits of one picture.

        Args:
            crop: What the model saw.
            blending: Where the change goes.
            reconstruction: (1, 3, R, R) in [-1, 1]: the model's picture before the edit.
        """
        self._crop = crop
        self._blending = blending
        self._reconstruction = _in_range(reconstruction)
        self._part = blending.window.picture(crop.picture)
        self._base = picture_tensor(self._part)
        self._everywhere = bool((blending.weight == 1).all())

    def layer(self, name: str, edited: Tensor, *, tick: Callable[[], None] | None = None) -> Layer:
        """A layer over the window that shows the edit.

        Args:
            name: For the artist.
            edited: (1, 3, R, R): the model's picture after the edit.
            tick: See `poisson_blend`.

        Returns:
            The picture's own pixels with the change; transparent where nothing changes.
        """
        mixed = self._mixed(edited, tick)
        if tick is not None:
            tick()
        array = np.array(self._part.array)
        there = (self._blending.weight > 0)[0, 0].numpy()
        colours, shown = array[..., :3], there[..., None]
        if dtype_name(array) == "f32":  # values beyond [0, 1] stay beyond
            step = ((mixed - self._base) / 2)[0].permute(1, 2, 0).numpy()
            np.add(colours, step, out=colours, where=shown)
        else:
            samples = layer_from_tensors(name, mixed, like=self._part).array
            np.copyto(colours, samples[..., :3], where=shown)
        np.copyto(array[..., 3], 0, where=~there)
        return Layer(name, array, self._part.x, self._part.y)

    def _mixed(self, edited: Tensor, tick: Callable[[], None] | None) -> Tensor:
        """(1, 3, h, w) in [-1, 1]: the window after the edit."""
        blending, base = self._blending, self._base
        small = _in_range(edited)
        if blending.detail == "model":
            changed = self._crop.enlarged(small, blending.window)
        else:
            difference = small - self._reconstruction
            changed = base + self._crop.enlarged(difference, blending.window)
        changed = changed.clamp(-1, 1)
        inside = blending.weight >= 0.5
        if blending.edge == "poisson" and bool(inside.any()):
            return poisson_blend(changed, base, inside.float(), tick=tick).clamp(-1, 1)
        return changed if self._everywhere else torch.lerp(base, changed, blending.weight)


def _in_range(picture: Tensor) -> Tensor:
    """On the CPU, cut to what can be shown: some generators go beyond, which no layer can."""
    return picture.detach().float().cpu().clamp(-1, 1)


def spread(coverage: np.ndarray, reach: float) -> np.ndarray:
    """(H, W): the coverage, which falls smoothly to 0 at ``reach`` around where it is a half."""
    inside = coverage >= 0.5
    if reach <= 0 or not inside.any() or inside.all():
        return coverage
    outside = (~inside).astype(np.uint8)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    t = np.clip(1 - distance / np.float32(reach), 0, 1)
    return np.maximum(coverage, t * t * (3 - 2 * t)).astype(np.float32)


def _placed(low: int, high: int, side: int, size: int) -> int:
    """Where a square of that side begins, around [low, high), inside [0, size) if it fits."""
    if side >= size:
        return (size - side) // 2
    return min(max((low + high - side) // 2, 0), size - side)


def _mirrored(start: int, count: int, size: int) -> np.ndarray | slice:
    """Indices ``start`` to ``start + count`` of an axis that is mirrored beyond its ends."""
    if start >= 0 and start + count <= size:
        return slice(start, start + count)
    index = np.arange(start, start + count) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def interpolation_matrix(first: int, last: int, side: int, resolution: int) -> Tensor:
    """(last - first, resolution) float32: what a picture's pixels take of each of the model's.

    Args:
        first: The first pixel, counted from the square's edge.
        last: Behind the last one.
        side: The square's size in the picture's pixels.
        resolution: Its size in the model's pixels.

    Returns:
        Cubic interpolation where the picture is larger, averages where it is smaller.
    """
    if side < resolution:
        edges = np.arange(first, last + 1)[:, None] * (resolution / side)
        cells = np.arange(resolution)[None]
        overlap = np.minimum(edges[1:], cells + 1) - np.maximum(edges[:-1], cells)
        matrix = overlap.clip(0) * (side / resolution)
        return torch.from_numpy(matrix.astype(np.float32))
    centre = (np.arange(first, last) + 0.5) * (resolution / side) - 0.5
    base = np.floor(centre).astype(np.int64)
    matrix = np.zeros((last - first, resolution))
    rows = np.arange(last - first)
    for tap in range(-1, 3):
        weight = _cubic(centre - (base + tap))
        np.add.at(matrix, (rows, (base + tap).clip(0, resolution - 1)), weight)
    return torch.from_numpy(matrix.astype(np.float32))


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys 1981, a = -1/2."""
    x = np.abs(distance)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
