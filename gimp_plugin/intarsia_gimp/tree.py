"""Layers of an image as a tree of groups: all of them, what lies around one, what holds several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Sequence


@dataclass(frozen=True)
class Row:
    """The layers of one group around one of its children."""

    above: list[Any]
    child: Any
    below: list[Any]


def layers_of(image: Any) -> list[Any]:
    """Every layer, those in groups too, topmost first."""
    return list(_walk(image.get_layers())) if image is not None else []


def rows(image: Any, layer: Any) -> list[Row]:
    """From the layer's own group outwards to the image."""
    found = []
    child = layer
    while child is not None:
        parent = child.get_parent()
        siblings = parent.get_children() if parent is not None else image.get_layers()
        index = [item.get_id() for item in siblings].index(child.get_id())
        found.append(Row(list(siblings[:index]), child, list(siblings[index + 1 :])))
        child = parent
    return found


def shows(layer: Any) -> bool:
    """Whether it is visible; of a group, whether anything in it is."""
    if not layer.get_visible():
        return False
    return any(shows(child) for child in layer.get_children()) if layer.is_group() else True


def outermost(image: Any, layers: Sequence[Any]) -> list[Any]:
    """The layers from back to front, without those that lie in a group among them."""
    wanted = {layer.get_id() for layer in layers}

    def inside(layer: Any) -> bool:
        return any(row.child.get_id() in wanted for row in rows(image, layer)[1:])

    found = [layer for layer in layers_of(image) if layer.get_id() in wanted]
    return [layer for layer in reversed(found) if not inside(layer)]


def cover(image: Any, layers: Sequence[Any]) -> Any:
    """What a layer must lie above to lie above all of these: one of them, or a group; None if none.

    It is in the innermost group that holds all of them.
    """
    chains = [[row.child for row in rows(image, layer)][::-1] for layer in layers]
    if not chains:
        return None
    depth = 0
    while all(len(chain) > depth + 1 for chain in chains) and (
        len({chain[depth].get_id() for chain in chains}) == 1
    ):
        depth += 1
    wanted = {chain[depth].get_id() for chain in chains}
    parent = chains[0][depth].get_parent()
    siblings = parent.get_children() if parent is not None else image.get_layers()
    return next(layer for layer in siblings if layer.get_id() in wanted)


def _walk(layers: Sequence[Any]) -> Iterator[Any]:
    for layer in layers:
        yield layer
        if layer.is_group():
            yield from _walk(layer.get_children())
