"""A GIMP image's layers and selection as pixels for the engine; reads only, changes nothing.

Layers are read in the image's own precision (8 bit, 16 bit, float), in sRGB with straight alpha.
Everything that needs another view of the image (what lies below, a layer mask applied) is taken
from a duplicate, so the artist's image, its undo history and its masks stay as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Sequence, Tuple

from gi.repository import Gegl, Gimp

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation, Pixels
from intarsia_gimp.texts import size_text, tr

COLOUR_FORMATS = {"u8": "R'G'B'A u8", "u16": "R'G'B'A u16", "f32": "R'G'B'A float"}
"""What babl calls our samples; the primes mean sRGB's curve (an unknown name would abort GIMP)."""
COVERAGE_FORMATS = {"u8": "Y u8", "u16": "Y u16", "f32": "Y float"}
"""Without prime: coverage is linear, a curve would bend soft edges."""
RECIPE = "intarsia-recipe"
"""The parasite on every result layer: what made it, and from which layer."""
ROLES_HERE = ("picture", "element", "area")
"""Roles of inputs that a GIMP image can fill."""

Rectangle = Tuple[int, int, int, int]
"""x, y, width, height in canvas coordinates."""


@dataclass(frozen=True)
class Sources:
    """What a run would read, found without reading a pixel."""

    image: Any
    active: Any
    """The layer the artist chose; results go above it."""
    element: Any
    """The layer that is read: the chosen one, or the one a chosen result was made from."""
    rectangles: dict[str, Rectangle]
    """Per input name: where it lies. An input that is absent has no entry."""

    def sizes(self) -> list[dict[str, Any]]:
        """As the engine's ``estimate`` wants them."""
        keys = ("x", "y", "width", "height")
        return [
            dict(zip(keys, rectangle), input=name) for name, rectangle in self.rectangles.items()
        ]


def find_sources(image: Any, drawables: Sequence[Any], operation: Operation) -> Sources:
    """What the operation would read from the image.

    Args:
        image: A `Gimp.Image`.
        drawables: What the artist has chosen, as GIMP hands it to a procedure.
        operation: The declaration; its inputs' roles say what to look for.

    Raises:
        InvalidRequest: Not exactly one layer is chosen, it is floating, nothing visible lies below
            an element, or the operation needs something that GIMP cannot give.
    """
    active = _chosen_layer(image, drawables)
    element = _origin(image, active) or active
    has_element = any(item.role == "element" for item in operation.inputs)
    canvas = (0, 0, image.get_width(), image.get_height())
    rectangles: dict[str, Rectangle] = {}
    for item in operation.inputs:
        if item.role == "picture" and has_element:
            if not is_anything_below(image, element):
                raise InvalidRequest(
                    tr("Below the layer “%s” nothing is visible.") % element.get_name(),
                    remedy=tr(
                        "Paste the object on a layer of its own above the picture, choose that "
                        "layer and run again."
                    ),
                )
            rectangles[item.name] = canvas
        elif item.role in ("picture", "element"):
            rectangles[item.name] = rectangle_of(element)
        elif item.role == "area":
            area = selection_rectangle(image)
            if area is not None:
                rectangles[item.name] = area
        elif item.required:
            raise InvalidRequest(
                tr("GIMP cannot give %s the input “%s”.") % (operation.title, item.label),
                remedy=tr("Use the command line for this operation."),
            )
    return Sources(image, active, element, rectangles)


def read(sources: Sources, operation: Operation) -> list[Pixels]:
    """The pixels of everything in ``sources``, in the operation's order of inputs."""
    dtype = sample_type(sources.image)
    roles = {item.name: item.role for item in operation.inputs}
    has_element = "element" in roles.values()
    pixels = []
    for name, rectangle in sources.rectangles.items():
        if roles[name] == "area":
            buffer = sources.image.get_selection().get_buffer()
            data = _get(buffer, rectangle, COVERAGE_FORMATS[dtype])
            pixels.append(_pixels(name, rectangle, 1, data, dtype, tr("Selection")))
        elif roles[name] == "picture" and has_element:
            data = _below(sources.image, sources.element, dtype)
            pixels.append(_pixels(name, rectangle, 4, data, dtype, sources.image.get_name()))
        else:
            data = _as_seen(sources.image, sources.element, dtype)
            pixels.append(_pixels(name, rectangle, 4, data, dtype, sources.element.get_name()))
    return pixels


