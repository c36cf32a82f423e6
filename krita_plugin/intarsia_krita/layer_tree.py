"""Krita's layers as a tree: who lies below whom, and where a new layer goes."""

from __future__ import annotations

from typing import Any, Collection, Iterator

LAYER_TYPES = (
    "paintlayer",
    "grouplayer",
    "vectorlayer",
    "filelayer",
    "clonelayer",
    "filllayer",
)
"""Kinds of nodes that have a picture of their own."""


def node_id(node: Any) -> str:
    """What tells a node from all others, stable while its document is open."""
    return str(node.uniqueId().toString())


def find_node(document: Any, wanted: str) -> Any | None:
    """The layer of that id, or None when it is gone."""
    root = document.rootNode()  # None once the document was closed
    for node in descendants(root) if root is not None else ():
        if node_id(node) == wanted:
            return node
    return None


def layers_below(document: Any, node: Any) -> Iterator[Any]:
    """The layers under a node: in its own group first, then under each group around it."""
    for parent, child in way_up(document, node):
        below = True
        for sibling in parent.childNodes():
            below = below and not same_node(sibling, child)
            if below and not sibling.type().endswith("mask"):
                yield sibling


def shows_below(document: Any, node: Any) -> bool:
    """Whether anything under a node is visible."""
    return any(layer.visible() for layer in layers_below(document, node))


def descendants(node: Any) -> Iterator[Any]:
    """Everything in a node, a group before what is in it."""
    for child in node.childNodes():
        yield child
        yield from descendants(child)


def way_up(document: Any, node: Any) -> Iterator[tuple[Any, Any]]:
    """(parent, child) from a node up to the root."""
    root, parent = document.rootNode(), node.parentNode()
    while parent is not None:
        yield parent, node
        if same_node(parent, root):
            return
        node, parent = parent, parent.parentNode()


def above_results(parent: Any, element: Any, earlier: Collection[str]) -> Any:
    """The highest of what lies directly on the element and belongs to it, or the element itself.

    Args:
        parent: The group of both.
        element: A layer.
        earlier: Ids of what belongs to it; a group belongs to it when everything in it does.
    """
    found, seen = element, False
    for sibling in parent.childNodes():
        if seen and not _is_among(sibling, earlier):
            break
        if seen or same_node(sibling, element):
            found, seen = sibling, True
    return found


def _is_among(node: Any, ids: Collection[str]) -> bool:
    if node_id(node) in ids:
        return True
    inside = [n for n in node.childNodes() if not n.type().endswith("mask")]
    return bool(inside) and all(_is_among(n, ids) for n in inside)


def topmost(parent: Any) -> Any | None:
    """The highest layer in a group, or None."""
    layers = [n for n in parent.childNodes() if not n.type().endswith("mask")]
    return layers[-1] if layers else None


def same_node(one: Any, other: Any) -> bool:
    """Whether two of Krita's objects are one node."""
    return node_id(one) == node_id(other)


def layers_of(document: Any) -> Iterator[Any]:
    """Every layer, without masks, a group before what is in it."""
    for node in descendants(document.rootNode()):
        if not node.type().endswith("mask"):
            yield node


def is_shown(document: Any, node: Any) -> bool:
    """Whether a layer is visible, and every group around it too."""
    root = document.rootNode()
    return node.visible() and all(
        same_node(parent, root) or parent.visible() for parent, _ in way_up(document, node)
    )
