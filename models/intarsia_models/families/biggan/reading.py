"""State dicts of ajbrock/BigGAN-PyTorch in our form: sizes from shapes, nothing else needed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.biggan.discriminator_reading import read_discriminator
from intarsia_models.families.biggan.settings import (
    BigGANSettings,
    BlockKind,
    BlockSettings,
    Conditioning,
)
from intarsia_models.families.biggan.spectral_norm import divided_out
from intarsia_models.families.biggan.state_dicts import (
    ATTENTION,
    Tensors,
    as_sentences,
    attention,
    convolution,
    count_of,
    subtrees,
)
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.generators.families import Companion, Converted, Role

GENERATOR_KEYS = ("linear.weight", "blocks.0.0.bn1.gain.weight", "output_layer.0.gain")
DISCRIMINATOR_KEYS = ("linear.weight", "embed.weight", "blocks.0.0.conv1.weight")
DEEP_KEY = "blocks.0.0.conv4.weight"
MEAN = ("stored_mean", "bn.stored_mean", "bn.running_mean", "running_mean")
VARIANCE = ("stored_var", "bn.stored_var", "bn.running_var", "running_var")
SYNCHRONIZED = "blocks.0.0.bn1.bn.running_mean"
"""Written by the code's synchronized norm."""
NOT_WEIGHTS = re.compile(r"(^|\.)(u\d+|sv\d+|accumulation_counter|num_batches_tracked)$")
LICENCE = (
    "The public code is MIT; files of weights usually come without a licence of their own, and "
    "most were trained on ImageNet, whose pictures are for research only."
)
NOT_MULTIPLIED = (
    "Written with the code's synchronized norm, which adds its gain in eval mode; pictures equal "
    "those of the public code. For a network trained on several GPUs set gain_is_added to False."
)


def read_generator(tensors: Tensors, family: str) -> tuple[BigGANSettings, dict[str, Tensor]]:
    """Settings and tensors (``generator.…``) of one generator's state dict.

    Raises:
        KeyError: A tensor is missing.
        ValueError: Shapes do not fit together.
    """
    kind: BlockKind = "bottleneck" if DEEP_KEY in tensors else "basic"
    flat = divided_out(tensors)
    settings = _generator_settings(flat, kind, family)
    found = _first_layers(flat, settings)
    used = {"shared.weight"}
    for index, block in enumerate(settings.blocks):
        own = _generator_block(flat, index, block, settings, used)
        found |= {f"generator.blocks.{index}.{name}": tensor for name, tensor in own.items()}
    left = [
        name
        for name in flat
        if name.startswith("blocks.") and name not in used and not NOT_WEIGHTS.search(name)
    ]
    if left:
        raise ValueError(f"it has layers that are not known: {', '.join(sorted(left)[:3])}")
    return settings, found


def reader(family: str) -> Callable[[ForeignFile], Converted]:
    """`Family.read` for one of the two families of this format."""

    def read(file: ForeignFile) -> Converted:
        with as_sentences(file, f"generator of {family}"):
            found = subtrees(file.tensors, GENERATOR_KEYS)
            settings, tensors = read_generator(next(iter(found.values())), family)
            written = settings.to_json()
            judges = _judges(file)
            if judges:  # one file may hold both
                companion = read_discriminator(judges[0])
                written["discriminator"] = companion.settings
                tensors |= companion.tensors
            notes = (NOT_MULTIPLIED,) if settings.gain_is_added else ()
            return Converted(written, tensors, licence=LICENCE, notes=notes)

    return read


def read_companion(file: ForeignFile, role: Role, converted: Converted) -> Companion:
    """`Family.read_companion`: a discriminator's file."""
    if role != "discriminator":
        raise UnreadableModel(
            f"There are no {role} files for {converted.settings['family']}.",
            f"Train the {role} here.",
        )
    with as_sentences(file, "discriminator of BigGAN"):
        judges = _judges(file)
        if not judges:
            raise UnreadableModel(
                f"{file.path.name} holds no discriminator of BigGAN; its first tensors are "
                f"{', '.join(list(file.tensors)[:3])}."
            )
        companion = read_discriminator(judges[0])
        theirs, ours = companion.settings["num_classes"], converted.settings["num_classes"]
        if theirs != ours:
            raise UnreadableModel(
                f"{file.path.name} knows {theirs} classes, the generator {ours}.",
                "Give the discriminator it was trained with.",
            )
        return companion


def recogniser(deep: bool) -> Callable[[ForeignFile], bool]:
    """`Family.recognises` for one of the two families of this format."""

    def recognises(file: ForeignFile) -> bool:
        found = subtrees(file.tensors, GENERATOR_KEYS)
        return bool(found) and (DEEP_KEY in next(iter(found.values()))) == deep

    return recognises


def _judges(file: ForeignFile) -> list[dict[str, Tensor]]:
    return list(subtrees(file.tensors, DISCRIMINATOR_KEYS).values())


def _generator_settings(flat: Tensors, kind: BlockKind, family: str) -> BigGANSettings:
    count = count_of(flat, "blocks.{}.0.conv1.weight")
    conditioning, embedding, classes = _conditioning(flat, kind)
    inputs = flat["linear.weight"].shape[1]
    z_dim = {
        "hierarchical": inputs * (count + 1),
        "class": inputs,
        "latent": inputs - embedding,
    }[conditioning]
    blocks = _generator_blocks(flat, kind, count)
    return BigGANSettings(
        family=family,
        kind=kind,
        conditioning=conditioning,
        z_dim=z_dim,
        num_classes=classes,
        embedding_dim=embedding,
        first_name="linear",
        bottom_width=bottom_width(flat["linear.weight"].shape[0], blocks[0].inputs),
        blocks=blocks,
        gain_is_added=SYNCHRONIZED in flat,
    )


