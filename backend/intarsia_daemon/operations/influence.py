"""Show what else of a picture moves when a part of it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Choice, Input, Option, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, chosen_model, loaded_model
from intarsia_daemon.heat_layers import heat_layer, parts_layer
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture
from intarsia_daemon.real_pictures import coverage_on, visible_part, whole_crop
from intarsia_daemon.regressed_pictures import RegressedPicture, regressed
from intarsia_models.latent_composition.influence import (
    REPLACEMENTS,
    Independence,
    drawn_donors,
    independence,
    influence_map,
)
from intarsia_models.latent_composition.superpixels import discover_parts

MOST_PARTS = 16
NOTHING_MOVES = 1e-4
"""Largest deviation, of a range of 2, below which there is no heat to show."""
SELECTION = "selection"
SPEED = "influence"
"""Under which the machine learns how fast it looks."""
LOOK_S = 0.01
"""For one replacement at 64 px on a machine of speed 1."""
LEAST_LEARNT_S = 2.0

AREAS = Input(
    "areas",
    "area",
    "Parts by name",
    "Several parts: layers with a colour label, or coverages with any name.",
    required=False,
    several=True,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run; how many parts there are is not known beforehand."""
    given = {"area": 1, "areas": 2}
    parts = sum(count for name, count in given.items() if name in sizes)
    looks = parts or parameters["superpixels"] + (parameters["parts"] or MOST_PARTS)
    plain = _plain_seconds(context, parameters["model"], parameters["replacements"] * looks)
    seconds = 1.0 + plain / context.machine.factor(SPEED)
    return Estimate(seconds=seconds, trains=False, text="Many looks at the picture, no search.")


@operation(
    title="Influence",
    verb="Show what moves",
    group="Look closer",
    inputs=(
        shared.PICTURE,
        Input(
            "area",
            "area",
            "Part",
            "The part that changes; without any the picture is taken apart by itself.",
            required=False,
        ),
        AREAS,
    ),
    parameters=(
        shared.model_parameter("regressor"),
        Whole(
            "replacements",
            "Replacements",
            "Of how many other pictures the part is tried with.",
            2,
            200,
            REPLACEMENTS,
        ),
        Choice(
            "output",
            "Gives",
            "What is put into the document where there are several parts.",
            (
                Option("heat", "Heat", "A layer for each part: where the picture moves."),
                Option("parts", "Parts", "One layer with a colour for each part."),
                Option("both", "Both", "The parts below their heat."),
            ),
            default="both",
        ),
        Whole(
            "superpixels",
            "Superpixels",
            "How finely the picture is cut where no part is given.",
            4,
            200,
            40,
        ),
        Whole(
            "parts",
            "Parts at most",
            "How many parts are found where none is given; 0: as many as move alone.",
            0,
            MOST_PARTS,
            6,
        ),
        shared.SOURCE_CLASS,
    ),
    estimate=estimate,
)
def influence(
    picture: Picture,
    area: Area | None,
    areas: list[Area],
    model: str,
    replacements: int,
    output: str,
    superpixels: int,
    parts: int,
    source_class: str,
    context: Context,
) -> Outcome:
    """Show what else of a picture moves when a part of it changes, as a half-transparent layer.

    Source: Chai et al. 2021, arXiv:2103.10426, section 4.4: the part is replaced by those of other
    pictures; the brighter, the more the model's picture changes there.
    """
    with loaded_model(context, model, capability="regressor") as loaded:
        with context.phase("prepare"):
            seen = visible_part(picture)
            square = whole_crop(seen, loaded.generator.resolution)
            given = _given_parts(seen, area, areas)
            coverages = {name: coverage_on(seen, item) for name, item in given.items()}
        held = regressed(loaded, context, square, source_class=source_class)
        small = {
            name: square.small_coverage(coverage).to(context.device) * held.known
            for name, coverage in coverages.items()
        }
        run = _Run(loaded, held, context, replacements)
        began = context.clock()
        with context.phase("measure"):
            if len(small) == 1:
                done, looks = run.of_one(*small.popitem()), 1
            else:
                found = small or run.found_parts(superpixels, parts or None)
                done = run.of_several(found, output, found_by_itself=not small)
                looks = len(found) + (0 if small else superpixels)
        plain = _plain_seconds(context, loaded.id, replacements * looks)
        if plain >= LEAST_LEARNT_S:
            context.machine.learn(SPEED, plain, context.clock() - began)
        return done


