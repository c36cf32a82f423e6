"""Rough pieces of a collage: where they lie, and what a model of a small square size sees of them.

Everything is straight-alpha sRGB. What no piece covers is a hole; what the model's square has
beyond the pieces is unknown like a hole (complete pictures are mirrored there instead).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.generated_layers import blank_canvas
from intarsia_daemon.pixels import DTYPES, FULL, Picture, alpha_tensor, dtype_name, picture_tensor
from intarsia_daemon.real_pictures import Crop, interpolation_matrix
from intarsia_models.latent_composition.collages import Piece

MOST_PIXELS = 1 << 27
"""Of the rectangle around all pieces; 11,500 x 11,500."""
VISIBLE = 0.5
"""Alpha from which a piece counts as what is seen at a place."""
BAND = 512
"""Rows that are converted at once."""


@dataclass(frozen=True, eq=False)
class RoughPieces:
    """The pieces of one collage, back to front."""

    pieces: tuple[Picture, ...]
    """Those that show something."""
    canvas: Picture
    """Stands for the rectangle around all of them; the widest sample type there is."""
    left_out: tuple[str, ...] = ()
    """Names of pieces without visible pixels."""

    @property
    def notes(self) -> list[str]:
        """For the artist."""
        if not self.left_out:
            return []
        names = ", ".join(repr(name) for name in self.left_out)
        return [f"Nothing is visible on these pieces, so they were left out: {names}."]


def gathered(pieces: Sequence[Picture]) -> RoughPieces:
    """Bring pieces together.

    Args:
        pieces: Back to front, each at its place, of any sizes and sample types. A piece without
            visible pixels is left out, but its rectangle counts.

    Raises:
        InvalidRequest: There is no piece, none shows anything, or they lie too far apart.
    """
    if not pieces:
        raise InvalidRequest(
            "The collage has no pieces.",
            value=0,
            remedy="Put rough pieces on layers of one group, and run it on the group.",
        )
    shown = tuple(piece for piece in pieces if piece.array[..., 3].any())
    if not shown:
        raise InvalidRequest(
            f"None of the {len(pieces)} pieces has visible pixels."
            if len(pieces) > 1
            else f"The piece {pieces[0].name!r} has no visible pixels.",
            value=len(pieces),
            remedy="Paint or paste something on the layers of the group, and make them visible.",
        )
    left_out = tuple(
        piece.name or f"number {index}"
        for index, piece in enumerate(pieces, 1)
        if not any(piece is other for other in shown)
    )
    return RoughPieces(shown, _around(pieces), left_out)


def _around(pieces: Sequence[Picture]) -> Picture:
    """The rectangle around all pieces."""
    left, top = (min(getattr(piece, axis) for piece in pieces) for axis in ("x", "y"))
    right = max(piece.x + piece.array.shape[1] for piece in pieces)
    bottom = max(piece.y + piece.array.shape[0] for piece in pieces)
    width, height = right - left, bottom - top
    check_size(width, height)
    widest = max((piece.array.dtype for piece in pieces), key=lambda dtype: dtype.itemsize)
    return blank_canvas(height, width, left, top, DTYPES[dtype_name(np.empty(0, widest))])


def check_size(width: int, height: int) -> None:
    """Refuse a rectangle that no memory is made for.

    Raises:
        InvalidRequest: It has more than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise InvalidRequest(
            f"The result would have {width} x {height} pixels, around everything that was given.",
            value=[width, height],
            remedy="Move or crop what reaches far beyond the picture.",
            code="TOO_LARGE",
        )


# --- what the model sees --------------------------------------------------------------------------


def small_piece(crop: Crop, piece: Picture) -> Piece:
    """A piece as the model sees it, alone on its square.

    Args:
        crop: The square.
        piece: At its place on the canvas; what lies outside the square is not seen.

    Returns:
        Its colours are the mean of what is visible in each of the model's pixels (mid-grey where
        nothing is). Areas are averaged, or interpolated where the model is larger.

    Raises:
        InvalidRequest: An f32 piece holds nan or infinity.
    """
    top, left = piece.y - crop.picture.y - crop.top, piece.x - crop.picture.x - crop.left
    height, width = piece.array.shape[:2]
    rows, columns = _seen(top, height, crop.side), _seen(left, width, crop.side)
    size = crop.resolution
    if not rows or not columns:
        return Piece(torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size))
    across = slice(columns[0], columns[-1] + 1)
    tall = np.zeros((size, len(columns) * 4), np.float32)
    for band in (rows[first : first + BAND] for first in range(0, len(rows), BAND)):
        part = Picture(piece.array[band[0] : band[-1] + 1, across], name=piece.name)
        tall += _reduced(_weighted(part).reshape(len(band), -1), top + band[0], crop)
    turned = tall.reshape(size, -1, 4).transpose(1, 0, 2)
    flat = np.ascontiguousarray(turned).reshape(len(turned), -1)
    small = torch.from_numpy(_reduced(flat, left + columns[0], crop).reshape(size, size, 4))
    planes = small.permute(2, 1, 0)[None]
    alpha = planes[:, 3:].clamp(0, 1)
    straight = (planes[:, :3] / planes[:, 3:].clamp_min(1e-6) * 2 - 1).clamp(-1, 1)
    return Piece(torch.where(alpha > 0, straight, 0.0).contiguous(), alpha.contiguous())


