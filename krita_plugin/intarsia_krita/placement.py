"""Result layers into the document: above the layer they were made from, in one undo step.

Krita cannot undo a change of pixels, but it can undo and redo the arrival of a layer with its
pixels; so layers are filled first and then arrive. Each arrival is an undo step of its own: several
layers arrive in one group, which is filled in a document that nobody sees.
"""

from __future__ import annotations

import hashlib
from typing import Any, Collection, Sequence

from krita import Krita

from intarsia_client.schema import ResultLayer
from intarsia_krita.layer_tree import above_results, find_node, topmost
from intarsia_krita.texts import tr
from intarsia_krita.wire_pixels import color_space, from_wire


def make_nodes(document: Any, layers: Sequence[ResultLayer]) -> list[Any]:
    """Layers that are filled but not yet in the document, in the same order."""
    nodes = []
    for layer in layers:
        node = document.createNode(layer.name or tr("Result"), "paintlayer")
        fill(document, node, layer)
        nodes.append(node)
    return nodes


def make_group(document: Any, layers: Sequence[ResultLayer], name: str) -> Any:
    """A filled group that is not yet in the document; its first layer is the lowest."""
    model, depth, profile = color_space(document)
    size = (document.width(), document.height())
    scratch = Krita.instance().createDocument(*size, name, model, depth, profile, 72.0)
    try:
        group = scratch.createNode(name, "grouplayer")
        scratch.rootNode().addChildNode(group, None)
        above = None
        for node in make_nodes(scratch, layers):
            group.addChildNode(node, above)
            above = node
        return group.duplicate()
    finally:
        scratch.setModified(False)
        scratch.close()


def place(document: Any, node: Any, element_id: str | None, earlier: Collection[str] = ()) -> bool:
    """Put a made layer or group directly above the element.

    Args:
        document: Where to.
        node: From `make_nodes` or `make_group`.
        element_id: Id of the element's layer; None or a layer that is gone means on top.
        earlier: Ids of layers that belong to this element, such as its earlier results; those
            directly above it stay below.

    Returns:
        Whether the element was found.
    """
    element = find_node(document, element_id) if element_id else None
    parent = element.parentNode() if element is not None else document.rootNode()
    above = topmost(parent) if element is None else above_results(parent, element, earlier)
    parent.addChildNode(node, above)
    document.refreshProjection()
    return element is not None


def fill(document: Any, node: Any, layer: ResultLayer) -> None:
    """Give a layer of ours new pixels; this makes no undo step."""
    data = from_wire(document, layer, color_space(node))
    node.setPixelData(data, layer.x, layer.y, layer.width, layer.height)


def fingerprint(node: Any, layer: ResultLayer) -> bytes:
    """A digest of a node's pixels on a result layer's rectangle; other pixels give another one."""
    data = node.pixelData(layer.x, layer.y, layer.width, layer.height)
    return hashlib.blake2b(bytes(data), digest_size=16).digest()


def set_opacity(document: Any, node: Any, share: float) -> None:
    """How much of a result layer shows, in [0, 1]."""
    node.setOpacity(round(255 * min(1.0, max(0.0, share))))
    document.refreshProjection()