def describe(sources: Sources, operation: Operation) -> str:
    """One line that says what will be read: ``"Reads: element “Lemur” 210 × 230, …"``."""
    words = []
    has_element = any(item.role == "element" for item in operation.inputs)
    by_role = {item.role: item.name for item in operation.inputs}
    for role in ("element", "picture", "area"):
        rectangle = sources.rectangles.get(by_role.get(role, ""))
        if role == "area" and role in by_role and rectangle is None:
            words.append(tr("no selection"))
        if rectangle is None:
            continue
        size = size_text(rectangle[2], rectangle[3])
        if role == "element":
            words.append(tr("element “%s” %s") % (sources.element.get_name(), size))
        elif role == "picture" and has_element:
            words.append(tr("picture below %s") % size)
        elif role == "picture":
            words.append(tr("layer “%s” %s") % (sources.element.get_name(), size))
        else:
            words.append(tr("selection %s") % size)
    return tr("Reads: %s") % ", ".join(words)


def sample_type(image: Any) -> str:
    """``"u8"``, ``"u16"`` or ``"f32"`` after the image's precision; more than 16 bit is float."""
    nick = image.get_precision().value_nick
    return {"u8": "u8", "u16": "u16"}.get(nick.split("-", 1)[0], "f32")


def rectangle_of(layer: Any) -> Rectangle:
    """Where a layer lies on the canvas; may reach beyond it."""
    offsets = layer.get_offsets()
    return offsets[-2], offsets[-1], layer.get_width(), layer.get_height()


def selection_rectangle(image: Any) -> Rectangle | None:
    """Bounds of the selection, or None where nothing is selected.

    An empty selection must be asked for first: its buffer is all zero.
    """
    if Gimp.Selection.is_empty(image):
        return None
    _, found, left, top, right, bottom = Gimp.Selection.bounds(image)
    return (left, top, right - left, bottom - top) if found else None


def is_anything_below(image: Any, layer: Any) -> bool:
    """Whether a visible layer lies below, in the layer's group or below a group it is in."""
    return any(_shows(other) for row in _rows(image, layer) for other in row.below)


def recipe_of(layer: Any) -> dict[str, Any] | None:
    """What made a result layer, or None for any other layer."""
    parasite = layer.get_parasite(RECIPE)
    if parasite is None:
        return None
    try:
        recipe = json.loads(bytes(parasite.get_data()).decode("utf-8"))
    except ValueError:
        return None
    return recipe if isinstance(recipe, dict) else None


# --- finding --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """The layers of one group around one of its children."""

    above: list[Any]
    child: Any
    below: list[Any]


def _rows(image: Any, layer: Any) -> list[_Row]:
    """From the layer's own group outwards to the image."""
    rows = []
    child = layer
    while child is not None:
        parent = child.get_parent()
        siblings = parent.get_children() if parent is not None else image.get_layers()
        index = [item.get_id() for item in siblings].index(child.get_id())
        rows.append(_Row(list(siblings[:index]), child, list(siblings[index + 1 :])))
        child = parent
    return rows


def _twin(copy: Any, image: Any, layer: Any) -> Any:
    """The same layer in a duplicate, found by its place: a duplicate has numbers of its own."""
    twin, siblings = None, copy.get_layers()
    for row in reversed(_rows(image, layer)):
        twin = siblings[len(row.above)]
        siblings = twin.get_children() if twin.is_group() else []
    return twin


def _shows(layer: Any) -> bool:
    if not layer.get_visible():
        return False
    return any(_shows(child) for child in layer.get_children()) if layer.is_group() else True


