"""The pixels of what was found in a GIMP image, for the engine; reads only, changes nothing.

Layers are read in the image's own precision (8 bit, 16 bit, float), in sRGB with straight alpha.
Everything that needs another view of the image (what lies below, a layer mask applied) is taken
from a duplicate, so the artist's image, its undo history and its masks stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from gi.repository import Gegl, Gimp, Gio, GLib

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Pixels
from intarsia_gimp import canvas
from intarsia_gimp.canvas import Rectangle, Source, Sources, rectangle_of
from intarsia_gimp.texts import tr
from intarsia_gimp.tree import layers_of, rows

COLOUR_FORMATS = {"u8": "R'G'B'A u8", "u16": "R'G'B'A u16", "f32": "R'G'B'A float"}
"""What babl calls our samples; the primes mean sRGB's curve (an unknown name would abort GIMP)."""
COVERAGE_FORMATS = {"u8": "Y u8", "u16": "Y u16", "f32": "Y float"}
"""Without prime: coverage is linear, a curve would bend soft edges."""
WEIGHTED = "RaGaBaA u16"
"""GEGL makes colours smaller as they are stored: only these count by their alpha, so that the black
of transparent pixels does not darken soft edges."""
_ITEMS: dict[str, Any] = {"u8": "B", "u16": "H", "f32": "f"}


@dataclass(frozen=True)
class Grain:
    """How finely pixels are read."""

    dtype: str
    scale: float = 1.0

    def place(self, rectangle: Rectangle) -> Rectangle:
        """Where a rectangle lies in the smaller picture; at least one pixel large."""
        x, y, width, height = (round(value * self.scale) for value in rectangle)
        return x, y, max(1, width), max(1, height)

    def colours(self, buffer: Any, rectangle: Rectangle) -> bytes:
        """RGBA of a rectangle of a buffer."""
        if self.scale == 1.0:
            return _get(buffer, rectangle, 1.0, COLOUR_FORMATS[self.dtype])
        whole = Gegl.Rectangle.new(0, 0, *rectangle[2:])
        weighted = Gegl.Buffer.new(WEIGHTED, 0, 0, *rectangle[2:])
        buffer.copy(Gegl.Rectangle.new(*rectangle), Gegl.AbyssPolicy.NONE, weighted, whole)
        place = (0, 0, *self.place(rectangle)[2:])
        return _get(weighted, place, self.scale, COLOUR_FORMATS[self.dtype])

    def coverage(self, buffer: Any, rectangle: Rectangle) -> bytes:
        """Coverage of a rectangle of a mask, a channel or the selection."""
        return _get(buffer, self.place(rectangle), self.scale, COVERAGE_FORMATS[self.dtype])


def read(sources: Sources, scale: float | None = None) -> list[Pixels]:
    """The pixels of everything in ``sources``, in the same order.

    Args:
        sources: What was found.
        scale: None for all pixels in the image's precision, else a factor in (0, 1]: a smaller
            picture of 8 bit, for a preview.
    """
    if not sources.found:
        return []
    grain = Grain(sample_type(sources.image)) if scale is None else Grain("u8", scale)
    return [_read(sources.image, source, grain) for source in sources.found]


def scale_for(sources: Sources, most: int) -> float:
    """The factor in (0, 1] with which nothing that is read is wider or higher than ``most``."""
    sides = [side for source in sources.found for side in source.rectangle[2:]]
    boxes = [source.rectangle for source in sources.found if source.kind != canvas.FILE]
    if boxes:
        sides.append(max(x + w for x, _, w, _ in boxes) - min(x for x, *_ in boxes))
        sides.append(max(y + h for _, y, _, h in boxes) - min(y for _, y, *_ in boxes))
    return min(1.0, most / max([1, *sides]))


def sample_type(image: Any) -> str:
    """``"u8"``, ``"u16"`` or ``"f32"`` after the image's precision; more than 16 bit is float."""
    nick = image.get_precision().value_nick
    return {"u8": "u8", "u16": "u16"}.get(nick.split("-", 1)[0], "f32")


def _read(image: Any, source: Source, grain: Grain) -> Pixels:
    place, channels = source.rectangle, 4
    if source.kind == canvas.FILE:
        return _file(source, grain)
    if source.kind == canvas.PIECE:
        data = _piece(image, source.items, place, grain)
    elif source.kind == canvas.BELOW:
        data = _below(image, source.items[0], grain)
    elif source.kind == canvas.VISIBLE:
        data = _flat(image, place, grain)
    elif source.kind == canvas.LAYER:
        data = _as_seen(image, source.items[0], grain)
    else:
        channels = 1
        if source.kind == canvas.TAG:
            data = _together(image, source.items, place, grain)
        elif source.kind == canvas.COVERAGE:
            size = (0, 0, place[2], place[3])
            data = grain.coverage(source.items[0].get_buffer(), size)
        else:
            data = grain.coverage(image.get_selection().get_buffer(), place)
    x, y, width, height = grain.place(place)
    return Pixels(source.input, width, height, channels, data, grain.dtype, x, y, source.name)


def _get(buffer: Any, rectangle: Rectangle, scale: float, babl_format: str) -> bytes:
    return buffer.get(Gegl.Rectangle.new(*rectangle), scale, babl_format, Gegl.AbyssPolicy.NONE)


