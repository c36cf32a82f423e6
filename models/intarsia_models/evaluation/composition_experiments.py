"""Latent composition, measured: collages, blends, independence, adapting.

Source: Chai et al. 2021, arXiv:2103.10426, tables 1, 3 and 4, figures 7 and 8.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from intarsia_models.evaluation.composition_methods import (
    Case,
    Make,
    case_of,
    quick_methods,
    slow_methods,
)
from intarsia_models.evaluation.looking import Look
from intarsia_models.evaluation.set_measures import (
    density_and_coverage,
    frechet_distance,
    masked_l1,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.adaptation import adapt
from intarsia_models.latent_composition.collages import Piece
from intarsia_models.latent_composition.influence import drawn_donors, independence
from intarsia_models.latent_composition.latents import decode, encode
from intarsia_models.latent_composition.mixing import (
    composed,
    context_share,
    latent_blend,
    pixel_blend,
)
from intarsia_models.latent_composition.random_collages import random_pieces
from intarsia_models.latent_composition.saliency import salient_area
from intarsia_models.latent_composition.superpixels import Discovery, discover_parts

Tick = Callable[[], object]
Clock = Callable[[], float]
BLENDS = ("composition", "latent alpha-blend", "pixel alpha-blend")
ADAPTING_RATES = (5e-5, 5e-4)
"""The public notebook's, and ten times as much."""
LEAST_SUBJECT, MOST_SUBJECT = 0.1, 0.7
"""Share of a picture that its subject has where parts are compared."""


@dataclass(frozen=True, eq=False)
class Row:
    """One method over all collages."""

    name: str
    l1: float | None
    """`set_measures.masked_l1`, the mean; None where there is no collage to compare with."""
    frechet: float
    density: float
    coverage: float
    seconds: float | None
    """Per picture, the median."""
    pictures: Tensor = field(repr=False)
    """(N, 3, R, R)."""


@dataclass(frozen=True, eq=False)
class Table:
    """Methods on the same collages."""

    rows: list[Row]
    cases: list[Case] = field(repr=False)


def collage_cases(pictures: Tensor, count: int) -> list[Case]:
    """Every other one rectangles with holes between, every other one a subject over a picture.

    Args:
        pictures: (N, 3, R, R) in [-1, 1].
        count: How many.
    """
    cases = []
    for number in range(count):
        pieces: list[Piece]
        parts = "rectangles" if number % 2 == 0 else "saliency"
        pieces = random_pieces(pictures, number, parts=parts)
        cases.append(case_of(pieces))
    return cases


def mirrored(pictures: Tensor) -> Tensor:
    """(4N, 3, R, R): pictures and their mirror images, for a larger set to compare with."""
    both = torch.cat((pictures, pictures.flip(3)))
    return torch.cat((both, both.flip(2)))


def compare(
    generator: Generator,
    cases: Sequence[Case],
    methods: dict[str, Make],
    real: Tensor,
    looks: tuple[Look, Look],
    *,
    clock: Clock = time.perf_counter,
    tick: Tick = lambda: None,
) -> Table:
    """Every method on every collage.

    Args:
        generator: With a regressor.
        cases: The collages.
        methods: By name.
        real: (M, 3, R, R): what the results should look like.
        looks: For the Fréchet distance, and for density and coverage.
        clock: What time is taken with.
        tick: Called before every picture.
    """
    features = looks[0](real), looks[1](real)
    image = torch.cat([case.collage.image for case in cases])
    known = torch.cat([case.collage.known for case in cases])
    rows = []
    for name, make in methods.items():
        made, seconds = [], []
        for case in cases:
            tick()
            begun = clock()
            with torch.no_grad():
                made.append(make(generator, case).clamp(-1, 1))
            seconds.append(clock() - begun)
        pictures = torch.cat(made)
        l1 = float(masked_l1(pictures, image, known).mean())
        rows.append(_row(name, pictures, l1, statistics.median(seconds), features, looks))
    return Table(rows, list(cases))


@torch.inference_mode()
def references(
    generator: Generator, real: Tensor, looks: tuple[Look, Look], count: int, seed: int
) -> list[Row]:
    """What the figures are for pictures that nobody pasted: fresh ones of the generator, those
    reconstructed, and real ones reconstructed."""
    compared = mirrored(real)
    features = looks[0](compared), looks[1](compared)
    z = generator.sample_z(count, seed)
    y = torch.arange(count) % generator.num_classes if generator.num_classes else None
    fresh = _in_parts(
        lambda part: generator.synthesize(z[part], None if y is None else y[part]), count
    )
    again = _in_parts(lambda part: decode(generator, encode(generator, fresh[part])), count)
    back = _in_parts(lambda part: decode(generator, encode(generator, real[part])), len(real))
    rows = []
    for name, pictures, originals in (
        ("fresh pictures of the generator", fresh, None),
        ("those, read and made again", again, fresh),
        ("real pictures, read and made again", back, real),
    ):
        l1 = None
        if originals is not None:
            everything = torch.ones_like(originals[:, :1])
            l1 = float(masked_l1(pictures, originals, everything).mean())
        rows.append(_row(name, pictures, l1, None, features, looks))
    return rows


