"""Train a generator on a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intarsia_client.schema import Choice, Option
from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Outcome
from intarsia_models.families.sngan.generator import NAME as FAMILY
from intarsia_models.gan_training import (
    GANSettings,
    expected_seconds,
    gan_settings,
    read_pictures,
    stored_size,
)
from intarsia_models.gan_training import (
    train_gan as train,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    settings = wanted_settings(
        parameters["quality"], parameters["resolution"], 0, parameters["iterations"]
    )
    speed = context.machine.factor(shared.SPEED)
    seconds = expected_seconds(settings, device=context.device, speed=speed)
    text = "Learns the pictures; it can be paused, and goes on after the editor was closed."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Train a generator",
    verb="Train on the folder",
    group="Models",
    inputs=(),
    parameters=(
        shared.PICTURES,
        shared.TITLE,
        Choice(
            "resolution",
            "Size",
            "Side of the pictures that the model makes.",
            (
                Option("32", "Tiny, 32 px", "To try a folder out."),
                Option("64", "Small, 64 px", "As far as a computer without a graphics card goes."),
                Option("128", "Medium, 128 px", "Meant for a graphics card."),
                Option("256", "Large, 256 px", "For a graphics card and days."),
            ),
            default="64",
        ),
        shared.QUALITY,
        shared.ITERATIONS,
        shared.REPORT,
    ),
    trains=True,
    estimate=estimate,
)
def train_gan(
    pictures: str,
    title: str,
    resolution: str,
    quality: Any,
    iterations: int,
    report: str,
    context: Context,
) -> Outcome:
    """Train a generator of your own on a folder with a folder of pictures for each class.

    Afterwards it is in the list of models. Source: Miyato & Koyama 2018, arXiv:1802.05637; see
    `intarsia_models.gan_training`.
    """
    place = shared.pictures_place(pictures)
    preliminary = wanted_settings(quality, resolution, 0, iterations)
    plain = expected_seconds(preliminary, device=context.device)
    context.require_training(plain / context.machine.factor(shared.SPEED))
    with context.phase("read"):
        context.progress("Reading the pictures", 0, 1)
        size = stored_size(preliminary.resolution, preliminary.crop)
        data = read_pictures(place, size, tick=context.tick)
    settings = wanted_settings(quality, resolution, len(data), iterations)
    wanted = shared.training_hash(settings.to_card(), context.seed)
    known = shared.known_result(context, data.fingerprint(), FAMILY, wanted)
    if known is not None:
        return shared.known_outcome(context, *known)
    name = title or place.stem
    training = shared.Training(
        context, "Training the generator", expected_seconds(settings, device=context.device), report
    )
    with context.phase("train"), training.following() as follow:
        trained = train(data, settings, on_progress=follow, **training.arguments)
    model_id = shared.store_generator(
        context,
        trained.generator,
        title=name,
        operation="train_gan",
        source_hash=data.fingerprint(),
        wanted=wanted,
        seconds=trained.seconds,
        card=trained.card(),
        samples=training.samples,
    )
    training.finish(trained.seconds)
    return shared.trained_outcome(context, model_id, training)


def wanted_settings(quality: Any, resolution: str, pictures: int, iterations: int) -> GANSettings:
    """The settings that the artist's choices mean.

    Args:
        quality: "draft", "normal" or "fine".
        resolution: Side in pixels, as a text.
        pictures: How many there are; small sets are varied more.
        iterations: 0: by quality.
    """
    settings = gan_settings(quality, int(resolution), pictures=pictures)
    return replace(settings, iterations=iterations) if iterations else settings
