"""The public files of SNGAN-projection and Neural Collage: Chainer archives of plain arrays.

Sizes are read from the shapes. Formats: github.com/pfnet-research/sngan_projection (32, 64, 128 and
256 px, with and without classes) and github.com/pfnet-research/neural-collage (128 and 256 px, with
encoder and auxiliary networks). Linear and convolution weights lie as in PyTorch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.sngan.settings import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
)
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.generators.families import Companion, Converted, Role

T = TypeVar("T")

LICENCE = (
    "The file states no licence. The published weights of SNGAN-projection and Neural Collage were "
    "trained on ImageNet, whose pictures are given for non-commercial research and education."
)
_PARTS = {"c1": "conv1", "c2": "conv2", "c_sc": "shortcut", "b1": "norm1", "b2": "norm2"}
_VALUES = {
    "W": "weight",
    "b": "bias",
    "u": "u",
    "gammas/W": "gammas",
    "betas/W": "betas",
    "gamma": "gammas",
    "beta": "betas",
    "avg_mean": "running_mean",
    "avg_var": "running_var",
}
_AUXILIARY = {"lA1": "extend1", "lA2": "extend2", "lB1": "reduce1", "lB2": "reduce2"}
_AUXILIARY_SLOPES = {"preluMiddleW": "extend_slopes", "preluW": "reduce_slopes"}
_IN_BLOCK = re.compile(r"block(\d+)/([a-z0-9_]+)/(.+)")
_OF_AUXILIARY = re.compile(r"(lA1|lA2|lB1|lB2|preluMiddleW|preluW|_fast_alpha)/(.+)")


def recognises(file: ForeignFile) -> bool:
    """Whether this is a file of that code, of whichever of its networks."""
    return file.kind == "npz" and "block2/c1/W" in file.tensors


def read(file: ForeignFile) -> Converted:
    """Read a generator, with the auxiliary networks where the file holds them.

    Raises:
        UnreadableModel: It holds another network, or tensors are missing, unknown or do not fit.
    """
    kind = _kind(file.tensors)
    if kind != "generator":
        raise UnreadableModel(
            f"{file.path.name} holds the {kind} of an SNGAN-projection model, not its generator.",
            f"Import the generator's file and give this one as its {kind}.",
        )
    return _guarded(file, _generator)


def read_companion(file: ForeignFile, role: Role, converted: Converted) -> Companion:
    """Read the discriminator, encoder or auxiliary networks of a generator that was read.

    Raises:
        UnreadableModel: It holds another network, or one of another generator.
    """
    if not recognises(file):
        raise UnreadableModel(f"{file.path.name} is no file of an SNGAN-projection model.")
    holds = _kind(file.tensors)
    if role == "auxiliary":
        if "lA1/W" not in file.tensors:
            raise UnreadableModel(f"{file.path.name} holds the {holds}, no auxiliary networks.")
        companion = _guarded(file, _auxiliary)
    elif holds != role:
        raise UnreadableModel(f"{file.path.name} holds the {holds}, not the {role}.")
    elif role == "encoder":
        companion = _guarded(file, _encoder)
    else:
        companion = _guarded(file, _discriminator)
    for size, name in (("num_classes", "classes"), ("z_dim", "numbers in z")):
        own, whole = companion.settings.get(size), converted.settings[size]
        if own is not None and own != whole and not (role == "discriminator" and own == 0):
            raise UnreadableModel(
                f"{file.path.name} does not belong to this generator: it has {own} {name}, "
                f"the generator {whole}."
            )
    return companion


def _kind(tensors: Mapping[str, Tensor]) -> str:
    if "block2/c1/u" in tensors:
        return "discriminator"
    if "prelu_out/W" in tensors:
        return "encoder"
    return "generator"


def _generator(tensors: Mapping[str, Tensor]) -> Converted:
    last = _last_block(tensors)
    own = {name: value for name, value in tensors.items() if not _OF_AUXILIARY.match(name)}
    output = f"l{last + 1}" if f"l{last + 1}/W" in tensors else f"c{last + 1}"
    heads = {"l1": "input", f"b{last + 1}": "norm", output: "output"}
    blocks = range(2, last + 1)
    first = tensors["block2/c1/W"].shape[1]
    settings = GeneratorSettings(
        channels=(first, *(tensors[f"block{n}/c2/W"].shape[0] for n in blocks)),
        num_classes=_classes(tensors, "block2/b1"),
        z_dim=tensors["l1/W"].shape[1],
        bottom_width=_side(tensors["l1/W"].shape[0], first),
        hidden=tuple(tensors[f"block{n}/c1/W"].shape[0] for n in blocks),
    )
    found = _renamed(own, "generator", first_block=2, heads=heads)
    written = settings.to_dict()
    if "lA1/W" in tensors:
        companion = _auxiliary(tensors)
        written["auxiliary"] = companion.settings
        found.update(companion.tensors)
    return Converted(written, found, licence=LICENCE)


def _discriminator(tensors: Mapping[str, Tensor]) -> Companion:
    last = _last_block(tensors)
    blocks = range(1, last + 1)
    output = f"l{last + 1}"
    settings = DiscriminatorSettings(
        channels=tuple(tensors[f"block{n}/c2/W"].shape[0] for n in blocks),
        downsample=tuple(f"block{n}/c_sc/W" in tensors for n in blocks),
        num_classes=tensors["l_y/W"].shape[0] if "l_y/W" in tensors else 0,
        hidden=tuple(tensors[f"block{n}/c1/W"].shape[0] for n in blocks),
        output_bias=f"{output}/b" in tensors,
    )
    heads = {output: "output", "l_y": "embedding"}
    found = _renamed(tensors, "discriminator", first_block=1, heads=heads)
    return Companion(settings.to_dict(), found)


def _encoder(tensors: Mapping[str, Tensor]) -> Companion:
    last = _last_block(tensors)
    first = "l1" if "l1/W" in tensors else "block1"
    output = f"l{last + 1}" if f"l{last + 1}/W" in tensors else f"l{last + 1}_enc"
    channels = (
        tensors[f"{first}/W"].shape[0],
        *(tensors[f"block{n}/c2/W"].shape[0] for n in range(2, last + 1)),
    )
    settings = EncoderSettings(
        channels=channels,
        num_classes=_classes(tensors, "block2/b1"),
        z_dim=tensors[f"{output}/W"].shape[0],
        bottom_width=_side(tensors[f"{output}/W"].shape[1], channels[-1]),
    )
    unused = f"b{last + 1}/"  # saved with the public encoders, never run
    used = {name: value for name, value in tensors.items() if not name.startswith(unused)}
    heads = {first: "input", output: "output"}
    found = _renamed(used, "encoder", first_block=2, heads=heads, slopes={"prelu_out": "slopes"})
    return Companion(settings.to_dict(), found)


def _auxiliary(tensors: Mapping[str, Tensor]) -> Companion:
    own = {
        name: value
        for name, value in tensors.items()
        if _OF_AUXILIARY.match(name) and not name.startswith("_fast_alpha/")
    }
    settings = AuxiliarySettings(
        z_dim=own["lA1/W"].shape[1],
        extended_dim=own["lA2/W"].shape[0],
        hidden_extend=own["lA1/W"].shape[0],
        hidden_reduce=own["lB1/W"].shape[0],
    )
    found = _renamed(own, "auxiliary", first_block=2, heads=_AUXILIARY, slopes=_AUXILIARY_SLOPES)
    return Companion(settings.to_dict(), found)


def _renamed(
    tensors: Mapping[str, Tensor],
    role: str,
    *,
    first_block: int,
    heads: Mapping[str, str],
    slopes: Mapping[str, str] | None = None,
) -> dict[str, Tensor]:
    """Our names; every tensor must be known, so that no other network passes for this one."""
    found = {}
    for name, value in tensors.items():
        inside = _IN_BLOCK.fullmatch(name)
        part, _, kind = name.partition("/")
        if kind == "N" or name.endswith("/N"):
            continue  # how many batches the statistics have seen
        if inside and inside[2] in _PARTS and inside[3] in _VALUES:
            place = f"blocks.{int(inside[1]) - first_block}.{_PARTS[inside[2]]}"
            found[f"{role}.{place}.{_VALUES[inside[3]]}"] = _value(inside[3], value)
        elif part in heads and kind in _VALUES:
            found[f"{role}.{heads[part]}.{_VALUES[kind]}"] = _value(kind, value)
        elif slopes and part in slopes and kind == "W":
            found[f"{role}.{slopes[part]}"] = value
        else:
            raise ValueError(f"{name} is unknown")
    return found


def _value(kind: str, value: Tensor) -> Tensor:
    """Unconditional scales and shifts are those of a single class here."""
    return value[None] if kind in ("gamma", "beta") else value


def _classes(tensors: Mapping[str, Tensor], norm: str) -> int:
    table = tensors.get(f"{norm}/gammas/W")
    return 0 if table is None else table.shape[0]


def _last_block(tensors: Mapping[str, Tensor]) -> int:
    return max(int(found[1]) for name in tensors if (found := _IN_BLOCK.fullmatch(name)))


def _side(numbers: int, channels: int) -> int:
    side = math.isqrt(numbers // channels) if channels else 0
    if side < 1 or side * side * channels != numbers:
        raise ValueError(f"{numbers} numbers are no square of {channels} channels")
    return side


def _guarded(file: ForeignFile, read: Callable[[Mapping[str, Tensor]], T]) -> T:
    """What is read of a file's tensors; whatever does not fit becomes a sentence."""
    try:
        return read(file.tensors)
    except KeyError as error:
        raise UnreadableModel(
            f"{file.path.name} lacks {error.args[0]}: it is cut off, or of another layout."
        ) from error
    except (IndexError, ValueError) as error:
        raise UnreadableModel(
            f"{file.path.name} is no SNGAN-projection file of a known layout: {error}."
        ) from error
