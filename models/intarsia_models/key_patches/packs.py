"""A pack with a model of parts: a folder that others can use, as `gan_training.packs` writes them.

It is ``card.json``, ``thumbnail.png``, ``README.md``, ``ATTRIBUTION.md``, pictures of what it
makes, and ``model/``, which `KeyPatchModel.load` reads.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.gan_training.grids import arranged
from intarsia_models.gan_training.packs import (
    THUMBNAIL_SIDE,
    PackFacts,
    listed_files,
    told_of,
    write_card,
)
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.reports import write_curves, write_picture
from intarsia_models.key_patches.model import FAMILY, TASK
from intarsia_models.key_patches.training import TrainedKeyPatches
from intarsia_models.key_patches.wholes import Likeness, Wholes, likeness, made_wholes, shown

COLUMNS = 12
NETWORK = "key_patches"
"""What the training is called in a card."""


def write_patch_pack(
    folder: Path,
    trained: TrainedKeyPatches,
    facts: PackFacts,
    held_out: PictureSet,
) -> dict[str, Likeness]:
    """Write a pack.

    Args:
        folder: The pack's; its name is its id.
        trained: The model; stored in float16.
        facts: See `PackFacts`; its trainings are the model's own.
        held_out: Pictures of the model's side that no training saw, to measure and to show.

    Returns:
        How near wholes of held-out pictures come, by how their parts were chosen.

    Raises:
        ValueError: A file would be larger than a pack's may be; train narrower networks.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    trainings = {NETWORK: trained.card()}
    groups = {
        "key patches": made_wholes(trained.model, held_out.pixels),
        "random patches": made_wholes(trained.model, held_out.pixels, choice="random"),
    }
    if trained.model.settings.variable_parts and trained.model.parts > 1:
        groups["one key patch"] = made_wholes(trained.model, held_out.pixels, unique=1)
    found = {name: likeness(wholes) for name, wholes in groups.items()}
    own = {
        "title": facts.title,
        "licence": facts.licence,
        "commands": list(facts.commands),
        "trainings": trainings,
        "note": facts.note,
        "date": day,
        "device": facts.device,
        "metrics": {name: vars(entry) for name, entry in found.items()},
    }
    trained.model.save(folder / "model", extra=own, dtype=torch.float16)
    _write_card(folder, trained, facts, trainings)
    for name, wholes in groups.items():
        write_picture(folder / _picture_of(name), shown(_some(wholes, COLUMNS)))
    mixed = recombined(trained, groups["key patches"])
    write_picture(folder / "recombined.png", mixed)
    made = groups["key patches"].generated[:4]
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    write_picture(folder / "thumbnail.png", F.interpolate(arranged(made, 2), side, mode="area"))
    write_curves(folder / "curves.png", trained.history)
    text = _readme(trained, facts, day, trainings[NETWORK], found, len(held_out))
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "ATTRIBUTION.md").write_text(facts.attribution, encoding="utf-8")
    return found


def recombined(trained: TrainedKeyPatches, wholes: Wholes) -> Tensor:
    """Parts of two pictures at once (supplement, section 3), as columns of one picture.

    The last part of each picture is taken from the next one. Rows: the parts, the placement, the
    result.

    Args:
        trained: The model.
        wholes: Whose parts; at most `COLUMNS` are shown.

    Returns:
        (1, 3, rows R, columns R) in [-1, 1].
    """
    count = min(COLUMNS, len(wholes.patches))
    patches = wholes.patches[:count].clone()
    patches[:, -1] = patches[:, -1].roll(-1, 0)
    generated, placement = trained.model.generate(patches, trained.model.sample_z(count, 0))
    rows = [*patches.unbind(1)]
    if placement is not None:
        rows.append((placement * 2 - 1).expand(-1, 3, -1, -1))
    return arranged(torch.cat([*rows, generated]), count)


def _some(wholes: Wholes, count: int) -> Wholes:
    placement = None if wholes.placement is None else wholes.placement[:count]
    return Wholes(
        wholes.real[:count],
        wholes.patches[:count],
        wholes.boxes[:count],
        wholes.generated[:count],
        placement,
    )


def _write_card(
    folder: Path, trained: TrainedKeyPatches, facts: PackFacts, trainings: dict[str, Any]
) -> None:
    listed = listed_files(folder / "model")
    settings = json.dumps([trained.model.settings.to_dict(), trainings], sort_keys=True)
    card = {
        "family": FAMILY,
        "task": TASK,
        "title": facts.title,
        "operation": "train_patches",
        "source_hash": trained.fingerprint,
        "settings_hash": hashlib.sha256(settings.encode()).hexdigest(),
        "seconds": round(trained.seconds, 1),
        "capabilities": sorted(trained.model.capabilities),
        "resolution": trained.model.resolution,
        "licence": facts.licence,
        "created": float(round(time.time())),
        "bytes": sum(entry["bytes"] for entry in listed.values()),
        "files": listed,
    }
    write_card(folder, card)


def _picture_of(name: str) -> str:
    return f"{name.replace(' ', '_')}.png"


def _rows(found: dict[str, Likeness]) -> str:
    def told(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return "\n".join(
        f"| {name} | {entry.appearance:.3f} | {told(entry.placement)} | {told(entry.overlap)} | "
        f"{entry.whole:.3f} |"
        for name, entry in found.items()
    )


def _readme(
    trained: TrainedKeyPatches,
    facts: PackFacts,
    day: str,
    card: dict[str, Any],
    found: dict[str, Likeness],
    pictures: int,
) -> str:
    model = trained.model
    commands: Sequence[str] = facts.commands
    known = f" of {', '.join(model.labels)}" if model.labels else ""
    some = "one to " if model.settings.variable_parts else ""
    shots = "\n\n".join(f"![{name}]({_picture_of(name)})" for name in found)
    return f"""# {facts.title}

Makes whole pictures of {model.resolution} x {model.resolution} pixels{known}
from {some}{model.parts} of their parts, without being told where the parts go.

![parts of two pictures at once: the parts, where they went, what is made](recombined.png)

Trained on {day} on {facts.device}:

```
{chr(10).join(commands)}
```

{told_of(NETWORK.replace("_", " "), card)}

{facts.note}

On {pictures} pictures that were not trained with (values in [-1, 1]; appearance: made x predicted
place against real x true place, the mean over the whole picture; overlap: intersection over union
of the two places):

| parts | appearance | place | overlap | whole picture |
|---|---|---|---|---|
{_rows(found)}

In the pictures, from above: the parts, the picture they are of, where they were, where the model
puts them, what it makes.

{shots}

![learning curves](curves.png)

## Licence

{facts.licence} Whose pictures these are: [ATTRIBUTION.md](ATTRIBUTION.md).
"""