@dataclass(frozen=True, eq=False)
class _Run:
    """One picture whose parts are replaced."""

    model: LoadedModel
    held: RegressedPicture
    context: Context
    replacements: int

    def of_one(self, name: str, area: Tensor) -> Outcome:
        """The heat of one part."""
        moved = influence_map(
            self.model.generator, self.held.image, area, donors=self._donors(), y=self._label,
            tick=self._ticking("Replacing the part", self.replacements),
        )  # fmt: skip
        hottest = self._hottest([moved])
        layer = self._heat(name, moved, area, hottest)
        inside, outside = _means(moved, area, self.held.known)
        metrics = {"deviation_inside": inside, "deviation_outside": outside, "hottest": hottest}
        share = f"{outside / inside:.0%}" if inside > 0 else "more"
        told = f"Outside of it the picture moves {share} as much as inside."
        return self._outcome([layer], metrics, [told])

    def of_several(
        self, areas: Mapping[str, Tensor], output: str, *, found_by_itself: bool
    ) -> Outcome:
        """All parts, compared with each other."""
        found = independence(
            self.model.generator, self.held.image, areas, donors=self._donors(), y=self._label,
            tick=self._ticking("Replacing part by part", self.replacements * len(areas)),
        )  # fmt: skip
        hottest = self._hottest(list(found.variations.values()))
        layers: list[Layer] = []
        if output in ("parts", "both"):
            title = f"Parts of {self._name}"
            layers.append(parts_layer(title, list(areas.values()), self.held.crop))
        if output in ("heat", "both"):
            layers += [
                self._heat(name, moved, areas[name], hottest)
                for name, moved in found.variations.items()
            ]
        metrics = {"independence": found.mean_score, "hottest": hottest, "parts": len(areas)}
        metrics |= {f"independence {name}": score for name, score in found.scores.items()}
        return self._outcome(
            layers, metrics, _table(found, areas, self.held.known, found_by_itself)
        )

    def found_parts(self, superpixels: int, parts: int | None) -> dict[str, Tensor]:
        """Parts by number: superpixels that move together."""
        known = self.held.known
        found = discover_parts(
            self.model.generator, self.held.image, count=superpixels, parts=parts,
            donors=self._donors(), y=self._label,
            tick=self._ticking("Looking what moves together", self.replacements * superpixels),
        ).areas()  # fmt: skip
        areas = [(item.to(known) * known) for item in found[:MOST_PARTS]]
        seen = [item for item in areas if float(item.sum()) > 0]
        if len(seen) < 2:
            raise InvalidRequest(
                "The picture could not be taken apart: all of it moves together.",
                value=len(seen),
                remedy="Select a part, use more superpixels, or allow more parts.",
            )
        return {f"part {number}": item for number, item in enumerate(seen, 1)}

    def _donors(self) -> Tensor:
        return drawn_donors(self.model.generator, self.replacements, self.context.seed, self._label)

    @property
    def _label(self) -> Tensor | None:
        return self.held.latent.y

    @property
    def _name(self) -> str:
        return self.held.crop.picture.name or "the picture"

    def _heat(self, name: str, moved: Tensor, area: Tensor, hottest: float) -> Layer:
        title = f"Influence of {name} on {self._name}"[:120]
        return heat_layer(title, moved / hottest * self.held.known, self.held.crop, area=area)

    def _hottest(self, maps: Sequence[Tensor]) -> float:
        """The largest deviation where the picture is known.

        Raises:
            InvalidRequest: Nothing moves.
        """
        hottest = max(float((item * self.held.known).max()) for item in maps)
        if hottest < NOTHING_MOVES:
            raise InvalidRequest(
                "Nothing moves when the part is replaced.",
                value=hottest,
                remedy="Select a larger part, or take another model: this one does not see it.",
            )
        return hottest

    def _outcome(self, layers: list[Layer], metrics: dict[str, float], notes: list[str]) -> Outcome:
        reference = self.context.models.reference(self.model.id)
        return Outcome(layers, reference, metrics, [*self.held.notes, *notes])

    def _ticking(self, stage: str, pictures: int) -> Any:
        """A tick that also tells how far it is; it is called once for a batch of ten."""
        total, done = max(1, -(-pictures // 10)), 0

        def tick() -> None:
            nonlocal done
            self.context.progress(stage, min(done, total), total)
            done += 1

        return tick


def _plain_seconds(context: Context, model: str, looks: int) -> float:
    """On a machine of speed 1."""
    try:
        resolution = context.models.card(chosen_model(context, model, "regressor")).resolution
    except IntarsiaError:
        resolution = 0  # no such model: the run says so
    return looks * LOOK_S * ((resolution or 64) / 64) ** 2


def _given_parts(picture: Picture, area: Area | None, areas: Sequence[Area]) -> dict[str, Area]:
    """Parts by name; parts of one name are numbered."""
    found: dict[str, Area] = {}
    for item in [*([area] if area is not None else []), *areas]:
        name = item.name or (SELECTION if item is area else "part")
        number, unique = 2, name
        while unique in found:
            unique, number = f"{name} {number}", number + 1
        found[unique] = item
    if len(found) > MOST_PARTS:
        raise InvalidRequest(
            f"{len(found)} parts are too many to compare.",
            value=len(found),
            remedy=f"Give at most {MOST_PARTS}.",
        )
    return found


def _means(moved: Tensor, area: Tensor, known: Tensor) -> tuple[float, float]:
    """The mean deviation inside an area and outside of it, where the picture is known."""
    found = []
    for weight in (area * known, (1 - area) * known):
        found.append(float((moved * weight).sum() / weight.sum().clamp_min(1e-6)))
    return found[0], found[1]


def _table(
    found: Independence, areas: Mapping[str, Tensor], known: Tensor, found_by_itself: bool
) -> list[str]:
    """A line for each part."""
    whole = float(known.sum())
    first = "Parts that move together were found" if found_by_itself else "The parts are compared"
    lines = [f"{first}; independence is 0 for a part that moves nothing else."]
    for name, score in found.scores.items():
        inside, outside = _means(found.variations[name], areas[name], known)
        share = float((areas[name] * known).sum()) / whole
        lines.append(
            f"{name}: {share:.0%} of the picture, independence {score:.3f}, moves {inside:.3f} "
            f"inside and {outside:.3f} outside."
        )
    return lines
