"""What a model's critic sees in the pictures of a folder, as numbers for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Choice, Folder, Option
from intarsia_daemon import picture_parts as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.feature_files import NAMES, Row, check_format, write_features
from intarsia_daemon.key_patch_models import (
    FEATURES,
    LoadedPatches,
    loaded_patches,
    model_parameter,
    part_of,
)
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_folders import check_free, results_folder
from intarsia_daemon.picture_sources import (
    FOLDER,
    PICTURES,
    PictureSources,
    picture_sources,
)
from intarsia_daemon.pixels import Layer, Outcome, Picture
from intarsia_daemon.real_pictures import visible_part
from intarsia_models.errors import ModelsError
from intarsia_models.key_patches.patches import part_input

SECONDS = 0.05
"""For a picture, on a machine of speed 1."""
BATCH = 32
MOST_SHOWN = 16


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    try:
        count = len(picture_sources([], parameters["folder"]))
    except (IntarsiaError, OSError):
        count = 1  # layers, or no such folder: the run says so
    return Estimate(1.0 + SECONDS * count, False, "Quick for some hundreds.")


@operation(
    title="Features",
    verb="Write the features",
    group="Folders",
    inputs=(PICTURES,),
    parameters=(
        FOLDER,
        Folder(
            "results",
            "Results",
            "Where the files go; files that are there are never overwritten.",
            required=True,
        ),
        model_parameter(FEATURES),
        Choice(
            "seen",
            "Of",
            "What of each picture is described.",
            (
                Option("whole", "Whole pictures", "One row for each."),
                Option("parts", "Their key patches", "One row for each part."),
                Option("both", "Both", "The whole picture first."),
            ),
            default="whole",
        ),
        replace(shared.COUNT, only_with="seen=parts,both"),
        Choice(
            "format",
            "Format",
            "Of the files.",
            (
                Option("npy", "NumPy", "features.npy, and features.csv with what each row is."),
                Option("parquet", "Parquet", "One table; needs pyarrow."),
            ),
            default="npy",
        ),
    ),
    estimate=estimate,
)
def features(
    pictures: list[Picture],
    folder: str,
    results: str,
    model: str,
    seen: str,
    count: int,
    format: Any,
    context: Context,
) -> Outcome:
    """Describe pictures by numbers, for sorting, searching and classifying them.

    The numbers are what the last layer of a model's critic sees, learnt without any labels. Source:
    Lee et al. 2018, arXiv:1703.10730, supplement, section 4.
    """
    check_format(format)
    sources = picture_sources(pictures, folder)
    place = results_folder(results, sources.folder, "Results")
    check_free(place, NAMES[format], "Results")
    with loaded_patches(context, model, capability=FEATURES) as loaded:
        reading = _Reading(context, loaded, seen, count)
        with context.phase("describe"):
            for index in range(len(sources)):
                context.progress("Describing the pictures", index, len(sources))
                reading.add(sources, index)
            reading.flush()
        if not reading.rows:
            raise InvalidRequest(
                f"None of the {len(sources)} pictures can be used.",
                value=len(sources),
                remedy=f"The first one: {reading.failed[0]}",
            )
        found = torch.cat(reading.features).numpy()
        with context.phase("write"):
            write_features(place, format, found, reading.rows)
        return Outcome(
            [_neighbours(reading, found, *sources.corner)],
            model=context.models.reference(loaded.id),
            metrics={"rows": len(found), "numbers": found.shape[1]},
            notes=_notes(reading, found, place, NAMES[format]),
        )


@dataclass
class _Reading:
    """Pictures being described, some at a time."""

    context: Context
    loaded: LoadedPatches
    seen: str
    count: int
    rows: list[Row] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    """(n, F) each."""
    shown: list[tuple[int, Tensor]] = field(default_factory=list)
    """Row and picture (1, 3, R, R) of the first whole ones."""
    failed: list[str] = field(default_factory=list)
    _waiting: list[tuple[Row, Tensor]] = field(default_factory=list)

    def add(self, sources: PictureSources, index: int) -> None:
        """Take in a picture; one that cannot be used is noted."""
        name = sources.names[index]
        try:
            picture = visible_part(sources.read(index))
            if self.seen != "parts":
                height, width = picture.array.shape[:2]
                self._wait(Row(name, 0, 0, 0, width, height, 0.0), picture)
            for number, part in enumerate(self._parts(picture), 1):
                self._wait(Row(name, number, *part.patch.box, 0.0), part.piece)
        except (IntarsiaError, ModelsError) as error:
            self.failed.append(f"{name}: {error.what}")
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Describe what waits."""
        if not self._waiting:
            return
        model = self.loaded.model
        images = torch.cat([image for _, image in self._waiting])
        self.features.append(model.features(images))
        for (row, image), real in zip(self._waiting, model.scores(images).tolist(), strict=True):
            if len(self.shown) < MOST_SHOWN * 16:
                self.shown.append((len(self.rows), image))
            self.rows.append(replace(row, real=round(real, 6)))
        self._waiting.clear()

    def _parts(self, picture: Picture) -> list[shared.FoundPart]:
        if self.seen == "whole":
            return []
        usual = shared.box_rule(*(p.default for p in (shared.LEAST, shared.MOST, shared.OVERLAP)))
        return shared.key_parts(picture, self.count, usual)

    def _wait(self, row: Row, picture: Picture) -> None:
        image = part_input(part_of(picture), self.loaded.model.resolution)
        self._waiting.append((row, image))


def _neighbours(reading: _Reading, found: np.ndarray, x: int, y: int) -> Layer:
    """Some of them, each beside the one of another picture that is nearest by the features."""
    rows = [row for row, _ in reading.shown]
    known = found[rows] - found.mean(0)
    known /= np.linalg.norm(known, axis=1, keepdims=True).clip(1e-12)
    alike = known @ known.T
    files = [reading.rows[row].file for row in rows]
    alike[np.array(files)[:, None] == np.array(files)[None]] = -2.0
    tiles: list[Tensor] = []
    captions: list[str] = []
    step = max(1, len(rows) // MOST_SHOWN)
    for index in range(0, len(rows), step)[:MOST_SHOWN]:
        other = int(alike[index].argmax())
        near = alike[index, other] > -2.0
        tiles += [reading.shown[index][1], reading.shown[other if near else index][1]]
        captions += [files[index], f"nearest: {files[other]}" if near else "it is alone"]
    columns = 2 * max(1, min(4, len(tiles) // 4))
    return contact_sheet("Nearest by features", tiles, captions, x=x, y=y, columns=columns)


def _notes(reading: _Reading, found: np.ndarray, place: Path, names: tuple[str, ...]) -> list[str]:
    notes = [
        f"{len(found)} rows of {found.shape[1]} numbers are in {place}: {' and '.join(names)}."
    ]
    if reading.failed:
        told = "; ".join(reading.failed[:3])
        notes.append(f"{len(reading.failed)} pictures were left out: {told[:300]}")
    return notes
