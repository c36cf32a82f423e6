"""GIMP's colour tags as named areas, and which class each one stands for in this image."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, Mapping, Sequence

from gi.repository import Gimp

from intarsia_client.schema import COLOR_LABELS
from intarsia_gimp.texts import tr

CLASSES = "intarsia-classes"
"""The parasite on an image: class by colour tag, ``{"blue": "lemon"}``; saved with the image."""

SWATCHES = {
    "blue": 0x5A6EA8FF,
    "green": 0x759440FF,
    "yellow": 0xD6BA3CFF,
    "orange": 0xDB8033FF,
    "brown": 0x5F3D23FF,
    "red": 0xB0373BFF,
    "purple": 0x6A4AAFFF,
    "grey": 0x606060FF,
}
"""RGBA of each tag, close to how GIMP shows it in the list of layers."""


def name_of(tag: str) -> str:
    """A tag as GIMP's menu calls it."""
    names = {"purple": tr("Violet"), "grey": tr("Gray")}
    return names.get(tag) or tr(tag.capitalize())


def tag_of(layer: Any) -> str:
    """The layer's tag by its name in `COLOR_LABELS`, or nothing."""
    number = int(layer.get_color_tag())
    return COLOR_LABELS[number - 1] if 1 <= number <= len(COLOR_LABELS) else ""


def tagged(image: Any, picture: Any) -> dict[str, list[Any]]:
    """The visible layers with a tag, by tag in GIMP's order.

    Args:
        image: A `Gimp.Image`.
        picture: The layer that is edited, or None. It is no area itself, nor is what it is made of
            or a group that it lies in.
    """
    found: dict[str, list[Any]] = {}
    for layer in _visible(image.get_layers(), picture):
        tag = tag_of(layer)
        if tag and not _holds(layer, picture):
            found.setdefault(tag, []).append(layer)
    return {tag: found[tag] for tag in COLOR_LABELS if tag in found}


def binding_of(image: Any) -> dict[str, str]:
    """Class by tag as it was last used in this image."""
    parasite = image.get_parasite(CLASSES) if image is not None else None
    if parasite is None:
        return {}
    try:
        binding = json.loads(bytes(parasite.get_data()).decode("utf-8"))
    except ValueError:
        return {}
    if not isinstance(binding, dict):
        return {}
    return {k: v for k, v in binding.items() if isinstance(v, str) and isinstance(k, str)}


def remember(image: Any, binding: Mapping[str, str], shown: Iterable[str]) -> None:
    """Keep class by tag with the image, without an undo step.

    Args:
        image: A `Gimp.Image`, or None.
        binding: The classes chosen now.
        shown: The tags that could be chosen for; what is remembered of others stays.
    """
    if image is None or not image.is_valid():
        return
    before, chosen = binding_of(image), set(shown)
    after = {**{tag: name for tag, name in before.items() if tag not in chosen}, **binding}
    if after == before:
        return
    data = json.dumps(after, ensure_ascii=False).encode("utf-8")
    kept = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE
    image.undo_freeze()
    try:
        image.attach_parasite(Gimp.Parasite.new(CLASSES, kept, data))
    finally:
        image.undo_thaw()


def as_text(binding: Mapping[str, str]) -> str:
    """The text that `ClassBinding.parse` reads: ``"blue=lemon, green=lime"``."""
    return ", ".join(f"{tag}={wanted}" for tag, wanted in binding.items())


def _visible(layers: Sequence[Any], skipped: Any) -> Iterator[Any]:
    for layer in layers:
        if not layer.get_visible() or _same(layer, skipped):
            continue
        yield layer
        if layer.is_group():
            yield from _visible(layer.get_children(), skipped)


def _holds(group: Any, layer: Any) -> bool:
    while layer is not None:
        if _same(group, layer):
            return True
        layer = layer.get_parent()
    return False


def _same(one: Any, other: Any) -> bool:
    return other is not None and one.get_id() == other.get_id()
