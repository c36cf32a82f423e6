"""The layers of BigGAN: conditional norms, self-attention and the two kinds of residual blocks.

Written from Brock et al. 2019, arXiv:1809.11096, appendix B (figures 15 and 16), Zhang et al. 2019,
arXiv:1805.08318 (self-attention), and what the public files' shapes say. Spectral norms are divided
out of the weights beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    interpolate,
    max_pool2d,
    one_hot,
    relu,
    scaled_dot_product_attention,
)

from intarsia_models.families.biggan.settings import BigGANSettings, BlockSettings
from intarsia_models.families.sngan.layers import Kept
from intarsia_models.families.sngan.resampled_convolution import upsampled_convolution
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.spatial_norm import plain_norm, spatial_norm

JOINED_FROM = 16
"""Size from which doubling and convolution are one step on the CPU; below it the larger kernel
costs more than it saves."""


@dataclass(frozen=True, eq=False)
class BigGANCodes:
    """A latent, ready for the blocks."""

    y: Tensor
    """The label as given, (B,) or (B, K)."""
    classes: Tensor
    """(B, S): the embedded label, or the class vector itself."""
    table: Tensor | None
    """(K, S): all classes' embeddings; None: class vectors are not embedded."""
    first: Tensor
    """(B, F): what the first layer sees."""
    parts: tuple[Tensor, ...]
    """By block, (B, P): its part of z; P may be 0."""
    statistics: tuple[tuple[int, float], ...]
    """Rows of the stored statistics and their weights."""

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return self.first.shape[0]

    def expand(self, count: int) -> BigGANCodes:
        """The same for ``count`` copies of a batch of 1."""
        return BigGANCodes(
            self.y.expand(count, *self.y.shape[1:]),
            self.classes.expand(count, -1),
            self.table,
            self.first.expand(count, -1),
            tuple(part.expand(count, -1) for part in self.parts),
            self.statistics,
        )

    def condition(self, block: int) -> Tensor:
        """(B, S + P): what the norms of a block see."""
        return torch.cat((self.classes, self.parts[block]), 1)

    def conditions(self, block: int, classes: Sequence[int]) -> Tensor:
        """(B, k, S + P): the same for k classes in the place of the label."""
        part = self.parts[block]
        chosen = torch.tensor(list(classes), device=part.device)
        if self.table is None:
            rows = one_hot(chosen, self.classes.shape[1]).to(part.dtype)
        else:
            rows = self.table[chosen]
        if part.shape[1] == 0:
            return rows[None]
        count, batch = len(chosen), part.shape[0]
        return torch.cat((rows.expand(batch, -1, -1), part[:, None].expand(-1, count, -1)), dim=2)


