"""Pictures on the way from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from intarsia_client.schema import MAX_SEED, Choice, ClassName, Input, Option, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generated_layers import generated_layer, generated_place, made_from
from intarsia_daemon.generator_models import LoadedModel, find_class, loaded_model
from intarsia_daemon.held_pictures import Holder, Projecting, projecting_estimate
from intarsia_daemon.latent_samples import sampled
from intarsia_daemon.latent_store import Latent
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Layer, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, hold_placed
from intarsia_daemon.real_pictures import Crop, visible_part
from intarsia_models.generators.generator import Generator


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run on pictures that are not known yet."""
    pictures = len({"picture", "reference"} & set(sizes))
    return projecting_estimate(context, parameters["model"], parameters["steps"], pictures)


@operation(
    title="Interpolate",
    verb="Make the steps between",
    group="New pictures",
    inputs=(
        Input(
            "picture",
            "picture",
            "From",
            "Where the way begins; without it, at a new picture of the seed.",
            required=False,
        ),
        Input(
            "reference",
            "reference",
            "To",
            "Where the way ends; without it, at a new picture of the other seed.",
            required=False,
        ),
    ),
    parameters=(
        shared.model_parameter(),
        Whole("count", "Pictures", "How many, both ends included.", 2, 31, 9),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("layers", "Single layers", "One layer for each picture."),
                Option("slider", "One layer with a slider", "Amount moves along the way."),
                Option("sheet", "Contact sheet", "All on one layer."),
            ),
            default="layers",
        ),
        replace(
            shared.AMOUNT,
            help="Which picture of the way the one layer shows, from 0 to 1.",
            default=0.5,
            only_with="output=slider",
        ),
        ClassName(
            "class_name", "From shows", "What the first picture shows; empty: found, or any."
        ),
        ClassName("other_class", "To shows", "What the last picture shows; empty: found, or any."),
        Whole(
            "other_seed",
            "Other seed",
            "Of the last picture, where none is given.",
            0,
            MAX_SEED,
            1,
        ),
        Choice(
            "path",
            "Way",
            "How the numbers between are found.",
            (
                Option("arc", "Arc", "Around the middle, where the model knows pictures best."),
                Option("straight", "Straight", "Through the middle."),
            ),
            default="arc",
            advanced=True,
        ),
        *shared.SEARCH,
    ),
    estimate=estimate,
)
def interpolate(
    picture: Picture | None,
    reference: Picture | None,
    model: str,
    count: int,
    output: str,
    amount: float,
    class_name: str,
    other_class: str,
    other_seed: int,
    path: str,
    steps: int,
    space: Any,
    start: Any,
    context: Context,
) -> Outcome:
    """Make the pictures on the way from one picture to another, classes included.

    An arc keeps the length of z between those of both ends (White 2016, arXiv:1609.04468).
    """
    projecting = Projecting(steps, space, start)
    with loaded_model(context, model) as loaded:
        ends = [
            _end(loaded, context, projecting, picture, class_name, context.seed),
            _end(loaded, context, projecting, reference, other_class, other_seed),
        ]
        if len({end.latent.w_plus is None for end in ends}) == 2:
            ends = [_with_styles(loaded, end) for end in ends]
        positions = [index / (count - 1) for index in range(count)]
        if output == "slider":
            positions = sorted({*positions, amount})
        place = ends[0].place or generated_place(loaded, None, enlarge=False)
        latents = [
            _between(loaded.generator, ends[0].latent, ends[1].latent, position, path)
            for position in positions
        ]
        layers, keys, made = [], [], []
        with context.phase("generate"):
            for done, (position, latent) in enumerate(zip(positions, latents, strict=True)):
                context.progress("Painting", done, len(latents))
                painted = made_from(loaded, latent)
                made.append(painted)
                if output != "sheet":
                    name = f"{ends[0].name} to {ends[1].name}, {position:.0%}"
                    layer, key = generated_layer(loaded, context, name, painted, latent, place)
                    layers.append(layer)
                    keys.append(key)
        notes = list(dict.fromkeys(note for end in ends for note in end.notes))
        reference_model = {**context.models.reference(loaded.id), "latents": keys}
        if output == "sheet":
            captions = [f"{position:.0%}" for position in positions]
            name = f"{ends[0].name} to {ends[1].name}"
            layers = [contact_sheet(name, made, captions, x=place.picture.x, y=place.picture.y)]
        if output != "slider":
            return Outcome(layers, model=reference_model, notes=notes)
        main, frames = _scrubbed(layers, positions, amount)
        return Outcome([main], model=reference_model, notes=notes, frames=frames)


