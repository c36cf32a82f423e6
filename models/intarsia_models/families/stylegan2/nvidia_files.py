"""StyleGAN2 networks from NVIDIA's StyleGAN2-ADA snapshots (``network-snapshot-*.pkl``).

Only names, sizes and numbers of the file are used; the source text inside such files is never
looked at. Written from the files' layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan2.layers import MappingNetwork
from intarsia_models.families.stylegan2.settings import (
    BINOMIAL,
    DiscriminatorSettings,
    GeneratorSettings,
    convolution_name,
    size_name,
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
from intarsia_models.generators.families import Converted


def recognises(file: ForeignFile) -> bool:
    """Whether it is such a snapshot."""
    return file.kind == "nvidia-pickle" and _network(file) is not None


def read(file: ForeignFile) -> Converted:
    """The averaged generator, and the discriminator where it can be read.

    Raises:
        UnreadableModel: Its architecture is none of the published ones.
    """
    name = _network(file)
    if name is None:
        raise UnreadableModel(f"{file.path} holds no StyleGAN2 generator.")
    source, kwargs = TensorGroup(file, f"{name}."), file.tree[name]["init_kwargs"]
    synthesis = file.tree[name]["state"]["_modules"]["synthesis"]
    blocks = synthesis["state"]["_modules"]
    sizes = sorted(int(block.removeprefix("b")) for block in blocks)
    if sizes != [4 << level for level in range(len(sizes))]:
        raise UnreadableModel(f"{file.path} has blocks of the sizes {sizes}, not 4, 8, 16, ….")
    if any(block["state"].get("architecture", "skip") != "skip" for block in blocks.values()):
        raise UnreadableModel(f'{file.path}: only generators of the kind "skip" can be read.')
    channels = tuple(source(f"synthesis.b{size}.conv1.bias").shape[0] for size in sizes)
    tensors = _mapping(source, "mapping", "generator.mapping", file.tree[name])
    tensors |= _synthesis(source, sizes)
    layers = len([key for key in tensors if re.fullmatch(r".*mapping\.layers\.\d+\.bias", key)])
    z_dim, w_dim, classes = (int(kwargs.get(key) or 0) for key in ("z_dim", "w_dim", "c_dim"))
    notes: list[str] = []
    if "mapping.w_avg" in source:
        tensors["generator.w_avg"] = source("mapping.w_avg")
    else:
        mapping = MappingNetwork(z_dim, w_dim, layers, classes)
        tensors["generator.w_avg"] = mean_style(mapping, tensors, z_dim, classes)
        notes.append("The file has no mean style; it was computed from the mapping network.")
    taps = _taps(source)
    judge = None
    if "D" in file.tree:
        try:
            judge, more = _discriminator(TensorGroup(file, "D."), file.tree["D"], taps)
            tensors |= more
        except (UnreadableModel, KeyError) as error:
            notes.append(f"The discriminator was left out: {error}")
    settings = GeneratorSettings(
        channels=channels,
        z_dim=z_dim,
        w_dim=w_dim,
        mapping_layers=layers,
        num_classes=classes,
        taps=taps,
        clamp=_clamp(blocks["b4"]["state"]["_modules"]["conv1"]),
        discriminator=judge,
    )
    return Converted(settings.to_dict(), tensors, licence=LICENCE, notes=tuple(notes))


def _network(file: ForeignFile) -> str | None:
    """Which generator to take, G_ema or G, if it is a StyleGAN2 for colour pictures."""
    for name in ("G_ema", "G"):
        found = file.tree.get(name) if isinstance(file.tree, dict) else None
        if isinstance(found, dict) and f"{name}.synthesis.b4.const" in file.tensors:
            torgb = file.tensors.get(f"{name}.synthesis.b4.torgb.weight")
            return name if torgb is not None and torgb.shape[0] == 3 else None
    return None


def _mapping(
    source: TensorGroup, place: str, ours: str, network: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A mapping network, its learning rate's factor made part of the weights."""
    modules = network["state"]["_modules"]["mapping"]["state"]["_modules"]
    tensors = {}
    if "embed" in modules:
        tensors |= linear(source, f"{place}.embed", f"{ours}.embed")
    count = 0
    while f"fc{count}" in modules:
        kwargs = modules[f"fc{count}"].get("init_kwargs", {})
        rate = float(kwargs.get("lr_multiplier", MAPPING_RATE))
        tensors |= linear(source, f"{place}.fc{count}", f"{ours}.layers.{count}", rate)
        count += 1
    return tensors