def _chosen_layer(image: Any, drawables: Sequence[Any]) -> Any:
    if image.get_floating_sel() is not None:
        raise InvalidRequest(
            tr("What you pasted is still floating."),
            remedy=tr("Make it a layer of its own (Layer ▸ To New Layer), then run again."),
        )
    layers = [Gimp.Layer.from_mask(d) if d.is_layer_mask() else d for d in drawables]
    if len(layers) != 1:
        raise InvalidRequest(
            tr("%d layers are chosen, it must be one.") % len(layers),
            value=len(layers),
            remedy=tr("Choose one layer in the Layers list. Several layers can go into a group."),
        )
    if layers[0] is None or not layers[0].is_layer():
        raise InvalidRequest(
            tr("A channel is chosen, not a layer."),
            remedy=tr("Choose the layer in the Layers list, then run again."),
        )
    return layers[0]


def _origin(image: Any, layer: Any) -> Any:
    """The element that a result layer was made from, if it is still in the image."""
    named = (recipe_of(layer) or {}).get("element")
    if not isinstance(named, dict) or not isinstance(named.get("tattoo"), int):
        return None
    found = image.get_layer_by_tattoo(named["tattoo"])
    if found is None or found.get_name() != named.get("name"):
        return None  # in a duplicated image the layers have other tattoos
    return found


# --- reading --------------------------------------------------------------------------------------


def _pixels(
    name: str, rectangle: Rectangle, channels: int, data: bytes, dtype: str, title: str
) -> Pixels:
    x, y, width, height = rectangle
    return Pixels(name, width, height, channels, data, dtype, x, y, title)


def _get(buffer: Any, rectangle: Rectangle, babl_format: str) -> bytes:
    return buffer.get(Gegl.Rectangle.new(*rectangle), 1.0, babl_format, Gegl.AbyssPolicy.NONE)


def _below(image: Any, layer: Any, dtype: str) -> bytes:
    """Everything visible below the layer, flattened onto the canvas."""
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        for row in _rows(copy, twin):
            for other in row.above:
                other.set_visible(False)
        twin.set_visible(False)
        return _flat(copy, (0, 0, image.get_width(), image.get_height()), dtype)
    finally:
        copy.delete()


def _as_seen(image: Any, layer: Any, dtype: str) -> bytes:
    """The layer alone: its mask, opacity and filters applied, without its blending mode.

    A layer with nothing but pixels and perhaps a mask is read byte for byte; anything else is
    flattened, which cuts it at the canvas.
    """
    chain = [row.child for row in _rows(image, layer)]
    if not any(_is_modified(item) for item in chain) and not layer.get_mask():
        return _get(
            layer.get_buffer(), (0, 0, layer.get_width(), layer.get_height()), COLOUR_FORMATS[dtype]
        )
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        if any(_is_modified(item) for item in chain):
            _show_only(copy, twin)
            return _flat(copy, rectangle_of(layer), dtype)
        applied = layer.get_apply_mask()
        twin.remove_mask(Gimp.MaskApplyMode.APPLY if applied else Gimp.MaskApplyMode.DISCARD)
        return _get(
            twin.get_buffer(), (0, 0, twin.get_width(), twin.get_height()), COLOUR_FORMATS[dtype]
        )
    finally:
        copy.delete()


def _is_modified(layer: Any) -> bool:
    """Whether the layer shows as something else than its own pixels and mask."""
    masked_group = layer.is_group() and layer.get_mask() is not None
    return masked_group or layer.get_opacity() < 100.0 or bool(layer.get_filters())


def _show_only(image: Any, layer: Any) -> None:
    for row in _rows(image, layer):
        for other in row.above + row.below:
            other.set_visible(False)
        row.child.set_visible(True)
        row.child.set_mode(Gimp.LayerMode.NORMAL)


def _flat(image: Any, rectangle: Rectangle, dtype: str) -> bytes:
    """A rectangle of the image as it shows; outside the canvas everything is transparent."""
    flat = Gimp.Layer.new_from_visible(image, image, "flat")
    try:
        return _get(flat.get_buffer(), rectangle, COLOUR_FORMATS[dtype])
    finally:
        flat.delete()
