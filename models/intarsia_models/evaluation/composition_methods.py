"""What can be done with a rough collage: ours, its variants without a part, and what else there is.

Source: Chai et al. 2021, arXiv:2103.10426, tables 3 and 4 and eq. 6-8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from intarsia_models.blending import poisson_blend
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.collages import Collage, Piece, filled, paste
from intarsia_models.latent_composition.composition import compose
from intarsia_models.latent_composition.latents import (
    Latent,
    at_length,
    decode,
    encode,
    label_rows,
    lengths,
)
from intarsia_models.latent_composition.refinement import Method, best_random, refine

LEAST_SHARE = 0.1
"""Layers that cover less of the picture are left out of Poisson blending, as in the public code."""


@dataclass(frozen=True, eq=False)
class Case:
    """A random collage."""

    pieces: Sequence[Piece]
    collage: Collage


Make = Callable[[Generator, Case], Tensor]


def case_of(pieces: Sequence[Piece]) -> Case:
    """The pieces and what they look like together."""
    return Case(pieces, paste(pieces))


def quick_methods() -> dict[str, Make]:
    """Everything that takes one pass or none, by its name in the tables."""
    return {
        "collage as it is": lambda generator, case: case.collage.image * case.collage.known,
        "collage, holes filled": lambda generator, case: filled(case.collage),
        "Poisson blending": _poisson,
        "RGB: holes not told": _rgb,
        "RGB, holes filled": _rgb_filled,
        "pixel alpha-blend": _pixel_blend,
        "latent alpha-blend": _latent_blend,
        "RGBM, one class": lambda generator, case: compose(generator, case.pieces).picture,
        "RGBM, each piece's class": _by_piece,
    }


def slow_methods(steps: int, starts: int) -> dict[str, Make]:
    """Optimisation of the latent, by its name in the tables.

    Args:
        steps: Updates of L-BFGS.
        starts: Random latents that are looked at where there is no regressor.
    """
    return {
        f"{starts} random latents, L-BFGS": partial(_from_random, steps=steps, starts=starts),
        "RGBM, then L-BFGS": partial(_refined, steps=steps, method="lbfgs"),
        "RGBM, then Adam": partial(_refined, steps=steps, method="adam"),
    }


def _poisson(generator: Generator, case: Case) -> Tensor:
    """Every piece into the filled picture of the first, one after the other."""
    result = filled(paste(case.pieces[:1]))
    for piece in case.pieces[1:]:
        if float(piece.alpha.mean()) >= LEAST_SHARE:
            source = piece.colours.contiguous()
            result = poisson_blend(source, result, piece.alpha, clamp=True)
    return result


def _rgb(generator: Generator, case: Case) -> Tensor:
    x = case.collage.image * case.collage.known
    return decode(generator, encode(generator, x))


def _rgb_filled(generator: Generator, case: Case) -> Tensor:
    return decode(generator, encode(generator, filled(case.collage)))


def _by_piece(generator: Generator, case: Case) -> Tensor:
    return compose(generator, case.pieces, classes="by_piece").picture


def _shares(case: Case) -> Tensor:
    """(n, 1, 1, 1) summing to 1: how much of the picture each piece has."""
    shares = case.collage.shares.mean((1, 2, 3), keepdim=True)
    return shares / shares.sum()


def _pixel_blend(generator: Generator, case: Case) -> Tensor:
    """Eq. 8 for several pictures."""
    whole = torch.cat([piece.colours for piece in case.pieces])
    mixed = (_shares(case) * whole).sum(0, keepdim=True)
    return decode(generator, encode(generator, mixed))


def _latent_blend(generator: Generator, case: Case) -> Tensor:
    """Eq. 7 for several pictures."""
    whole = torch.cat([piece.colours for piece in case.pieces])
    latent = encode(generator, whole)
    shares = _shares(case)
    by_row = shares.view(-1, *(1,) * (latent.values.ndim - 1))
    values = (by_row * latent.values).sum(0, keepdim=True)
    if latent.one_length:
        wanted = (shares.flatten() * lengths(latent.values)).sum(0, keepdim=True)
        values = at_length(values, wanted)
    y = None
    if latent.y is not None:
        rows = label_rows(latent.y, generator.num_classes)
        y = (shares.view(-1, 1) * rows).sum(0, keepdim=True)
    mixed = Latent(values, None, y) if latent.z is not None else Latent(None, values, y)
    return decode(generator, mixed)


def _refined(generator: Generator, case: Case, *, steps: int, method: Method) -> Tensor:
    image, known = case.collage.image, case.collage.known
    start = encode(generator, image, known)
    return refine(generator, image, known, start, method=method, steps=steps).picture


def _from_random(generator: Generator, case: Case, *, steps: int, starts: int) -> Tensor:
    """The class is the one that the regressor reads: optimisation alone has no way to find it."""
    image, known = case.collage.image, case.collage.known
    y = encode(generator, image, known).y
    start = best_random(generator, image, known, y, count=starts)
    return refine(generator, image, known, start, method="lbfgs", steps=steps).picture
