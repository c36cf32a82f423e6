"""What a run would read from the open document, without a pixel being touched.

An operation that needs an element puts the active layer onto everything visible below it; one that
makes something of rough pieces takes those in the active group. For all others the active layer is
the picture; where they need none it can be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from krita import Krita

from intarsia_client.schema import Operation
from intarsia_krita.candidates import Picks, needs_element
from intarsia_krita.color_labels import shown_name
from intarsia_krita.layer_tree import LAYER_TYPES, node_id, same_node, shows_below
from intarsia_krita.rough_pieces import pieces_input, roots_of
from intarsia_krita.sources import Source, sources_of
from intarsia_krita.texts import quoted, tr
from intarsia_krita.wire_pixels import around, refuse


@dataclass(frozen=True)
class Situation:
    """What a run would read now."""

    document: str
    """Id of the open document, stable while it is open; empty where none is."""
    document_name: str
    size: tuple[int, int]
    active: Any | None
    """The layer that the run is about; the result lies above it. None: on top of all."""
    sources: tuple[Source, ...]
    operation: Operation
    roots: tuple[Any, ...] = ()
    """The group that holds the pieces, or the layers that are the pieces, the lowest first."""

    @property
    def active_id(self) -> str | None:
        """Id of the layer that the run is about."""
        return node_id(self.active) if self.active is not None else None

    @property
    def title(self) -> str:
        """What a list of jobs calls what was read."""
        return str(self.active.name()) if self.active is not None else ""

    def sizes(self) -> list[dict[str, Any]]:
        """The sizes of what a run would read, for an estimate of its time."""
        names = ("x", "y", "width", "height")
        return [dict(zip(names, source.bounds), input=source.input) for source in self.sources]

    @property
    def reads_active(self) -> bool:
        """Whether the active layer is what is read."""
        return bool(self.roots) or any(
            node is self.active for source in self.sources for node in source.nodes
        )

    def mark_ids(self) -> tuple[str, ...]:
        """Ids of the layers that only say where: areas, and pieces that were moved."""
        inputs = {i.name: i for i in self.operation.inputs}
        found = []
        for source in self.sources:
            piece = inputs[source.input].role == "element" and not inputs[source.input].required
            if source.kind == "coverage" or piece:
                found += [node_id(node) for node in source.nodes]
        return tuple(found)

    def sentence(self) -> str:
        """The *Reads* line of the panel."""
        return "".join(_sentence_parts(self))


def document_id(document: Any) -> str:
    """An id of the open document; another one after it was closed and opened again."""
    return node_id(document.rootNode())


def document_name(document: Any) -> str:
    """What the artist calls the document: the file's name, or the title."""
    path = document.fileName() or ""
    return path.replace("\\", "/").rsplit("/", 1)[-1] or document.name() or tr("Unnamed")


def open_document(key: str) -> Any | None:
    """The open document of that id; for an empty one the active document."""
    if not key:
        return Krita.instance().activeDocument()
    for document in Krita.instance().documents():
        if document_id(document) == key:
            return document
    return None


def look(document: Any, operation: Operation, picks: Picks | None = None) -> Situation:
    """See what a run would read.

    Args:
        document: The open picture, or None: enough for an operation without inputs.
        operation: What would run.
        picks: What the artist chose for inputs; the usual for those that are missing.

    Raises:
        InvalidRequest: There is no picture, or an input that is needed cannot be read; with what
            to do.
    """
    if document is None and not operation.inputs:
        return Situation("", "", (0, 0), None, (), operation)
    if document is None:
        raise refuse(tr("No picture is open."), tr("Open one, or make a new one."))
    size = (document.width(), document.height())
    if needs_element(operation):
        active = element_of(document)
    elif any(i.role == "picture" and i.required for i in operation.inputs):
        active = picture_layer(document)
    else:
        active = active_layer(document)
    picks, roots = dict(picks or {}), []
    pieces = pieces_input(operation)
    if pieces is not None:
        roots = roots_of(document, pieces, active, picks.get(pieces.name))
        picks[pieces.name] = [node_id(node) for node in roots]
        active = roots[-1] if roots else active
    sources: list[Source] = []
    for wanted in operation.inputs:
        found = sources_of(document, operation, wanted, active, size, picks)
        if wanted.role == "picture" and found and found[0].kind == "layer" and not roots:
            active = found[0].nodes[0]
        sources += found
    return Situation(
        document_id(document),
        document_name(document),
        size,
        active,
        tuple(sources),
        operation,
        tuple(roots),
    )


