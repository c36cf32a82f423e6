"""Putting a result into an image: new layers, one undo step, the recipe stored with them.

A run takes a while and GIMP lets the artist go on: layers can be deleted and images closed. So a
`Place` remembers numbers, not objects, and is looked up again at the moment of insertion. (Writing
to a layer that is gone makes GIMP kill the plug-in.)
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from gi.repository import Gimp

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ITEM_BYTES, Result, ResultLayer
from intarsia_gimp import inserting
from intarsia_gimp.canvas import RECIPE, Sources, recipe_of
from intarsia_gimp.texts import tr
from intarsia_gimp.tree import rows

RECIPES = "intarsia-recipes"
"""The parasite on an image: the recipes of all its result layers, newest last."""
JOB = "intarsia-job-"
"""Prefix of a parasite on an image that has a job running: where its result belongs."""


@dataclass(frozen=True)
class Place:
    """Where a result belongs."""

    image: int
    """GIMP's number of the image, or 0."""
    active: int
    """Tattoo of the layer that the result goes above, or 0."""
    element: int
    """Tattoo of the layer that was edited, or 0."""
    name: str
    """What that layer is called."""
    width: int
    height: int
    """The canvas at the time of the run; 0 where there was no image."""


@dataclass(frozen=True)
class Placed:
    """What was inserted, and a sentence that says where."""

    image: Any
    layers: list[Any]
    text: str
    moved: bool
    """Whether it could not go where it belongs."""


def place_of(sources: Sources) -> Place:
    """The place above the layer that the artist chose; without an image a new one.

    Layers that mark areas and moved pieces lie above the picture and would hide the result, so it
    goes above those, too, and above groups beside the picture that hold them.
    """
    image, active, element = sources.image, sources.active, sources.element
    if image is None:
        return Place(0, 0, 0, "", 0, 0)
    above = _highest(sources)
    return Place(
        image.get_id(),
        above.get_tattoo() if above is not None else 0,
        element.get_tattoo() if element is not None else 0,
        (element or active).get_name() if active is not None else "",
        image.get_width(),
        image.get_height(),
    )


def insert(place: Place, result: Result) -> Placed:
    """Insert the result's layers as one undo step, with the recipe on each and on the image.

    Args:
        place: Where they belong. When that layer is gone they go on top of the image, when the
            image is gone into a new image; the text says which.
        result: Layers in stacking order, lowest first, as `intarsia_client.arrangement` reads them.
            A one-channel layer that is no layer's mask becomes a channel.

    Raises:
        InvalidRequest: The result has no layer, or one whose bytes do not fit its size.
    """
    _check(result.layers)
    image, moved = _valid_image(place.image), None
    if image is None:
        image = _new_image(place, result.layers)
        moved = tr("The image was closed meanwhile: the result opened as a new image.")
        if not place.image:
            moved = tr("The result opened as a new image.")
    anchor = _layer_of(image, place)
    if moved is None and anchor is None and place.active:
        moved = tr("The layer “%s” is gone: the result is on top, at its place.") % place.name
    image.undo_group_start()
    try:
        made = inserting.insert_above(image, anchor, result.layers)
        layers = [drawable for _, drawable in sorted(made.drawables.items()) if drawable.is_layer()]
        store_recipe(image, [*layers, *made.groups], {**result.recipe, **_source(place)})
    finally:
        image.undo_group_end()
    Gimp.displays_flush()
    names = _names([drawable for drawable in made.tops if drawable.is_layer()])
    if anchor is not None:
        text = tr("New layer %s above “%s”.") % (names, anchor.get_name())
    else:
        text = tr("New layer %s on top.") % names
    return Placed(image, layers, moved or text, moved is not None)


def _names(drawables: Sequence[Any]) -> str:
    """How a sentence calls new layers; of many the first and the last."""
    names = [f"“{drawable.get_name()}”" for drawable in drawables]
    return ", ".join(names) if len(names) < 5 else tr("%s to %s") % (names[0], names[-1])


