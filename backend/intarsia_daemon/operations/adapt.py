"""Fit a model to one picture, for all later edits of that picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.schema import ClassName, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.adapted_regressors import AdaptedRegressors
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import loaded_model
from intarsia_daemon.held_pictures import StepReporter, plain_seconds
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_refinement import steps_estimate
from intarsia_daemon.pixels import Outcome, Picture
from intarsia_daemon.placed_areas import Placing
from intarsia_daemon.real_pictures import ChangedPicture, visible_part, whole_crop
from intarsia_daemon.regressed_pictures import regressed
from intarsia_models.latent_composition import adaptation

SPEED = "adaptation"
"""Under which the machine learns how fast it adapts."""
ADAPTING = "Adapting the model to the picture"
STEP_COST = 3.0
"""What a step costs, beside one of a search for a picture."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    steps = STEP_COST * parameters["steps"]
    text = "Once per picture; later edits of it take one pass."
    return steps_estimate(context, parameters["model"], steps, SPEED, text)


@operation(
    title="Adapt to a picture",
    verb="Adapt the model",
    group="Collages",
    inputs=(shared.PICTURE,),
    parameters=(
        shared.model_parameter("regressor"),
        ClassName("class_name", "Shows", "What the picture shows; empty: read.", empty="As read"),
        Whole(
            "steps",
            "Steps",
            "How long the model is fitted to the picture.",
            1,
            1000,
            adaptation.STEPS,
        ),
    ),
    estimate=estimate,
)
def adapt(picture: Picture, model: str, class_name: str, steps: int, context: Context) -> Outcome:
    """Fit a model to one picture, so that later collages and edits with it stay closer to it.

    What is fitted is kept and found again by the picture's pixels; the layer shows the picture as
    the model holds it now. Source: Chai et al. 2021, arXiv:2103.10426, appendix A.2.4.
    """
    with loaded_model(context, model, capability="regressor") as loaded:
        seen = visible_part(picture)
        crop = whole_crop(seen, loaded.generator.resolution)
        held = regressed(loaded, context, crop, source_class=class_name, read=True)
        began = context.clock()
        with context.phase("adapt"):
            context.progress(ADAPTING, 0, steps)
            fitted = adaptation.adapt(
                loaded.generator,
                held.image,
                known=held.known,
                y=held.latent.y,
                steps=steps,
                seed=context.seed,
                on_step=StepReporter(context, ADAPTING, picture.name),
                tick=context.tick,
            )
        plain = plain_seconds(loaded.generator.resolution, round(STEP_COST * steps))
        context.machine.learn(SPEED, plain, context.clock() - began)
        name = AdaptedRegressors(context, loaded).keep(picture, fitted)
        with context.phase("layer"), torch.inference_mode():
            blending = Placing(detail="model").blending(crop, None)
            shown = ChangedPicture(crop, blending, held.reconstruction).layer(
                f"{picture.name} as the model holds it".strip(), fitted.after_picture
            )
        return Outcome(
            [shown],
            model={**context.models.reference(loaded.id), "adapted": name},
            metrics={"before": fitted.before, "after": fitted.after},
            notes=[*held.notes, _note(fitted)],
        )


def _note(fitted: adaptation.Adapted) -> str:
    if fitted.after >= fitted.before:
        return "The model already held the picture as well as it can; nothing was changed."
    closer = 1 - fitted.after / fitted.before
    return (
        f"The model holds the picture {closer:.0%} more closely now; "
        "edits of this picture use that from now on."
    )
