"""Train an encoder for a generator, so that pictures are found in it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Outcome
from intarsia_models.gan_training import (
    EncoderTraining,
    encoder_training,
)
from intarsia_models.gan_training import (
    train_encoder as train,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    settings = wanted_settings(parameters["quality"], parameters["iterations"])
    return shared.network_estimate(context, parameters["model"], settings)


@operation(
    title="Train an encoder",
    verb="Train on the folder",
    group="Models",
    inputs=(),
    parameters=(
        shared.BASE,
        shared.PICTURES,
        shared.TITLE,
        shared.QUALITY,
        shared.ITERATIONS,
        shared.REPORT,
    ),
    trains=True,
    estimate=estimate,
)
def train_encoder(
    model: str,
    pictures: str,
    title: str,
    quality: Any,
    iterations: int,
    report: str,
    context: Context,
) -> Outcome:
    """Train the network that finds a real picture in a model without a long search.

    What comes out is a new model: the same generator with the encoder. Source: Suzuki et al. 2018,
    arXiv:1811.10153, eq. 4.
    """
    return shared.trained_network(
        context,
        operation="train_encoder",
        stage="Training the encoder",
        model_id=model,
        pictures=pictures,
        title=title,
        settings=wanted_settings(quality, iterations),
        train=train,
        report=report,
    )


def wanted_settings(quality: Any, iterations: int) -> EncoderTraining:
    """The settings that the artist's choices mean; 0 iterations: by quality."""
    settings = encoder_training(quality)
    return replace(settings, iterations=iterations) if iterations else settings
