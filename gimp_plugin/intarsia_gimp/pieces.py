"""Rough pieces that lie over each other: a group's layers, chosen layers, or pictures of a folder.

The text of such an input is empty for what is chosen in the Layers list, the name (or ``#ID``) of a
group, the names of layers, one per line, or ``folder PATH``. Layers lie as they lie in the image,
in whatever order they are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation
from intarsia_gimp import inputs, tree
from intarsia_gimp.texts import tr

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".ora", ".png", ".psd", ".tif", ".tiff", ".webp")
SUFFIXES += (".xcf",)
"""File names that are taken for pictures in a folder; GIMP opens all of them."""


@dataclass(frozen=True)
class Pieces:
    """What was found, back to front, and where a picture made of them belongs."""

    layers: tuple[Any, ...] = ()
    files: tuple[Path, ...] = ()
    group: Any = None
    """The group whose layers they are, or None."""
    cover: Any = None
    """What the result must lie above: the group, or what holds all of the layers."""


def find(
    image: Any, chosen: Sequence[Any], edited: Any, text: str, item: Input, operation: Operation
) -> Pieces:
    """The pieces that a text means.

    Args:
        image: A `Gimp.Image`, or None.
        chosen: What the artist has chosen in the Layers list, back to front.
        edited: The one group that is chosen, or that a chosen result was made from; else None.
        text: As this module's docstring says.
        item: The input.
        operation: Whose input it is.

    Raises:
        InvalidRequest: There are none where some are needed, or the text names what is not there.
    """
    text = text.strip()
    if text.startswith(inputs.FOLDER):
        return Pieces(files=_files(text, item))
    layers = inputs.named(image, text, item) if image is not None else []
    if not layers and inputs.needs_layer(operation):
        layers = []  # what is chosen is edited, and is no piece of its own making
    elif not layers:
        layers = [edited] if _is_group(edited) else list(chosen)
        if len(layers) == 1 and not _is_group(layers[0]):
            if item.required:
                raise _one_layer(layers[0], operation)
            layers = []
    if not layers and item.required:
        raise _nothing(image, item, operation)
    if len(layers) == 1 and _is_group(layers[0]):
        return _of_group(layers[0], item)
    layers = tree.outermost(image, layers)
    return Pieces(tuple(layers), cover=tree.cover(image, layers))


def _is_group(layer: Any) -> bool:
    return layer is not None and layer.is_group()


def _of_group(group: Any, item: Input) -> Pieces:
    """Its visible layers; a group among them is one piece."""
    layers = tuple(child for child in reversed(group.get_children()) if tree.shows(child))
    if not layers:
        raise InvalidRequest(
            tr("%s: nothing in the group “%s” is visible.") % (tr(item.label), group.get_name()),
            value=group.get_name(),
            remedy=tr("Show the layers that are meant, then run again."),
        )
    return Pieces(layers, group=group, cover=group)


def _files(text: str, item: Input) -> tuple[Path, ...]:
    folder = Path(text[len(inputs.FOLDER) :].strip()).expanduser()
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise InvalidRequest(
            tr("%s: the folder %s cannot be read (%s).")
            % (tr(item.label), folder, error.strerror or error),
            value=str(folder),
            remedy=tr("Name a folder with pictures, from the root on."),
        ) from None
    if not found:
        raise InvalidRequest(
            tr("%s: the folder %s holds no pictures.") % (tr(item.label), folder),
            value=str(folder),
            remedy=tr("Name a folder with PNG, JPEG, TIFF, WebP or layered files."),
        )
    return tuple(found)


def _nothing(image: Any, item: Input, operation: Operation) -> InvalidRequest:
    if image is None:
        return InvalidRequest(
            tr("There is no image."), remedy=tr("Open a picture, then run again.")
        )
    return InvalidRequest(
        tr("%s needs a group of layers: %s.") % (tr(operation.title), tr(item.label)),
        remedy=_remedy(),
    )


def _one_layer(layer: Any, operation: Operation) -> InvalidRequest:
    parent = layer.get_parent()
    remedy = _remedy()
    if parent is not None:
        remedy = tr("Choose the group “%s” that it lies in, then run again.") % parent.get_name()
    return InvalidRequest(
        tr("%s needs a group or several layers, and “%s” is one layer.")
        % (tr(operation.title), layer.get_name()),
        value=layer.get_name(),
        remedy=remedy,
    )


def _remedy() -> str:
    return tr(
        "Put each piece on a layer of its own, put these layers into a group, choose the group in "
        "the Layers list and run again. Several layers can also be chosen together."
    )
