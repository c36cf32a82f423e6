"""How unlike a generated picture is a given one: what a projection makes small.

Source: Suzuki et al. 2018, arXiv:1811.10153 (Neural Collage), eq. 4, as in its public code: the
cosine of the discriminator's last features, flattened over space, plus a small pixel term that the
paper does not name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.generators.generator import Discriminator, Generator

PIXEL_WEIGHT = 0.2
"""Of the mean squared difference, as in the public code."""
SMALLEST_SIDE = 8
"""Of the coarsest scale of `PixelDistance`."""


class Distance(ABC):
    """From one given picture; what can be computed of it beforehand is."""

    name: str

    @abstractmethod
    def __call__(self, generated: Tensor) -> Tensor:
        """(B,) distances of pictures (B, 3, R, R), with gradients."""


class DiscriminatorDistance(Distance):
    """-cos(psi(generated), psi(target)) + pixel_weight * MSE; from -1 for the same picture to
    above 1."""

    name = "discriminator"

    def __init__(
        self, discriminator: Discriminator, target: Tensor, pixel_weight: float = PIXEL_WEIGHT
    ) -> None:
        self.discriminator = discriminator
        self.target = target
        self.pixel_weight = pixel_weight
        with torch.no_grad():
            self.features = discriminator.features(target).float()

    def __call__(self, generated: Tensor) -> Tensor:
        """See `Distance`."""
        cosine, pixels = self.terms(generated)
        return cosine + self.pixel_weight * pixels

    def terms(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) minus the cosine, and (B,) the mean squared difference."""
        features = self.discriminator.features(generated).float()
        cosine = F.cosine_similarity(features, self.features, dim=1)
        return -cosine, squared_difference(generated, self.target)


class PixelDistance(Distance):
    """Mean absolute difference of colours and of their gradients over halved sizes; 0 for the same
    picture, about 1 for unrelated ones. For generators without a discriminator."""

    name = "multi-scale pixels"

    def __init__(self, target: Tensor, pixel_weight: float = PIXEL_WEIGHT) -> None:
        self.target = target
        self.pixel_weight = pixel_weight
        self.levels = [(level, _slopes(level)) for level in scales(target)]

    def __call__(self, generated: Tensor) -> Tensor:
        """See `Distance`."""
        total = self.pixel_weight * squared_difference(generated, self.target)
        for own, (level, slopes) in zip(scales(generated), self.levels, strict=True):
            total = total + (own - level).abs().mean((1, 2, 3)) / len(self.levels)
            for mine, theirs in zip(_slopes(own), slopes, strict=True):
                total = total + (mine - theirs).abs().mean((1, 2, 3)) / len(self.levels)
        return total


def distance_to(target: Tensor, generator: Generator, pixel_weight: float) -> Distance:
    """The best distance there is for a generator.

    Args:
        target: (1, 3, R, R) in [-1, 1].
        generator: With or without a discriminator.
        pixel_weight: Of the mean squared difference, which every distance has.
    """
    if generator.discriminator is not None:
        return DiscriminatorDistance(generator.discriminator, target, pixel_weight)
    return PixelDistance(target, pixel_weight)


def squared_difference(generated: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared differences of pictures."""
    return (generated - target).square().mean((1, 2, 3))


def scales(picture: Tensor) -> list[Tensor]:
    """The picture, and its halvings down to `SMALLEST_SIDE`."""
    found = [picture]
    while found[-1].shape[-1] % 2 == 0 and found[-1].shape[-1] // 2 >= SMALLEST_SIDE:
        found.append(F.avg_pool2d(found[-1], 2))
    return found


def _slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours, along rows and along columns."""
    return picture.diff(dim=3), picture.diff(dim=2)
