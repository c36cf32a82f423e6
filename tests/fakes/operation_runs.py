"""Running an operation in the test's own process, without an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from intarsia_daemon.context import Context
from intarsia_daemon.machine import Machine
from intarsia_daemon.messages import Lane
from intarsia_daemon.model_cache import ModelCache
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.operation import find_operation
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture


def direct_context(
    home: Path, *, seed: int = 0, lane: Lane = "edit", send: Callable[..., None] | None = None
) -> Context:
    """What an engine with that home would hand to an operation, on the CPU."""
    folder = home / "job"
    folder.mkdir(parents=True, exist_ok=True)
    return Context(
        seed=seed,
        device="cpu",
        lane=lane,
        folder=folder,
        models=ModelStore(home / "models"),
        cache=ModelCache(1 << 30),
        machine=Machine(home / "machine.json"),
        send=send or (lambda message: None),
    )


def run_directly(
    context: Context, operation: str, inputs: dict[str, Any] | None = None, **parameters: Any
) -> Outcome:
    """Run an operation with defaults for what is not given.

    Args:
        context: Of `direct_context`.
        operation: Its id.
        inputs: Picture or area by name; a list where several may be given.
        parameters: Values by name, checked as a request's are.
    """
    found = find_operation(operation)
    given = inputs or {}
    names = []
    arguments: dict[str, Any] = {}
    for wanted in found.declaration.inputs:
        value = given.get(wanted.name, [] if wanted.several else None)
        arguments[wanted.name] = value
        names += [wanted.name] * (len(value) if wanted.several else value is not None)
    assert set(given) <= set(arguments), f"{operation} has no input {set(given) - set(arguments)}"
    values = found.declaration.check(names, parameters)
    return found.run(**arguments, **values, context=context)


def painting(
    height: int = 48, width: int = 48, *, x: int = 0, y: int = 0, dtype: str = "u8", seed: int = 3
) -> Picture:
    """Soft blobs of colour with grain, opaque."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    rgb = np.zeros((height, width, 3))
    for _ in range(4):
        centre, colour = random.random(2), random.random(3)
        near = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 0.06)
        rgb = rgb * (1 - near[..., None]) + colour * near[..., None]
    rgb = (rgb + random.normal(0, 0.02, rgb.shape)).clip(0, 1)
    full, kind = {"u8": (255, "u1"), "u16": (65535, "<u2"), "f32": (1.0, "<f4")}[dtype]
    array = np.full((height, width, 4), full, kind)
    array[..., :3] = rgb if dtype == "f32" else (rgb * full).round()
    return Picture(array, x, y, "Painting")


def as_picture(layer: Layer) -> Picture:
    """A result layer sent back, as an editor does."""
    return Picture(layer.array.copy(), layer.x, layer.y, layer.name)


def box_area(
    picture: Picture, left: int, top: int, right: int, bottom: int, name: str = ""
) -> Area:
    """A rectangle of full coverage, in the picture's own coordinates."""
    height, width = bottom - top, right - left
    return Area(np.full((height, width), 255, np.uint8), picture.x + left, picture.y + top, name)


def shown(picture: Picture, layer: Layer) -> np.ndarray:
    """(H, W, 3) float in [0, 1]: the layer over the picture, on the picture's rectangle."""
    unsigned = picture.array.dtype.kind == "u"
    full = float(np.iinfo(picture.array.dtype).max) if unsigned else 1.0
    result = picture.array[..., :3].astype(np.float64) / full
    height, width = result.shape[:2]
    for row in range(layer.array.shape[0]):
        y = row + layer.y - picture.y
        if not 0 <= y < height:
            continue
        left = layer.x - picture.x
        first, last = max(0, left), min(width, left + layer.array.shape[1])
        if first >= last:
            continue
        part = layer.array[row, first - left : last - left].astype(np.float64) / full
        alpha = part[:, 3:]
        result[y, first:last] = (1 - alpha) * result[y, first:last] + alpha * part[:, :3]
    return result
