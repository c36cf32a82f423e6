"""Random changes that critic and generator both see, so that a small set of pictures is not learnt
by heart.

Every change is differentiable in the picture, and real and generated pictures of one step get the
same draws.

Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"
(arXiv:2006.10738), whose changes and ranges these are. Deviation: moved pictures are continued by
reflection instead of grey, which leaves no frame for the critic to look at; real and generated
pictures share their draws (the distribution of each is the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHANGES = ("colour", "translation", "cutout")
SHIFT = 1 / 8
"""Largest translation, of the side."""
HOLE = 1 / 2
"""Side of the part that is cut out, of the side."""


@dataclass(frozen=True)
class Draws:
    """Random numbers for B pictures; fields of changes that are not wanted are None."""

    colour: Tensor | None
    """(B, 3): brightness in [-0.5, 0.5], saturation in [0, 2], contrast in [0.5, 1.5]."""
    shift: Tensor | None
    """(B, 2) whole pixels (dx, dy)."""
    hole: Tensor | None
    """(B, 2) centre (x, y) of the part that is cut out, in pixels."""


def draw(count: int, size: int, changes: Sequence[str], source: torch.Generator) -> Draws:
    """Random numbers for some pictures.

    Args:
        count: How many pictures.
        size: Their side.
        changes: Of `CHANGES`.
        source: On the CPU.

    Raises:
        ValueError: There is no such change.
    """
    unknown = [name for name in changes if name not in CHANGES]
    if unknown:
        raise ValueError(f"There is no augmentation {unknown[0]!r}; there are {list(CHANGES)}.")
    colour = shift = hole = None
    if "colour" in changes:
        low, width = torch.tensor([-0.5, 0.0, 0.5]), torch.tensor([1.0, 2.0, 1.0])
        colour = low + width * torch.rand(count, 3, generator=source)
    if "translation" in changes:
        far = round(size * SHIFT)
        shift = torch.randint(-far, far + 1, (count, 2), generator=source)
    if "cutout" in changes:
        hole = torch.randint(0, size + 1, (count, 2), generator=source)
    return Draws(colour, shift, hole)


def augment(x: Tensor, draws: Draws) -> Tensor:
    """Change pictures.

    Args:
        x: (B, 3, R, R) in [-1, 1].
        draws: For B pictures.

    Returns:
        (B, 3, R, R).
    """
    if draws.colour is not None:
        x = _coloured(x, draws.colour.to(x))
    if draws.shift is not None:
        x = _moved(x, draws.shift.to(x.device))
    if draws.hole is not None:
        x = _cut(x, draws.hole.to(x.device))
    return x


def _coloured(x: Tensor, colour: Tensor) -> Tensor:
    brightness, saturation, contrast = (part.view(-1, 1, 1, 1) for part in colour.unbind(1))
    x = x + brightness
    grey = x.mean(1, keepdim=True)
    x = grey + saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + contrast * (x - mean)


def _moved(x: Tensor, shift: Tensor) -> Tensor:
    count, _, height, width = x.shape
    rows = _reflected(torch.arange(height, device=x.device) - shift[:, 1:], height)  # (B, H)
    columns = _reflected(torch.arange(width, device=x.device) - shift[:, :1], width)  # (B, W)
    picture = torch.arange(count, device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]]  # (B, H, W, 3)
    return moved.permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


def _cut(x: Tensor, hole: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    half = round(height * HOLE) // 2
    rows = (torch.arange(height, device=x.device) - hole[:, 1:]).abs() < half
    columns = (torch.arange(width, device=x.device) - hole[:, :1]).abs() < half
    outside = ~(rows[:, None, :, None] & columns[:, None, None, :])
    return x * outside.to(x.dtype)
