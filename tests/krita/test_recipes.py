"""Recipes in the document's annotation."""

from __future__ import annotations

import krita

from intarsia_client.schema import Operation, Result, ResultLayer
from intarsia_krita import recipes
from intarsia_krita.delivery import deliver
from intarsia_krita.session import Work


def test_a_kept_recipe_is_found_by_its_layer_until_it_is_forgotten() -> None:
    document = krita.Document(4, 4)
    one, other = document.layer("One"), document.layer("Other")
    recipes.keep(document, one, {"operation": "blend", "seed": 3})
    recipes.keep(document, other, {"operation": "harmonize"})
    assert recipes.recipe_of(document, one) == {"operation": "blend", "seed": 3}
    recipes.forget(document, one.uniqueId().toString())
    assert recipes.recipe_of(document, one) is None
    assert recipes.recipe_of(document, other) == {"operation": "harmonize"}


def test_the_results_of_an_element_are_known_by_their_ids() -> None:
    document = krita.Document(4, 4)
    one, other = document.layer("One"), document.layer("Other")
    recipes.keep(document, one, {}, "{element}")
    recipes.keep(document, other, {}, "{another}")
    assert recipes.results_of(document, "{element}") == {one.uniqueId().toString()}


def test_a_recipe_is_there_before_its_layer_is() -> None:
    """Whoever saves the picture while a layer arrives saves its recipe with it."""
    document, seen = krita.Document(4, 4), []
    document.refreshProjection = lambda: seen.append(recipes.all_recipes(document))
    operation = Operation("blend", "Blend", "Blend", "", (), ())
    result = Result((ResultLayer("Blended", 1, 1, 4, bytes(4)),), {"operation": "blend"})
    deliver(document, Work("j1", operation, "doc", "a.kra", None), result)
    assert [[entry["name"] for entry in kept.values()] for kept in seen] == [["Blended"]]


def test_forgetting_an_unknown_layer_writes_nothing() -> None:
    document = krita.Document(4, 4)
    recipes.forget(document, "{nobody}")
    assert document.annotations == {}


def test_a_damaged_annotation_counts_as_none_and_is_replaced() -> None:
    document = krita.Document(4, 4)
    node = document.layer("One")
    for damaged in (b"\xff", b"[]", b'{"layers": 3}', b"{}"):
        document.setAnnotation(recipes.KEY, "", damaged)
        assert recipes.recipe_of(document, node) is None
    recipes.keep(document, node, {"operation": "blend"})
    assert recipes.recipe_of(document, node) == {"operation": "blend"}


def test_which_class_a_colour_label_stands_for_is_kept_and_written_only_on_a_change() -> None:
    document = krita.Document(4, 4)
    assert recipes.binding_of(document) == {}
    recipes.keep_binding(document, {})
    assert document.annotations == {}
    recipes.keep_binding(document, {"blue": "lemon", "red": "pear"})
    assert recipes.binding_of(document) == {"blue": "lemon", "red": "pear"}
    document.modified = False
    recipes.keep_binding(document, {"red": "pear", "blue": "lemon"})
    assert not document.modified
    for damaged in (b"\xff", b"[]", b"3"):
        document.setAnnotation(recipes.CLASSES, "", damaged)
        assert recipes.binding_of(document) == {}
