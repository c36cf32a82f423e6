"""Discriminators of ajbrock/BigGAN-PyTorch in our form."""

from __future__ import annotations

from dataclasses import replace

from intarsia_models.families.biggan.settings import (
    BlockKind,
    DiscriminatorSettings,
    JudgeBlockSettings,
)
from intarsia_models.families.biggan.spectral_norm import divided_out
from intarsia_models.families.biggan.state_dicts import Tensors, attention, convolution, count_of
from intarsia_models.generators.families import Companion


def read_discriminator(tensors: Tensors) -> Companion:
    """A discriminator's state dict in our form.

    Raises:
        KeyError: A tensor is missing.
        ValueError: Shapes do not fit together.
    """
    flat = divided_out(tensors)
    deep = "input_conv.weight" in flat
    found = {
        "linear.weight": flat["linear.weight"][:1],
        "linear.bias": flat["linear.bias"][:1],
        "embedding": flat["embed.weight"],
    }
    if deep:
        found |= convolution(flat, "input_conv", "input")
    blocks: list[JudgeBlockSettings] = []
    stages = count_of(flat, "blocks.{}.0.conv1.weight")
    widths = {flat[f"blocks.{stage}.0.conv1.weight"].shape[1] for stage in range(stages)}
    for stage in range(stages):
        depth = count_of(flat, f"blocks.{stage}.{{}}.conv1.weight")
        for position in range(depth):
            place = f"blocks.{stage}.{position}"
            block = _judge_block(flat, place, stage == stages - 1, deep)
            if deep:  # the shapes do not tell; the 32 px network, all of one width, halves twice
                halves = position == 0 and (len(widths) > 1 or stage < 2)
                block = replace(block, downsample=halves)
            names = ("conv1", "conv2", "conv3", "conv4") if deep else ("conv1", "conv2")
            for name in names:
                found |= convolution(flat, f"{place}.{name}", f"blocks.{len(blocks)}.{name}")
            if block.skip:
                found |= convolution(flat, f"{place}.conv_sc", f"blocks.{len(blocks)}.conv_skip")
            blocks.append(block)
        if f"blocks.{stage}.{depth}.gamma" in flat:
            blocks[-1] = replace(blocks[-1], attention=True)
            at = f"attentions.{len(blocks) - 1}"
            found |= attention(flat, f"blocks.{stage}.{depth}", at)
    kind: BlockKind = "bottleneck" if deep else "basic"
    settings = DiscriminatorSettings(kind, flat["embed.weight"].shape[0], tuple(blocks))
    return Companion(
        settings.to_json(), {f"discriminator.{name}": tensor for name, tensor in found.items()}
    )


def _judge_block(flat: Tensors, place: str, last: bool, deep: bool) -> JudgeBlockSettings:
    hidden, inputs = flat[f"{place}.conv1.weight"].shape[:2]
    outputs = flat[f"{place}.{'conv4' if deep else 'conv2'}.weight"].shape[0]
    skip = f"{place}.conv_sc.weight" in flat
    # A basic block that keeps size and width has nothing on the way around; the last keeps size.
    return JudgeBlockSettings(inputs, hidden, outputs, skip and not last, skip, False)
