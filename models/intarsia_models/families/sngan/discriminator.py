"""The projection discriminator with spectral normalization.

Source: Miyato & Koyama 2018, arXiv:1802.05637, eq. 4 and table 2, and its public code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intarsia_models.families.sngan.layers import (
    Kept,
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    halved,
    initialize,
)
from intarsia_models.families.sngan.resampled_convolution import halved_convolution
from intarsia_models.families.sngan.settings import DiscriminatorSettings
from intarsia_models.generators.generator import Discriminator


class DownBlock(nn.Module):
    """Residual block: ReLU, convolution, ReLU, convolution, and averages of 2 x 2 where it halves.

    The network's first block has no ReLU before its first convolution.
    """

    def __init__(
        self, in_channels: int, hidden: int, out_channels: int, *, downsample: bool, first: bool
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.first = first
        self.conv1 = SpectralConv2d(in_channels, hidden, 3, gain=math.sqrt(2))
        self.conv2 = SpectralConv2d(hidden, out_channels, 3, gain=math.sqrt(2))
        self.shortcut = None
        if downsample or in_channels != out_channels:
            self.shortcut = SpectralConv2d(in_channels, out_channels, 1)
        self._kept = Kept()

    def train(self, mode: bool = True) -> DownBlock:
        """As in every module; forgets what was prepared of the weights."""
        self._kept.forget()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W) or (B, C', H/2, W/2)."""
        h = self.conv1(x if self.first else torch.relu(x))
        h = torch.relu(h)
        if self.downsample:
            h = halved_convolution(h, self.conv2.normalized(), self.conv2.bias, self._kept)
            x = halved(x)  # averages and a 1x1 convolution commute
        else:
            h = self.conv2(h)
        return h + (x if self.shortcut is None else self.shortcut(x))


class SNGANDiscriminator(Discriminator):
    """Pictures and classes to scores.

    In training mode every forward pass makes one step of power iteration and stores it; in
    evaluation mode nothing is stored.
    """

    def __init__(self, settings: DiscriminatorSettings, *, seed: int | None = 1) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves them
                for whoever loads some.
        """
        super().__init__()
        self.sizes = settings
        before = (3, *settings.channels[:-1])
        shapes = zip(before, settings.inner, settings.channels, settings.downsample, strict=True)
        self.blocks = nn.ModuleList(
            DownBlock(first, inner, after, downsample=halves, first=index == 0)
            for index, (first, inner, after, halves) in enumerate(shapes)
        )
        last = settings.channels[-1]
        self.output = SpectralLinear(last, 1, bias=settings.output_bias)
        self.embedding = None
        if settings.num_classes:
            self.embedding = SpectralEmbedding(settings.num_classes, last)
        initialize(self, seed)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The same as `logits`."""
        return self.logits(x, y)

    def levels(self, x: Tensor) -> list[Tensor]:
        """The output of each block."""
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def feature_map(self, x: Tensor) -> Tensor:
        """(B, C, h, w): the last features, after ReLU, before pooling."""
        return torch.relu(self.levels(x)[-1])

    def features(self, x: Tensor) -> Tensor:
        """(B, C h w): `feature_map`, flattened (psi of arXiv:1811.10153, eq. 4, as in its public
        code; not pooled)."""
        return self.feature_map(x).flatten(1)

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, 1): how real.

        Args:
            x: (B, 3, R, R) in [-1, 1].
            y: (B,) class ids or (B, K) soft labels; None leaves the projection term out.
        """
        return self.score(self.feature_map(x), y)

    def score(self, feature_map: Tensor, y: Tensor | None = None) -> Tensor:
        """`logits` of a `feature_map`: one pass of the network serves both."""
        pooled = feature_map.sum((2, 3))
        logit = self.output(pooled)
        if y is not None and self.embedding is not None:
            logit = logit + (self.embedding(y) * pooled).sum(1, keepdim=True)
        return logit

    def class_scores(self, x: Tensor) -> Tensor:
        """(B, K): the projection term of every class.

        Raises:
            ValueError: It knows no classes.
        """
        if self.embedding is None:
            raise ValueError("This discriminator knows no classes.")
        return self.feature_map(x).sum((2, 3)) @ self.embedding.normalized().t()
