"""Attention over templates against the plain formulation, and what a mosaic of any size takes.

* ``attention``: one layer over K templates at the half size of a 256-px patch, 48 channels, 4
  heads. The peer is the same layer with the logits of all pixels written out (softmax(Q K^T) V as
  batched products), with the same weights. Both take turns; the ratio is that of medians. Peak
  memory is that of a fresh process each.
* ``rendering``: seconds and peak memory of whole mosaics against K and megapixels, in fresh
  processes; random weights, draft networks unless told otherwise.

    python benchmarks/mosaic.py [--device cuda] [--threads 2] [--quality fine]
        [--attention-only | --rendering-only] [--cases 50x20] [--folder scratch] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.evaluation.mosaic_cost import Cost, PeakMemory, rendering_costs
from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.rendering import MEMORY_MB
from intarsia_models.mosaic.set_attention import AttentionBlock, SetAttention
from intarsia_models.mosaic.training_settings import mosaic_settings

CHANNELS, HEADS, SIDE = 48, 4, 128
COUNTS = (8, 50)
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def naive(block: AttentionBlock, x: Tensor) -> Tensor:
    """What `AttentionBlock` computes, with all logits at once; (1, K, P, C)."""
    seen = block.norm_seen(x)
    q, k, v = (
        layer(seen)[0].transpose(0, 1).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for layer in (block.query, block.key, block.value)
    )  # (P, heads, K, d)
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    mixed = (weights @ v).transpose(1, 2).flatten(2).transpose(0, 1)[None]
    x = x + block.out(mixed)
    return x + block.contract(F.relu(block.expand(block.norm_inner(x))))


def attention_ways(count: int, device: str) -> dict[str, Callable[[], Tensor]]:
    """Ours and the plain one, on the same numbers; they agree."""
    torch.manual_seed(0)
    layer = SetAttention(CHANNELS, heads=HEADS).to(device).requires_grad_(False)
    x = torch.randn(count, CHANNELS, SIDE, SIDE, device=device)
    x = x.contiguous(memory_format=torch.channels_last)

    def plain() -> Tensor:
        seen = x.permute(0, 2, 3, 1).reshape(1, count, SIDE * SIDE, CHANNELS)
        made = naive(layer.block, seen)
        return made.reshape(count, SIDE, SIDE, CHANNELS).permute(0, 3, 1, 2)

    return {"ours": lambda: layer(x, count), "plain": plain}


@torch.inference_mode()
def attention(count: int, device: str, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Milliseconds of both, and whether they agree."""
    ways = attention_ways(count, device)
    away = float((ways["ours"]() - ways["plain"]()).abs().max())
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            _wait(device)
            begun = clock()
            ways[name]()
            _wait(device)
            taken[name].append(1e3 * (clock() - begun))
    ms = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    peak = {}
    for name in ways:
        command = [sys.executable, __file__, "--peak-of", name, "--count", str(count)]
        done = subprocess.run(
            [*command, "--device", device], check=True, stdout=subprocess.PIPE, text=True
        )
        peak[name] = float(done.stdout)
    return {
        "K": count,
        "ms": ms,
        "ratio": round(ms["plain"] / ms["ours"], 2),
        "peak_mb": peak,
        "largest_difference": away,
    }


@torch.inference_mode()
def peak_of(way: str, count: int, device: str) -> float:
    """Megabytes above what the process takes before; for a process of its own."""
    ways = attention_ways(count, device)
    small = torch.randn(2, CHANNELS, 4, 4, device=device)
    SetAttention(CHANNELS, heads=HEADS).to(device)(small, 2)  # what is compiled, is now
    memory = PeakMemory(device)
    ways[way]()
    _wait(device)
    return round(memory.mb())


def _case(text: str) -> tuple[int, float]:
    count, megapixels = text.split("x")
    return int(count), float(megapixels)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    """Print tables, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the process's own time, where other programs keep the machine busy",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quality", default="draft", help="of the rendered networks")
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB, help="of a tile")
    parser.add_argument(
        "--cases", nargs="*", default=[], metavar="KxM", help="templates x megapixels, e.g. 50x20"
    )
    parser.add_argument("--norms", nargs="+", default=["fast", "exact"])
    parser.add_argument(
        "--folder", type=Path, help="where a stopped rendering goes on, and says how far it is"
    )
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--attention-only", action="store_true", help="the first part")
    parts.add_argument("--rendering-only", action="store_true", help="the second part")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.peak_of:
        print(peak_of(arguments.peak_of, arguments.count, arguments.device))
        return
    device = arguments.device
    clock = CLOCKS[arguments.clock]
    counts = () if arguments.rendering_only else COUNTS
    layers = [attention(count, device, arguments.rounds, clock) for count in counts]
    costs: list[Cost] = []
    if not arguments.attention_only:
        costs = rendering_costs(
            MosaicModel(build_network(mosaic_settings(arguments.quality))),
            cases=[_case(text) for text in arguments.cases] or None,
            norms=arguments.norms,
            memory_mb=arguments.memory_mb,
            precision=arguments.precision,
            device=device,
            folder=arguments.folder,
        )
    if arguments.json:
        machine = {
            "device": device if device == "cpu" else torch.cuda.get_device_name(),
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
            "torch": torch.__version__,
        }
        rows = [asdict(cost) for cost in costs]
        shown = {"machine": machine, "attention": layers, "rendering": rows}
        print(json.dumps(shown, indent=2))
        return
    if layers:
        size, threads = f"{SIDE} x {SIDE}", torch.get_num_threads()
        print(f"set attention, {CHANNELS} channels, {size}, {threads} threads")
    for row in layers:
        ms, peak = row["ms"], row["peak_mb"]
        print(
            f"  K {row['K']:3}  ours {ms['ours']:8.1f} ms {peak['ours']:6} MB   plain "
            f"{ms['plain']:8.1f} ms {peak['plain']:6} MB   plain / ours {row['ratio']:.2f}"
        )
    if costs:
        print(f"rendering, {arguments.quality} networks")
    for cost in costs:
        print(
            f"  K {cost.count:3}  {cost.megapixels:5.2f} megapixels  {cost.norm:5}  "
            f"{cost.seconds:8.1f} s  {cost.cpu_seconds:8.1f} s of processors  "
            f"{cost.peak_mb:6.0f} MB  tiles of {cost.tile}"
        )


if __name__ == "__main__":
    main()
