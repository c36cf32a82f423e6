"""Train a regressor for a generator, so that it makes pictures of rough collages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Choice, Option, Scalar
from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import loaded_model
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Outcome
from intarsia_models.gan_training import PictureSet
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.cost import expected_seconds
from intarsia_models.latent_composition.training import TrainedRegressor
from intarsia_models.latent_composition.training import train_regressor as train
from intarsia_models.latent_composition.training_settings import (
    RegressorTraining,
    regressor_training,
)

UNKNOWN_S = 3600.0
"""What is told where the model is not there; the run says so."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    settings = wanted_settings(
        parameters["quality"],
        parameters["iterations"],
        parameters["areas"],
        parameters["real_share"] if parameters["pictures"] else 0.0,
    )
    try:
        seconds = _plain_seconds(context, parameters["model"], settings)
    except IntarsiaError:
        seconds = UNKNOWN_S
    text = (
        "Learns from the model's own pictures; it can be paused, and goes on after the editor was "
        "closed."
    )
    return Estimate(seconds=seconds / context.machine.factor(shared.SPEED), trains=True, text=text)


@operation(
    title="Train a regressor",
    verb="Train for the model",
    group="Models",
    inputs=(),
    parameters=(
        shared.BASE,
        replace(
            shared.PICTURES,
            help="Real pictures to learn from as well, in a folder for each class; empty: only the "
            "model's own pictures, of which it has as many as it wants.",
            required=False,
        ),
        shared.TITLE,
        shared.QUALITY,
        shared.ITERATIONS,
        shared.REPORT,
        Scalar(
            "real_share",
            "Real share",
            "How much of what it learns from are pictures of the folder, where there is one.",
            0.05,
            0.9,
            0.4,
            advanced=True,
        ),
        Choice(
            "areas",
            "Gaps",
            "What is hidden of the pictures while it learns.",
            (
                Option("noise", "Soft patches", "As published."),
                Option("rectangles", "Rectangles", "For collages of rectangular pieces."),
                Option("both", "Both in turn"),
            ),
            default="noise",
            advanced=True,
        ),
    ),
    trains=True,
    estimate=estimate,
)
def train_regressor(
    model: str,
    pictures: str,
    title: str,
    quality: Any,
    iterations: int,
    report: str,
    real_share: float,
    areas: Any,
    context: Context,
) -> Outcome:
    """Train the network that reads rough collages and gaps, so that a model makes pictures of them.

    What comes out is a new model: the same generator with the regressor. Source: Chai et al. 2021,
    arXiv:2103.10426, eq. 3.
    """
    settings = wanted_settings(quality, iterations, areas, real_share if pictures else 0.0)
    base, _ = shared.base_model(context, model)
    return shared.trained_network(
        context,
        operation="train_regressor",
        stage="Training the regressor",
        model_id=base,
        pictures=pictures,
        title=title,
        settings=settings,
        train=_train,
        report=report,
        plain_s=_plain_seconds(context, base, settings),
    )


def wanted_settings(
    quality: Any, iterations: int, areas: Any, real_share: float
) -> RegressorTraining:
    """The settings that the artist's choices mean; 0 iterations: by quality."""
    settings = regressor_training(quality, areas=areas, real_share=real_share)
    return replace(settings, iterations=iterations) if iterations else settings


def _train(
    generator: Generator, data: PictureSet | None, settings: RegressorTraining, **more: Any
) -> TrainedRegressor:
    return train(generator, settings, pictures=data, **more)


def _plain_seconds(context: Context, model: str, settings: RegressorTraining) -> float:
    """On a machine of speed 1."""
    with loaded_model(context, model) as loaded:
        return expected_seconds(settings, loaded.generator, device=context.device)
