"""Results at other amounts: which frames to show for an amount, and the result as it is then.

A run of an operation with a slider that needs no new run brings frames along: the same layers at
other amounts. Moving the slider shows the nearest one.
"""

from __future__ import annotations

import dataclasses
from typing import Sequence

from intarsia_client.schema import Operation, Result, ResultLayer, Scalar


def scrubbed(operation: Operation) -> Scalar | None:
    """The slider that moves between frames, or None."""
    sliders = [p for p in operation.parameters if isinstance(p, Scalar) and not p.recompute]
    return next((p for p in sliders if p.name == "amount"), sliders[0] if sliders else None)


def layers_at(result: Result, asked: float, amount: float) -> tuple[ResultLayer, ...]:
    """The result's layers as they are at an amount, as near as there are frames.

    Args:
        result: With or without frames.
        asked: The amount that the run was given; what a layer without an amount of its own shows.
        amount: The amount wanted.
    """
    return tuple(
        min(
            [layer, *(f for f in result.frames if f.frame_of == index and _fits(f, layer))],
            key=lambda one: abs((asked if one.amount is None else one.amount) - amount),
        )
        for index, layer in enumerate(result.layers)
    )


def result_at(result: Result, slider: Scalar, asked: float, amount: float) -> Result:
    """The result as if the run had been given another amount; its recipe says which.

    The recipe names the amount of the frame that was nearest, so that a run from it gives what is
    kept.
    """
    layers = layers_at(result, asked, amount)
    changed = [
        new.amount
        for new, old in zip(layers, result.layers)
        if new is not old and new.amount is not None
    ]
    if not changed:
        return result
    parameters = dict(result.recipe.get("parameters") or {}, **{slider.name: changed[0]})
    named = tuple(
        dataclasses.replace(new, name=old.name, frame_of=None)
        for new, old in zip(layers, result.layers)
    )
    recipe = dict(result.recipe, parameters=parameters)
    return dataclasses.replace(result, layers=named, recipe=recipe, frames=())


def only(result: Result, picked: Sequence[bool]) -> Result:
    """The result with some of its layers, and their frames.

    Args:
        result: All of it.
        picked: For each layer whether it stays; a mask stays only where its layer does.
    """
    kept = [index for index, stays in enumerate(picked) if stays]
    places: dict[int | None, int] = {index: place for place, index in enumerate(kept)}
    frames = tuple(
        dataclasses.replace(frame, frame_of=places[frame.frame_of])
        for frame in result.frames
        if frame.frame_of in places
    )
    layers = tuple(
        dataclasses.replace(result.layers[i], mask_of=places.get(result.layers[i].mask_of))
        for i in kept
    )
    return dataclasses.replace(result, layers=layers, frames=frames)


def _fits(frame: ResultLayer, layer: ResultLayer) -> bool:
    """Pixels can only be swapped where rectangle and type are the same."""
    facts = ("x", "y", "width", "height", "channels", "dtype")
    return all(getattr(frame, fact) == getattr(layer, fact) for fact in facts)
