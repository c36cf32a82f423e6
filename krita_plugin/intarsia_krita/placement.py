"""Result layers into the document: above the layer they were made from, in one undo step.

Krita cannot undo a change of pixels, but it can undo and redo the arrival of a layer with its
pixels; so layers are filled first and then arrive. Each arrival is an undo step of its own: several
layers arrive in one group, which is filled in a document that nobody sees.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import Any, Collection, Iterator, Mapping, Sequence

from krita import Krita

from intarsia_client.arrangement import Animation, Arranged, Group, Still, arranged
from intarsia_client.schema import ResultLayer
from intarsia_krita import animations
from intarsia_krita.layer_tree import above_results, find_node, topmost
from intarsia_krita.texts import tr
from intarsia_krita.wire_pixels import color_space, coverage_bytes, from_wire


@dataclass
class Made:
    """What arrives in a document."""

    root: Any
    """The one layer, or the group of several; None for a result without layers."""
    nodes: dict[int, Any] = field(default_factory=dict)
    """By the number of a result layer the node that it became; masks and all pictures of an
    animation but the first have none."""


def make(document: Any, layers: Sequence[ResultLayer], name: str) -> Made:
    """A result's layers, filled but not yet in the document.

    One plain layer is itself, several are in a group; a group that is all of the result has its own
    name. Where there are pictures of an animation the document takes their pace.

    Args:
        document: Where they will go.
        layers: The lowest first.
        name: Of the group of several.

    Raises:
        InvalidRequest: The pixels cannot become layers of this document.
    """
    items = arranged(layers)
    if not items:
        return Made(None)
    only = items[0] if len(items) == 1 else None
    if isinstance(only, Still) and only.edge is None:
        node = _paint_layer(document, layers[only.number])
        return Made(node, {only.number: node})
    paces = _paces(document, layers, items)
    with _scratch(document, name) as scratch:
        whole = only if only is not None else Group(name, items)
        root = _add(scratch, scratch.rootNode(), None, layers, whole, paces).duplicate()
    nodes: dict[int, Any] = {}
    _note_nodes(nodes, [root], [whole])
    return Made(root, nodes)


@contextlib.contextmanager
def _scratch(document: Any, name: str) -> Iterator[Any]:
    """A document of the same size and colours that nobody sees."""
    size = (document.width(), document.height())
    made = Krita.instance().createDocument(*size, name, *color_space(document), 72.0)
    try:
        yield made
    finally:
        made.setModified(False)
        made.close()


def _paces(document: Any, layers: Sequence[ResultLayer], items: Arranged) -> dict[int, list[int]]:
    """By the first number of each animation the frames at which its pictures begin."""
    found = {}
    for item in items:
        for one in item.items if isinstance(item, Group) else [item]:
            if isinstance(one, Animation):
                durations_ms = [layers[number].duration_ms or 0.0 for number in one.numbers]
                found[one.numbers[0]] = animations.settle(document, durations_ms)
    return found


def _add(
    scratch: Any,
    parent: Any,
    above: Any,
    layers: Sequence[ResultLayer],
    item: Still | Animation | Group,
    paces: Mapping[int, Sequence[int]],
) -> Any:
    """Put a layer, animation or group into the scratch document; returns the node."""
    if isinstance(item, Group):
        node = scratch.createNode(item.name, "grouplayer")
        parent.addChildNode(node, above)
        node.setVisible(False)  # Krita need not compose it while it is filled
        inside = None
        for one in item.items:
            inside = _add(scratch, node, inside, layers, one, paces)
        node.setVisible(True)
    elif isinstance(item, Animation):
        pictures = [layers[number] for number in item.numbers]
        node = _animated_or_group(scratch, pictures, paces[item.numbers[0]])
        parent.addChildNode(node, above)
    else:
        node = _paint_layer(scratch, layers[item.number])
        parent.addChildNode(node, above)
        if item.edge is not None:
            _add_edge(scratch, node, layers[item.edge])
    return node


def _animated_or_group(scratch: Any, pictures: Sequence[ResultLayer], times: Sequence[int]) -> Any:
    """One animated layer; in a Krita that cannot make it a group of the pictures."""
    name = _name_of_all(pictures)
    node = animations.animated_layer(scratch, name, pictures, times)
    if node is None:
        node = scratch.createNode(name, "grouplayer")
        above = None
        for picture in pictures:
            layer = _paint_layer(scratch, picture)
            layer.setName(f"{layer.name()} ({round(picture.duration_ms or 0)}ms)")
            node.addChildNode(layer, above)
            above = layer
    return node


def _name_of_all(pictures: Sequence[ResultLayer]) -> str:
    """What they are pictures of: "Sea" of "Sea, frame 1"."""
    name = pictures[0].name
    return tr("%s, animated", name.rpartition(",")[0] or name)


def _add_edge(scratch: Any, node: Any, layer: ResultLayer) -> None:
    """Give a layer a transparency mask; where the mask says nothing the layer is hidden."""
    name = layer.name or tr("Mask")
    make = getattr(scratch, "createTransparencyMask", None)  # new in Krita 5.2
    edge = make(name) if make is not None else scratch.createNode(name, "transparencymask")
    node.addChildNode(edge, None)
    place = layer.x, layer.y, layer.width, layer.height
    edge.setPixelData(coverage_bytes(layer), *place)


def _note_nodes(
    nodes: dict[int, Any], found: Sequence[Any], items: Sequence[Still | Animation | Group]
) -> None:
    """Which node of a duplicated group is which layer of the result."""
    for node, item in zip(found, items):
        if isinstance(item, Group):
            _note_nodes(nodes, node.childNodes(), item.items)
        else:
            nodes[item.numbers[0] if isinstance(item, Animation) else item.number] = node


def _paint_layer(document: Any, layer: ResultLayer) -> Any:
    """A filled layer that is not yet in the document."""
    node = document.createNode(layer.name or tr("Result"), "paintlayer")
    fill(document, node, layer)
    return node


def place(document: Any, node: Any, element_id: str | None, earlier: Collection[str] = ()) -> bool:
    """Put a made layer or group directly above the element.

    Args:
        document: Where to.
        node: The root of what `make` made.
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
