"""Time to a finished harmonization model, to a fine-tune and to one picture, in every quality.

    python benchmarks/harmonize_whole.py --device cuda --out results
    python benchmarks/harmonize_whole.py --quality draft

Writes before/after pictures into the folder and prints a table (``--json``: one object). On a CPU
only the draft ends in minutes; the other qualities are meant for a GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia_daemon.composition import Placed, place
from intarsia_daemon.documents.reading import read_document
from intarsia_daemon.operations.harmonize import wanted_settings
from intarsia_daemon.pixels import Picture
from intarsia_models.single_image.cost import expected_seconds
from intarsia_models.single_image.fine_tuning import fine_tune
from intarsia_models.single_image.harmonization import harmonize
from intarsia_models.single_image.training import train

CASES = (
    ("portrait_cap.ora", "Portrait", "Cap"),
    ("shipwreck.ora", "Shipwreck", "Shoes"),
    ("starry_night_lemur.ora", "Starry Night", "Lemur"),
)


def load(file: str, below: str, above: str) -> Placed:
    """A case's picture and element on one canvas."""
    folder = resources.files("intarsia_daemon.demo") / "pictures"
    with resources.as_file(folder / file) as path:
        document = read_document(path)
    picture, element = document.find(below), document.find(above)
    assert picture.array is not None and element.array is not None
    pasted = Picture(element.array, element.x, element.y, above)
    return place(Picture(picture.array, name=below), pasted, None, margin=None)


def measure(
    case: tuple[str, str, str], quality: str, device: str, out: Path | None
) -> dict[str, Any]:
    """One case in one quality: seconds of every part, peak memory on a GPU."""
    placed = load(*case)
    height, width = placed.target.shape[-2:]
    settings = wanted_settings(quality, "auto", height, width)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    model = train(placed.target, settings, seed=0, device=device)
    trained = time.perf_counter()
    done = harmonize(model, placed.naive, placed.edit_mask)
    _settle(device)
    applied = time.perf_counter()
    tuned = fine_tune(model, placed.naive, seed=0)
    fitted = time.perf_counter()
    finer = harmonize(tuned, placed.naive, placed.edit_mask)
    if out is not None:
        name = f"{Path(case[0]).stem}_{quality}"
        _save(out / f"{name}.png", [placed.naive, done.picture, finer.picture])
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else None
    return {
        "case": case[0],
        "quality": quality,
        "sizes": [list(size) for size in model.sizes],
        "train_s": trained - started,
        "expected_s": expected_seconds(settings, height, width, device),
        "harmonize_s": applied - trained,
        "fine_tune_s": fitted - applied,
        "fine_tune_iterations": settings.fine_tune_iterations,
        "peak_mib": memory,
    }


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _save(path: Path, pictures: list[Tensor]) -> None:
    from PIL import Image

    row = torch.cat([picture.cpu() for picture in pictures], dim=3)[0].permute(1, 2, 0)
    Image.fromarray(((row + 1) * 127.5).round().clamp(0, 255).byte().numpy()).save(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quality", action="append", choices=("draft", "normal", "fine"))
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the pictures")
    parser.add_argument("--out", type=Path, help="folder for naive | harmonized | fine-tuned")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    on_cpu = not options.device.startswith("cuda")
    qualities = options.quality or (["draft"] if on_cpu else ["draft", "normal", "fine"])
    name = platform.processor() or platform.machine() if on_cpu else torch.cuda.get_device_name()
    rows = []
    for case in CASES[: options.cases]:
        for quality in qualities:
            rows.append(measure(case, quality, options.device, options.out))
            if not options.json:
                row = rows[-1]
                print(
                    f"{row['case']:24} {quality:7} train {row['train_s']:7.1f} s (expected "
                    f"{row['expected_s']:.0f})  apply {row['harmonize_s']:.2f} s  "
                    f"fine-tune {row['fine_tune_s']:.1f} s",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"device": name, "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
