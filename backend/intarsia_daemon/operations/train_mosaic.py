"""Train a model of mosaics on folders of templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia_client.schema import Folder, Toggle
from intarsia_daemon import generator_trainings as shared
from intarsia_daemon import mosaic_models as models
from intarsia_daemon import mosaic_parameters as wished
from intarsia_daemon import mosaic_templates as own
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_folders import SUFFIXES
from intarsia_daemon.pixels import Outcome

MOST_CONTENTS = 400
"""Pictures of a contents' folder that are read."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    seconds = models.training_seconds(context, _wishes(parameters))
    text = "Learns the templates; it can be paused, and goes on after the editor was closed."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Train mosaics",
    verb="Train on the templates",
    group="Models",
    inputs=(),
    parameters=(
        Folder(
            "pictures",
            "Templates",
            "A folder with the pictures that mosaics are made of, or with several folders of them: "
            "then the model serves any of these sets, and others like them.",
            required=True,
        ),
        Folder(
            "contents",
            "Guides",
            "A folder with pictures to follow, e.g. portraits; empty: templates are learnt to be "
            "arranged freely.",
        ),
        shared.TITLE,
        wished.QUALITY,
        wished.SEGMENTS,
        wished.EDGES,
        wished.FIDELITY,
        wished.VARIETY,
        own.SCALE,
        Toggle(
            "together",
            "One set",
            "All pictures of all folders are one set of templates.",
            False,
            advanced=True,
        ),
        wished.WARP,
        wished.REFINE,
        shared.ITERATIONS,
        shared.REPORT,
    ),
    trains=True,
    estimate=estimate,
)
def train_mosaic(
    pictures: str,
    contents: str,
    title: str,
    quality: Any,
    segments: str,
    edges: str,
    fidelity: str,
    variety: str,
    scale: float,
    together: bool,
    warp: str,
    refine: bool,
    iterations: int,
    report: str,
    context: Context,
) -> Outcome:
    """Train a model that makes mosaics of your templates, along guides or freely.

    Source: Jetchev et al. 2019, arXiv:1910.07236 (MAGIC). Afterwards it is in the list of models.
    """
    given = {
        "quality": quality, "segments": segments, "edges": edges, "fidelity": fidelity,
        "variety": variety, "warp": warp, "refine": refine, "iterations": iterations,
        "contents": contents,
    }  # fmt: skip
    wishes = _wishes(given)
    context.require_training(models.training_seconds(context, wishes))
    with context.phase("read"):
        context.progress("Reading the templates", 0, 1)
        sets, notes = _sets(pictures, scale, together, context)
        guides = None
        if contents:
            guides = own.pictures_of_folder(
                contents, "Guides", most=MOST_CONTENTS, tick=context.tick
            )
    found = models.learnt(
        context,
        wishes,
        sets,
        guides,
        title=title or Path(pictures).name,
        operation="train_mosaic",
        report=report,
    )
    if found.training is None:
        return shared.known_outcome(context, found.id, found.card)
    return shared.trained_outcome(context, found.id, found.training, *notes)


def _sets(
    pictures: str, scale: float, together: bool, context: Context
) -> tuple[list[own.Templates], list[str]]:
    """One set of templates, or one for each folder in the folder."""
    place = shared.pictures_place(pictures)
    inside = sorted(place.iterdir()) if place.is_dir() else []
    folders = [item for item in inside if item.is_dir() and not item.name.startswith(".")]
    loose = any(item.suffix.lower() in SUFFIXES for item in inside if item.is_file())
    parts = [place] if together or loose or not folders else folders
    most = own.MOST_PIXELS // len(parts)
    sets = [
        own.gathered_templates([], str(part), scale, most_pixels=most, tick=context.tick)
        for part in parts
    ]
    return sets, [note for item in sets for note in item.notes]


def _wishes(values: Mapping[str, Any]) -> Wishes:
    names = ("quality", "segments", "edges", "fidelity", "variety", "warp", "refine", "iterations")
    guided = bool(values["contents"])
    return Wishes(guided=guided, count=wished.COUNT.default, **{n: values[n] for n in names})
