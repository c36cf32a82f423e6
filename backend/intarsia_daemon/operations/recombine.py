"""Put parts of several pictures together and make a whole of each mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from intarsia_client.schema import Choice, Folder, Option, Whole
from intarsia_daemon import picture_parts as shared
from intarsia_daemon import recipes
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.key_patch_models import (
    LoadedPatches,
    loaded_patches,
    model_parameter,
    part_of,
)
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_folders import results_folder
from intarsia_daemon.picture_sources import FOLDER, PICTURES, picture_sources
from intarsia_daemon.pixels import Layer, Outcome, Picture, layer_from_tensors
from intarsia_daemon.recombination_files import TABLE, RecombinationFiles
from intarsia_daemon.recombinations import Combination, Combinations
from intarsia_models.key_patches.model import Assembled

MOST = 1000
MOST_LAYERS, MOST_ROWS = 24, 16
SECONDS = 0.1
"""For each picture, on a machine of speed 1."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    return Estimate(1.0 + SECONDS * parameters["count"], False, "Quick for some dozens.")


@operation(
    title="Recombine",
    verb="Mix parts of the pictures",
    group="Collages",
    inputs=(PICTURES,),
    parameters=(
        model_parameter(),
        Whole("count", "Mixtures", "How many are made.", 1, MOST, 8),
        Whole("sources", "From pictures", "Of how many pictures the parts of one come.", 1, 8, 2),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("sheet", "Sheet", "Each mixture in a row: its parts, where they went, it."),
                Option("layers", "Layers", "A layer for each mixture, in a group."),
            ),
            default="sheet",
        ),
        FOLDER,
        Folder(
            "results",
            "Results",
            "Where every mixture is written as a file, with a table of what it was made of; empty: "
            "nowhere.",
        ),
        shared.LEAST,
        shared.MOST,
        replace(shared.OVERLAP, help="How far two parts of one picture may cover each other."),
    ),
    estimate=estimate,
)
def recombine(
    pictures: list[Picture],
    model: str,
    count: int,
    sources: int,
    output: str,
    folder: str,
    results: str,
    least: float,
    most: float,
    overlap: float,
    context: Context,
) -> Outcome:
    """Mix parts of several pictures, found by themselves, and make a new whole of each mixture.

    The same seed gives the same mixtures. Source: Lee et al. 2018, arXiv:1703.10730, supplement,
    figures 7 to 9, where parts were chosen by hand. Deviation: they are chosen so that no two come
    from the same place of their pictures, as far as that goes.
    """
    rule = shared.box_rule(least, most, overlap)
    found = picture_sources(pictures, folder)
    with loaded_patches(context, model) as loaded:
        combinations = Combinations(
            names=found.names,
            read=found.read,
            parts=loaded.model.parts,
            sources=sources,
            rule=rule,
        )
        files = None
        if results:
            settings = {"sources": sources, "sides": [least, most], "overlap": overlap}
            asked = {"operation": "recombine", "version": 1, "parameters": settings}
            recipe = recipes.recipe_hash({**asked, "seed": context.seed}, {"model": loaded.hash})
            files = RecombinationFiles(
                results_folder(results, found.folder, "Results"), recipe, count
            )
        kept = min(count, MOST_LAYERS if output == "layers" else MOST_ROWS)
        shown = _made(context, loaded, combinations, count, kept, files)
        x, y = found.corner
        layers = _layers(shown, x, y) if output == "layers" else [_sheet(shown, x, y)]
        return Outcome(
            layers,
            model=context.models.reference(loaded.id),
            metrics={"mixtures": count, "pictures": len(combinations.names)},
            notes=_notes(combinations, files, count, kept),
        )


@dataclass(frozen=True, eq=False)
class _Mixture:
    """What became of a combination."""

    combination: Combination
    names: list[str]
    """Of the pictures, by part."""
    made: Assembled

    @property
    def title(self) -> str:
        return " + ".join(dict.fromkeys(self.names))


def _made(
    context: Context,
    loaded: LoadedPatches,
    combinations: Combinations,
    count: int,
    kept: int,
    files: RecombinationFiles | None,
) -> list[_Mixture]:
    """The first ``kept`` mixtures; all of them are made, and written where that is wanted."""
    shown: list[_Mixture] = []
    with context.phase("mix"):
        for number in range(1, count + 1):
            context.progress("Mixing parts", number - 1, count)
            found = combinations.chosen(context.seed, number)
            parts = [part_of(part.piece) for part in found.parts]
            made = loaded.model.assemble(parts, seed=context.seed + number - 1)
            names = [combinations.names[source] for source in found.sources]
            if files is not None:
                files.write(found, names, _layer("", made).array)
            if len(shown) < kept:
                shown.append(_Mixture(found, names, made))
    if files is not None:
        files.finish()
    return shown


def _layer(name: str, made: Assembled, x: int = 0, y: int = 0) -> Layer:
    like = Picture(np.zeros((1, 1, 4), np.uint8), x, y)
    return layer_from_tensors(name, made.picture, like=like)


def _layers(mixtures: Sequence[_Mixture], x: int, y: int) -> list[Layer]:
    """One for each, the first one on top."""
    layers = [
        replace(
            _layer(f"{m.combination.number}: {m.title}"[:120], m.made, x, y),
            group="Mixtures",
        )
        for m in mixtures
    ]
    return layers[::-1]


def _sheet(mixtures: Sequence[_Mixture], x: int, y: int) -> Layer:
    """A row for each: its parts as the model saw them, where they went, and the whole."""
    tiles: list[Tensor] = []
    captions: list[str] = []
    for mixture in mixtures:
        made = mixture.made
        tiles += [patch[None] for patch in made.patches]
        captions += [f"of {name}" for name in mixture.names]
        if made.placement is not None:
            tiles.append((made.placement * 2 - 1).expand_as(made.picture))
            captions.append("where they went")
        tiles.append(made.picture.clamp(-1, 1))
        captions.append(f"{mixture.combination.number}: {mixture.title}")
    columns = len(tiles) // len(mixtures)
    return contact_sheet("Mixtures of parts", tiles, captions, x=x, y=y, columns=columns)


def _notes(
    combinations: Combinations, files: RecombinationFiles | None, count: int, kept: int
) -> list[str]:
    notes = []
    if kept < count:
        notes.append(f"The first {kept} of {count} are shown.")
    if files is not None:
        notes.append(f"{count} pictures and {TABLE} are in {files.folder}.")
    if combinations.failed:
        told = "; ".join(
            f"{combinations.names[index]}: {why}" for index, why in combinations.failed.items()
        )
        notes.append(f"Left out: {told[:300]}")
    return notes
