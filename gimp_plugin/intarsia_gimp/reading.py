"""The pixels of what was found in a GIMP image, for the engine; reads only, changes nothing.

Layers are read in the image's own precision (8 bit, 16 bit, float), in sRGB with straight alpha.
Everything that needs another view of the image (what lies below, a layer mask applied) is taken
from a duplicate, so the artist's image, its undo history and its masks stay as they are.
"""

from __future__ import annotations

from typing import Any, Sequence

from gi.repository import Gegl, Gimp

from intarsia_client.schema import Pixels
from intarsia_gimp import canvas
from intarsia_gimp.canvas import Rectangle, Source, Sources, rectangle_of, rows
from intarsia_gimp.inputs import layers_of

COLOUR_FORMATS = {"u8": "R'G'B'A u8", "u16": "R'G'B'A u16", "f32": "R'G'B'A float"}
"""What babl calls our samples; the primes mean sRGB's curve (an unknown name would abort GIMP)."""
COVERAGE_FORMATS = {"u8": "Y u8", "u16": "Y u16", "f32": "Y float"}
"""Without prime: coverage is linear, a curve would bend soft edges."""
_ITEMS: dict[str, Any] = {"u8": "B", "u16": "H", "f32": "f"}


def read(sources: Sources) -> list[Pixels]:
    """The pixels of everything in ``sources``, in the same order."""
    if not sources.found:
        return []
    dtype = sample_type(sources.image)
    return [_read(sources.image, source, dtype) for source in sources.found]


def sample_type(image: Any) -> str:
    """``"u8"``, ``"u16"`` or ``"f32"`` after the image's precision; more than 16 bit is float."""
    nick = image.get_precision().value_nick
    return {"u8": "u8", "u16": "u16"}.get(nick.split("-", 1)[0], "f32")


def _read(image: Any, source: Source, dtype: str) -> Pixels:
    place, channels = source.rectangle, 4
    if source.kind == canvas.BELOW:
        data = _below(image, source.items[0], dtype)
    elif source.kind == canvas.VISIBLE:
        data = _flat(image, place, dtype)
    elif source.kind == canvas.LAYER:
        data = _as_seen(image, source.items[0], dtype)
    else:
        channels = 1
        if source.kind == canvas.TAG:
            data = _together(image, source.items, place, dtype)
        elif source.kind == canvas.COVERAGE:
            size = (0, 0, place[2], place[3])
            data = _get(source.items[0].get_buffer(), size, COVERAGE_FORMATS[dtype])
        else:
            data = _get(image.get_selection().get_buffer(), place, COVERAGE_FORMATS[dtype])
    x, y, width, height = place
    return Pixels(source.input, width, height, channels, data, dtype, x, y, source.name)


def _get(buffer: Any, rectangle: Rectangle, babl_format: str) -> bytes:
    return buffer.get(Gegl.Rectangle.new(*rectangle), 1.0, babl_format, Gegl.AbyssPolicy.NONE)


def _below(image: Any, layer: Any, dtype: str) -> bytes:
    """Everything visible below the layer, flattened onto the canvas."""
    copy = image.duplicate()
    try:
        twin = _twin(copy, image, layer)
        for row in rows(copy, twin):
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
    chain = [row.child for row in rows(image, layer)]
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


def _together(image: Any, layers: Sequence[Any], rectangle: Rectangle, dtype: str) -> bytes:
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
        colours = memoryview(_flat(copy, rectangle, dtype)).cast(_ITEMS[dtype])
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


def _flat(image: Any, rectangle: Rectangle, dtype: str) -> bytes:
    """A rectangle of the image as it shows; outside the canvas everything is transparent."""
    flat = Gimp.Layer.new_from_visible(image, image, "flat")
    try:
        return _get(flat.get_buffer(), rectangle, COLOUR_FORMATS[dtype])
    finally:
        flat.delete()
