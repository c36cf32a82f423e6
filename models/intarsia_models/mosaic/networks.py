"""The networks of a mosaic: a U-Net over sets of templates, one that refines, and the critic.

Source: Jetchev et al. 2019, arXiv:1910.07236, appendix I. The layout that the paper leaves open is
that of FAMOS (arXiv:1811.09236): an encoder's level is a convolution of stride 2, its first one
without a norm; a decoder's level enlarges by 2 (nearest) and convolves, its last one without a
norm; activations of the same size are joined. All templates of a set go through the same
convolutions.

Deviations: no Tanh in the middle; the refining network may change the collage instead of painting
anew (`MosaicSettings.refinement`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.convolutions import few_results, winograd
from intarsia_models.mosaic import set_layers
from intarsia_models.mosaic.set_attention import SetAttention
from intarsia_models.mosaic.settings import THETA_CHANNELS, MosaicSettings

EPSILON = 1e-5
LEAK = 0.2


class Statistics(NamedTuple):
    """Of a norm's input, for every row of the batch and channel."""

    mean: Tensor
    """(N, C)."""
    variance: Tensor
    """(N, C): the mean squared deviation, without Bessel's correction."""


class SetOutput(NamedTuple):
    """What the first network says of a set."""

    logits: Tensor
    """(B, K, H, W), float32 or more: of the weights, before the softmax over K."""
    theta: Tensor | None
    """Of the warp: (B, K, 2, H, W) for a flow, (B, K, 6) for an affine one; 0 for none at all."""


class PictureNorm(nn.Module):
    """Instance normalisation whose statistics may be those of a larger picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.given: Statistics | None = None
        """Taken instead of those of the input, where set: for tiles of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same; every row and channel with mean 0 and variance 1, then scaled
        and shifted."""
        if self.given is None:
            return _normalised(x, self.weight, self.bias)
        scale, shift = self.factors(self.given)
        return (x * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)

    def factors(self, given: Statistics) -> tuple[Tensor, Tensor]:
        """Scale and shift of the input with given statistics, (N, C) each."""
        mean, variance = (part.to(self.weight.device, torch.float32) for part in given)
        scale = self.weight * torch.rsqrt(variance + EPSILON)
        return scale, self.bias - mean * scale


def _normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if x.shape[-1] * x.shape[-2] == 1:
        return bias[None, :, None, None].expand_as(x).to(x.dtype)  # torch refuses single pixels
    return F.instance_norm(x, weight=weight, bias=bias, eps=EPSILON)


def picture_norms(network: nn.Module) -> list[PictureNorm]:
    """The norms of a network in the order in which they run."""
    return [part for part in network.modules() if isinstance(part, PictureNorm)]


class Level(nn.Module):
    """Convolution, norm, activation and, where asked for, attention over the templates."""

    def __init__(
        self,
        before: int,
        after: int,
        settings: MosaicSettings,
        *,
        shrinks: bool,
        norm: bool,
        last: bool = False,
        sets: bool = False,
    ) -> None:
        super().__init__()
        self.shrinks = shrinks
        self.convolution = nn.Conv2d(
            before, after, settings.kernel, stride=2 if shrinks else 1, padding=settings.kernel // 2
        )
        self.norm = PictureNorm(after) if norm and settings.norm == "instance" else None
        self.leak = LEAK if shrinks and settings.activation == "leaky" else 0.0
        self.last = last
        self.sets = None
        if sets:
            self.sets = SetAttention(
                after,
                heads=settings.heads,
                feed_forward=settings.feed_forward,
                induced=settings.induced,
                norm_first=settings.norm_first,
            )

    def forward(self, x: Tensor, count: int, present: Tensor | None) -> Tensor:
        """(N, C, H, W) to half or twice the size."""
        x = self.convolve(x)
        if self.norm is not None:
            x = self.norm(x)
        return self.finish(x, count, present)

    def convolve(self, x: Tensor, *, padded: bool = False) -> Tensor:
        """What the norm gets; ``padded``: with the surroundings that the kernel sees, which are
        zeros beyond the picture."""
        weight, bias = self.convolution.weight, self.convolution.bias
        if self.shrinks and padded:
            return F.conv2d(x, weight, bias, stride=2)
        if self.shrinks:
            return self.convolution(x)
        return enlarged_convolution(x, weight, bias, padded=padded)

    def finish(self, x: Tensor, count: int, present: Tensor | None) -> Tensor:
        """What follows the norm."""
        if self.last:
            return x
        x = F.leaky_relu(x, self.leak) if self.leak else F.relu(x)
        return x if self.sets is None else self.sets(x, count, present)

    def activate(self, x: Tensor, count: int, into: Tensor) -> None:
        """Norm, with its given statistics, and what follows it, into (N, H, W, C) float32;
        without gradients. ``x`` may be changed."""
        scale = shift = None
        if self.norm is not None:
            assert self.norm.given is not None
            scale, shift = self.norm.factors(self.norm.given)
        if self.sets is not None and set_layers.computable(self.sets, x):
            options = {"scale": scale, "shift": shift, "leak": self.leak, "into": into}
            set_layers.mixed(self.sets, x, count, **options)
            return
        if scale is not None and shift is not None:
            x = x.float().mul_(scale[:, :, None, None]).add_(shift[:, :, None, None])
        into.copy_(self.finish(x, count, None).permute(0, 2, 3, 1))


class UNet(nn.Module):
    """Encoder and decoder; rows of the batch only meet in attention over sets."""

    def __init__(
        self, inputs: int, outputs: int, settings: MosaicSettings, *, width: int = 0, sets: bool
    ) -> None:
        """Make one.

        Args:
            inputs: Channels.
            outputs: Channels.
            settings: Depth, kernel, norm and attention.
            width: Channels at half size instead of ``settings.width``.
            sets: Whether there is attention over sets.
        """
        super().__init__()
        depth = settings.depth
        places = settings.levels_with_sets if sets else ()
        widths = [settings.channels(level, width) for level in range(1, depth + 1)]
        self.encoder = nn.ModuleList(
            Level(
                widths[n - 1] if n else inputs,
                widths[n],
                settings,
                shrinks=True,
                norm=n > 0,
                sets=n + 1 in places,
            )
            for n in range(depth)
        )
        self.decoder = nn.ModuleList()
        for n in reversed(range(depth)):  # from level n + 1 to level n, which is the full size at 0
            last = n == 0
            joined = widths[n] if n == depth - 1 else 2 * widths[n]
            level = Level(
                joined,
                outputs if last else widths[n - 1],
                settings,
                shrinks=False,
                norm=not last,
                last=last,
                sets=n in places and not last and n < depth,
            )
            self.decoder.append(level)

    @property
    def last(self) -> nn.Conv2d:
        """The convolution that makes the result."""
        level = self.decoder[-1]
        assert isinstance(level, Level)
        return level.convolution

    def forward(self, x: Tensor, count: int = 1, present: Tensor | None = None) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W); H and W multiples of 2 ** depth."""
        kept = []
        for level in self.encoder:
            x = level(x, count, present)
            kept.append(x)
        kept.pop()
        for level in self.decoder:
            x = level(x, count, present)
            if kept:
                x = torch.cat([x, kept.pop()], 1)
        return x


