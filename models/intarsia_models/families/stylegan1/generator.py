"""The generator of StyleGAN, grown step by step.

Source: Karras et al. 2019, arXiv:1812.04948 (adaptive instance norm: eq. 1); the growing with a
fade-in: Karras et al. 2018, arXiv:1710.10196, section 2. The equalized learning rate's factors are
part of the stored weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, instance_norm, interpolate, leaky_relu

from intarsia_models.families.stylegan2.layers import SLOPE, spread, unit_length
from intarsia_models.families.stylegan2.style_codes import (
    StyleCodes,
    checked_styles,
    noise_maps,
    truncated,
)
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, State


@dataclass(frozen=True)
class StyleGAN1Settings:
    """Sizes of a generator."""

    channels: tuple[int, ...]
    """Of the features at 4, 8, 16, … pixels, up to the picture's size."""
    fused: tuple[bool, ...]
    """By block: whether enlarging is a transposed convolution; the first has none."""
    w_dim: int
    mapping_layers: int
    alpha: float = 1.0
    """In [0, 1]: how much the last block is faded in; 1: wholly."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StyleGAN1Settings:
        """What `to_dict` gave.

        Raises:
            TypeError, KeyError: It is something else.
        """
        return cls(
            **{
                **values,
                "channels": tuple(values["channels"]),
                "fused": tuple(values["fused"]),
            }
        )


class Mapping(nn.Module):
    """From a latent to a style: unit length, then fully connected layers with leaky ReLU."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        """(B, w_dim) from (B, w_dim)."""
        x = unit_length(z)
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
        return x


class StyledNorm(nn.Module):
    """Noise, leaky ReLU, then instance norm with scale and shift from a style (eq. 1)."""

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.noise_weight = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.style = nn.Linear(w_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """(B, C, H, W)."""
        if noise is not None:
            x = torch.addcmul(x, self.noise_weight, noise)
        gamma, beta = (spread(part, None, (1, 1)) for part in self.style(w).chunk(2, 1))
        return torch.addcmul(beta, instance_norm(leaky_relu(x, SLOPE)), gamma)


class Enlarging(nn.Module):
    """Twice the size, a convolution, and a blur.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        fused: As one transposed 4x4 convolution; else nearest neighbours and a 3x3 convolution.
    """

    blur: Tensor

    def __init__(self, before: int, after: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        shape = (before, after, 4, 4) if fused else (after, before, 3, 3)
        self.weight = nn.Parameter(torch.randn(shape) / (3 * before**0.5))
        self.bias = nn.Parameter(torch.zeros(after))
        taps = torch.tensor([0.25, 0.5, 0.25], device="cpu")
        self.register_buffer("blur", torch.outer(taps, taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, O, 2H, 2W)."""
        if self.fused:
            x = conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
        else:
            x = conv2d(interpolate(x, scale_factor=2), self.weight, self.bias, padding=1)
        kernel = self.blur.to(x.dtype).expand(x.shape[1], 1, 3, 3)
        return conv2d(x, kernel, padding=1, groups=x.shape[1])


class Block(nn.Module):
    """All layers of one size."""

    def __init__(self, before: int, after: int, w_dim: int, fused: bool) -> None:
        super().__init__()
        self.enlarge = Enlarging(before, after, fused) if before else None
        self.const = None if before else nn.Parameter(torch.randn(1, after, 4, 4))
        self.first = StyledNorm(after, w_dim)
        self.conv = nn.Conv2d(after, after, 3, padding=1)
        self.second = StyledNorm(after, w_dim)
        self.to_rgb = nn.Conv2d(after, 3, 1)

    def forward(self, x: Tensor | None, w: Tensor, noise: Tensor | None) -> Tensor:
        """(B, C, H, W); both layers take the same style and noise."""
        if self.enlarge is not None and x is not None:
            x = self.enlarge(x)
        else:
            assert self.const is not None
            x = self.const.expand(w.shape[0], -1, -1, -1)
        x = self.first(x, w, noise)
        return self.second(self.conv(x), w, noise)


