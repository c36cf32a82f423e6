"""Recipes kept with the document: which operation made which layer, and with what.

They lie in one annotation of the document, by the layer's id; Krita saves it inside the .kra file.
Undo does not touch them, and an entry whose layer is gone does no harm.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

KEY = "intarsia/recipes"
VERSION = 1


def all_recipes(document: Any) -> dict[str, dict[str, Any]]:
    """``{layer id: {"name", "recipe", "element"}}``; empty if none is readable."""
    if KEY not in document.annotationTypes():
        return {}
    try:
        data = json.loads(bytes(document.annotation(KEY)).decode("utf-8"))
        layers = data["layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    return layers if isinstance(layers, dict) else {}


def recipe_of(document: Any, node: Any) -> dict[str, Any] | None:
    """The recipe of a layer, or None."""
    entry = all_recipes(document).get(node.uniqueId().toString())
    recipe = entry.get("recipe") if isinstance(entry, dict) else None
    return recipe if isinstance(recipe, dict) else None


def results_of(document: Any, element_id: str) -> set[str]:
    """Ids of the layers that were made from an element."""
    kept = all_recipes(document).items()
    return {
        i for i, entry in kept if isinstance(entry, dict) and entry.get("element") == element_id
    }


def keep(
    document: Any, node: Any, recipe: Mapping[str, Any], element_id: str | None = None
) -> None:
    """Store the recipe of a layer that is in the document, and from which element it was made."""
    layers = all_recipes(document)
    entry = {"name": node.name(), "recipe": dict(recipe), "element": element_id}
    layers[node.uniqueId().toString()] = entry
    _write(document, layers)


def forget(document: Any, node_id: str) -> None:
    """Drop the recipe of a layer."""
    layers = all_recipes(document)
    if layers.pop(node_id, None) is not None:
        _write(document, layers)


def _write(document: Any, layers: dict[str, Any]) -> None:
    text = json.dumps({"version": VERSION, "layers": layers}, ensure_ascii=False, sort_keys=True)
    document.setAnnotation(KEY, "How Intarsia made these layers", text.encode("utf-8"))
