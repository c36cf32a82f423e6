"""What the trainings of generators share: parameters, progress, the model that comes out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Choice, Folder, ModelRef, Option, Text, Whole
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_import import TASK
from intarsia_daemon.generator_models import chosen_model
from intarsia_daemon.model_card import Card
from intarsia_daemon.model_store import THUMBNAIL
from intarsia_daemon.picture_models import settings_hash
from intarsia_daemon.pixels import Layer, Outcome, Picture, layer_from_tensors, thumbnail
from intarsia_daemon.training_pace import Pace
from intarsia_models.checkpoints import remove_checkpoints
from intarsia_models.gan_training import (
    AuxiliaryTraining,
    EncoderTraining,
    TrainedNetwork,
    TrainingProgress,
    TrainingReport,
    expected_seconds,
    read_pictures,
    stored_size,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator, save_generator
from intarsia_models.latent_composition.training_settings import RegressorTraining

SPEED = "gan_training"
"""Under which the machine learns how fast it trains generators."""
PREVIEW_EVERY_S = 10.0
CHECKPOINT_EVERY_S = 120.0
LEAST_LEARNT_S = 60.0
"""Shorter trainings say more about their beginning than about this machine's speed."""

PICTURES = Folder(
    "pictures",
    "Pictures",
    "A folder (or .zip) with a folder of pictures for each class; the folders' names are the "
    "classes. Pictures without such folders: a model without classes.",
    required=True,
)
TITLE = Text("title", "Name", "What the model is called; empty: the folder's name.", max_length=100)
QUALITY = Choice(
    "quality",
    "Quality",
    "How long it learns, and how large the networks are.",
    (
        Option("draft", "Draft", "To try a folder out: hours without a graphics card."),
        Option("normal", "Normal", "A night without a graphics card, or an hour with one."),
        Option("fine", "Fine", "For a graphics card and days."),
    ),
    default="draft",
)
ITERATIONS = Whole(
    "iterations",
    "Iterations",
    "How many steps are learnt; 0: by quality. The same training with more of them goes on.",
    0,
    2_000_000,
    0,
    advanced=True,
)
REPORT = Folder(
    "report",
    "Report",
    "Where learning curves, sample pictures and TensorBoard files are written; empty: nowhere.",
)
BASE = ModelRef("model", "Model", "The generator that the network is trained for.")


def pictures_place(pictures: str) -> Path:
    """The folder or file that was named.

    Raises:
        InvalidRequest: None was named, or it is not there.
    """
    if not pictures:
        raise InvalidRequest(
            "No pictures to learn from were named.",
            value="",
            remedy="Choose a folder that holds a folder of pictures for each class.",
        )
    place = Path(pictures)
    if not place.exists():
        raise InvalidRequest(
            f"{place} is not there.",
            value=pictures,
            remedy="Choose a folder that holds a folder of pictures for each class.",
        )
    return place


