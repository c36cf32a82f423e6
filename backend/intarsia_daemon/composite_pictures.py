"""What a model made of rough pieces, back at the pieces' own size.

The model paints at its own small size, and never exactly what the pieces show. So what is small
stays the pieces', what is large (colours, light, large shapes) becomes the model's, and where they
meet or something is missing the model paints alone::

    shown = w (O + up(L(G) - L(C))) + (1 - w) up(G)

O: the pieces; C: the same at the model's size, holes filled from G; G: the model's picture; L: a
low-pass filter of the size that the artist chooses; w: 1 inside the pieces, falling to 0 at seams
and holes; up: enlarging. Without L this is docs/decisions/0009-full-resolution.md.

Beyond Chai et al. 2021 (arXiv:2103.10426), whose pictures have the model's size and are shown as
the model paints them ("model").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composition import Window
from intarsia_daemon.pixels import (
    Area,
    Layer,
    alpha_tensor,
    dtype_name,
    layer_from_tensors,
    on_canvas,
)
from intarsia_daemon.real_pictures import Crop, spread
from intarsia_daemon.rough_pieces import PastedPieces, RoughPieces, pasted
from intarsia_models.latent_composition.collages import Collage

Detail = Literal["pieces", "background", "model"]
"""What is shown: "pieces" as in the module's text; "background" the same with a picture of the
model that is corrected by how far it is from what is seen of the backmost piece, so that a
photograph behind stays as it is where the other pieces change nothing; "model" G alone."""
EXTENDING = 0.06
"""How smoothly the correction goes on behind other pieces and into holes: a standard deviation, as
a share of the square's side."""
LEAST = 1e-3
"""Weight of the mean correction, for places far from the background."""


@dataclass(frozen=True)
class Returning:
    """How a collage comes back, as the artist chose; sizes as shares of its longer side."""

    detail: Detail = "background"
    keeps: float = 0.05
    """What is smaller than this stays the pieces'."""
    softness: float = 0.02
    """How far from seams and holes the pieces fade out, and how far around what is kept exactly the
    picture follows."""


