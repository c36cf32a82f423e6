"""Fill in what is missing in a picture, inside of it or around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia_client.schema import Choice, ClassName, Input, Option, Scalar, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.adapted_regressors import AdaptedRegressors
from intarsia_daemon.completed_pictures import incomplete
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import loaded_model
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_refinement import (
    METHOD,
    Refining,
    refine_parameter,
    refined,
    refining_estimate,
)
from intarsia_daemon.piece_classes import composed
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.rough_pieces import gathered

PICTURE = Input(
    "picture",
    "picture",
    "Picture",
    "What something is missing in; its transparent places are unknown.",
)
AREA = Input(
    "area",
    "area",
    "Area",
    "What is made anew, also beyond the picture's edge; without it what is transparent.",
    required=False,
)
VARIANTS = 8


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    steps = parameters["refine"] * parameters["variants"]
    return refining_estimate(context, parameters["model"], steps)


@operation(
    title="Complete",
    verb="Fill in what is missing",
    group="Collages",
    inputs=(PICTURE, AREA),
    parameters=(
        shared.model_parameter("regressor"),
        ClassName("class_name", "Shows", "What the picture shows; empty: read.", empty="As read"),
        Whole("variants", "Variants", "How many completions are made.", 1, VARIANTS, 1),
        refine_parameter(),
        Scalar(
            "variety",
            "Variety",
            "How much several completions differ; a single one is the likeliest.",
            0.0,
            2.0,
            0.5,
        ),
        Scalar(
            "margin",
            "Margin",
            "What is added on every side, as a share of the picture's longer side.",
            0.0,
            100.0,
            0.0,
            unit="%",
        ),
        Choice(
            "edge",
            "Edge",
            "How the new meets the old.",
            (
                Option("poisson", "Seamless", "Colours and light flow in from around (Poisson)."),
                Option("model", "As the model paints", "The model's own pixels."),
            ),
            default="poisson",
        ),
        shared.CROP,
        shared.SURROUNDINGS,
        METHOD,
        shared.ADAPTED,
    ),
    estimate=estimate,
)
def complete(
    picture: Picture,
    area: Area | None,
    model: str,
    class_name: str,
    variants: int,
    refine: int,
    variety: float,
    margin: float,
    edge: Any,
    crop: str,
    surroundings: float,
    method: Any,
    adapted: str,
    context: Context,
) -> Outcome:
    """Fill in what is missing in a picture, inside of it or around it, in several ways.

    What is known stays, to the pixel. Source: Chai et al. 2021, arXiv:2103.10426, section 3.2.
    """
    with loaded_model(context, model, capability="regressor") as loaded:
        with context.phase("prepare"):
            gap = incomplete(picture, area, margin / 100)
            around = None if crop == "whole" else surroundings
            square = gap.crop(loaded.generator.resolution, surroundings=around)
            rough = gathered([gap.piece()])
        fitted = AdaptedRegressors(context, loaded).fitting([picture], wanted=adapted == "auto")
        with fitted as fitting:
            with context.phase("compose"):
                context.progress("Looking at what is known", 0, 1)
                done = composed(
                    loaded,
                    rough,
                    square,
                    class_name=class_name,
                    by_piece=False,
                    regressor=fitting.regressor,
                )
            made = done.composite.picture
            count = variants if variety else 1
            if refine or count > 1:
                made = refined(
                    loaded,
                    context,
                    done.composite,
                    Refining(refine, method, variety if count > 1 else 0.0),
                    name=picture.name,
                    seeds=range(context.seed, context.seed + count),
                    regressor=fitting.regressor,
                )
        layers = []
        with context.phase("layer"):
            for number, filled in enumerate(made.split(1), 1):
                context.progress("Fitting it in", number - 1, count)
                name = _name(picture, number if count > 1 else 0)
                layers.append(gap.layer(name, square, filled, edge, context.tick))
        return Outcome(
            layers,
            model={**context.models.reference(loaded.id), **fitting.reference},
            metrics={"known": float(done.composite.collage.known.mean())},
            notes=[*fitting.notes, *done.notes, *_too_few(variants, count)],
        )


def _name(picture: Picture, number: int) -> str:
    name = f"{picture.name} completed".strip()
    return f"{name} {number}" if number else name


def _too_few(wanted: int, made: int) -> list[str]:
    if made >= wanted:
        return []
    return ["Without variety all completions would be the same: one was made."]
