"""Mosaics of the frames of an animation: the same templates at the same places in all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Choice, Folder, Option
from intarsia_daemon import mosaic_models as models
from intarsia_daemon import mosaic_parameters as wished
from intarsia_daemon import mosaic_pictures as composing
from intarsia_daemon import mosaic_places as places
from intarsia_daemon import mosaic_templates as own
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.model_card import file_hash
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.operation import operation
from intarsia_daemon.output_manifest import write_whole
from intarsia_daemon.picture_folders import (
    ReadPicture,
    check_free,
    files_of,
    read_picture,
    results_folder,
)
from intarsia_daemon.pixels import Layer, Outcome, Picture
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.rendering import RenderStatistics

LEARNT_FRAMES = 16
"""Of which a model is learnt where none is there."""
DONE = "frames.json"
"""In the job's folder: which frames are written, so that a stopped run goes on."""
TYPICAL_SIZE = (480, 854)
"""(height, width) of a frame that is not looked at, for estimates."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    wishes = _wishes(parameters)
    size, count = TYPICAL_SIZE, 0
    try:
        place, names = files_of(parameters["frames"], "Frames")
        size, count = read_picture(place / names[0]).picture.array.shape[:2], len(names)
    except (IntarsiaError, OSError):
        pass  # no such folder: the run says so
    seconds = count * composing.composing_seconds(
        context, wishes.networks(), (size[0], size[1]), wishes.count
    )
    if not (parameters["learn"] == "auto" and models.may_serve(context, wishes, "")):
        seconds += models.training_seconds(context, wishes)
    text = f"For {count} frames; it can be paused, and goes on after it was stopped."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Mosaic of frames",
    verb="Make the mosaics",
    group="Folders",
    inputs=(own.LAYERS,),
    parameters=(
        Folder(
            "frames",
            "Frames",
            "A folder with the frames, all of one size; their names say their order.",
            required=True,
        ),
        Folder(
            "results",
            "Results",
            "Where the mosaics go, under the frames' names; no file there is overwritten.",
            required=True,
        ),
        own.FOLDER,
        wished.COUNT,
        own.SCALE,
        Choice(
            "gives",
            "Gives",
            "What is written.",
            (
                Option("collage", "Collage", "Pieces of your pictures as they are."),
                Option("picture", "Refined", "Closer to the frames, their seams smoothed."),
            ),
            default="collage",
        ),
        wished.SEGMENTS,
        wished.EDGES,
        wished.FIDELITY,
        wished.VARIETY,
        wished.KEEP_COLORS,
        models.MODEL,
        wished.LEARN,
        wished.QUALITY,
    ),
    trains=True,
    estimate=estimate,
)
def mosaic_frames(
    templates: list[Picture],
    frames: str,
    results: str,
    pictures: str,
    count: int,
    scale: float,
    gives: str,
    segments: str,
    edges: str,
    fidelity: str,
    variety: str,
    keep_colors: bool,
    model: str,
    learn: str,
    quality: Any,
    context: Context,
) -> Outcome:
    """Make mosaics of a folder of frames with the same templates, so that they do not flicker.

    What a network measures of the whole picture is measured once, on the first frame. Source:
    Jetchev et al. 2019, arXiv:1910.07236 (MAGIC), which names videos as a use.
    """
    given = {
        "quality": quality, "count": count, "segments": segments, "edges": edges,
        "fidelity": fidelity, "variety": variety,
    }  # fmt: skip
    wishes = _wishes(given)
    folder, names = files_of(frames, "Frames")
    place = results_folder(results, folder, "Results")
    run = _Run(context, folder, place, names)
    check_free(place, [run.target(name).name for name in names if not run.is_done(name)], "Results")
    with context.phase("prepare"):
        context.progress("Reading the templates", 0, 1)
        found = own.gathered_templates(templates, pictures, scale, tick=context.tick)
    chosen = None
    if model or learn == "auto":
        chosen = models.serving_model(context, wishes, found, model)
    if chosen is None:
        contents = own.pictures_of_folder(frames, "Frames", most=LEARNT_FRAMES, tick=context.tick)
        title = f"Mosaic of {found.title}"
        chosen = models.trained_model(
            context, wishes, found, contents, title=title, again=learn == "new"
        )
    with models.loaded_mosaic(context, chosen.id) as loaded:
        first = places.whole_place(read_picture(folder / names[0]).picture)
        plan = composing.planned(context, loaded, first, found.source, wishes, mosaics=len(names))
        shown = run.render(loaded, plan, refine=gives == "picture", keep_colors=keep_colors)
    note = f"{len(names)} mosaics are in {place}."
    return Outcome(
        [shown],
        model=context.models.reference(chosen.id),
        metrics={"frames": float(len(names))},
        notes=[note, *found.notes, *chosen.notes, *plan.notes],
    )


class _Run:
    """The frames of one run, and which of them are done."""

    def __init__(self, context: Context, folder: Path, results: Path, names: list[str]) -> None:
        self._context = context
        self._folder = folder
        self._results = results
        self._names = names
        self._file = context.folder / DONE
        self._done: dict[str, str] = self._read()

    def target(self, name: str) -> Path:
        return self._results / f"{name.replace('/', '-').rsplit('.', 1)[0]}.png"

    def is_done(self, name: str) -> bool:
        """Whether this very run wrote it."""
        target = self.target(name)
        return target.exists() and self._done.get(target.name) == file_hash(target)

    def render(
        self, model: MosaicModel, plan: composing.Plan, *, refine: bool, keep_colors: bool
    ) -> Layer:
        """Write what is missing; returns the last frame."""
        statistics: RenderStatistics | None = None
        size: tuple[int, int] | None = None
        layer: Layer | None = None
        for number, name in enumerate(self._names):
            last = number == len(self._names) - 1
            needed = statistics is None or last or not self.is_done(name)
            if not needed:
                continue
            read = read_picture(self._folder / name)
            place = places.whole_place(read.picture)
            size = size or place.size
            if place.size != size:
                raise InvalidRequest(
                    f"{name} has {place.size[1]} x {place.size[0]} pixels, the first frame "
                    f"{size[1]} x {size[0]}.",
                    value=name,
                    remedy="Bring all frames to one size; they are one animation.",
                )
            shares = (number / len(self._names), (number + 1) / len(self._names))
            made = composing.rendered(
                self._context,
                model,
                place,
                plan,
                refine=refine,
                keep_weights=False,
                statistics=statistics,
                stage=f"Frame {number + 1} of {len(self._names)}",
                shares=shares,
            )
            statistics = made.statistics
            colours = composing.colours_of(made, refined=refine, keep_colors=keep_colors)
            layer = composing.picture_layer(name, colours, place)
            if not self.is_done(name):
                self._write(name, read, layer)
        assert layer is not None
        return layer

    def _write(self, name: str, read: ReadPicture, layer: Layer) -> None:
        target = self.target(name)
        write_whole(target, read.png(np.asarray(layer.array)))
        self._done[target.name] = file_hash(target)
        write_whole(self._file, json.dumps(self._done).encode())

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _wishes(values: Mapping[str, Any]) -> Wishes:
    names = ("quality", "count", "segments", "edges", "fidelity", "variety")
    return Wishes(guided=True, **{name: values[name] for name in names})
