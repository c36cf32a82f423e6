"""The SNGAN-projection generator: a residual network with class-conditional batch normalization.

Source: Miyato & Koyama 2018, arXiv:1802.05637, table 1 and figure 13, and its public code; the same
network as in Neural Collage (arXiv:1811.10153).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from intarsia_models.families.sngan.auxiliary import SNGANAuxiliary
from intarsia_models.families.sngan.discriminator import SNGANDiscriminator
from intarsia_models.families.sngan.encoder import SNGANEncoder
from intarsia_models.families.sngan.layers import (
    ConditionalBatchNorm,
    Conv2d,
    Kept,
    Linear,
    initialize,
    upsampled,
)
from intarsia_models.families.sngan.resampled_convolution import upsampled_convolution
from intarsia_models.families.sngan.settings import GeneratorSettings
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, NormLayer, State

NAME = "sngan-projection"


@dataclass(frozen=True, eq=False)
class SNGANCodes:
    """A latent and its label."""

    z: Tensor
    """(B, z_dim)."""
    y: Tensor | None
    """(B,) class ids, (B, K) soft labels, or None without classes."""

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return self.z.shape[0]

    def expand(self, count: int) -> SNGANCodes:
        """The same for ``count`` copies of a batch of 1."""
        y = None if self.y is None else self.y.expand(count, *self.y.shape[1:])
        return SNGANCodes(self.z.expand(count, -1), y)


class UpBlock(nn.Module):
    """Residual block that doubles the size: norm, ReLU, upsampling, convolution, norm, ReLU,
    convolution; the shortcut is upsampled too."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(in_channels, num_classes)
        self.conv1 = Conv2d(in_channels, hidden, 3, gain=math.sqrt(2))
        self.norm2 = ConditionalBatchNorm(hidden, num_classes)
        self.conv2 = Conv2d(hidden, out_channels, 3, gain=math.sqrt(2))
        self.shortcut = Conv2d(in_channels, out_channels, 1)
        self._kept = Kept()

    def train(self, mode: bool = True) -> UpBlock:
        """As in every module; forgets what was prepared of the weights."""
        self._kept.forget()
        return super().train(mode)

    def forward(
        self, x: Tensor, y: Tensor | None, maps: ClassMaps | None = None, name: str = ""
    ) -> Tensor:
        """(B, C, H, W) -> (B, C', 2H, 2W); ``name`` is the block's in the maps."""
        h = torch.relu(self.norm1(x, y, maps, f"{name}.b1"))
        h = upsampled_convolution(h, self.conv1.weight, self.conv1.bias, self._kept)
        h = torch.relu(self.norm2(h, y, maps, f"{name}.b2"))
        # a 1x1 convolution and repetition commute; at the small size it costs a quarter
        return self.conv2(h) + upsampled(self.shortcut(x))


class SNGANGenerator(Generator):
    """z and a class to a picture.

    In training mode (`forward` only) batch normalization uses batch statistics; everything else of
    the interface is for evaluation mode.
    """

    family = NAME

    def __init__(self, settings: GeneratorSettings, *, seed: int | None = 0) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves them
                for whoever loads some.
        """
        super().__init__()
        self.sizes = settings
        channels, width = settings.channels, settings.bottom_width
        self.input = Linear(settings.z_dim, channels[0] * width * width)
        self.blocks = nn.ModuleList(
            UpBlock(channels[index], inner, channels[index + 1], settings.num_classes)
            for index, inner in enumerate(settings.inner)
        )
        self.norm = ConditionalBatchNorm(channels[-1], 0)
        self.output = Conv2d(channels[-1], 3, 3)
        self.resolution = settings.resolution
        self.z_dim = settings.z_dim
        self.num_classes = settings.num_classes
        self.layers = _edit_points(settings)
        self.norm_layers = _norm_layers(settings)
        if settings.num_classes:
            self.capabilities = frozenset({"classes", "spatial_classes"})
        initialize(self, seed)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, z_dim) and labels, (B,) or (B, K), to pictures (B, 3, R, R) in [-1, 1].

        In training mode with batch statistics.
        """
        codes = SNGANCodes(z, y)
        state = self.begin(codes, None)
        for level in range(1, len(self.layers)):
            state = self.advance(level, state, codes, None)
        return self.finish(state, codes, None)

    def encode_latent(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> SNGANCodes:
        """See `Generator.encode_latent`; there are no styles, no noise and no truncation (for
        milder pictures draw z with `sample_z` and a ``truncation``)."""
        if z is None or w_plus is not None:
            raise ValueError(f"{self.family} makes pictures of z; it has no w_plus.")
        if truncation_psi != 1.0:
            raise ValueError(
                f"{self.family} has no truncation_psi, got {truncation_psi}; draw z with "
                "sample_z(truncation=...)."
            )
        return SNGANCodes(z, y)

    def begin(self, codes: SNGANCodes, maps: ClassMaps | None) -> State:
        """(B, C, 4, 4) of the first linear; classes do not enter here."""
        width = self.sizes.bottom_width
        return (self.input(codes.z).view(codes.batch, -1, width, width),)

    def advance(self, level: int, state: State, codes: SNGANCodes, maps: ClassMaps | None) -> State:
        """One block."""
        return (self.blocks[level - 1](state[0], codes.y, maps, self.layers[level].name),)

    def finish(self, state: State, codes: SNGANCodes, maps: ClassMaps | None) -> Tensor:
        """The last norm, which knows no classes, ReLU, convolution and tanh."""
        return torch.tanh(self.output(torch.relu(self.norm(state[0], None))))

    def settings(self) -> dict[str, Any]:
        """The sizes, and under their names those of the networks that belong to it."""
        written = self.sizes.to_dict()
        if isinstance(self.discriminator, SNGANDiscriminator):
            written["discriminator"] = self.discriminator.sizes.to_dict()
        if isinstance(self.encoder, SNGANEncoder):
            written["encoder"] = self.encoder.sizes.to_dict()
        if isinstance(self.auxiliary, SNGANAuxiliary):
            written["auxiliary"] = self.auxiliary.sizes.to_dict()
        return written


def _edit_points(settings: GeneratorSettings) -> tuple[EditPoint, ...]:
    """``l1``, ``block2``, ``block3``, …: the public code's names."""
    return tuple(
        EditPoint(_block(level) if level else "l1", settings.bottom_width << level, channels)
        for level, channels in enumerate(settings.channels)
    )


def _norm_layers(settings: GeneratorSettings) -> tuple[NormLayer, ...]:
    """``block2.b1``, ``block2.b2``, …; the first works before the block's upsampling."""
    if not settings.num_classes:
        return ()
    found = []
    for level, inner in enumerate(settings.inner, 1):
        size = settings.bottom_width << level
        before = settings.channels[level - 1]
        found.append(NormLayer(f"{_block(level)}.b1", size // 2, before, level))
        found.append(NormLayer(f"{_block(level)}.b2", size, inner, level))
    return tuple(found)


def _block(level: int) -> str:
    return f"block{level + 1}"