def bottom_width(outputs: int, channels: int) -> int:
    """Rows of level 0.

    Raises:
        ValueError: The first layer's outputs are no square of these channels.
    """
    width = math.isqrt(outputs // channels)
    if width < 1 or width * width * channels != outputs:
        raise ValueError(f"{outputs} numbers are no square of {channels} channels")
    return width


def _conditioning(flat: Tensors, kind: BlockKind) -> tuple[Conditioning, int, int]:
    """How classes go in, the embedding's size (0: none) and the number of classes."""
    table = flat["blocks.0.0.bn1.gain.weight"]
    if "shared.weight" not in flat:
        return "class", 0, table.shape[0]
    classes, embedding = flat["shared.weight"].shape
    if kind == "bottleneck":
        return "latent", embedding, classes
    part = table.shape[1] - embedding
    if part not in (0, flat["linear.weight"].shape[1]):
        raise ValueError(f"norms see {part} numbers of z, which is none of the known ways")
    return ("hierarchical" if part else "class"), embedding, classes


def _generator_blocks(flat: Tensors, kind: BlockKind, count: int) -> tuple[BlockSettings, ...]:
    deep = kind == "bottleneck"
    shapes = []
    for i in range(count):
        hidden, inputs = flat[f"blocks.{i}.0.conv1.weight"].shape[:2]
        outputs = flat[f"blocks.{i}.0.{'conv4' if deep else 'conv2'}.weight"].shape[0]
        shapes.append((inputs, hidden, outputs))
    per_stage = _blocks_per_stage(shapes) if deep else 1
    numbers = (1, 2, 3, 4) if deep else (1, 2)
    return tuple(
        BlockSettings(
            name=f"blocks.{i}",
            norms=tuple(f"blocks.{i}.0.bn{n}" for n in numbers),
            inputs=inputs,
            hidden=hidden,
            outputs=outputs,
            upsample=(i + 1) % per_stage == 0,
            attention=f"blocks.{i}.1.gamma" in flat,
        )
        for i, (inputs, hidden, outputs) in enumerate(shapes)
    )


def _blocks_per_stage(shapes: Sequence[tuple[int, int, int]]) -> int:
    """How many blocks of BigGAN-deep share a size; the last of them doubles it.

    The last block of the second stage is the first that drops channels; the 32 px network drops
    none and has three stages.
    """
    drops = [i for i, (inputs, _, outputs) in enumerate(shapes) if inputs != outputs]
    depth = (drops[0] + 1) // 2 if drops else len(shapes) // 3
    if depth < 1 or len(shapes) % depth or any((i + 1) % depth for i in drops):
        raise ValueError(f"{len(shapes)} blocks do not form stages of {depth}")
    return depth


def _first_layers(flat: Tensors, settings: BigGANSettings) -> dict[str, Tensor]:
    """Everything outside the blocks."""
    last = "output_layer.0"
    found = {
        "linear.weight": flat["linear.weight"],
        "linear.bias": flat["linear.bias"],
        "output_norm.gamma": flat[f"{last}.gain"],
        "output_norm.beta": flat[f"{last}.bias"],
        "output_norm.mean": _one_of(flat, last, MEAN)[None],
        "output_norm.variance": _one_of(flat, last, VARIANCE)[None],
        "output.weight": flat["output_layer.2.weight"][:3],
        "output.bias": flat["output_layer.2.bias"][:3],
    }
    if settings.embedding_dim:
        found["embedding"] = flat["shared.weight"]
    return {f"generator.{name}": tensor for name, tensor in found.items()}


def _generator_block(
    flat: Tensors, index: int, block: BlockSettings, settings: BigGANSettings, used: set[str]
) -> dict[str, Tensor]:
    place = f"blocks.{index}.0"
    found: dict[str, Tensor] = {}
    for number, name in enumerate(block.norms, start=1):
        for theirs, ours in (("gain", "gain"), ("bias", "beta")):
            table = flat[f"{name}.{theirs}.weight"]
            # Embedded classes go before z in this format; else the table is (K, C).
            found[f"norm{number}.{ours}.weight"] = table if settings.embedding_dim else table.T
        found[f"norm{number}.mean"] = _one_of(flat, name, MEAN)[None]
        found[f"norm{number}.variance"] = _one_of(flat, name, VARIANCE)[None]
        found |= convolution(flat, f"{place}.conv{number}", f"conv{number}")
        used |= {f"{name}.gain.weight", f"{name}.bias.weight"}
        used |= {f"{name}.{end}" for end in (*MEAN, *VARIANCE)}
        used |= {f"{place}.conv{number}.{end}" for end in ("weight", "bias")}
    if settings.kind == "basic":
        found |= convolution(flat, f"{place}.conv_sc", "conv_skip")
        used |= {f"{place}.conv_sc.{end}" for end in ("weight", "bias")}
    if block.attention:
        found |= attention(flat, f"blocks.{index}.1", "attention")
        used |= {f"blocks.{index}.1.{name}.weight" for name in ATTENTION}
        used |= {f"blocks.{index}.1.gamma"}
    return found


def _one_of(flat: Tensors, place: str, ends: Sequence[str]) -> Tensor:
    for end in ends:
        if f"{place}.{end}" in flat:
            return flat[f"{place}.{end}"]
    raise KeyError(f"{place}.{ends[0]}")
