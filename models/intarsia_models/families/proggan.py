"""Progressive GAN, from the state dicts of GAN dissection.

Source: Karras et al. 2018, arXiv:1710.10196 (layers: table 2; pixel norm: section 4.2; equalized
learning rate: section 4.1). The learning rate's factors are part of the stored weights. Written
from the paper and the files' layout; in these files the norm comes before each convolution, so the
length of the latent does not matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.foreign_files.tensor_group import readable
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.families import Converted, Family
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, State

LICENCE = (
    "Networks converted from NVIDIA's Progressive GAN are under CC BY-NC 4.0 (not commercial); "
    "networks that others trained are under their own terms."
)
EPS = 1e-8
"""Of the pixel norm, as in the paper."""
SLOPE = 0.2
_PREFIXES = ("", "state_dict.")
_LAYER = re.compile(r"(layer|features\.)(\d+)\.conv\.weight")
_OUTPUT = re.compile(r"output(_\d+x\d+)?\.conv\.weight")


@dataclass(frozen=True)
class ProGANSettings:
    """Sizes of a generator."""

    channels: tuple[int, ...]
    """By layer: two at each size from 4 pixels on."""
    z_dim: int
    clamp_output: bool = True
    """Bound the picture to [-1, 1], as later users of these files do; the first did not."""


@dataclass(frozen=True, eq=False)
class ProGANCodes:
    """Latents of pictures."""

    z: Tensor
    y: Tensor | None = None

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return self.z.shape[0]

    def expand(self, count: int) -> ProGANCodes:
        """The same for copies of one picture."""
        return replace(self, z=self.z.expand(count, -1))


class NormedConvolution(nn.Module):
    """Pixel norm, then a convolution with bias.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        kernel: Its side.
        padding: Zeros on each side.
    """

    def __init__(self, before: int, after: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        scale = kernel * math.sqrt(before)
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel) / scale)
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, enlarge: bool = False) -> Tensor:
        """(B, O, h, w), of twice the size where it enlarges."""
        norm = torch.rsqrt(x.float().square().mean(1, keepdim=True) + EPS)
        x = x * norm.to(x.dtype)
        if enlarge:
            x = interpolate(x, scale_factor=2)
        return conv2d(x, self.weight, self.bias, padding=self.padding)


class ProGANGenerator(Generator):
    """Progressive GAN; every layer (layer1, layer2, …) is a level."""

    family = "proggan"
    latent_metric = "cosine"

    def __init__(self, settings: ProGANSettings) -> None:
        super().__init__()
        self.sizes = settings
        self.z_dim = settings.z_dim
        channels = settings.channels
        self.resolution = 4 << ((len(channels) - 1) // 2)
        self.layers = tuple(
            EditPoint(f"layer{level + 1}", 4 << (level // 2), width)
            for level, width in enumerate(channels)
        )
        convolutions = [NormedConvolution(settings.z_dim, channels[0], 4, 3)]
        for before, after in pairwise(channels):
            convolutions.append(NormedConvolution(before, after, 3, 1))
        self.convs = nn.ModuleList(convolutions)
        self.to_rgb = NormedConvolution(channels[-1], 3, 1, 0)

    def encode_latent(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> ProGANCodes:
        """The latent as it is: there are neither classes, styles, truncation nor noise.

        Raises:
            ValueError: Truncation was asked for.
        """
        if truncation_psi != 1.0:
            raise ValueError(
                "A Progressive GAN cannot be truncated: the length of its latent has no effect."
            )
        assert z is not None
        return ProGANCodes(z)

    def begin(self, codes: ProGANCodes, maps: ClassMaps | None) -> State:
        """(features,) of the first layer, at 4 pixels."""
        return (leaky_relu(self.convs[0](codes.z[:, :, None, None]), SLOPE),)

    def advance(
        self, level: int, state: State, codes: ProGANCodes, maps: ClassMaps | None
    ) -> State:
        """(features,) of the next layer; every second one is twice as large."""
        return (leaky_relu(self.convs[level](state[0], level % 2 == 0), SLOPE),)

    def finish(self, state: State, codes: ProGANCodes, maps: ClassMaps | None) -> Tensor:
        """The picture, bounded or not as the settings say."""
        picture = self.to_rgb(state[0])
        return picture.clamp(-1.0, 1.0) if self.sizes.clamp_output else picture

    def settings(self) -> dict[str, Any]:
        """See `ProGANSettings`."""
        return asdict(self.sizes)


def recognises(file: ForeignFile) -> bool:
    """Whether it holds such a generator, by new names (layer1) or old ones (features.0)."""
    return file.kind in ("torch", "safetensors") and _found(file) is not None


def read(file: ForeignFile) -> Converted:
    """The generator.

    Raises:
        UnreadableModel: Layers are missing or do not fit.
    """
    found = _found(file)
    if found is None:
        raise UnreadableModel(f"{file.path} holds no Progressive GAN generator.")
    with readable(file):
        return _converted(file, *found)


def _converted(file: ForeignFile, places: list[str], output: str) -> Converted:
    tensors = {}
    channels = []
    for index, place in enumerate(places):
        tensors |= _layer(file, place, f"generator.convs.{index}", math.sqrt(2.0))
        channels.append(tensors[f"generator.convs.{index}.bias"].shape[0])
    tensors |= _layer(file, output, "generator.to_rgb", 1.0)
    if len(places) % 2 or tensors["generator.to_rgb.weight"].shape[0] != 3:
        raise UnreadableModel(f"{file.path} has {len(places)} layers, not two for each size.")
    z_dim = tensors["generator.convs.0.weight"].shape[1]
    settings = asdict(ProGANSettings(tuple(channels), z_dim))
    return Converted(settings, tensors, licence=LICENCE)


def build(settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> ProGANGenerator:
    """A generator from our own form.

    Args:
        settings: `ProGANGenerator.settings`.
        tensors: By our names, ``generator.…``.

    Raises:
        RuntimeError: A tensor is missing, unknown or of another shape.
    """
    sizes = ProGANSettings(**{**settings, "channels": tuple(settings["channels"])})
    with torch.device("meta"):  # nothing is allocated for sizes that no tensor has
        generator = ProGANGenerator(sizes)
    own = {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
    generator.load_state_dict(own, strict=True, assign=True)
    return generator.eval()


def _found(file: ForeignFile) -> tuple[list[str], str] | None:
    """The places of the layers in order and of the output, or None."""
    for prefix in _PREFIXES:
        names = [k.removeprefix(prefix) for k in file.tensors if k.startswith(prefix)]
        layers = {int(m[2]): m[1] for name in names if (m := _LAYER.fullmatch(name))}
        outputs = [name for name in names if _OUTPUT.fullmatch(name)]
        first = min(layers, default=0)
        wanted = list(range(first, first + len(layers)))
        if len(outputs) == 1 and len(layers) > 1 and sorted(layers) == wanted:
            places = [f"{prefix}{layers[index]}{index}" for index in wanted]
            return places, prefix + outputs[0].removesuffix(".conv.weight")
    return None


def _layer(file: ForeignFile, place: str, ours: str, gain: float) -> dict[str, Tensor]:
    """A convolution with the factor gain / (kernel sqrt(fan in)), fan in without the kernel."""
    for name in ("conv.weight", "wscale.b"):
        if f"{place}.{name}" not in file.tensors:
            raise UnreadableModel(f"{file.path} has no tensor {place}.{name}.")
    weight = file.tensors[f"{place}.conv.weight"].float()
    scale = gain / (weight.shape[-1] * math.sqrt(weight.shape[1]))
    bias = file.tensors[f"{place}.wscale.b"].float().reshape(-1)
    return {f"{ours}.weight": weight * scale, f"{ours}.bias": bias.clone()}


FAMILY = Family(
    name=ProGANGenerator.family,
    paper="Karras et al. 2018, arXiv:1710.10196",
    formats=("Progressive GAN state dicts of GAN dissection (.pth)",),
    recognises=recognises,
    read=read,
    build=build,
)
