"""BigGAN-deep: the format of huggingface/pytorch-pretrained-BigGAN.

A folder with ``config.json`` and ``pytorch_model.bin``, or the latter alone, as the published
networks' sizes can be told from it. There are no discriminators in this format.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from intarsia_models.families.biggan.generator import build
from intarsia_models.families.biggan.reading import bottom_width
from intarsia_models.families.biggan.settings import BigGANSettings, BlockSettings
from intarsia_models.families.biggan.spectral_norm import ORIGINAL, divided_out
from intarsia_models.families.biggan.state_dicts import Tensors, as_sentences, subtrees
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.generators.families import Converted, Family

NAME = "biggan-deep-huggingface"
KEYS = ("embeddings.weight", "generator.bn.running_means", f"generator.gen_z.{ORIGINAL}")
ATTENTION = {
    "snconv1x1_theta": "query",
    "snconv1x1_phi": "key",
    "snconv1x1_g": "value",
    "snconv1x1_o_conv": "output",
}
EPS = 1e-4
"""Of the published configurations; used where there is no config.json."""
LICENCE = (
    "The public code is MIT; the weights are DeepMind's, from TF Hub (Apache-2.0 as far as known), "
    "trained on ImageNet, whose pictures are for research only."
)
LAYER = re.compile(r"generator\.layers\.(\d+)\.")


def recognises(file: ForeignFile) -> bool:
    """Its keys are in no other format."""
    return bool(subtrees(file.tensors, KEYS))


def read(file: ForeignFile) -> Converted:
    """The generator; `Family.read`."""
    with as_sentences(file, "BigGAN-deep of pytorch-pretrained-BigGAN"):
        flat = divided_out(next(iter(subtrees(file.tensors, KEYS).values())))
        config = file.tree if file.kind == "folder" and isinstance(file.tree, dict) else {}
        settings, places = _settings(flat, config)
        tensors = _first_layers(flat, settings)
        for index, (place, attention) in enumerate(places):
            own = _block(flat, place, attention, settings)
            tensors |= {f"blocks.{index}.{name}": tensor for name, tensor in own.items()}
        named = {f"generator.{name}": tensor for name, tensor in tensors.items()}
        return Converted(settings.to_json(), named, licence=LICENCE)


def _class_first(weight: Tensor, settings: BigGANSettings) -> Tensor:
    """A layer over (z, class) as one over (class, z), which is our order."""
    return torch.cat((weight[:, settings.z_dim :], weight[:, : settings.z_dim]), 1)


def _settings(
    flat: Tensors, config: dict[str, Any]
) -> tuple[BigGANSettings, list[tuple[str, str | None]]]:
    """The sizes, and by block its place and that of the attention that follows it."""
    numbers = sorted({int(found[1]) for name in flat if (found := LAYER.match(name))})
    if numbers != list(range(len(numbers))):
        raise ValueError(f"its layers are numbered {numbers}")
    places: list[tuple[str, str | None]] = []
    for number in numbers:
        place = f"generator.layers.{number}"
        if f"{place}.gamma" not in flat:
            places.append((place, None))
        elif places and places[-1][1] is None:
            places[-1] = (places[-1][0], place)
        else:
            raise ValueError(f"{place} is self-attention that follows no block")
    classes = flat["embeddings.weight"].shape[1]
    embedding = flat["embeddings.weight"].shape[0]
    inputs = flat["generator.gen_z.weight"].shape[1]
    blocks = _blocks(flat, places, config)
    return (
        BigGANSettings(
            family=NAME,
            kind="bottleneck",
            conditioning="latent",
            z_dim=inputs - embedding,
            num_classes=classes,
            embedding_dim=embedding,
            first_name="generator.gen_z",
            bottom_width=bottom_width(flat["generator.gen_z.weight"].shape[0], blocks[0].inputs),
            blocks=blocks,
            norm_eps=float(config.get("eps", EPS)),
            statistics=flat["generator.bn.running_means"].shape[0],
        ),
        places,
    )


def _blocks(
    flat: Tensors, places: list[tuple[str, str | None]], config: dict[str, Any]
) -> tuple[BlockSettings, ...]:
    # Every published network doubles in each second block; a config may say otherwise.
    plan = config.get("layers")
    if plan is not None and len(plan) != len(places):
        raise ValueError(f"config.json has {len(plan)} layers, the weights {len(places)}")
    doubles = [bool(row[0]) for row in plan] if plan else [i % 2 == 1 for i in range(len(places))]
    blocks = []
    for (place, attention), upsample in zip(places, doubles, strict=True):
        hidden, inputs = flat[f"{place}.conv_0.weight"].shape[:2]
        outputs = flat[f"{place}.conv_3.weight"].shape[0]
        blocks.append(
            BlockSettings(
                name=attention or place,
                norms=tuple(f"{place}.bn_{number}" for number in range(4)),
                inputs=inputs,
                hidden=hidden,
                outputs=outputs,
                upsample=upsample,
                attention=attention is not None,
            )
        )
    return tuple(blocks)


def _first_layers(flat: Tensors, settings: BigGANSettings) -> dict[str, Tensor]:
    width, channels = settings.bottom_width, settings.blocks[0].inputs

    def channels_first(tensor: Tensor) -> Tensor:
        """The file's first layer makes (rows, columns, channels)."""
        cells = tensor.unflatten(0, (width, width, channels))
        return cells.movedim(2, 0).flatten(0, 2).contiguous()

    return {
        "embedding": flat["embeddings.weight"].T.contiguous(),
        "linear.weight": channels_first(_class_first(flat["generator.gen_z.weight"], settings)),
        "linear.bias": channels_first(flat["generator.gen_z.bias"]),
        "output_norm.gamma": flat["generator.bn.weight"],
        "output_norm.beta": flat["generator.bn.bias"],
        "output_norm.mean": flat["generator.bn.running_means"],
        "output_norm.variance": flat["generator.bn.running_vars"],
        "output.weight": flat["generator.conv_to_rgb.weight"][:3],
        "output.bias": flat["generator.conv_to_rgb.bias"][:3],
    }


def _block(
    flat: Tensors, place: str, attention: str | None, settings: BigGANSettings
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for number in range(4):
        norm, ours = f"{place}.bn_{number}", f"norm{number + 1}"
        found[f"{ours}.gain.weight"] = _class_first(flat[f"{norm}.scale.weight"], settings)
        found[f"{ours}.beta.weight"] = _class_first(flat[f"{norm}.offset.weight"], settings)
        found[f"{ours}.mean"] = flat[f"{norm}.running_means"]
        found[f"{ours}.variance"] = flat[f"{norm}.running_vars"]
        for end in ("weight", "bias"):
            found[f"conv{number + 1}.{end}"] = flat[f"{place}.conv_{number}.{end}"]
    if attention is not None:
        for theirs, ours in ATTENTION.items():
            found[f"attention.{ours}.weight"] = flat[f"{attention}.{theirs}.weight"]
        found["attention.attention_gain"] = flat[f"{attention}.gamma"].reshape(())
    return found


FAMILY = Family(
    name=NAME,
    paper="Brock, Donahue and Simonyan 2019, arXiv:1809.11096, appendix B",
    formats=("BigGAN-deep of huggingface/pytorch-pretrained-BigGAN (its folder)",),
    recognises=recognises,
    read=read,
    build=build,
)
