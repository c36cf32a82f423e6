"""The layers of a group, or of a whole document, as the loose pieces of a collage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.documents.compositing import apply_layer_mask, render
from intarsia_daemon.documents.document import Document, Layer


@dataclass(frozen=True)
class Piece:
    """One layer, or one group drawn as a whole, with its own rectangle on the canvas."""

    layer: Layer
    array: np.ndarray
    """(H, W, 4) straight alpha in the document's colour space; the opacity is in the alpha."""
    x: int
    y: int
    notes: list[str] = field(default_factory=list)


def pieces_of(document: Document, group: Layer | None) -> list[Piece]:
    """The visible layers directly in a group (None: of the document), back to front.

    A group among them is one piece, as drawn on the canvas; so is a layer with the layers that
    are clipped to it. The group's own opacity is left out, its layer mask counts.

    Raises:
        InvalidRequest: Nothing in it is visible, or a layer has no pixels of its own.
    """
    layers = document.layers if group is None else group.children or []
    found = []
    for stack in _stacks(layers):
        if stack[-1].visible:
            piece = _piece(document, group, stack)
            found += [piece] if piece is not None else []
    if not found:
        where = "The document" if group is None else f"The group {group.name!r}"
        raise InvalidRequest(
            f"{where} has no visible layer that could be a piece.",
            value=None if group is None else group.name,
            remedy="Show at least one of its layers, or name another group.",
        )
    return found


def piece_of(document: Document, layer: Layer) -> Piece:
    """One layer as a piece, whether or not it is visible, without what is clipped to it.

    Raises:
        InvalidRequest: It has no pixels of its own, or none on the canvas.
    """
    piece = _piece(document, None, [replace(layer, visible=True)])
    if piece is None:
        raise InvalidRequest(
            f"The group {layer.name!r} shows nothing on the canvas.",
            value=layer.name,
            remedy="Show at least one of its layers, or name another layer.",
        )
    return replace(piece, layer=layer)


def groups_told(document: Document) -> str:
    """The groups there are, for a sentence; without any, the layers."""
    paths = dict(document.walk())
    groups = [path for path, layer in paths.items() if layer.is_group]
    if groups:
        return f"The groups are: {', '.join(groups)}."
    return f"It has no groups; its layers are: {', '.join(paths) or 'none'}."


def _stacks(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers, each last in a list (top first) with those clipped to it; the lists back to front."""
    stacks: list[list[Layer]] = []
    for layer in reversed(layers):
        if layer.clip == "base" and stacks:
            stacks[-1].insert(0, layer)
        else:
            stacks.append([layer])
    return stacks


def _piece(document: Document, group: Layer | None, stack: Sequence[Layer]) -> Piece | None:
    """A layer with what is clipped to it; None for a group that shows nothing on the canvas."""
    layer, notes = stack[-1], []
    notes += [
        f"{item.name!r} is {item.foreign}; its plain pixels are used."
        for item in [layer, *_shown(layer.children or [])]
        if item.foreign
    ]
    if layer.clip == "below":
        notes.append(f"{layer.name!r} is read whole, not only where something lies below it.")
    box = _box(document, layer)
    if box is None:
        return None
    hidden = group is not None and group.layer_mask is not None
    if layer.array is not None and len(stack) == 1 and not hidden:
        array = apply_layer_mask(layer)
        if layer.opacity < 1:
            array, alpha = array.copy(), array[..., 3] * layer.opacity
            array[..., 3] = alpha if array.dtype == np.float32 else np.rint(alpha)
        return Piece(layer, array, layer.x, layer.y, notes)
    drawn = [*stack[:-1], replace(layer, blend="normal", clip="")]
    if group is not None:
        whole = {"opacity": 1.0, "visible": True, "blend": "normal", "clip": ""}
        drawn = [replace(group, children=drawn, pass_through=False, **whole)]
    return Piece(layer, render(drawn, *box), box[0], box[1], notes)


def _box(document: Document, layer: Layer) -> tuple[int, int, int, int] | None:
    """A layer's rectangle (x, y, width, height); of a group, what its layers take of the canvas.

    Raises:
        InvalidRequest: It has no pixels of its own.
    """
    if layer.children is None:
        if layer.array is None:
            raise InvalidRequest(
                f"{layer.name!r} is {layer.foreign}, which has no pixels of its own.",
                value=layer.name,
                remedy="Convert it to a paint layer in the program that wrote it, or hide it.",
            )
        return layer.x, layer.y, layer.array.shape[1], layer.array.shape[0]
    boxes = [
        (item.x, item.y, item.x + item.array.shape[1], item.y + item.array.shape[0])
        for item in _shown(layer.children)
        if item.array is not None
    ]
    left = max(0, min((box[0] for box in boxes), default=0))
    top = max(0, min((box[1] for box in boxes), default=0))
    right = min(document.width, max((box[2] for box in boxes), default=0))
    bottom = min(document.height, max((box[3] for box in boxes), default=0))
    if left >= right or top >= bottom:
        return None
    return left, top, right - left, bottom - top


def _shown(layers: Sequence[Layer]) -> list[Layer]:
    """Every layer that is drawn, with those in groups."""
    found: list[Layer] = []
    for layer in layers:
        if layer.visible:
            found += [layer] if layer.children is None else _shown(layer.children)
    return found
