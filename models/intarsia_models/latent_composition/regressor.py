"""The masked regressor: from the known parts of a picture to the latent of a whole one.

Source: Chai et al. 2021, arXiv:2103.10426, section 3.1-3.2 and appendix A.1.1: a ResNet (He et al.
2016, arXiv:1512.03385) whose fourth input channel is the known area m, and whose colours are
x m. For a ProGAN ResNet-18 with a linear layer on the mean features, at the picture's own size; for
a StyleGAN ResNet-34 on 256 px with a 1x1 convolution to all styles, then the mean.

Parts are named as torchvision's, so that public weights fit by name.

Deviations: generators with classes get a second head that reads the class, which the paper's
unconditional generators do not need; features may be read place by place instead of as their mean
(`RegressorSettings.grid`); latents may be given the length of random ones, which the paper's ProGAN
does itself (`RegressorSettings.typical_length`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize
from torchvision.models.resnet import BasicBlock

from intarsia_models.latent_composition.settings import BLOCKS, RegressorSettings

STAGES = 4
STYLE_BIAS = 0.01
"""Biases of a fresh regressor of styles, as in the public code."""


class Reading(NamedTuple):
    """What a regressor reads from one look at a picture."""

    latent: Tensor
    """(B, z_dim), or (B, L, w_dim)."""
    class_logits: Tensor | None
    """(B, num_classes); None where it tells no classes apart."""


class MaskedRegressor(nn.Module):
    """See the module's text."""

    def __init__(self, settings: RegressorSettings, *, seed: int | None = 0) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves the weights
                for whoever loads some.
        """
        super().__init__()
        self.settings = settings
        width = settings.width
        channels = 4 if settings.sees_known else 3
        self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=1 if settings.small_input else 2, padding=1)
        before = width
        for stage, blocks in enumerate(BLOCKS[settings.depth]):
            after = width << stage
            self.add_module(f"layer{stage + 1}", _stage(before, after, blocks, 2 if stage else 1))
            before = after
        numbers = settings.vectors * settings.dims
        if settings.latent == "z":
            self.fc = nn.Linear(before * settings.grid**2, numbers)
        else:
            self.layer5 = nn.Sequential()
            self.layer5.add_module("conv5", nn.Conv2d(before, numbers, 1))
        self.classes = nn.Linear(before, settings.num_classes) if settings.num_classes else None
        if seed is not None:
            _initialize(self, seed)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """The latent of a picture of which parts are known.

        Args:
            x: (B, 3, H, W) in [-1, 1]. What lies in unknown places does not matter.
            known: (B, 1, H, W) or (1, 1, H, W) in [0, 1], 1 where the picture counts. Always in
                [0, 1], whatever the network itself wants (`RegressorSettings.mask_encoding`), and
                never changed in place. Where it lies between, colours count as x known, like a
                half-transparent piece over mid-grey. None: everything is known.

        Returns:
            (B, z_dim), or (B, L, w_dim), float32.

        Raises:
            ValueError: A shape or the range of ``known`` is another one.
        """
        return self.read(x, known).latent

    def read(self, x: Tensor, known: Tensor | None = None) -> Reading:
        """The latent and the class, from one pass; arguments as `forward`."""
        features = self.features(x, known)
        if self.settings.latent == "z":
            latent = self.fc(adaptive_avg_pool2d(features, self.settings.grid).flatten(1))
        else:
            latent = self.layer5(features).mean((2, 3)).unflatten(1, (self.settings.vectors, -1))
        latent = latent.float()
        if self.settings.typical_length:
            latent = normalize(latent, dim=-1) * math.sqrt(self.settings.dims)
        logits = None if self.classes is None else self.classes(features.mean((2, 3))).float()
        return Reading(latent, logits)

    def features(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """(B, C, h, w): the trunk's last features; arguments as `forward`."""
        found = self.maxpool(torch.relu(self.bn1(self.conv1(self.seen(x, known)))))
        for stage in range(1, STAGES + 1):
            found = getattr(self, f"layer{stage}")(found)
        return found

    def seen(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """(B, 4, h, w): colours of the known parts and the known area as the network takes it.

        Three channels where it sees no area; arguments as `forward`.
        """
        known = self._checked(x, known)
        parts = [x * known]
        if self.settings.sees_known:
            half = 0.5 if self.settings.mask_encoding == "centred" else 0.0
            parts.append((known - half).expand(len(x), -1, -1, -1))
        stacked = torch.cat(parts, 1)
        side = self.settings.input_size
        if side is not None and stacked.shape[-2:] != (side, side):
            stacked = interpolate(stacked, (side, side), mode="area")
        return stacked

    def _checked(self, x: Tensor, known: Tensor | None) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(f"x must be (B, 3, H, W), got {tuple(x.shape)}.")
        if known is None:
            return x.new_ones((1, 1, *x.shape[2:]))
        fits = known.ndim == 4 and known.shape[0] in (1, len(x)) and known.shape[1] == 1
        if not fits or known.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"known must be ({len(x)}, 1, {x.shape[2]}, {x.shape[3]}), "
                f"got {tuple(known.shape)}."
            )
        if not self.training and known.numel():  # reading values waits for the device
            low, high = (float(value) for value in known.aminmax())
            if not (low >= 0.0 and high <= 1.0):
                raise ValueError(
                    f"known must lie in [0, 1], 1 where the picture counts, got values from "
                    f"{low:g} to {high:g}."
                )
        return known.to(x.dtype)


def build_regressor(values: dict[str, object], tensors: dict[str, Tensor]) -> MaskedRegressor:
    """A regressor from its settings and tensors.

    Args:
        values: `RegressorSettings.to_dict`.
        tensors: By the module's names (``conv1.weight``, …), float32.

    Raises:
        TypeError, ValueError: The values are no settings.
        RuntimeError: A tensor is missing, unknown or of another shape.
    """
    with torch.device("meta"):  # nothing is allocated for sizes that no tensor has
        regressor = MaskedRegressor(RegressorSettings.from_dict(values), seed=None)
    regressor.load_state_dict(tensors, strict=True, assign=True)
    return regressor.eval().requires_grad_(False)


def _stage(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    """Residual blocks; the first changes size and channels."""
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
        )
    first = BasicBlock(before, after, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(after, after) for _ in range(blocks - 1)))


def _initialize(regressor: MaskedRegressor, seed: int) -> None:
    """He-normal convolutions, norms of one and zero; heads as torch's, those of styles as the
    public code's."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in regressor.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(
                    part.weight, mode="fan_out", nonlinearity="relu", generator=source
                )
                if part.bias is not None:
                    part.bias.fill_(STYLE_BIAS)
            elif isinstance(part, nn.Linear):
                bound = part.in_features**-0.5
                part.weight.uniform_(-bound, bound, generator=source)
                part.bias.uniform_(-bound, bound, generator=source)
