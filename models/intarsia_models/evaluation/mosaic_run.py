"""From folders of pictures to the section on mosaics."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from intarsia_models.evaluation.mosaic_experiments import mosaics
from intarsia_models.evaluation.mosaic_report import write_mosaics
from intarsia_models.evaluation.mosaic_trainings import SCALES, material, trained


def measure_mosaics(
    templates: Path,
    contents: Path,
    out: Path,
    facts: Mapping[str, Any],
    *,
    unseen: tuple[str, ...],
    template_scale: float,
    scale: str = "small",
    kept: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> None:
    """Train, measure, and write the section with its pictures.

    Args:
        templates: A folder of pictures.
        contents: A folder of pictures.
        out: The folder of ``results.md`` and ``images``.
        facts: ``command``, ``device``, ``date``.
        unseen: Names, without suffix, of contents that nothing is trained on.
        template_scale: Templates are used at this size.
        scale: Of `mosaic_trainings.SCALES`.
        kept: Where trainings are found again, and taken up where they ended; None: nowhere.
        device: Where.
        seed: Of the trainings.
        say: Told what is done.

    Raises:
        UnsuitablePicture: A folder is missing, or holds no pictures.
    """
    size = SCALES[scale]
    data = material(templates, contents, unseen, scale=template_scale, side=size.side)
    with tempfile.TemporaryDirectory() as folder:
        models = trained(data, size, kept or Path(folder), device=device, seed=seed, say=say)
    begun = time.perf_counter()
    usual = size.templates_most
    counts = sorted({2, usual, 2 * usual, 4 * usual})
    found = mosaics(data, models, size, counts=counts, device=device, say=say)
    known = {
        **facts,
        "templates": _listed(data.templates.names, f", at {template_scale:g} of their size"),
        "contents": _listed(data.contents.names, "; not trained on: ")
        + _listed(data.unseen.names, ""),
        "seconds": time.perf_counter() - begun,
    }
    write_mosaics(out / "results.md", out / "images", found, known)


def _listed(names: tuple[str, ...], rest: str) -> str:
    return ", ".join(Path(name).stem.replace("_", " ") for name in names) + rest
