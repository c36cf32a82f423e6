"""Diversity, likeness of patches and time of single-image models, as a table for docs/results.md.

Trains a model per picture, or reads those that were trained before:

    python benchmarks/single_image_quality.py PICTURE... --quality draft --out models
    python benchmarks/single_image_quality.py --models models --samples 100

With ``--peer FOLDER`` the samples of another system are measured beside ours: one folder per
picture, named like it, with pictures in it. SIFID is given where the Inception network's file is
(see `measures.InceptionFeatures`); the distance of patches always.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from intarsia_models.single_image.arithmetic import faster_arithmetic
from intarsia_models.single_image.measures import (
    Features,
    InceptionFeatures,
    PatchFeatures,
    diversity,
    has_inception,
    single_image_distance,
)
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.sampling import variations
from intarsia_models.single_image.settings import quality_settings
from intarsia_models.single_image.training import train


def main() -> None:
    """Measure, and print a table or JSON."""
    options = _options()
    features: list[Features] = [PatchFeatures()]
    if has_inception():
        features += [InceptionFeatures(64), InceptionFeatures(192)]
    rows = []
    for name, model in _models(options):
        samples = variations(model, options.samples, seed=1)
        rows.append(_row(name, "ours", model.real, samples, features, model.training_seconds))
        if options.peer is not None:
            theirs = _peer_samples(options.peer / name, model.real)
            rows.append(_row(name, "peer", model.real, theirs, features, None))
    report = {"samples": options.samples, "quality": options.quality, "rows": rows}
    print(json.dumps(report, indent=1) if options.json else _table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="*")
    parser.add_argument("--models", type=Path, help="folder of models that were trained before")
    parser.add_argument("--out", type=Path, help="folder to keep the trained models in")
    parser.add_argument("--quality", default="draft", choices=("draft", "normal", "fine"))
    parser.add_argument("--task", default="generation", choices=("generation", "retarget"))
    parser.add_argument("--single", action="store_true", help="train in single precision")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--peer", type=Path, help="folder of another system's samples")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _models(options: argparse.Namespace) -> list[tuple[str, TrainedModel]]:
    if options.models is not None:
        folders = sorted(path for path in options.models.iterdir() if path.is_dir())
        return [(path.name, TrainedModel.load(path, device=options.device)) for path in folders]
    found = []
    for file in options.pictures:
        picture = _read(file)
        settings = quality_settings(options.task, options.quality, size=_size(picture))
        arithmetic = None if options.single else faster_arithmetic(options.device)
        model = train(picture, settings, device=options.device, arithmetic=arithmetic)
        if options.out is not None:
            model.save(options.out / file.stem)
        found.append((file.stem, model))
    return found


def _row(
    name: str,
    whose: str,
    real: Tensor,
    samples: Tensor,
    features: list[Features],
    seconds: float | None,
) -> dict[str, Any]:
    distances = {
        kind.name: statistics.mean(
            single_image_distance(real, sample[None], kind) for sample in samples
        )
        for kind in features
    }
    return {
        "picture": name,
        "whose": whose,
        "size": list(real.shape[-2:]),
        "diversity": diversity(samples, real),
        "distances": distances,
        "seconds": seconds,
    }


def _peer_samples(folder: Path, real: Tensor) -> Tensor:
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".jpeg"))
    height, width = real.shape[-2:]
    pictures = [_read(file, (width, height)) for file in files]
    return torch.cat(pictures).to(real)


def _read(file: Path, size: tuple[int, int] | None = None) -> Tensor:
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    if size is not None and picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2], picture.shape[-1]


def _table(rows: list[dict[str, Any]]) -> str:
    kinds = list(rows[0]["distances"]) if rows else []
    head = ["picture", "whose", "size", "diversity", *kinds, "training"]
    lines = [" | ".join(head), "|".join(["---"] * len(head))]
    for row in rows:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
        distances = [f"{row['distances'][kind]:.3f}" for kind in kinds]
        size = f"{row['size'][1]} x {row['size'][0]}"
        cells = [row["picture"], row["whose"], size, f"{row['diversity']:.2f}", *distances, seconds]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    main()
