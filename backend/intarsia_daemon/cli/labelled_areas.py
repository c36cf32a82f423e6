"""Areas from colour labels: labelled layers of the picture's own file, as the editors take them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from intarsia_client.schema import ClassBinding, Input, Operation
from intarsia_daemon.documents.document import Document, Layer


def open_areas(operation: Operation, given: Collection[str]) -> Input | None:
    """The operation's input for several areas, if it has one and nothing was given for it."""
    for item in operation.inputs:
        if item.role == "area" and item.several and item.name not in given:
            return item
    return None


def wanted_labels(
    operation: Operation, areas: Input, parameters: Mapping[str, Any]
) -> Collection[str] | None:
    """The labels whose areas are meant: those that have a class; None for all there are.

    An operation that gives classes to areas needs none while nobody gave a class to one.
    """
    for parameter in operation.parameters:
        if isinstance(parameter, ClassBinding) and parameter.input == areas.name:
            return set(parameters.get(parameter.name) or ())
    return None


def labelled_layers(
    document: Document, labels: Collection[str] | None, besides: Layer | None
) -> list[Layer]:
    """The visible layers and groups with pixels and one of these colour labels, top first.

    Args:
        document: Where they lie.
        labels: See `wanted_labels`.
        besides: The layer that is edited; it, what it holds and what holds it are no areas.
    """

    def visit(layers: Sequence[Layer]) -> Iterator[Layer]:
        for layer in layers:
            if not layer.visible or layer is besides:
                continue
            label = layer.color_label
            drawn = layer.array is not None or layer.children is not None
            named = bool(label) and (labels is None or label in labels)
            if named and drawn and not _holds(layer, besides):
                yield layer
            elif layer.children is not None:
                yield from visit(layer.children)

    return list(visit(document.layers))


def without(document: Document, layers: Sequence[Layer]) -> Document:
    """The document without these layers, and so without its stored flat picture."""
    left_out = {id(layer) for layer in layers}

    def keep(items: Sequence[Layer]) -> list[Layer]:
        return [
            item if item.children is None else replace(item, children=keep(item.children))
            for item in items
            if id(item) not in left_out
        ]

    return replace(document, layers=keep(document.layers), merged=None, notes=list(document.notes))


def _holds(layer: Layer, other: Layer | None) -> bool:
    return any(child is other or _holds(child, other) for child in layer.children or ())