class CompositePicture:
    """One collage at its own size, for what models make of it."""

    def __init__(
        self,
        rough: RoughPieces,
        crop: Crop,
        collage: Collage,
        returning: Returning,
        keep: Area | None,
    ) -> None:
        """Prepare.

        Args:
            rough: The pieces.
            crop: The square that the model saw; its picture is the pieces' canvas.
            collage: What the model saw.
            returning: How.
            keep: Where the pieces' pixels stay exactly; None: nowhere.

        Raises:
            InvalidRequest: ``keep`` covers nothing of the pieces.
        """
        self._rough, self._crop, self._returning = rough, crop, returning
        self._image, self._known = _unit(collage.image), collage.known.cpu()
        first = seen_pieces(collage)[0]
        self._behind = collage.shares[first : first + 1].cpu()
        height, width = rough.canvas.array.shape[:2]
        self._window = Window(0, 0, width, height)
        self._reach = returning.softness * max(height, width)
        needs_own = returning.detail != "model" or keep is not None
        self._pasted = pasted(rough) if needs_own else None
        self._keep = None if keep is None else self._kept(keep)

    def layer(self, name: str, made: Tensor, background: Tensor | None = None) -> Layer:
        """An opaque layer over the rectangle of the pieces.

        Args:
            name: For the artist.
            made: (1, 3, R, R) in [-1, 1]: the model's picture.
            background: (1, 3, R, R): what it makes of the backmost piece (the first of
                `seen_pieces`) alone; only "background"
                needs it.
        """
        painted, own = _unit(made), self._pasted
        if background is not None:
            painted = (painted - self._correction(_unit(background))).clamp(0, 1)
        shown = self._enlarged(painted)
        if own is not None and self._returning.detail != "model":
            filled = self._known * self._image + (1 - self._known) * painted
            sigma = self._returning.keeps * self._crop.resolution
            change = self._enlarged(_blurred(painted, sigma) - _blurred(filled, sigma))
            weight = detail_weight(own, self._reach)
            shown += weight[..., None] * (own.colours + change - shown)
        if own is not None and self._keep is not None:
            shown += self._keep[..., None] * (own.colours - shown)
        return self._sampled(name, shown)

    def _correction(self, background: Tensor) -> Tensor:
        """(1, 3, R, R): how far the model is from the backmost piece, going on where others hide
        it."""
        seen = self._behind
        apart = seen * (background - self._image)
        mean = apart.mean((2, 3), keepdim=True) / seen.mean().clamp_min(1e-6)
        sigma = EXTENDING * self._crop.resolution
        around = _blurred(apart, sigma) + LEAST * mean
        return apart + (1 - seen) * around / (_blurred(seen, sigma) + LEAST)

    def _kept(self, keep: Area) -> np.ndarray:
        """(H, W): how much the pieces' own pixels count."""
        assert self._pasted is not None
        coverage = alpha_tensor(on_canvas(keep, self._rough.canvas))[0, 0].numpy()
        known = coverage * self._pasted.alpha
        if not known.any():
            raise InvalidRequest(
                "The area to keep covers nothing of the pieces.",
                value=[keep.x, keep.y, keep.array.shape[1], keep.array.shape[0]],
                remedy="Select what has to stay as it is, or select nothing.",
            )
        return spread(coverage, self._reach) * self._pasted.alpha

    def _enlarged(self, values: Tensor) -> np.ndarray:
        """(H, W, C) float32 on the canvas, from (1, C, R, R)."""
        large = self._crop.enlarged(values, self._window)[0]
        return np.ascontiguousarray(large.permute(1, 2, 0).numpy())

    def _sampled(self, name: str, shown: np.ndarray) -> Layer:
        canvas = self._rough.canvas
        if dtype_name(canvas.array) != "f32":
            tensor = torch.from_numpy(shown).permute(2, 0, 1)[None]
            return layer_from_tensors(name, tensor * 2 - 1, like=canvas)
        low, high = 0.0, 1.0
        if self._pasted is not None:  # values of the pieces beyond [0, 1] stay beyond
            low, high = (f(self._pasted.colours, x) for f, x in ((np.minimum, 0), (np.maximum, 1)))
        array = np.ones(canvas.array.shape, np.float32)
        np.clip(shown, low, high, out=array[..., :3])
        return Layer(name, array, canvas.x, canvas.y)


def seen_pieces(collage: Collage) -> list[int]:
    """Numbers of the pieces that others do not hide, back to front; at least one."""
    shares = collage.shares.mean((1, 2, 3))
    seen = (shares > LEAST * shares.max()).nonzero().flatten()
    return seen.tolist()


def detail_weight(own: PastedPieces, reach: float) -> np.ndarray:
    """(H, W) float32 in [0, 1]: how much of the pieces' own detail is shown.

    Args:
        own: The pieces at their own size.
        reach: Pixels from seams and holes within which it fades out; 0: a hard end at the holes.
    """
    seam = own.owner < 0
    for axis in (0, 1) if reach > 0 else ():
        before, after = (_part(own.owner, axis, *ends) for ends in ((None, -1), (1, None)))
        differs = before != after
        _part(seam, axis, None, -1)[:] |= differs
        _part(seam, axis, 1, None)[:] |= differs
    if reach <= 0 or not seam.any():
        return np.where(seam, np.float32(0), own.alpha)
    distance = cv2.distanceTransform((~seam).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    t = np.clip(distance / np.float32(reach), 0, 1)
    return t * t * (3 - 2 * t) * own.alpha


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """(1, C, R, R) with a Gaussian of that standard deviation in its pixels."""
    if sigma <= 0:
        return picture
    planes = [
        cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        for plane in picture[0].numpy()
    ]
    return torch.from_numpy(np.stack(planes))[None]


def _part(array: np.ndarray, axis: int, first: int | None, last: int | None) -> np.ndarray:
    return array[first:last] if axis == 0 else array[:, first:last]


def _unit(picture: Tensor) -> Tensor:
    """On the CPU in [0, 1]; some generators go beyond, which no layer can show."""
    return (picture.detach().float().cpu().clamp(-1, 1) + 1) / 2
