"""Krita's document to `Pixels` and result layers back: only here is Krita's byte order known.

Krita gives 8 and 16 bit RGBA as B, G, R, A; on the wire it is R, G, B, A in sRGB, straight alpha.
Other depths, models and profiles are converted by Krita itself, on a node that is in no document.
Nothing here changes an existing layer; `place` adds new ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Collection, Sequence, Tuple

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ITEM_BYTES, Operation, Pixels, ResultLayer
from intarsia_krita.layer_tree import (
    above_results,
    find_node,
    layers_below,
    same_node,
    topmost,
    way_up,
)
from intarsia_krita.texts import quoted, tr

ROLES = ("picture", "element", "area")
"""The roles that this panel can fill from the document."""

_SRGB = ("sRGB-elle-V2-srgbtrc.icc", "sRGB built-in", "sRGB IEC61966-2.1")
_TARGET_PROFILE = _SRGB[0]
_DEPTHS = {"u8": "U8", "u16": "U16"}
_ELEMENTS = (
    "paintlayer",
    "grouplayer",
    "vectorlayer",
    "filelayer",
    "clonelayer",
    "filllayer",
)

ColorSpace = Tuple[str, str, str]
"""Krita's colour model, depth and profile."""
Rectangle = Tuple[int, int, int, int]
"""x, y, width, height in canvas coordinates."""


@dataclass(frozen=True)
class Situation:
    """What a run would read now, without a pixel being touched."""

    document: str
    """Id of the open document, stable while it is open."""
    document_name: str
    element: Any
    element_id: str
    element_bounds: Rectangle
    selection: Rectangle | None
    size: tuple[int, int]

    def sentence(self) -> str:
        """The *Reads* line of the panel."""
        _x, _y, width, height = self.element_bounds
        text = tr("layer %s, %d×%d", quoted(self.element.name()), width, height)
        if self.selection is not None:
            text += tr(", inside the selection, %d×%d", self.selection[2], self.selection[3])
        return text + tr(", onto everything below it")


@dataclass(frozen=True)
class Reading:
    """The pixels of a run and where its result belongs."""

    situation: Situation
    inputs: tuple[Pixels, ...]


# --- what there is --------------------------------------------------------------------------------


def document_id(document: Any) -> str:
    """An id of the open document; another one after it was closed and opened again."""
    return document.rootNode().uniqueId().toString()


def document_name(document: Any) -> str:
    """What the artist calls the document: the file's name, or the title."""
    path = document.fileName() or ""
    return path.replace("\\", "/").rsplit("/", 1)[-1] or document.name() or tr("Unnamed")


def look(document: Any) -> Situation:
    """See what a run would read.

    Raises:
        InvalidRequest: There is no picture, no element, or nothing below it; with what to do.
    """
    if document is None:
        raise _refuse(
            tr("No picture is open."), tr("Open one with the object on a layer of its own.")
        )
    element = element_of(document)
    size = (document.width(), document.height())
    bounds = _crop(_rectangle(element.bounds()), size)
    if bounds is None:
        raise _refuse(
            tr("The layer %s is empty inside the picture.", quoted(element.name())),
            tr("Choose the layer that holds the pasted object."),
        )
    return Situation(
        document=document_id(document),
        document_name=document_name(document),
        element=element,
        element_id=element.uniqueId().toString(),
        element_bounds=bounds,
        selection=_selection_bounds(document, size),
        size=size,
    )


def element_of(document: Any) -> Any:
    """The layer with the pasted object: the active one, or the one whose mask is active.

    Raises:
        InvalidRequest: It cannot be an element, is hidden, or nothing lies below it.
    """
    root, node = document.rootNode(), document.activeNode()
    while node is not None and node.type().endswith("mask"):
        node = node.parentNode()
    if node is None or node.type() not in _ELEMENTS or same_node(node, root):
        raise _refuse(
            tr("The active layer is no object."),
            tr("Choose the layer that holds the pasted object."),
        )
    if not node.visible():
        raise _refuse(
            tr("The layer %s is hidden.", quoted(node.name())), tr("Make it visible and try again.")
        )
    if not any(layer.visible() for layer in layers_below(document, node)):
        raise _refuse(
            tr("There is nothing below the layer %s.", quoted(node.name())),
            tr("Put the object on a layer of its own, above the picture."),
        )
    return node


