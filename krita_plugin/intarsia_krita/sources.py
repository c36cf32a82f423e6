"""Where the pixels of each input come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from intarsia_client.schema import Input, Operation
from intarsia_krita.candidates import (
    BELOW,
    CANVAS,
    SELECTION,
    WHOLE,
    Picks,
    needs_element,
    usual_pick,
)
from intarsia_krita.color_labels import labelled_layers
from intarsia_krita.layer_tree import find_node, shows_below
from intarsia_krita.rough_pieces import pieces_input, pieces_of, roots_of
from intarsia_krita.texts import quoted, tr
from intarsia_krita.wire_pixels import Rectangle, around, crop, rectangle, refuse


@dataclass(frozen=True)
class Source:
    """Where the pixels of one input come from."""

    input: str
    kind: str
    """``below`` (everything visible below the node), ``canvas``, ``layer``, ``piece`` (a layer as
    opaque as it shows, with those that inherit its alpha), ``selection``, ``mask`` or ``coverage``
    (how opaque the nodes are)."""
    bounds: Rectangle
    name: str
    """What the artist calls it; for an area by label the label's name in the schema."""
    nodes: tuple[Any, ...] = ()


def sources_of(
    document: Any,
    operation: Operation,
    wanted: Input,
    active: Any | None,
    size: tuple[int, int],
    picks: Picks,
) -> list[Source]:
    """What one input is read from; several for an input that may be given several times.

    Raises:
        InvalidRequest: It is needed and there is nothing, or what was chosen is gone or empty.
    """
    whole = (0, 0, *size)
    if wanted.role == "picture":
        if needs_element(operation):
            return [Source(wanted.name, "below", whole, tr("Below"), (active,))]
        if wanted.required:
            return [_layer_source(wanted, active, size)]
    if wanted.role == "element" and wanted.required:
        return [_layer_source(wanted, active, size)]
    if wanted is pieces_input(operation):
        roots = roots_of(document, wanted, active, picks.get(wanted.name))
        found = [
            Source(wanted.name, "piece", piece.bounds, piece.name, piece.nodes)
            for piece in pieces_of(document, roots, size)
        ]
    elif wanted.role == "area" and wanted.several:
        found = _labelled_sources(document, wanted, active, size, picks)
    else:
        chosen = tuple(picks.get(wanted.name, usual_pick(document, operation, wanted, active)))
        if BELOW in chosen:
            return [_below_pieces(document, operation, wanted, size, picks)]
        found = _chosen_sources(document, wanted, active, size, chosen)
    if wanted.required and not found:
        raise refuse(tr("%s needs: %s.", operation.title, wanted.label), wanted.help)
    return found


def _below_pieces(
    document: Any, operation: Operation, wanted: Input, size: tuple[int, int], picks: Picks
) -> Source:
    """What shows below the lowest of the pieces, or of the group that holds them."""
    pieces = pieces_input(operation)
    roots = picks.get(pieces.name, ()) if pieces is not None else ()
    lowest = find_node(document, roots[0]) if roots else None
    if lowest is None or not shows_below(document, lowest):
        raise refuse(
            tr("Nothing shows below that could be %s.", quoted(wanted.label)),
            tr("Choose another layer for it, or none."),
        )
    return Source(wanted.name, "below", (0, 0, *size), tr("Below"), (lowest,))


def _labelled_sources(
    document: Any,
    wanted: Input,
    active: Any | None,
    size: tuple[int, int],
    picks: Picks,
) -> list[Source]:
    found = []
    others = {value for name, values in picks.items() if name != wanted.name for value in values}
    labels = picks.get(wanted.name)
    for label, nodes in labelled_layers(document, active, others).items():
        places = [crop(rectangle(node.bounds()), size) for node in nodes]
        filled = [place for place in places if place is not None]
        if filled and (labels is None or label in labels):
            bounds = around(filled)
            found.append(Source(wanted.name, "coverage", bounds, label, tuple(nodes)))
    return found


def _chosen_sources(
    document: Any, wanted: Input, active: Any | None, size: tuple[int, int], chosen: Sequence[str]
) -> list[Source]:
    found = []
    for value in chosen:
        if value == SELECTION:
            bounds = _selection_bounds(document, size)
            if bounds is not None:
                found.append(Source(wanted.name, "selection", bounds, tr("Selection")))
        elif value == CANVAS:
            found.append(Source(wanted.name, "canvas", (0, 0, *size), tr("Canvas")))
        elif value and value != WHOLE:
            node = find_node(document, value)
            if node is None:
                raise refuse(
                    tr("The layer chosen as %s is gone.", quoted(wanted.label)),
                    tr("Choose another one."),
                )
            found.append(_node_source(wanted, node, active, size))
    return found


def _node_source(wanted: Input, node: Any, active: Any | None, size: tuple[int, int]) -> Source:
    if wanted.role != "area":
        return _layer_source(wanted, node, size)
    if not node.type().endswith("mask"):
        return _layer_source(wanted, node, size, "coverage")
    place = crop(rectangle(node.bounds()), size)
    around = crop(rectangle(active.bounds()), size) if active is not None else place
    bounds = _overlap(place, around)
    if bounds is None:
        raise _empty(node)
    return Source(wanted.name, "mask", bounds, node.name(), (node,))


def _layer_source(wanted: Input, node: Any, size: tuple[int, int], kind: str = "layer") -> Source:
    bounds = crop(rectangle(node.bounds()), size)
    if bounds is None:
        raise _empty(node)
    return Source(wanted.name, kind, bounds, node.name(), (node,))


# --- rectangles -----------------------------------------------------------------------------------


def _empty(node: Any) -> Exception:
    return refuse(
        tr("The layer %s is empty inside the picture.", quoted(node.name())),
        tr("Choose a layer with something on it."),
    )


def _selection_bounds(document: Any, size: tuple[int, int]) -> Rectangle | None:
    selection = document.selection()
    if selection is None or not (selection.width() and selection.height()):
        return None
    found = crop(rectangle(selection), size)
    if found is None:
        raise refuse(
            tr("The selection lies wholly outside of the picture."),
            tr("Select something in it, or nothing."),
        )
    return found


def _overlap(one: Rectangle | None, other: Rectangle | None) -> Rectangle | None:
    if one is None or other is None:
        return None
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = (
        min(one[0] + one[2], other[0] + other[2]),
        min(one[1] + one[3], other[1] + other[3]),
    )
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
