"""Model packs: a trained generator with all its networks as a folder that others can use.

A pack is ``card.json``, ``thumbnail.png``, ``README.md``, pictures of it, and ``model/``, which
`load_generator` reads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from intarsia_models.checkpoints import file_hash
from intarsia_models.gan_training.grids import class_grid, grid_classes
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.reports import write_picture
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import save_generator, settings_of

FILE_LIMIT = 16 * 2**20
"""Bytes; larger files do not belong into a repository."""
THUMBNAIL_SIDE = 128


@dataclass(frozen=True)
class PackFacts:
    """What a pack says of itself."""

    title: str
    licence: str
    """Of the weights and of the pictures they were made from."""
    attribution: str
    """Markdown: whose pictures."""
    commands: Sequence[str]
    """What makes this pack again, exactly."""
    trainings: Mapping[str, Mapping[str, Any]]
    """By network: what its training's ``card()`` says."""
    device: str
    note: str = ""
    """A paragraph of Markdown: what else one should know of the training."""


def write_pack(folder: Path, generator: Generator, facts: PackFacts) -> None:
    """Write a pack; its curves and further pictures are put beside it by the caller.

    Args:
        folder: The pack's; its name is its id.
        generator: In eval mode, with all networks that belong to it.
        facts: See `PackFacts`.

    Raises:
        ValueError: A file would be larger than `FILE_LIMIT`; train a narrower network.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    own = {
        "licence": facts.licence,
        "commands": list(facts.commands),
        "trainings": dict(facts.trainings),
        "note": facts.note,
        "date": day,
        "device": facts.device,
    }
    save_generator(generator, folder / "model", card=own, dtype=torch.float16)
    _write_card(folder, generator, facts, listed_files(folder / "model"))
    write_samples(folder / "samples.png", generator)
    _write_thumbnail(folder / "thumbnail.png", generator)
    (folder / "README.md").write_text(_readme(generator, facts, day), encoding="utf-8")
    (folder / "ATTRIBUTION.md").write_text(facts.attribution, encoding="utf-8")


def listed_files(model: Path) -> dict[str, dict[str, Any]]:
    """Sizes and hashes of a pack's files, as its card lists them.

    Args:
        model: The pack's folder ``model``.

    Raises:
        ValueError: One is larger than `FILE_LIMIT`.
    """
    listed = {}
    for path in sorted(path for path in model.iterdir() if path.is_file()):
        size = path.stat().st_size
        if size > FILE_LIMIT:
            raise ValueError(
                f"{path.name} has {size} bytes, more than {FILE_LIMIT}: train narrower networks "
                "for a pack."
            )
        listed[path.name] = {"bytes": size, "sha256": file_hash(path)}
    return listed


def settings_hash(generator: Generator, trainings: Mapping[str, Any]) -> str:
    """SHA-256 of all sizes and trainings, for a pack's card."""
    settings = json.dumps([settings_of(generator), dict(trainings)], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def write_examples(folder: Path, pictures: PictureSet, count: int, *, seed: int = 0) -> None:
    """Some real pictures of every class, a sub-folder each, to measure a pack with.

    Args:
        folder: For the sub-folders; what is in it goes.
        pictures: That no network was trained on.
        count: At most as many per class.
        seed: Of the choice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    source = torch.Generator().manual_seed(seed)
    for kind, label in enumerate(pictures.labels):
        members = (pictures.y == kind).nonzero().flatten()
        order = torch.randperm(len(members), generator=source)[:count]
        for index in members[order].tolist():
            name = PurePosixPath(pictures.names[index]).stem
            place = folder / label.replace(" ", "_") / f"{name}.png"
            write_picture(place, pictures.pixels[index][None].float() / 127.5 - 1.0)


def write_samples(file: Path, generator: Generator, *, seed: int = 0) -> None:
    """A row of pictures per class."""
    y = grid_classes(generator.num_classes, rows=64)
    write_picture(file, class_grid(generator, generator.sample_z(len(y), seed, truncation=2.0), y))


def _write_thumbnail(file: Path, generator: Generator) -> None:
    """Four classes."""
    kinds = max(1, generator.num_classes)
    y = torch.linspace(0, kinds - 1, 4).round().long()
    z = generator.sample_z(4, 1, truncation=1.5)
    grid = class_grid(generator, z, y, columns=2)
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    write_picture(file, torch.nn.functional.interpolate(grid, side, mode="area"))


def _write_card(
    folder: Path, generator: Generator, facts: PackFacts, listed: Mapping[str, Mapping[str, Any]]
) -> None:
    seconds = sum(float(card.get("training_seconds", 0)) for card in facts.trainings.values())
    card = {
        "family": generator.family,
        "task": "generator",
        "title": facts.title,
        "operation": "train_gan",
        "source_hash": facts.trainings.get("generator", {}).get("pictures_sha256", ""),
        "settings_hash": settings_hash(generator, facts.trainings),
        "seconds": seconds,
        "capabilities": sorted(generator.capabilities),
        "resolution": generator.resolution,
        "num_classes": generator.num_classes,
        "label_count": len(generator.labels),
        "licence": facts.licence,
        "created": float(round(time.time())),
        "bytes": sum(entry["bytes"] for entry in listed.values()),
        "files": listed,
    }
    write_card(folder, card)


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a pack's own card."""
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _readme(generator: Generator, facts: PackFacts, day: str) -> str:
    classes = ", ".join(generator.labels)
    commands = "\n".join(facts.commands)
    networks = "\n".join(told_of(name, card) for name, card in facts.trainings.items())
    return f"""# {facts.title}

Pictures of {generator.resolution} x {generator.resolution} pixels of {generator.num_classes}
classes: {classes}.

![a row per class](samples.png)

Trained on {day} on {facts.device}:

```
{commands}
```

{networks}

{facts.note}

![learning curves of the generator](curves_generator.png)

## Licence

{facts.licence} Whose pictures these are: [ATTRIBUTION.md](ATTRIBUTION.md).
"""


def told_of(name: str, card: Mapping[str, Any]) -> str:
    """A line of Markdown on the training of a network."""
    losses = ", ".join(f"{key.replace('_', ' ')} {v:.3f}" for key, v in card["losses"].items())
    minutes = card["training_seconds"] / 60
    return (
        f"- {name}: {card['training']['iterations']} iterations of "
        f"{card['training']['batch']} pictures in {minutes:.0f} minutes; at the end {losses}"
    )
