"""Which layers, channels and tags fill an operation's inputs, as a text and as GIMP's objects.

A procedure's arguments are texts that survive GIMP's "last used" values and are easy to write in a
script; the dialog writes the same texts.

Layers: one per line, by name or as ``#ID`` with GIMP's number of the layer. An optional picture may
also be ``image`` (as it shows, the default), ``below`` (what shows below the pieces: the default
where there are some) or ``none``.
Area: ``selection`` (the default), ``none``, ``mask`` (the chosen layer's) or ``channel NAME``.
Areas by colour tag, where nothing else says which: ``none`` (the default), ``tags`` or some tags
with commas between.
Pieces: as `intarsia_gimp.pieces` says.
"""

from __future__ import annotations

import contextlib
from typing import Any, Mapping, Sequence

from gi.repository import Gimp

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ClassBinding, Input, Operation
from intarsia_gimp.texts import tr
from intarsia_gimp.tree import layers_of, outermost

SELECTION, NOTHING, MASK, CHANNEL = "selection", "none", "mask", "channel "
IMAGE, TAGS, FOLDER, BELOW = "image", "tags", "folder ", "below"


def has_element(operation: Operation) -> bool:
    """Whether the chosen layer is an element and the picture is what lies below it."""
    return any(item.role == "element" and item.required for item in operation.inputs)


def needs_layer(operation: Operation) -> bool:
    """Whether it cannot run without a chosen layer."""
    return any(item.role in ("picture", "element") and item.required for item in operation.inputs)


def uses_image(operation: Operation) -> bool:
    """Whether it may read anything from an image."""
    return bool(operation.inputs)


def takes_layers(item: Input) -> bool:
    """Whether the artist chooses layers for this input, beside the one that is active."""
    if item.role in ("picture", "element"):
        return not item.required
    return item.role in ("reference", "templates")


def takes_pieces(item: Input) -> bool:
    """Whether it is the group or the several layers that the artist has chosen."""
    return item.role == "templates"


def takes_area(item: Input) -> bool:
    """Whether it is one area: the selection, unless the artist says otherwise."""
    return item.role == "area" and not item.several


def chosen_inputs(operation: Operation) -> list[Input]:
    """The inputs that have an argument of their own, in the declared order.

    Areas that a parameter gives classes to have none: those with a class are taken.
    """
    return [
        item
        for item in operation.inputs
        if takes_layers(item) or (item.role == "area" and not is_bound(item, operation))
    ]


def is_bound(item: Input, operation: Operation) -> bool:
    """Whether a parameter gives a class to each of these areas by its name."""
    return any(isinstance(p, ClassBinding) and p.input == item.name for p in operation.parameters)


def default_of(item: Input, operation: Operation) -> str:
    """The text of an input that nobody chose anything for."""
    if item.role == "area":
        return NOTHING if item.several else SELECTION
    if item.role == "picture":
        return BELOW if any(takes_pieces(other) for other in operation.inputs) else IMAGE
    return ""


# --- layers ---------------------------------------------------------------------------------------


def written(image: Any) -> list[tuple[str, Any]]:
    """Every layer with the word that means it: its name where that is enough, else its number."""
    layers = layers_of(image)
    names = [layer.get_name() for layer in layers]

    def word(layer: Any, name: str) -> str:
        plain = name == name.strip() and name.isprintable() and not name.startswith(("#", FOLDER))
        if plain and names.count(name) == 1 and name not in (IMAGE, NOTHING, BELOW):
            return name
        return f"#{layer.get_id()}"

    return [(word(layer, name), layer) for layer, name in zip(layers, names)]


def named(image: Any, text: str, item: Input) -> list[Any]:
    """The layers that a text names.

    Raises:
        InvalidRequest: There is no such layer, several have that name, or more than one is named
            for an input that takes one.
    """
    words = [line.strip() for line in text.splitlines() if line.strip()]
    if len(words) > 1 and not item.several:
        raise InvalidRequest(
            tr("%s takes one layer, %d are named.") % (tr(item.label), len(words)),
            value=len(words),
            remedy=tr("Name one layer."),
        )
    return [_layer(image, word, item) for word in words]


def nearest(image: Any, layer: Any, taken: Sequence[int] = ()) -> Any:
    """The visible layer that lies next below, else next above, in the same group; None if none.

    Args:
        image: A `Gimp.Image`.
        layer: The layer, or None.
        taken: Numbers of layers that do not count.
    """
    if layer is None:
        return None
    parent = layer.get_parent()
    siblings = list(parent.get_children() if parent is not None else image.get_layers())
    index = [other.get_id() for other in siblings].index(layer.get_id())
    around = siblings[index + 1 :] + siblings[:index][::-1]
    return next((x for x in around if x.get_visible() and x.get_id() not in taken), None)