@dataclass(frozen=True, eq=False)
class Blends:
    """Composition beside alpha-blends (figure 7)."""

    distances: dict[str, tuple[float, float, float]]
    """By blend: masked L1 to the context outside the area, to the target inside, to the collage."""
    shown: list[list[Tensor]] = field(repr=False)
    """Per example: context, target, collage, and the three results."""
    count: int = 0


@torch.inference_mode()
def blends(
    generator: Generator, pictures: Tensor, count: int, *, shown: int = 6, tick: Tick = lambda: None
) -> Blends:
    """Put an area of one real picture into another, in the three ways of eq. 6-8.

    Alpha is the share of the picture that stays, as in the paper.
    """
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in BLENDS}
    examples = []
    for number in range(count):
        tick()
        source = np.random.RandomState(number)
        first, second = source.choice(len(pictures), 2, replace=False)
        context, target = pictures[first][None], pictures[second][None]
        area = _rectangle(pictures.shape[-1], source)
        collage = context + area * (target - context)
        alpha = context_share(area)
        made = {
            "composition": composed(generator, context, target, area),
            "latent alpha-blend": latent_blend(generator, context, target, alpha),
            "pixel alpha-blend": pixel_blend(generator, context, target, alpha),
        }
        everything = torch.ones_like(area)
        for name, picture in made.items():
            found[name].append(
                (
                    float(masked_l1(picture, context, 1 - area)),
                    float(masked_l1(picture, target, area)),
                    float(masked_l1(picture, collage, everything)),
                )
            )
        if number < shown:
            examples.append([context, target, collage, *made.values()])
    means = {
        name: tuple(statistics.mean(row[i] for row in rows) for i in range(3))
        for name, rows in found.items()
    }
    return Blends(means, examples, count)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class Parts:
    """Which parts of pictures move each other."""

    scores: dict[str, dict[str, float]]
    """By kind of parts, then by part: s_c, the mean over the pictures."""
    pictures: int
    replacements: int
    shown: list[tuple[Tensor, Tensor, Tensor, Tensor]] = field(repr=False)
    """Picture, subject, variation when the subject is replaced, and when the ground is."""
    discovered: list[tuple[Tensor, Discovery]] = field(repr=False)


def parts(
    generator: Generator,
    pictures: Tensor,
    *,
    count: int,
    replacements: int,
    discoveries: int = 4,
    seed: int = 0,
    tick: Tick = lambda: None,
) -> Parts:
    """Independence of subject and ground, and of the four quarters; parts found by superpixels."""
    chosen = _with_subjects(pictures, count)
    scores: dict[str, dict[str, list[float]]] = {}
    shown = []
    for picture, subject in chosen:
        tick()
        with torch.inference_mode():
            y = encode(generator, picture).y
            donors = drawn_donors(generator, replacements, seed, y)
        kinds = {
            "subject and ground": {"subject": subject, "ground": 1 - subject},
            "quarters": _quarters(picture),
        }
        for kind, areas in kinds.items():
            found = independence(generator, picture, areas, donors=donors, y=y, tick=tick)
            for name, score in found.scores.items():
                scores.setdefault(kind, {}).setdefault(name, []).append(score)
            if "subject" in areas:
                variations = found.variations
                shown.append((picture, subject, variations["subject"], variations["ground"]))
    discovered = []
    for picture, _ in chosen[:discoveries]:
        tick()
        found = discover_parts(generator, picture, count=30, replacements=10, seed=seed, tick=tick)
        discovered.append((picture, found))
    means = {
        kind: {name: statistics.mean(values) for name, values in by_part.items()}
        for kind, by_part in scores.items()
    }
    return Parts(means, len(chosen), replacements, shown, discovered)


@dataclass(frozen=True, eq=False)
class Adapting:
    """Fitting the regressor to single pictures."""

    before: float
    """Mean absolute difference of the reconstruction, in [-1, 1] units, the mean over pictures."""
    after: float
    seconds: float
    """The median."""
    steps: int
    rate: float
    shown: list[tuple[Tensor, Tensor, Tensor]] = field(repr=False)
    """Picture, reconstruction before, and after."""
    count: int = 0


