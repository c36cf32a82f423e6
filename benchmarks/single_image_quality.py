"""Diversity, likeness of patches and time of single-image models, as a table for docs/results.md.

Trains a model per picture, or reads those that were trained before:

    python benchmarks/single_image_quality.py --quality draft --out models --montage samples.png
    python benchmarks/single_image_quality.py PICTURE... --quality normal --device cuda
    python benchmarks/single_image_quality.py --models models --samples 100
    python benchmarks/single_image_quality.py --set settled_below=0.1 --out early  # ends early

Without pictures it takes six of the demo's. With ``--out`` a run that was interrupted goes on where
it was. With ``--peer FOLDER`` the samples of another system are measured beside ours: one folder
per picture, named like it, with pictures in it. SIFID is given where the Inception network's file
is (see `measures.InceptionFeatures`); the distance of patches always.
"""

import argparse
import json
import resource
import statistics
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from intarsia_daemon.documents.reading import read_document
from intarsia_models.evaluation.page import put_section
from intarsia_models.gan_training.reports import write_picture
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
from intarsia_models.single_image.settings import TaskSettings, quality_settings
from intarsia_models.single_image.training import train

DEMO = {
    "apples": ("apples.ora", "Apples"),
    "coffee": ("coffee_lemon.ora", "Coffee"),
    "oranges": ("apples.ora", "Oranges"),
    "portrait": ("portrait_cap.ora", "Portrait"),
    "shipwreck": ("shipwreck.ora", "Shipwreck"),
    "starry night": ("starry_night_lemur.ora", "Starry Night"),
}
"""Document and layer of each of the demo's pictures that is measured."""
SHOWN = 5
"""Samples in a row of the montage, after the picture and what the model rebuilds."""
ROW = 120
"""Pixels a row of the montage is high."""
NO_SIFID = " The Inception network was not there, so that SIFID itself was not measured."
MONTAGE = "results-one-picture.png"
COST = "cost.json"
"""Beside a model: what its training took."""


