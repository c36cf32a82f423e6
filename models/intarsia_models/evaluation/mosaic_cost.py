"""Seconds and peak memory of whole mosaics, each in a fresh process:
``python -m intarsia_models.evaluation.mosaic_cost``."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.rendering import render
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource

CASES = ((4, 0.06), (8, 0.06), (16, 0.06), (8, 0.25))
"""(K, megapixels), for a CPU."""
LARGE_CASES = ((8, 1.0), (50, 1.0), (50, 5.0), (50, 20.0))
"""For a GPU."""
ASPECT = 1.5
PROGRESS_S = 10.0


@dataclass(frozen=True)
class Cost:
    """Of one mosaic."""

    count: int
    """K."""
    megapixels: float
    norm: str
    tile: int
    seconds: float
    cpu_seconds: float
    """Of all threads of the process."""
    peak_mb: float
    """Above what the process takes before it: on a CPU all of it, pictures and weights, too; on a
    GPU its own memory."""


def rendering_costs(
    model: MosaicModel,
    *,
    cases: Sequence[tuple[int, float]] | None = None,
    norms: Sequence[str] = ("fast", "exact"),
    tile: int | None = None,
    memory_mb: int = 4096,
    precision: str = "float32",
    device: str = "cpu",
    folder: Path | None = None,
) -> list[Cost]:
    """Render random pictures with networks of a model's sizes.

    Args:
        model: Only its settings count; the weights are random.
        cases: (K, megapixels); None: `CASES` or, on a GPU, `LARGE_CASES`.
        norms: See `rendering.render`.
        tile: Side of the tiles; None: see `rendering.render`.
        memory_mb: See `rendering.render`.
        precision: See there.
        device: Where.
        folder: Keeps what is done of a case that is stopped, each in a folder of its own that is
            removed at its end; the seconds are those since the last start. Progress is printed
            there, too, into a text file for each case.

    Raises:
        CalledProcessError: A process failed, for example for lack of memory.
    """
    found = []
    for count, megapixels in cases or (CASES if device == "cpu" else LARGE_CASES):
        for norm in norms:
            case = {
                "settings": model.settings.to_card(),
                "count": count,
                "megapixels": megapixels,
                "norm": norm,
                "tile": tile,
                "memory_mb": memory_mb,
                "precision": precision,
                "device": device,
                "folder": folder and str(folder / f"{count}x{megapixels:g}-{norm}"),
            }
            found.append(
                Cost(
                    count,
                    megapixels,
                    norm,
                    **in_fresh_process("intarsia_models.evaluation.mosaic_cost", case),
                )
            )
    return found


def in_fresh_process(module: str, case: dict[str, Any]) -> dict[str, Any]:
    """What a module prints as JSON when it is run with a case."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(case)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads},
    )
    return json.loads(done.stdout.splitlines()[-1])


class PeakMemory:
    """Megabytes taken at most since it was made, above what was taken then."""

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "cpu":
            with contextlib.suppress(OSError):  # only Linux forgets earlier peaks
                Path("/proc/self/clear_refs").write_text("5", "ascii")
        else:
            torch.cuda.reset_peak_memory_stats()
        self._before = self._now()

    def mb(self) -> float:
        """So far."""
        if self.device != "cpu":
            peak = torch.cuda.max_memory_allocated()
        elif (status := Path("/proc/self/status")).is_file():
            (line,) = (t for t in status.read_text("ascii").splitlines() if t.startswith("VmHWM"))
            peak = int(line.split()[1]) * 2**10
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            peak *= 1 if sys.platform == "darwin" else 2**10
        return max(0.0, (peak - self._before) / 2**20)

    def _now(self) -> int:
        if self.device != "cpu":
            return torch.cuda.memory_allocated()
        return psutil.Process().memory_info().rss


def _run(case: dict[str, Any]) -> dict[str, float]:
    settings, device = MosaicSettings.from_card(case["settings"]), case["device"]
    model = MosaicModel(build_network(settings)).to(device)
    source = torch.Generator().manual_seed(0)
    count = settings.slots or case["count"]
    pictures = [torch.randint(0, 256, (3, 200, 200), generator=source).byte() for _ in range(count)]
    canvases = PictureSource(pictures).canvases(count, seed=0)
    options = {key: case[key] for key in ("tile", "memory_mb", "norm", "precision")}

    def compose(size: tuple[int, int], **more: Any) -> int:
        content = None
        if settings.guided:
            content = torch.rand(1, 3, *size, generator=source) * 2 - 1
        made = render(model, content, canvases, size, **options, **more)
        if device != "cpu":
            torch.cuda.synchronize()
        return made.tile

    compose((64, 64))  # compiles, and fills caches
    memory, begun, worked = PeakMemory(device), time.perf_counter(), time.process_time()
    height = round((case["megapixels"] * 1e6 / ASPECT) ** 0.5)
    more: dict[str, Any] = {}
    folder = case.get("folder") and Path(case["folder"])
    if folder:
        more = {"folder": folder, "on_progress": _written_progress(folder, memory)}
    tile = compose((height, round(height * ASPECT)), **more)
    found = {
        "tile": tile,
        "seconds": round(time.perf_counter() - begun, 2),
        "cpu_seconds": round(time.process_time() - worked, 2),
        "peak_mb": round(memory.mb()),
    }
    if folder:
        shutil.rmtree(folder)
    return found


def _written_progress(folder: Path, memory: PeakMemory) -> Callable[[float, Any], None]:
    """Into a file beside the folder, now and then."""
    last, place = [0.0], folder.with_name(f"{folder.name}.txt")

    def progress(share: float, _: Any) -> None:
        if time.monotonic() - last[0] < PROGRESS_S:
            return
        last[0] = time.monotonic()
        with place.open("a", encoding="utf-8") as file:
            print(f"{time.strftime('%X')}  {share:.1%}  {memory.mb():.0f} MB", file=file)

    return progress


def main() -> None:
    """Measure the case that is the first argument; print JSON."""
    print(json.dumps(_run(json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