class Preview:
    """The result on the canvas before the artist has decided: layers without an undo step."""

    def __init__(self, place: Place, layers: Sequence[ResultLayer]) -> None:
        _check(layers)
        self._image = _valid_image(place.image)
        self._made = inserting.Inserted()
        self._shown = tuple(layers)
        if self._image is None:
            return
        with _unrecorded(self._image):
            anchor = _layer_of(self._image, place)
            self._made = inserting.insert_above(self._image, anchor, layers)
        Gimp.displays_flush()

    @property
    def image(self) -> Any:
        """The image it lies in, or None where that is closed."""
        return self._image if self._image is not None and self._image.is_valid() else None

    def show(self, visible: Sequence[bool]) -> None:
        """Show or hide each of its layers, to compare with what was there."""
        if self.image is None:
            return
        with _unrecorded(self._image):
            for number, drawable in self._made.drawables.items():
                if drawable.is_valid() and not drawable.is_layer_mask():
                    drawable.set_visible(visible[number])
        Gimp.displays_flush()

    def fill(self, layers: Sequence[ResultLayer]) -> None:
        """Show other pixels in the same layers: what lies where the same rectangle and type are.

        Raises:
            InvalidRequest: A layer's bytes do not fit its size.
        """
        if self.image is None:
            return
        _check(layers)
        for number, drawable in self._made.drawables.items():
            item = layers[number]
            if item is not self._shown[number] and drawable.is_valid():
                inserting.fill(drawable, item)
        self._shown = tuple(layers)
        Gimp.displays_flush()

    def remove(self) -> None:
        """Take it away again; harmless when the artist or a closed image did."""
        if self.image is None:
            return
        with _unrecorded(self._image):
            for drawable in self._made.tops:
                if not drawable.is_valid():
                    continue
                if drawable.is_layer():
                    self._image.remove_layer(drawable)
                else:
                    self._image.remove_channel(drawable)
        self._made = inserting.Inserted()
        Gimp.displays_flush()


def _highest(sources: Sources) -> Any:
    """The topmost of the chosen layer and of what holds the marks beside it."""
    active = sources.active
    if active is None:
        return None
    parent = active.get_parent()
    siblings = parent.get_children() if parent is not None else sources.image.get_layers()
    marks = [layer for source in sources.found if source.is_mark for layer in source.items]
    chains = [row.child.get_id() for layer in marks for row in rows(sources.image, layer)]
    wanted = {active.get_id(), *chains}
    return next(layer for layer in siblings if layer.get_id() in wanted)


# --- a job that outlives its dialog ---------------------------------------------------------------


def remember(place: Place, job: str) -> None:
    """Note on the image that a job's result belongs here; not saved with the file, no undo step."""
    image = _valid_image(place.image)
    if image is not None:
        data = json.dumps(place.__dict__).encode("utf-8")
        image.attach_parasite(Gimp.Parasite.new(JOB + job, 0, data))


def forget(place: Place, job: str) -> None:
    """Remove the note that `remember` made."""
    image = _valid_image(place.image)
    if image is not None and image.get_parasite(JOB + job) is not None:
        image.detach_parasite(JOB + job)


def recall(job: str, fallback: Any, width: int, height: int) -> Place:
    """Where a job's result belongs: what `remember` noted, else the top of the image ``fallback``.

    Args:
        job: The job's id.
        fallback: A `Gimp.Image`, or None for a new image.
        width: Canvas of a new image.
        height: Canvas of a new image.
    """
    for image in Gimp.get_images():
        parasite = image.get_parasite(JOB + job)
        if parasite is not None:
            return Place(**json.loads(bytes(parasite.get_data()).decode("utf-8")))
    if fallback is not None and fallback.is_valid():
        return Place(fallback.get_id(), 0, 0, "", fallback.get_width(), fallback.get_height())
    return Place(0, 0, 0, "", width, height)


