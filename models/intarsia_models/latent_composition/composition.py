"""From pieces to a coherent picture in one pass.

Source: Chai et al. 2021, arXiv:2103.10426, eq. 4. Beyond it: generators with classes. There the
regressor reads the class of the whole collage, or of every piece, whose class then rules where the
piece is seen (Suzuki et al. 2018, arXiv:1811.10153, eq. 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.collages import Collage, Piece, paste
from intarsia_models.latent_composition.latents import (
    Latent,
    decode,
    encode,
    likeliest,
    read,
    regressor_of,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor

Classes = Literal["one", "by_piece"]


@dataclass(frozen=True, eq=False)
class Composite:
    """A collage and the picture that a generator makes of it."""

    picture: Tensor
    """(1, 3, R, R)."""
    latent: Latent
    collage: Collage
    piece_classes: tuple[int, ...] | None = None
    """By piece, where each has its own."""
    class_weights: ClassMaps | None = None
    """Which class rules where; None: one rules everywhere."""


@torch.inference_mode()
def compose(
    generator: Generator,
    pieces: Sequence[Piece],
    *,
    y: Tensor | None = None,
    classes: Classes = "one",
    piece_classes: Sequence[int] | None = None,
    regressor: MaskedRegressor | None = None,
) -> Composite:
    """One pass of the regressor, one of the generator.

    Args:
        generator: With a regressor.
        pieces: Back to front, on the generator's square.
        y: (1,) class id or (1, K) row of the whole; None: as read from the collage.
        classes: "one" for the whole picture, or "by_piece": each piece's own class rules where it
            is seen, and the whole's elsewhere.
        piece_classes: Class ids by piece, for "by_piece"; None: read from each piece alone (in the
            same pass as the collage).
        regressor: An adapted one; None: the generator's own.

    Raises:
        ModelsError: There is no regressor.
        ValueError: The pieces do not fit, or the generator cannot mix classes by position.
    """
    device = next(generator.parameters()).device
    moved = [Piece(p.colours.to(device).float(), p.alpha.to(device).float()) for p in pieces]
    collage = paste(moved)
    if classes == "one":
        x = collage.image.contiguous(memory_format=torch.channels_last)
        latent = encode(generator, x, collage.known, _on(device, y), regressor=regressor)
        return Composite(decode(generator, latent), latent, collage)
    if classes != "by_piece":
        raise ValueError(f'classes must be "one" or "by_piece", got {classes!r}.')
    latent, chosen = _read_all(generator, collage, moved, _on(device, y), piece_classes, regressor)
    maps = class_maps(collage, chosen, latent.y)
    picture = decode(generator, latent, class_weights=maps)
    return Composite(picture, latent, collage, chosen, maps)


def class_maps(collage: Collage, piece_classes: Sequence[int], y: Tensor | None) -> ClassMaps:
    """Every piece's class where it is seen, the whole's elsewhere.

    Args:
        collage: With as many pieces as classes are given.
        piece_classes: Class ids, back to front.
        y: (1,) id of the whole, or (1, K) row, whose likeliest class is taken.

    Raises:
        ValueError: The counts differ, or there is no class for the whole.
    """
    if len(piece_classes) != len(collage.shares):
        raise ValueError(
            f"{len(piece_classes)} classes were given for {len(collage.shares)} pieces."
        )
    if y is None:
        raise ValueError("The whole picture needs a class, too.")
    base = int(y.argmax(1)[0]) if y.is_floating_point() else int(y[0])
    areas: dict[int, Tensor] = {}
    for kind, share in zip(piece_classes, collage.shares.split(1), strict=True):
        areas[kind] = (areas[kind] + share if kind in areas else share).clamp(0, 1)
    return ClassMaps.from_areas(areas, base)


def _read_all(
    generator: Generator,
    collage: Collage,
    pieces: Sequence[Piece],
    y: Tensor | None,
    piece_classes: Sequence[int] | None,
    regressor: MaskedRegressor | None,
) -> tuple[Latent, tuple[int, ...]]:
    """The collage's latent, and the pieces' classes."""
    if "spatial_classes" not in generator.capabilities:
        raise ValueError(
            f"This {generator.family} cannot mix classes by position: take one class for all."
        )
    if piece_classes is not None:
        latent = encode(generator, collage.image, collage.known, y, regressor=regressor)
        return latent, tuple(piece_classes)
    x = torch.cat([collage.image, *(piece.colours for piece in pieces)])
    known = torch.cat([collage.known, *(piece.alpha for piece in pieces)])
    x = x.contiguous(memory_format=torch.channels_last)
    reading = read(generator, x, known, regressor=regressor)
    adapted = regressor is not None and generator.regressor is not None
    found = likeliest(read(generator, x, known) if adapted else reading)
    if found is None:
        raise ValueError("This regressor reads no classes: say which class each piece has.")
    values, label = reading.latent[:1].float(), found[:1] if y is None else y
    one_length = regressor_of(generator, regressor).settings.typical_length
    latent = Latent(values, None, label, one_length)
    return latent, tuple(int(kind) for kind in found[1:])


def _on(device: torch.device, y: Tensor | None) -> Tensor | None:
    return None if y is None else y.to(device)
