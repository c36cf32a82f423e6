"""The pixels of a run. Nothing here changes the document."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

from intarsia_client.schema import Pixels
from intarsia_krita.layer_tree import find_node, is_shown, node_id, same_node, way_up
from intarsia_krita.situation import Situation, document_name
from intarsia_krita.sources import Source
from intarsia_krita.wire_pixels import (
    ColorSpace,
    Rectangle,
    color_space,
    coverage,
    crop,
    fade,
    rectangle,
    to_wire,
    united,
)

_REACHING = ("filtermask", "transformmask")
"""Masks that a layer's bounds say nothing of."""


def read(document: Any | None, situation: Situation) -> tuple[Pixels, ...]:
    """Read every input of a situation.

    Raises:
        InvalidRequest: Krita cannot convert the colours.
    """
    if document is None:
        return ()
    document.waitForDone()
    dtype = "u8" if document.colorDepth() == "U8" else "u16"
    return tuple(read_one(document, source, dtype) for source in situation.sources)


def read_one(document: Any, source: Source, dtype: str) -> Pixels:
    """Read one input as samples of that type (``u8`` or ``u16``); areas are always ``u8``.

    Raises:
        InvalidRequest: Krita cannot convert the colours.
    """
    if source.kind == "coverage":
        bounds, data = _coverage(document, source)
    elif source.kind == "selection":
        bounds, data = source.bounds, bytes(document.selection().pixelData(*source.bounds))
    elif source.kind == "mask":
        bounds, data = source.bounds, bytes(source.nodes[0].pixelData(*source.bounds))
    else:
        return _colors(document, source, dtype)
    x, y, width, height = bounds
    return Pixels(source.input, width, height, 1, data, "u8", x, y, source.name)


def _colors(document: Any, source: Source, dtype: str) -> Pixels:
    x, y, width, height = source.bounds
    if source.kind == "piece" and not is_composed(source):
        node = source.nodes[0]
        data, space = bytes(node.projectionPixelData(x, y, width, height)), color_space(node)
        rgba = fade(to_wire(document, data, source.bounds, space, dtype), dtype, node.opacity())
        return Pixels(source.input, width, height, 4, rgba, dtype, x, y, source.name)
    if source.kind == "piece":
        (x, y, width, height), data, space = _composed(document, source)
    elif source.kind == "layer":
        data, space = _projection(document, source.nodes[0], source.bounds)
    elif source.kind == "below":
        data, space = _below(document, source.nodes[0], source.bounds), color_space(document)
    else:
        data, space = bytes(document.pixelData(x, y, width, height)), color_space(document)
    rgba = to_wire(document, data, (x, y, width, height), space, dtype)
    named = source.nodes and source.kind in ("layer", "piece")
    name = source.name if named else document_name(document)
    return Pixels(source.input, width, height, 4, rgba, dtype, x, y, name)


def is_composed(source: Source) -> bool:
    """Whether Krita must compose a piece: what shows of it is more than its pixels through masks.

    Layers inherit its alpha, or it has a layer style or a mask that reaches beyond its bounds.
    """
    return len(source.nodes) > 1 or any(
        node.layerStyleToAsl() or any(mask.type() in _REACHING for mask in node.childNodes())
        for node in source.nodes
    )


def _composed(document: Any, source: Source) -> tuple[Rectangle, bytes, ColorSpace]:
    """A piece as it shows with nothing else around it, composed in a copy that nobody sees."""
    from intarsia_krita.qt import QtGui  # nothing else that is read needs a Qt

    with _copy_of(document) as copy:
        found: list[Any] = [find_node(copy, node_id(node)) for node in source.nodes]
        for parent, child in way_up(copy, found[0]):
            for sibling in parent.childNodes():
                sibling.setVisible(same_node(sibling, child))
            if not same_node(parent, copy.rootNode()):
                parent.setOpacity(255)
        for node in found:
            node.setVisible(True)
        copy.setBackgroundColor(QtGui.QColor(0, 0, 0, 0))
        _compose(document, copy)
        shown = crop(rectangle(copy.rootNode().bounds()), (copy.width(), copy.height()))
        bounds = shown or source.bounds
        return bounds, bytes(copy.pixelData(*bounds)), color_space(copy)


def _coverage(document: Any, source: Source) -> tuple[Rectangle, bytes]:
    """How opaque the layers of an area are, together."""
    pieces = []
    for node in source.nodes:
        bounds = crop(rectangle(node.bounds()), (document.width(), document.height()))
        if bounds is not None:
            data, space = _projection(document, node, bounds)
            pieces.append((bounds, coverage(document, data, bounds, space)))
    return united(pieces)


def _projection(document: Any, node: Any, bounds: Rectangle) -> tuple[bytes, tuple[str, str, str]]:
    """A layer with its masks and, for a group, its layers; a hidden one as if it were shown."""
    if is_shown(document, node):
        return bytes(node.projectionPixelData(*bounds)), color_space(node)
    with _copy_of(document) as copy:
        twin: Any = find_node(copy, node_id(node))
        for parent, child in way_up(copy, twin):
            child.setVisible(True)
            if not same_node(parent, copy.rootNode()):
                parent.setVisible(True)
        _compose(document, copy)
        return bytes(twin.projectionPixelData(*bounds)), color_space(twin)


def _below(document: Any, element: Any, bounds: Rectangle) -> bytes:
    """Everything visible below the element, composed by Krita in a copy that nobody sees."""
    with _copy_of(document) as copy:
        node = find_node(copy, node_id(element))
        for parent, child in way_up(copy, node):
            above = False
            for sibling in parent.childNodes():
                above = above or same_node(sibling, child)
                is_way = same_node(sibling, child) and not same_node(sibling, node)
                if above and not is_way and not sibling.type().endswith("mask"):
                    sibling.setVisible(False)
        _compose(document, copy)
        return bytes(copy.pixelData(*bounds))


@contextlib.contextmanager
def _copy_of(document: Any) -> Iterator[Any]:
    """A copy of a document that nobody sees."""
    copy = document.clone()
    try:
        yield copy
    finally:
        copy.setModified(False)
        copy.close()


def _compose(document: Any, copy: Any) -> None:
    """Let Krita compose a copy anew, at the same moment of an animation."""
    if document.currentTime() != copy.currentTime():
        copy.setCurrentTime(document.currentTime())
    copy.refreshProjection()
    copy.waitForDone()
