"""Carry a change that one example shows over to other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Scalar, Toggle
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.adapted_regressors import AdaptedRegressors
from intarsia_daemon.amount_frames import PAINTING, amounts_beside, by_amount
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, loaded_model
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, placed_crop
from intarsia_daemon.real_pictures import (
    Blending,
    ChangedPicture,
    coverage_on,
    visible_part,
    whole_crop,
)
from intarsia_daemon.regressed_pictures import RegressedPicture, regressed
from intarsia_models.latent_composition.attributes import shifted
from intarsia_models.latent_composition.latents import decode

BATCH = 8
"""Amounts that are painted at once."""
NO_CHANGE = 1e-3
"""Length of a change, as a share of the example's own latent, below which there is none."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    seconds = 1.0 + 0.1 * parameters["frames"]
    return Estimate(seconds=seconds, trains=False, text="One look at each picture, no search.")


@operation(
    title="Transfer an attribute",
    verb="Transfer the change",
    group="Change a picture",
    inputs=(
        shared.PICTURE,
        shared.AREA,
        Input(
            "before",
            "reference",
            "Example before",
            "A picture without the change.",
        ),
        Input(
            "after",
            "reference",
            "Example after",
            "The same picture with the change: a rough paste is enough, also as a layer with only "
            "what was pasted.",
        ),
    ),
    parameters=(
        shared.model_parameter("regressor"),
        Scalar(
            "strength",
            "Strength",
            "How strong the whole change is: 1 as in the example, 2 twice, below 0 the opposite.",
            -3.0,
            3.0,
            1.0,
        ),
        shared.AMOUNT,
        Toggle(
            "with_class",
            "Class too",
            "Where the example also becomes something else, the picture does so too.",
            False,
        ),
        *shared.PLACING,
        shared.SOURCE_CLASS,
        shared.ADAPTED,
        shared.FRAMES,
    ),
    estimate=estimate,
)
def attribute(
    picture: Picture,
    area: Area | None,
    before: Picture,
    after: Picture,
    model: str,
    strength: float,
    amount: float,
    with_class: bool,
    softness: float,
    detail: Any,
    edge: Any,
    crop: str,
    surroundings: float,
    source_class: str,
    adapted: str,
    frames: int,
    context: Context,
) -> Outcome:
    """Carry the change between two examples over to a picture, at any strength.

    Source: Chai et al. 2021, arXiv:2103.10426, appendix A.2.1 (z + s (z_after - z_before)).
    """
    placing = Placing(softness, detail, edge, crop, surroundings)
    with loaded_model(context, model, capability="regressor") as loaded:
        with context.phase("prepare"):
            seen = visible_part(picture)
            coverage = None if area is None else coverage_on(seen, area)
        square = placed_crop(seen, coverage, placing, loaded.generator.resolution)
        fitted = AdaptedRegressors(context, loaded).fitting([seen], wanted=adapted == "auto")
        with context.phase("read"), fitted as fitting:
            context.progress("Looking at the pictures", 0, 1)
            held = regressed(
                loaded, context, square, source_class=source_class, regressor=fitting.regressor
            )
            examples = example_pair(loaded, context, before, after)
        blending = placing.blending(square, coverage)
        amounts, notes = amounts_beside(amount, frames, blending, seen)
        layers = _layers(
            loaded, held, examples, [strength * step for step in amounts], blending, context,
            with_class=with_class, name=_name(picture, after),
        )  # fmt: skip
        done = by_amount(layers, amounts, amount, notes)
        return Outcome(
            [done.layer],
            model={**context.models.reference(loaded.id), **fitting.reference},
            metrics={"reconstruction_error": held.error, "change": change_of(*examples)},
            notes=[*fitting.notes, *held.notes, *done.notes],
            frames=done.frames,
        )


def example_pair(
    model: LoadedModel, context: Context, before: Picture, after: Picture
) -> tuple[RegressedPicture, RegressedPicture]:
    """Both examples as the regressor reads them, the same square of the canvas where they lie over
    each other. Both are read, also those that the model made: only readings can be compared.

    Raises:
        InvalidRequest: Nothing is visible, or the two show the same.
    """
    first = visible_part(before)
    second = visible_part(after)
    resolution = model.generator.resolution
    one = regressed(model, context, whole_crop(first, resolution), read=True)
    if _overlap(first, second):
        other = regressed(model, context, one.crop, above=second, read=True)
    else:
        other = regressed(model, context, whole_crop(second, resolution), read=True)
    same_colours = torch.equal(one.image, other.image) and torch.equal(one.known, other.known)
    if same_colours or change_of(one, other) < NO_CHANGE:
        raise InvalidRequest(
            "Both examples show the same picture, so there is no change to carry over.",
            value=[before.name, after.name],
            remedy="Give one example without the change and one with it.",
        )
    return one, other


def change_of(one: RegressedPicture, other: RegressedPicture) -> float:
    """How far the examples' latents are apart, as a share of the first one's length."""
    apart = (other.latent.values - one.latent.values).norm()
    return float(apart / one.latent.values.norm().clamp_min(1e-6))


@torch.inference_mode()
def _layers(
    model: LoadedModel,
    held: RegressedPicture,
    examples: tuple[RegressedPicture, RegressedPicture],
    strengths: Sequence[float],
    blending: Blending,
    context: Context,
    *,
    with_class: bool,
    name: str,
) -> list[Layer]:
    """One for each strength."""
    changed = ChangedPicture(held.crop, blending, held.reconstruction)
    moved = shifted(
        held.latent,
        examples[0].latent,
        examples[1].latent,
        torch.tensor(list(strengths)),
        num_classes=model.generator.num_classes if with_class else 0,
    )
    layers: list[Layer] = []
    with context.phase("edit"):
        for first in range(0, len(strengths), BATCH):
            made = decode(model.generator, moved.rows(slice(first, first + BATCH)))
            for number, edited in enumerate(made.split(1), first):
                context.progress(PAINTING, number, len(strengths))
                shown = held.reconstruction if strengths[number] == 0 else edited
                layers.append(changed.layer(name, shown, tick=context.tick))
    return layers


def _overlap(one: Picture, other: Picture) -> bool:
    height, width = one.array.shape[:2]
    tall, wide = other.array.shape[:2]
    across = min(one.x + width, other.x + wide) - max(one.x, other.x)
    down = min(one.y + height, other.y + tall) - max(one.y, other.y)
    return across > 0 and down > 0


def _name(picture: Picture, after: Picture) -> str:
    return f"{picture.name} changed as {after.name}".strip()[:120] if after.name else picture.name
