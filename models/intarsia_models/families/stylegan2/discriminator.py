"""The discriminator of StyleGAN2, with classes by projection as in StyleGAN2-ADA.

Sources: Karras et al. 2020, arXiv:1912.04958, section 4.1; Karras et al. 2020, arXiv:2006.06676;
the comparison within a batch: Karras et al. 2018, arXiv:1710.10196, section 3.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from intarsia_models.families.stylegan2.fir_filters import FIRFilter, smooth_reducing_convolution
from intarsia_models.families.stylegan2.layers import EPS, GAIN, SLOPE, MappingNetwork
from intarsia_models.families.stylegan2.settings import DiscriminatorSettings
from intarsia_models.generators.generator import Discriminator


class Convolution(nn.Module):
    """A convolution with bias and leaky ReLU, halving the size where a filter is given."""

    def __init__(self, before: int, after: int, kernel: int, fir: FIRFilter | None) -> None:
        super().__init__()
        self.fir = fir
        scale = math.sqrt(before * kernel * kernel)
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel) / scale)
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, gain: float = 1.0, clamp: float | None = None) -> Tensor:
        """(B, O, h, w), multiplied by ``gain`` and bounded by ``clamp`` times it."""
        if self.fir is None:
            x = conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        else:
            x = smooth_reducing_convolution(x, self.weight, self.fir)
        x = leaky_relu(x + self.bias.view(1, -1, 1, 1), SLOPE) * (GAIN * gain)
        return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class Block(nn.Module):
    """Two convolutions, the second halving the size; with a short cut where it is a residual."""

    def __init__(
        self, before: int, after: int, fir: FIRFilter, residual: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.fir = fir
        self.clamp = clamp
        self.first = Convolution(before, before, 3, None)
        self.second = Convolution(before, after, 3, fir)
        shape = (after, before, 1, 1)
        self.skip = nn.Parameter(torch.randn(shape) / math.sqrt(before)) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, O, h/2, w/2)."""
        if self.skip is None:
            return self.second(self.first(x, 1.0, self.clamp), 1.0, self.clamp)
        half = math.sqrt(0.5)
        short = smooth_reducing_convolution(x, self.skip * half, self.fir)
        return short + self.second(self.first(x, 1.0, self.clamp), half, self.clamp)


class StyleGAN2Discriminator(Discriminator):
    """Judges pictures, by class where it knows classes.

    Args:
        settings: Its sizes.
        num_classes: Of the classes; 0 where ``settings.class_width`` is 0.
        taps: Of the resampling filter.
    """

    def __init__(
        self, settings: DiscriminatorSettings, num_classes: int, taps: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.group = settings.group
        self.clamp = settings.clamp
        fir = FIRFilter(taps)
        channels = settings.channels
        self.from_rgb = Convolution(3, channels[0], 1, None)
        self.blocks = nn.ModuleList(
            Block(before, after, fir, settings.architecture == "resnet", settings.clamp)
            for before, after in pairwise(channels)
        )
        self.last = Convolution(channels[-1] + 1, channels[-1], 3, None)
        self.hidden = nn.Linear(16 * channels[-1], settings.hidden)
        self.out = nn.Linear(settings.hidden, settings.class_width or 1)
        self.mapping = None
        if settings.class_width:
            width, layers = settings.class_width, settings.class_layers
            self.mapping = MappingNetwork(0, width, layers, num_classes)
        self.num_classes = num_classes if settings.class_width else 0

    def features(self, x: Tensor) -> Tensor:
        """(B, 16 C): the last features that do not depend on the rest of the batch."""
        return self._features(x).flatten(1)

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, 1). The last layers compare up to four pictures of the batch, as in training; where
        the batch is no multiple of four, the largest smaller group that divides it.

        Raises:
            ValueError: It knows classes and got none.
        """
        x = self._features(x)
        x = self.last(torch.cat((x, spread_of_batch(x, self.group)), 1), 1.0, self.clamp)
        x = self.out(leaky_relu(self.hidden(x.flatten(1)), SLOPE) * GAIN)
        if self.mapping is None:
            return x
        if y is None:
            raise ValueError("This discriminator judges by class: y is needed.")
        c = y if y.is_floating_point() else nn.functional.one_hot(y, self.num_classes).to(x)
        classes = self.mapping(None, c)
        return (x * classes).sum(1, keepdim=True) / math.sqrt(classes.shape[1])

    def _features(self, x: Tensor) -> Tensor:
        x = self.from_rgb(x, 1.0, self.clamp)
        for block in self.blocks:
            x = block(x)
        return x  # (B, C, 4, 4)


def spread_of_batch(x: Tensor, group: int) -> Tensor:
    """(B, 1, H, W): the mean standard deviation within groups of pictures."""
    batch, channels, height, width = x.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    groups = x.reshape(size, batch // size, channels, height, width)
    deviation = (groups.var(0, unbiased=False) + EPS).sqrt().mean((1, 2, 3))  # (B / size,)
    return deviation.repeat(size).view(batch, 1, 1, 1).expand(-1, 1, height, width)
