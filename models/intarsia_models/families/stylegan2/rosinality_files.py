"""StyleGAN2 networks in the layout of rosinality/stylegan2-pytorch (``.pt``).

Files of its ``convert_weight.py`` hold ``g_ema``, ``latent_avg`` and sometimes ``g`` and ``d``;
those of its ``train.py`` hold ``g``, ``d``, ``g_ema`` and the training's state, and no average
style. Written from the files' layout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan2.layers import MappingNetwork
from intarsia_models.families.stylegan2.settings import (
    BINOMIAL,
    DiscriminatorSettings,
    GeneratorSettings,
    convolution_size,
)
from intarsia_models.families.stylegan2.weights import (
    LICENCE,
    MAPPING_RATE,
    linear,
    mean_style,
    scaled,
    taps_of,
)
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.foreign_files.tensor_group import TensorGroup
from intarsia_models.generators.families import Companion, Converted, Role

_GENERATORS = ("g_ema.", "g.", "")
_DISCRIMINATORS = ("d.", "")


def recognises(file: ForeignFile) -> bool:
    """Whether it holds such a generator."""
    return file.kind in ("torch", "safetensors") and _prefix(file) is not None


def read(file: ForeignFile) -> Converted:
    """The averaged generator where there is one, and the discriminator where there is one.

    Raises:
        UnreadableModel: A tensor is missing.
    """
    prefix = _prefix(file)
    if prefix is None:
        raise UnreadableModel(f"{file.path} holds no StyleGAN2 generator.")
    tensors, settings, notes = _generator(TensorGroup(file, prefix))
    if "latent_avg" in file.tensors:
        tensors["generator.w_avg"] = file.tensors["latent_avg"].float().reshape(-1).clone()
    else:
        mapping = MappingNetwork(settings.z_dim, settings.w_dim, settings.mapping_layers, 0)
        tensors["generator.w_avg"] = mean_style(mapping, tensors, settings.z_dim)
        notes.append("The file has no mean style; it was computed from the mapping network.")
    values = settings.to_dict()
    if "d.convs.0.0.weight" in file.tensors:
        companion = _discriminator(TensorGroup(file, "d."))
        values["discriminator"] = companion.settings
        tensors |= companion.tensors
    return Converted(values, tensors, licence=LICENCE, notes=tuple(notes))


def read_companion(file: ForeignFile, role: Role, generator: Converted) -> Companion:
    """A discriminator from another file of the same layout.

    Raises:
        UnreadableModel: It holds none, or another role was asked for.
    """
    for prefix in _DISCRIMINATORS:
        if role == "discriminator" and f"{prefix}convs.0.0.weight" in file.tensors:
            return _discriminator(TensorGroup(file, prefix))
    raise UnreadableModel(f"{file.path} holds no {role} of a StyleGAN2.")


def _prefix(file: ForeignFile) -> str | None:
    needed = ("input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.weight")
    for prefix in _GENERATORS:
        if all(f"{prefix}{name}" in file.tensors for name in needed):
            return prefix
    return None


def _generator(source: TensorGroup) -> tuple[dict[str, Tensor], GeneratorSettings, list[str]]:
    notes: list[str] = []
    levels = source.count(r"to_rgbs\.\d+\.bias") + 1
    tensors = {"generator.const": source("input.input")}
    layers = source.count(r"style\.\d+\.weight")
    for index in range(layers):  # style.0 is the normalization and has no tensors
        tensors |= linear(
            source, f"style.{index + 1}", f"generator.mapping.layers.{index}", MAPPING_RATE
        )
    for index in range(2 * levels - 1):
        place = "conv1" if index == 0 else f"convs.{index - 1}"
        ours = f"generator.convs.{index}"
        tensors |= _modulated(source, place, ours)
        tensors[f"{ours}.bias"] = source(f"{place}.activate.bias").reshape(-1)
        tensors[f"{ours}.noise_strength"] = source(f"{place}.noise.weight").reshape(())
        tensors[f"{ours}.noise"] = _noise(source, index, notes)
    for level in range(levels):
        place = "to_rgb1" if level == 0 else f"to_rgbs.{level - 1}"
        ours = f"generator.to_rgb.{level}"
        tensors |= _modulated(source, place, ours)
        tensors[f"{ours}.bias"] = source(f"{place}.bias").reshape(-1)
    kernel = source.tensors.get("convs.0.conv.blur.kernel")
    first = tensors["generator.mapping.layers.0.weight"]
    settings = GeneratorSettings(
        channels=tuple(tensors[f"generator.convs.{2 * k}.bias"].shape[0] for k in range(levels)),
        z_dim=first.shape[1],
        w_dim=first.shape[0],
        mapping_layers=layers,
        taps=BINOMIAL if kernel is None else taps_of(kernel),
    )
    return tensors, settings, notes


def _modulated(source: TensorGroup, place: str, ours: str) -> dict[str, Tensor]:
    weight = source(f"{place}.conv.weight")[0]
    return {
        f"{ours}.weight": scaled(weight),
        **linear(source, f"{place}.conv.modulation", f"{ours}.style"),
    }


def _noise(source: TensorGroup, index: int, notes: list[str]) -> Tensor:
    if f"noises.noise_{index}" in source:
        return source(f"noises.noise_{index}")
    if not notes:
        notes.append("The file has no noise maps; random ones with a fixed seed were stored.")
    size = convolution_size(index)
    return torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(index))


def _discriminator(source: TensorGroup) -> Companion:
    ours = "discriminator"
    tensors = _layer(source, "convs.0", f"{ours}.from_rgb")
    blocks = source.count(r"convs\.\d+\.conv1\.0\.weight")
    for index in range(blocks):
        place = f"convs.{index + 1}"
        tensors |= _layer(source, f"{place}.conv1", f"{ours}.blocks.{index}.first")
        tensors |= _layer(source, f"{place}.conv2", f"{ours}.blocks.{index}.second")
        skip = source(f"{place}.skip.1.weight")
        tensors[f"{ours}.blocks.{index}.skip"] = scaled(skip)
    tensors |= _layer(source, "final_conv", f"{ours}.last")
    tensors |= linear(source, "final_linear.0", f"{ours}.hidden")
    tensors |= linear(source, "final_linear.1", f"{ours}.out")
    channels = [tensors[f"{ours}.from_rgb.bias"].shape[0]]
    channels += [tensors[f"{ours}.blocks.{i}.second.bias"].shape[0] for i in range(blocks)]
    hidden = tensors[f"{ours}.hidden.bias"].shape[0]
    settings = GeneratorSettings(
        channels=(1,), z_dim=1, w_dim=1, mapping_layers=0,
        discriminator=DiscriminatorSettings(tuple(channels), hidden),
    )  # fmt: skip
    return Companion(settings.to_dict()["discriminator"], tensors)


def _layer(source: TensorGroup, place: str, ours: str) -> dict[str, Tensor]:
    """A convolution and its bias, whose places depend on whether a blur comes first."""
    start = 0 if f"{place}.0.weight" in source else 1
    weight = source(f"{place}.{start}.weight")
    return {
        f"{ours}.weight": scaled(weight),
        f"{ours}.bias": source(f"{place}.{start + 1}.bias").reshape(-1),
    }