def main() -> None:
    """Measure, and print a table or JSON."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    features: list[Features] = [PatchFeatures()]
    if has_inception():
        features += [InceptionFeatures(64), InceptionFeatures(192)]
    rows, shown = [], []
    for name, model, cost in _models(options):
        samples = variations(model, options.samples, seed=1)
        rows.append({**_row(name, "ours", model.real, samples, features), **cost})
        shown.append(_shown(model, samples))
        rows[-1]["learnt"] = _learnt(model.settings, cost.get("iterations"))
        if options.peer is not None:
            theirs = _peer_samples(options.peer / name, model.real)
            rows.append(_row(name, "peer", model.real, theirs, features))
    if options.montage is not None:
        write_picture(options.montage, _stacked(shown))
    if options.page is not None:
        write_picture(options.page.parent / "images" / MONTAGE, _stacked(shown))
        seen = "" if options.seen is None else options.seen.read_text("utf-8")
        put_section(options.page, _section(rows, options.samples, seen))
    report = {"samples": options.samples, "quality": options.quality, "rows": rows}
    print(json.dumps(report, indent=1) if options.json else _table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="*")
    parser.add_argument("--models", type=Path, help="folder of models that were trained before")
    parser.add_argument("--out", type=Path, help="folder to keep the trained models in")
    parser.add_argument("--montage", type=Path, help="picture to write: a row of samples for each")
    parser.add_argument(
        "--page", type=Path, help="Markdown page to write a section of, for example docs/results.md"
    )
    parser.add_argument(
        "--seen", type=Path, help="Markdown for the page: what the pictures show who looks at them"
    )
    parser.add_argument("--quality", default="draft", choices=("draft", "normal", "fine"))
    parser.add_argument("--task", default="generation", choices=("generation", "retarget"))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting other than the quality's, for example iterations=900",
    )
    parser.add_argument(
        "--side", type=int, help="pixels that the longer side is first brought to, for memory"
    )
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = torch's default")
    parser.add_argument("--peer", type=Path, help="folder of another system's samples")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _models(options: argparse.Namespace) -> list[tuple[str, TrainedModel, dict[str, Any]]]:
    if options.models is not None:
        folders = sorted(path for path in options.models.iterdir() if path.is_dir())
        return [(path.name, *_stored(path, options.device)) for path in folders]
    chosen = {file.stem: _read(file) for file in options.pictures} or _of_the_demo()
    if options.side is not None:
        chosen = {name: _with_side(picture, options.side) for name, picture in chosen.items()}
    return [(name, *_trained(name, picture, options)) for name, picture in chosen.items()]


def _with_side(picture: Tensor, side: int) -> Tensor:
    scale = side / max(picture.shape[-2:])
    size = [round(length * scale) for length in picture.shape[-2:]]
    made = torch.nn.functional.interpolate(picture, size, mode="bicubic", antialias=True)
    return made.clamp(-1, 1)


def _trained(
    name: str, picture: Tensor, options: argparse.Namespace
) -> tuple[TrainedModel, dict[str, Any]]:
    folder = None if options.out is None else options.out / name
    if folder is not None and (folder / COST).is_file():
        return _stored(folder, options.device)
    settings = _settings(options, picture)
    cuda = options.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    processor = time.process_time()
    made: list[int] = []
    model = train(
        picture,
        settings,
        device=options.device,
        on_progress=lambda progress: made.append(progress.stage),
    )
    cost: dict[str, Any] = {
        "seconds": model.training_seconds,
        "processor_s": time.process_time() - processor,
        "iterations": [made.count(stage) for stage in range(len(model.sizes))],
    }
    if cuda:
        cost["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    else:  # of the process since its start, in KiB
        cost["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    if folder is not None:
        model.save(folder)
        (folder / COST).write_text(json.dumps(cost), encoding="utf-8")
    return model, cost


def _stored(folder: Path, device: str) -> tuple[TrainedModel, dict[str, Any]]:
    model, file = TrainedModel.load(folder, device=device), folder / COST
    cost = {"seconds": model.training_seconds}
    return model, json.loads(file.read_text("utf-8")) if file.is_file() else cost


def _settings(options: argparse.Namespace, picture: Tensor) -> TaskSettings:
    settings = quality_settings(options.task, options.quality)
    changes = {
        name: json.loads(value) for name, _, value in (s.partition("=") for s in options.set)
    }
    changed = TaskSettings.from_card({**settings.to_card(), **changes})
    return changed.fitted_to(picture.shape[-2], picture.shape[-1])


def _of_the_demo() -> dict[str, Tensor]:
    folder = resources.files("intarsia_daemon.demo") / "pictures"
    found = {}
    for name, (file, layer) in DEMO.items():
        with resources.as_file(folder / file) as path:
            array = read_document(path).find(layer).array
        assert array is not None
        colours = torch.from_numpy(np.ascontiguousarray(array[..., :3]))
        found[name] = colours.permute(2, 0, 1)[None] / 127.5 - 1
    return found


def _row(
    name: str,
    whose: str,
    real: Tensor,
    samples: Tensor,
    features: list[Features],
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


def _shown(model: TrainedModel, samples: Tensor) -> Tensor:
    """(3, ROW, w): the picture, what the model rebuilds of it, and samples."""
    parts = torch.cat([model.real, model.reconstruct(), samples[:SHOWN]]).float().cpu()
    height, width = parts.shape[-2:]
    size = (ROW, round(width * ROW / height))
    parts = torch.nn.functional.interpolate(parts, size, mode="bicubic", antialias=True)
    return (
        torch.nn.functional.pad(parts, (2, 2, 2, 2), value=1.0)
        .clamp(-1, 1)
        .permute(1, 2, 0, 3)
        .flatten(2)
    )


def _stacked(rows: list[Tensor]) -> Tensor:
    """(1, 3, H, W): the rows below each other, on white."""
    width = max(row.shape[-1] for row in rows)
    padded = [torch.nn.functional.pad(r, (0, width - r.shape[-1]), value=1.0) for r in rows]
    return torch.cat(padded, dim=1)[None]


def _learnt(settings: TaskSettings, made: list[int] | None) -> str:
    planned = settings.stage_iterations()
    first, last = planned[0], planned[-1]
    each = f"{first}" if first == last else f"{first} to {last}"
    whole = f"{len(planned)} stages x {each}, {settings.channels} channels"
    if made is None or made == planned:
        return whole
    return f"{whole}; {sum(made)} of {sum(planned)} made"


def _section(rows: list[dict[str, Any]], samples: int, seen: str) -> str:
    """Of the page: what was measured, on what, beside the paper's figures."""
    ours = [row for row in rows if row["whose"] == "ours"]
    means = {"diversity": statistics.mean(row["diversity"] for row in ours)}
    for kind in ours[0]["distances"]:
        means[kind] = statistics.mean(row["distances"][kind] for row in ours)
    told = ", ".join(f"{kind} {value:.2f}" for kind, value in means.items())
    sifid = "" if any("Inception" in kind for kind in means) else NO_SIFID
    when = time.strftime("%Y-%m-%d", time.gmtime())
    return f"""## Variations of one picture

{samples} variations of each picture by a model that learnt it alone, in a fraction of the published
training (`benchmarks/single_image_quality.py`, {when}, {torch.get_num_threads()} thread(s)).
Diversity is SinGAN's: the standard deviation of every pixel over the variations, averaged, over
that of the picture. It is 0 if all are alike; near 1, as of unrelated pictures of these colours,
little of the layout is left. The distance of patches is the Frechet distance between what 5 x 5
patches of variation and picture look like, at three sizes: smaller is more alike, and such figures
compare with each other only.{sifid}

{_table(rows)}

Mean: {told}.

*Figures of the paper, not measured here* (50 pictures of Places at 250 px, 6 stages x 2000, 64
channels, a GPU): diversity 0.50; with a learning-rate scale of 0.5, 0.43; SIFID 0.06. With
`--peer FOLDER` another system's samples stand in the table.

![Per row: the picture, what the model rebuilds, five variations](images/{MONTAGE})

Per row: the picture at the model's size, what the model rebuilds of it, five variations.

{seen}"""


def _table(rows: list[dict[str, Any]]) -> str:
    kinds = list(rows[0]["distances"]) if rows else []
    head = ["picture", "whose", "size", "learnt", "diversity", *kinds, "training", "memory"]
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    for row in rows:
        distances = [f"{row['distances'][kind]:.3f}" for kind in kinds]
        size = f"{row['size'][1]} x {row['size'][0]}"
        cells = [row["picture"], row["whose"], size, row.get("learnt", "")]
        cells += [f"{row['diversity']:.2f}", *distances]
        cells += [_seconds(row), f"{row['peak_mib']:.0f} MiB" if "peak_mib" in row else ""]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _seconds(row: dict[str, Any]) -> str:
    """Of the training; the processor's own time tells more where a machine is busy."""
    wall = f"{row['seconds']:.0f} s" if "seconds" in row else ""
    return f"{wall} ({row['processor_s']:.0f} s of processor)" if "processor_s" in row else wall


if __name__ == "__main__":
    main()
