"""An edit shown on one picture, carried over to others.

Source: Chai et al. 2021, arXiv:2103.10426, appendix A.2.1 (z1_modified - z1 + z2). The public code
does not have it. Deviation: where the regressor's latents all have one length, edited ones keep it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import (
    Latent,
    at_length,
    decode,
    encode,
    label_rows,
    lengths,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor


def shifted(
    latent: Latent,
    before: Latent,
    after: Latent,
    strengths: Tensor | Sequence[float] | float = 1.0,
    *,
    num_classes: int = 0,
) -> Latent:
    """latent + s (after - before), by picture and strength.

    Args:
        latent: B pictures to edit.
        before: B = 1.
        after: B = 1.
        strengths: One number or (n,) of them; 0 is no change, 1 the whole one, below 0 the
            opposite.
        num_classes: Above 0 the label is shifted in the same way (as rows, kept at 0 or above and
            summing to 1); 0: the label stays.

    Returns:
        B x n latents, the strengths of the first picture first.
    """
    steps = torch.as_tensor(strengths, dtype=torch.float32, device=latent.values.device).reshape(-1)
    count, size = len(steps), latent.batch
    values = latent.values.repeat_interleave(count, 0)
    by_row = steps.repeat(size).view(-1, *(1,) * (values.ndim - 1))
    moved = values + by_row * (after.values - before.values)
    values = at_length(moved, lengths(values)) if latent.one_length else moved
    if latent.y is None:
        return latent.replaced(values)
    y = latent.y if len(latent.y) == size else latent.y.expand(size, *latent.y.shape[1:])
    y = y.repeat_interleave(count, 0)
    if num_classes and before.y is not None and after.y is not None:
        change = label_rows(after.y, num_classes) - label_rows(before.y, num_classes)
        if bool(change.any()):
            rows = label_rows(y, num_classes) + steps.repeat(size)[:, None] * change
            rows = rows.clamp_min(0)
            y = rows / rows.sum(1, keepdim=True).clamp_min(1e-6)
    return latent.replaced(values, y)


@torch.inference_mode()
def transfer(
    generator: Generator,
    pictures: Tensor,
    before: Tensor,
    after: Tensor,
    strengths: Tensor | Sequence[float] | float = 1.0,
    *,
    known: Tensor | None = None,
    y: Tensor | None = None,
    with_class: bool = False,
    regressor: MaskedRegressor | None = None,
) -> Tensor:
    """The edit from ``before`` to ``after`` on other pictures: one pass each way.

    Args:
        generator: With a regressor.
        pictures: (B, 3, R, R) in [-1, 1].
        before: (1, 3, R, R): the example without the edit.
        after: (1, 3, R, R): the example with it; roughly pasted is enough.
        strengths: As `shifted`.
        known: (B or 1, 1, R, R) of the pictures; None: everything.
        y: (B,) or (B, K): the pictures' classes; None: as read.
        with_class: Shift the class, too, where the examples' readings differ.
        regressor: An adapted one; None: the generator's own.

    Returns:
        (B x n, 3, R, R): the model's pictures; at strength 0 these are plain reconstructions, whose
        difference to the others is the edit.
    """
    latent = encode(generator, pictures, known, y, regressor=regressor)
    examples = encode(generator, torch.cat((before, after)), regressor=regressor)
    moved = shifted(
        latent,
        examples.rows(slice(0, 1)),
        examples.rows(slice(1, 2)),
        strengths,
        num_classes=generator.num_classes if with_class else 0,
    )
    return decode(generator, moved)
