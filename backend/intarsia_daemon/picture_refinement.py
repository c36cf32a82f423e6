"""Bringing what a model made in one pass nearer to what is known, step by step, as the artist asks.

The parameters of it, its estimate, and the run with progress and previews.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Choice, Option, Whole
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, chosen_model
from intarsia_daemon.held_pictures import LEAST_LEARNT_STEPS, StepReporter, plain_seconds
from intarsia_models.latent_composition.composition import Composite
from intarsia_models.latent_composition.refinement import refine
from intarsia_models.latent_composition.regressor import MaskedRegressor

SPEED = "refinement"
"""Under which the machine learns how fast it refines."""
REFINING = "Bringing the picture nearer to what is known"
UNKNOWN_RESOLUTION = 128
"""Of a model that is not there; the run says so."""

METHOD = Choice(
    "method",
    "Refine by",
    "How the refining steps are chosen.",
    (
        Option("adam", "Adam", "Steady; each step takes the same time."),
        Option("lbfgs", "L-BFGS", "Fewer, larger steps that take longer each."),
    ),
    default="adam",
    advanced=True,
)


def refine_parameter(default: int = 0) -> Whole:
    """How many steps are taken."""
    return Whole(
        "refine",
        "Refine",
        "Steps that bring the picture nearer to what is known; 0: one pass, at once.",
        0,
        1000,
        default,
    )


@dataclass(frozen=True)
class Refining:
    """How, as the artist chose."""

    steps: int
    method: Literal["adam", "lbfgs"] = "adam"
    spread: float = 0.0
    """Noise on the start, in units of the latent's own deviation."""


def refining_estimate(context: Context, model_id: str, steps: int) -> Estimate:
    """How long a run takes that may refine; arguments as `steps_estimate`."""
    if steps == 0:
        return Estimate(seconds=1.0, trains=False, text="One pass: done in a moment.")
    return steps_estimate(context, model_id, steps, SPEED, "One pass, then the refining steps.")


def steps_estimate(
    context: Context, model_id: str, steps: float, speed: str, text: str
) -> Estimate:
    """How long a run of steps takes on a model with a regressor.

    Args:
        context: The estimate's.
        model_id: As chosen; empty: the best there is.
        steps: All of them together, in units of one of a search for a picture.
        speed: Under which the machine learns.
        text: For the artist.
    """
    try:
        found = chosen_model(context, model_id, "regressor")
        resolution = context.models.card(found).resolution or UNKNOWN_RESOLUTION
    except IntarsiaError:
        resolution = UNKNOWN_RESOLUTION
    seconds = plain_seconds(resolution, round(steps)) / context.machine.factor(speed)
    return Estimate(seconds=1.0 + seconds, trains=False, text=text)


def refined(
    model: LoadedModel,
    context: Context,
    done: Composite,
    refining: Refining,
    *,
    name: str,
    seeds: Sequence[int] = (0,),
    regressor: MaskedRegressor | None = None,
) -> Tensor:
    """Refine what one pass made, telling how far it is.

    Args:
        model: Loaded.
        context: The running operation's.
        done: Of one pass.
        refining: The artist's choices.
        name: Of the picture, for previews.
        seeds: Of the noise on the start; one picture for each.
        regressor: An adapted one; None: the model's own.

    Returns:
        (B, 3, R, R), B being the number of seeds.

    Raises:
        Cancelled: As `Context.tick`.
    """
    began = context.clock()
    batches = [[seed] for seed in seeds] if refining.method == "lbfgs" else [list(seeds)]
    pictures = []
    with context.phase("refine"):
        for number, batch in enumerate(batches, 1):
            stage = REFINING if len(batches) == 1 else f"{REFINING}, {number} of {len(batches)}"
            found = refine(
                model.generator,
                done.collage.image,
                done.collage.known,
                done.latent,
                method=refining.method,
                steps=refining.steps,
                spread=refining.spread,
                seed=batch,
                class_weights=done.class_weights,
                regressor=regressor,
                on_step=StepReporter(context, stage, name),
                tick=context.tick,
            )
            pictures.append(found.picture)
    if refining.steps >= LEAST_LEARNT_STEPS:
        plain = plain_seconds(model.generator.resolution, refining.steps * len(seeds))
        context.machine.learn(SPEED, plain, context.clock() - began)
    return torch.cat(pictures)
