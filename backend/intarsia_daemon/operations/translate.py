"""Show a picture as every class, or as some."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Option, Text
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, class_tensor, find_class, loaded_model
from intarsia_daemon.held_pictures import HeldPicture, Holder, Projecting, projecting_estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, hold_placed
from intarsia_daemon.real_pictures import ChangedPicture, coverage_on, visible_part

MOST_LAYERS = 32
"""As many as one message can carry."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run on a picture that is not known yet."""
    return projecting_estimate(context, parameters["model"], parameters["steps"], 1)


@operation(
    title="Translate",
    verb="Show as other classes",
    group="New pictures",
    inputs=(shared.PICTURE, shared.AREA),
    parameters=(
        shared.model_parameter("classes"),
        Text(
            "classes",
            "Classes",
            "Names or numbers with commas (or semicolons) between; empty: every class there is.",
            max_length=4000,
        ),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("sheet", "Contact sheet", "All on one layer, with the classes' names."),
                Option("layers", "Single layers", "One layer for each class."),
            ),
            default="sheet",
        ),
        *shared.PLACING,
        shared.SOURCE_CLASS,
        *shared.SEARCH,
    ),
    estimate=estimate,
)
def translate(
    picture: Picture,
    area: Area | None,
    model: str,
    classes: str,
    output: str,
    softness: float,
    detail: Any,
    edge: Any,
    crop: str,
    surroundings: float,
    source_class: str,
    steps: int,
    space: Any,
    start: Any,
    context: Context,
) -> Outcome:
    """Show the whole picture as other classes, to choose from or as layers.

    Source: Suzuki et al. 2018, arXiv:1811.10153, section 4.4: the same latent with another class
    everywhere.
    """
    placing = Placing(softness, detail, edge, crop, surroundings)
    with loaded_model(context, model, capability="classes") as loaded:
        with context.phase("prepare"):
            seen = visible_part(picture)
            wanted = _wanted(loaded, classes)
            _check_count(len(wanted), output)
            coverage = None if area is None else coverage_on(seen, area)
        holder = Holder(loaded, context, Projecting(steps, space, start), source_class=source_class)
        held = hold_placed(holder, seen, coverage, placing, loaded.generator.resolution)
        labels = [loaded.generator.label_of(index) for index in wanted]
        pictures = _translated(loaded, held, wanted, context)
        with context.phase("layer"):
            if output == "sheet":
                name = f"{picture.name} as {len(wanted)} classes".strip()
                layers = [contact_sheet(name, pictures, labels, x=picture.x, y=picture.y)]
            else:
                changed = ChangedPicture(
                    held.crop, placing.blending(held.crop, coverage), held.reconstruction
                )
                layers = [
                    changed.layer(f"{picture.name} as {label}".strip(), made, tick=context.tick)
                    for label, made in zip(labels, pictures, strict=True)
                ]
        return Outcome(
            layers,
            model=shared.model_reference(context, loaded, held),
            metrics={"fit": held.fit},
            notes=list(held.notes),
        )


@torch.inference_mode()
def _translated(
    model: LoadedModel, held: HeldPicture, wanted: list[int], context: Context
) -> list[torch.Tensor]:
    """The picture as each class."""
    if held.latent.y is None:
        raise InvalidRequest(
            f"In the model {model.title!r} a picture's class is part of its styles and cannot be "
            "exchanged alone.",
            value=model.id,
            remedy='Choose "Plain latent" under Search in, or another model.',
        )
    arguments = held.latent.arguments(context.device)
    pictures = []
    with context.phase("translate"):
        for done, index in enumerate(wanted):
            context.progress("Painting", done, len(wanted))
            arguments["y"] = class_tensor(model, index)
            pictures.append(model.generator.synthesize(**arguments))
    return pictures


def _wanted(model: LoadedModel, classes: str) -> list[int]:
    """Class ids in the order they were named; all of them where none was."""
    separator = ";" if ";" in classes else ","
    named = [part.strip() for part in re.split(separator, classes) if part.strip()]
    if not named:
        return list(range(model.generator.num_classes))
    return list(dict.fromkeys(find_class(model, name) for name in named))


def _check_count(count: int, output: str) -> None:
    if output == "layers" and count > MOST_LAYERS:
        raise InvalidRequest(
            f"One layer for each of {count} classes is too many.",
            value=count,
            remedy=f"Name at most {MOST_LAYERS} classes, or take the contact sheet.",
        )