def enlarged_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, padded: bool = False
) -> Tensor:
    """Convolve the picture of twice the size (nearest neighbours, zeros around it) without making
    it: each of the four results per pixel is a smaller convolution.

    Args:
        x: (N, C, H, W).
        weight: (D, C, n, n), n odd.
        bias: (D,).
        padded: Whether ``x`` has the (n + 1) // 4 pixels around it that the kernel sees, which
            then are not in the result.

    Returns:
        (N, D, 2 H, 2 W).
    """
    folds = _folds(weight.shape[-1]).to(weight)  # (2, m, n)
    small = torch.einsum("pan,qbm,dcnm->dpqcab", folds, folds, weight)
    small = small.flatten(0, 2)  # (4 D, C, m, m)
    four = None if bias is None else bias.repeat_interleave(4)
    around = 0 if padded else small.shape[-1] // 2
    return F.pixel_shuffle(_convolved(x, small, four, around), 2)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, around: int) -> Tensor:
    """With so many zeros around the picture."""
    plain = torch.is_grad_enabled() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if not plain and around < 2 and winograd.worthwhile(x, weight):
        return winograd.convolved(x, winograd.filter_factors(weight), border=around, bias=bias)
    if not plain and not around and bias is not None and few_results.worthwhile(x, weight):
        # one picture after the other: what lies between stays in the cache
        return torch.cat([few_results.convolved(one, weight, bias) for one in x.split(1)])
    return F.conv2d(x, weight, bias, padding=around)


