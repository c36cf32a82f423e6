"""New layers, masks, groups and channels in an image, filled with a result's pixels.

A result is arranged as `intarsia_client.arrangement` says. Pictures of an animation are layers that
say how long they show, as GIMP's own animations are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from gi.repository import Gegl, Gimp

from intarsia_client.arrangement import Animation, Arranged, Group, arranged
from intarsia_client.schema import ITEM_BYTES, ResultLayer
from intarsia_gimp.reading import COLOUR_FORMATS, COVERAGE_FORMATS


@dataclass
class Inserted:
    """What is new in an image."""

    drawables: dict[int, Any] = field(default_factory=dict)
    """By the number of a result layer the layer, mask or channel that it became."""
    tops: list[Any] = field(default_factory=list)
    """What is new beside the layer it was put above: layers, groups, channels, the lowest first."""
    groups: list[Any] = field(default_factory=list)


def insert_above(image: Any, anchor: Any, layers: Sequence[ResultLayer]) -> Inserted:
    """Insert a result's layers.

    Args:
        image: A `Gimp.Image`.
        anchor: The layer that they go above, or None for the top of the image.
        layers: The lowest first.
    """
    made = Inserted()
    parent = anchor.get_parent() if anchor is not None else None
    made.tops = _insert(made, image, parent, anchor, layers, arranged(layers))
    return made


def fill(drawable: Any, item: ResultLayer) -> None:
    """Write a result's pixels where they belong on the canvas; what lies beyond it is left out.

    (GIMP kills a plug-in that writes beyond a drawable.)
    """
    x = y = 0
    if not drawable.is_layer():
        origin = (False, 0, 0)
        if drawable.is_layer_mask():
            origin = Gimp.Layer.from_mask(drawable).get_offsets()
        x, y = item.x - origin[-2], item.y - origin[-1]
    formats = COVERAGE_FORMATS if item.channels == 1 else COLOUR_FORMATS
    size = drawable.get_width(), drawable.get_height()
    left, top, width, height = _inside(x, y, item, size)
    if width <= 0 or height <= 0:
        return
    data = bytes(item.data)
    if (width, height) != (item.width, item.height):
        data = _cut(data, item, (left - x, top - y, width, height))
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(left, top, width, height), formats[item.dtype], data)
    buffer.flush()
    drawable.update(0, 0, *size)


def _inside(x: int, y: int, item: ResultLayer, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What of an item at that place lies in a drawable of that size."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + item.width), min(size[1], y + item.height)
    return left, top, right - left, bottom - top


def _cut(data: bytes, item: ResultLayer, part: tuple[int, int, int, int]) -> bytes:
    """A rectangle of an item's pixels."""
    x, y, width, height = part
    pixel = item.channels * ITEM_BYTES[item.dtype]
    line = item.width * pixel
    begins = (row * line + x * pixel for row in range(y, y + height))
    return b"".join(data[begin : begin + width * pixel] for begin in begins)


def _insert(
    made: Inserted,
    image: Any,
    parent: Any,
    below: Any,
    layers: Sequence[ResultLayer],
    items: Arranged,
) -> list[Any]:
    """Insert items above each other; returns what lies in the parent, the lowest first."""
    found = []
    for item in items:
        if isinstance(item, Group):
            group = Gimp.GroupLayer.new(image, item.name)
            found.append(_put(image, group, parent, below))
            made.groups.append(group)
            _insert(made, image, group, None, layers, item.items)
        elif isinstance(item, Animation):
            for number in item.numbers:
                layer = _new_layer(image, layers[number], name_of_frame(layers[number]))
                made.drawables[number] = layer
                found.append(_put(image, layer, parent, below))
                below = layer
        elif layers[item.number].channels == 1:
            made.drawables[item.number] = _new_channel(image, layers[item.number])
            found.append(made.drawables[item.number])
            continue
        else:
            layer = _new_layer(image, layers[item.number], layers[item.number].name)
            made.drawables[item.number] = layer
            found.append(_put(image, layer, parent, below))
            if item.edge is not None:
                made.drawables[item.edge] = _new_mask(layer, layers[item.edge])
        below = found[-1]
    return found


def _put(image: Any, layer: Any, parent: Any, below: Any) -> Any:
    """Insert a layer above another one, or on top of all."""
    image.insert_layer(layer, parent, image.get_item_position(below) if below else 0)
    return layer


def name_of_frame(item: ResultLayer) -> str:
    """What GIMP's animation playback and its GIF export read: how long it shows, alone."""
    return f"{item.name} ({max(1, round(item.duration_ms or 0))}ms) (replace)"


def _new_layer(image: Any, item: ResultLayer, name: str) -> Any:
    """A layer with its pixels, not yet in the image: what is inserted filled comes back by redo."""
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = Gimp.ImageType.GRAYA_IMAGE if gray else Gimp.ImageType.RGBA_IMAGE
    layer = Gimp.Layer.new(image, name, item.width, item.height, kind, 100.0, Gimp.LayerMode.NORMAL)
    layer.set_offsets(item.x, item.y)
    fill(layer, item)
    return layer


def _new_channel(image: Any, item: ResultLayer) -> Any:
    channel = Gimp.Channel.new(
        image, item.name, image.get_width(), image.get_height(), 50.0, Gegl.Color.new("red")
    )
    image.insert_channel(channel, None, 0)
    fill(channel, item)
    return channel


def _new_mask(layer: Any, item: ResultLayer) -> Any:
    """A layer's mask. Shares of several layers add up only where they are mixed as stored."""
    layer.set_blend_space(Gimp.LayerColorSpace.RGB_PERCEPTUAL)
    layer.set_composite_space(Gimp.LayerColorSpace.RGB_PERCEPTUAL)
    mask = layer.create_mask(Gimp.AddMaskType.BLACK)
    layer.add_mask(mask)
    fill(mask, item)
    return mask
