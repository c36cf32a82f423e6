"""What a picture is while it is made level by level: features, and the layers that make them.

Level 0 is the output of a generator's first layer, each further level that of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

State = tuple[Tensor, ...]
"""Features of one level, each (B, C, h, w). StyleGAN2: features and the running RGB picture."""

GROUPS = ("layout", "shapes", "texture")
"""Coarse, middle and fine layers in the artist's words."""


@dataclass(frozen=True)
class EditPoint:
    """A level's features: where transplants can act."""

    name: str
    size: int
    """Rows and columns."""
    channels: int


@dataclass(frozen=True)
class NormLayer:
    """A conditional norm (or styled convolution): where classes can be mixed by position."""

    name: str
    size: int
    channels: int
    level: int
    """The level during whose computation it runs."""


class Codes(Protocol):
    """A latent, prepared by its family: what all levels read."""

    @property
    def batch(self) -> int:
        """Number of pictures."""
        ...

    @property
    def y(self) -> Tensor | None:
        """The label they were made with, (B,) or (B, K); None without classes."""
        ...

    def expand(self, count: int) -> Codes:
        """The same for ``count`` copies of a batch of 1."""
        ...


@dataclass(frozen=True, eq=False)
class Trace:
    """An unedited picture with the features of all its levels, for edits that reuse them."""

    codes: Any
    states: tuple[State, ...]
    """By level."""
    base: Tensor | None
    """The picture's own label as given, or None for a family without classes."""


def grouped(layers: Sequence[EditPoint] | Sequence[NormLayer]) -> dict[str, tuple[str, ...]]:
    """Thirds of the sizes there are, small to large; what does not divide goes to the fine end."""
    sizes = sorted({layer.size for layer in layers})
    third = max(1, len(sizes) // 3)
    group_of = {size: GROUPS[min(2, index // third)] for index, size in enumerate(sizes)}
    return {
        group: tuple(layer.name for layer in layers if group_of[layer.size] == group)
        for group in GROUPS
    }