def active_layer(document: Any) -> Any | None:
    """The active layer, or the one whose mask is active; None if that has no pixels."""
    root, node = document.rootNode(), document.activeNode()
    while node is not None and node.type().endswith("mask"):
        node = node.parentNode()
    if node is None or node.type() not in LAYER_TYPES or same_node(node, root):
        return None
    return node


def picture_layer(document: Any) -> Any:
    """The layer that is edited: the active one.

    Raises:
        InvalidRequest: It has no pixels, or is hidden.
    """
    node = active_layer(document)
    if node is None:
        raise refuse(
            tr("The active layer has no picture."), tr("Choose the layer that shall be edited.")
        )
    return _visible(node)


def element_of(document: Any) -> Any:
    """The layer with the pasted object: the active one.

    Raises:
        InvalidRequest: It cannot be an element, is hidden, or nothing lies below it.
    """
    node = active_layer(document)
    if node is None:
        raise refuse(
            tr("The active layer is no object."),
            tr("Choose the layer that holds the pasted object."),
        )
    _visible(node)
    if not shows_below(document, node):
        raise refuse(
            tr("There is nothing below the layer %s.", quoted(node.name())),
            tr("Put the object on a layer of its own, above the picture."),
        )
    return node


# --- the sentence ---------------------------------------------------------------------------------


def _sentence_parts(situation: Situation) -> list[str]:
    inputs = {i.name: i for i in situation.operation.inputs}
    parts, areas = [_main_part(situation)], []
    for source in situation.sources:
        wanted = inputs[source.input]
        if wanted.role == "area" and wanted.several:
            areas.append(shown_name(source.name))
        elif source.kind == "piece":
            continue
        elif wanted.role == "picture" and situation.roots:
            parts.append(tr("; %s: %s", wanted.label, _picture_words(source)))
        elif wanted.role == "area" and situation.roots:
            where = tr("the selection") if source.kind == "selection" else quoted(source.name)
            parts.append(tr("; %s: %s, %d×%d", wanted.label, where, *source.bounds[2:]))
        elif source.kind == "selection":
            parts.append(tr(", inside the selection, %d×%d", *source.bounds[2:]))
        elif wanted.role == "area":
            parts.append(tr(", inside %s, %d×%d", quoted(source.name), *source.bounds[2:]))
        elif wanted.role in ("reference", "templates") or (
            wanted.role == "element" and not wanted.required
        ):
            parts.append(tr("; %s: %s", wanted.label, quoted(source.name)))
    if areas:
        parts.append(tr("; areas: %s", ", ".join(areas)))
    if needs_element(situation.operation):
        parts.append(tr(", onto everything below it"))
    return parts


def _picture_words(source: Source) -> str:
    if source.kind == "below":
        return tr("what lies below, %d×%d", *source.bounds[2:])
    return tr("the whole picture") if source.kind == "canvas" else quoted(source.name)


def _main_part(situation: Situation) -> str:
    pieces = [source for source in situation.sources if source.kind == "piece"]
    if pieces:
        count = tr("1 piece") if len(pieces) == 1 else tr("%d pieces", len(pieces))
        size = around(source.bounds for source in pieces)[2:]
        if len(situation.roots) > 1:
            return tr("%s on selected layers, %d×%d", count, *size)
        return tr("group %s: %s, %d×%d", quoted(situation.title), count, *size)
    for source in situation.sources:
        if source.kind == "layer" and source.nodes[0] is situation.active:
            return tr("layer %s, %d×%d", quoted(source.name), *source.bounds[2:])
    if any(source.kind == "canvas" for source in situation.sources):
        return tr("the whole picture, %d×%d", *situation.size)
    return tr("nothing from the picture")


def _visible(node: Any) -> Any:
    if not node.visible():
        raise refuse(
            tr("The layer %s is hidden.", quoted(node.name())), tr("Make it visible and try again.")
        )
    return node
