"""State dicts in the public BigGAN formats with small random weights, made from their shapes.

Channel plans: Brock et al. 2019, arXiv:1809.11096, appendix B, as multiples of the base width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

GENERATOR_PLANS = {
    32: ((4, 4, 4), (4, 4, 4)),
    64: ((16, 16, 8, 4), (16, 8, 4, 2)),
    128: ((16, 16, 8, 4, 2), (16, 8, 4, 2, 1)),
    256: ((16, 16, 8, 8, 4, 2), (16, 8, 8, 4, 2, 1)),
    512: ((16, 16, 8, 8, 4, 2, 1), (16, 8, 8, 4, 2, 1, 1)),
}
JUDGE_PLANS = {
    32: ((4, 4, 4, 4), 2),
    64: ((1, 2, 4, 8, 16), 4),
    128: ((1, 2, 4, 8, 16, 16), 5),
    256: ((1, 2, 4, 8, 8, 16, 16), 6),
    512: ((1, 1, 2, 4, 8, 8, 16, 16), 7),
}
"""Outputs, and how many blocks halve the picture."""

Tensors = dict[str, Tensor]


class _Shapes:
    """Collects random tensors by name."""

    def __init__(self, seed: int, *, statistics: str) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.statistics = statistics
        self.tensors: Tensors = {}

    def plain(self, name: str, *shape: int, scale: float = 1.0, around: float = 0.0) -> None:
        self.tensors[name] = around + scale * torch.randn(shape, generator=self.random)

    def normed(self, name: str, *shape: int, bias: bool = True) -> None:
        """A weight with spectral norm in the ajbrock way."""
        self.plain(f"{name}.weight", *shape)
        if bias:
            self.plain(f"{name}.bias", shape[0], scale=0.1)
        self.plain(f"{name}.u0", 1, shape[0])
        self.tensors[f"{name}.sv0"] = torch.ones(1)

    def running(self, name: str, channels: int) -> None:
        self.plain(f"{name}.{self.statistics}_mean", channels, scale=0.1)
        variance = 0.5 + torch.rand(channels, generator=self.random)
        self.tensors[f"{name}.{self.statistics}_var"] = variance

    def attention(self, name: str, channels: int) -> None:
        self.tensors[f"{name}.gamma"] = torch.tensor(0.7)
        for part, (outputs, inputs) in {
            "theta": (channels // 8, channels),
            "phi": (channels // 8, channels),
            "g": (channels // 2, channels),
            "o": (channels, channels // 2),
        }.items():
            self.normed(f"{name}.{part}", outputs, inputs, 1, 1, bias=False)


def generator_file(
    resolution: int = 64,
    *,
    width: int = 4,
    classes: int = 5,
    embedding: int | None = 6,
    z_part: int = 3,
    hierarchical: bool = True,
    attention: int = 32,
    statistics: str = "stored",
    seed: int = 0,
) -> Tensors:
    """BigGAN of ajbrock/BigGAN-PyTorch.

    Args:
        resolution: Of `GENERATOR_PLANS`.
        width: Base width.
        classes: Their number.
        embedding: Size of the shared embedding; None: every norm has its own tables.
        z_part: Numbers of z per block, or all of it.
        hierarchical: Each block sees a part of z.
        attention: Size at which there is attention; 0: nowhere.
        statistics: "stored", "bn.stored" or "bn.running".
        seed: Of the weights.
    """
    inputs, outputs = GENERATOR_PLANS[resolution]
    made = _Shapes(seed, statistics=statistics)
    if embedding is not None:
        made.plain("shared.weight", classes, embedding)
    made.normed("linear", 16 * width * inputs[0], z_part)
    for i, (a, b) in enumerate(zip(inputs, outputs, strict=True)):
        before, after = width * a, width * b
        place = f"blocks.{i}.0"
        made.normed(f"{place}.conv1", after, before, 3, 3)
        made.normed(f"{place}.conv2", after, after, 3, 3)
        made.normed(f"{place}.conv_sc", after, before, 1, 1)
        for norm, channels in (("bn1", before), ("bn2", after)):
            made.running(f"{place}.{norm}", channels)
            for part in ("gain", "bias"):
                if embedding is None:
                    made.plain(f"{place}.{norm}.{part}.weight", classes, channels, scale=0.3)
                else:
                    seen = embedding + (z_part if hierarchical else 0)
                    made.normed(f"{place}.{norm}.{part}", channels, seen, bias=False)
        if attention == 8 << i:
            made.attention(f"blocks.{i}.1", after)
    _ending(made, width * outputs[-1])
    return made.tensors


def deep_generator_file(
    resolution: int = 64,
    *,
    width: int = 4,
    depth: int = 2,
    classes: int = 5,
    embedding: int = 6,
    z_dim: int = 7,
    attention: int = 32,
    seed: int = 0,
) -> Tensors:
    """BigGAN-deep of ajbrock/BigGAN-PyTorch; arguments as `generator_file`, ``depth`` blocks of a
    size."""
    inputs, outputs = GENERATOR_PLANS[resolution]
    made = _Shapes(seed, statistics="stored")
    made.plain("shared.weight", classes, embedding)
    made.normed("linear", 16 * width * inputs[0], z_dim + embedding)
    for i in range(depth * len(inputs)):
        stage, last = i // depth, i % depth == depth - 1
        before = width * inputs[stage]
        after = width * outputs[stage] if last else before
        _bottleneck(made, f"blocks.{i}.0", before, before // 4, after)
        for n, channels in enumerate((before, before // 4, before // 4, before // 4), start=1):
            norm = f"blocks.{i}.0.bn{n}"
            made.running(norm, channels)
            for part in ("gain", "bias"):
                made.normed(f"{norm}.{part}", channels, z_dim + embedding, bias=False)
        if last and attention == 8 << stage:
            made.attention(f"blocks.{i}.1", after)
    _ending(made, width * outputs[-1])
    return made.tensors


def _ending(made: _Shapes, channels: int) -> None:
    made.plain("output_layer.0.gain", channels, scale=0.1, around=1.0)
    made.plain("output_layer.0.bias", channels, scale=0.1)
    made.running("output_layer.0", channels)
    made.normed("output_layer.2", 3, channels, 3, 3)


def _bottleneck(made: _Shapes, place: str, inputs: int, hidden: int, outputs: int) -> None:
    made.normed(f"{place}.conv1", hidden, inputs, 1, 1)
    made.normed(f"{place}.conv2", hidden, hidden, 3, 3)
    made.normed(f"{place}.conv3", hidden, hidden, 3, 3)
    made.normed(f"{place}.conv4", outputs, hidden, 1, 1)


def discriminator_file(
    resolution: int = 64, *, width: int = 4, classes: int = 5, attention: int = 16, seed: int = 0
) -> Tensors:
    """The discriminator of BigGAN; arguments as `generator_file`."""
    outputs, halvings = JUDGE_PLANS[resolution]
    made = _Shapes(seed, statistics="stored")
    inputs = 3
    for i, plan in enumerate(outputs):
        after = width * plan
        place = f"blocks.{i}.0"
        made.normed(f"{place}.conv1", after, inputs, 3, 3)
        made.normed(f"{place}.conv2", after, after, 3, 3)
        if inputs != after or i < halvings:
            made.normed(f"{place}.conv_sc", after, inputs, 1, 1)
        if attention == resolution >> (i + 1) and i < halvings:
            made.attention(f"blocks.{i}.1", after)
        inputs = after
    _judge_ending(made, inputs, classes)
    return made.tensors


def deep_discriminator_file(
    resolution: int = 64, *, width: int = 4, classes: int = 5, depth: int = 2, seed: int = 0
) -> Tensors:
    """The discriminator of BigGAN-deep."""
    outputs, halvings = JUDGE_PLANS[resolution]
    plan = (4, 4, 4, 4) if resolution == 32 else outputs[: halvings + 1]
    made = _Shapes(seed, statistics="stored")
    made.normed("input_conv", width * plan[0], 3, 3, 3)
    for stage, (a, b) in enumerate(pairwise(plan)):
        for position in range(depth):
            inputs, after = width * (a if position == 0 else b), width * b
            place = f"blocks.{stage}.{position}"
            _bottleneck(made, place, inputs, after // 4, after)
            if inputs != after:
                made.normed(f"{place}.conv_sc", after - inputs, inputs, 1, 1)
    _judge_ending(made, width * plan[-1], classes)
    return made.tensors


def _judge_ending(made: _Shapes, features: int, classes: int) -> None:
    made.normed("linear", 1, features)
    made.normed("embed", classes, features, bias=False)


def huggingface_file(
    plan: tuple[tuple[int, int], ...] = ((16, 16), (16, 8), (8, 8), (8, 4)),
    *,
    width: int = 2,
    classes: int = 5,
    z_dim: int = 6,
    attention_at: int | None = 2,
    rows: int = 11,
    seed: int = 0,
) -> Tensors:
    """pytorch_model.bin of pytorch-pretrained-BigGAN.

    Args:
        plan: Inputs and outputs of the blocks, times ``width``; every second one doubles.
        width: Base width.
        classes: Their number.
        z_dim: Of z and of the embedding.
        attention_at: Number of the layer that is attention; None: nowhere.
        rows: Stored statistics.
        seed: Of the weights.
    """
    made = _Shapes(seed, statistics="stored")

    def normed(name: str, *shape: int, bias: bool = True) -> None:
        made.plain(f"{name}.weight_orig", *shape)
        matrix = made.tensors[f"{name}.weight_orig"].flatten(1)
        u, _, v = torch.linalg.svd(matrix)
        made.tensors[f"{name}.weight_u"] = u[:, 0].contiguous()
        made.tensors[f"{name}.weight_v"] = v[0].contiguous()
        if bias:
            made.plain(f"{name}.bias", shape[0], scale=0.1)

    def running(name: str, channels: int) -> None:
        made.plain(f"{name}.running_means", rows, channels, scale=0.1)
        variance = 0.5 + torch.rand(rows, channels, generator=made.random)
        made.tensors[f"{name}.running_vars"] = variance

    made.plain("embeddings.weight", z_dim, classes)
    normed("generator.gen_z", 16 * width * plan[0][0], 2 * z_dim)
    number = 0
    for a, b in plan:
        if number == attention_at:
            place = f"generator.layers.{number}"
            channels = width * a
            made.tensors[f"{place}.gamma"] = torch.tensor([0.7])
            normed(f"{place}.snconv1x1_theta", channels // 8, channels, 1, 1, bias=False)
            normed(f"{place}.snconv1x1_phi", channels // 8, channels, 1, 1, bias=False)
            normed(f"{place}.snconv1x1_g", channels // 2, channels, 1, 1, bias=False)
            normed(f"{place}.snconv1x1_o_conv", channels, channels // 2, 1, 1, bias=False)
            number += 1
        place, hidden = f"generator.layers.{number}", width * a // 4
        for n, channels in enumerate((width * a, hidden, hidden, hidden)):
            running(f"{place}.bn_{n}", channels)
            for part in ("scale", "offset"):
                normed(f"{place}.bn_{n}.{part}", channels, 2 * z_dim, bias=False)
        normed(f"{place}.conv_0", hidden, width * a, 1, 1)
        normed(f"{place}.conv_1", hidden, hidden, 3, 3)
        normed(f"{place}.conv_2", hidden, hidden, 3, 3)
        normed(f"{place}.conv_3", width * b, hidden, 1, 1)
        number += 1
    last = width * plan[-1][1]
    made.plain("generator.bn.weight", last, scale=0.1, around=1.0)
    made.plain("generator.bn.bias", last, scale=0.1)
    running("generator.bn", last)
    normed("generator.conv_to_rgb", last, last, 3, 3)
    return made.tensors