# --- layers ---------------------------------------------------------------------------------------


def _check(layers: Sequence[ResultLayer]) -> None:
    """GEGL writes nothing, and says nothing, when the length is wrong."""
    if not layers:
        raise InvalidRequest(tr("The result has no layer."), remedy=tr("Run it again."))
    for layer in layers:
        wanted = layer.width * layer.height * layer.channels * ITEM_BYTES[layer.dtype]
        if memoryview(layer.data).nbytes != wanted:
            raise InvalidRequest(
                tr("The layer “%s” came with %d bytes instead of %d.")
                % (layer.name, memoryview(layer.data).nbytes, wanted),
                remedy=tr("Run it again."),
            )


def store_recipe(image: Any, layers: Sequence[Any], recipe: Mapping[str, Any]) -> None:
    """Keep with layers, and with their image, how they were made."""
    kept = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE
    data = json.dumps(recipe, ensure_ascii=False, default=str).encode("utf-8")
    for layer in layers:
        layer.attach_parasite(Gimp.Parasite.new(RECIPE, kept, data))
    all_recipes = [*recipes_of(image), dict(recipe, layers=[x.get_tattoo() for x in layers])]
    data = json.dumps(all_recipes, ensure_ascii=False, default=str).encode("utf-8")
    image.attach_parasite(Gimp.Parasite.new(RECIPES, kept, data))


def recipes_of(image: Any) -> list[dict[str, Any]]:
    """The recipes of all result layers the image ever got, oldest first."""
    parasite = image.get_parasite(RECIPES)
    if parasite is None:
        return []
    try:
        recipes = json.loads(bytes(parasite.get_data()).decode("utf-8"))
    except ValueError:
        return []
    return recipes if isinstance(recipes, list) else []


# --- looking up -----------------------------------------------------------------------------------


def _valid_image(number: int) -> Any:
    return Gimp.Image.get_by_id(number) if number and Gimp.Image.id_is_valid(number) else None


def _layer_of(image: Any, place: Place) -> Any:
    """The layer to insert above: the chosen one, or the newest result that lies on it."""
    for tattoo in (place.active, place.element):
        layer = image.get_layer_by_tattoo(tattoo) if tattoo else None
        if layer is not None and layer.is_valid():
            return _above_results(image, layer, _source(place).get("element"))
    return None


def _source(place: Place) -> dict[str, Any]:
    """How a recipe names the edited layer; its name guards against a duplicate's other tattoos."""
    return {"element": {"tattoo": place.element, "name": place.name}} if place.element else {}


def _above_results(image: Any, layer: Any, element: Any) -> Any:
    """Earlier results of the same element would hide a newer one below them."""
    parent = layer.get_parent()
    siblings = parent.get_children() if parent is not None else image.get_layers()
    for other in reversed(siblings[: image.get_item_position(layer)]):
        recipe = recipe_of(other)
        if recipe is None or recipe.get("element") != element:
            break
        layer = other
    return layer


def _new_image(place: Place, layers: Sequence[ResultLayer]) -> Any:
    precision = {
        "u8": Gimp.Precision.U8_NON_LINEAR,
        "u16": Gimp.Precision.U16_NON_LINEAR,
        "f32": Gimp.Precision.FLOAT_NON_LINEAR,
    }[layers[0].dtype]
    width = place.width or max(1, *(layer.x + layer.width for layer in layers))
    height = place.height or max(1, *(layer.y + layer.height for layer in layers))
    image = Gimp.Image.new_with_precision(width, height, Gimp.ImageBaseType.RGB, precision)
    if Gimp.default_display() is not None:
        Gimp.Display.new(image)
    return image


@contextmanager
def _unrecorded(image: Any) -> Iterator[None]:
    image.undo_freeze()
    try:
        yield
    finally:
        image.undo_thaw()
