"""One edit at several amounts: the layer that was asked for, and frames to scrub between.

Everything below the first edited level is computed once; see `Generator.frames`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.held_pictures import HeldPicture
from intarsia_daemon.pixels import Layer, Picture
from intarsia_daemon.real_pictures import Blending, ChangedPicture
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.transplants import Transplant

LIMIT_BYTES = 192 << 20
"""All frames of one result together; large pictures get fewer."""
PAINTING = "Painting the change"


@dataclass(frozen=True)
class Edit:
    """What is done to a picture while its model makes it again."""

    maps: ClassMaps | None = None
    class_layers: tuple[str, ...] | None = None
    """Names of the norms that the maps act on; None: all."""
    transplants: tuple[Transplant, ...] = ()


@dataclass(frozen=True)
class EditedLayers:
    """An edit as layers."""

    layer: Layer
    """At the amount that was asked for."""
    frames: list[Layer]
    """At other amounts, for `Outcome.frames`."""
    notes: list[str]


def edited_layers(
    model: LoadedModel,
    held: HeldPicture,
    edit: Edit,
    blending: Blending,
    context: Context,
    *,
    name: str,
    amount: float,
    frames: int,
    index: int = 0,
) -> EditedLayers:
    """Edit a picture.

    Args:
        model: Loaded.
        held: The picture in it.
        edit: What is done.
        blending: Where and how it shows.
        context: The running operation's.
        name: The layer's name.
        amount: How much of the edit, in [0, 1].
        frames: How many amounts from 0 to 1 are computed beside it; below 2 none.
        index: The layer's index in `Outcome.layers`.
    """
    amounts, notes = amounts_beside(amount, frames, blending, held.crop.picture)
    layers = _layers(model, held, edit, blending, context, name, amounts)
    return by_amount(layers, amounts, amount, notes, index=index)


def amounts_beside(
    amount: float, frames: int, blending: Blending, picture: Picture
) -> tuple[list[float], list[str]]:
    """The amounts that are computed: the one that was asked for, and as many as can be kept.

    Args:
        amount: In [0, 1].
        frames: How many amounts from 0 to 1 are wanted beside it; below 2 none.
        blending: Its window is the layers' size.
        picture: Gives their sample type.

    Returns:
        The amounts in rising order, and what the artist should know.
    """
    window = blending.window
    pixels = (window.right - window.left) * (window.bottom - window.top)
    affordable = min(frames, LIMIT_BYTES // (pixels * 4 * picture.array.dtype.itemsize))
    notes = []
    if affordable < frames and frames >= 2:
        told = f"{affordable} steps" if affordable >= 2 else "none"
        notes.append(f"The area is large: the amount has {told} to choose from, not {frames}.")
    steps = np.linspace(0, 1, affordable).tolist() if affordable >= 2 else []
    return sorted({*steps, amount}), notes


def by_amount(
    layers: Sequence[Layer],
    amounts: Sequence[float],
    amount: float,
    notes: list[str],
    *,
    index: int = 0,
) -> EditedLayers:
    """The layer at the amount that was asked for, and the others as its frames.

    Args:
        layers: One for each amount.
        amounts: As `amounts_beside` gave them.
        amount: One of them.
        notes: For the artist.
        index: The layer's index in `Outcome.layers`.
    """
    chosen = list(amounts).index(amount)
    others = [
        replace(layer, amount=step, frame_of=index)
        for step, layer in zip(amounts, layers, strict=True)
        if step != amount
    ]
    return EditedLayers(replace(layers[chosen], amount=amount if others else None), others, notes)


@torch.inference_mode()
def _layers(
    model: LoadedModel,
    held: HeldPicture,
    edit: Edit,
    blending: Blending,
    context: Context,
    name: str,
    amounts: Sequence[float],
) -> list[Layer]:
    changed = ChangedPicture(held.crop, blending, held.reconstruction)
    layers = []
    with context.phase("edit"):
        context.progress(PAINTING, 0, len(amounts))
        pictures = model.generator.frames(
            held.trace,
            [step for step in amounts if step > 0],
            class_weights=edit.maps,
            class_layers=edit.class_layers,
            transplants=edit.transplants,
            tick=context.tick,
        )
        for step in amounts:
            edited = held.reconstruction if step == 0 else next(pictures)
            layers.append(changed.layer(name, edited, tick=context.tick))
            context.progress(PAINTING, len(layers), len(amounts))
    return layers
