"""Rough pieces laid over each other, with holes where there is nothing.

Source: Chai et al. 2021, arXiv:2103.10426, eq. 4, and the filled collages of its table 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

Filling = Literal["mean", "nearest"]
LEAST_KNOWN = 1e-3
"""Below this a place counts as unknown when holes are filled."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of a picture, at its place on the model's square."""

    colours: Tensor
    """(1, 3, R, R) in [-1, 1], straight: not multiplied by alpha."""
    alpha: Tensor
    """(1, 1, R, R) in [0, 1], 1 where the piece covers."""


@dataclass(frozen=True, eq=False)
class Collage:
    """Pieces as one picture."""

    image: Tensor
    """(1, 3, R, R) in [-1, 1], straight colours; 0 where nothing is known."""
    known: Tensor
    """(1, 1, R, R) in [0, 1]: how far the pieces cover a place together."""
    shares: Tensor
    """(n, 1, R, R) in [0, 1]: what is seen of each piece, back to front; they sum to ``known``."""


def paste(pieces: Sequence[Piece]) -> Collage:
    """Lay pieces over each other.

    Eq. 4 for pieces that cover or do not: a later piece hides an earlier one, and ``known`` is the
    union. Soft edges are mixed as premultiplied colours; the network that reads the collage
    multiplies by ``known`` again.

    Args:
        pieces: Back to front, all of one size.

    Raises:
        ValueError: There is no piece, or a shape or a range does not fit.
    """
    if not pieces:
        raise ValueError("A collage needs at least one piece, got none.")
    height, width = pieces[0].colours.shape[-2:]
    for number, piece in enumerate(pieces):
        _check(piece, number, (1, 3, height, width))
    shares = visible_shares(torch.cat([piece.alpha for piece in pieces]))
    known = shares.sum(0, keepdim=True)
    mixed = (torch.cat([piece.colours for piece in pieces]) * shares).sum(0, keepdim=True)
    image = mixed / known.clamp_min(torch.finfo(mixed.dtype).tiny)
    return Collage(image.clamp(-1, 1), known.clamp(max=1), shares)


def visible_shares(alphas: Tensor) -> Tensor:
    """(n, 1, R, R): what is seen of layers with these alphas (n, 1, R, R), back to front."""
    uncovered = (1 - alphas).flip(0).cumprod(0).flip(0)
    in_front = torch.cat((uncovered[1:], torch.ones_like(alphas[:1])))
    return alphas * in_front


def filled(collage: Collage, how: Filling = "mean") -> Tensor:
    """(1, 3, R, R): the collage without holes.

    Args:
        collage: Of `paste`.
        how: "mean": with the mean colour of what is seen of the backmost piece, as the paper's
            "filled" collages (of all pieces where nothing of it is seen); "nearest": with the
            nearest known colour.

    Raises:
        ValueError: Nothing is known, or ``how`` is unknown.
    """
    image, known = collage.image, collage.known
    if not bool((known > LEAST_KNOWN).any()):
        raise ValueError("An empty collage cannot be filled: no place of it is covered.")
    if how == "mean":
        weights = collage.shares[:1]
        if float(weights.sum()) < 1:
            weights = known
        total = weights.sum((2, 3), keepdim=True)
        behind = (image * weights).sum((2, 3), keepdim=True) / total
    elif how == "nearest":
        behind = _nearest(image, known > LEAST_KNOWN)
    else:
        raise ValueError(f'Collages are filled by "mean" or "nearest", got {how!r}.')
    return known * image + (1 - known) * behind


def _nearest(image: Tensor, covered: Tensor) -> Tensor:
    holes = ~covered[0, 0].cpu().numpy()
    _, places = ndimage.distance_transform_edt(holes, return_indices=True)  # pyright: ignore
    rows, columns = (torch.from_numpy(np.ascontiguousarray(part)) for part in places)
    return image[:, :, rows.to(image.device), columns.to(image.device)]


def _check(piece: Piece, number: int, shape: tuple[int, ...]) -> None:
    if tuple(piece.colours.shape) != shape:
        raise ValueError(
            f"Piece {number} has colours {tuple(piece.colours.shape)}, the first one {shape}; "
            "all must be (1, 3, R, R) of one size."
        )
    if tuple(piece.alpha.shape) != (1, 1, *shape[2:]):
        raise ValueError(
            f"The alpha of piece {number} must be {(1, 1, *shape[2:])}, "
            f"got {tuple(piece.alpha.shape)}."
        )
    if not bool(((piece.alpha >= 0) & (piece.alpha <= 1)).all()):  # also refuses nan
        raise ValueError(f"The alpha of piece {number} must lie in [0, 1].")
    if not bool(piece.colours.isfinite().all()):
        raise ValueError(f"The colours of piece {number} must be finite numbers.")
