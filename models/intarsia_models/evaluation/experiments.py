"""The four experiments: relabelling, calibration, locality, choice of layers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intarsia_models.evaluation.classifier import Classifier
from intarsia_models.evaluation.edits import (
    Case,
    as_difference,
    as_model_output,
    central_area,
    pasted,
    projected,
    relabelled,
    translated,
)
from intarsia_models.evaluation.measures import change, shows, steps_to, structure_kept
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.generators.generator import Generator
from intarsia_models.projection import project
from intarsia_models.projection.projection import Space

Tick = Callable[[], None]
RATES: dict[Space, tuple[float, ...]] = {"z": (0.075, 0.15), "extended": (0.015, 0.06)}
"""Step sizes that are tried in each space; the first ones are the public code's."""


@dataclass(frozen=True)
class Trial:
    """One picture edited in one way."""

    shown: int
    """The class that the classifier sees in the area."""
    target: int
    inside: float
    outside: float
    structure: float
    picture: Tensor = field(repr=False)
    """(1, 3, R, R)."""

    @property
    def hit(self) -> bool:
        """Whether the area shows the target class."""
        return self.shown == self.target


@dataclass(frozen=True)
class Relabelling:
    """All trials by method and by layer choice, in the order of the cases."""

    cases: list[Case]
    methods: dict[str, list[Trial]]
    layers: dict[str, list[Trial]]
    reconstruction_error: float
    """Mean absolute difference between pictures and their reconstructions, in grey levels."""
    fits: list[float]


@dataclass(frozen=True)
class Calibration:
    """The extended latent space beside the plain one."""

    plain: list[list[float]]
    """Loss by step, a list per picture."""
    extended: list[list[float]]
    plain_step_s: float
    extended_step_s: float
    plain_rate: float
    """Adam's, the best of `RATES`."""
    extended_rate: float

    def steps_to_plain_end(self) -> list[int | None]:
        """Per picture: steps that the extended space needs to reach what the plain one reaches at
        its end; None where it never does."""
        pairs = zip(self.plain, self.extended, strict=True)
        return [steps_to(extended, min(plain)) for plain, extended in pairs]

    def steps_to_extended_end(self) -> list[int | None]:
        """The same the other way round."""
        pairs = zip(self.plain, self.extended, strict=True)
        return [steps_to(plain, min(extended)) for plain, extended in pairs]


def choose(pictures: PictureSet, count: int, seed: int) -> list[tuple[Tensor, int, int, Tensor]]:
    """Pictures to edit, their class, another class to become, and a picture of that class.

    Every class is taken in turn, so that all are there as far as ``count`` goes.

    Returns:
        (picture, y, target, other) with pictures (1, 3, R, R) in [-1, 1].
    """
    source = torch.Generator().manual_seed(seed)
    members = [(pictures.y == k).nonzero().flatten() for k in range(pictures.num_classes)]
    kinds = [k for k in range(pictures.num_classes) if len(members[k])]
    shuffled = [members[k][torch.randperm(len(members[k]), generator=source)] for k in kinds]
    chosen = []
    for number in range(count):
        place, turn = number % len(kinds), number // len(kinds)
        own = shuffled[place][turn % len(shuffled[place])]
        steps = 1 + int(torch.randint(len(kinds) - 1, (1,), generator=source))
        other_place = (place + steps) % len(kinds)
        others = shuffled[other_place]
        other = others[int(torch.randint(len(others), (1,), generator=source))]
        chosen.append(
            (
                _float(pictures.pixels[own]),
                kinds[place],
                kinds[other_place],
                _float(pictures.pixels[other]),
            )
        )
    return chosen