def adapting(
    generator: Generator,
    pictures: Tensor,
    *,
    count: int,
    steps: int,
    rate: float,
    clock: Clock = time.perf_counter,
    tick: Tick = lambda: None,
) -> Adapting:
    """Adapt to each of some real pictures, spread over all of them."""
    chosen = pictures[:: max(1, len(pictures) // count)][:count]
    before, after, seconds, shown = [], [], [], []
    for picture in chosen.split(1):
        tick()
        begun = clock()
        found = adapt(generator, picture, steps=steps, rate=rate)
        seconds.append(clock() - begun)
        before.append(float((found.before_picture - picture).abs().mean()))
        after.append(float((found.after_picture - picture).abs().mean()))
        shown.append((picture, found.before_picture, found.after_picture))
    return Adapting(
        before=statistics.mean(before),
        after=statistics.mean(after),
        seconds=statistics.median(seconds),
        steps=steps,
        rate=rate,
        shown=shown,
        count=len(chosen),
    )


@dataclass(frozen=True, eq=False)
class Composition:
    """All experiments."""

    quick: Table
    slow: Table
    references: list[Row]
    looks: tuple[str, str]
    real: int
    """How many real pictures, without their mirror images."""
    blends: Blends
    parts: Parts
    adapting: list[Adapting]
    steps: int
    """Of L-BFGS and of Adam."""


def composition(
    generator: Generator,
    pictures: Tensor,
    looks: tuple[Look, Look],
    *,
    collages: int,
    slow_collages: int,
    steps: int,
    starts: int,
    blend_count: int,
    part_count: int,
    replacements: int,
    adapt_count: int,
    seed: int,
    clock: Clock = time.perf_counter,
    say: Callable[[str], object] = lambda text: None,
    tick: Tick = lambda: None,
) -> Composition:
    """Everything, on a generator with a regressor and real pictures that neither has seen.

    Args:
        generator: With a regressor.
        pictures: (N, 3, R, R) in [-1, 1].
        looks: Of `looking.best_looks`.
        collages: For what takes one pass.
        slow_collages: For all methods, optimisation included; the first of the same ones.
        steps: Of each optimisation.
        starts: Random latents where optimisation has no regressor.
        blend_count: Pairs of pictures.
        part_count: Pictures whose parts are compared.
        replacements: Of each part.
        adapt_count: Pictures that are adapted to.
        seed: Of the generator's pictures.
        clock: What time is taken with.
        say: Told in a few words what begins.
        tick: Called between pictures.
    """
    cases = collage_cases(pictures, max(collages, slow_collages))
    real = mirrored(pictures)
    quick = quick_methods()
    say(f"{collages} collages in one pass")
    one_pass = compare(generator, cases[:collages], quick, real, looks, clock=clock, tick=tick)
    say(f"{slow_collages} collages, {steps} steps of each optimisation")
    both = {**quick, **slow_methods(steps, starts)}
    slow = compare(generator, cases[:slow_collages], both, real, looks, clock=clock, tick=tick)
    say(f"{blend_count} blends")
    blended = blends(generator, pictures, blend_count, tick=tick)
    say(f"parts of {part_count} pictures")
    found = parts(
        generator, pictures, count=part_count, replacements=replacements, seed=seed, tick=tick
    )
    say(f"adapting to {adapt_count} pictures")
    adapted = [
        adapting(
            generator, pictures, count=adapt_count, steps=30, rate=rate, clock=clock, tick=tick
        )
        for rate in ADAPTING_RATES
    ]
    return Composition(
        quick=one_pass,
        slow=slow,
        references=references(generator, pictures, looks, collages, seed),
        looks=(looks[0].name, looks[1].name),
        real=len(pictures),
        blends=blended,
        parts=found,
        adapting=adapted,
        steps=steps,
    )


def _row(
    name: str,
    pictures: Tensor,
    l1: float | None,
    seconds: float | None,
    real: tuple[Tensor, Tensor],
    looks: tuple[Look, Look],
) -> Row:
    density, coverage = density_and_coverage(looks[1](pictures), real[1])
    frechet = frechet_distance(looks[0](pictures), real[0])
    return Row(name, l1, frechet, density, coverage, seconds, pictures)


def _in_parts(make: Callable[[slice], Tensor], count: int, batch: int = 16) -> Tensor:
    starts = range(0, count, batch)
    return torch.cat([make(slice(i, min(i + batch, count))) for i in starts]).clamp(-1, 1)


def _rectangle(size: int, source: np.random.RandomState) -> Tensor:
    height, width = (round(size * side) for side in source.uniform(0.35, 0.65, 2))
    top, left = source.randint(size - height + 1), source.randint(size - width + 1)
    area = torch.zeros(1, 1, size, size)
    area[:, :, top : top + height, left : left + width] = 1
    return area


def _with_subjects(pictures: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Pictures whose subject is neither tiny nor all there is, spread over all of them."""
    step = max(1, len(pictures) // (2 * count))
    found = []
    for picture in pictures[::step].split(1):
        subject = salient_area(picture)
        if LEAST_SUBJECT <= float(subject.mean()) <= MOST_SUBJECT:
            found.append((picture, subject))
        if len(found) == count:
            break
    return found


def _quarters(picture: Tensor) -> dict[str, Tensor]:
    half = picture.shape[-1] // 2
    areas = {}
    for index, name in enumerate(("top left", "top right", "bottom left", "bottom right")):
        area = torch.zeros_like(picture[:, :1])
        top, left = half * (index // 2), half * (index % 2)
        area[:, :, top : top + half, left : left + half] = 1
        areas[name] = area
    return areas
