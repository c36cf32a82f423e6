"""Operations on one small picture whose model is learnt in a second, run directly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from operation_runs import direct_context, painting, run_directly

from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Outcome, Picture

HEIGHT, WIDTH = 36, 48


def learnt_picture(dtype: str = "u8", **more: Any) -> Picture:
    """The picture that tests learn."""
    return painting(HEIGHT, WIDTH, dtype=dtype, **more)


def moved_piece(picture: Picture) -> Picture:
    """A square of the picture, cloned ten pixels to the right."""
    full = 1.0 if picture.array.dtype.kind == "f" else np.iinfo(picture.array.dtype).max
    piece = picture.array[8:20, 6:18].copy()
    piece[..., 3] = full
    return Picture(piece, picture.x + 24, picture.y + 10, "Piece")


def inputs_of(operation: str, picture: Picture) -> dict[str, Any]:
    """What an operation that learns this picture is given."""
    if operation == "retouch":
        return {"picture": picture, "element": moved_piece(picture)}
    if operation == "repaint":
        return {"picture": sketch(picture), "reference": picture}
    return {"picture": picture}


def sketch(like: Picture) -> Picture:
    """Two flat areas of the picture's colours, in another shape."""
    array = np.empty((40, 30, 4), like.array.dtype)
    array[:20], array[20:] = like.array[2, 2], like.array[-3, -3]
    return Picture(array, 100, 50, "Sketch")


def learn_and_run(
    home: Path,
    operation: str,
    picture: Picture | None = None,
    *,
    seed: int = 0,
    area: Any = None,
    **parameters: Any,
) -> tuple[Outcome, Context]:
    """Run in the training lane, with the context that was used."""
    context = direct_context(home, lane="training", seed=seed)
    inputs = inputs_of(operation, picture or learnt_picture())
    if area is not None:
        inputs["area"] = area
    return run_directly(context, operation, inputs, **parameters), context


def sizes_of(outcome: Outcome) -> list[tuple[int, int]]:
    """(width, height) of every layer."""
    return [(layer.array.shape[1], layer.array.shape[0]) for layer in outcome.layers]


def pasted_over(picture: Picture, piece: Picture) -> np.ndarray:
    """The picture's samples with the piece laid over it."""
    array = picture.array.copy()
    top, left = piece.y - picture.y, piece.x - picture.x
    array[top : top + piece.array.shape[0], left : left + piece.array.shape[1]] = piece.array
    return array
