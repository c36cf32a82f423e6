"""Put parts of other pictures into a picture, by their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ClassName, Input, Scalar, Text
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.amount_frames import Edit, edited_layers
from intarsia_daemon.class_areas import class_maps, softened, united
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import (
    LoadedModel,
    find_class,
    loaded_model,
    strengths_of,
)
from intarsia_daemon.held_pictures import HeldPicture, Holder, Projecting, projecting_estimate
from intarsia_daemon.moved_pieces import MovedPiece, find_piece
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, hold_placed
from intarsia_daemon.real_pictures import Crop, coverage_on, visible_part
from intarsia_models.generators.transplants import Transplant

REFERENCES = Input(
    "references",
    "reference",
    "References",
    "The pictures to take something from; without one a moved piece of the picture itself.",
    required=False,
    several=True,
)
PIECE = Input(
    "piece",
    "element",
    "Moved piece",
    "A copy of a part of the first reference on a layer of its own, moved to where it is wanted.",
    required=False,
)
AREAS = Input(
    "areas",
    "area",
    "Areas by reference",
    "An area for each reference: the one with the reference's name, else the next in order.",
    required=False,
    several=True,
)


def _strength(name: str, label: str, help: str, default: float) -> Scalar:
    return Scalar(name, label, help, 0.0, 1.0, default)


def _shift(name: str, label: str, help: str) -> Scalar:
    return Scalar(name, label, help, -4096.0, 4096.0, 0.0, unit="px", step=1.0, advanced=True)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run on two pictures that are not known yet."""
    return projecting_estimate(context, parameters["model"], parameters["steps"], 2)


@operation(
    title="Transplant",
    verb="Transplant",
    group="Change a picture",
    inputs=(shared.PICTURE, shared.AREA, REFERENCES, PIECE, AREAS),
    parameters=(
        shared.model_parameter(),
        _strength("layout", "Layout", "How much of the overall shape and pose comes along.", 1.0),
        _strength("shapes", "Shapes", "How much of the parts and their form comes along.", 1.0),
        _strength("texture", "Texture", "How much of surface and colour comes along.", 0.0),
        shared.AMOUNT,
        _shift("shift_x", "Shift right", "Moves what is taken to the right (left: below 0)."),
        _shift("shift_y", "Shift down", "Moves what is taken down (up: below 0)."),
        ClassName(
            "class_name",
            "Becomes",
            "What the area shows afterwards, in the same pass; empty: what it shows now.",
            empty="As it is",
        ),
        *shared.PLACING,
        shared.SOURCE_CLASS,
        ClassName(
            "reference_class",
            "References show",
            "What the references show; empty: found by itself.",
            advanced=True,
        ),
        Text(
            "layer_names",
            "Strengths by layer",
            "block2=1, block3=0.5: replaces the three strengths above at these layers.",
            advanced=True,
        ),
        shared.FRAMES,
        *shared.SEARCH,
    ),
    estimate=estimate,
)
def transplant(
    picture: Picture,
    area: Area | None,
    references: list[Picture],
    piece: Picture | None,
    areas: list[Area],
    model: str,
    layout: float,
    shapes: float,
    texture: float,
    amount: float,
    shift_x: float,
    shift_y: float,
    class_name: str,
    softness: float,
    detail: Any,
    edge: Any,
    crop: str,
    surroundings: float,
    source_class: str,
    reference_class: str,
    layer_names: str,
    frames: int,
    steps: int,
    space: Any,
    start: Any,
    context: Context,
) -> Outcome:
    """Take shapes and textures of other pictures into an area of this one.

    Source: Suzuki et al. 2018, arXiv:1811.10153, section 3.2 and eq. 3. Deviation: a reference is
    rendered with its own class (the public code takes the edited picture's).
    """
    placing = Placing(softness, detail, edge, crop, surroundings)
    groups = {"layout": layout, "shapes": shapes, "texture": texture}
    with loaded_model(context, model) as loaded:
        generator = loaded.generator
        with context.phase("prepare"):
            seen = visible_part(picture)
            strengths = strengths_of(generator, groups, layer_names)
            sources = _sources(seen, area, references, piece, areas)
            target_class = find_class(loaded, class_name) if class_name else None
        projecting = Projecting(steps, space, start)
        whole = united([source.coverage for source in sources])
        holder = Holder(loaded, context, projecting, source_class=source_class)
        held = hold_placed(
            holder, seen, _needed(seen, sources, whole), placing, generator.resolution
        )
        other = Holder(loaded, context, projecting, source_class=reference_class)
        taken = [_taken(source, seen, held, holder, other, placing) for source in sources]
        grafts = tuple(
            Transplant(
                softened(held.crop, source.coverage, softness).to(context.device),
                trace=reference.trace,
                strengths=strengths,
                shift=_shift_between(source, reference.crop, held.crop, shift_x, shift_y),
            )
            for source, reference in zip(sources, taken, strict=True)
        )
        maps = None
        if target_class is not None:
            _check_spatial(loaded, class_name)
            maps = class_maps(held.crop, {target_class: whole}, held.class_id or 0, softness)
        done = edited_layers(
            loaded,
            held,
            Edit(maps, None, grafts),
            placing.blending(held.crop, whole),
            context,
            name=_name(picture, sources),
            amount=amount,
            frames=frames,
        )
        notes = dict.fromkeys(note for item in (held, *taken) for note in item.notes)
        return Outcome(
            [done.layer],
            model=shared.model_reference(context, loaded, held, *taken),
            metrics={"fit": held.fit, "reference_fit": min(item.fit for item in taken)},
            notes=[*notes, *done.notes],
            frames=done.frames,
        )


