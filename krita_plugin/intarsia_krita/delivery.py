"""A result on its way into the document and, if the artist wishes, out of it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from intarsia_client.schema import Result
from intarsia_krita import canvas, recipes
from intarsia_krita.layer_tree import find_node
from intarsia_krita.session import Outcome, Work


def deliver(document: Any, work: Work, result: Result) -> tuple[Outcome, bool]:
    """Put a result's layers above their element, and its recipe beside them.

    Returns:
        What now stands in the document, and whether the element was still there.

    Raises:
        InvalidRequest: Its pixels cannot become layers of this document.
    """
    earlier = recipes.results_of(document, work.element) if work.element else ()
    nodes = canvas.make_nodes(document, result.layers)
    for node in nodes:  # before they arrive: Krita may handle other events, a save too, meanwhile
        recipes.keep(document, node, result.recipe, work.element)
    found = canvas.place(document, nodes, work.element, earlier)
    ids = [node.uniqueId().toString() for node in nodes]
    name = result.layers[0].name if result.layers else work.operation.title
    return Outcome(work.job, work.operation, ids, name, replace(result, layers=())), found


def take_back(document: Any, outcome: Outcome) -> None:
    """Remove a result's layers and recipes; layers that are gone already do not matter."""
    for layer in outcome.layers:
        node = find_node(document, layer)
        if node is not None:
            node.remove()
        recipes.forget(document, layer)
    document.refreshProjection()


def fade(document: Any, outcome: Outcome, share: float) -> None:
    """Let a share of a result show, in [0, 1]; nothing is computed."""
    outcome.share = share
    for layer in outcome.layers:
        node = find_node(document, layer)
        if node is not None:
            canvas.set_opacity(document, node, share)
