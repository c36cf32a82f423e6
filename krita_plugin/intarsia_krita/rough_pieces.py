"""Rough pieces: the layers of a group, or those selected together, from the back to the front.

An operation that makes something of several pictures, and edits none, is about the active group:
each of its layers that show is a piece, at its own place. Without a group the layers that are
selected together are the pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from krita import Krita

from intarsia_client.schema import Input, Operation
from intarsia_krita.layer_tree import (
    LAYER_TYPES,
    find_node,
    is_shown,
    layers_of,
    node_id,
    same_node,
    way_up,
)
from intarsia_krita.texts import quoted, tr
from intarsia_krita.wire_pixels import Rectangle, crop, rectangle, refuse


@dataclass(frozen=True)
class Piece:
    """One picture of several."""

    nodes: tuple[Any, ...]
    """The layer, and above it those that inherit its alpha: they show only on it."""
    bounds: Rectangle

    @property
    def name(self) -> str:
        """What the artist calls it."""
        return str(self.nodes[0].name())


def pieces_input(operation: Operation) -> Input | None:
    """The input that the active group is read for; None for an operation that edits a picture."""
    if any(i.required and i.role in ("picture", "element") for i in operation.inputs):
        return None
    return next((i for i in operation.inputs if i.role == "templates"), None)


def roots_of(
    document: Any, wanted: Input, active: Any | None, picked: Sequence[str] | None = None
) -> list[Any]:
    """What the pieces are looked for in: one group, or the layers themselves.

    Args:
        document: The open picture.
        wanted: The operation's `pieces_input`.
        active: The active layer, or None.
        picked: Ids of what was chosen; None: the active group, or the layers selected together.

    Raises:
        InvalidRequest: What was chosen is gone; or nothing was and it is needed.
    """
    if picked is not None:
        return [_found(document, wanted, one) for one in picked]
    if active is not None and active.type() == "grouplayer":
        return [active]
    selected = selected_layers(document)
    if len(selected) > 1:
        return selected
    if wanted.required:
        raise refuse(
            tr("The active layer is no group."),
            tr(
                "Choose the group that holds the pieces, each on a layer of its own, or select "
                "several layers together."
            ),
        )
    return []


def pieces_of(document: Any, roots: Sequence[Any], size: tuple[int, int]) -> list[Piece]:
    """The pieces that show something inside the picture, from the back to the front.

    A plain layer is whole even where it reaches beyond the canvas; what has masks or must be
    composed is not, since Krita does that on the canvas only.

    Args:
        document: The open picture.
        roots: From `roots_of`: a single group stands for its layers, each with what is in it.
        size: Width and height of the canvas.

    Raises:
        InvalidRequest: There are roots, but nothing of them shows.
    """
    if not roots:
        return []
    alone = roots[0] if len(roots) == 1 and roots[0].type() == "grouplayer" else None
    layers = alone.childNodes() if alone is not None else roots
    runs: list[list[Any]] = []
    for node in layers:
        if node.type() not in LAYER_TYPES or not is_shown(document, node):
            continue
        if runs and node.inheritAlpha() and _are_neighbours(runs[-1][0], node):
            runs[-1].append(node)
        else:
            runs.append([node])
    found = []
    for run in runs:
        whole = rectangle(run[0].bounds())
        inside = crop(whole, size)
        if inside is not None:
            found.append(Piece(tuple(run), whole if _is_plain(run) else inside))
    if not found and alone is not None:
        raise refuse(
            tr("Nothing shows in the group %s.", quoted(alone.name())),
            tr("Show at least one layer in it that has something on it, and the group itself."),
        )
    if not found:
        raise refuse(
            tr("Nothing shows of the selected layers."),
            tr("Show at least one of them that has something on it."),
        )
    return found


def selected_layers(document: Any) -> list[Any]:
    """The layers selected together in the list of layers, the lowest first.

    What lies in a group that is selected as well belongs to the group.
    """
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if view is None or not same_node(view.document().rootNode(), document.rootNode()):
        return []
    chosen = {node_id(node) for node in view.selectedNodes()}
    return [
        node
        for node in layers_of(document)
        if node_id(node) in chosen
        and node.type() in LAYER_TYPES
        and not any(node_id(parent) in chosen for parent, _ in way_up(document, node))
    ]


def _is_plain(run: Sequence[Any]) -> bool:
    """Whether a piece is nothing but its layer's own pixels."""
    (node, *others) = run
    plain = node.type() == "paintlayer" and not node.childNodes() and not node.layerStyleToAsl()
    return plain and not others


def _are_neighbours(one: Any, other: Any) -> bool:
    return same_node(one.parentNode(), other.parentNode())


def _found(document: Any, wanted: Input, picked: str) -> Any:
    node = find_node(document, picked)
    if node is None:
        raise refuse(
            tr("The layer chosen as %s is gone.", quoted(wanted.label)), tr("Choose another one.")
        )
    return node