@dataclass(frozen=True, eq=False)
class _Source:
    """A reference with where it goes."""

    picture: Picture
    """Its visible part."""
    coverage: np.ndarray | None
    """(H, W) on the edited picture's rectangle; None: everywhere."""
    piece: MovedPiece | None = None
    is_target: bool = False
    """Whether it is the edited picture itself."""


def _sources(
    picture: Picture,
    area: Area | None,
    references: Sequence[Picture],
    piece: Picture | None,
    areas: Sequence[Area],
) -> list[_Source]:
    """What is taken from where, first to last.

    Raises:
        InvalidRequest: There is nothing to take from, an area is empty, or the piece is unknown.
    """
    if not references and piece is None:
        raise InvalidRequest(
            "There is nothing to transplant from.",
            value=0,
            remedy="Choose a reference layer, or move a copied piece of the picture.",
        )
    named = {item.name.casefold(): item for item in areas if item.name}
    names = {reference.name.casefold() for reference in references}
    rest = [item for item in areas if item.name.casefold() not in names]
    found = []
    for index, reference in enumerate(references or [picture]):
        seen = visible_part(reference)
        if piece is not None and index == 0:
            moved = find_piece(piece, seen)
            coverage = coverage_on(picture, moved.area)
            found.append(_Source(seen, coverage, moved, is_target=not references))
            continue
        own = named.get(reference.name.casefold()) or (rest.pop(0) if rest else area)
        found.append(_Source(seen, None if own is None else coverage_on(picture, own)))
    return found


def _needed(
    picture: Picture, sources: Sequence[_Source], whole: np.ndarray | None
) -> np.ndarray | None:
    """What of the picture the model must see: the areas, and a piece's own old place."""
    for source in sources:
        if source.is_target and source.piece is not None and whole is not None:
            whole = np.maximum(whole, coverage_on(picture, source.piece.original_area))
    return whole


def _taken(
    source: _Source,
    picture: Picture,
    held: HeldPicture,
    own: Holder,
    other: Holder,
    placing: Placing,
) -> HeldPicture:
    """The reference in the model.

    A reference that lies exactly over the picture is cut like it, so that places agree.
    """
    if source.is_target:
        return held
    resolution = held.crop.resolution
    same_place = (source.picture.x, source.picture.y) == (picture.x, picture.y)
    same_size = source.picture.array.shape[:2] == picture.array.shape[:2]
    if not (same_place and same_size) or held.latent.generated or placing.crop == "whole":
        return hold_placed(other, source.picture, None, placing, resolution)
    height, width = source.picture.array.shape[:2]
    if height == width:
        whole = Crop(source.picture, 0, 0, width, resolution)
        known = other.known(whole)
        if known is not None:
            return known
    cut = Crop(source.picture, held.crop.left, held.crop.top, held.crop.side, resolution)
    return other.hold(cut)


def _shift_between(
    source: _Source, reference: Crop, target: Crop, shift_x: float, shift_y: float
) -> tuple[float, float]:
    """In the model's pixels: the piece's way from where it was to where it lies, and the rest."""
    scale = target.resolution / target.side
    dx, dy = shift_x * scale, shift_y * scale
    if source.piece is not None:
        now = target.position(*source.piece.middle)
        before = reference.position(*source.piece.middle_before)
        dx, dy = dx + now[0] - before[0], dy + now[1] - before[1]
    return dx, dy


def _check_spatial(model: LoadedModel, class_name: str) -> None:
    if "spatial_classes" not in model.generator.capabilities:
        raise InvalidRequest(
            f"The model {model.title!r} cannot change the class of an area.",
            value=class_name,
            remedy="Leave the class empty, or choose another model.",
        )


def _name(picture: Picture, sources: Sequence[_Source]) -> str:
    names = ", ".join(dict.fromkeys(s.picture.name for s in sources if s.picture.name))
    return f"{picture.name} with {names or 'a moved piece'}".strip()[:120]
