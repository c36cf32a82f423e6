"""Make areas of a picture show other classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ClassBinding, ClassName, Input
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.amount_frames import Edit, edited_layers
from intarsia_daemon.class_areas import class_maps, coverages_by_class, named_areas, united
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, chosen_norms, find_class, loaded_model
from intarsia_daemon.held_pictures import (
    HeldPicture,
    Holder,
    Projecting,
    projecting_estimate,
)
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, hold_placed
from intarsia_daemon.real_pictures import coverage_on, visible_part

AREAS = Input(
    "areas",
    "area",
    "Areas by name",
    "Several areas with a class each: layers with a colour label, or coverages with any name.",
    required=False,
    several=True,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run on a picture that is not known yet."""
    return projecting_estimate(context, parameters["model"], parameters["steps"], 1)


@operation(
    title="Relabel",
    verb="Change the class",
    group="Change a picture",
    inputs=(shared.PICTURE, shared.AREA, AREAS),
    parameters=(
        shared.model_parameter("spatial_classes"),
        ClassName("class_name", "Becomes", "What the area shows afterwards.", empty="Not chosen"),
        ClassBinding(
            "classes",
            "Becomes, by area",
            "What each named area shows afterwards: blue=lemon, green=lime.",
        ),
        shared.AMOUNT,
        shared.LAYERS,
        *shared.PLACING,
        shared.SOURCE_CLASS,
        shared.LAYER_NAMES,
        shared.FRAMES,
        *shared.SEARCH,
    ),
    estimate=estimate,
)
def relabel(
    picture: Picture,
    area: Area | None,
    areas: list[Area],
    model: str,
    class_name: str,
    classes: Mapping[str, str],
    amount: float,
    layers: str,
    softness: float,
    detail: Any,
    edge: Any,
    crop: str,
    surroundings: float,
    source_class: str,
    layer_names: str,
    frames: int,
    steps: int,
    space: Any,
    start: Any,
    context: Context,
) -> Outcome:
    """Let areas of a picture show other classes, several at once if wanted.

    Source: Suzuki et al. 2018, arXiv:1811.10153, section 3.1 and eq. 2.
    """
    placing = Placing(softness, detail, edge, crop, surroundings)
    with loaded_model(context, model, capability="spatial_classes") as loaded:
        with context.phase("prepare"):
            seen = visible_part(picture)
            wanted = _wanted(loaded, seen, area, areas, class_name, classes)
            norms = chosen_norms(loaded.generator, layers, layer_names)
        whole = united(list(wanted.values()))
        holder = Holder(loaded, context, Projecting(steps, space, start), source_class=source_class)
        held = hold_placed(holder, seen, whole, placing, loaded.generator.resolution)
        maps = class_maps(held.crop, wanted, base_class(held), softness)
        done = edited_layers(
            loaded,
            held,
            Edit(maps, norms),
            placing.blending(held.crop, whole),
            context,
            name=_name(loaded, picture, list(wanted)),
            amount=amount,
            frames=frames,
        )
        return Outcome(
            [done.layer],
            model=shared.model_reference(context, loaded, held),
            metrics={"fit": held.fit},
            notes=[*held.notes, *_unused(areas, classes), *done.notes],
            frames=done.frames,
        )


def base_class(held: HeldPicture) -> int:
    """The class that rules outside the areas."""
    return held.class_id if held.class_id is not None else 0


def _wanted(
    model: LoadedModel,
    picture: Picture,
    area: Area | None,
    areas: Sequence[Area],
    class_name: str,
    classes: Mapping[str, str],
) -> dict[int, np.ndarray | None]:
    """Class id to coverage; None: everywhere.

    Raises:
        InvalidRequest: No class is named, or one that the model does not have.
    """
    found: dict[int, np.ndarray | None] = {}
    for index, coverage in coverages_by_class(model, picture, named_areas(areas, classes)).items():
        found[index] = coverage
    selected = None if area is None else coverage_on(picture, area)
    if class_name:
        index = find_class(model, class_name)
        there = found.get(index)
        if there is not None and selected is not None:
            selected = np.maximum(there, selected)
        found[index] = selected
    elif found and selected is not None:
        found = {index: _within(coverage, selected) for index, coverage in found.items()}
    if not found:
        raise InvalidRequest(
            "No class was chosen for the area.",
            value="",
            remedy="Choose what it becomes, or a class for each colour label.",
        )
    return found


def _within(coverage: np.ndarray | None, selected: np.ndarray) -> np.ndarray:
    """The part of an area inside the selection."""
    if coverage is None:
        return selected
    part = np.minimum(coverage, selected)
    if not part.any():
        raise InvalidRequest(
            "A named area and the selection do not overlap.",
            value=None,
            remedy="Select nothing to use the named areas alone, or select a part of each.",
        )
    return part


def _name(model: LoadedModel, picture: Picture, classes: Sequence[int]) -> str:
    labels = ", ".join(model.generator.label_of(index) for index in classes)
    return f"{picture.name} as {labels}".strip()[:120]


def _unused(areas: Sequence[Area], classes: Mapping[str, str]) -> list[str]:
    """Areas that nobody gave a class, for the artist to notice."""
    bound = {name.casefold() for name in classes}
    unused = dict.fromkeys(area.name for area in areas if area.name.casefold() not in bound)
    if not unused:
        return []
    return [f"Areas without a class were left alone: {', '.join(unused)}."]
