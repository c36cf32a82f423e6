"""Two other ways to make a mosaic, to compare with: the modes of FAMOS.

Source: Jetchev et al. 2018, arXiv:1811.09236 (FAMOS), which arXiv:1910.07236 (MAGIC) compares with
in its appendix III: a network that paints by itself ("fully parametric"), and one that mixes a
fixed, ordered list of templates ("memory template copying") and refines the mix.

Deviations: both use this package's U-Net, refinement, critic and losses, so that only the way of
mixing differs. The fixed memory sees its templates as further channels, in their order, where
FAMOS is said to memorise what lies at which coordinate; FAMOS also adds global and periodic noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia_models.mosaic.model import Mosaic, MosaicNetwork
from intarsia_models.mosaic.networks import RefinementUNet, SetOutput, UNet
from intarsia_models.mosaic.pooling import normalized, pooled
from intarsia_models.mosaic.settings import MosaicSettings

NOISE_BLOCK = 128
"""Pixels whose noise is drawn at once."""


class ParametricNetwork(MosaicNetwork):
    """Paints the pixels itself, from the content and noise; the templates are for the critic."""

    def __init__(self, settings: MosaicSettings) -> None:
        """Make one.

        Raises:
            ValueError: It would have nothing to start from: neither content nor noise.
        """
        super().__init__()
        inputs = settings.noise_channels + (3 if settings.guided else 0)
        if not inputs:
            raise ValueError(
                "A parametric mosaic without a content needs noise_channels above 0, got 0."
            )
        self.settings = settings
        self.unet = UNet(inputs, 3, settings, sets=False)

    def joined(self, content: Tensor | None, noise: Tensor | None) -> Tensor:
        """(B, channels, H, W): what the U-Net gets; arguments as of `MosaicNetwork.compose`.

        Raises:
            ValueError: The noise is missing or not of the right shape.
        """
        channels = self.settings.noise_channels
        if channels and (noise is None or noise.ndim != 4 or noise.shape[1] != channels):
            got = None if noise is None else tuple(noise.shape)
            raise ValueError(f"noise must be (B, {channels}, H, W), got {got}.")
        parts = [part for part in (content, noise if channels else None) if part is not None]
        return torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)

    def finish(self, made: Tensor) -> Tensor:
        """The picture from what the U-Net made."""
        return torch.tanh(made.float())

    def compose(
        self,
        content: Tensor | None,
        templates: Tensor,
        present: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Mosaic:
        """See `MosaicNetwork.compose`; ``templates`` are not looked at and there are no weights."""
        picture = self.finish(self.unet(self.joined(content, noise)))
        return Mosaic(picture, picture, None)


class FixedMemoryNetwork(MosaicNetwork):
    """Weights for a fixed, ordered list of templates: channel k is of template k."""

    def __init__(self, settings: MosaicSettings) -> None:
        super().__init__()
        self.settings = settings
        inputs = 3 * settings.slots + (3 if settings.guided else 0)
        self.unet = UNet(inputs, settings.slots, settings, sets=False)
        self.refinement = RefinementUNet(settings) if settings.refine else None

    def output(
        self, content: Tensor | None, templates: Tensor, present: Tensor | None = None
    ) -> SetOutput:
        """Logits; arguments as of `MosaicNetwork.compose`.

        Raises:
            ValueError: It was made for another number of templates.
        """
        slots = self.settings.slots
        if templates.shape[1] != slots or present is not None:
            raise ValueError(
                f"This mosaic has a fixed memory of {slots} templates, got {templates.shape[1]}."
            )
        return self.read(self.unet(self.joined(templates, content)))

    def joined(self, templates: Tensor, content: Tensor | None) -> Tensor:
        """(B, channels, H, W): what the U-Net gets."""
        seen = templates.flatten(1, 2)
        if content is not None:
            seen = torch.cat([content, seen], 1)
        return seen.contiguous(memory_format=torch.channels_last)

    def read(self, made: Tensor) -> SetOutput:
        """Logits from the U-Net's (B, K, H, W)."""
        logits, bound = made.float(), self.settings.logit_bound
        return SetOutput(bound * torch.tanh(logits / bound) if bound else logits, None)

    def compose(
        self,
        content: Tensor | None,
        templates: Tensor,
        present: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Mosaic:
        """See `MosaicNetwork.compose`."""
        weights = normalized(self.output(content, templates, present).logits)
        collage = pooled(weights, templates)
        picture = collage if self.refinement is None else self.refinement(collage)
        return Mosaic(picture, collage, weights)


def baseline_network(settings: MosaicSettings) -> MosaicNetwork:
    """The generator of the styles "parametric" and "fixed_memory".

    Raises:
        ValueError: The style is another one, or it warps, which only "magic" does.
    """
    if settings.warp != "none":
        raise ValueError(f'warp belongs to the style "magic", got {settings.style!r}.')
    if settings.style == "parametric":
        return ParametricNetwork(settings)
    if settings.style == "fixed_memory":
        return FixedMemoryNetwork(settings)
    raise ValueError(f"{settings.style!r} is no style to compare with.")


def noise_area(seed: int, channels: int, top: int, left: int, height: int, width: int) -> Tensor:
    """(1, channels, height, width) from N(0, 1), of an endless canvas of noise: the same place
    always has the same noise, whatever area is asked for; places are at least 0."""
    first_row, first_column = top // NOISE_BLOCK, left // NOISE_BLOCK
    rows = range(first_row, (top + height - 1) // NOISE_BLOCK + 1)
    columns = range(first_column, (left + width - 1) // NOISE_BLOCK + 1)
    whole = torch.cat(
        [torch.cat([_block(seed, channels, r, c) for c in columns], 2) for r in rows], 1
    )
    y, x = top - first_row * NOISE_BLOCK, left - first_column * NOISE_BLOCK
    return whole[None, :, y : y + height, x : x + width]


def _block(seed: int, channels: int, row: int, column: int) -> Tensor:
    source = torch.Generator().manual_seed((seed * 1_000_003 + row) * 1_000_003 + column)
    return torch.randn(channels, NOISE_BLOCK, NOISE_BLOCK, generator=source)
