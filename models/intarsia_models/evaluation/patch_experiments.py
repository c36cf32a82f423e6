"""What models of parts make of pictures they have not seen: figures and pictures to look at.

Source of the questions: Lee et al. 2018, arXiv:1703.10730, supplement, table 3 and sections 3 to 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from intarsia_models.evaluation.looking import Look
from intarsia_models.evaluation.patch_trainings import (
    AUTO,
    CONDITIONAL,
    FEWER,
    FULL,
    NO_MASK,
    PLAIN,
    RANDOM,
    Trained,
)
from intarsia_models.evaluation.set_measures import frechet_distance
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.objectness import BoxRule
from intarsia_models.key_patches.patches import Degradation
from intarsia_models.key_patches.retrieval import nearest_pictures
from intarsia_models.key_patches.wholes import Likeness, Wholes, likeness, made_wholes

SMALLER = (0.09, 0.04)
"""Largest areas of parts that the supplement's section 8 tries."""
NOISES = (0.1, 0.5)
"""Standard deviations of noise, in units of the range [-1, 1] here."""


@dataclass(frozen=True, eq=False)
class Row:
    """What came of the held-out pictures' parts in one way."""

    name: str
    wholes: Wholes
    likeness: Likeness
    at_parts: float
    """Mean of |G - y| where the parts were."""
    frechet: float
    """Between the wholes and real pictures, by the look of `Experiments`."""


@dataclass(frozen=True, eq=False)
class Experiments:
    """All tables but the one on features."""

    chosen: list[Row]
    """Key parts and random ones."""
    structures: list[Row]
    """The published model, its baselines, and the nearest training picture."""
    counts: list[Row]
    """One, two and three different parts."""
    degraded: list[Row]
    """Smaller and noisy parts."""
    look: str
    pictures: int
    """How many held-out ones."""
    reference: float
    """Fréchet distance of the held-out pictures themselves."""


def experiments(
    trained: Trained,
    training: PictureSet,
    held_out: PictureSet,
    look: Look,
    *,
    model: KeyPatchModel | None = None,
    seed: int = 0,
    say: Callable[[str], object] = lambda text: None,
) -> Experiments:
    """Measure all models with the same held-out pictures.

    Args:
        trained: The models.
        training: What they learnt from.
        held_out: Pictures of the same classes that they have not seen.
        look: What sets of pictures are compared with.
        model: One that learnt longer, for all but the comparison of structures; None: the
            published one of ``trained``.
        seed: Of random parts and the models' random numbers.
        say: Told in a sentence what is done.
    """
    measuring = _Measuring(training, held_out, look, seed)
    models = trained.models
    main = model or models[FULL]
    say("key parts and random ones")
    usual = measuring.row("key parts", main)
    chosen = [usual, measuring.row("random parts", main, choice="random")]
    if RANDOM in models:
        name = f"random parts, {RANDOM}"
        chosen.append(measuring.row(name, models[RANDOM], choice="random"))
    say("objectives and structures")
    structures = [
        measuring.row(name, models[name]) for name in (FULL, PLAIN, NO_MASK, CONDITIONAL, AUTO)
    ]
    structures.append(measuring.nearest(usual.wholes))
    say("number and quality of the parts")
    counts = [measuring.row(f"{n} of {main.parts}", main, unique=n) for n in _upwards(main)]
    if FEWER in models:
        fewer = models[FEWER]
        counts += [measuring.row(f"{n}, {FEWER}", fewer, unique=n) for n in _upwards(fewer)]
    degraded = [measuring.renamed(usual, "as usual")]
    degraded += [
        measuring.row(f"at most {area:.0%} of the picture", main, rule=BoxRule.for_area(area))
        for area in SMALLER
    ]
    degraded += [
        measuring.row(f"noise {noise:g}", main, degradation=Degradation(noise=noise))
        for noise in NOISES
    ]
    return Experiments(
        chosen, structures, counts, degraded, look.name, len(held_out), measuring.reference()
    )


def _upwards(model: KeyPatchModel) -> range:
    return range(1, model.parts + 1)


class _Measuring:
    """Makes rows of one set of pictures."""

    def __init__(self, training: PictureSet, held_out: PictureSet, look: Look, seed: int) -> None:
        self._training, self._held_out = training.pixels, held_out.pixels
        self._look, self._seed = look, seed
        self._real = look(training.pixels.float() / 127.5 - 1.0)

    def row(self, name: str, model: KeyPatchModel, **how: object) -> Row:
        """Arguments as `made_wholes`."""
        wholes = made_wholes(model, self._held_out, seed=self._seed, **how)  # pyright: ignore[reportArgumentType]
        return self._row(name, wholes)

    def renamed(self, row: Row, name: str) -> Row:
        return replace(row, name=name)

    def reference(self) -> float:
        return frechet_distance(self._look(self._held_out.float() / 127.5 - 1.0), self._real)

    def nearest(self, wholes: Wholes) -> Row:
        """The training pictures that are nearest (L1) where the parts were."""
        found = nearest_pictures(wholes.real, wholes.boxes, self._training)
        pictures = self._training[found].float() / 127.5 - 1.0
        made = Wholes(wholes.real, wholes.patches, wholes.boxes, pictures, None)
        return self._row("nearest training picture", made)

    def _row(self, name: str, wholes: Wholes) -> Row:
        seen = self._look(wholes.generated)
        apart = (wholes.generated - wholes.real).abs().mean(1, keepdim=True) * wholes.boxes
        at_parts = float(apart.sum() / wholes.boxes.sum())
        distance = frechet_distance(seen, self._real)
        return Row(name, wholes, likeness(wholes), at_parts, distance)


def first(pictures: Tensor, count: int) -> Tensor:
    """Some pictures, evenly spread over all: those in a row are often of the same thing."""
    step = max(1, len(pictures) // count)
    return pictures[::step][:count]
