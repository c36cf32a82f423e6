"""Two pictures mixed in three ways: by composition, in the latent space, in pixels.

Source: Chai et al. 2021, arXiv:2103.10426, eq. 6, 7 and 8. The public code has none of them.
Deviation: where the regressor's latents all have one length, mixtures are given it, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import (
    Latent,
    at_length,
    check_area,
    decode,
    encode,
    label_rows,
    lengths,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor


def context_share(area: Tensor) -> float:
    """Alpha of the blends in the paper's comparison: the share of the picture outside the area.

    Args:
        area: (1, 1, R, R) in [0, 1], 1 where the target is put into the context.
    """
    return 1.0 - float(area.float().mean())


@torch.inference_mode()
def composed(
    generator: Generator,
    context: Tensor,
    target: Tensor,
    area: Tensor,
    *,
    known: Tensor | None = None,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
) -> Tensor:
    """G(E(m1 x1 + m2 x2)): the area from the target, the rest from the context (eq. 6).

    Args:
        generator: With a regressor.
        context: (1, 3, R, R) in [-1, 1].
        target: (1, 3, R, R) in [-1, 1].
        area: (1, 1, R, R) in [0, 1], 1 = target.
        known: (1, 1, R, R) in [0, 1]; 0 in a seam around the area leaves it to the model; None:
            everything is known.
        y: The result's class; None: as read.
        regressor: An adapted one; None: the generator's own.
    """
    check_area(area, context)
    pasted = context + area * (target - context)
    return decode(generator, encode(generator, pasted, known, y, regressor=regressor))


@torch.inference_mode()
def latent_blend(
    generator: Generator,
    context: Tensor,
    target: Tensor,
    alphas: Tensor | Sequence[float] | float,
    *,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
) -> Tensor:
    """G(alpha E(x1) + (1 - alpha) E(x2)) (eq. 7).

    With classes, both pictures' classes are mixed in the same way unless one is given.

    Args:
        generator: With a regressor.
        context: (1, 3, R, R), the picture at alpha 1.
        target: (1, 3, R, R), the picture at alpha 0.
        alphas: One or (n,) in [0, 1].
        y: (1,) or (1, K): one class for all; None: mixed.
        regressor: An adapted one; None: the generator's own.

    Returns:
        (n, 3, R, R).
    """
    steps = _steps(alphas, context)
    both = encode(generator, torch.cat((context, target)), None, _twice(y), regressor=regressor)
    first, second = both.rows(slice(0, 1)), both.rows(slice(1, 2))
    return decode(generator, blended(first, second, steps, num_classes=generator.num_classes))


def blended(first: Latent, second: Latent, alphas: Tensor, *, num_classes: int = 0) -> Latent:
    """alpha first + (1 - alpha) second, of one space; labels alike.

    Args:
        first: B = 1.
        second: B = 1.
        alphas: (n,) in [0, 1].
        num_classes: Of the generator.

    Returns:
        B = n; labels are rows where the two differ.
    """
    a, b = first.values, second.values
    steps = alphas.to(a).view(-1, *(1,) * (a.ndim - 1))
    values = steps * a + (1 - steps) * b
    if first.one_length:
        shares = alphas.to(a).reshape(-1)
        values = at_length(values, shares * lengths(a) + (1 - shares) * lengths(b))
    y = first.y
    if y is not None and second.y is not None:
        rows, others = label_rows(y, num_classes), label_rows(second.y, num_classes)
        if bool((rows != others).any()):
            shares = alphas.to(rows).view(-1, 1)
            y = shares * rows + (1 - shares) * others
    return first.replaced(values, y)


@torch.inference_mode()
def pixel_blend(
    generator: Generator,
    context: Tensor,
    target: Tensor,
    alphas: Tensor | Sequence[float] | float,
    *,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
) -> Tensor:
    """G(E(alpha x1 + (1 - alpha) x2)) (eq. 8); arguments as `latent_blend`.

    With classes, the class is what is read from each mixture unless one is given.
    """
    steps = _steps(alphas, context).view(-1, 1, 1, 1)
    mixed = steps * context + (1 - steps) * target
    label = None if y is None else y.expand(len(steps), *y.shape[1:])
    return decode(generator, encode(generator, mixed, None, label, regressor=regressor))


def _steps(alphas: Tensor | Sequence[float] | float, like: Tensor) -> Tensor:
    steps = torch.as_tensor(alphas, dtype=like.dtype, device=like.device).reshape(-1)
    if not bool(((steps >= 0) & (steps <= 1)).all()):
        raise ValueError(f"alpha lies in [0, 1], got {steps.tolist()}.")
    return steps


def _twice(y: Tensor | None) -> Tensor | None:
    return None if y is None else y.expand(2, *y.shape[1:])
