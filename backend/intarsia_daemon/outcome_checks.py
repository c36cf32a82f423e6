"""Whether front ends could show what an operation returned."""

from __future__ import annotations

import itertools
from typing import Any

from intarsia_client.errors import InvalidRequest
from intarsia_client.wire import MAX_BUFFERS
from intarsia_daemon.pixels import Layer, Outcome


def check_outcome(name: str, outcome: Outcome) -> None:
    """Refuse what cannot be shown or sent.

    Args:
        name: The operation's.
        outcome: What it returned.

    Raises:
        TypeError: A frame, a mask or a group is not as `Layer` and `Outcome` say: a fault of the
            operation.
        InvalidRequest: There are more layers than one message can carry.
    """
    _check_frames(name, outcome)
    _check_masks(name, outcome)
    _check_groups(name, outcome)
    count = len(outcome.layers) + len(outcome.frames)
    if count > MAX_BUFFERS:
        raise InvalidRequest(
            f"The result has {count} layers and frames; {MAX_BUFFERS} can be sent.",
            value=count,
            remedy="Choose fewer frames or fewer pictures.",
            code="TOO_LARGE",
        )


def _check_frames(name: str, outcome: Outcome) -> None:
    for frame in outcome.frames:
        number, amount = frame.frame_of, frame.amount
        if number is None or not 0 <= number < len(outcome.layers):
            raise TypeError(f"{name}: a frame belongs to layer {number}, which is not there.")
        if amount is None or not 0.0 <= amount <= 1.0:
            raise TypeError(f"{name}: a frame's amount must lie in [0, 1], got {amount}.")
        layer = outcome.layers[number]
        described = [(*_place(x), x.array.shape, x.array.dtype) for x in (frame, layer)]
        if described[0] != described[1]:
            raise TypeError(f"{name}: a frame is {described[0]}, its layer {described[1]}.")


def _check_masks(name: str, outcome: Outcome) -> None:
    masked = set()
    if any(frame.mask_of is not None for frame in outcome.frames):
        raise TypeError(f"{name}: a frame cannot be a mask.")
    for index, item in enumerate(outcome.layers):
        number = item.mask_of
        if number is None:
            continue
        if not 0 <= number < index:
            raise TypeError(f"{name}: layer {index} is a mask of {number}, not of an earlier one.")
        layer = outcome.layers[number]
        if item.array.ndim != 2 or layer.array.ndim != 3:
            raise TypeError(f"{name}: a mask has one channel and its layer four.")
        if _place(item) != _place(layer):
            raise TypeError(f"{name}: a mask lies at {_place(item)}, its layer at {_place(layer)}.")
        if number in masked:
            raise TypeError(f"{name}: layer {number} has two masks.")
        masked.add(number)


def _check_groups(name: str, outcome: Outcome) -> None:
    groups = [layer.group for layer in outcome.layers if layer.mask_of is None]
    ended: set[str] = set()
    for before, group in itertools.pairwise(groups):
        if before != group:
            ended.add(before)
        if group and group in ended:
            raise TypeError(f"{name}: the layers of the group {group!r} do not follow one another.")


def _place(layer: Layer) -> tuple[Any, ...]:
    return layer.x, layer.y, *layer.array.shape[:2]
