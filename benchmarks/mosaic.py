"""Attention over templates against the plain formulation, and what a mosaic of any size takes.

* ``attention``: one layer over K templates at the half size of a 256-px patch, 48 channels, 4
  heads. The peer is the same layer with the logits of all pixels written out (softmax(Q K^T) V as
  batched products), with the same weights. Both take turns; the ratio is that of medians. Peak
  memory is that of a fresh process each.
* ``rendering``: seconds and peak memory of whole mosaics against K and megapixels, in fresh
  processes, tiles of one size; random weights, draft networks unless told otherwise.

    python benchmarks/mosaic.py [--device cuda] [--threads 2] [--json] [--large]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.rendering import render
from intarsia_models.mosaic.set_attention import AttentionBlock, SetAttention
from intarsia_models.mosaic.templates import PictureSource
from intarsia_models.mosaic.training_settings import mosaic_settings

CHANNELS, HEADS, SIDE = 48, 4, 128
COUNTS = (8, 50)
RENDERINGS = ((4, 0.06), (8, 0.06), (16, 0.06), (8, 0.25))
"""(K, megapixels)."""
LARGE = ((50, 1.0), (50, 5.0), (50, 20.0), (8, 20.0))
TILE = 128


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
def attention(count: int, device: str, rounds: int) -> dict[str, Any]:
    """Milliseconds of both, and whether they agree."""
    ways = attention_ways(count, device)
    away = float((ways["ours"]() - ways["plain"]()).abs().max())
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            _wait(device)
            begun = time.perf_counter()
            ways[name]()
            _wait(device)
            taken[name].append(1e3 * (time.perf_counter() - begun))
    ms = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    peak = {name: fresh({"attention": name, "count": count, "device": device}) for name in ways}
    return {
        "K": count,
        "ms": ms,
        "ratio": round(ms["plain"] / ms["ours"], 2),
        "peak_mb": {name: found["peak_mb"] for name, found in peak.items()},
        "largest_difference": away,
    }


def fresh(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@torch.inference_mode()
def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Peak memory above what the process takes anyway, and seconds."""
    device = case["device"]
    if "attention" in case:
        work: Callable[[], Any] = attention_ways(case["count"], device)[case["attention"]]
        if case["attention"] == "ours":  # compiles for the first time
            SetAttention(CHANNELS, heads=HEADS).to(device)(
                torch.randn(2, CHANNELS, 4, 4, device=device), 2
            )
    else:
        work = rendering(case)
    _wait(device)
    before = _peak(device, reset=True)
    begun = time.perf_counter()
    work()
    _wait(device)
    seconds = time.perf_counter() - begun
    return {"peak_mb": round(_peak(device) - before), "seconds": round(seconds, 2)}


def rendering(case: dict[str, Any]) -> Callable[[], Any]:
    """A mosaic of random pictures; a tiny one is made first."""
    settings = mosaic_settings(case["quality"])
    model = MosaicModel(build_network(settings)).to(case["device"])
    source = torch.Generator().manual_seed(0)
    pictures = [torch.randint(0, 256, (3, 200, 200), generator=source).byte() for _ in range(8)]
    canvases = PictureSource(pictures).canvases(case["count"], seed=0)
    height = round((case["megapixels"] * 1e6 / 1.5) ** 0.5 / 32) * 32
    size = (height, round(height * 1.5 / 32) * 32)

    def of(size: tuple[int, int]) -> None:
        content = torch.rand(1, 3, *size) * 2 - 1
        options: dict[str, Any] = {"tile": case["tile"], "memory_mb": case["memory_mb"]}
        render(model, content, canvases, size, **options, norm=case["norm"], folder=None)

    of((64, 64))
    return lambda: of(size)


def _peak(device: str, *, reset: bool = False) -> float:
    """Megabytes, of the process or of the device."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 2**20


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    """Print tables, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quality", default="draft", help="of the rendered networks")
    parser.add_argument("--memory-mb", type=int, default=0, help="instead of tiles of one size")
    parser.add_argument("--large", action="store_true", help="up to 20 megapixels, for a GPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.case:
        print(json.dumps(run_case(json.loads(arguments.case))))
        return
    device = arguments.device
    layers = [attention(count, device, arguments.rounds) for count in COUNTS]
    shared = {
        "device": device,
        "quality": arguments.quality,
        "tile": None if arguments.memory_mb else TILE,
        "memory_mb": arguments.memory_mb or 4096,
    }
    renderings = []
    for count, megapixels in LARGE if arguments.large else RENDERINGS:
        for norm in ("fast", "exact"):
            case = {**shared, "count": count, "megapixels": megapixels, "norm": norm}
            renderings.append({"K": count, "megapixels": megapixels, "norm": norm, **fresh(case)})
    if arguments.json:
        machine = {
            "device": device if device == "cpu" else torch.cuda.get_device_name(),
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
            "torch": torch.__version__,
        }
        shown = {"machine": machine, "attention": layers, "rendering": renderings, "of": shared}
        print(json.dumps(shown, indent=2))
        return
    print(f"set attention, {CHANNELS} channels, {SIDE} x {SIDE}, {torch.get_num_threads()} threads")
    for row in layers:
        ms, peak = row["ms"], row["peak_mb"]
        print(
            f"  K {row['K']:3}  ours {ms['ours']:8.1f} ms {peak['ours']:6} MB   plain "
            f"{ms['plain']:8.1f} ms {peak['plain']:6} MB   plain / ours {row['ratio']:.2f}"
        )
    print(f"rendering, {arguments.quality} networks, {shared}")
    for row in renderings:
        print(
            f"  K {row['K']:3}  {row['megapixels']:5.2f} megapixels  {row['norm']:5}  "
            f"{row['seconds']:8.1f} s  {row['peak_mb']:6} MB"
        )


if __name__ == "__main__":
    main()
