"""Put collages together at random, to try a model out and to measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Input, Option, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.drawn_collages import Sources, drawn_pieces, sources_of
from intarsia_daemon.generator_models import LoadedModel, loaded_model
from intarsia_daemon.operation import find_operation, operation
from intarsia_daemon.piece_classes import composed
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture
from intarsia_daemon.real_pictures import visible_part, whole_crop
from intarsia_daemon.rough_pieces import gathered
from intarsia_models.latent_composition.collages import Collage
from intarsia_models.latent_composition.random_collages import RECTANGLES, Parts

MOST_COLLAGES = 32
MOST_RECTANGLES = 12
PAIRS_A_ROW = 4
HOLES = 1.0
"""White, in [-1, 1], where a sheet shows that nothing is known."""

PICTURES = Input(
    "pictures",
    "templates",
    "Pictures",
    "Whole pictures that parts are taken from: the layers of a group, files or a folder.",
)
AREAS = Input(
    "areas",
    "area",
    "Parts by name",
    "Where the pictures show a part, back to front: coverages or colour labels over the pictures; "
    "one part of each name comes into a collage.",
    required=False,
    several=True,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    count = parameters["collages"] if parameters["output"] == "sheet" else 1
    return Estimate(seconds=1.0 + 0.3 * count, trains=False, text="Done in a moment.")


@operation(
    title="Random collage",
    verb="Make a collage",
    group="Collages",
    inputs=(PICTURES, AREAS),
    parameters=(
        shared.model_parameter("regressor"),
        Choice(
            "parts",
            "Parts",
            "How parts are cut from the pictures.",
            (
                Option("auto", "By what is given", "By name where parts are given, else boxes."),
                Option("rectangles", "Rectangles", "Side by side, with holes between."),
                Option("saliency", "Subject", "What stands out of one, over another whole one."),
                Option("areas", "By name", "One part of each name."),
            ),
            default="auto",
        ),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("pieces", "Pieces", "One layer for each, to be composited."),
                Option("both", "Pieces and composite", "Also what Composite makes of them."),
                Option("sheet", "Contact sheet", "Several collages, each beside its composite."),
            ),
            default="both",
        ),
        Whole(
            "count",
            "Rectangles",
            "How many a collage has.",
            1,
            MOST_RECTANGLES,
            RECTANGLES,
            only_with="parts=auto,rectangles",
        ),
        Whole(
            "collages",
            "Collages",
            "How many a contact sheet shows, from this seed on.",
            1,
            MOST_COLLAGES,
            8,
            only_with="output=sheet",
        ),
    ),
    estimate=estimate,
)
def collage_random(
    pictures: list[Picture],
    areas: list[Area],
    model: str,
    parts: str,
    output: str,
    count: int,
    collages: int,
    context: Context,
) -> Outcome:
    """Make a collage of random parts of pictures, as layers that can be moved and composited.

    The same seed gives the same collage. Source: Chai et al. 2021, arXiv:2103.10426, appendix A.1.2
    and A.2.4.
    """
    wanted = _wanted(parts, areas)
    with loaded_model(context, model, capability="regressor") as loaded:
        with context.phase("prepare"):
            given = areas if wanted == "areas" else []
            sources = sources_of(pictures, given, loaded.generator.resolution)
        notes = []
        if areas and wanted != "areas":
            notes.append("The parts by name were not used.")
        if output == "sheet":
            layers = [_sheet(loaded, context, sources, wanted, count, collages)]
            return Outcome(layers, model=context.models.reference(loaded.id), notes=notes)
        with context.phase("draw"):
            drawn = _drawn(sources, context.seed, wanted, count, sources.square.side)
        layers = [_layer(piece, number) for number, piece in enumerate(drawn, 1)]
        if output == "pieces":
            return Outcome(layers, model=context.models.reference(loaded.id), notes=notes)
        composite = find_operation("composite")
        usual = composite.declaration.check(["pieces"], {"model": loaded.id, "adapted": "off"})
        made: Outcome = composite.run(pieces=drawn, keep=None, **usual, context=context)
        return replace(made, layers=[*layers, *made.layers], notes=[*notes, *made.notes])


def _wanted(parts: str, areas: Sequence[Area]) -> Parts:
    if parts == "areas" and not areas:
        raise InvalidRequest(
            "No parts are given by name.",
            value=parts,
            remedy="Mark them with colour labels, or choose rectangles or the subject.",
        )
    if parts == "auto":
        return "areas" if areas else "rectangles"
    return "areas" if parts == "areas" else "saliency" if parts == "saliency" else "rectangles"


def _drawn(sources: Sources, number: int, parts: Parts, count: int, side: int) -> list[Picture]:
    """The pieces of a collage, named by where they come from."""
    pieces = drawn_pieces(sources, number, parts, count, side=side)
    return [replace(piece, name=piece.name or "picture") for piece in pieces]


def _layer(piece: Picture, number: int) -> Layer:
    seen = visible_part(piece)
    return Layer(f"Piece {number} of {piece.name}"[:120], seen.array, seen.x, seen.y)


@torch.inference_mode()
def _sheet(
    model: LoadedModel,
    context: Context,
    sources: Sources,
    parts: Parts,
    count: int,
    collages: int,
) -> Layer:
    """Collages and what the model makes of them, in pairs."""
    size = model.generator.resolution
    pictures: list[Tensor] = []
    captions: list[str] = []
    with context.phase("compose"):
        for done in range(collages):
            context.progress("Making collages", done, collages)
            number = context.seed + done
            rough = gathered(_drawn(sources, number, parts, count, size))
            found = composed(model, rough, whole_crop(rough.canvas, size)).composite
            pictures += [_on_paper(found.collage), found.picture.clamp(-1, 1)]
            captions += [f"{number} collage", f"{number} composite"]
    corner = sources.square.picture
    columns = 2 * min(PAIRS_A_ROW, collages)
    return contact_sheet(
        "Random collages", pictures, captions, x=corner.x, y=corner.y, columns=columns
    )


def _on_paper(collage: Collage) -> Tensor:
    """(1, 3, R, R): with white holes."""
    return torch.lerp(torch.full_like(collage.image, HOLES), collage.image, collage.known)