class Training:
    """One training as a job: progress, checkpoints, report, and the card of its model."""

    def __init__(
        self, context: Context, stage: str, plain_s: float, report: str, *, speed: str = SPEED
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            context: The running operation's.
            stage: What the artist reads meanwhile.
            plain_s: Seconds it takes on a machine of speed 1.
            report: A folder for curves and samples; empty: none.
            speed: Under which the machine learns how fast it is at this.
        """
        self._context = context
        self._stage = stage
        self._plain_s = plain_s
        self._report = report
        self._speed = speed
        self._pace = Pace(context, plain_s / context.machine.factor(speed))
        self._previewed = time.monotonic()
        self.losses: dict[str, float] = {}
        """The newest."""
        self.samples: Tensor | None = None
        """(1, 3, h, w): the last grid of samples."""
        self.notices: list[str] = []

    @property
    def arguments(self) -> dict[str, Any]:
        """What every training function of `intarsia_models.gan_training` takes."""
        return {
            "seed": self._context.seed,
            "device": self._context.device,
            "tick": self._context.tick,
            "checkpoint_folder": self._checkpoints,
            "checkpoint_every_s": CHECKPOINT_EVERY_S,
            "on_notice": self.notices.append,
        }

    @contextlib.contextmanager
    def following(self) -> Iterator[Callable[[TrainingProgress], None]]:
        """The function that is told of every iteration, while the training runs.

        Raises:
            InvalidRequest: The report's folder cannot be written.
        """
        with contextlib.ExitStack() as open_things:
            report = None
            if self._report:
                report = open_things.enter_context(_opened_report(Path(self._report)))
            yield lambda progress: self._follow(progress, report)

    def finish(self, seconds: float) -> None:
        """Learn from it how fast this machine is, and remove its checkpoints."""
        if self._plain_s >= LEAST_LEARNT_S:
            self._context.machine.learn(self._speed, self._plain_s, seconds)
        remove_checkpoints(self._checkpoints)

    @property
    def _checkpoints(self) -> Path:
        return self._context.folder / "training"

    def _follow(self, progress: TrainingProgress, report: TrainingReport | None) -> None:
        if report is not None:
            report.follow(progress)
        self.losses = progress.losses or self.losses
        preview = None
        ended = progress.iteration == progress.iterations
        if ended or time.monotonic() - self._previewed > PREVIEW_EVERY_S:
            self._previewed = time.monotonic()
            self.samples = progress.preview()
            preview = samples_layer(self._stage, self.samples)
        self._context.progress(
            self._stage,
            progress.iteration,
            progress.iterations,
            numbers=self.losses,
            preview=preview,
            seconds_left=self._pace.seconds_left(progress.fraction),
        )


def samples_layer(name: str, samples: Tensor) -> Layer:
    """An opaque u8 layer of (1, 3, h, w) in [-1, 1]."""
    return layer_from_tensors(name, samples, like=Picture(np.zeros((1, 1, 4), np.uint8)))


def store_generator(
    context: Context,
    generator: Generator,
    *,
    title: str,
    operation: str,
    source_hash: str,
    wanted: str,
    seconds: float,
    card: Mapping[str, Any],
    samples: Tensor | None,
) -> str:
    """Put a trained generator into the store; returns its id.

    Args:
        context: The running operation's.
        generator: With all its networks.
        title: For people.
        operation: What made it.
        source_hash: Of the pictures, or of the model it was made from.
        wanted: `settings_hash` of the training.
        seconds: How long it took.
        card: More for the model's own card.
        samples: A grid for its thumbnail.
    """
    fields = {
        "family": generator.family,
        "task": TASK,
        "title": title,
        "operation": operation,
        "source_hash": source_hash,
        "settings_hash": wanted,
        "seconds": seconds,
    }
    small = None if samples is None else thumbnail(samples_layer(title, samples))
    return context.models.add(
        lambda folder: save_generator(generator, folder, card=card), fields, thumbnail=small
    )


def training_hash(settings: Mapping[str, Any], seed: int) -> str:
    """What a training depends on besides its pictures."""
    return settings_hash(settings, seed)


def base_model(context: Context, model_id: str) -> tuple[str, Card]:
    """The model that a network is trained for.

    Raises:
        InvalidRequest: There is none, or it is no generator.
    """
    found = chosen_model(context, model_id)
    return found, context.models.card(found)


def own_copy(context: Context, model_id: str) -> Generator:
    """A generator that nobody else uses, so that a network can be attached to it."""
    return load_generator(context.models.path(model_id), device=context.device)


def known_result(
    context: Context, source_hash: str, family: str, wanted: str, *, task: str = TASK
) -> tuple[str, Card] | None:
    """The model that this very training made before, if it is there and whole."""
    for model_id, card in context.models.cards():
        same = (card.source_hash, card.family, card.task, card.settings_hash)
        if same == (source_hash, family, task, wanted):
            return model_id, card
    return None


def trained_network(
    context: Context,
    *,
    operation: str,
    stage: str,
    model_id: str,
    pictures: str,
    title: str,
    settings: EncoderTraining | AuxiliaryTraining | RegressorTraining,
    train: Callable[..., TrainedNetwork],
    report: str,
    plain_s: float | None = None,
) -> Outcome:
    """Train a network for a generator and store both as a new model.

    Args:
        context: The running operation's.
        operation: Its id.
        stage: What the artist reads meanwhile.
        model_id: The generator's; empty: the best there is.
        pictures: A folder; empty: none, where the network learns from generated pictures alone.
        title: The new model's; empty: the old one's.
        settings: Of the training.
        train: ``train(generator, data, settings, *, on_progress, **Training.arguments)``.
        report: A folder for curves and samples; empty: none.
        plain_s: Seconds it takes on a machine of speed 1; None: by `network_estimate`'s rule.

    Raises:
        InvalidRequest: There is no such model, or no such folder.
        ModelsError: The model lacks a network that this training needs, or the pictures do not fit.
    """
    needs_pictures = not isinstance(settings, RegressorTraining)
    place = pictures_place(pictures) if pictures or needs_pictures else None
    base, card = base_model(context, model_id)
    plain = plain_s
    if plain is None:
        plain = _network_seconds(card, settings, context.device)
    context.require_training(plain / context.machine.factor(SPEED))
    with context.phase("read"):
        context.progress("Reading the pictures", 0, 1)
        generator = own_copy(context, base)
        data = None
        if place is not None:
            size = stored_size(generator.resolution, settings.crop)
            data = read_pictures(place, size, tick=context.tick)
    mark = "" if data is None else data.fingerprint()
    described = {"network": operation, "pictures": mark, **settings.to_card()}
    wanted = training_hash(described, context.seed)
    known = known_result(context, card.hash, card.family, wanted)
    if known is not None:
        return known_outcome(context, *known)
    training = Training(context, stage, plain, report)
    with context.phase("train"), training.following() as follow:
        trained = train(generator, data, settings, on_progress=follow, **training.arguments)
    found = store_generator(
        context,
        trained.generator,
        title=title or card.title,
        operation=operation,
        source_hash=card.hash,
        wanted=wanted,
        seconds=trained.seconds,
        card={**trained.card(), "made_from": base, "licence": card.licence},
        samples=training.samples,
    )
    training.finish(trained.seconds)
    note = f"The model without it is still there ({base}) and can be removed."
    return trained_outcome(context, found, training, note)


def network_estimate(
    context: Context, model_id: str, settings: EncoderTraining | AuxiliaryTraining
) -> Estimate:
    """Seconds of the training of a network for a model."""
    try:
        card = base_model(context, model_id)[1]
    except IntarsiaError:
        card = None  # no such model: the run says so
    seconds = _network_seconds(card, settings, context.device) / context.machine.factor(SPEED)
    text = "Learns from the pictures; it can be paused, and goes on after the editor was closed."
    return Estimate(seconds=seconds, trains=True, text=text)


def trained_outcome(context: Context, model_id: str, training: Training, *notes: str) -> Outcome:
    """The samples as a layer, and the model for the recipe."""
    card = context.models.card(model_id)
    layers = []
    if training.samples is not None:
        layers.append(samples_layer(f"Samples of {card.title}", training.samples))
    told = [f"The model {card.title!r} is in the list now ({model_id}).", *notes]
    return Outcome(
        layers,
        model=context.models.reference(model_id),
        metrics=training.losses,
        notes=[*told, *dict.fromkeys(training.notices)],
    )


def known_outcome(context: Context, model_id: str, card: Card) -> Outcome:
    """What is told instead of doing the same training again."""
    note = f"This training was done before: it made the model {card.title!r} ({model_id})."
    samples = [] if not (small := _stored_thumbnail(context, model_id)) else [small]
    return Outcome(samples, model=context.models.reference(model_id), notes=[note])


def _stored_thumbnail(context: Context, model_id: str) -> Layer | None:
    path = context.models.path(model_id).parent / THUMBNAIL
    try:
        with Image.open(path, formats=("PNG",)) as file:
            return Layer("Samples", np.array(file.convert("RGBA")))
    except (OSError, ValueError):
        return None


def _network_seconds(card: Card | None, settings: Any, device: str) -> float:
    """On a machine of speed 1; without a card for a small model."""
    resolution = card.resolution if card is not None else 64
    standard = max(32, min(256, 1 << max(0, resolution - 1).bit_length()))
    return expected_seconds(settings, resolution=standard, device=device)


def _opened_report(folder: Path) -> TrainingReport:
    try:
        return TrainingReport(folder)
    except OSError as error:
        raise InvalidRequest(
            f"The report cannot be written to {folder}: {error.strerror or error}.",
            value=str(folder),
            remedy="Choose a folder that you may write to, or none.",
        ) from None
