"""Make a coherent picture of rough pieces."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from intarsia_client.schema import Choice, ClassName, Input, Option, Scalar
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon.adapted_regressors import AdaptedRegressors, Fitting
from intarsia_daemon.composite_pictures import CompositePicture, Returning, seen_pieces
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, loaded_model
from intarsia_daemon.latent_store import pixels_hash
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
from intarsia_daemon.real_pictures import Crop, whole_crop
from intarsia_daemon.rough_pieces import gathered, small_piece
from intarsia_models.latent_composition.composition import Composite
from intarsia_models.latent_composition.latents import decode, encode
from intarsia_models.latent_composition.regressor import MaskedRegressor

PIECES = Input(
    "pieces",
    "templates",
    "Pieces",
    "A group of layers with rough pieces, each where it belongs; what is left transparent is made "
    "up by the model.",
)
REMEMBERED = 4
"""Backgrounds whose picture by a model is remembered."""
_backgrounds: list[tuple[tuple[str | None, ...], MaskedRegressor | None, Tensor]] = []
KEEP = Input(
    "keep",
    "area",
    "Keep exactly",
    "Where the pieces stay as they are, to the pixel.",
    required=False,
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    return refining_estimate(context, parameters["model"], parameters["refine"])


@operation(
    title="Composite",
    verb="Make one picture of it",
    group="Collages",
    inputs=(PIECES, KEEP),
    parameters=(
        shared.model_parameter("regressor"),
        ClassName(
            "class_name",
            "Shows",
            "What the picture shows; empty: read from the pieces.",
            empty="As read",
        ),
        Choice(
            "classes",
            "Classes",
            "Whether every piece is painted as what it shows itself.",
            (
                Option("by_piece", "Each piece its own", "An orange among apples stays one."),
                Option("one", "One for all", "Everything becomes the same."),
            ),
            default="by_piece",
        ),
        Choice(
            "detail",
            "Detail",
            "What of the pieces themselves is shown.",
            (
                Option(
                    "background",
                    "Background fixed",
                    "As all pieces; a photograph behind also keeps its colours.",
                ),
                Option(
                    "pieces", "All pieces alike", "Colours and light are the model's everywhere."
                ),
                Option("model", "As the model paints", "The model's own pixels, enlarged."),
            ),
            default="background",
        ),
        Scalar(
            "keeps",
            "Pieces keep",
            "What of the pieces is smaller than this share of the collage stays theirs; what is "
            "larger, like colours and light, the model decides. 0: it decides everything it can.",
            0.0,
            50.0,
            5.0,
            unit="%",
            step=0.5,
        ),
        Scalar(
            "softness",
            "Soft seams",
            "How far from seams and holes the pieces' own detail fades out, as a share of the "
            "collage's longer side.",
            0.0,
            25.0,
            2.0,
            unit="%",
            step=0.25,
        ),
        refine_parameter(),
        METHOD,
        shared.ADAPTED,
    ),
    live=True,
    estimate=estimate,
)
def composite(
    pieces: list[Picture],
    keep: Area | None,
    model: str,
    class_name: str,
    classes: str,
    detail: Any,
    keeps: float,
    softness: float,
    refine: int,
    method: Any,
    adapted: str,
    context: Context,
) -> Outcome:
    """Make one coherent picture of rough pieces and the holes between them, in one pass.

    Source: Chai et al. 2021, arXiv:2103.10426, eq. 4; refining as in its table 4.
    """
    with context.phase("prepare"):
        rough = gathered(pieces)
    with contextlib.ExitStack() as holding:
        loaded = holding.enter_context(loaded_model(context, model, capability="regressor"))
        crop = whole_crop(rough.canvas, loaded.generator.resolution)
        fitted = AdaptedRegressors(context, loaded).fitting(rough.pieces, wanted=adapted == "auto")
        with context.phase("find"):
            fitting = holding.enter_context(fitted)
        with context.phase("compose"):
            context.progress("Making one picture of it", 0, 1)
            done = composed(
                loaded,
                rough,
                crop,
                class_name=class_name,
                by_piece=classes == "by_piece",
                regressor=fitting.regressor,
            )
        made = done.composite.picture
        if refine:
            made = refined(
                loaded,
                context,
                done.composite,
                Refining(refine, method),
                name="Composite",
                regressor=fitting.regressor,
            )
        with context.phase("layer"):
            context.tick()
            returning = Returning(detail, keeps / 100, softness / 100)
            shown = CompositePicture(rough, crop, done.composite.collage, returning, keep)
            behind = made  # as it is where it is refined: one pass over the background would differ
            seen = seen_pieces(done.composite.collage)
            if detail == "background" and len(seen) > 1 and not refine:
                behind = _background(loaded, rough.pieces, seen[0], crop, done.composite, fitting)
            layer = shown.layer("Composite", made, behind if detail == "background" else None)
        return Outcome(
            [layer],
            model={**context.models.reference(loaded.id), **fitting.reference},
            metrics=_metrics(done.composite, made),
            notes=[*rough.notes, *fitting.notes, *done.notes],
        )


@torch.inference_mode()
def _background(
    model: LoadedModel,
    pieces: Sequence[Picture],
    number: int,
    crop: Crop,
    done: Composite,
    fitting: Fitting,
) -> Tensor:
    """(1, 3, R, R): what the model makes of the backmost piece alone, read in the same way.

    The newest are remembered: while pieces in front of it move, a background stays.
    """
    back = small_piece(crop, pieces[number])
    y, classes = done.latent.y, done.piece_classes
    if classes is not None:
        y = torch.tensor([classes[number]], device=model.device)
    pixels = pixels_hash(back.colours) + pixels_hash(back.alpha * 2 - 1)
    key = (model.hash, str(model.device), pixels, None if y is None else str(y.tolist()))
    for index, (known, regressor, made) in enumerate(_backgrounds):
        if known == key and regressor is fitting.regressor:
            _backgrounds.append(_backgrounds.pop(index))
            return made
    x, alpha = back.colours.to(model.device), back.alpha.to(model.device)
    latent = encode(model.generator, x, alpha, y, regressor=fitting.regressor)
    made = decode(model.generator, latent).cpu()
    _backgrounds.append((key, fitting.regressor, made))
    del _backgrounds[:-REMEMBERED]
    return made


def _metrics(done: Composite, made: Tensor) -> dict[str, float]:
    """How much is known, and how far the model's picture is from it (masked L1, in [0, 2])."""
    known = done.collage.known
    apart = (made.clamp(-1, 1) - done.collage.image).abs().mean(1, keepdim=True)
    return {
        "known": float(known.mean()),
        "difference": float((apart * known).sum() / known.sum().clamp_min(1e-6)),
    }