def _folds(kernel: int) -> Tensor:
    """(2, m, kernel): which small tap each tap of an odd or even position falls on."""
    half = kernel // 2
    reach = (half + 1) // 2
    folds = torch.zeros(2, 2 * reach + 1, kernel)
    for phase in range(2):
        for tap in range(kernel):
            folds[phase, (phase + tap - half) // 2 + reach, tap] = 1.0
    return folds


class SetUNet(nn.Module):
    """From templates, and a content, to the weights of the templates."""

    def __init__(self, settings: MosaicSettings) -> None:
        super().__init__()
        self.settings = settings
        self.unet = UNet(
            6 if settings.guided else 3, 1 + THETA_CHANNELS[settings.warp], settings, sets=True
        )

    def forward(
        self, templates: Tensor, content: Tensor | None, present: Tensor | None = None
    ) -> SetOutput:
        """Logits and warps.

        Args:
            templates: (B, K, 3, H, W) in [-1, 1], H and W multiples of ``settings.multiple``.
            content: (B, 3, H, W) in [-1, 1] for guided networks, else None.
            present: (B, K) bool: templates that are there; None: all. The logits of others are
                -inf.
        """
        sets, count = templates.shape[:2]
        made = at_least_float32(self.unet(self.joined(templates, content), count, present))
        return self.read(made.unflatten(0, (sets, count)), present)

    def joined(self, templates: Tensor, content: Tensor | None) -> Tensor:
        """(B K, channels, H, W): what the U-Net gets."""
        x = templates
        if content is not None:
            x = torch.cat([x, content[:, None].expand_as(templates)], 2)
        return x.flatten(0, 1).contiguous(memory_format=torch.channels_last)

    def read(self, made: Tensor, present: Tensor | None = None) -> SetOutput:
        """Logits and warps from the network's (B, K, channels, H, W)."""
        logits = made[:, :, 0]
        bound = self.settings.logit_bound
        if bound:
            logits = bound * torch.tanh(logits / bound)
        if present is not None:
            logits = logits.masked_fill(~present[:, :, None, None], -torch.inf)
        if self.settings.warp == "none":
            return SetOutput(logits, None)
        reach = self.settings.warp_reach
        theta = made[:, :, 1:]
        if self.settings.warp == "affine":
            return SetOutput(logits, reach * torch.tanh(theta.mean((-2, -1))))
        return SetOutput(logits, reach * torch.tanh(theta))


class RefinementUNet(nn.Module):
    """From the collage to the result."""

    def __init__(self, settings: MosaicSettings) -> None:
        super().__init__()
        self.residual = settings.refinement == "residual"
        self.unet = UNet(3, 3, settings, width=settings.refine_width or settings.width, sets=False)

    def forward(self, collage: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to the same."""
        made = self.unet(collage.contiguous(memory_format=torch.channels_last))
        return self.finish(made, collage)

    def finish(self, made: Tensor, collage: Tensor) -> Tensor:
        """The result from what the U-Net made and the collage."""
        change = torch.tanh(at_least_float32(made))
        if not self.residual:
            return change
        # towards black or white, never beyond them
        return collage * (1.0 - change.abs()) + change


class PatchCritic(nn.Module):
    """Tells patches of real templates from mosaics, place by place (PatchGAN)."""

    def __init__(
        self, *, width: int = 128, depth: int = 6, cap: int = 1024, norm: str = "instance"
    ) -> None:
        """Make one.

        Args:
            width: Channels of the first layer, doubled at every further one.
            depth: Layers; each halves the size.
            cap: Channels at most.
            norm: "instance", "batch" or "none", between the first and the last layer.
        """
        super().__init__()
        widths = [min(cap, width << n) for n in range(depth - 1)]
        parts: list[nn.Module] = []
        before = 3
        for n, after in enumerate((*widths, 1)):
            parts.append(nn.Conv2d(before, after, 5, stride=2, padding=2))
            if n == depth - 1:
                break
            if n and norm != "none":
                parts.append(PictureNorm(after) if norm == "instance" else nn.BatchNorm2d(after))
            parts.append(nn.LeakyReLU(LEAK))
            before = after
        self.layers = nn.Sequential(*parts)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to scores (B, 1, h, w): above 0 means real."""
        return at_least_float32(self.layers(pictures.contiguous(memory_format=torch.channels_last)))


def at_least_float32(x: Tensor) -> Tensor:
    """Halves as float32, everything else as it is."""
    return x.float() if x.dtype.itemsize < 4 else x


def initialize(network: nn.Module, seed: int) -> None:
    """Fresh weights as in the paper's GANs: convolutions N(0, 0.02), linear layers as torch's.

    Warps and refinements of a collage begin by changing nothing.

    Args:
        network: Changed in place.
        seed: The global random numbers are left alone.
    """
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.normal_(0.0, 0.02, generator=source)
                nn.init.zeros_(_of(part.bias))
            elif isinstance(part, nn.Linear):
                bound = part.in_features**-0.5
                part.weight.uniform_(-bound, bound, generator=source)
                nn.init.zeros_(_of(part.bias))
            elif isinstance(part, SetAttention) and part.points is not None:
                part.points.normal_(0.0, part.points.shape[1] ** -0.5, generator=source)
        for weight in _idle_weights(network):
            weight.zero_()


def _idle_weights(network: nn.Module) -> Iterator[Tensor]:
    """Of last convolutions: of refinements of a collage, and of warps."""
    for part in network.modules():
        if isinstance(part, RefinementUNet) and part.residual:
            yield part.unet.last.weight
        elif isinstance(part, SetUNet):
            yield part.unet.last.weight[1:]


def _of(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
