"""Masked encoders of the latent-composition release, as regressors of ours.

Two kinds of files, both ``{state_dict, …}`` or the bare tensors, named as torchvision's ResNet:
``pgan_encoders_*_RGBM*.pth`` end in ``fc`` and find z; ``sgan_encoders_*_RGBM*.pth`` end in
``layer5.conv5`` and find all styles. Those trained on colours alone have three input channels.

What the files do not say is the public code's: encoders of z see the known area minus 0.5 at the
picture's own size, and leave out a halving below 150 px; encoders of styles see it as it is, all
resized to 256 px.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.latent_composition.settings import (
    BLOCKS,
    SMALL_BELOW,
    STYLE_SIDE,
    RegressorSettings,
)

if TYPE_CHECKING:
    from intarsia_models.foreign_files import ForeignFile
    from intarsia_models.generators.families import Companion
    from intarsia_models.generators.generator import Generator

LICENCE = (
    "The masked encoder's code is under the MIT licence; what its weights may be used for is not "
    "stated."
)
COLOURS_ALONE = "The masked encoder sees colours alone: what is unknown is mid-grey to it."
_PREFIXES = ("state_dict.module.", "state_dict.", "module.", "")
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.conv1\.weight")
_Z_HEAD, _STYLE_HEAD = "fc.weight", "layer5.conv5.weight"


def read_regressor(file: ForeignFile, generator: Generator) -> Companion:
    """A public masked encoder for a generator.

    Args:
        file: Of either kind.
        generator: What it was trained for; says which size its pictures have.

    Raises:
        UnreadableModel: It is no such file, or one for another generator.
    """
    from intarsia_models.generators.families import Companion

    tensors = _own_tensors(file)
    settings = _settings(file, tensors, generator)
    for name in [n for n in tensors if n.endswith("running_mean")]:
        # files of old releases do not count batches, and nothing reads the number
        counter = f"{name.removesuffix('running_mean')}num_batches_tracked"
        tensors.setdefault(counter, torch.zeros((), dtype=torch.int64))
    named = {f"regressor.{name}": tensor for name, tensor in tensors.items()}
    notes = (LICENCE,) if settings.sees_known else (LICENCE, COLOURS_ALONE)
    return Companion(settings.to_dict(), named, notes)


def _own_tensors(file: ForeignFile) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if f"{prefix}conv1.weight" in file.tensors:
            return {
                name.removeprefix(prefix): tensor
                for name, tensor in file.tensors.items()
                if name.startswith(prefix)
            }
    raise UnreadableModel(
        f"{file.path} is no masked encoder: it has no tensor conv1.weight.",
        "Give a pgan_encoders_*.pth or sgan_encoders_*.pth file.",
    )


def _settings(
    file: ForeignFile, tensors: Mapping[str, Tensor], generator: Generator
) -> RegressorSettings:
    first = tensors["conv1.weight"]
    if first.ndim != 4 or first.shape[1] not in (3, 4):
        raise UnreadableModel(
            f"{file.path} is no masked encoder: conv1.weight is {tuple(first.shape)}, not of 3 or "
            "4 channels."
        )
    blocks = tuple(
        sum(1 for name in tensors if (found := _BLOCK.fullmatch(name)) and int(found[1]) == stage)
        for stage in (1, 2, 3, 4)
    )
    depth = next((depth for depth, counts in BLOCKS.items() if counts == blocks), None)
    if depth is None:
        raise UnreadableModel(f"{file.path} has stages of {blocks} blocks: no ResNet-18 or -34.")
    try:
        common: dict[str, Any] = {
            "depth": depth,
            "width": first.shape[0],
            "sees_known": first.shape[1] == 4,
        }
        if _Z_HEAD in tensors:
            return _of_z(file, tensors[_Z_HEAD], generator, common)
        if _STYLE_HEAD in tensors:
            return _of_styles(file, tensors[_STYLE_HEAD], generator, common)
    except ValueError as error:
        raise UnreadableModel(f"{file.path} cannot be used with this model: {error}") from error
    raise UnreadableModel(f"{file.path} ends neither in fc nor in layer5.conv5.")


def _of_z(
    file: ForeignFile, head: Tensor, generator: Generator, common: dict[str, Any]
) -> RegressorSettings:
    if head.shape[0] != generator.z_dim:
        raise UnreadableModel(
            f"{file.path} finds latents of {head.shape[0]} numbers, the model takes "
            f"{generator.z_dim}.",
            "Give the encoder that was trained for this model.",
        )
    return RegressorSettings(
        dims=head.shape[0],
        latent="z",
        small_input=generator.resolution < SMALL_BELOW,
        mask_encoding="centred",
        **common,
    )


def _of_styles(
    file: ForeignFile, head: Tensor, generator: Generator, common: dict[str, Any]
) -> RegressorSettings:
    vectors, dims = generator.style_shape()
    if head.shape[0] != vectors * dims:
        raise UnreadableModel(
            f"{file.path} finds styles of {head.shape[0]} numbers, the model takes {vectors} x "
            f"{dims}.",
            "Give the encoder that was trained for this model.",
        )
    return RegressorSettings(
        dims=dims,
        latent="w_plus",
        vectors=vectors,
        input_size=STYLE_SIDE,
        mask_encoding="unit",
        **common,
    )
