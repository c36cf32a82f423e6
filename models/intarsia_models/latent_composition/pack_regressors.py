"""A regressor for a pack that is already there; the pack's other files stay as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from intarsia_models.checkpoints import CARD, read_bundle
from intarsia_models.errors import ModelsError
from intarsia_models.gan_training.packs import (
    listed_files,
    settings_hash,
    told_of,
    write_card,
)
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.reports import write_curves, write_picture
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import fingerprint, load_generator, save_generator
from intarsia_models.latent_composition.latents import Latent, decode
from intarsia_models.latent_composition.reconstructions import (
    Reconstructed,
    measured,
    shown,
)
from intarsia_models.latent_composition.training import TrainedRegressor

HEADING = "## Masked regressor"
_SECTION = re.compile(rf"{HEADING}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
GENERATED, SEED = 128, 123
"""How many generated pictures are measured, and the seed of their latents."""


def add_regressor(
    folder: Path,
    trained: TrainedRegressor,
    *,
    command: str,
    device: str,
    held_out: PictureSet | None = None,
    note: str = "",
) -> dict[str, list[Reconstructed]]:
    """Put a trained regressor into a pack: its file, both cards, README, curves and pictures.

    Args:
        folder: The pack's.
        trained: For the pack's generator.
        command: What makes it again.
        device: Where it was trained, for people.
        held_out: Real pictures of the generator's classes and size that no training saw.
        note: A paragraph of Markdown: what else one should know of the training.

    Returns:
        How near generated pictures and, where there are some, real ones come back.

    Raises:
        ModelsError: The regressor was trained for another generator.
        ValueError: Its file would be too large for a pack; train a narrower one.
        OSError: The folder cannot be written.
    """
    generator = trained.generator
    model = folder / "model"
    if fingerprint(load_generator(model)) != fingerprint(generator):
        raise ModelsError(
            f"The regressor was trained for another generator than the one in {folder}.",
            "Train it with --model of this pack.",
        )
    found = _measured(folder, generator, held_out)
    own = read_bundle(model).card
    trainings = {**own["trainings"], "regressor": trained.card()}
    kept = {key: own[key] for key in own if key in ("licence", "note", "date", "device")}
    commands = [line for line in own["commands"] if "latent_composition" not in line]
    metrics = {of: [vars(entry) for entry in entries] for of, entries in found.items()}
    save_generator(
        generator,
        model,
        card={
            **kept,
            "commands": [*commands, command],
            "trainings": trainings,
            "regressor_device": device,
            "regressor_metrics": metrics,
        },
        dtype=torch.float16,
    )
    listed = listed_files(model)
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    card |= {
        "settings_hash": settings_hash(generator, trainings),
        "seconds": sum(float(part.get("training_seconds", 0)) for part in trainings.values()),
        "capabilities": sorted(generator.capabilities),
        "bytes": sum(entry["bytes"] for entry in listed.values()),
        "files": listed,
    }
    write_card(folder, card)
    write_curves(folder / "curves_regressor.png", trained.history, title="regressor")
    _write_section(folder / "README.md", _section(trained, command, device, note, found))
    return found


def _measured(
    folder: Path, generator: Generator, held_out: PictureSet | None
) -> dict[str, list[Reconstructed]]:
    """Measure, and write pictures of it."""
    kinds = generator.num_classes
    z = generator.sample_z(GENERATED, SEED)
    y = (torch.arange(GENERATED) % kinds).to(z.device) if kinds else None
    with torch.no_grad():
        groups = {"generated": (decode(generator, Latent(z, None, y)), y)}
    if held_out is not None:
        real = held_out.pixels.to(z.device).float() / 127.5 - 1.0
        groups["held out"] = (real, held_out.y.to(z.device) if kinds else None)
    for name, (x, labels) in groups.items():
        write_picture(folder / _picture_of(name), shown(generator, x, labels))
    return {name: measured(generator, x, labels) for name, (x, labels) in groups.items()}


def _picture_of(name: str) -> str:
    return f"regressor_{name.replace(' ', '_')}.png"


def _section(
    trained: TrainedRegressor,
    command: str,
    device: str,
    note: str,
    found: dict[str, list[Reconstructed]],
) -> str:
    rows = "\n".join(
        f"| {of} | {entry.known} | {entry.of_known:.3f} | {entry.of_all:.3f} | "
        f"{'' if entry.classes_read is None else f'{entry.classes_read:.0%}'} |"
        for of, entries in found.items()
        for entry in entries
    )
    pictures = "\n\n".join(
        f"![{of} pictures, and what comes back]({_picture_of(of)})" for of in found
    )
    real = f", {trained.pictures} real pictures among the generated ones" * bool(trained.pictures)
    return f"""{HEADING}

Reads a rough collage in one pass. Trained on {device}{real}:

```
{command}
```

{told_of("regressor", trained.card())}
- pictures were compared by their pixels and by {trained.compared_by}

| pictures | known | difference where known | difference of the whole | class read |
|---|---|---|---|---|
{rows}

Differences are mean absolute ones of values in [-1, 1]. In the pictures: a row as it was, what came
back, the same row with its right half hidden, what came back.

{pictures}

![learning curves of the regressor](curves_regressor.png)
{f"{chr(10)}{note.strip()}{chr(10)}" if note.strip() else ""}
"""


def _write_section(file: Path, section: str) -> None:
    """Replace the section, or put it before the licence."""
    text = file.read_text(encoding="utf-8")
    if HEADING in text:
        text = _SECTION.sub(lambda _: section, text, count=1)
    else:
        before, heading, after = text.partition("## Licence")
        text = f"{before}{section}{heading}{after}"
    file.write_text(text, encoding="utf-8")
