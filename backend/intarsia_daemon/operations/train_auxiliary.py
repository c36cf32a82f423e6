"""Train the auxiliary networks of a generator: another space to search for pictures in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Outcome
from intarsia_models.gan_training import (
    AuxiliaryTraining,
    auxiliary_training,
)
from intarsia_models.gan_training import (
    train_auxiliary as train,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    settings = wanted_settings(parameters["quality"], parameters["iterations"])
    return shared.network_estimate(context, parameters["model"], settings)


@operation(
    title="Train the search",
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
def train_auxiliary(
    model: str,
    pictures: str,
    title: str,
    quality: Any,
    iterations: int,
    report: str,
    context: Context,
) -> Outcome:
    """Train the networks that give the search for a picture a larger space to look in.

    It needs a long training to be better than the plain one (docs/results.md). The model must have
    an encoder. What comes out is a new model: the same with these networks. Source: Suzuki et al.
    2018, arXiv:1811.10153, eq. 5-6.
    """
    return shared.trained_network(
        context,
        operation="train_auxiliary",
        stage="Training the search",
        model_id=model,
        pictures=pictures,
        title=title,
        settings=wanted_settings(quality, iterations),
        train=train,
        report=report,
    )


def wanted_settings(quality: Any, iterations: int) -> AuxiliaryTraining:
    """The settings that the artist's choices mean; 0 iterations: by quality."""
    settings = auxiliary_training(quality)
    return replace(settings, iterations=iterations) if iterations else settings
