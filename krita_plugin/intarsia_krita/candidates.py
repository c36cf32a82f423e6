"""What the artist may choose an input from: the selection, masks and layers of a document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from intarsia_client.schema import ClassBinding, Input, Operation
from intarsia_krita.color_labels import label_of, labelled_layers, shown_name
from intarsia_krita.layer_tree import layers_below, layers_of, node_id, same_node, shows_below
from intarsia_krita.rough_pieces import pieces_input, roots_of
from intarsia_krita.texts import quoted, tr

SELECTION = "selection"
"""The selection, or no area where there is none."""
WHOLE = "whole"
"""No area, even where something is selected."""
CANVAS = "canvas"
"""Everything that shows, as large as the canvas."""
BELOW = "below"
"""Everything that shows below the pieces, as large as the canvas."""

_MASKS = ("transparencymask", "selectionmask")

Picks = Mapping[str, Sequence[str]]
"""By the name of an input, what it is read from: `SELECTION`, `WHOLE`, `CANVAS`, `BELOW` or ids of
layers and masks; for areas by colour label the labels that count. What is missing is as usual."""


@dataclass(frozen=True)
class Candidate:
    """One thing that an input can be read from."""

    value: str
    """One of the words above, the id of a layer or mask, or empty for nothing."""
    text: str


def needs_element(operation: Operation) -> bool:
    """Whether it puts something onto the picture: the active layer is that, not the picture."""
    return any(i.role == "element" and i.required for i in operation.inputs)


def chosen_inputs(operation: Operation) -> tuple[Input, ...]:
    """The inputs that the artist chooses; the others follow from the active layer and bindings."""
    bound = {p.input for p in operation.parameters if isinstance(p, ClassBinding)}
    fixed = ("picture",) if needs_element(operation) else ()
    pieces = pieces_input(operation)
    return tuple(
        i
        for i in operation.inputs
        if _is_chosen(i) and i is not pieces and i.name not in bound and i.role not in fixed
    )


def candidates(
    document: Any, wanted: Input, active: Any | None, operation: Operation | None = None
) -> list[Candidate]:
    """What an input can be read from now, the usual first for an area.

    Args:
        document: The open picture.
        wanted: One of `chosen_inputs`.
        active: The layer that the operation is about, or None.
        operation: Whose input it is: with pieces, a picture may be what lies below them.
    """
    if _by_label(wanted):
        labelled = labelled_layers(document, active)
        return [Candidate(label, _label_text(label, nodes)) for label, nodes in labelled.items()]
    layers = list(layers_of(document))[::-1]  # as Krita lists them: the topmost first
    if active is not None and _is_read_already(wanted, operation):
        layers = [n for n in layers if not same_node(n, active)]
    if wanted.role != "area":
        nothing = [] if wanted.required or wanted.several else [Candidate("", tr("None"))]
        if wanted.role == "picture":
            size = (document.width(), document.height())
            nothing.insert(0, Candidate(CANVAS, tr("Whole picture, %d×%d", *size)))
            if operation is not None and _piece_roots(document, operation, active):
                nothing.insert(0, Candidate(BELOW, tr("What lies below, %d×%d", *size)))
        return nothing + [Candidate(node_id(n), n.name()) for n in layers]
    found = [Candidate(SELECTION, _selection_text(document))]
    if not wanted.required:
        found.append(Candidate(WHOLE, tr("Not used")))
    for mask in active.childNodes() if active is not None else ():
        if mask.type() not in _MASKS:
            continue
        found.append(Candidate(node_id(mask), tr("Mask %s", quoted(mask.name()))))
    for layer in layers:
        if active is None or not same_node(layer, active):
            found.append(Candidate(node_id(layer), tr("Layer %s", quoted(layer.name()))))
    return found


def usual_pick(
    document: Any, operation: Operation, wanted: Input, active: Any | None
) -> tuple[str, ...]:
    """What an input is read from where nothing was chosen.

    A picture that may be missing is the active layer if the operation compares it with others, else
    the whole canvas: then it says no more than where and how large. Beside pieces, which the active
    layer is read for, it is what lies below them.
    """
    if wanted.role == "picture":
        if pieces_input(operation) is not None:
            roots = _piece_roots(document, operation, active)
            if not roots:
                return (CANVAS,)
            return (BELOW,) if shows_below(document, roots[0]) else ()
        if len(operation.inputs) == 1:
            return (CANVAS,)
        return (node_id(active),) if active is not None else ()
    if wanted.role == "area" and not wanted.several:
        return (SELECTION,)
    if not wanted.required:
        return ()
    if _by_label(wanted):
        return tuple(labelled_layers(document, active))
    others = [n for n in layers_of(document) if active is None or not same_node(n, active)]
    below = list(layers_below(document, active))[::-1] if active is not None else []
    nearest = below + [n for n in others if not any(same_node(n, b) for b in below)]
    label = label_of(active) if active is not None else ""
    alike = [n for n in nearest if label and label_of(n) == label]
    offered = alike + [n for n in nearest if not any(same_node(n, a) for a in alike)]
    alone = [i for i in operation.inputs if i.required and i.role == wanted.role and not i.several]
    place = min(alone.index(wanted) if wanted in alone else 0, max(0, len(offered) - 1))
    return tuple(node_id(n) for n in offered[place : place + 1])  # each input another layer


def _piece_roots(document: Any, operation: Operation, active: Any | None) -> list[Any]:
    """What pieces would be read from; nothing where they are not read, or not there."""
    pieces = pieces_input(operation)
    if pieces is None:
        return []
    return roots_of(document, replace(pieces, required=False), active)


def _is_read_already(wanted: Input, operation: Operation | None) -> bool:
    """Whether the active layer is read as something else, so that an input cannot be it, too."""
    if operation is None or wanted.role != "reference":
        return False
    return needs_element(operation) or wanted.required


def _is_chosen(wanted: Input) -> bool:
    return wanted.role in ("area", "reference", "templates") or (
        wanted.role in ("element", "picture") and not wanted.required
    )


def _by_label(wanted: Input) -> bool:
    """Whether its areas are layers with a colour label."""
    return wanted.role == "area" and wanted.several


def _label_text(label: str, nodes: Sequence[Any]) -> str:
    return "{}: {}".format(shown_name(label), ", ".join(node.name() for node in nodes))


def _selection_text(document: Any) -> str:
    selection = document.selection()
    if selection is not None:
        return tr("Selection, %d×%d", selection.width(), selection.height())
    return tr("Selection (nothing is selected)")
