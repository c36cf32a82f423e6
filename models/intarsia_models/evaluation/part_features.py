"""How well a line through a critic's features parts pictures of what it learnt from all others.

Source: Lee et al. 2018, arXiv:1703.10730, supplement, table 4: a linear support vector machine on
the features of critics that were trained without labels, for whole pictures and for parts. There,
the critics learnt cars and CIFAR-10 was parted; here, some classes of labelled pictures and all.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intarsia_models.evaluation.patch_trainings import FULL, Trained
from intarsia_models.evaluation.plain_gan import critic_features
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.objectness import key_boxes
from intarsia_models.key_patches.patches import cut_patches

COSTS = (1e-5, 1e-4, 1e-3, 1e-2)
"""C of the machine, chosen by cross-validation on the training pictures."""
FOLDS = 3
REDUCED = 16
"""Side of the pictures whose plain pixels are used."""
ITERATIONS = 20_000

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Accuracy:
    """Shares of held-out pictures that are told right, as means over the two kinds."""

    name: str
    whole: float
    parts: float


@dataclass(frozen=True)
class Telling:
    """The table."""

    rows: list[Accuracy]
    trained_on: int
    tested_on: int
    numbers: int
    """Of a critic's features."""


def telling(
    trained: Trained,
    learnt: tuple[str, ...],
    training: PictureSet,
    test: PictureSet,
    *,
    model: KeyPatchModel | None = None,
    seed: int = 0,
    say: Callable[[str], object] = lambda text: None,
) -> Telling:
    """Train and test a machine for each kind of features.

    Args:
        trained: Whose critics are compared.
        learnt: The classes that they learnt from, of those of the pictures.
        training: Labelled pictures of all classes.
        test: The same, held out.
        model: One that learnt longer, for a line of its own.
        seed: Of the machine.
        say: Told in a sentence what is done.
    """
    kinds: dict[str, Features] = {
        "critic of parts": trained.models[FULL].features,
        "critic of a GAN without parts": lambda x: critic_features(trained.plain, x),
        "critic that learnt nothing": lambda x: critic_features(trained.untrained, x),
        "plain pixels": _pixels,
    }
    if model is not None:
        kinds["critic of the pack"] = model.features
    sets = [training, test]
    wholes = [one.pixels.float() / 127.5 - 1.0 for one in sets]
    parts = [_best_parts(one.pixels) for one in sets]
    y = [_is_learnt(one, learnt) for one in sets]
    rows = []
    for name, features in kinds.items():
        say(f"telling pictures apart: {name}")
        scores = [
            _accuracy([features(x).numpy() for x in given], y, seed) for given in (wholes, parts)
        ]
        rows.append(Accuracy(name, *scores))
    numbers = int(trained.models[FULL].features(wholes[1][:1]).shape[1])
    return Telling(rows, len(training), len(test), numbers)


def _is_learnt(pictures: PictureSet, learnt: tuple[str, ...]) -> Any:
    kinds = [pictures.labels.index(name) for name in learnt]
    return torch.isin(pictures.y, torch.tensor(kinds)).numpy()


def _best_parts(pixels: Tensor) -> Tensor:
    """(B, 3, S, S): the part of each picture with the highest objectness, at the picture's size."""
    side = pixels.shape[-1]
    return cut_patches(pixels.float() / 127.5 - 1.0, key_boxes(pixels, 1), side)[:, 0]


def _pixels(pictures: Tensor) -> Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(pictures, REDUCED).flatten(1)


def _accuracy(x: list[Any], y: list[Any], seed: int) -> float:
    """Balanced accuracy on the second set of a machine that learnt from the first."""
    svm: Any = importlib.import_module("sklearn.svm")
    selection: Any = importlib.import_module("sklearn.model_selection")
    pipeline: Any = importlib.import_module("sklearn.pipeline")
    preprocessing: Any = importlib.import_module("sklearn.preprocessing")
    metrics: Any = importlib.import_module("sklearn.metrics")
    machine = pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        svm.LinearSVC(
            dual="auto", class_weight="balanced", random_state=seed, max_iter=ITERATIONS, tol=1e-3
        ),
    )
    search = selection.GridSearchCV(
        machine, {"linearsvc__C": list(COSTS)}, cv=FOLDS, scoring="balanced_accuracy"
    )
    search.fit(x[0], y[0])
    return float(metrics.balanced_accuracy_score(y[1], search.predict(x[1])))