def sizes(situation: Situation, operation: Operation) -> list[dict[str, Any]]:
    """The sizes of what a run would read, for an estimate of its time."""
    places = {
        "picture": (0, 0, *situation.size),
        "element": situation.element_bounds,
        "area": situation.selection,
    }
    found = []
    for wanted in operation.inputs:
        place = places.get(wanted.role)
        if place is not None:
            names = ("x", "y", "width", "height")
            found.append(dict(zip(names, place), input=wanted.name))
    return found


# --- reading --------------------------------------------------------------------------------------


def read(document: Any, operation: Operation) -> Reading:
    """Read every input that the operation wants.

    Raises:
        InvalidRequest: See `look`; or the operation wants something this panel cannot give.
    """
    document.waitForDone()
    situation = look(document)
    dtype = "u8" if document.colorDepth() == "U8" else "u16"
    inputs = []
    for wanted in operation.inputs:
        if wanted.role == "picture":
            inputs.append(_read_below(document, situation, wanted.name, dtype))
        elif wanted.role == "element":
            inputs.append(_read_element(document, situation, wanted.name, dtype))
        elif wanted.role == "area" and situation.selection is not None:
            inputs.append(_read_selection(document, situation.selection, wanted.name))
        elif wanted.required:
            raise _refuse(
                tr("%s needs %s, which this panel cannot read.", operation.title, wanted.label),
                wanted.help,
            )
    return Reading(situation, tuple(inputs))


def _read_below(document: Any, situation: Situation, name: str, dtype: str) -> Pixels:
    """Everything visible below the element, composed by Krita in a copy that nobody sees."""
    copy = document.clone()
    try:
        node = find_node(copy, situation.element_id)
        for parent, child in way_up(copy, node):
            above = False
            for sibling in parent.childNodes():
                above = above or same_node(sibling, child)
                is_way = same_node(sibling, child) and not same_node(sibling, node)
                if above and not is_way and not sibling.type().endswith("mask"):
                    sibling.setVisible(False)
        if document.currentTime() != copy.currentTime():
            copy.setCurrentTime(document.currentTime())
        copy.refreshProjection()
        copy.waitForDone()
        width, height = situation.size
        data = bytes(copy.pixelData(0, 0, width, height))
    finally:
        copy.setModified(False)
        copy.close()
    rgba = to_wire(document, data, (0, 0, width, height), color_space(document), dtype)
    return Pixels(name, width, height, 4, rgba, dtype, 0, 0, situation.document_name)


def _read_element(document: Any, situation: Situation, name: str, dtype: str) -> Pixels:
    """The active layer with its masks and, for a group, its layers."""
    x, y, width, height = situation.element_bounds
    element = situation.element
    data = bytes(element.projectionPixelData(x, y, width, height))
    rgba = to_wire(document, data, situation.element_bounds, color_space(element), dtype)
    return Pixels(name, width, height, 4, rgba, dtype, x, y, element.name())


def _read_selection(document: Any, bounds: Rectangle, name: str) -> Pixels:
    x, y, width, height = bounds
    coverage = bytes(document.selection().pixelData(x, y, width, height))
    return Pixels(name, width, height, 1, coverage, "u8", x, y, tr("Selection"))


# --- inserting ------------------------------------------------------------------------------------


def make_nodes(document: Any, layers: Sequence[ResultLayer]) -> list[Any]:
    """Layers that are filled but not yet in the document.

    Krita cannot undo a change of pixels, but it can undo and redo the arrival of a layer with its
    pixels; so they are filled first, and `place` is one undo step for each.
    """
    nodes = []
    for layer in layers:
        node = document.createNode(layer.name or tr("Result"), "paintlayer")
        data = from_wire(document, layer, color_space(node))
        node.setPixelData(data, layer.x, layer.y, layer.width, layer.height)
        nodes.append(node)
    return nodes


def place(
    document: Any, nodes: Sequence[Any], element_id: str | None, earlier: Collection[str] = ()
) -> bool:
    """Put made nodes directly above the element.

    Args:
        document: Where to.
        nodes: The first one lands lowest.
        element_id: Id of the element's layer; None or a layer that is gone means on top.
        earlier: Ids of this element's earlier results; those directly above it stay below.

    Returns:
        Whether the element was found.
    """
    element = find_node(document, element_id) if element_id else None
    parent = element.parentNode() if element is not None else document.rootNode()
    above = topmost(parent) if element is None else above_results(parent, element, earlier)
    for node in nodes:
        parent.addChildNode(node, above)
        above = node
    document.refreshProjection()
    return element is not None


