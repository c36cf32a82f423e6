"""Show what a model holds of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from intarsia_client.schema import ClassName, Scalar
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import loaded_model
from intarsia_daemon.held_pictures import Holder, Projecting, projecting_estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.placed_areas import Placing, hold_placed
from intarsia_daemon.real_pictures import ChangedPicture, coverage_on, visible_part


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run on a picture that is not known yet."""
    return projecting_estimate(context, parameters["model"], parameters["steps"], 1)


@operation(
    title="Reconstruct",
    verb="Show what the model holds",
    group="Look closer",
    inputs=(shared.PICTURE, shared.AREA),
    parameters=(
        shared.model_parameter(),
        ClassName("class_name", "Shows", "What the picture shows; empty: found by itself."),
        replace(shared.STEPS, advanced=False),
        shared.SPACE,
        shared.START,
        Scalar(
            "pixel_weight",
            "Pixel weight",
            "How much single pixels count beside what the picture shows.",
            0.0,
            10.0,
            0.2,
            advanced=True,
        ),
        shared.CROP,
        shared.SURROUNDINGS,
    ),
    estimate=estimate,
)
def project(
    picture: Picture,
    area: Area | None,
    model: str,
    class_name: str,
    steps: int,
    space: Any,
    start: Any,
    pixel_weight: float,
    crop: str,
    surroundings: float,
    context: Context,
) -> Outcome:
    """Find a picture in a model, and show how much of it the model holds before anything is edited.

    What is found is kept: Relabel and Transplant with the same settings begin from it at once.
    Source: Suzuki et al. 2018, arXiv:1811.10153, section 3.3 and eq. 4.
    """
    placing = Placing(detail="model", crop=crop, surroundings=surroundings)
    with loaded_model(context, model) as loaded:
        seen = visible_part(picture)
        coverage = None if area is None else coverage_on(seen, area)
        projecting = Projecting(steps, space, start, pixel_weight)
        holder = Holder(loaded, context, projecting, source_class=class_name)
        held = hold_placed(holder, seen, coverage, placing, loaded.generator.resolution)
        with context.phase("layer"), torch.inference_mode():
            shown = ChangedPicture(
                held.crop, placing.blending(held.crop, None), held.reconstruction
            ).layer(f"{picture.name} reconstruction".strip(), held.reconstruction)
        difference = held.reconstruction.cpu() - held.crop.target()
        return Outcome(
            [shown],
            model=shared.model_reference(context, loaded, held),
            metrics={"fit": held.fit, "rmse": float(difference.square().mean().sqrt())},
            notes=_notes(held.latent.generated, held.notes),
        )


def _notes(generated: bool, notes: tuple[str, ...]) -> list[str]:
    if generated:
        return ["The model made this picture; it comes back exactly."]
    return list(notes)
