"""Kept with the document: which operation made which layer, and which class a label stands for.

Recipes lie in one annotation of the document, by the layer's id; Krita saves it inside the .kra
file. Undo does not touch them, and an entry whose layer is gone does no harm.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from intarsia_krita.layer_tree import node_id

KEY = "intarsia/recipes"
CLASSES = "intarsia/classes"
"""The annotation that says which class each colour label stands for: ``{"blue": "lemon"}``."""
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
    entry = all_recipes(document).get(node_id(node))
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
    layers[node_id(node)] = entry
    _write(document, layers)


def change(document: Any, layer_id: str, recipe: Mapping[str, Any]) -> None:
    """Replace the recipe of a layer that has one."""
    layers = all_recipes(document)
    entry = layers.get(layer_id)
    if isinstance(entry, dict) and entry.get("recipe") != recipe:
        entry["recipe"] = dict(recipe)
        _write(document, layers)


def forget(document: Any, layer_id: str) -> None:
    """Drop the recipe of a layer."""
    layers = all_recipes(document)
    if layers.pop(layer_id, None) is not None:
        _write(document, layers)


def binding_of(document: Any) -> dict[str, str]:
    """Which class each colour label stands for in this document; empty if nothing was kept."""
    if CLASSES not in document.annotationTypes():
        return {}
    try:
        data = json.loads(bytes(document.annotation(CLASSES)).decode("utf-8"))
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {str(k): v for k, v in data.items() if isinstance(v, str) and v}


def keep_binding(document: Any, binding: Mapping[str, str]) -> None:
    """Store which class each colour label stands for; nothing is written if nothing changes."""
    if dict(binding) != binding_of(document):
        text = json.dumps(dict(binding), ensure_ascii=False, sort_keys=True)
        document.setAnnotation(
            CLASSES, "Classes of colour labels in Intarsia", text.encode("utf-8")
        )
        document.setModified(True)


def _write(document: Any, layers: dict[str, Any]) -> None:
    text = json.dumps({"version": VERSION, "layers": layers}, ensure_ascii=False, sort_keys=True)
    document.setAnnotation(KEY, "How Intarsia made these layers", text.encode("utf-8"))
