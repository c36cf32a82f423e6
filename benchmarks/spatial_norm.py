"""What a class for every position costs, against one class for the whole picture.

Conditional norms of the sizes of BigGAN at 256 pixels, each alone (with its ReLU) and in the whole
generator with random weights. "areas": soft-edged blobs, one per class beyond the first, as painted
selections are; "everywhere": every class has weight at every position, which no selection makes,
the worst case. PyTorch's own plain norm (batch_norm, then relu) runs after ours, not among them:
its waiting threads would keep a core from whatever comes next.

How it is measured: the ways of one norm take turns, each round in another random order, and all of
them write into the same tensor. Other programs and other guests of the machine only ever add time,
therefore a way's time is the lower quartile of its rounds and the ratio that of lower quartiles.
Beside it stands the median over the rounds of the ratio within one round, which would show it if
the lower quartile flattered one of the ways.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, interpolate

from intarsia_models.families.biggan.generator import BigGANGenerator
from intarsia_models.families.biggan.settings import BigGANSettings, BlockSettings
from intarsia_models.generators import fused_affine
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.spatial_norm import plain_norm, spatial_norm

WIDTH = 96
IN = (16, 16, 8, 8, 4, 2)
OUT = (16, 8, 8, 4, 2, 1)
"""Times `WIDTH`: channels of the six blocks of BigGAN at 256 pixels."""
CLASSES, EMBEDDING, Z = 1000, 128, 140
EPS = 1e-5
SETTLING = 0.3
"""Seconds until PyTorch's threads no longer wait awake."""


def biggan_256() -> BigGANGenerator:
    """A whole generator of that size with random weights."""
    blocks = tuple(
        BlockSettings(
            name=f"blocks.{i}",
            norms=(f"blocks.{i}.0.bn1", f"blocks.{i}.0.bn2"),
            inputs=WIDTH * a,
            hidden=WIDTH * b,
            outputs=WIDTH * b,
            upsample=True,
            attention=i == 3,
        )
        for i, (a, b) in enumerate(zip(IN, OUT, strict=True))
    )
    torch.manual_seed(0)
    generator = BigGANGenerator(
        BigGANSettings(
            family="biggan",
            kind="basic",
            conditioning="hierarchical",
            z_dim=Z,
            num_classes=CLASSES,
            embedding_dim=EMBEDDING,
            first_name="linear",
            bottom_width=4,
            blocks=blocks,
        )
    )
    torch.nn.init.normal_(torch.nn.Module.get_parameter(generator, "embedding"))
    generator.requires_grad_(False)
    return generator.eval().to(memory_format=torch.channels_last)


def areas(count: int, seed: int = 0) -> Tensor:
    """(1, count, 256, 256): soft blobs of a tenth to a fifth of the picture over a base class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:256, 0:256]
    blobs = []
    for _ in range(count - 1):
        centre, radius = rng.uniform(60, 196, 2), rng.uniform(45, 65)
        wave = 1 + 0.2 * np.cos(5 * np.arctan2(y - centre[0], x - centre[1]))
        inside = radius * wave - np.hypot(y - centre[0], x - centre[1])
        blobs.append(np.clip(0.5 + inside / 8, 0, 1))  # 8 pixels from 0 to 1
    stacked = torch.tensor(np.stack(blobs), dtype=torch.float32)
    stacked = stacked / stacked.sum(0, keepdim=True).clamp_min(1)
    return torch.cat((1 - stacked.sum(0, keepdim=True), stacked))[None].clamp_min(0)


def everywhere(count: int) -> Tensor:
    """(1, count, 256, 256): weight of every class at every position."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, count, 16, 16, generator=rng) + 0.05
    fine = interpolate(coarse, (256, 256), mode="bilinear")
    return fine / fine.sum(1, keepdim=True)


MAPS: dict[str, Callable[[int], Tensor]] = {"areas": areas, "everywhere": everywhere}


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def alternating(
    ways: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Milliseconds of each way in each round; every round has an order of its own."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(0)
    for turn in range(-2, rounds):  # two rounds to warm up
        for name in order.sample(list(ways), len(ways)):
            start = clock()
            ways[name]()
            if turn >= 0:
                taken[name].append(1000 * (clock() - start))
    return taken


Rounds = dict[str, list[float]]


def norm_alone(channels: int, size: int, rounds: int, clock: Callable[[], float]) -> Rounds:
    """Milliseconds of one norm with ReLU: plain, by kind of map, and PyTorch's."""
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(1, channels, size, size, generator=rng)
    x = x.contiguous(memory_format=torch.channels_last)
    out = torch.zeros_like(x)
    mean, variance = torch.randn(channels, generator=rng), torch.rand(channels, generator=rng) + 0.5
    gammas = torch.randn(1, 4, channels, generator=rng)
    betas = torch.randn(1, 4, channels, generator=rng)
    gamma, beta = gammas[0, 0].contiguous(), betas[0, 0].contiguous()

    def spatial(count: int, weights: Tensor) -> Callable[[], Tensor]:
        own = gammas[:, :count].contiguous(), betas[:, :count].contiguous()
        return lambda: spatial_norm(x, mean, variance, EPS, *own, weights, relu=True, out=out)

    ours: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain_norm(x, mean, variance, EPS, gamma, beta, relu=True, out=out)
    }
    for kind, make in MAPS.items():
        for count in (2, 3, 4):
            weights = ClassMaps.from_dense(make(count)).at("", (size, size))
            ours[f"{kind} k={count}"] = spatial(count, weights.contiguous())
    theirs: dict[str, Callable[[], Any]] = {
        "torch": lambda: batch_norm(x, mean, variance, gamma, beta, False, 0.0, EPS).relu_()
    }  # which takes no tensor to write to
    taken = alternating(ours, rounds, clock)
    taken.update(alternating(theirs, rounds, clock))
    time.sleep(SETTLING)
    return taken


