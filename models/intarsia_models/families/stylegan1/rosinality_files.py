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
from intarsia_models.families.stylegan2.layers import GAIN
from intarsia_models.families.stylegan2.weights import mean_style, scaled
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.foreign_files.tensor_group import TensorGroup
from intarsia_models.generators.families import Converted

LICENCE = "The layout's code is under the MIT licence; weights are under their authors' terms."
_PREFIXES = ("g_running.", "", "generator.")
_NEEDED = ("generator.progression.0.conv1.input", "generator.to_rgb.0.conv.weight_orig")


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
    source = TensorGroup(file, prefix)
    levels, note = _levels(source, file.path.name)
    tensors = {}
    layers = 0
    while f"style.{2 * layers + 1}.linear.weight_orig" in source:
        place = f"style.{2 * layers + 1}.linear"
        tensors |= _layer(source, place, f"generator.mapping.layers.{layers}")
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
    mapping = Mapping(settings.w_dim, settings.mapping_layers)
    tensors["generator.w_avg"] = mean_style(mapping, tensors, settings.w_dim)
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


def _prefix(file: ForeignFile) -> str | None:
    for prefix in _PREFIXES:
        if all(f"{prefix}{name}" in file.tensors for name in _NEEDED):
            return prefix
    return None


def _levels(source: TensorGroup, name: str) -> tuple[int, str]:
    """How many blocks are trained, and how that is known."""
    known = 0
    while f"generator.progression.{known}.conv2.conv.bias" in source:
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


def _is_trained(source: TensorGroup, level: int) -> bool:
    """Whether the styles' biases are no longer 1 for scales and 0 for shifts."""
    bias = source(f"generator.progression.{level}.adain2.style.linear.bias")
    gamma, beta = bias.chunk(2)
    return not (bool((gamma == 1).all()) and bool((beta == 0).all()))


def _block(source: TensorGroup, level: int) -> tuple[dict[str, Tensor], bool]:
    place, ours = f"generator.progression.{level}", f"generator.blocks.{level}"
    tensors, is_fused = {}, False
    if level == 0:
        tensors[f"{ours}.const"] = source(f"{place}.conv1.input")
    elif f"{place}.conv1.1.conv.weight_orig" in source:
        tensors |= _layer(source, f"{place}.conv1.1.conv", f"{ours}.enlarge")
    else:
        is_fused = True
        tensors[f"{ours}.enlarge.weight"] = _spread_kernel(source(f"{place}.conv1.0.weight"))
        tensors[f"{ours}.enlarge.bias"] = source(f"{place}.conv1.0.bias")
    tensors |= _layer(source, f"{place}.conv2.conv", f"{ours}.conv")
    tensors |= _layer(source, f"generator.to_rgb.{level}.conv", f"{ours}.to_rgb")
    for number, name in ((1, "first"), (2, "second")):
        tensors |= _layer(source, f"{place}.adain{number}.style.linear", f"{ours}.{name}.style")
        weight = source(f"{place}.noise{number}.weight_orig")
        tensors[f"{ours}.{name}.noise_weight"] = scaled(weight, GAIN)
    return tensors, is_fused


def _spread_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel of nearest neighbours and a 3x3 kernel (in, out, 3, 3) in one, with its
    learning rate's factor."""
    weight = scaled(weight.transpose(0, 1), GAIN).transpose(0, 1)
    wide = pad(weight, (1, 1, 1, 1))
    corners = (wide[..., 1:, 1:], wide[..., :-1, 1:], wide[..., 1:, :-1], wide[..., :-1, :-1])
    return sum(corners[1:], corners[0]) / 4


def _layer(source: TensorGroup, place: str, ours: str) -> dict[str, Tensor]:
    """A weight with its learning rate's factor, and its bias."""
    weight, bias = source(f"{place}.weight_orig"), source(f"{place}.bias")
    return {f"{ours}.weight": scaled(weight, GAIN), f"{ours}.bias": bias}
