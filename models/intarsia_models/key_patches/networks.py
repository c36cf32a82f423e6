"""Part encoder, mask network, image network and critic.

Source: Lee et al. 2018, arXiv:1703.10730, supplement, table 2 (256 px; smaller ones leave out
512-channel layers, as the public code does), and for what the table leaves open the public code:
the encodings of the parts are summed at every layer, the mask network's decoder is joined to these
sums, and the image network's to what the mask network's layers saw.

Deviations: the critic gives logits, whose sigmoid is the table's (the losses take logits, which
never overflow); with a kernel of 5 the public code's padding of 2; batch norms see all parts of a
batch together, where the public code encodes the first parts of all pictures, then the second ones:
so what comes out does not depend on their order in training either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.key_patches.settings import KeyPatchSettings

SLOPE = 0.2
SPREAD = 0.02
"""Standard deviation of fresh filters (supplement, section 1)."""
BOTTOM = 4
"""Side of the smallest feature maps."""


class Encoded(NamedTuple):
    """What the part encoder makes of the parts of pictures, summed over them."""

    embedding: Tensor
    """(B, embedding, 1, 1)."""
    features: list[Tensor]
    """Of each halving layer: (B, C, R / 2, R / 2) to (B, C, 4, 4)."""

    def sources(self) -> list[Tensor]:
        """What a decoder's layers are joined to: the features, smallest first."""
        return self.features[::-1]


class Decoded(NamedTuple):
    """What a decoder makes."""

    output: Tensor
    """(B, C, R, R), before its last function."""
    seen: list[Tensor]
    """What each doubling layer took in, smallest first."""


class PartEncoder(nn.Module):
    """Parts to features whose sum does not depend on their order."""

    def __init__(self, settings: KeyPatchSettings) -> None:
        """Make one with torch's own fresh weights; see `initialize`."""
        super().__init__()
        self.trunk = Halvings(settings.channels(settings.width), settings.kernel)
        self.embed = nn.Conv2d(self.trunk.channels[-1], settings.embedding, BOTTOM)

    def forward(self, patches: Tensor) -> Encoded:
        """Encode and sum.

        Args:
            patches: (B, N, 3, R, R) in [-1, 1].
        """
        count, parts = patches.shape[:2]
        features = self.trunk(patches.flatten(0, 1))
        embedding = F.leaky_relu(self.embed(features[-1]), SLOPE)
        summed = [_summed(layer, count, parts) for layer in (*features, embedding)]
        return Encoded(summed[-1], summed[:-1])


