"""What an operation would read from a GIMP image: layers, selection, channels, colour tags.

Finding reads no pixel and changes nothing; `intarsia_gimp.reading` reads what was found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence, Tuple

from gi.repository import Gimp

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import COLOR_LABELS, Input, Operation
from intarsia_client.wire import MAX_BUFFERS
from intarsia_gimp import inputs, pieces, tags
from intarsia_gimp.texts import size_text, tr
from intarsia_gimp.tree import cover, rows, shows

RECIPE = "intarsia-recipe"
"""The parasite on every result layer: what made it, and from which layer."""

Rectangle = Tuple[int, int, int, int]
"""x, y, width, height in canvas coordinates."""

NAMED_PIECES = 5
"""So many pieces are named in the line that says what will be read."""

LAYER, BELOW, VISIBLE = "layer", "below", "visible"
SELECTION, COVERAGE, TAG = "selection", "coverage", "tag"
PIECE, FILE = "piece", "file"
"""Where pixels come from: a layer as it shows alone, everything visible below a layer, everything
visible; the selection, a mask or channel, the alpha of the layers with a tag; a layer without what
the groups around it do to it (but for a group's mask where its layers are taken), a file."""


@dataclass(frozen=True)
class Source:
    """One thing that would be read."""

    input: str
    kind: str
    """`LAYER` … `FILE`."""
    rectangle: Rectangle
    """Of a file nothing: its size is known when it is read."""
    name: str
    """As the engine is told: the layer's name, the tag, the layer that the area belongs to."""
    items: tuple[Any, ...] = ()
    """The layer, mask or channel; the layers with the tag; a piece and the group whose piece it is,
    if any; a file's `Path`."""
    is_mark: bool = False
    """Whether they only mark something in the picture and lie above it for that."""


@dataclass(frozen=True)
class Sources:
    """What a run would read, found without reading a pixel."""

    image: Any
    """A `Gimp.Image`, or None where the operation needs none."""
    active: Any
    """The layer the artist chose; results go above it. None where none is needed or chosen."""
    element: Any
    """The layer that is edited: the chosen one, or the one a chosen result was made from."""
    found: tuple[Source, ...]

    def of(self, name: str) -> list[Source]:
        """What fills the input of that name."""
        return [source for source in self.found if source.input == name]

    def sizes(self) -> list[dict[str, Any]]:
        """As the engine's ``estimate`` wants them; without files."""
        keys = ("x", "y", "width", "height")
        found = [source for source in self.found if source.kind != FILE]
        return [dict(zip(keys, source.rectangle), input=source.input) for source in found]


def find_sources(
    image: Any,
    drawables: Sequence[Any],
    operation: Operation,
    picks: Mapping[str, str] | None = None,
) -> Sources:
    """What the operation would read from the image.

    Args:
        image: A `Gimp.Image`, or None.
        drawables: What the artist has chosen, as GIMP hands it to a procedure.
        operation: The declaration; its inputs' roles say what to look for.
        picks: By input: which layers or which area, as `intarsia_gimp.inputs` writes them. What is
            absent takes its default, for areas by tag all that there are.

    Raises:
        InvalidRequest: Not exactly one layer is chosen where one is edited, it is floating, nothing
            visible lies below an element, there are no pieces where some are needed, a pick names
            nothing, or it is more than can be sent.
    """
    picks = picks or {}
    active, element = find_layers(image, drawables, operation)
    if element is not None and inputs.has_element(operation):
        _check_below(image, element)
    gathered = _gather(image, drawables, element, operation, picks)
    if image is None:
        return Sources(None, None, None, ())
    for item in [] if inputs.needs_layer(operation) else gathered.values():
        if item.cover is not None:
            active, element = item.cover, item.group
    finder = _Finder(image, active, element, operation, picks, gathered)
    found = [source for item in operation.inputs for source in finder.find(item)]
    if len(found) > MAX_BUFFERS:
        raise InvalidRequest(
            tr("%d layers would be sent; at most %d can be.") % (len(found), MAX_BUFFERS),
            value=len(found),
            remedy=tr("Hide some of them, or merge some."),
            code="TOO_LARGE",
        )
    return Sources(image, active, element, tuple(found))


def find_layers(image: Any, drawables: Sequence[Any], operation: Operation) -> tuple[Any, Any]:
    """The layer that results go above and the one that is edited; each None where there is none.

    Of pieces: what lies over all that are chosen, and the group that they are in.

    Raises:
        InvalidRequest: Not exactly one layer is chosen where one is edited, or it is floating.
    """
    if image is None:
        if inputs.needs_layer(operation):
            raise InvalidRequest(
                tr("There is no image."), remedy=tr("Open a picture, then run again.")
            )
        return None, None
    if inputs.needs_layer(operation):
        active = inputs.chosen_layer(image, drawables)
        return active, _edited(image, active, operation)
    if any(inputs.takes_pieces(item) for item in operation.inputs):
        return _around_pieces(image, drawables, operation)
    alone = len(drawables) == 1 and drawables[0].is_layer()
    return (drawables[0] if alone else None), None


def describe(sources: Sources, operation: Operation) -> str:
    """One line that says what will be read: ``"Reads: object “Lemur” 210 × 230, …"``."""
    order = {"element": 0, "picture": 1, "reference": 2, "templates": 3, "area": 4}
    words = []
    for item in sorted(operation.inputs, key=lambda item: order.get(item.role, 9)):
        found = sources.of(item.name)
        if inputs.takes_pieces(item):
            words += [_piece_words(found, item)] if found else []
        else:
            words += [_words(source, item) for source in found]
        if not found and inputs.takes_area(item) and sources.image is not None:
            words.append(tr("no selection"))
    return tr("Reads: %s") % ", ".join(words) if words else tr("Reads nothing from the image.")


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
    return any(shows(other) for row in rows(image, layer) for other in row.below)


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
class _Finder:
    """Looks for one input after the other."""

    image: Any
    active: Any
    element: Any
    operation: Operation
    picks: Mapping[str, str]
    gathered: Mapping[str, pieces.Pieces]

    def find(self, item: Input) -> list[Source]:
        """What fills the input; nothing where an optional one is not given."""
        if inputs.takes_layers(item):
            return self._layers(item)
        if inputs.takes_area(item):
            return self._area(item)
        if item.role == "area":
            return self._tags(item)
        if item.role == "picture" and inputs.has_element(self.operation):
            name = self.image.get_name()
            return [Source(item.name, BELOW, self._canvas(), name, (self.element,))]
        return [_source_of(item, self.element)]

    def _canvas(self) -> Rectangle:
        return 0, 0, self.image.get_width(), self.image.get_height()

    def _layers(self, item: Input) -> list[Source]:
        if inputs.takes_pieces(item):
            return _piece_sources(item, self.gathered[item.name])
        text = self.picks.get(item.name, "") or inputs.default_of(item, self.operation)
        if item.role == "picture" and text == inputs.BELOW:
            return self._below_pieces(item)
        if item.role == "picture" and text == inputs.IMAGE:
            return [Source(item.name, VISIBLE, self._canvas(), self.image.get_name())]
        if item.role == "picture" and text == inputs.NOTHING:
            return []
        layers = inputs.named(self.image, text, item)
        if not layers and item.required:
            edited = self.element or self.active
            near = inputs.unnamed(self.image, edited, self.operation, self.picks).get(item.name)
            layers = [near] if near is not None else []
        if not layers and item.required:
            raise InvalidRequest(
                tr("%s needs a layer: %s.") % (tr(self.operation.title), tr(item.label)),
                remedy=tr(item.help),
            )
        return [replace(_source_of(item, x), is_mark=item.role == "element") for x in layers]

    def _below_pieces(self, item: Input) -> list[Source]:
        """What shows below the pieces that lie in the image; the whole image where none does."""
        name = self.image.get_name()
        for found in self.gathered.values():
            lowest = found.group or next(iter(found.layers), None)
            if lowest is not None:
                if not is_anything_below(self.image, lowest):
                    return []
                return [Source(item.name, BELOW, self._canvas(), name, (lowest,))]
        return [Source(item.name, VISIBLE, self._canvas(), name)]

    def _area(self, item: Input) -> list[Source]:
        text = self.picks.get(item.name, "").strip()
        drawable = inputs.area_drawable(self.image, self.element or self.active, text, item)
        if drawable is not None:
            place = self._canvas()
            if drawable.is_layer_mask():
                place = rectangle_of(Gimp.Layer.from_mask(drawable))
            return [Source(item.name, COVERAGE, place, drawable.get_name(), (drawable,))]
        area = selection_rectangle(self.image)
        if text == inputs.NOTHING or area is None:
            return []
        return [Source(item.name, SELECTION, area, tr("Selection"))]

    def _tags(self, item: Input) -> list[Source]:
        """The tags' areas; a layer that another input is filled from is none.

        An area whose tag a chosen layer has, too, is that layer's and gets its name, unless the
        tag stands for a class.
        """
        chosen = [
            layer
            for other in self.operation.inputs
            if inputs.takes_layers(other)
            for source in self._layers(other)
            for layer in source.items
        ]
        taken = {layer.get_id() for layer in chosen}
        owners = {tags.tag_of(layer): layer.get_name() for layer in chosen}
        if inputs.is_bound(item, self.operation):
            owners = {}
        text = self.picks.get(item.name, inputs.TAGS)
        wanted = {word.strip() for word in text.split(",")}
        sources = []
        for tag, layers in tags.tagged(self.image, self.element).items():
            layers = [layer for layer in layers if layer.get_id() not in taken]
            place = _inside([rectangle_of(layer) for layer in layers], self._canvas())
            if place is not None and (text == inputs.TAGS or tag in wanted):
                name = owners.get(tag, tag)
                sources.append(Source(item.name, TAG, place, name, tuple(layers), is_mark=True))
        return sources


def _gather(
    image: Any,
    drawables: Sequence[Any],
    edited: Any,
    operation: Operation,
    picks: Mapping[str, str],
) -> dict[str, pieces.Pieces]:
    """The pieces of each input that takes some."""
    wanted = [item for item in operation.inputs if inputs.takes_pieces(item)]
    if not wanted:
        return {}
    chosen = inputs.chosen_layers(image, drawables) if image is not None else []
    return {
        item.name: pieces.find(image, chosen, edited, picks.get(item.name, ""), item, operation)
        for item in wanted
    }


def _around_pieces(image: Any, drawables: Sequence[Any], operation: Operation) -> tuple[Any, Any]:
    chosen = inputs.chosen_layers(image, drawables)
    if len(chosen) != 1:
        return cover(image, chosen), None
    edited = _edited(image, chosen[0], operation)
    return chosen[0], (edited if edited.is_group() else None)


def _piece_sources(item: Input, found: pieces.Pieces) -> list[Source]:
    group = () if found.group is None else (found.group,)
    sources = [
        Source(item.name, PIECE, rectangle_of(layer), layer.get_name(), (layer, *group))
        for layer in found.layers
    ]
    files = [Source(item.name, FILE, (0, 0, 0, 0), path.stem, (path,)) for path in found.files]
    return sources + files


def _source_of(item: Input, layer: Any) -> Source:
    return Source(item.name, LAYER, rectangle_of(layer), layer.get_name(), (layer,))


def _inside(rectangles: Sequence[Rectangle], canvas: Rectangle) -> Rectangle | None:
    """What all of them cover together, cut at the canvas; None where that is nothing."""
    if not rectangles:
        return None
    left = max(canvas[0], min(r[0] for r in rectangles))
    top = max(canvas[1], min(r[1] for r in rectangles))
    right = min(canvas[0] + canvas[2], max(r[0] + r[2] for r in rectangles))
    bottom = min(canvas[1] + canvas[3], max(r[1] + r[3] for r in rectangles))
    return (left, top, right - left, bottom - top) if left < right and top < bottom else None


def _edited(image: Any, active: Any, operation: Operation) -> Any:
    """The chosen layer; for a result that is to be made anew, the layer it was made from.

    A result of another operation is a picture like any other, unless elements are placed: those
    are always placed from the original.
    """
    recipe = recipe_of(active) or {}
    if inputs.has_element(operation) or recipe.get("operation") == operation.id:
        return _origin(image, recipe) or active
    return active


def _origin(image: Any, recipe: Mapping[str, Any]) -> Any:
    """The element that a recipe names, if it is still in the image."""
    named = recipe.get("element")
    if not isinstance(named, dict) or not isinstance(named.get("tattoo"), int):
        return None
    found = image.get_layer_by_tattoo(named["tattoo"])
    if found is None or found.get_name() != named.get("name"):
        return None  # in a duplicated image the layers have other tattoos
    return found


def _check_below(image: Any, element: Any) -> None:
    if not is_anything_below(image, element):
        raise InvalidRequest(
            tr("Below the layer “%s” nothing is visible.") % element.get_name(),
            remedy=tr(
                "Paste the object on a layer of its own above the picture, choose that "
                "layer and run again."
            ),
        )


def _piece_words(found: Sequence[Source], item: Input) -> str:
    """``"Pieces of “Bird”: “Body” 210 × 230, “Beak” 40 × 20"``, back to front, the first few."""
    first = found[0]
    label = tr(item.label)
    if first.kind == PIECE and len(first.items) > 1:
        label = tr("%s of “%s”") % (label, first.items[1].get_name())
    told = []
    for source in found[:NAMED_PIECES]:
        size = " " + size_text(source.rectangle[2], source.rectangle[3])
        told.append(f"“{source.name}”{size if source.kind == PIECE else ''}")
    if len(found) > NAMED_PIECES:
        told.append(tr("%d more") % (len(found) - NAMED_PIECES))
    return f"{label}: {', '.join(told)}"


def _words(source: Source, item: Input) -> str:
    size = size_text(source.rectangle[2], source.rectangle[3])
    if source.kind == SELECTION:
        return tr("selection %s") % size
    if source.kind == TAG and source.name in COLOR_LABELS:
        return tr("area %s %s") % (tags.name_of(source.name).lower(), size)
    if source.kind in (TAG, COVERAGE):
        return tr("area “%s” %s") % (source.name, size)
    if source.kind == BELOW:
        return tr("picture below %s") % size
    if source.kind == VISIBLE:
        return tr("the image as it shows %s") % size
    if inputs.takes_layers(item):
        return f"{tr(item.label)} “{source.name}” {size}"
    word = tr("object “%s” %s") if item.role == "element" else tr("layer “%s” %s")
    return word % (source.name, size)
