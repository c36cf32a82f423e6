"""Which class every rough piece has: as its layer is named, or as the model reads it.

Beyond Chai et al. 2021 (arXiv:2103.10426), whose generators have no classes; how classes rule by
position is eq. 2 of Suzuki et al. 2018 (arXiv:1811.10153).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_daemon.generator_models import LoadedModel, class_tensor, find_class, named_class
from intarsia_daemon.latent_store import pixels_hash
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import Crop, visible_part
from intarsia_daemon.rough_pieces import RoughPieces, small_piece
from intarsia_models.latent_composition.collages import Piece, paste
from intarsia_models.latent_composition.composition import Composite, compose
from intarsia_models.latent_composition.latents import likeliest, read, regressor_of
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection import guess_class

SURROUNDINGS = 1.5
"""Side of the square in which a piece is read, in sides of the piece. On parts of the shipped
model's held-out pictures more were read rightly than in squares of the piece's own size, and far
more than at the piece's place in the collage."""
REMEMBERED = 256
"""Pieces whose class is remembered."""
_known: dict[str, int] = {}


@dataclass(frozen=True, eq=False)
class Composed:
    """What a model makes of rough pieces in one pass."""

    composite: Composite
    notes: tuple[str, ...]
    """Which classes were read, for the artist."""


@torch.inference_mode()
def composed(
    model: LoadedModel,
    rough: RoughPieces,
    crop: Crop,
    *,
    class_name: str = "",
    by_piece: bool = True,
    regressor: MaskedRegressor | None = None,
) -> Composed:
    """One pass over a collage.

    Args:
        model: With a regressor.
        rough: The pieces.
        crop: The square that the model sees of their canvas.
        class_name: What the picture shows, outside the pieces where each has its own class; empty:
            read.
        by_piece: Whether every piece has its own class, where the model can mix classes.
        regressor: An adapted one; None: the model's own.

    Raises:
        InvalidRequest: The model has no such class, or a piece holds nan.
    """
    generator = model.generator
    pieces = [small_piece(crop, piece) for piece in rough.pieces]
    label = class_tensor(model, find_class(model, class_name)) if class_name else None
    if not generator.num_classes:
        return Composed(compose(generator, pieces, regressor=regressor), ())
    by_piece = by_piece and "spatial_classes" in generator.capabilities
    reads = regressor_of(generator, regressor).settings.num_classes > 0
    if label is None and not reads:
        label = class_tensor(model, _guessed(model, pieces))
    elif label is None and regressor is not None:
        label = class_tensor(model, _classes(model, [_whole(pieces)])[0])
    if not by_piece:
        done = compose(generator, pieces, y=label, regressor=regressor)
        return Composed(done, () if class_name else (_whole_note(model, done),))
    named = [named_class(generator, piece.name) for piece in rough.pieces]
    unnamed = [piece for piece, own in zip(rough.pieces, named, strict=True) if own is None]
    found = iter(_read(model, unnamed) if reads else [_id(label)] * len(unnamed))
    classes = [next(found) if own is None else own for own in named]
    done = compose(
        generator,
        pieces,
        y=label,
        classes="by_piece",
        piece_classes=classes,
        regressor=regressor,
    )
    return Composed(done, _piece_notes(model, rough.pieces, named, classes))


def _read(model: LoadedModel, pieces: Sequence[Picture]) -> list[int]:
    """The class of each piece alone; pieces that only moved are not read again."""
    alone = [_alone(piece, model.generator.resolution) for piece in pieces]
    keys = [f"{model.hash} {model.device} {_hash(piece)}" for piece in alone]
    fresh = {key: piece for key, piece in zip(keys, alone, strict=True) if key not in _known}
    if fresh:
        _known.update(zip(fresh, _classes(model, list(fresh.values())), strict=True))
    classes = [_known[key] for key in keys]
    while len(_known) > REMEMBERED:
        _known.pop(next(iter(_known)))
    return classes


def _classes(model: LoadedModel, pieces: Sequence[Piece]) -> list[int]:
    """Read by the model's own regressor: an adapted one may have forgotten classes."""
    x, known = (
        torch.cat([getattr(piece, name) for piece in pieces]).to(model.device)
        for name in ("colours", "alpha")
    )
    found = likeliest(read(model.generator, x, known))
    assert found is not None
    return found.tolist()


def _alone(piece: Picture, resolution: int) -> Piece:
    """In the middle of a square of its own."""
    part = visible_part(piece)
    height, width = part.array.shape[:2]
    side = max(round(max(height, width) * SURROUNDINGS), 1)
    return small_piece(
        Crop(part, (width - side) // 2, (height - side) // 2, side, resolution), part
    )


def _hash(piece: Piece) -> str:
    return pixels_hash(piece.colours) + pixels_hash(piece.alpha * 2 - 1)


def _whole(pieces: Sequence[Piece]) -> Piece:
    collage = paste(pieces)
    return Piece(collage.image, collage.known)


def _guessed(model: LoadedModel, pieces: Sequence[Piece]) -> int:
    """The class of the whole by the generator alone, where its regressor reads none."""
    image = paste(pieces).image.to(model.device)
    return guess_class(model.generator, image)[0][0]


def _id(label: Tensor | None) -> int:
    assert label is not None
    return int(label[0])


def _whole_note(model: LoadedModel, done: Composite) -> str:
    assert done.latent.y is not None
    shown = model.generator.label_of(_id(done.latent.y))
    return f"The collage was taken for {shown!r}; choose what it shows if that is wrong."


def _piece_notes(
    model: LoadedModel,
    pieces: Sequence[Picture],
    named: Sequence[int | None],
    classes: Sequence[int],
) -> tuple[str, ...]:
    taken = [
        f"{piece.name or f'piece {number}'} for {model.generator.label_of(index)!r}"
        for number, (piece, own, index) in enumerate(zip(pieces, named, classes, strict=True), 1)
        if own is None
    ]
    if not taken:
        return ()
    return (f"Taken: {', '.join(taken)}. A layer that is named like a class has that class.",)
