"""What the layers of a result become in a document: layers with their masks, groups, animations.

A result is a flat list, the lowest layer first; this is how every front end reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator, List, Sequence, Union

from intarsia_client.schema import ResultLayer


@dataclass(frozen=True)
class Still:
    """One new layer."""

    number: int
    """Its index in the result's layers."""
    edge: int | None = None
    """Index of its transparency mask, or None."""


@dataclass(frozen=True)
class Animation:
    """Pictures that follow one another in time, in one place."""

    numbers: tuple[int, ...]
    """Their indices in the result's layers, the first picture first."""


@dataclass(frozen=True)
class Group:
    """A new group of layers."""

    name: str
    items: list[Still | Animation | Group] = field(default_factory=list)
    """The lowest first."""


Arranged = List[Union[Still, Animation, Group]]


def arranged(layers: Sequence[ResultLayer]) -> Arranged:
    """The new layers, groups and animations of a result, the lowest first.

    Args:
        layers: `intarsia_client.schema.Result.layers`.
    """
    edges = {layer.mask_of: number for number, layer in enumerate(layers)}
    found: Arranged = []
    for number, layer in enumerate(layers):
        if layer.mask_of is not None:
            continue
        siblings = _siblings(found, layer.group)
        last = siblings[-1] if siblings else None
        if layer.duration_ms is None:
            siblings.append(Still(number, edges.get(number)))
        elif isinstance(last, Animation):
            siblings[-1] = Animation((*last.numbers, number))
        else:
            siblings.append(Animation((number,)))
    return found


def face(layers: Sequence[ResultLayer]) -> ResultLayer:
    """The layer that stands for a whole result in a small picture: the topmost one with colours.

    Of an animation it is the first picture.
    """
    colors = [layer for layer in layers if layer.channels == 4]
    moving = [layer for layer in colors if layer.duration_ms is not None]
    return (moving[:1] or colors[-1:] or list(layers))[0]


def numbers_of(found: Arranged) -> Iterator[int]:
    """The indices of all layers in an arrangement, masks left out, the lowest first."""
    for item in found:
        if isinstance(item, Group):
            yield from numbers_of(list(item.items))
        elif isinstance(item, Animation):
            yield from item.numbers
        else:
            yield item.number


def _siblings(found: Arranged, group: str) -> list[Any]:
    """What a layer of that group lies among: the newest group, a new one, or all of them."""
    if not group:
        return found
    last = found[-1] if found else None
    if not isinstance(last, Group) or last.name != group:
        last = Group(group)
        found.append(last)
    return last.items