class ConditionalNorm(nn.Module):
    """Batch norm with stored statistics whose scale and shift follow the class and a part of z,
    with ReLU: relu(gamma (x - mean) / sqrt(variance + eps) + beta), gamma = 1 + gain."""

    def __init__(self, name: str, channels: int, settings: BigGANSettings) -> None:
        super().__init__()
        self.name = name
        self.eps = settings.norm_eps
        self.gain_is_added = settings.gain_is_added
        self.gain = nn.Linear(settings.condition, channels, bias=False)
        self.beta = nn.Linear(settings.condition, channels, bias=False)
        self.register_buffer("mean", torch.zeros(settings.statistics, channels))
        self.register_buffer("variance", torch.ones(settings.statistics, channels))

    def gamma_beta(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(..., C) each, for conditions (..., S + P)."""
        return _acting(1.0 + self.gain(condition), self.beta(condition), self.gain_is_added)

    def forward(self, x: Tensor, codes: BigGANCodes, block: int, maps: ClassMaps | None) -> Tensor:
        mean, variance = mixed_statistics(self, codes.statistics)
        if maps is None or not maps.uses(self.name):
            gamma, beta = self.gamma_beta(codes.condition(block))
            return plain_norm(x, mean, variance, self.eps, gamma, beta, relu=True)
        gammas, betas = self.gamma_beta(codes.conditions(block, maps.classes))
        weights = maps.at(self.name, x.shape[-2:])
        return spatial_norm(x, mean, variance, self.eps, gammas, betas, weights, relu=True)


class OutputNorm(nn.Module):
    """The last norm, the same for all classes, with ReLU."""

    def __init__(self, channels: int, settings: BigGANSettings) -> None:
        super().__init__()
        self.eps = settings.norm_eps
        self.gain_is_added = settings.gain_is_added
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(settings.statistics, channels))
        self.register_buffer("variance", torch.ones(settings.statistics, channels))

    def forward(self, x: Tensor, codes: BigGANCodes) -> Tensor:
        mean, variance = mixed_statistics(self, codes.statistics)
        gamma, beta = _acting(self.gamma, self.beta, self.gain_is_added)
        return plain_norm(x, mean, variance, self.eps, gamma, beta, relu=True)


def _acting(gamma: Tensor, beta: Tensor, gain_is_added: bool) -> tuple[Tensor, Tensor]:
    return (torch.ones_like(gamma), gamma + beta) if gain_is_added else (gamma, beta)


def mixed_statistics(
    norm: ConditionalNorm | OutputNorm, rows: tuple[tuple[int, float], ...]
) -> tuple[Tensor, Tensor]:
    """(C,) mean and variance from the stored rows."""
    mean, variance = norm.get_buffer("mean"), norm.get_buffer("variance")
    if len(rows) == 1:
        return mean[rows[0][0]], variance[rows[0][0]]
    chosen = [index for index, _ in rows]
    weights = mean.new_tensor([weight for _, weight in rows])
    return weights @ mean[chosen], weights @ variance[chosen]


class Attention(nn.Module):
    """Self-attention over positions; keys and values are halved in size by maximum pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner, values = channels // 8, channels // 2
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.output = nn.Conv2d(values, channels, 1, bias=False)
        self.attention_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        def positions(features: Tensor) -> Tensor:
            return features.flatten(2).transpose(1, 2)[:, None]  # (B, 1, HW, C)

        found = scaled_dot_product_attention(
            positions(self.query(x)),
            positions(max_pool2d(self.key(x), 2)),
            positions(max_pool2d(self.value(x), 2)),
            scale=1.0,
        )
        found = found[:, 0].transpose(1, 2).unflatten(2, x.shape[-2:])  # (B, C / 2, H, W)
        return x + self.attention_gain * self.output(found)


def doubled(x: Tensor) -> Tensor:
    """Every cell four times."""
    return interpolate(x, scale_factor=2, mode="nearest")


def doubled_convolution(x: Tensor, conv: nn.Conv2d, kept: Kept) -> Tensor:
    """A 3x3 convolution of the doubled features; at larger sizes in under half of the time."""
    if x.device.type == "cpu" and x.shape[-1] >= JOINED_FROM:
        return upsampled_convolution(x, conv.weight, conv.bias, kept)
    return conv(doubled(x))


class BasicBlock(nn.Module):
    """BigGAN's block: norm, doubling, 3x3, norm, 3x3, and a 1x1 convolution around them."""

    def __init__(self, block: BlockSettings, settings: BigGANSettings) -> None:
        super().__init__()
        first, second = block.norms
        self.upsample, self._kept = block.upsample, Kept()
        self.norm1 = ConditionalNorm(first, block.inputs, settings)
        self.conv1 = nn.Conv2d(block.inputs, block.hidden, 3, padding=1)
        self.norm2 = ConditionalNorm(second, block.hidden, settings)
        self.conv2 = nn.Conv2d(block.hidden, block.outputs, 3, padding=1)
        self.conv_skip = nn.Conv2d(block.inputs, block.outputs, 1)
        self.attention = Attention(block.outputs) if block.attention else None

    def forward(self, x: Tensor, codes: BigGANCodes, block: int, maps: ClassMaps | None) -> Tensor:
        h = self.norm1(x, codes, block, maps)
        h = doubled_convolution(h, self.conv1, self._kept) if self.upsample else self.conv1(h)
        h = self.conv2(self.norm2(h, codes, block, maps))
        skip = self.conv_skip(x)  # before doubling: the same values for a quarter of the work
        h = h + (doubled(skip) if self.upsample else skip)
        return h if self.attention is None else self.attention(h)


class BottleneckBlock(nn.Module):
    """BigGAN-deep's block: 1x1, two 3x3 and 1x1 convolutions, each after a norm; what goes around
    them loses its last channels where the block has fewer."""

    def __init__(self, block: BlockSettings, settings: BigGANSettings) -> None:
        super().__init__()
        self.upsample, self.outputs, self._kept = block.upsample, block.outputs, Kept()
        widths = (block.inputs, block.hidden, block.hidden, block.hidden)
        norms = [
            ConditionalNorm(name, width, settings)
            for name, width in zip(block.norms, widths, strict=True)
        ]
        self.norm1, self.norm2, self.norm3, self.norm4 = norms
        self.conv1 = nn.Conv2d(block.inputs, block.hidden, 1)
        self.conv2 = nn.Conv2d(block.hidden, block.hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(block.hidden, block.hidden, 3, padding=1)
        self.conv4 = nn.Conv2d(block.hidden, block.outputs, 1)
        self.attention = Attention(block.outputs) if block.attention else None

    def forward(self, x: Tensor, codes: BigGANCodes, block: int, maps: ClassMaps | None) -> Tensor:
        h = self.conv1(self.norm1(x, codes, block, maps))
        h = self.norm2(h, codes, block, maps)
        h = doubled_convolution(h, self.conv2, self._kept) if self.upsample else self.conv2(h)
        h = self.conv3(self.norm3(h, codes, block, maps))
        h = self.conv4(self.norm4(h, codes, block, maps))
        skip = x[:, : self.outputs]
        h = h + (doubled(skip) if self.upsample else skip)
        return h if self.attention is None else self.attention(h)


class JudgeBasicBlock(nn.Module):
    """The discriminator's basic block. The first one of a network takes the picture as it is and
    halves it before its 1x1 convolution; the others begin with ReLU and halve after it."""

    def __init__(self, inputs: int, hidden: int, outputs: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, outputs, 3, padding=1)
        self.conv_skip = nn.Conv2d(inputs, outputs, 1) if skip else None

    def forward(self, x: Tensor, downsample: bool, first: bool) -> Tensor:
        h = self.conv2(relu(self.conv1(x if first else relu(x))))
        # Averaging and a 1x1 convolution can change places; the smaller one is cheaper.
        skip = halved(x) if downsample else x
        if self.conv_skip is not None:
            skip = self.conv_skip(skip)
        return (halved(h) if downsample else h) + skip


class JudgeBottleneckBlock(nn.Module):
    """The discriminator's bottleneck block; channels that are missing on the way around come from a
    1x1 convolution."""

    def __init__(self, inputs: int, hidden: int, outputs: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, hidden, 1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv4 = nn.Conv2d(hidden, outputs, 1)
        self.conv_skip = nn.Conv2d(inputs, outputs - inputs, 1) if skip else None

    def forward(self, x: Tensor, downsample: bool, first: bool) -> Tensor:
        h = relu(self.conv3(relu(self.conv2(relu(self.conv1(relu(x)))))))
        h = self.conv4(halved(h) if downsample else h)
        skip = halved(x) if downsample else x
        if self.conv_skip is not None:
            skip = torch.cat((skip, self.conv_skip(skip)), 1)
        return h + skip


def halved(x: Tensor) -> Tensor:
    """Averages of 2x2 cells."""
    return nn.functional.avg_pool2d(x, 2)


def embedded(y: Tensor, table: Tensor | None, num_classes: int, like: Tensor) -> Tensor:
    """(B, S): class ids (B,) or rows (B, K), embedded by a table (K, S) where there is one."""
    rows = y.to(like.dtype) if y.is_floating_point() else one_hot(y, num_classes).to(like.dtype)
    if table is None:
        return rows
    return rows @ table if y.is_floating_point() else table[y]
