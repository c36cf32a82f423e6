"""A result on its way into the document and, if the artist wishes, out of it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from intarsia_client.schema import Result, ResultLayer
from intarsia_krita import placement, recipes
from intarsia_krita.layer_tree import find_node, node_id
from intarsia_krita.session import Outcome, Work


def deliver(document: Any, work: Work, result: Result) -> tuple[Outcome, bool]:
    """Put a result's layers above the layer they were made from, and its recipe beside them.

    Returns:
        What now stands in the document, and whether that layer was still there.

    Raises:
        InvalidRequest: Its pixels cannot become layers of this document.
    """
    made = placement.make(document, result.layers, work.operation.title)
    root, nodes = made.root, made.nodes
    earlier = set(work.marks)
    if work.element:
        earlier |= recipes.results_of(document, work.element)
    found = True
    if root is not None:
        for node in {id(n): n for n in (root, *nodes.values())}.values():
            # before they arrive: Krita may handle other events, a save too, meanwhile
            recipes.keep(document, node, result.recipe, work.element)
        found = placement.place(document, root, work.element, earlier)
    outcome = Outcome(
        work.job,
        work.operation,
        {number: node_id(node) for number, node in nodes.items()},
        root.name() if root is not None else work.operation.title,
        replace(result, layers=(), frames=()),
        root=node_id(root) if root is not None else "",
        frames=_frames(result),
    )
    for layer, node in nodes.items():
        if layer in outcome.frames:
            main = result.layers[layer]
            outcome.prints[layer] = placement.fingerprint(node, main)
            outcome.amount = _amount(main)
            outcome.shown_amounts[layer] = outcome.amount
    return outcome, found


def take_back(document: Any, outcome: Outcome) -> None:
    """Remove a result's layers and recipes; layers that are gone already do not matter."""
    for layer in {outcome.root, *outcome.layers.values()}:
        node = find_node(document, layer)
        if node is not None and layer == outcome.root:
            node.remove()
        recipes.forget(document, layer)
    document.refreshProjection()


def fade(document: Any, outcome: Outcome, share: float) -> None:
    """Let a share of a result show, in [0, 1]; nothing is computed."""
    outcome.share = share
    node = find_node(document, outcome.root)
    if node is not None:
        placement.set_opacity(document, node, share)


def scrub(document: Any, outcome: Outcome, amount: float) -> None:
    """Show the frames nearest to an amount in the result's own layers; nothing is computed.

    A layer that the artist painted on or moved meanwhile keeps what it has. No undo step is made:
    undoing the result's arrival still removes it, doing it again brings back what was shown last.
    """
    outcome.amount, changed, outcome.by_hand = amount, False, False
    for layer, frames in outcome.frames.items():
        frame = min(frames, key=lambda f: abs((f.amount or 0.0) - amount))
        if frame.amount == outcome.shown_amounts.get(layer):
            continue
        node = find_node(document, outcome.layers.get(layer, ""))
        if node is None or placement.fingerprint(node, frame) != outcome.prints[layer]:
            outcome.by_hand = outcome.by_hand or node is not None
            continue
        placement.fill(document, node, frame)
        outcome.prints[layer] = placement.fingerprint(node, frame)
        outcome.shown_amounts[layer] = frame.amount
        changed = True
    if changed:
        document.refreshProjection()
        document.setModified(True)


def note_amount(document: Any, outcome: Outcome, name: str) -> None:
    """Write the amount that a result now shows into the recipes of its layers.

    Args:
        document: Where it stands.
        outcome: A result with frames.
        name: The parameter that its frames differ in.
    """
    recipe = dict(outcome.result.recipe)
    recipe["parameters"] = {**(recipe.get("parameters") or {}), name: outcome.amount}
    for layer in {outcome.root, *outcome.layers.values()}:
        recipes.change(document, layer, recipe)


def _frames(result: Result) -> dict[int, tuple[ResultLayer, ...]]:
    """By the number of a layer its frames and itself, in the order of their amounts."""
    found: dict[int, list[ResultLayer]] = {}
    for frame in result.frames:
        number = frame.frame_of
        if number is None or frame.amount is None or not 0 <= number < len(result.layers):
            continue
        if _place(frame) == _place(result.layers[number]):
            found.setdefault(number, []).append(frame)
    for number, frames in found.items():
        main = result.layers[number]
        amount = _amount(main)
        if all(frame.amount != amount for frame in frames):
            frames.append(replace(main, amount=amount))
    return {n: tuple(sorted(f, key=lambda one: one.amount or 0.0)) for n, f in found.items()}


def _place(layer: ResultLayer) -> tuple[Any, ...]:
    return layer.x, layer.y, layer.width, layer.height, layer.channels, layer.dtype


def _amount(layer: ResultLayer) -> float:
    """The amount that the delivered layer shows."""
    return 1.0 if layer.amount is None else float(layer.amount)
