"""An animation as an image of its own.

GIMP's playback and its GIF and WebP export take every layer of an image for a picture of the
animation, so that among other layers it could not be played.
"""

from __future__ import annotations

from typing import Any

from gi.repository import Gimp

from intarsia_client.schema import Result
from intarsia_gimp import inserting, placement
from intarsia_gimp.placement import Place, Placed, Preview
from intarsia_gimp.texts import tr


def keep(place: Place, result: Result) -> Placed:
    """Give a result to the artist: an animation as a new image, everything else as new layers.

    Raises:
        InvalidRequest: As `intarsia_gimp.placement.insert` does.
    """
    if not result.layers or any(layer.duration_ms is None for layer in result.layers):
        return placement.insert(place, result)
    shown = Preview(place, result.layers)
    if shown.image is None:  # closed: the pictures open as a new image anyway
        return placement.insert(place, result)
    try:
        image = _film(shown, result)
    finally:
        shown.remove()
    layers = image.get_layers()[::-1]
    placement.store_recipe(image, layers, result.recipe)
    if Gimp.default_display() is not None:
        Gimp.Display.new(image)
        Gimp.displays_flush()
    text = tr("The animation opened as a new image. Filters > Animation > Playback plays it.")
    return Placed(image, layers, text, True)


def _film(shown: Preview, result: Result) -> Any:
    """One layer for each picture: the whole image, as it shows with that picture in its place."""
    source = shown.image
    made = Gimp.Image.new_with_precision(
        source.get_width(), source.get_height(), source.get_base_type(), source.get_precision()
    )
    made.set_color_profile(source.get_effective_color_profile())
    made.undo_disable()
    for number, item in enumerate(result.layers):
        shown.show([other == number for other in range(len(result.layers))])
        layer = Gimp.Layer.new_from_visible(source, made, inserting.name_of_frame(item))
        made.insert_layer(layer, None, 0)
    made.undo_enable()
    return made