def unnamed(
    image: Any, layer: Any, operation: Operation, texts: Mapping[str, str]
) -> dict[str, Any]:
    """What required layers are taken from where none is named: the nearest, each another one.

    Args:
        image: A `Gimp.Image`.
        layer: The layer that is edited, or None.
        operation: The declaration.
        texts: By input: what is named.

    Returns:
        A layer for each such input, None where there are not enough.
    """
    found: dict[str, Any] = {}
    taken: list[int] = []
    for item in operation.inputs:
        if takes_layers(item) and texts.get(item.name):
            with contextlib.suppress(InvalidRequest):  # running says what is wrong with it
                taken += [x.get_id() for x in named(image, texts[item.name], item)]
    for item in operation.inputs:
        if item.role == "reference" and item.required and not texts.get(item.name):
            found[item.name] = nearest(image, layer, taken)
            taken += [found[item.name].get_id()] if found[item.name] is not None else []
    return found


def _layer(image: Any, word: str, item: Input) -> Any:
    layers = layers_of(image)
    if word.startswith("#") and word[1:].isdigit():
        found = [layer for layer in layers if layer.get_id() == int(word[1:])]
    else:
        found = [layer for layer in layers if layer.get_name() == word]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(
            tr("%s: %d layers are called “%s”.") % (tr(item.label), len(found), word),
            value=word,
            remedy=tr("Give the layer another name."),
        )
    names = ", ".join(f"“{layer.get_name()}”" for layer in layers) or tr("none")
    raise InvalidRequest(
        tr("%s: the image has no layer “%s”.") % (tr(item.label), word),
        value=word,
        remedy=tr("It has: %s.") % names,
    )


# --- area -----------------------------------------------------------------------------------------


def area_options(image: Any, layer: Any) -> list[tuple[str, str]]:
    """What an area can be taken from in this image: (text, label), the selection first."""
    options = [(SELECTION, tr("Selection"))]
    if layer is not None and layer.get_mask() is not None:
        options.append((MASK, tr("Mask of the layer")))
    for channel in image.get_channels() if image is not None else []:
        name = channel.get_name()
        options.append((CHANNEL + name, tr("Channel “%s”") % name))
    return [*options, (NOTHING, tr("None"))]


def area_drawable(image: Any, layer: Any, text: str, item: Input) -> Any:
    """The mask or channel that an area's text means; None for ``selection`` and ``none``.

    Raises:
        InvalidRequest: It means nothing, or the layer has no mask or the image no such channel.
    """
    if text in ("", SELECTION, NOTHING):
        return None
    if text == MASK:
        mask = layer.get_mask() if layer is not None else None
        if mask is not None:
            return mask
        what = tr("%s: the layer has no mask.") % tr(item.label)
    elif text.startswith(CHANNEL):
        channel = image.get_channel_by_name(text[len(CHANNEL) :]) if image is not None else None
        if channel is not None:
            return channel
        what = tr("%s: the image has no channel “%s”.") % (tr(item.label), text[len(CHANNEL) :])
    else:
        what = tr("%s: “%s” is no area.") % (tr(item.label), text)
    raise InvalidRequest(
        what,
        value=text,
        remedy=tr("Use selection, mask, channel NAME or none."),
    )


# --- what GIMP hands to a procedure ---------------------------------------------------------------


def chosen_layer(image: Any, drawables: Sequence[Any]) -> Any:
    """The one layer that the artist chose; a layer mask means its layer.

    Raises:
        InvalidRequest: It is not exactly one, or it is a channel or a floating selection.
    """
    layers = _chosen(image, drawables)
    if len(layers) != 1:
        raise InvalidRequest(
            tr("%d layers are chosen, it must be one.") % len(layers),
            value=len(layers),
            remedy=tr("Choose one layer in the Layers list. Several layers can go into a group."),
        )
    _check_layers(layers)
    return layers[0]


def chosen_layers(image: Any, drawables: Sequence[Any]) -> list[Any]:
    """All layers that the artist chose, back to front; of a group and what is in it the group.

    Raises:
        InvalidRequest: One of them is a channel or a floating selection.
    """
    layers = _chosen(image, drawables)
    _check_layers(layers)
    return outermost(image, layers)


def _chosen(image: Any, drawables: Sequence[Any]) -> list[Any]:
    if image.get_floating_sel() is not None:
        raise InvalidRequest(
            tr("What you pasted is still floating."),
            remedy=tr("Make it a layer of its own (Layer ▸ To New Layer), then run again."),
        )
    return [Gimp.Layer.from_mask(d) if d.is_layer_mask() else d for d in drawables]


def _check_layers(layers: Sequence[Any]) -> None:
    if any(layer is None or not layer.is_layer() for layer in layers):
        raise InvalidRequest(
            tr("A channel is chosen, not a layer."),
            remedy=tr("Choose the layer in the Layers list, then run again."),
        )
