"""The layers of StyleGAN2.

The equalized learning rate's factors are part of the stored weights. Source: Karras et al. 2020,
arXiv:1912.04958, section 2.2, eq. 1-3: a convolution's weights are scaled by the style of their
input channel and divided by their norm. Here the input is scaled before one convolution shared by
the whole batch and the output after it, which is the same and needs no weights per picture.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from intarsia_models.families.stylegan2.fir_filters import FIRFilter, smooth_enlarging_convolution
from intarsia_models.generators.class_maps import resized

SLOPE = 0.2
GAIN = math.sqrt(2.0)
EPS = 1e-8


class MappingNetwork(nn.Module):
    """From a latent and a class to a style: unit length, then fully connected layers.

    Args:
        z_dim: Length of the latent; 0: the class alone.
        w_dim: Length of the style.
        layers: How many.
        num_classes: 0 without classes.
    """

    def __init__(self, z_dim: int, w_dim: int, layers: int, num_classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_classes, w_dim) if num_classes else None
        sizes = [z_dim + (w_dim if num_classes else 0), *([w_dim] * layers)]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))

    def forward(self, z: Tensor | None, c: Tensor | None = None) -> Tensor:
        """(B, w_dim) from (B, z_dim) and class weights (B, K)."""
        parts = [] if z is None else [unit_length(z)]
        if self.embed is not None:
            assert c is not None
            parts.append(unit_length(self.embed(c)))
        x = torch.cat(parts, 1)
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE) * GAIN
        return x


class StyledConvolution(nn.Module):
    """A convolution whose input channels are weighted by a style, with noise.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        w_dim: Length of a style's source.
        size: Rows of the output.
        fir: The filter for enlarging; None: the size stays.
        clamp: Bound of the output, or None.
    """

    noise: Tensor

    def __init__(
        self,
        before: int,
        after: int,
        w_dim: int,
        size: int,
        fir: FIRFilter | None,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.fir = fir
        self.clamp = clamp
        self.size = size
        self.style = nn.Linear(w_dim, before)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3) / math.sqrt(9 * before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.zeros(1, 1, size, size))

    def forward(
        self, x: Tensor, w: Tensor, noise: Tensor | None, weights: Tensor | None = None
    ) -> Tensor:
        """Features of this layer.

        Args:
            x: (B, C, h, h).
            w: (B, w_dim); or (B, k, w_dim), one for each class.
            noise: (1 or B, 1, size, size), or None.
            weights: (1 or B, k, size, size) where ``w`` has classes: styles are mixed before the
                convolution and norms after it. Within an area of one class this is exact; where
                areas meet it is an approximation, as the norm belongs to all weights at once.

        Returns:
            (B, O, size, size).
        """
        style = self.style(w)
        if torch.is_autocast_enabled(x.device.type):
            style = style / style.abs().amax(-1, keepdim=True).clamp_min(EPS)  # cancels in the norm
        squares = self.weight.square().sum((2, 3))  # (O, C)
        norm = GAIN * torch.rsqrt(linear(style.float().square(), squares.float()) + EPS)
        x = x * spread(style, weights, (x.shape[-2], x.shape[-1]))
        if self.fir is None:
            x = conv2d(x, self.weight, padding=1)
        else:
            x = smooth_enlarging_convolution(x, self.weight, self.fir)
        shift = (GAIN * self.bias).view(1, -1, 1, 1)
        if noise is not None:
            shift = shift + noise * (GAIN * self.noise_strength)
        scale = spread(norm.to(x.dtype), weights, (self.size, self.size))
        x = leaky_relu(torch.addcmul(shift.to(x.dtype), x, scale), SLOPE)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """A styled 1x1 convolution to colours, without norm or noise.

    Args:
        channels: Of the features.
        w_dim: Length of a style's source.
        clamp: Bound of the output, or None.
    """

    def __init__(self, channels: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.style = nn.Linear(w_dim, channels)
        self.weight = nn.Parameter(torch.randn(3, channels, 1, 1) / math.sqrt(channels))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, 3, h, h); arguments as `StyledConvolution.forward`. Exact with classes."""
        x = x * spread(self.style(w), weights, (x.shape[-2], x.shape[-1]))
        x = conv2d(x, self.weight, self.bias)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


def spread(values: Tensor, weights: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Values per channel as factors for a map.

    Args:
        values: (B, C); with ``weights`` (B, k, C).
        weights: (1 or B, k, H, W), or None.
        size: Of the map.

    Returns:
        (B, C, 1, 1); with ``weights`` (B, C, h, w).
    """
    if weights is None:
        return values[..., None, None]
    weights = resized(weights, size).to(values.dtype)
    batch = max(weights.shape[0], values.shape[0])
    weights, values = weights.expand(batch, -1, -1, -1), values.expand(batch, -1, -1)
    return torch.einsum("bkhw,bkc->bchw", weights, values)


def unit_length(x: Tensor) -> Tensor:
    """Each row divided by the root of its mean square."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPS)
