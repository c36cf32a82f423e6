"""The encoder of Neural Collage: a picture and its class to z.

Source: Suzuki et al. 2018, arXiv:1811.10153, section 4.1, and its public code. Where they differ
(the paper: "identical to the discriminator except the output") this is the code's: conditional
batch normalization, no spectral normalization, and averages before the convolutions.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.families.sngan.layers import (
    ConditionalBatchNorm,
    Conv2d,
    Linear,
    halved,
    initialize,
)
from intarsia_models.families.sngan.settings import EncoderSettings

SLOPE = 0.1
"""Initial slopes of the output."""


class EncoderBlock(nn.Module):
    """Residual block that halves the size before its convolutions."""

    def __init__(self, in_channels: int, out_channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(in_channels, num_classes)
        self.conv1 = Conv2d(in_channels, in_channels, 3, gain=math.sqrt(2))
        self.norm2 = ConditionalBatchNorm(in_channels, num_classes)
        self.conv2 = Conv2d(in_channels, out_channels, 3, gain=math.sqrt(2))
        self.shortcut = Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        h = self.conv1(halved(torch.relu(self.norm1(x, y))))
        h = self.conv2(torch.relu(self.norm2(h, y)))
        return h + self.shortcut(halved(x))


class SNGANEncoder(nn.Module):
    """A picture and its class to z."""

    def __init__(self, settings: EncoderSettings, *, seed: int | None = 2) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves them
                for whoever loads some.
        """
        super().__init__()
        self.sizes = settings
        channels, width = settings.channels, settings.bottom_width
        self.input = Conv2d(3, channels[0], 3)
        self.blocks = nn.ModuleList(
            EncoderBlock(before, after, settings.num_classes)
            for before, after in pairwise(channels)
        )
        self.output = Linear(channels[-1] * width * width, settings.z_dim)
        self.slopes = nn.Parameter(torch.full((settings.z_dim,), SLOPE))
        initialize(self, seed)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Guess the latent of a picture.

        Args:
            x: (B, 3, H, W) in [-1, 1], square; other sizes than the encoder's are resized.
            y: (B,) class ids or (B, K) soft labels; None where there are no classes.

        Returns:
            (B, z_dim).
        """
        x = self.input(self._sized(x))
        for block in self.blocks:
            x = block(x, y)
        return F.prelu(self.output(x.flatten(1)), self.slopes)

    def _sized(self, x: Tensor) -> Tensor:
        side = self.sizes.resolution
        if x.shape[-2:] == (side, side):
            return x
        return F.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)
