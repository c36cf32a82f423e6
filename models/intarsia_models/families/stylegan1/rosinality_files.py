"""StyleGAN networks in the layout of rosinality/style-based-gan-pytorch (``.model``).

The files hold blocks for all sizes up to 1024 pixels, trained or not. How far the training went is
told by the file's name (``stylegan-256px.model``), else by the last block whose styles differ from
their initial values. Written from the files' layout.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan1.generator import Mapping, StyleGAN1Settings
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.generators.families import Converted

LICENCE = "The layout's code is under the MIT licence; weights are under their authors' terms."
_PREFIXES = ("g_running.", "", "generator.")
_NEEDED = ("generator.progression.0.conv1.input", "generator.to_rgb.0.conv.weight_orig")
_MEAN_SAMPLES = 8192


def recognises(file: ForeignFile) -> bool:
    """Whether it holds such a generator."""
    return file.kind in ("torch", "safetensors") and _prefix(file) is not None


def read(file: ForeignFile) -> Converted:
    """The running average of the generator where there is one.

    Raises:
        UnreadableModel: A tensor is missing.
    """
    prefix = _prefix(file)
    if prefix is None:
        raise UnreadableModel(f"{file.path} holds no StyleGAN generator.")
    source = _Part(file, prefix)
    levels, note = _levels(source, file.path.name)
    tensors = {}
    layers = 0
    while f"style.{2 * layers + 1}.linear.weight_orig" in source.tensors:
        place = f"style.{2 * layers + 1}.linear"
        tensors |= source.scaled(place, f"generator.mapping.layers.{layers}")
        layers += 1
    fused = []
    for level in range(levels):
        more, is_fused = _block(source, level)
        tensors |= more
        fused.append(is_fused)
        size = 4 << level
        seeded = torch.Generator().manual_seed(level)
        tensors[f"generator.noise_{size}"] = torch.randn(1, 1, size, size, generator=seeded)
    settings = StyleGAN1Settings(
        channels=tuple(tensors[f"generator.blocks.{k}.conv.bias"].shape[0] for k in range(levels)),
        fused=tuple(fused),
        w_dim=source("style.1.linear.bias").shape[0],
        mapping_layers=layers,
    )
    tensors["generator.w_avg"] = _mean_style(tensors, settings)
    notes = (
        note,
        "The file has no mean style; it was computed from the mapping network.",
        "The file has no noise maps; random ones with a fixed seed were stored.",
    )
    return Converted(settings.to_dict(), tensors, licence=LICENCE, notes=notes)


def smaller(settings: dict[str, Any], levels: int, alpha: float = 1.0) -> dict[str, Any]:
    """Settings of the same network as it was when fewer blocks had grown.

    Args:
        settings: Of the whole.
        levels: How many blocks.
        alpha: In [0, 1]: how much the last one is faded in.
    """
    cut = {"channels": settings["channels"][:levels], "fused": settings["fused"][:levels]}
    return {**settings, **cut, "alpha": alpha}


class _Part:
    """The tensors of one network of the file."""

    def __init__(self, file: ForeignFile, prefix: str) -> None:
        self.path = file.path
        self.tensors = {
            key.removeprefix(prefix): tensor
            for key, tensor in file.tensors.items()
            if key.startswith(prefix)
        }

    def __call__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise UnreadableModel(f"{self.path} has no tensor {name}.")
        return self.tensors[name].float().clone()

    def scaled(self, place: str, ours: str) -> dict[str, Tensor]:
        """A weight with its learning rate's factor, and its bias."""
        weight = self(f"{place}.weight_orig")
        bias = self(f"{place}.bias")
        return {f"{ours}.weight": weight * _scale(weight), f"{ours}.bias": bias}


def _prefix(file: ForeignFile) -> str | None:
    for prefix in _PREFIXES:
        if all(f"{prefix}{name}" in file.tensors for name in _NEEDED):
            return prefix
    return None


def _levels(source: _Part, name: str) -> tuple[int, str]:
    """How many blocks are trained, and how that is known."""
    known = 0
    while f"generator.progression.{known}.conv2.conv.bias" in source.tensors:
        known += 1
    told = re.search(r"(\d+)\s?px", name)
    if told is not None:
        side = int(told.group(1))
        levels = int(math.log2(side)) - 1 if side >= 4 else 0
        if 1 <= levels <= known and 4 << (levels - 1) == side:
            return levels, f"The size of {side} pixels is the file name's."
    for level in range(known - 1, 0, -1):
        if _is_trained(source, level):
            break
    else:
        level = 0
    return level + 1, f"The size of {4 << level} pixels is that of the last trained block."


def _is_trained(source: _Part, level: int) -> bool:
    """Whether the styles' biases are no longer 1 for scales and 0 for shifts."""
    bias = source(f"generator.progression.{level}.adain2.style.linear.bias")
    gamma, beta = bias.chunk(2)
    return not (bool((gamma == 1).all()) and bool((beta == 0).all()))


def _block(source: _Part, level: int) -> tuple[dict[str, Tensor], bool]:
    place, ours = f"generator.progression.{level}", f"generator.blocks.{level}"
    tensors, is_fused = {}, False
    if level == 0:
        tensors[f"{ours}.const"] = source(f"{place}.conv1.input")
    elif f"{place}.conv1.1.conv.weight_orig" in source.tensors:
        tensors |= source.scaled(f"{place}.conv1.1.conv", f"{ours}.enlarge")
    else:
        is_fused = True
        tensors[f"{ours}.enlarge.weight"] = _spread_kernel(source(f"{place}.conv1.0.weight"))
        tensors[f"{ours}.enlarge.bias"] = source(f"{place}.conv1.0.bias")
    tensors |= source.scaled(f"{place}.conv2.conv", f"{ours}.conv")
    tensors |= source.scaled(f"generator.to_rgb.{level}.conv", f"{ours}.to_rgb")
    for number, name in ((1, "first"), (2, "second")):
        tensors |= source.scaled(f"{place}.adain{number}.style.linear", f"{ours}.{name}.style")
        weight = source(f"{place}.noise{number}.weight_orig")
        tensors[f"{ours}.{name}.noise_weight"] = weight * _scale(weight)
    return tensors, is_fused


def _spread_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel of nearest neighbours and a 3x3 kernel (in, out, 3, 3) in one, with its
    learning rate's factor."""
    weight = weight * math.sqrt(2.0 / (weight.shape[0] * 9))
    wide = pad(weight, (1, 1, 1, 1))
    corners = (wide[..., 1:, 1:], wide[..., :-1, 1:], wide[..., 1:, :-1], wide[..., :-1, :-1])
    return sum(corners[1:], corners[0]) / 4


def _scale(weight: Tensor) -> float:
    """sqrt(2 / fan in)."""
    return math.sqrt(2.0 / math.prod(weight.shape[1:]))


@torch.no_grad()
def _mean_style(tensors: dict[str, Tensor], settings: StyleGAN1Settings) -> Tensor:
    mapping = Mapping(settings.w_dim, settings.mapping_layers)
    prefix = "generator.mapping."
    own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    mapping.load_state_dict(own)
    source = torch.Generator().manual_seed(0)
    return mapping(torch.randn(_MEAN_SAMPLES, settings.w_dim, generator=source)).mean(0)