def set_opacity(document: Any, node: Any, share: float) -> None:
    """How much of a result layer shows, in [0, 1]."""
    node.setOpacity(round(255 * min(1.0, max(0.0, share))))
    document.refreshProjection()


# --- bytes ----------------------------------------------------------------------------------------


def swap_red_and_blue(data: Any, item_bytes: int) -> bytearray:
    """BGRA to RGBA or back; its own inverse.

    Args:
        data: Pixels of four samples.
        item_bytes: Bytes of one sample, 1 or 2.
    """
    swapped, pixel = bytearray(data), 4 * item_bytes
    for byte in range(item_bytes):
        red, blue = 2 * item_bytes + byte, byte
        swapped[blue::pixel], swapped[red::pixel] = swapped[red::pixel], swapped[blue::pixel]
    return swapped


def color_space(item: Any) -> ColorSpace:
    """The colour model, depth and profile of a document or node."""
    return item.colorModel(), item.colorDepth(), item.colorProfile()


def to_wire(
    document: Any, data: bytes, bounds: Rectangle, space: ColorSpace, dtype: str
) -> bytearray:
    """Krita's bytes as RGBA, sRGB, of that dtype (``u8`` or ``u16``)."""
    converted = _convert(document, data, bounds, space, ("RGBA", _DEPTHS[dtype], _TARGET_PROFILE))
    return swap_red_and_blue(converted, ITEM_BYTES[dtype])


def from_wire(document: Any, layer: ResultLayer, space: ColorSpace) -> bytes:
    """A result layer's bytes as Krita wants them for a node of that colour space."""
    if layer.dtype not in _DEPTHS:
        raise _refuse(
            tr("The engine sent samples of type %s.", layer.dtype), tr("Update the plug-in.")
        )
    bounds = (layer.x, layer.y, layer.width, layer.height)
    rgba = layer.data if layer.channels == 4 else _white_with_alpha(layer)
    bgra = bytes(swap_red_and_blue(rgba, ITEM_BYTES[layer.dtype]))
    return _convert(document, bgra, bounds, ("RGBA", _DEPTHS[layer.dtype], _TARGET_PROFILE), space)


def _convert(
    document: Any, data: bytes, bounds: Rectangle, source: ColorSpace, target: ColorSpace
) -> bytes:
    """Let Krita convert pixels, on a node that never enters the document."""
    same_profile = source[2] == target[2] or (source[2] in _SRGB and target[2] in _SRGB)
    if source[:2] == target[:2] and same_profile:
        return data
    node = document.createNode("conversion", "paintlayer")
    x, y, width, height = bounds
    if not node.setColorSpace(*source):
        raise _no_conversion(source)
    node.setPixelData(data, x, y, width, height)
    if not node.setColorSpace(*target):
        raise _no_conversion(target)
    return bytes(node.pixelData(x, y, width, height))


def _white_with_alpha(layer: ResultLayer) -> bytearray:
    """A mask as a layer: white, as opaque as the mask is strong."""
    size = ITEM_BYTES[layer.dtype]
    pixels = bytearray(b"\xff") * (layer.width * layer.height * 4 * size)
    alpha = bytes(layer.data)
    for byte in range(size):
        pixels[3 * size + byte :: 4 * size] = alpha[byte::size]
    return pixels


# --- small things --------------------------------------------------------------------------------


def _rectangle(rect: Any) -> Rectangle:
    return rect.x(), rect.y(), rect.width(), rect.height()


def _crop(rectangle: Rectangle, size: tuple[int, int]) -> Rectangle | None:
    x, y, width, height = rectangle
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + width), min(size[1], y + height)
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def _selection_bounds(document: Any, size: tuple[int, int]) -> Rectangle | None:
    selection = document.selection()
    if selection is None:
        return None
    return _crop((selection.x(), selection.y(), selection.width(), selection.height()), size)


def _refuse(what: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(what, remedy=remedy)


def _no_conversion(space: ColorSpace) -> InvalidRequest:
    return _refuse(
        tr("Krita cannot convert colours to or from %s, %s, %s.", *space),
        tr("Convert the picture with Image > Convert Image Color Space, to RGB."),
    )
