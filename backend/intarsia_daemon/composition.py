"""An element on a picture: where it lies and what it covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Picture,
    alpha_tensor,
    layer_from_tensors,
    on_canvas,
    picture_tensor,
)


@dataclass(frozen=True)
class Window:
    """A rectangle of the canvas, relative to the picture's top left corner."""

    left: int
    top: int
    right: int
    bottom: int

    def grown(self, margin: int, height: int, width: int) -> Window:
        """The window with a margin, inside a picture of that size."""
        return Window(
            max(0, self.left - margin),
            max(0, self.top - margin),
            min(width, self.right + margin),
            min(height, self.bottom + margin),
        )

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The window's part of an (H, W) or (H, W, C) array."""
        return array[self.top : self.bottom, self.left : self.right]

    def cut_tensor(self, tensor: Tensor) -> Tensor:
        """The window's part of a (B, C, H, W) tensor."""
        return tensor[..., self.top : self.bottom, self.left : self.right]

    def picture(self, picture: Picture) -> Picture:
        """The window's part of a picture, at its place on the canvas."""
        return Picture(
            self.cut(picture.array), picture.x + self.left, picture.y + self.top, picture.name
        )


def edit_mask_of(picture: Picture, element: Picture, area: Area | None) -> np.ndarray:
    """How much of the element counts, where: its alpha times the area.

    Args:
        picture: Gives the canvas.
        element: The pasted object; may reach beyond the canvas.
        area: Limits the element to this part; None takes all of it.

    Returns:
        (H, W) float32 in [0, 1] on the picture's rectangle, 1 = change. Not all zero.

    Raises:
        InvalidRequest: Nothing is left: element or area are empty or lie outside.
    """
    coverage = alpha_tensor(Area(on_canvas(element, picture).array[..., 3], name=element.name))[
        0, 0
    ]
    if not bool(coverage.any()):
        raise InvalidRequest(
            f"The element {element.name!r} has no visible pixels inside the picture.",
            value=[element.x, element.y, element.array.shape[1], element.array.shape[0]],
            remedy="Paste the object on a layer of its own above the picture and choose it.",
        )
    if area is not None:
        coverage = coverage * alpha_tensor(on_canvas(area, picture))[0, 0]
        if not bool(coverage.any()):
            raise InvalidRequest(
                "The area and the element do not overlap.",
                value=[area.x, area.y, area.array.shape[1], area.array.shape[0]],
                remedy="Select a part of the element, or select nothing to use all of it.",
            )
    return coverage.numpy()


def window_of(edit_mask: np.ndarray) -> Window:
    """The smallest window that holds everything above zero."""
    rows, columns = np.flatnonzero(edit_mask.any(1)), np.flatnonzero(edit_mask.any(0))
    return Window(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def continued(element: Picture) -> Picture:
    """Give the pixels that are mostly transparent the colour of the nearest that is not.

    What lies under transparency is no colour of the element (often black), yet a gradient across
    the element's edge needs one: this makes it zero there, so that the edge comes from the picture
    alone.
    A picture without such pixels, or with nothing else, comes back as it is.
    """
    solid = alpha_tensor(element)[0, 0].numpy() >= 0.5
    if solid.all() or not solid.any():
        return element
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    array = element.array.copy()
    array[..., :3] = element.array[rows, columns, :3]
    return Picture(array, element.x, element.y, element.name)


@dataclass(frozen=True)
class Placed:
    """Picture and element on the same window, ready for the models."""

    window: Window
    picture: Picture
    """The window's part, for `layer_from_tensors(like=…)`."""
    target: Tensor
    """(1, 3, H, W) in [-1, 1]: the picture."""
    source: Tensor
    """(1, 3, H, W) in [-1, 1]: the element's colours, continued beyond its edge."""
    edit_mask: Tensor
    """(1, 1, H, W) in [0, 1]: how much of the element counts."""
    naive: Tensor
    """(1, 3, H, W) in [-1, 1]: the element pasted over the picture as it is."""

    def changed_layer(self, name: str, made: Tensor, weight: Tensor) -> Layer:
        """A result over the part of the picture that it changes.

        Args:
            name: For the artist.
            made: (1, 3, H, W) in [-1, 1]: the whole window afterwards.
            weight: (1, 1, H, W) in [0, 1]: how much it changed; the element's own pixels count too.
        """
        changed = (weight.cpu() > 0) | (self.edit_mask.cpu() > 0)
        part = window_of(changed[0, 0].numpy())
        return layer_from_tensors(
            name.strip(),
            part.cut_tensor(made).cpu(),
            part.cut_tensor(changed).float(),
            like=part.picture(self.picture),
        )


def place(
    picture: Picture,
    element: Picture,
    area: Area | None,
    *,
    margin: int | None,
    device: str = "cpu",
) -> Placed:
    """Bring picture and element onto one window.

    Args:
        picture: What is below.
        element: What was pasted.
        area: See `edit_mask_of`.
        margin: Pixels of the picture around the element; None takes the whole picture.
        device: Where the tensors go.

    Raises:
        InvalidRequest: As `edit_mask_of`.
    """
    edit_mask = edit_mask_of(picture, element, area)
    height, width = edit_mask.shape
    if margin is None:
        window = Window(0, 0, width, height)
    else:
        window = window_of(edit_mask).grown(margin, height, width)
    below = window.picture(picture)
    above = window.picture(on_canvas(element, picture))
    target, colours = picture_tensor(below, device), picture_tensor(above, device)
    counted = torch.from_numpy(np.ascontiguousarray(window.cut(edit_mask)))[None, None].to(device)
    beyond = continued(above)
    return Placed(
        window,
        below,
        target,
        colours if beyond is above else picture_tensor(beyond, device),
        counted,
        torch.lerp(target, colours, counted),
    )