def _below(image: Any, layer: Any, grain: Grain) -> bytes:
    """Everything visible below the layer, flattened onto the canvas."""
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        for row in rows(copy, twin):
            for other in row.above:
                other.set_visible(False)
        twin.set_visible(False)
        return _flat(copy, (0, 0, image.get_width(), image.get_height()), grain)
    finally:
        copy.delete()


def _as_seen(image: Any, layer: Any, grain: Grain) -> bytes:
    """The layer alone: its mask, opacity and filters applied, without its blending mode.

    A layer with nothing but pixels and perhaps a mask is read byte for byte; anything else is
    flattened, which cuts it at the canvas.
    """
    chain = [row.child for row in rows(image, layer)]
    if not any(_is_modified(item) for item in chain) and not layer.get_mask():
        return grain.colours(layer.get_buffer(), (0, 0, *rectangle_of(layer)[2:]))
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        if any(_is_modified(item) for item in chain):
            _show_only(copy, twin)
            return _flat(copy, rectangle_of(layer), grain)
        applied = layer.get_apply_mask()
        twin.remove_mask(Gimp.MaskApplyMode.APPLY if applied else Gimp.MaskApplyMode.DISCARD)
        return grain.colours(twin.get_buffer(), (0, 0, *rectangle_of(twin)[2:]))
    finally:
        copy.delete()


def _piece(image: Any, items: Sequence[Any], rectangle: Rectangle, grain: Grain) -> bytes:
    """One piece by itself, whole even where it reaches beyond the canvas.

    Its mask, opacity and filters are applied, not its blending mode nor what the groups around it
    do; of the group whose pieces are taken the mask counts.
    """
    layer, group = items[0], (items[1] if len(items) > 1 else None)
    masked = group is not None and group.get_mask() is not None
    if not (masked or _is_modified(layer) or layer.get_mask()):
        return grain.colours(layer.get_buffer(), (0, 0, *rectangle[2:]))
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        top = _twin(copy, image, group) if masked else twin
        copy.reorder_item(top, None, 0)
        if masked:
            top.set_opacity(100.0)
        _show_only(copy, twin)
        x, y, width, height = rectangle
        copy.resize(width, height, -x, -y)
        return _flat(copy, (0, 0, width, height), grain)
    finally:
        copy.delete()


def _file(source: Source, grain: Grain) -> Pixels:
    """A picture file as it shows, with its own corner at the canvas' corner."""
    path = source.items[0]
    try:
        picture = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(path)))
    except GLib.Error as error:
        raise InvalidRequest(
            tr("The picture %s cannot be opened (%s).") % (path, error.message),
            value=str(path),
            remedy=tr("Take it out of the folder, or save it anew as PNG."),
        ) from None
    try:
        place = (0, 0, picture.get_width(), picture.get_height())
        data = _flat(picture, place, grain)
        x, y, width, height = grain.place(place)
        return Pixels(source.input, width, height, 4, data, grain.dtype, x, y, source.name)
    finally:
        picture.delete()


def _together(image: Any, layers: Sequence[Any], rectangle: Rectangle, grain: Grain) -> bytes:
    """Alpha of some layers seen together, with their masks, as coverage.

    Opacity and blending mode do not count: areas are often painted half transparent so that the
    picture shows through.
    """
    copy = image.duplicate()
    try:
        twins = [_twin(copy, image, layer) for layer in layers]
        chain = [row.child for twin in twins for row in rows(copy, twin)]
        inner = [child for twin in twins if twin.is_group() for child in _inside(twin)]
        kept = {layer.get_id() for layer in [*chain, *inner]}
        for layer in chain:
            layer.set_opacity(100.0)
            layer.set_mode(Gimp.LayerMode.NORMAL)
        for layer in layers_of(copy):
            if layer.get_id() not in kept:
                layer.set_visible(False)
        colours = memoryview(_flat(copy, rectangle, grain)).cast(_ITEMS[grain.dtype])
        return colours[3::4].tobytes()
    finally:
        copy.delete()


def _inside(group: Any) -> list[Any]:
    found = []
    for child in group.get_children():
        found += [child, *(_inside(child) if child.is_group() else [])]
    return found


def _twin(copy: Any, image: Any, layer: Any) -> Any:
    """The same layer in a duplicate, found by its place: a duplicate has numbers of its own."""
    twin, siblings = None, copy.get_layers()
    for row in reversed(rows(image, layer)):
        twin = siblings[len(row.above)]
        siblings = twin.get_children() if twin.is_group() else []
    return twin


def _is_modified(layer: Any) -> bool:
    """Whether the layer shows as something else than its own pixels and mask."""
    masked_group = layer.is_group() and layer.get_mask() is not None
    return masked_group or layer.get_opacity() < 100.0 or bool(layer.get_filters())


def _show_only(image: Any, layer: Any) -> None:
    for row in rows(image, layer):
        for other in row.above + row.below:
            other.set_visible(False)
        row.child.set_visible(True)
        row.child.set_mode(Gimp.LayerMode.NORMAL)


def _flat(image: Any, rectangle: Rectangle, grain: Grain) -> bytes:
    """A rectangle of the image as it shows; outside the canvas everything is transparent."""
    flat = Gimp.Layer.new_from_visible(image, image, "flat")
    try:
        return grain.colours(flat.get_buffer(), rectangle)
    finally:
        flat.delete()
