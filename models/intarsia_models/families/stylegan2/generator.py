"""The generator of StyleGAN2.

Source: Karras et al. 2020, arXiv:1912.04958; classes as in Karras et al. 2020, arXiv:2006.06676.
Classes by position are not in those papers: the styles of the classes are mixed by the map, as
Suzuki et al. 2018 (arXiv:1811.10153, eq. 2) mix scales; see `StyledConvolution.forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia_models.families.stylegan2.discriminator import StyleGAN2Discriminator
from intarsia_models.families.stylegan2.fir_filters import FIRFilter
from intarsia_models.families.stylegan2.layers import MappingNetwork, StyledConvolution, ToRGB
from intarsia_models.families.stylegan2.settings import (
    GeneratorSettings,
    convolution_name,
    convolution_size,
    size_name,
)
from intarsia_models.families.stylegan2.style_codes import (
    StyleCodes,
    checked_styles,
    noise_maps,
    truncated,
)
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, NormLayer, State

MEAN_SAMPLES = 1024
"""Latents over which the mean style of a class is taken."""
MEAN_SEED = 0


class StyleGAN2Generator(Generator):
    """StyleGAN2 with styles per layer (W+), truncation, noise and, where it has them, classes.

    Levels are the blocks b4, b8, …; a level's state is (features, running RGB picture). Each styled
    convolution (b8.conv0) and each layer of colours (b8.torgb) can have its own class map.
    """

    family = "stylegan2"
    w_avg: Tensor

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.sizes = settings
        self.resolution = settings.resolution
        self.z_dim = settings.z_dim
        self.w_dim = settings.w_dim
        self.num_classes = settings.num_classes
        capabilities = {"w_plus", "noise", "truncation"}
        if settings.num_classes:
            capabilities |= {"classes", "spatial_classes"}
        self.capabilities = frozenset(capabilities)
        channels = settings.channels
        self.layers = tuple(
            EditPoint(size_name(4 << level), 4 << level, width)
            for level, width in enumerate(channels)
        )
        self.norm_layers = _norm_layers(settings)
        self.mapping = MappingNetwork(
            settings.z_dim, settings.w_dim, settings.mapping_layers, settings.num_classes
        )
        self.fir = FIRFilter(settings.taps)
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.convs = nn.ModuleList(self._convolution(i) for i in range(settings.convolutions))
        self.to_rgb = nn.ModuleList(ToRGB(c, settings.w_dim, settings.clamp) for c in channels)
        self.register_buffer("w_avg", torch.zeros(settings.w_dim))
        if settings.discriminator is not None:
            self.discriminator = StyleGAN2Discriminator(
                settings.discriminator, settings.num_classes, settings.taps
            )
        self._class_means: dict[int, Tensor] = {}

    def _convolution(self, index: int) -> StyledConvolution:
        channels, enlarges = self.sizes.channels, index % 2 == 1
        after = channels[(index + 1) // 2]
        before = channels[index // 2] if enlarges else after
        fir = self.fir if enlarges else None
        size = convolution_size(index)
        return StyledConvolution(before, after, self.w_dim, size, fir, self.sizes.clamp)

    # --- latents

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
        """Styles for every layer.

        Args:
            z: See `Generator.synthesize`.
            y: See `Generator.synthesize`.
            w_plus: (B, styles, w_dim), or (B, 1, w_dim) for one style everywhere; truncated too.
            truncation_psi: In [0, 1]: how far styles are from the mean style; 1 leaves them.
            truncation_cutoff: Only the first so many styles are truncated; None: all.
            noise: "const" (the stored maps), "none", "random", or one (1 or B, 1, h, h) per styled
                convolution.

        Raises:
            ValueError: A shape or value does not fit.
        """
        own = self.styles(z, y) if w_plus is None else w_plus
        own = checked_styles(own, self.sizes.styles, self.w_dim)
        own = truncated(own, self.w_avg, truncation_psi, truncation_cutoff)
        maps = noise_maps(noise, self.stored_noise(), own.shape[0])
        return StyleCodes(own, maps, y, z, truncation_psi, truncation_cutoff)

    def styles(self, z: Tensor | None, y: Tensor | None) -> Tensor:
        """(B, 1, w_dim): the mapping network's styles, not truncated."""
        c = None
        if y is not None:
            c = y if y.is_floating_point() else nn.functional.one_hot(y, self.num_classes)
            c = c.to(self.w_avg)
        return self.mapping(z, c)[:, None]

    def style_shape(self) -> tuple[int, int]:
        """See `Generator.style_shape`."""
        return self.sizes.styles, self.w_dim

    def mean_style(self, y: Tensor | None) -> Tensor:
        """(B, 1, w_dim): the mean style of the classes; of all latents without classes.

        Args:
            y: (B,) class ids or (B, K) rows; None: (1, 1, w_dim) over everything.
        """
        if y is None or not self.num_classes:
            return self.w_avg.view(1, 1, -1)
        if y.is_floating_point():
            means = torch.cat([self._class_mean(k) for k in range(self.num_classes)])
            return (y @ means)[:, None]
        return torch.cat([self._class_mean(int(k)) for k in y])[:, None]

    def stored_noise(self) -> list[Tensor]:
        """(1, 1, h, h) of every styled convolution, in order."""
        return [conv.noise for conv in self.convs if isinstance(conv, StyledConvolution)]

    # --- levels

    def begin(self, codes: StyleCodes, maps: ClassMaps | None) -> State:
        """(features, RGB) at 4 pixels."""
        x = self.const.expand(codes.batch, -1, -1, -1)
        x = self._convolve(0, x, codes, maps)
        return x, self._colours(0, x, codes, maps)

    def advance(self, level: int, state: State, codes: StyleCodes, maps: ClassMaps | None) -> State:
        """(features, RGB) of the next larger block."""
        x, rgb = state
        x = self._convolve(2 * level - 1, x, codes, maps)
        x = self._convolve(2 * level, x, codes, maps)
        return x, self.fir.enlarge(rgb) + self._colours(level, x, codes, maps)

    def finish(self, state: State, codes: StyleCodes, maps: ClassMaps | None) -> Tensor:
        """The running RGB picture; it is not bounded."""
        return state[1]

    def settings(self) -> dict[str, Any]:
        """See `GeneratorSettings`."""
        return self.sizes.to_dict()

    def _convolve(self, index: int, x: Tensor, codes: StyleCodes, maps: ClassMaps | None) -> Tensor:
        w, weights = self._style(convolution_name(index), index, codes, maps)
        return self.convs[index](x, w, codes.noise[index], weights)

    def _colours(self, level: int, x: Tensor, codes: StyleCodes, maps: ClassMaps | None) -> Tensor:
        name = f"{size_name(4 << level)}.torgb"
        w, weights = self._style(name, 2 * level + 1, codes, maps)
        return self.to_rgb[level](x, w, weights)

    def _style(
        self, name: str, place: int, codes: StyleCodes, maps: ClassMaps | None
    ) -> tuple[Tensor, Tensor | None]:
        """The style of one layer; or one for each class of the maps, with their weights."""
        if maps is None or not maps.uses(name):
            return codes.w_plus[:, place], None
        size = int(name.split(".")[0].removeprefix("b"))
        return self._class_styles(codes, maps.classes)[:, :, place], maps.at(name, (size, size))

    def _class_styles(self, codes: StyleCodes, classes: tuple[int, ...]) -> Tensor:
        """(B, k, styles, w_dim): the same latent as other classes.

        Where only styles are known, each class's mean style takes the place of the own one's.
        """
        found = []
        for index in classes:
            y = torch.full((codes.batch,), index, device=codes.w_plus.device)
            if codes.z is not None:
                own = self.styles(codes.z, y).expand(-1, self.sizes.styles, -1)
                psi, cutoff = codes.truncation_psi, codes.truncation_cutoff
                found.append(truncated(own, self.w_avg, psi, cutoff))
            else:
                if codes.y is None:
                    raise ValueError("Relabelling styles needs y, the class they were made with.")
                found.append(codes.w_plus + self._class_mean(index) - self.mean_style(codes.y))
        return torch.stack(found, 1)

    def _class_mean(self, index: int) -> Tensor:
        """(1, w_dim) mean style of a class, computed once."""
        if index not in self._class_means:
            with torch.inference_mode(False), torch.no_grad():
                z = self.sample_z(MEAN_SAMPLES, MEAN_SEED)
                y = torch.full((len(z),), index, device=z.device)
                self._class_means[index] = self.styles(z, y).mean(0)
        return self._class_means[index].to(self.w_avg)


def _norm_layers(settings: GeneratorSettings) -> tuple[NormLayer, ...]:
    found = []
    for level, width in enumerate(settings.channels):
        size = 4 << level
        before = settings.channels[level - 1]
        if level:
            found.append(NormLayer(convolution_name(2 * level - 1), size, before, level))
        found.append(NormLayer(convolution_name(2 * level), size, width, level))
        found.append(NormLayer(f"{size_name(size)}.torgb", size, width, level))
    return tuple(found)
