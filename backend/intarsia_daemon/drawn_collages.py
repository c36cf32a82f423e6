"""Random collages of pictures of any size: which parts are taken, and those parts as layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.generated_layers import blank_canvas
from intarsia_daemon.pixels import (
    DTYPES,
    FULL,
    Area,
    Picture,
    dtype_name,
    layer_from_tensors,
    on_canvas,
)
from intarsia_daemon.real_pictures import Crop, visible_part, whole_crop
from intarsia_daemon.rough_pieces import small_piece
from intarsia_models.latent_composition.random_collages import Parts, random_parts

LEAST_PICTURES = 2


@dataclass(frozen=True, eq=False)
class Sources:
    """Whole pictures that parts are taken from, as a model sees them."""

    pictures: tuple[Picture, ...]
    """Their visible parts."""
    images: Tensor
    """(N, 3, R, R) in [-1, 1]; mid-grey where nothing is known."""
    known: Tensor
    """(N, 1, R, R) in [0, 1]."""
    areas: dict[str, Tensor]
    """By name, back to front: (N, 1, R, R) in [0, 1], where each picture shows that part."""

    @property
    def square(self) -> Crop:
        """Where collages lie: over the first picture."""
        return whole_crop(self.pictures[0], self.images.shape[-1])


def sources_of(pictures: Sequence[Picture], areas: Sequence[Area], resolution: int) -> Sources:
    """Bring pictures to the model's size.

    Args:
        pictures: Two or more.
        areas: Named parts, on the canvas; areas of one name belong together.
        resolution: The model's.

    Raises:
        InvalidRequest: There are fewer than two pictures, or a part lies on none of them.
    """
    if len(pictures) < LEAST_PICTURES:
        raise InvalidRequest(
            f"A collage is made of parts of two pictures or more, {len(pictures)} is given.",
            value=len(pictures),
            remedy="Put whole pictures on the layers of a group, or name files or a folder.",
        )
    seen = [visible_part(picture) for picture in pictures]
    crops = [whole_crop(picture, resolution) for picture in seen]
    small = [small_piece(crop, picture) for crop, picture in zip(crops, seen, strict=True)]
    found: dict[str, Tensor] = {}
    for area in areas:
        name = area.name or "part"
        maps = torch.cat([_on_square(crop, area) for crop in crops])
        found[name] = torch.maximum(found[name], maps) if name in found else maps
    for name, maps in found.items():
        if not bool(maps.any()):
            raise InvalidRequest(
                f"The part {name!r} lies on none of the pictures.",
                value=name,
                remedy="Paint parts over the pictures that show them, or leave it out.",
            )
    return Sources(
        tuple(seen),
        torch.cat([piece.colours for piece in small]),
        torch.cat([piece.alpha for piece in small]),
        found,
    )


def drawn_pieces(
    sources: Sources, number: int, parts: Parts, count: int, *, side: int
) -> list[Picture]:
    """The pieces of one collage as pictures on one square, back to front.

    Args:
        sources: What parts are taken from.
        number: Of the collage: its seed.
        parts: How parts are chosen.
        count: Of rectangles.
        side: Of the square in pixels; it begins where `Sources.square` does.

    Raises:
        InvalidRequest: No picture has a part of that kind.
    """
    try:
        drawn = random_parts(
            sources.images, number, parts=parts, areas=sources.areas or None, count=count
        )
    except ValueError as error:
        raise InvalidRequest(
            f"No collage could be made: {error}",
            value=parts,
            remedy="Take rectangles, or name the parts with areas.",
        ) from None
    pieces = [
        _piece(sources, index, area * sources.known[index][None], side) for index, area in drawn
    ]
    shown = [piece for piece in pieces if piece.array[..., 3].any()]
    if not shown:
        raise InvalidRequest(
            "The collage is empty: its parts lie beside the pictures.",
            value=number,
            remedy="Take another seed, or pictures of like shape.",
        )
    return shown


def _piece(sources: Sources, index: int, area: Tensor, side: int) -> Picture:
    """One part at the square's size, with the first picture's sample type."""
    picture, first = sources.pictures[index], sources.square
    x, y = first.picture.x + first.left, first.picture.y + first.top
    dtype = DTYPES[dtype_name(first.picture.array)]
    square = Crop(blank_canvas(side, side, x, y, dtype), 0, 0, side, area.shape[-1])
    piece = small_piece(whole_crop(picture, side), picture)
    alpha = square.enlarged(area, square.window).clamp(0, 1) * piece.alpha
    layer = layer_from_tensors(picture.name, piece.colours, alpha, like=square.picture)
    return Picture(layer.array, x, y, picture.name)


def _on_square(crop: Crop, area: Area) -> Tensor:
    """(1, 1, R, R): an area as far as it lies on a picture."""
    placed = on_canvas(area, crop.picture)
    white = np.full((*placed.array.shape, 4), FULL[dtype_name(placed.array)], placed.array.dtype)
    white[..., 3] = placed.array
    return small_piece(crop, Picture(white, crop.picture.x, crop.picture.y)).alpha
