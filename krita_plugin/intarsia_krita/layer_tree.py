"""Krita's layers as a tree: who lies below whom, and where a new layer goes."""

from __future__ import annotations

from typing import Any, Collection, Iterator


def find_node(document: Any, node_id: str) -> Any | None:
    """The layer of that id, or None when it is gone."""
    root = document.rootNode()  # None once the document was closed
    for node in descendants(root) if root is not None else ():
        if node.uniqueId().toString() == node_id:
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
    """The highest of the results that lie directly on the element, or the element itself."""
    found, seen = element, False
    for sibling in parent.childNodes():
        if seen and sibling.uniqueId().toString() not in earlier:
            break
        if seen or same_node(sibling, element):
            found, seen = sibling, True
    return found


def topmost(parent: Any) -> Any | None:
    """The highest layer in a group, or None."""
    layers = [n for n in parent.childNodes() if not n.type().endswith("mask")]
    return layers[-1] if layers else None


def same_node(one: Any, other: Any) -> bool:
    """Whether two of Krita's objects are one node."""
    return one.uniqueId().toString() == other.uniqueId().toString()
