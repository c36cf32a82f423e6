"""Sizes of the SNGAN-projection networks.

Sources: Miyato & Koyama 2018, "cGANs with Projection Discriminator" (arXiv:1802.05637), whose
public networks of 32-256 px are the standard ones here; Suzuki et al. 2018 (arXiv:1811.10153),
whose encoder and auxiliary networks these are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

GENERATOR_PLANS: dict[int, tuple[int, ...]] = {
    32: (1, 1, 1, 1),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}
"""Channels after the first linear and after each block, in multiples of the width."""
DISCRIMINATOR_PLANS: dict[int, tuple[int, ...]] = {
    32: (1, 1, 1, 1),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
}
"""Channels after each block, in multiples of the width."""
SMALL_GENERATOR_PLANS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 2, 1),
    64: (8, 4, 4, 2, 1),
    128: (8, 8, 4, 4, 2, 1),
    256: (8, 8, 8, 4, 4, 2, 1),
}
"""The public code's narrow 128 px plan, and the same for the other sizes (those are ours)."""
SMALL_DISCRIMINATOR_PLANS: dict[int, tuple[int, ...]] = {
    32: (1, 2, 4, 4),
    64: (1, 2, 4, 4, 8),
    128: (1, 2, 4, 4, 8, 8),
    256: (1, 2, 4, 4, 8, 8, 8),
}
ENCODER_PLANS: dict[int, tuple[int, ...]] = {
    32: (1, 2, 4, 8),
    64: (1, 2, 4, 8, 8),
    128: (1, 2, 4, 4, 8, 8),
    256: (1, 2, 4, 4, 8, 8, 8),
}
"""Channels after the first convolution and after each block, in multiples of the width; 128 is the
public one."""


@dataclass(frozen=True)
class GeneratorSettings:
    """Sizes of `SNGANGenerator`."""

    channels: tuple[int, ...]
    """After the first linear and after each block; every block doubles the size."""
    num_classes: int = 0
    """0: unconditional."""
    z_dim: int = 128
    bottom_width: int = 4
    """Side of the first feature map."""
    hidden: tuple[int, ...] = ()
    """Channels inside each block; empty: as many as the block returns."""

    @property
    def resolution(self) -> int:
        """Side of the output in pixels."""
        return self.bottom_width << (len(self.channels) - 1)

    @property
    def inner(self) -> tuple[int, ...]:
        """Channels inside each block."""
        return self.hidden or self.channels[1:]

    @classmethod
    def standard(
        cls, resolution: int, *, width: int, num_classes: int, z_dim: int = 128, small: bool = False
    ) -> GeneratorSettings:
        """The public layout of a resolution.

        Args:
            resolution: 32, 64, 128 or 256.
            width: Channels at the full size; the public ones have 256 at 32 px, else 64, and
                Neural Collage's 256 px model 48.
            num_classes: 0 for an unconditional one.
            z_dim: Numbers in z.
            small: Take the narrow plan.
        """
        plan = _plan(SMALL_GENERATOR_PLANS if small else GENERATOR_PLANS, resolution)
        return cls(tuple(width * factor for factor in plan), num_classes, z_dim)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the constructor takes them back."""
        return _plain(self)


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Sizes of `SNGANDiscriminator`."""

    channels: tuple[int, ...]
    """After each block."""
    downsample: tuple[bool, ...]
    """Whether each block halves the size; the first one always does."""
    num_classes: int = 0
    """0: no projection term."""
    hidden: tuple[int, ...] = ()
    """Channels inside each block; empty: as many as enter it (the first: as many as leave it)."""
    output_bias: bool = True
    """Whether the last linear has a bias; the public 32 px one has none."""

    @property
    def inner(self) -> tuple[int, ...]:
        """Channels inside each block."""
        return self.hidden or (self.channels[0], *self.channels[:-1])

    @classmethod
    def standard(
        cls, resolution: int, *, width: int, num_classes: int, small: bool = False
    ) -> DiscriminatorSettings:
        """The public layout of a resolution: 32, 64, 128 or 256; `width` channels in block 1."""
        plan = _plan(SMALL_DISCRIMINATOR_PLANS if small else DISCRIMINATOR_PLANS, resolution)
        halvings = {32: 2, 64: 5, 128: 5, 256: 6}[resolution]
        downsample = tuple(index < halvings for index in range(len(plan)))
        channels = tuple(width * factor for factor in plan)
        return cls(channels, downsample, num_classes, output_bias=resolution != 32)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the constructor takes them back."""
        return _plain(self)


@dataclass(frozen=True)
class EncoderSettings:
    """Sizes of `SNGANEncoder`."""

    channels: tuple[int, ...]
    """After the first convolution and after each block; every block halves the size."""
    num_classes: int = 0
    """0: unconditional."""
    z_dim: int = 128
    bottom_width: int = 4
    """Side of the last feature map."""

    @property
    def resolution(self) -> int:
        """Side of the input in pixels; other sizes are resized to it."""
        return self.bottom_width << (len(self.channels) - 1)

    @classmethod
    def standard(
        cls, resolution: int, *, width: int, num_classes: int, z_dim: int = 128
    ) -> EncoderSettings:
        """The public layout; Neural Collage takes the 128 px one for its 256 px model too."""
        plan = _plan(ENCODER_PLANS, resolution)
        return cls(tuple(width * factor for factor in plan), num_classes, z_dim)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the constructor takes them back."""
        return _plain(self)


@dataclass(frozen=True)
class AuxiliarySettings:
    """Sizes of `SNGANAuxiliary`; the defaults are the public ones."""

    z_dim: int = 128
    extended_dim: int = 10000
    """Numbers in zeta."""
    hidden_extend: int = 1000
    """Width of the layer inside A."""
    hidden_reduce: int = 1000
    """Width of the layer inside B."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the constructor takes them back."""
        return _plain(self)


def _plan(plans: dict[int, tuple[int, ...]], resolution: int) -> tuple[int, ...]:
    if resolution not in plans:
        sizes = ", ".join(map(str, plans))
        raise ValueError(f"The resolution must be one of {sizes}, got {resolution}.")
    return plans[resolution]


def _plain(settings: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}
