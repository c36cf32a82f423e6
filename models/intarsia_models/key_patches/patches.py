"""Parts of pictures as the networks see them: cut out, resized to the whole, or degraded.

Source: Lee et al. 2018, arXiv:1703.10730: every part is resized (bicubic, in the public code) to
the size of the whole before it is encoded, so that the network sees neither its place nor its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.key_patches.boxes import union_mask

__all__ = [
    "Degradation",
    "Part",
    "cut_patches",
    "degraded",
    "part_input",
    "resized",
    "shrunk_boxes",
    "union_mask",
]

LEAST_COVERED = 1e-3
"""Alpha below which a pixel counts as empty."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of some picture, of any size and shape."""

    colours: Tensor
    """(1, 3, h, w) in [-1, 1], straight: not multiplied by alpha."""
    alpha: Tensor | None = None
    """(1, 1, h, w) in [0, 1]; None: it covers all of its rectangle."""


@dataclass(frozen=True)
class Degradation:
    """What is done to parts before the networks see them (supplement, section 8)."""

    shrink: float = 1.0
    """What is kept of each side, about the middle, in (0, 1]; 1 keeps the part."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise on every value, in units of the range [-1, 1]. The
    supplement tries 0.1 and 0.5 and does not say of which range."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if not 0.0 < self.shrink <= 1.0:
            raise ValueError(f"shrink must lie in (0, 1], got {self.shrink}.")
        if not 0.0 <= self.noise < float("inf"):
            raise ValueError(f"noise must be 0 or more, got {self.noise}.")


def resized(x: Tensor, size: int) -> Tensor:
    """(B, 3, h, w) to (B, 3, size, size) in [-1, 1]: bicubic, averaging where it shrinks."""
    if x.shape[-2:] == (size, size):
        return x.clamp(-1, 1)
    grown = F.interpolate(x, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return grown.clamp(-1, 1)


def cut_patches(x: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut boxes out of pictures.

    Args:
        x: (B, 3, H, W) in [-1, 1].
        boxes: (B, N, 4) int64, each within its picture.
        size: Side of what comes out.

    Returns:
        (B, N, 3, size, size) in [-1, 1].

    Raises:
        ValueError: A box reaches outside its picture, or the shapes do not fit.
    """
    if boxes.ndim != 3 or boxes.shape[0] != len(x) or boxes.shape[2] != 4:
        raise ValueError(f"boxes must be ({len(x)}, N, 4), got {tuple(boxes.shape)}.")
    height, width = x.shape[-2:]
    patches = x.new_empty(*boxes.shape[:2], 3, size, size)
    for picture, of_picture in enumerate(boxes.tolist()):
        for number, (left, top, across, down) in enumerate(of_picture):
            within = left >= 0 and top >= 0 and left + across <= width and top + down <= height
            if not within or across < 1 or down < 1:
                raise ValueError(
                    f"Box {(left, top, across, down)} does not lie within a picture of {width} x "
                    f"{height} pixels."
                )
            piece = x[picture : picture + 1, :, top : top + down, left : left + across]
            patches[picture, number] = resized(piece, size)[0]
    return patches


def part_input(part: Part, size: int) -> Tensor:
    """A part as the networks see it.

    What is transparent at its edges is cut off; holes get the mean colour of what covers, since the
    networks learnt from full rectangles.

    Args:
        part: Of any size; its aspect is not kept, as in the training.
        size: Side of what comes out.

    Returns:
        (1, 3, size, size) in [-1, 1], float32.

    Raises:
        UnsuitablePicture: All of it is transparent.
        ValueError: A shape or a range does not fit.
    """
    _check(part)
    colours = part.colours.float()
    if part.alpha is None:
        return resized(colours, size)
    alpha = part.alpha.to(colours)
    rows = (alpha[0, 0].amax(1) > LEAST_COVERED).nonzero().flatten()
    columns = (alpha[0, 0].amax(0) > LEAST_COVERED).nonzero().flatten()
    if not len(rows):
        raise UnsuitablePicture(
            "A part is empty: all of it is transparent.", "Leave the empty layer out."
        )
    window = (
        slice(None),
        slice(None),
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )
    colours, alpha = colours[window], alpha[window]
    mean = (colours * alpha).sum((2, 3), keepdim=True) / alpha.sum()
    return resized(colours * alpha + mean * (1 - alpha), size)


def degraded(patches: Tensor, degradation: Degradation, source: torch.Generator) -> Tensor:
    """Parts, smaller or noisy.

    Args:
        patches: (B, N, 3, S, S) in [-1, 1].
        degradation: What is done.
        source: Of the noise, on the CPU.

    Returns:
        The same shape; in [-1, 1].
    """
    size = patches.shape[-1]
    if degradation.shrink < 1.0:
        kept = max(1, round(size * degradation.shrink))
        start = (size - kept) // 2
        middle = patches[..., start : start + kept, start : start + kept]
        patches = resized(middle.flatten(0, 1), size).unflatten(0, patches.shape[:2])
    if degradation.noise > 0.0:
        noise = torch.randn(patches.shape, generator=source).to(patches)
        patches = (patches + degradation.noise * noise).clamp(-1, 1)
    return patches


def shrunk_boxes(boxes: Tensor, shrink: float) -> Tensor:
    """Boxes (…, 4) of which ``shrink`` of each side is kept, about the middle."""
    sides = (boxes[..., 2:] * shrink).round().long().clamp_min(1)
    return torch.cat((boxes[..., :2] + (boxes[..., 2:] - sides) // 2, sides), -1)


def filled_up(count: int, parts: int, source: torch.Generator) -> list[int]:
    """Which of ``count`` parts fill ``parts`` places: each once, then random ones again.

    Source: supplement, section 7.

    Args:
        count: How many there are, from 1 to ``parts``.
        parts: How many the networks take.
        source: Random numbers.
    """
    again = torch.randint(count, (parts - count,), generator=source).tolist()
    return [*range(count), *again]


def stacked(parts: Sequence[Part], size: int) -> Tensor:
    """(1, N, 3, size, size): `part_input` of each."""
    return torch.stack([part_input(part, size)[0] for part in parts])[None]


def _check(part: Part) -> None:
    if part.colours.ndim != 4 or part.colours.shape[:2] != (1, 3):
        raise ValueError(f"A part must be (1, 3, h, w), got {tuple(part.colours.shape)}.")
    if not bool(part.colours.isfinite().all()):
        raise ValueError("The colours of a part must be finite numbers.")
    if part.alpha is None:
        return
    if tuple(part.alpha.shape) != (1, 1, *part.colours.shape[2:]):
        raise ValueError(
            f"The alpha of a part must be {(1, 1, *part.colours.shape[2:])}, got "
            f"{tuple(part.alpha.shape)}."
        )
    if not bool(((part.alpha >= 0) & (part.alpha <= 1)).all()):  # also refuses nan
        raise ValueError("The alpha of a part must lie in [0, 1].")
