"""A pack of a mosaic: the trained model, where it comes from and what it makes.

The folder has the layout of every pack (see `gan_training.packs`): ``card.json``, ``README.md``,
``ATTRIBUTION.md``, pictures, and ``model/``, which `MosaicModel.load` reads.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.gan_training.packs import THUMBNAIL_SIDE, listed_files, told_of, write_card
from intarsia_models.gan_training.reports import write_curves, write_picture
from intarsia_models.mosaic.model import FAMILY, MosaicModel
from intarsia_models.mosaic.templates import PictureSource, Scales, stacked
from intarsia_models.mosaic.training import TrainedMosaic

EXAMPLE_SIDE = 512
"""Longer side of an example."""
EXAMPLE_TEMPLATES = 24
CAPABILITIES = ("any_templates", "mosaic")


@dataclass(frozen=True)
class MosaicFacts:
    """What a pack says of itself."""

    title: str
    licence: str
    """Of the weights and of the pictures they were made from."""
    attribution: str
    """Markdown: whose pictures."""
    command: str
    """What makes this pack again."""
    device: str
    note: str = ""
    """A paragraph of Markdown: what else one should know."""
    examples: Sequence[tuple[Path, Path]] = ()
    """A content that no training saw, and a folder of templates for it."""


def write_mosaic_pack(folder: Path, trained: TrainedMosaic, facts: MosaicFacts) -> None:
    """Write a pack.

    Args:
        folder: The pack's; its name is its id.
        trained: What it is to hold.
        facts: See `MosaicFacts`.

    Raises:
        ValueError: A file would be too large for a pack; train narrower networks.
        UnsuitablePicture: An example's pictures cannot be read.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    capabilities = sorted((*CAPABILITIES, "guided" if trained.settings.guided else "unguided"))
    own = {
        "capabilities": capabilities,
        "licence": facts.licence,
        "commands": [facts.command],
        "note": facts.note,
        "device": facts.device,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    trained.model.save(folder / "model", extra=own, dtype=torch.float16)
    listed = listed_files(folder / "model")
    settings = json.dumps([trained.settings.to_card(), trained.training.to_card()], sort_keys=True)
    card = {
        "family": FAMILY,
        "task": "mosaic",
        "title": facts.title,
        "operation": "train_mosaic",
        "source_hash": trained.model.origin.get("pictures_sha256", ""),
        "settings_hash": hashlib.sha256(settings.encode()).hexdigest(),
        "seconds": round(trained.seconds, 1),
        "capabilities": capabilities,
        "resolution": trained.training.patch,
        "licence": facts.licence,
        "created": float(round(time.time())),
        "bytes": sum(entry["bytes"] for entry in listed.values()),
        "files": listed,
    }
    write_card(folder, card)
    write_curves(folder / "curves.png", trained.history, title="mosaic")
    names = _write_examples(folder, facts.examples, trained.training.template_scales)
    (folder / "README.md").write_text(_readme(trained, facts, names), encoding="utf-8")
    (folder / "ATTRIBUTION.md").write_text(facts.attribution, encoding="utf-8")


def example(
    model: MosaicModel,
    content: Tensor,
    templates: PictureSource,
    *,
    scales: Scales = (1.0, 1.0),
    seed: int = 0,
) -> Tensor:
    """(1, 3, h, 3 w) in [-1, 1]: a content, its collage and its mosaic side by side.

    Args:
        model: Guided.
        content: (3, h, w) uint8.
        templates: Of the mosaic.
        scales: Least and greatest size of a template.
        seed: Of the canvases.
    """
    canvases = templates.canvases(EXAMPLE_TEMPLATES, seed, scales=scales)
    followed = content[None].float() / 127.5 - 1.0
    made = model.compose(followed, stacked(canvases, 0, 0, *content.shape[1:]))
    return torch.cat([followed, made.collage.cpu(), made.picture.cpu()], -1)


def _write_examples(
    folder: Path, examples: Sequence[tuple[Path, Path]], scales: Scales
) -> list[str]:
    """Files' names; made with the stored model, and the first one is the thumbnail too."""
    model = MosaicModel.load(folder / "model")
    names = []
    for number, (file, templates) in enumerate(examples, 1):
        content = PictureSource.from_file(file, largest_side=EXAMPLE_SIDE).pictures[0]
        source = PictureSource.from_folder(templates)
        made = example(model, content, source, scales=scales, seed=number)
        names.append(f"example_{number}.png")
        write_picture(folder / names[-1], made)
        if number == 1:
            third = made[..., -content.shape[2] :]
            side = min(third.shape[-2:])
            square = third[..., :side, :side]
            small = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
            write_picture(folder / "thumbnail.png", F.interpolate(square, small, mode="area"))
    return names


def _readme(trained: TrainedMosaic, facts: MosaicFacts, names: Sequence[str]) -> str:
    shown = "\n\n".join(f"![content, collage, mosaic]({name})" for name in names)
    guided = "follows a content picture" if trained.settings.guided else "follows no content"
    return f"""# {facts.title}

Composes pictures of any templates and {guided}; trained on {trained.templates} templates and
{trained.contents} contents. In the pictures: a content that the training never saw, the collage
(copied and pasted only), and the mosaic after it was refined.

{shown}

Trained on {time.strftime("%Y-%m-%d", time.gmtime())} on {facts.device}:

```
{facts.command}
```

{told_of("generator", trained.card())}

{facts.note}

![learning curves](curves.png)

## Licence

{facts.licence} Whose pictures these are: [ATTRIBUTION.md](ATTRIBUTION.md).
"""
