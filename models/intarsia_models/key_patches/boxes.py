"""Boxes of parts: which sizes they have, how far they overlap, what they cover.

A box is (x, y, width, height) in whole pixels; tensors of boxes are int64 with these four last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

STEPS = 5
"""Lengths of sides that are tried between the least and the most."""


@dataclass(frozen=True)
class BoxRule:
    """Which boxes parts may have.

    Source: the boxes of faces published with the public code keep to these numbers; largest area
    16 % is also the supplement's (section 8, which tries 9 % and 4 %).
    """

    least: float = 0.25
    """Shortest side, as a share of the picture's side (of the root of its area)."""
    most: float = 0.40
    """Longest side, likewise."""
    aspect: float = 1.5
    """Longer side over shorter side at most."""
    largest_area: float = 0.16
    """Of the picture's area."""
    overlap: float = 0.5
    """Intersection over union of two parts of one picture at most."""

    def __post_init__(self) -> None:
        """Refuse what no box fulfils."""
        if not 0.0 < self.least <= self.most <= 1.0:
            raise ValueError(
                f"Sides must lie in 0 < least <= most <= 1, got {self.least} and {self.most}."
            )
        if self.aspect < 1.0:
            raise ValueError(f"aspect must be at least 1, got {self.aspect}.")
        if not self.least**2 <= self.largest_area <= 1.0:
            raise ValueError(
                f"largest_area must lie in [{self.least**2:g}, 1] for sides from {self.least:g} "
                f"on, got {self.largest_area}."
            )
        if not 0.0 < self.overlap <= 1.0:
            raise ValueError(f"overlap must lie in (0, 1], got {self.overlap}.")

    @classmethod
    def for_area(cls, largest_area: float) -> BoxRule:
        """The same rule for smaller parts, as the supplement's section 8 tries them.

        Args:
            largest_area: Share of the picture's area, in (0, 0.16].
        """
        factor = math.sqrt(largest_area / cls.largest_area)
        return cls(least=cls.least * factor, most=cls.most * factor, largest_area=largest_area)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(width, height) of the boxes to be tried in a picture, without repetition.

        Raises:
            ValueError: The picture is too small for any.
        """
        side = math.sqrt(height * width)
        steps = [
            self.least + (self.most - self.least) * step / (STEPS - 1) for step in range(STEPS)
        ]
        found = {
            (max(1, round(across * side)), max(1, round(down * side)))
            for across in steps
            for down in steps
            if max(across, down) <= self.aspect * min(across, down) + 1e-9
            and across * down <= self.largest_area + 1e-9
        }
        fitting = sorted((w, h) for w, h in found if w <= width and h <= height)
        if not fitting:
            raise ValueError(
                f"No part of {self.least:.0%} to {self.most:.0%} fits into a picture of "
                f"{width} x {height} pixels."
            )
        return fitting


def overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4) and others (…, 4), broadcast; float32 in [0, 1]."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1).float()
    both = (boxes[..., 2:].prod(-1) + others[..., 2:].prod(-1)).float() - shared
    return shared / both


def union_mask(boxes: Tensor, size: int) -> Tensor:
    """(B, 1, size, size) of 0 and 1: what the boxes (B, N, 4) of each picture cover together."""
    places = torch.arange(size, device=boxes.device)
    start, end = boxes[..., :2, None], (boxes[..., :2] + boxes[..., 2:])[..., None]
    within = (places >= start) & (places < end)  # (B, N, 2, size)
    covered = within[:, :, 1, :, None] & within[:, :, 0, None, :]
    return covered.any(1, keepdim=True).float()


def random_boxes(
    pictures: int, count: int, size: int, source: torch.Generator, *, rule: BoxRule | None = None
) -> Tensor:
    """(pictures, count, 4): boxes anywhere, of the rule's sizes; they may overlap.

    Args:
        pictures: How many pictures.
        count: Boxes of each.
        size: Side of the pictures.
        source: Random numbers, on the CPU.
        rule: Which sizes.
    """
    sizes = torch.tensor((rule or BoxRule()).sizes(size, size))
    chosen = sizes[torch.randint(len(sizes), (pictures, count), generator=source)]
    room = size - chosen + 1
    corner = (torch.rand(pictures, count, 2, generator=source) * room).long()
    return torch.cat((torch.minimum(corner, room - 1), chosen), -1)


def flipped(boxes: Tensor, size: int, axis: int) -> Tensor:
    """Boxes (…, 4) of pictures that were mirrored.

    Args:
        boxes: As they were.
        size: Side of the pictures.
        axis: 0: left and right change places; 1: top and bottom.
    """
    turned = boxes.clone()
    turned[..., axis] = size - boxes[..., axis] - boxes[..., 2 + axis]
    return turned
