"""Colour labels of layers: their names and colours, and which layers of a document carry one."""

from __future__ import annotations

from typing import Any, Collection

from intarsia_client.schema import COLOR_LABELS
from intarsia_krita.layer_tree import is_shown, layers_of, node_id, same_node, way_up
from intarsia_krita.texts import tr

COLORS = {
    "blue": "#5badda",
    "green": "#97ca3f",
    "yellow": "#f7e53d",
    "orange": "#ffaa3f",
    "brown": "#b1663f",
    "red": "#ee3233",
    "purple": "#bf6ad1",
    "grey": "#767772",
}
"""As Krita draws them in its list of layers."""


def label_of(node: Any) -> str:
    """The name of a layer's colour label; empty without one."""
    number = node.colorLabel()
    return COLOR_LABELS[number - 1] if 1 <= number <= len(COLOR_LABELS) else ""


def shown_name(label: str) -> str:
    """The label's name as a word of the panel."""
    return tr(label.capitalize())


def labelled_layers(
    document: Any, picture: Any | None, others: Collection[str] = ()
) -> dict[str, list[Any]]:
    """The layers that mark areas: all that show and have a label, by it, in the labels' order.

    Args:
        document: Where.
        picture: The layer that is edited. It, the groups around it and what is in it mark nothing.
        others: Ids of layers that are read as something else.
    """
    taken: dict[str, list[Any]] = {}
    for node in layers_of(document):
        label = label_of(node)
        if not label or node_id(node) in others or not is_shown(document, node):
            continue
        if not _belongs_together(document, node, picture):
            around = [parent for parent, _ in way_up(document, node)]
            if not any(same_node(p, n) for p in around for n in taken.get(label, ())):
                taken.setdefault(label, []).append(node)
    return {label: taken[label] for label in COLOR_LABELS if label in taken}


def _belongs_together(document: Any, node: Any, picture: Any | None) -> bool:
    if picture is None:
        return False
    if same_node(node, picture):
        return True
    above_picture = [parent for parent, _ in way_up(document, picture)]
    above_node = [parent for parent, _ in way_up(document, node)]
    return any(same_node(node, n) for n in above_picture) or any(
        same_node(picture, n) for n in above_node
    )
