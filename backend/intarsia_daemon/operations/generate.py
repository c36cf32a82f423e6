"""Let a model make new pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia_client.schema import Choice, ClassName, Input, Option, Scalar, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generated_layers import generated_layer, generated_place, made_from
from intarsia_daemon.generator_models import LoadedModel, find_class, loaded_model
from intarsia_daemon.latent_samples import MOST, sampled
from intarsia_daemon.latent_store import Latent
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Layer, Outcome, Picture


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    count = 1 if parameters["layout"] == "one" else parameters["count"]
    return Estimate(seconds=1.0 + 0.3 * count, trains=False, text="Done in a moment.")


@operation(
    title="Generate",
    verb="Make new pictures",
    group="New pictures",
    inputs=(
        Input(
            "picture",
            "picture",
            "Canvas",
            "Gives the place and the sample type of the new layers; its pixels are not read.",
            required=False,
        ),
    ),
    parameters=(
        shared.model_parameter(),
        ClassName(
            "class_name", "Shows", "What the pictures show; empty: anything.", empty="Anything"
        ),
        Whole(
            "count",
            "Pictures",
            "How many are made from this seed.",
            1,
            MOST,
            4,
            only_with="layout=layers,grid,both",
        ),
        Choice(
            "layout",
            "Gives",
            "What is put into the document.",
            (
                Option("layers", "Single layers", "One layer for each picture."),
                Option("grid", "Sheet to choose from", "All on one layer, with numbers."),
                Option("both", "Both", "The sheet above the single layers."),
                Option("one", "One picture", "The one of the number below."),
            ),
            default="layers",
        ),
        Whole("number", "Number", "Which one of the sheet.", 1, MOST, 1, only_with="layout=one"),
        Scalar(
            "truncation",
            "Variety",
            "1: everything the model can make; less: more typical pictures.",
            0.0,
            1.0,
            1.0,
        ),
        Choice(
            "size",
            "Size",
            "How large the pictures are.",
            (
                Option("model", "As the model makes them"),
                Option("canvas", "As large as the canvas"),
            ),
            default="model",
        ),
    ),
    estimate=estimate,
)
def generate(
    picture: Picture | None,
    model: str,
    class_name: str,
    count: int,
    layout: str,
    number: int,
    truncation: float,
    size: str,
    context: Context,
) -> Outcome:
    """Let a model make new pictures, as layers that Relabel and Transplant edit without a search.

    The same seed and number give the same picture, however many are made.
    """
    with loaded_model(context, model) as loaded:
        wanted = find_class(loaded, class_name) if class_name else None
        latents = sampled(loaded, context.seed, wanted, truncation)
        numbers = [number] if layout == "one" else list(range(1, count + 1))
        place = generated_place(loaded, picture, enlarge=size == "canvas")
        layers: list[Layer] = []
        keys, pictures, captions = [], [], []
        with context.phase("generate"):
            for done, index in enumerate(numbers):
                context.progress("Painting", done, len(numbers))
                latent = latents[index - 1]
                made = made_from(loaded, latent)
                caption = _caption(loaded, latent, index)
                pictures.append(made)
                captions.append(caption)
                if layout != "grid":
                    layer, key = generated_layer(loaded, context, caption, made, latent, place)
                    layers.append(layer)
                    keys.append(key)
        if layout in ("grid", "both"):
            corner = (0, 0) if picture is None else (picture.x, picture.y)
            sheet = contact_sheet(
                f"Sheet, seed {context.seed}", pictures, captions, x=corner[0], y=corner[1]
            )
            layers.append(sheet)
        reference = {**context.models.reference(loaded.id), "latents": keys}
        return Outcome(layers, model=reference)


def _caption(model: LoadedModel, latent: Latent, number: int) -> str:
    label = "" if latent.y is None else model.generator.label_of(int(latent.y))
    return f"{number} {label}".strip()
