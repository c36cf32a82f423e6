"""Where a moved copy of a part of a picture came from: found by its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.pixels import Area, Picture, alpha_tensor, picture_tensor
from intarsia_daemon.real_pictures import visible_part

TOLERANCE = 3 / 255
"""By how much a value may differ from the original's, of 1: editors convert colours."""
SAME_SHARE = 0.98
"""Share of the piece's pixels that must be the original's."""
CANDIDATES = 64


@dataclass(frozen=True)
class MovedPiece:
    """A copied part of a picture, and both its places."""

    piece: Picture
    """Its visible part, where it lies now."""
    from_x: int
    """Left edge of the same pixels in the original, in canvas coordinates."""
    from_y: int

    @property
    def area(self) -> Area:
        """What it covers where it lies now."""
        return Area(self.piece.array[..., 3], self.piece.x, self.piece.y, self.piece.name)

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle now, in canvas coordinates."""
        height, width = self.piece.array.shape[:2]
        return self.piece.x + width / 2, self.piece.y + height / 2

    @property
    def middle_before(self) -> tuple[float, float]:
        """Its middle in the original, in canvas coordinates."""
        height, width = self.piece.array.shape[:2]
        return self.from_x + width / 2, self.from_y + height / 2

    @property
    def original_area(self) -> Area:
        """What it covers in the original."""
        return Area(self.piece.array[..., 3], self.from_x, self.from_y, self.piece.name)


def find_piece(piece: Picture, original: Picture) -> MovedPiece:
    """Find where a piece was copied from.

    Args:
        piece: A part of the original with transparency around it, moved, otherwise unchanged.
        original: Where it came from.

    Returns:
        The piece with its place in the original; of several places with the same pixels, the one
        nearest to where it lies.

    Raises:
        InvalidRequest: The piece is empty, larger than the original, or not a part of it.
    """
    piece = visible_part(piece)
    height, width = piece.array.shape[:2]
    if height > original.array.shape[0] or width > original.array.shape[1]:
        raise _foreign(piece, original, "is larger than it")
    template, image = _unit(piece), _unit(original)
    alpha = alpha_tensor(piece)[0, 0].numpy()
    solid = alpha >= alpha.max()
    here = (piece.y - original.y, piece.x - original.x)
    for row, column in _candidates(image, template, solid, here):
        if _same(image, template, solid, (row, column)):
            return MovedPiece(piece, original.x + column, original.y + row)
    raise _foreign(piece, original, "is no unchanged part of it")


def _candidates(
    image: np.ndarray, template: np.ndarray, solid: np.ndarray, here: tuple[int, int]
) -> list[tuple[int, int]]:
    """The places, (row, column), that differ least, the nearest to ``here`` first."""
    weight = np.repeat(solid[..., None].astype(np.float32), 3, axis=2)
    scores = cv2.matchTemplate(image, template, cv2.TM_SQDIFF, mask=weight)
    scores = np.nan_to_num(scores, nan=np.inf)
    slack = solid.sum() * 3 * TOLERANCE**2  # also covers the rounding of the fast transform
    rows, columns = np.nonzero(scores <= scores.min() + slack)
    order = np.argsort(np.hypot(rows - here[0], columns - here[1]), kind="stable")[:CANDIDATES]
    return [(int(rows[index]), int(columns[index])) for index in order]


def _same(
    image: np.ndarray, template: np.ndarray, solid: np.ndarray, place: tuple[int, int]
) -> bool:
    row, column = place
    height, width = solid.shape
    there = image[row : row + height, column : column + width][solid]
    apart = np.abs(there - template[solid]).max(axis=1)
    return float((apart <= TOLERANCE).mean()) >= SAME_SHARE


def _unit(picture: Picture) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    return ((picture_tensor(picture)[0] + 1) / 2).permute(1, 2, 0).contiguous().numpy()


def _foreign(piece: Picture, original: Picture, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The piece {piece.name!r} {reason}: {original.name!r}.",
        value=piece.name,
        remedy="Select a part of the reference, copy it to a layer of its own and move it; do not "
        "scale, turn or paint on it. Or leave the piece out and use an area.",
    )