def relabelling(
    generator: Generator,
    classifier: Classifier,
    pictures: PictureSet,
    *,
    samples: int,
    steps: int,
    seed: int,
    tick: Tick = lambda: None,
) -> Relabelling:
    """Project real pictures, relabel their middle, and do what else one might.

    Args:
        generator: With classes, encoder and discriminator.
        classifier: Of the same classes in the same order.
        pictures: Real ones that no network has seen.
        samples: How many are edited.
        steps: Of each projection.
        seed: Of the choice.
        tick: Called between pictures.
    """
    area = central_area(generator.resolution)
    groups = layer_choices(generator)
    methods: dict[str, list[Trial]] = {}
    layers: dict[str, list[Trial]] = {}
    cases, errors = [], []
    for picture, y, target, other in choose(pictures, samples, seed):
        tick()
        case = projected(generator, picture, y, target, steps=steps)
        cases.append(case)
        errors.append(float((case.projection.reconstruction - picture).abs().mean() * 127.5))
        edited = relabelled(generator, case, area)
        made = {
            "relabelled, difference on the original": as_difference(case, edited, area),
            "relabelled, the model's picture": as_model_output(case, edited, area),
            "whole picture translated": translated(generator, case),
            "real picture pasted": pasted(case, other, area),
            "reconstruction, no edit": case.projection.reconstruction,
            "no edit": picture,
        }
        for name, result in made.items():
            trial = _trial(classifier, case, picture, result, area)
            methods.setdefault(name, []).append(trial)
        for name, chosen in groups.items():
            result = relabelled(generator, case, area, chosen)
            before = case.projection.reconstruction
            layers.setdefault(name, []).append(_trial(classifier, case, before, result, area))
    return Relabelling(
        cases, methods, layers, statistics.mean(errors), [c.projection.fit for c in cases]
    )


def layer_choices(generator: Generator) -> dict[str, Sequence[str] | None]:
    """The first conditional layers (smallest size), all others, all, and the artist's groups."""
    names = [norm.name for norm in generator.norm_layers]
    smallest = min(norm.size for norm in generator.norm_layers)
    first = [norm.name for norm in generator.norm_layers if norm.size == smallest]
    groups = generator.layer_groups()
    return {
        "all layers": None,
        "first layer": first,
        "all but the first": [name for name in names if name not in first],
        **{f"{name} only": chosen for name, chosen in groups.items() if chosen},
    }


def calibration(
    generator: Generator,
    pictures: PictureSet,
    *,
    samples: int,
    steps: int,
    seed: int,
    tick: Tick = lambda: None,
) -> Calibration:
    """Project the same pictures from the encoder's latent in both spaces, equally many steps.

    Each space gets the best of its `RATES` (the lowest mean of the best losses), as in the paper.
    """
    chosen = choose(pictures, samples, seed)
    best: dict[str, tuple[list[list[float]], float, float]] = {}
    for space, rates in RATES.items():
        for rate in rates:
            begun, curves = time.perf_counter(), []
            for picture, y, _, _ in chosen:
                tick()
                label = torch.tensor([y])
                found = project(generator, picture, label, steps=steps, space=space, lr=rate)
                curves.append(found.losses)
            seconds = (time.perf_counter() - begun) / (samples * steps)
            if space not in best or _reached(curves) < _reached(best[space][0]):
                best[space] = (curves, seconds, rate)
    plain, extended = best["z"], best["extended"]
    return Calibration(plain[0], extended[0], plain[1], extended[1], plain[2], extended[2])


def _reached(curves: list[list[float]]) -> float:
    return statistics.mean(min(curve) for curve in curves)


def _trial(
    classifier: Classifier, case: Case, before: Tensor, after: Tensor, area: Tensor
) -> Trial:
    inside, outside = change(before, after, area)
    return Trial(
        shown=shows(classifier, after, area),
        target=case.target,
        inside=inside,
        outside=outside,
        structure=structure_kept(case.picture, after, area),
        picture=after,
    )


def _float(pixels: Tensor) -> Tensor:
    """(3, R, R) uint8 to (1, 3, R, R) in [-1, 1]."""
    return pixels[None].float() / 127.5 - 1.0
