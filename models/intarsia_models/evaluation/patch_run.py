"""The measurement of key patches from labelled pictures to the section of the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from intarsia_models.errors import UnreadableModel, UnsuitablePicture
from intarsia_models.evaluation.classifier import (
    Classifier,
    accuracy,
    load_classifier,
    save_classifier,
    train_classifier,
)
from intarsia_models.evaluation.looking import classifier_look
from intarsia_models.evaluation.part_features import telling
from intarsia_models.evaluation.patch_experiments import experiments
from intarsia_models.evaluation.patch_report import write_patches
from intarsia_models.evaluation.patch_trainings import NEEDED, train_all
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.training_settings import KeyPatchTraining, key_patch_training

LEAST_AVERAGED, MOST_AVERAGED = 1_500.0, 10_000.0
"""Pictures after which a weight counts half in the averaged networks; between them, a tenth of the
training."""
RATE = 6e-4
"""Of both networks; with a step of the generator for each of the critic, more is learnt in a short
training than with the published 2e-4 and every other."""
LOOK_ITERATIONS = 500
"""Of the classifier that looks at sets of pictures."""


def measure_patches(
    pictures: Path,
    classes: Sequence[str],
    out: Path,
    facts: dict[str, Any],
    *,
    resolution: int = 64,
    width: int = 16,
    batch: int = 16,
    iterations: int = 1200,
    model: Path | None = None,
    variants: Sequence[str] = NEEDED,
    kept: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    say: Callable[[str], object] = lambda text: None,
) -> None:
    """Train, measure and write.

    Args:
        pictures: A folder or zip of labelled pictures with the splits "train" and "val".
        classes: Those that the models learn; all others tell how well they are told apart.
        out: The folder of ``results.md``; pictures go into its ``images``.
        facts: ``command``, ``device`` and ``date``, for the page.
        resolution: Side in pixels.
        width: Channels of the networks' first layers.
        batch: Pictures per step.
        iterations: Steps of every training.
        model: A stored model that learnt the same classes longer; it stands for the published one
            but where structures are compared. None: the one that is trained here.
        variants: Which models are trained, of `patch_trainings.VARIANTS`.
        kept: Where trained models are kept and found again; None: nowhere.
        device: Where trainings compute.
        seed: Of everything.
        say: Told in a sentence what is done.

    Raises:
        UnsuitablePicture: There are no such pictures, or no classes beside those learnt.
    """
    begun = time.perf_counter()
    learnt = tuple(classes)
    read = {split: read_pictures(pictures, resolution, split=split) for split in ("train", "val")}
    if not set(learnt) < set(read["train"].labels):
        raise UnsuitablePicture(
            f"{pictures} has the classes {', '.join(read['train'].labels)}.",
            "Name some of them with --patch-classes, not all: the others are told apart from them.",
        )
    own = {
        split: read_pictures(pictures, resolution, classes=learnt, split=split) for split in read
    }
    settings = settings_of(len(own["train"]), resolution, width, batch, iterations)
    trained = train_all(
        own["train"],
        settings,
        variants=variants,
        seed=seed,
        device=device,
        folder=kept,
        say=say,
    )
    longer = None if model is None else KeyPatchModel.load(model)
    say("the classifier that looks at the results")
    looker = _looker(read["train"], kept, seed)
    values = read["val"].pixels.float() / 127.5 - 1.0
    right, _ = accuracy(looker, values, read["val"].y)
    look = classifier_look(looker)
    found = experiments(trained, own["train"], own["val"], look, model=longer, seed=seed, say=say)
    told = telling(trained, learnt, read["train"], read["val"], model=longer, seed=seed, say=say)
    known = {
        **facts,
        "classes": learnt,
        "settings": settings,
        "model": "" if model is None else model.parent.name,
        "trained_on": len(own["train"]),
        "look_accuracy": right,
        "seconds": time.perf_counter() - begun,
    }
    write_patches(out / "results.md", out / "images", found, told, known)


def settings_of(
    pictures: int, resolution: int, width: int, batch: int, iterations: int
) -> KeyPatchTraining:
    """The published model's training, as short as wanted."""
    return key_patch_training(
        "draft",
        resolution,
        pictures=pictures,
        width=width,
        critic_width=width,
        batch=batch,
        iterations=iterations,
        generator_every=1,
        rate=RATE,
        average_pictures=min(MOST_AVERAGED, max(LEAST_AVERAGED, batch * iterations / 10)),
    )


def _looker(pictures: PictureSet, kept: Path | None, seed: int) -> Classifier:
    place = None if kept is None else kept / "classifier"
    fingerprint = pictures.fingerprint()
    if place is not None:
        try:
            model, card = load_classifier(place)
            if card.get("pictures_sha256") == fingerprint:
                return model
        except UnreadableModel:
            pass
    model = train_classifier(pictures, iterations=LOOK_ITERATIONS, seed=seed)
    if place is not None:
        save_classifier(model, place, {"pictures_sha256": fingerprint})
    return model