@dataclass(frozen=True, eq=False)
class _End:
    """One end of the way."""

    latent: Latent
    name: str
    place: Crop | None = None
    notes: tuple[str, ...] = ()


def _end(
    model: LoadedModel,
    context: Context,
    projecting: Projecting,
    picture: Picture | None,
    class_name: str,
    seed: int,
) -> _End:
    """A given picture as the model holds it, or the first one of a seed."""
    if picture is None:
        wanted = find_class(model, class_name) if class_name else None
        return _End(sampled(model, seed, wanted)[0], f"seed {seed}")
    holder = Holder(model, context, projecting, source_class=class_name)
    seen = visible_part(picture)
    held = hold_placed(holder, seen, None, Placing(), model.generator.resolution)
    name = picture.name or "picture"
    square = generated_place(model, seen, enlarge=True)
    return _End(held.latent, name, square, held.notes)


@torch.inference_mode()
def _with_styles(model: LoadedModel, end: _End) -> _End:
    """The same end by its styles, where the other one is known by nothing else."""
    if end.latent.w_plus is not None:
        return end
    generator = model.generator
    styles = generator.encode_latent(**end.latent.arguments(str(model.device))).w_plus
    latent = replace(end.latent, z=None, w_plus=styles.detach().float().cpu(), truncation_psi=1.0)
    return replace(end, latent=latent)


def _between(
    generator: Generator, one: Latent, other: Latent, position: float, path: str
) -> Latent:
    """The latent at a position in [0, 1]; the ends are exactly those given."""
    if position in (0.0, 1.0):
        return replace(one if position == 0.0 else other, generated=True, fit=1.0)
    psi = one.truncation_psi + position * (other.truncation_psi - one.truncation_psi)
    y = _mixed_label(generator, one.y, other.y, position)
    if one.z is not None and other.z is not None:
        mix = _arc if path == "arc" else torch.lerp
        return Latent(
            mix(one.z, other.z, torch.tensor(position)), y, truncation_psi=psi, generated=True
        )
    assert one.w_plus is not None and other.w_plus is not None
    return Latent(None, y, torch.lerp(one.w_plus, other.w_plus, position), generated=True)


def _arc(one: Tensor, other: Tensor, position: Tensor) -> Tensor:
    """(1, n): spherical interpolation; straight where the directions are (nearly) parallel."""
    cosine = torch.nn.functional.cosine_similarity(one, other).clamp(-1, 1)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    if float(sine) < 1e-4:
        return torch.lerp(one, other, position)
    return (torch.sin((1 - position) * angle) * one + torch.sin(position * angle) * other) / sine


def _mixed_label(
    generator: Generator, one: Tensor | None, other: Tensor | None, position: float
) -> Tensor | None:
    """(1, K) soft label, or the class itself where both ends have the same."""
    if one is None or other is None:
        return None
    if not one.is_floating_point() and torch.equal(one, other):
        return one
    rows = [
        y
        if y.is_floating_point()
        else torch.nn.functional.one_hot(y, generator.num_classes).float()
        for y in (one, other)
    ]
    return torch.lerp(rows[0], rows[1], position)


def _scrubbed(
    layers: list[Layer], positions: list[float], amount: float
) -> tuple[Layer, list[Layer]]:
    """The layer at the amount, and the others as its frames."""
    main = layers[positions.index(amount)]
    frames = [
        replace(layer, name=main.name, amount=position, frame_of=0)
        for position, layer in zip(positions, layers, strict=True)
        if position != amount
    ]
    return replace(main, amount=amount), frames