class Halvings(nn.Module):
    """Convolutions that halve the side; the first one without a norm."""

    def __init__(self, channels: Sequence[int], kernel: int) -> None:
        """Make the layers.

        Args:
            channels: After each of them.
            kernel: 4 (padding 1) or 5 (padding 2).
        """
        super().__init__()
        self.channels = tuple(channels)
        before = (3, *self.channels[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=2, padding=(kernel - 1) // 2)
            for a, b in zip(before, self.channels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in self.channels[1:])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, R, R) to the features of every layer, largest first."""
        features: list[Tensor] = []
        for level, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if level:
                x = self.norms[level - 1](x)
            x = F.leaky_relu(x, SLOPE)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Numbers to a picture, by layers that double the side and may be joined to other features."""

    def __init__(
        self,
        numbers: int,
        channels: Sequence[int],
        joined: Sequence[int],
        outputs: int,
        kernel: int,
    ) -> None:
        """Make the layers.

        Args:
            numbers: Of the input.
            channels: At each side from `BOTTOM` on.
            joined: Channels of what joins the layers' input; zeros: nothing joins.
            outputs: Channels at full size.
            kernel: 4 (padding 1) or 5 (padding 2 and one row and column more).
        """
        super().__init__()
        self.start = nn.ConvTranspose2d(numbers, channels[0], BOTTOM)
        after = (*channels[1:], outputs)
        self.doublings = nn.ModuleList(
            nn.ConvTranspose2d(
                own + other,
                out,
                kernel,
                stride=2,
                padding=(kernel - 1) // 2,
                output_padding=kernel - BOTTOM,
            )
            for own, other, out in zip(channels, joined, after, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)

    def forward(self, numbers: Tensor, sources: Sequence[Tensor] = ()) -> Decoded:
        """Decode.

        Args:
            numbers: (B, n, 1, 1).
            sources: What joins each layer's input, smallest first; empty where nothing does.
        """
        x = self.start(numbers)
        seen: list[Tensor] = []
        for level, doubling in enumerate(self.doublings):
            x = F.relu(self.norms[level](x))
            if sources:
                x = torch.cat((x, sources[level]), 1)
            seen.append(x)
            x = doubling(x)
        return Decoded(x, seen)


class MaskNetwork(Decoder):
    """Where the parts go."""

    def __init__(self, settings: KeyPatchSettings) -> None:
        """Make one with torch's own fresh weights."""
        channels = settings.channels(settings.width)[::-1]
        super().__init__(settings.embedding, channels, channels, 1, settings.kernel)

    def place(self, encoded: Encoded) -> tuple[Tensor, list[Tensor]]:
        """The placement (B, 1, R, R) in [0, 1], and what the image network joins."""
        decoded = self(encoded.embedding, encoded.sources())
        return torch.sigmoid(decoded.output.float()), decoded.seen


class ImageNetwork(Decoder):
    """The whole picture."""

    def __init__(self, settings: KeyPatchSettings) -> None:
        """Make one with torch's own fresh weights."""
        channels = settings.channels(settings.width)[::-1]
        times = 2 if settings.has_placement else int(settings.has_skips)
        joined = [times * count for count in channels]
        numbers = settings.embedding + settings.z_dim
        super().__init__(numbers, channels, joined, 3, settings.kernel)

    def paint(self, encoded: Encoded, sources: Sequence[Tensor], z: Tensor | None) -> Tensor:
        """(B, 3, R, R) in [-1, 1].

        Args:
            encoded: The parts.
            sources: What the mask network saw, or the encoder's features, or nothing.
            z: (B, z_dim) where the network takes random numbers.
        """
        numbers = encoded.embedding
        if z is not None:
            numbers = torch.cat((numbers, z[:, :, None, None].to(numbers)), 1)
        return torch.tanh(self(numbers, sources).output.float())


class PartGenerator(nn.Module):
    """The three networks together: parts to a whole."""

    def __init__(self, settings: KeyPatchSettings, *, seed: int | None = 0) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves the weights
                for whoever loads some.
        """
        super().__init__()
        self.settings = settings
        self.encoder = PartEncoder(settings)
        self.mask_network = MaskNetwork(settings) if settings.has_placement else None
        self.image_network = ImageNetwork(settings)
        if seed is not None:
            initialize(self, seed)

    def forward(self, patches: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Make wholes.

        Args:
            patches: (B, N, 3, R, R) in [-1, 1].
            z: (B, z_dim) in [-1, 1]; None where the network takes none.

        Returns:
            Pictures (B, 3, R, R) in [-1, 1] and placements (B, 1, R, R) in [0, 1], None without a
            mask network; both float32.

        Raises:
            ValueError: A shape is another one.
        """
        self._check(patches, z)
        encoded = self.encoder(patches)
        placement = None
        sources = encoded.sources() if self.settings.has_skips else []
        if self.mask_network is not None:
            placement, sources = self.mask_network.place(encoded)
        return self.image_network.paint(encoded, sources, z), placement

    def _check(self, patches: Tensor, z: Tensor | None) -> None:
        side = self.settings.resolution
        if patches.ndim != 5 or patches.shape[2:] != (3, side, side) or not patches.shape[1]:
            raise ValueError(
                f"patches must be (B, N, 3, {side}, {side}), got {tuple(patches.shape)}."
            )
        wanted = (len(patches), self.settings.z_dim) if self.settings.z_dim else None
        if (None if z is None else tuple(z.shape)) != wanted:
            raise ValueError(f"z must be {wanted}, got {None if z is None else tuple(z.shape)}.")


class PartCritic(nn.Module):
    """Tells real pictures from made ones and from composites of two."""

    def __init__(self, settings: KeyPatchSettings, *, seed: int | None = 0) -> None:
        """Make one with fresh weights; arguments as `PartGenerator`."""
        super().__init__()
        self.settings = settings
        self.trunk = Halvings(settings.channels(settings.critic_width), settings.kernel)
        self.score = nn.Conv2d(self.trunk.channels[-1], 1, BOTTOM)
        if seed is not None:
            initialize(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] to logits (B, 1) of being real."""
        return self.score(self.features(x)).flatten(1).float()

    def features(self, x: Tensor) -> Tensor:
        """(B, C, 4, 4): what the score is made of."""
        return self.trunk(x)[-1]


def initialize(network: nn.Module, seed: int) -> None:
    """Filters N(0, 0.02), biases zero (supplement, section 1); norms stay one and zero."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                part.weight.normal_(0.0, SPREAD, generator=source)
                if part.bias is not None:
                    part.bias.zero_()


def _summed(layer: Tensor, count: int, parts: int) -> Tensor:
    """(count * parts, C, h, w) to (count, C, h, w)."""
    return layer.unflatten(0, (count, parts)).sum(1)
