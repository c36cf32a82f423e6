"""Mix two pictures in three ways, beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, ClassName, Input, Option, Scalar, Toggle
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.class_areas import softened
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import class_tensor, find_class, loaded_model
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture
from intarsia_daemon.real_pictures import (
    ChangedPicture,
    blending_of,
    coverage_on,
    visible_part,
    whole_crop,
)
from intarsia_daemon.regressed_pictures import RegressedPicture, regressed
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import decode
from intarsia_models.latent_composition.mixing import (
    blended,
    composed,
    pixel_blend,
)

REFERENCE = Input("reference", "reference", "Other picture", "What is mixed into the picture.")
AREA = Input(
    "area",
    "area",
    "Area",
    "What the composition takes from the other picture; without it there is no composition.",
    required=False,
)
WAYS = {"composition": "Composition", "latent": "Latent mix", "pixels": "Pixel mix"}


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    return Estimate(seconds=1.5, trains=False, text="One look at each picture, no search.")


@operation(
    title="Mix",
    verb="Mix both pictures",
    group="Collages",
    inputs=(shared.PICTURE, REFERENCE, AREA),
    parameters=(
        shared.model_parameter("regressor"),
        Scalar(
            "alpha",
            "Picture's share",
            "How much of the picture stays in the mixes; the rest is the other one's.",
            0.0,
            1.0,
            0.5,
        ),
        Toggle(
            "by_area",
            "Share by area",
            "Where an area is given, the picture's share is what lies outside of it, so that the "
            "mixes can be compared with the composition.",
            True,
        ),
        Choice(
            "output",
            "Gives",
            "What is put into the document.",
            (
                Option("sheet", "Contact sheet", "Both pictures and all mixes, with names."),
                Option("layers", "Single layers", "One layer for each mix, over the picture."),
            ),
            default="sheet",
        ),
        shared.SOFTNESS,
        ClassName(
            "class_name",
            "Shows",
            "What the results show; empty: what is read from them, mixed where both differ.",
            advanced=True,
        ),
    ),
    estimate=estimate,
)
def mix(
    picture: Picture,
    reference: Picture,
    area: Area | None,
    model: str,
    alpha: float,
    by_area: bool,
    output: str,
    softness: float,
    class_name: str,
    context: Context,
) -> Outcome:
    """Mix two pictures as latents, as pixels and as a composition, to compare the three.

    Source: Chai et al. 2021, arXiv:2103.10426, eq. 6-8 and figure 7.
    """
    with loaded_model(context, model, capability="regressor") as loaded:
        generator = loaded.generator
        with context.phase("prepare"):
            seen, other = visible_part(picture), visible_part(reference)
            if _same(seen, other):
                raise InvalidRequest(
                    "The picture and the other picture are the same.",
                    value=[picture.name, reference.name],
                    remedy="Choose another picture to mix in.",
                )
            coverage = None if area is None else coverage_on(seen, area)
        with context.phase("read"):
            context.progress("Looking at the pictures", 0, 2)
            both = [
                regressed(
                    loaded,
                    context,
                    whole_crop(item, generator.resolution),
                    source_class=class_name,
                    read=True,
                )
                for item in (seen, other)
            ]
        y = class_tensor(loaded, find_class(loaded, class_name)) if class_name else None
        small = None
        if coverage is not None:
            small = softened(both[0].crop, coverage, softness).to(context.device) * both[0].known
            alpha = share_outside(small, both[0].known) if by_area else alpha
        with context.phase("mix"):
            context.progress("Mixing", 1, 2)
            made = _mixed(generator, both, alpha, small, y)
        with context.phase("layer"):
            names = [
                item.name or word for item, word in ((picture, "picture"), (reference, "other"))
            ]
            layers = (
                [_sheet(both, made, names, alpha)]
                if output == "sheet"
                else _over(both[0], made, names)
            )
        return Outcome(
            layers,
            model=context.models.reference(loaded.id),
            metrics={"alpha": alpha},
            notes=[note for item in both for note in item.notes],
        )


def share_outside(area: Tensor, known: Tensor) -> float:
    """How much of what is known of the picture lies outside an area: the blends' alpha in the
    paper's comparison."""
    return 1.0 - float(area.sum() / known.sum())


@torch.inference_mode()
def _mixed(
    generator: Generator,
    both: list[RegressedPicture],
    alpha: float,
    area: Tensor | None,
    y: Tensor | None,
) -> dict[str, Tensor]:
    """(1, 3, R, R) by way, of `WAYS`."""
    one, other = both
    made = {}
    if area is not None:
        known = torch.lerp(one.known, other.known, area)
        made["composition"] = composed(generator, one.image, other.image, area, known=known, y=y)
    step = torch.tensor([alpha], device=one.image.device)
    latent = blended(one.latent, other.latent, step, num_classes=generator.num_classes)
    made["latent"] = decode(generator, latent)
    made["pixels"] = pixel_blend(generator, one.image, other.image, alpha, y=y)
    return made


def _sheet(
    both: list[RegressedPicture], made: Mapping[str, Tensor], names: list[str], alpha: float
) -> Layer:
    """Both pictures, what the model makes of each, and every mix."""
    pictures = [item.image.clamp(-1, 1) for item in both]
    pictures += [item.reconstruction.clamp(-1, 1) for item in both]
    captions = [*names, *(f"Model's {name}" for name in names)]
    for way, picture in made.items():
        pictures.append(picture.clamp(-1, 1))
        share = "" if way == "composition" else f", {alpha:.0%}"
        captions.append(WAYS[way] + share)
    corner = both[0].crop.picture
    return contact_sheet(
        f"{names[0]} mixed with {names[1]}", pictures, captions, x=corner.x, y=corner.y
    )


def _over(one: RegressedPicture, made: Mapping[str, Tensor], names: list[str]) -> list[Layer]:
    """Every mix over the whole picture, in the model's own pixels: a mix has no finer detail of
    one picture alone."""
    blending = blending_of(one.crop, None, softness=0.0, edge="soft", detail="model")
    changed = ChangedPicture(one.crop, blending, one.reconstruction)
    return [
        changed.layer(f"{WAYS[way]} of {names[0]} and {names[1]}"[:120], picture)
        for way, picture in made.items()
    ]


def _same(one: Picture, other: Picture) -> bool:
    return one.array.shape == other.array.shape and np.array_equal(one.array, other.array)