def norms(rounds: int, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Every conditional norm of the generator, and their sum round by round."""
    layers: list[tuple[int, int]] = []
    for level, (inputs, outputs) in enumerate(zip(IN, OUT, strict=True)):
        layers += [(WIDTH * inputs, 4 << level), (WIDTH * outputs, 8 << level)]
    known = {layer: norm_alone(*layer, rounds, clock) for layer in dict.fromkeys(layers)}
    cases = [row(f"{channels} x {size}²", taken) for (channels, size), taken in known.items()]
    total: dict[str, Any] = {"case": f"all {len(layers)} norms"}
    for key in ("ms", "lowest_ms"):
        total[key] = {
            name: round(sum(cases[list(known).index(layer)][key][name] for layer in layers), 4)
            for name in cases[0][key]
        }
    plain = total["ms"]["plain"]
    total["ratio"] = {name: round(ms / plain, 3) for name, ms in total["ms"].items()}
    sums = {
        name: [sum(known[layer][name][turn] for layer in layers) for turn in range(rounds)]
        for name in known[layers[0]]
    }
    total["ratio_in_a_round"] = in_a_round(sums)
    return [*cases, total]


def whole(rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """The whole generator, unedited and relabelled."""
    generator = biggan_256()
    z, y = generator.sample_z(1, seed=0), torch.tensor([3])
    ways: dict[str, Callable[[], Any]] = {"plain": lambda: generator.synthesize(z, y)}
    for kind, make in MAPS.items():
        for count in (2, 3, 4):
            maps = ClassMaps(tuple(range(3, 3 + count)), make(count))
            ways[f"{kind} k={count}"] = lambda maps=maps: generator.synthesize(
                z, y, class_weights=maps
            )
    return row("whole generator", alternating(ways, rounds, clock))


def row(case: str, taken: Rounds) -> dict[str, Any]:
    """Lower quartiles and lowest values in milliseconds, and what each way takes of the plain."""
    ms = {name: float(np.quantile(values, 0.25)) for name, values in taken.items()}
    return {
        "case": case,
        "ms": {name: round(value, 4) for name, value in ms.items()},
        "lowest_ms": {name: round(min(values), 4) for name, values in taken.items()},
        "ratio": {name: round(value / ms["plain"], 3) for name, value in ms.items()},
        "ratio_in_a_round": in_a_round(taken),
    }


def in_a_round(taken: Rounds) -> dict[str, float]:
    """Median over the rounds of each way's time to the plain one's of the same round."""
    plain = taken["plain"]
    return {
        name: round(statistics.median(a / b for a, b in zip(values, plain, strict=True)), 3)
        for name, values in taken.items()
        if name not in ("plain", "torch")
    }


@torch.inference_mode()
def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="rounds of each norm")
    parser.add_argument("--whole-repeats", type=int, default=5, help="rounds of the generator")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the process's own time, where other programs keep the machine busy",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = CLOCKS[arguments.clock]
    cases = norms(arguments.repeats, clock)
    if arguments.whole_repeats:
        cases.append(whole(arguments.whole_repeats, clock))
    probe = torch.zeros(1, 8, 4, 4).contiguous(memory_format=torch.channels_last)
    compiled = fused_affine.usable(probe)
    if arguments.json:
        machine = {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "clock": arguments.clock,
        }
        versions = {"torch": torch.__version__, "python": sys.version, "compiled": compiled}
        print(json.dumps({"machine": machine, "versions": versions, "cases": cases}, indent=2))
        return
    print(f"spatial to plain norm, {torch.get_num_threads()} threads, compiled: {compiled}")
    print("  ratios of lower quartiles (in brackets: median of the ratios within one round)")
    for case in cases:
        inside = case["ratio_in_a_round"]
        ratios = "  ".join(
            f"{name} {value:.2f}" + (f" ({inside[name]:.2f})" if name in inside else "")
            for name, value in case["ratio"].items()
            if name != "plain"
        )
        print(f"  {case['case']:16} plain {case['ms']['plain']:9.3f} ms   {ratios}")


if __name__ == "__main__":
    main()