class StyleGAN1Generator(Generator):
    """StyleGAN with one style and one noise map per block.

    Levels are the blocks b4, b8, …. While the last block fades in, its state holds the picture of
    the block before as well.
    """

    family = "stylegan1"
    capabilities = frozenset({"w_plus", "noise", "truncation"})
    w_avg: Tensor

    def __init__(self, settings: StyleGAN1Settings) -> None:
        super().__init__()
        self.sizes = settings
        channels = settings.channels
        self.resolution = 4 << (len(channels) - 1)
        self.z_dim = self.w_dim = settings.w_dim
        self.layers = tuple(
            EditPoint(f"b{4 << level}", 4 << level, width) for level, width in enumerate(channels)
        )
        self.mapping = Mapping(settings.w_dim, settings.mapping_layers)
        before = (0, *channels[:-1])
        self.blocks = nn.ModuleList(
            Block(smaller, own, settings.w_dim, fused)
            for smaller, own, fused in zip(before, channels, settings.fused, strict=True)
        )
        self.register_buffer("w_avg", torch.zeros(settings.w_dim))
        for level in range(len(channels)):
            size = 4 << level
            self.register_buffer(f"noise_{size}", torch.zeros(1, 1, size, size))

    def encode_latent(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> StyleCodes:
        """Styles for every block; arguments as `Generator.synthesize`.

        Args:
            z: (B, z_dim), or None.
            y: None; there are no classes.
            w_plus: (B, blocks, w_dim), or (B, 1, w_dim) for one style everywhere; truncated too.
            truncation_psi: In [0, 1]: how far styles are from the mean style; 1 leaves them.
            truncation_cutoff: Only the first so many styles are truncated; None: all.
            noise: "const", "none", "random", or one (1 or B, 1, h, h) per block.

        Raises:
            ValueError: A shape or value does not fit.
        """
        own = self.styles(z) if w_plus is None else w_plus
        styles = checked_styles(own, len(self.layers), self.w_dim)
        styles = truncated(styles, self.w_avg, truncation_psi, truncation_cutoff)
        return StyleCodes(styles, noise_maps(noise, self.stored_noise(), len(styles)), y, z)

    def styles(self, z: Tensor | None, y: Tensor | None = None) -> Tensor:
        """(B, 1, w_dim): the mapping network's styles, not truncated."""
        assert z is not None
        return self.mapping(z)[:, None]

    def style_shape(self) -> tuple[int, int]:
        """See `Generator.style_shape`."""
        return len(self.layers), self.w_dim

    def mean_style(self, y: Tensor | None = None) -> Tensor:
        """(1, 1, w_dim): the mean style."""
        return self.w_avg.view(1, 1, -1)

    def stored_noise(self) -> list[Tensor]:
        """(1, 1, h, h) of every block, in order."""
        return [self.get_buffer(f"noise_{point.size}") for point in self.layers]

    def begin(self, codes: StyleCodes, maps: ClassMaps | None) -> State:
        """(features,) at 4 pixels."""
        return (self.blocks[0](None, codes.w_plus[:, 0], codes.noise[0]),)

    def advance(self, level: int, state: State, codes: StyleCodes, maps: ClassMaps | None) -> State:
        """(features,), and the smaller block's picture where it is faded out."""
        x = self.blocks[level](state[0], codes.w_plus[:, level], codes.noise[level])
        if level < len(self.layers) - 1 or self.sizes.alpha == 1.0:
            return (x,)
        return x, interpolate(self._colours(level - 1, state[0]), scale_factor=2)

    def finish(self, state: State, codes: StyleCodes, maps: ClassMaps | None) -> Tensor:
        """The picture; it is not bounded."""
        picture = self._colours(-1, state[0])
        return picture if len(state) == 1 else torch.lerp(state[1], picture, self.sizes.alpha)

    def settings(self) -> dict[str, Any]:
        """See `StyleGAN1Settings`."""
        return self.sizes.to_dict()

    def _colours(self, level: int, x: Tensor) -> Tensor:
        block = self.blocks[level]
        assert isinstance(block, Block)
        return block.to_rgb(x)