def _convolution(source: TensorGroup, place: str, ours: str) -> dict[str, Tensor]:
    weight = source(f"{place}.weight")
    tensors = {f"{ours}.weight": scaled(weight)}
    if f"{place}.bias" in source:
        tensors[f"{ours}.bias"] = source(f"{place}.bias")
    return tensors


def _synthesis(source: TensorGroup, sizes: list[int]) -> dict[str, Tensor]:
    tensors = {"generator.const": source("synthesis.b4.const")[None]}
    for index in range(2 * len(sizes) - 1):
        place, ours = f"synthesis.{convolution_name(index)}", f"generator.convs.{index}"
        size = sizes[(index + 1) // 2]
        # The norm makes a factor on these weights meaningless; with it float16 does not overflow.
        tensors |= _convolution(source, place, ours)
        tensors |= linear(source, f"{place}.affine", f"{ours}.style")
        has_noise = f"{place}.noise_const" in source
        noise = source(f"{place}.noise_const") if has_noise else torch.zeros(1)
        tensors[f"{ours}.noise"] = noise.expand(size, size)[None, None].clone()
        strength = source(f"{place}.noise_strength") if has_noise else torch.zeros(())
        tensors[f"{ours}.noise_strength"] = strength
    for level, size in enumerate(sizes):
        place, ours = f"synthesis.{size_name(size)}.torgb", f"generator.to_rgb.{level}"
        tensors |= _convolution(source, place, ours)
        tensors |= linear(source, f"{place}.affine", f"{ours}.style")
    return tensors


def _discriminator(
    source: TensorGroup, network: Mapping[str, Any], taps: tuple[float, ...]
) -> tuple[DiscriminatorSettings, dict[str, Tensor]]:
    modules = network["state"]["_modules"]
    sizes = sorted((int(n[1:]) for n in modules if re.fullmatch(r"b\d+", n)), reverse=True)
    first = modules[f"b{sizes[0]}"]["state"]
    architecture = first.get("architecture", "resnet")
    if architecture not in ("resnet", "orig"):
        raise UnreadableModel(f"discriminators of the kind {architecture!r} cannot be read.")
    ours = "discriminator"
    tensors = _convolution(source, f"b{sizes[0]}.fromrgb", f"{ours}.from_rgb")
    for index, size in enumerate(sizes[:-1]):
        tensors |= _convolution(source, f"b{size}.conv0", f"{ours}.blocks.{index}.first")
        tensors |= _convolution(source, f"b{size}.conv1", f"{ours}.blocks.{index}.second")
        if architecture == "resnet":
            skip = source(f"b{size}.skip.weight")
            tensors[f"{ours}.blocks.{index}.skip"] = scaled(skip)
    tensors |= _convolution(source, "b4.conv", f"{ours}.last")
    tensors |= linear(source, "b4.fc", f"{ours}.hidden")
    tensors |= linear(source, "b4.out", f"{ours}.out")
    channels = [tensors[f"{ours}.from_rgb.bias"].shape[0]]
    channels += [tensors[f"{ours}.blocks.{i}.second.bias"].shape[0] for i in range(len(sizes) - 1)]
    layers = 0
    if "mapping" in modules:
        tensors |= _mapping(source, "mapping", f"{ours}.mapping", network)
        layers = len([k for k in tensors if re.fullmatch(r".*mapping\.layers\.\d+\.bias", k)])
    spread = modules["b4"]["state"]["_modules"].get("mbstd", {}).get("state", {})
    if spread.get("num_channels", 1) != 1:
        raise UnreadableModel("it compares pictures by several channels.")
    if tuple(taps) != _taps(source):
        raise UnreadableModel("its filters are others than the generator's.")
    settings = DiscriminatorSettings(
        channels=tuple(channels),
        hidden=tensors[f"{ours}.hidden.bias"].shape[0],
        architecture=architecture,
        class_width=tensors[f"{ours}.out.bias"].shape[0] if layers else 0,
        class_layers=layers,
        group=int(spread.get("group_size") or 1 << 30),
        clamp=_clamp(modules[f"b{sizes[0]}"]["state"]["_modules"]["conv0"]),
    )
    return settings, tensors


def _clamp(layer: Mapping[str, Any]) -> float | None:
    value = layer["state"].get("conv_clamp")
    return None if value is None else float(value)


def _taps(source: TensorGroup) -> tuple[float, ...]:
    """The filter's taps, brought to whole numbers where the usual ones are meant."""
    for name, tensor in source.tensors.items():
        if name.endswith("resample_filter") and tensor.ndim == 2:
            return taps_of(tensor)
    return BINOMIAL
