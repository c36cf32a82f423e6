"""Where a projection begins: at the encoder's guess, at random latents, or where another ended."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator

CANDIDATES = 8
"""Random latents that are looked at for each one that is followed."""
BATCH = 8
"""Candidates that are made at once."""


@torch.no_grad()
def encoded(generator: Generator, picture: Tensor, y: Tensor | None) -> Tensor:
    """(B, z_dim): the encoder's guess.

    Raises:
        ValueError: The generator has no encoder.
    """
    if generator.encoder is None:
        raise ValueError('This generator has no encoder: take start="random".')
    return generator.encoder(picture, y).float()


@torch.no_grad()
def random_starts(
    generator: Generator,
    losses_of: Callable[[Tensor], Tensor],
    *,
    count: int,
    seed: int,
    tick: Callable[[], object] | None = None,
) -> Tensor:
    """The best of `CANDIDATES` times as many random latents.

    Args:
        generator: What draws them.
        losses_of: (B, z_dim) to (B,).
        count: How many are returned.
        seed: Of the random numbers.
        tick: Called between batches; may raise to cancel.

    Returns:
        (count, z_dim), the best first.
    """
    latents = generator.sample_z(count * CANDIDATES, seed)
    losses = []
    for part in latents.split(BATCH):
        if tick is not None:
            tick()
        losses.append(losses_of(part))
    order = torch.nan_to_num(torch.cat(losses), nan=torch.inf).argsort(stable=True)
    return latents[order[:count]]