def _seen(start: int, count: int, side: int) -> range:
    """Of ``count`` pixels from ``start`` on, those inside [0, side)."""
    return range(max(0, -start), min(count, side - start))


def _weighted(piece: Picture) -> np.ndarray:
    """(H, W, 4) float32 in [0, 1]: colours times alpha, and alpha."""
    planes = np.empty(piece.array.shape, np.float32)
    alpha = alpha_tensor(piece)[0, 0].numpy()[..., None]
    planes[..., :3] = np.clip(unit_colours(piece), 0, 1) * alpha
    planes[..., 3:] = alpha
    return planes


def _reduced(rows: np.ndarray, first: int, crop: Crop) -> np.ndarray:
    """(R, n): rows of the square's size brought to the model's.

    Args:
        rows: (h, n), those that are not zero.
        first: Where they begin in the square.
        crop: The square.
    """
    count, side, resolution = len(rows), crop.side, crop.resolution
    if side <= resolution:  # cubic, or as they are
        matrix = interpolation_matrix(0, resolution, resolution, side)
        return matrix[:, first : first + count].numpy() @ rows
    scale = resolution / side
    low = (first + np.arange(count)) * scale
    cell = np.floor(low).astype(np.int64)
    beyond = np.clip(low + scale - (cell + 1), 0, scale)
    weights = np.concatenate((scale - beyond, beyond)).astype(np.float32)
    cells = np.concatenate((cell, np.minimum(cell + 1, resolution - 1)))
    source = np.tile(np.arange(count), 2)
    matrix = sparse.csr_array((weights, (cells, source)), shape=(resolution, count))
    return np.asarray(matrix @ rows, np.float32)


# --- at their own size ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PastedPieces:
    """Pieces pasted over each other at their own size, on the canvas of `RoughPieces`."""

    colours: np.ndarray
    """(H, W, 3) float32; values of f32 pieces may lie beyond [0, 1]; 0 in holes."""
    alpha: np.ndarray
    """(H, W) float32 in [0, 1]: how much is known."""
    owner: np.ndarray
    """(H, W) int32: number of the piece that is seen, -1 in holes."""


def pasted(rough: RoughPieces) -> PastedPieces:
    """Paste pieces back to front.

    Source: Chai et al. 2021, arXiv:2103.10426, eq. 4; soft alpha mixes.

    Raises:
        InvalidRequest: An f32 piece holds nan or infinity.
    """
    height, width = rough.canvas.array.shape[:2]
    colours = np.zeros((height, width, 3), np.float32)  # times alpha until the end
    alpha = np.zeros((height, width), np.float32)
    owner = np.full((height, width), -1, np.int32)
    for number, piece in enumerate(rough.pieces):
        top, left = piece.y - rough.canvas.y, piece.x - rough.canvas.x
        window = np.s_[top : top + piece.array.shape[0], left : left + piece.array.shape[1]]
        above, own = alpha_tensor(piece)[0, 0].numpy(), unit_colours(piece)
        if above.min() >= 1:
            colours[window], alpha[window], owner[window] = own, 1.0, number
            continue
        weight = above[..., None]
        colours[window] += weight * (own - colours[window])
        alpha[window] += above * (1 - alpha[window])
        owner[window][above >= VISIBLE] = number
    known = alpha > 0
    partly = known & (alpha < 1)
    colours[partly] /= alpha[partly][:, None]
    return PastedPieces(colours, alpha, owner)


def unit_colours(piece: Picture) -> np.ndarray:
    """(H, W, 3) float32: white is 1; values of f32 pieces beyond [0, 1] stay beyond.

    Raises:
        InvalidRequest: An f32 piece holds nan or infinity.
    """
    dtype = dtype_name(piece.array)
    if dtype == "f32":
        picture_tensor(piece)  # refuses what is no number
    return piece.array[..., :3].astype(np.float32) / np.float32(FULL[dtype])
