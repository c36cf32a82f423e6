"""Train a model that makes a whole picture of a few parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intarsia_client.schema import Choice, Option, Toggle, Whole
from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.key_patch_models import FAMILY, TASK
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Outcome, thumbnail
from intarsia_models.gan_training import read_pictures
from intarsia_models.key_patches.cost import expected_seconds
from intarsia_models.key_patches.training import TrainedKeyPatches
from intarsia_models.key_patches.training import train_key_patches as train
from intarsia_models.key_patches.training_settings import KeyPatchTraining, key_patch_training

SPEED = "key_patches"
"""Under which the machine learns how fast it trains these models."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of the training."""
    settings = wanted_settings(
        parameters["quality"],
        parameters["resolution"],
        parameters["parts"],
        parameters["fewer"],
        parameters["iterations"],
        0,
    )
    seconds = expected_seconds(settings, device=context.device, speed=context.machine.factor(SPEED))
    text = "Learns the pictures; it can be paused, and goes on after the editor was closed."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Train for parts",
    verb="Train on the folder",
    group="Models",
    inputs=(),
    parameters=(
        replace(
            shared.PICTURES,
            help="A folder (or .zip) with pictures of one kind, each showing the same thing in "
            "much the same way, such as apples or faces; some hundreds.",
        ),
        shared.TITLE,
        Choice(
            "resolution",
            "Size",
            "Side of the pictures that the model makes.",
            (
                Option("64", "Small, 64 px", "As far as a computer without a graphics card goes."),
                Option("128", "Medium, 128 px", "Meant for a graphics card."),
                Option("256", "Large, 256 px", "For a graphics card and days."),
            ),
            default="64",
        ),
        Whole("parts", "Parts", "Of how many parts it makes a whole.", 1, 8, 3),
        Toggle(
            "fewer",
            "Fewer parts, too",
            "It also learns from fewer parts, so that one will do.",
            True,
        ),
        replace(
            shared.QUALITY,
            options=(
                Option("draft", "Draft", "Minutes without a graphics card, at 64 pixels."),
                Option("normal", "Normal", "Hours without a graphics card, or minutes with one."),
                Option("fine", "Fine", "As published: for a graphics card."),
            ),
        ),
        shared.ITERATIONS,
        shared.REPORT,
    ),
    trains=True,
    estimate=estimate,
)
def train_patches(
    pictures: str,
    title: str,
    resolution: str,
    parts: int,
    fewer: bool,
    quality: Any,
    iterations: int,
    report: str,
    context: Context,
) -> Outcome:
    """Train a model of your own that makes a whole picture of a few parts, on a folder.

    The parts that it learns from are found by themselves: what looks most like a thing in each
    picture. Source: Lee et al. 2018, arXiv:1703.10730; see `intarsia_models.key_patches`.
    """
    place = shared.pictures_place(pictures)
    preliminary = wanted_settings(quality, resolution, parts, fewer, iterations, 0)
    plain = expected_seconds(preliminary, device=context.device)
    context.require_training(plain / context.machine.factor(SPEED))
    with context.phase("read"):
        context.progress("Reading the pictures", 0, 1)
        data = read_pictures(place, preliminary.resolution, tick=context.tick)
    settings = wanted_settings(quality, resolution, parts, fewer, iterations, len(data))
    source, wanted = data.fingerprint(), shared.training_hash(settings.to_card(), context.seed)
    known = shared.known_result(context, source, FAMILY, wanted, task=TASK)
    if known is not None:
        return shared.known_outcome(context, *known)
    training = shared.Training(context, "Learning wholes and parts", plain, report, speed=SPEED)
    with context.phase("train"), training.following() as follow:
        trained = train(data, settings, on_progress=follow, **training.arguments)
    model_id = _store(context, trained, training, title or place.stem, source, wanted)
    training.finish(trained.seconds)
    return shared.trained_outcome(context, model_id, training)


def wanted_settings(
    quality: Any, resolution: str, parts: int, fewer: bool, iterations: int, pictures: int
) -> KeyPatchTraining:
    """The settings that the artist's choices mean.

    Args:
        quality: "draft", "normal" or "fine".
        resolution: Side in pixels, as a text.
        parts: How many a whole is made of.
        fewer: Whether fewer will do, too.
        iterations: 0: by quality.
        pictures: How many there are; small sets are varied more. 0: unknown.
    """
    changes = {"iterations": iterations} if iterations else {}
    return key_patch_training(
        quality,
        int(resolution),
        pictures=pictures,
        parts=parts,
        variable_parts=fewer and parts > 1,
        **changes,
    )


def _store(
    context: Context,
    trained: TrainedKeyPatches,
    training: shared.Training,
    title: str,
    source: str,
    wanted: str,
) -> str:
    """Put the model into the store; returns its id."""
    fields = {
        "family": FAMILY,
        "task": TASK,
        "title": title,
        "operation": "train_patches",
        "source_hash": source,
        "settings_hash": wanted,
        "seconds": trained.seconds,
        "resolution": trained.model.resolution,
        "capabilities": tuple(trained.model.capabilities),
    }
    samples = training.samples
    small = None if samples is None else thumbnail(shared.samples_layer(title, samples))
    return context.models.add(
        lambda folder: trained.model.save(folder, extra=trained.card()), fields, thumbnail=small
    )
