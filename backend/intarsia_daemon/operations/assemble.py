"""Make a whole picture of a few parts, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generated_layers import blank_canvas
from intarsia_daemon.key_patch_models import (
    loaded_patches,
    model_parameter,
    parts_of,
)
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Layer, Outcome, Picture, layer_from_coverage, layer_from_tensors
from intarsia_daemon.real_pictures import Crop
from intarsia_daemon.rough_pieces import RoughPieces, gathered
from intarsia_models.key_patches.model import Assembled
from intarsia_models.key_patches.patches import Degradation

PARTS = Input(
    "parts",
    "templates",
    "Parts",
    "A group of layers with one part each, wherever they lie: the model finds their places.",
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    return Estimate(seconds=1.0, trains=False, text="Done in a moment.")


@operation(
    title="Assemble",
    verb="Make a whole of the parts",
    group="Collages",
    inputs=(PARTS,),
    parameters=(
        model_parameter(),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("both", "Picture and placement", "The placement lies below the picture."),
                Option("picture", "Picture"),
                Option("cut", "Picture with a mask", "Only where the parts went is visible."),
            ),
            default="both",
        ),
        Choice(
            "size",
            "Size",
            "How large the picture is.",
            (
                Option("parts", "As large as the parts", "A square around where they lie."),
                Option("model", "As the model makes it", "In the middle of where they lie."),
            ),
            default="parts",
        ),
        Scalar(
            "shrink",
            "Seen of parts",
            "How much of each part's sides the model sees, about its middle: less leaves more to "
            "be made up.",
            10.0,
            100.0,
            100.0,
            unit="%",
            step=5.0,
            advanced=True,
        ),
        Scalar(
            "noise",
            "Noise on parts",
            "Noise that is added to what the model sees of the parts, its standard deviation as a "
            "share of white.",
            0.0,
            1.0,
            0.0,
            advanced=True,
        ),
    ),
    live=True,
    estimate=estimate,
)
def assemble(
    parts: list[Picture],
    model: str,
    output: str,
    size: str,
    shrink: float,
    noise: float,
    context: Context,
) -> Outcome:
    """Make a whole picture of a few of its parts; the model decides where they go.

    Source: Lee et al. 2018, arXiv:1703.10730. Parts may come from different pictures.
    """
    with context.phase("prepare"):
        rough = gathered(parts)
    with loaded_patches(context, model) as loaded:
        with context.phase("assemble"):
            context.progress("Making a whole of the parts", 0, 1)
            made = loaded.model.assemble(
                parts_of(rough.pieces, loaded),
                seed=context.seed,
                degradation=Degradation(shrink / 100, 2 * noise),
            )
        with context.phase("layer"):
            place = _place(rough, loaded.model.resolution, fill=size == "parts")
            layers, notes = _layers(made, place, output)
        return Outcome(
            layers,
            model=context.models.reference(loaded.id),
            metrics=_metrics(made),
            notes=[*rough.notes, *made.notes, *notes],
        )


def _place(rough: RoughPieces, resolution: int, *, fill: bool) -> Crop:
    """The square that the picture fills, around the middle of the parts."""
    canvas = rough.canvas
    height, width = canvas.array.shape[:2]
    side = max(height, width, resolution) if fill else resolution
    left, top = canvas.x + (width - side) // 2, canvas.y + (height - side) // 2
    square = blank_canvas(side, side, left, top, canvas.array.dtype)
    return Crop(square, 0, 0, side, resolution)


@torch.inference_mode()
def _layers(made: Assembled, place: Crop, output: str) -> tuple[list[Layer], list[str]]:
    """The lowest first, and what is to be told."""
    shown = place.enlarged(made.picture.clamp(-1, 1), place.window)
    picture = layer_from_tensors("Assembled", shown, like=place.picture)
    if output == "picture":
        return [picture], []
    if made.placement is None:
        return [picture], ["The model does not say where the parts went: it has no mask network."]
    coverage = place.enlarged(made.placement, place.window).clamp(0, 1)
    if output == "cut":
        mask = layer_from_coverage("Placement", coverage, like=place.picture)
        return [picture, Layer(mask.name, mask.array, mask.x, mask.y, mask_of=0)], []
    return [
        layer_from_coverage("Placement of the parts", coverage, like=place.picture),
        picture,
    ], []


def _metrics(made: Assembled) -> dict[str, float]:
    """How much of the picture the parts fill, by the model's own mask."""
    if made.placement is None:
        return {}
    return {"placed": float(made.placement.mean())}
