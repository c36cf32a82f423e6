"""Result layers in the document: where they lie, one undo step, the document's own colours."""

from __future__ import annotations

import struct
from collections.abc import Collection

import krita
import pytest
from krita import GREEN, two_layers

from intarsia_client.schema import ResultLayer
from intarsia_krita import placement


def insert(
    made: krita.Document,
    layer: ResultLayer,
    element: str | None,
    earlier: Collection[str] = (),
) -> tuple[krita.Node, bool]:
    node = placement.make(made, [layer], "Result").root
    return node, placement.place(made, node, element, earlier)


def test_a_result_lies_above_the_element_and_one_undo_removes_it() -> None:
    made = two_layers()
    made.layer("Top").fill(GREEN, 0, 0, 1, 1)
    element = made.root.children[1]
    layer = ResultLayer("Blended", 2, 1, 4, bytes([10, 20, 30, 255, 40, 50, 60, 128]), x=3, y=2)
    node, found = insert(made, layer, element.uniqueId().toString())
    assert found
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing", "Blended", "Top"]
    assert node.pixelData(3, 2, 2, 1) == bytes([30, 20, 10, 255, 60, 50, 40, 128])
    assert len(made.undo_steps) == 1
    made.undo()
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing", "Top"]


def test_a_second_result_covers_the_first() -> None:
    made = two_layers()
    element, layer = made.root.children[1], ResultLayer("One", 1, 1, 4, bytes(4))
    key = element.uniqueId().toString()
    one, _ = insert(made, layer, key)
    made.layer("Other")
    insert(made, ResultLayer("Two", 1, 1, 4, bytes(4)), key, {one.uniqueId().toString()})
    names = [n.name() for n in made.topLevelNodes()]
    assert names == ["Paper", "Thing", "One", "Two", "Other"]


def test_a_result_without_its_element_lands_on_top() -> None:
    made = two_layers()
    layer = ResultLayer("Blended", 1, 1, 4, bytes(4))
    _, found = insert(made, layer, "{gone}")
    assert not found
    assert made.topLevelNodes()[-1].name() == "Blended"


def test_a_result_returns_to_the_documents_own_colours() -> None:
    made = two_layers(("RGBA", "F32", krita.LINEAR))
    half = struct.pack("<4H", round(0.7354 * 65535), 0, 65535, 65535)
    layer = ResultLayer("Deep", 1, 1, 4, half, "u16")
    node, _ = insert(made, layer, None)
    red, green, blue, alpha = struct.unpack("<4f", node.pixelData(0, 0, 1, 1))
    assert (red, green, blue, alpha) == pytest.approx((0.5, 0.0, 1.0, 1.0), abs=1e-3)


def test_a_mask_becomes_a_white_layer_as_opaque_as_it_is_strong() -> None:
    made = two_layers()
    node, _ = insert(made, ResultLayer("Mask", 2, 1, 1, bytes([0, 77])), None)
    assert node.pixelData(0, 0, 2, 1) == bytes([255, 255, 255, 0, 255, 255, 255, 77])


def test_a_result_lies_above_the_areas_that_lie_on_its_picture() -> None:
    """Also above a group that holds nothing but areas; not above anything else."""
    made = two_layers()
    picture = made.root.children[1]
    group = made.layer("Areas", kind="grouplayer")
    areas = [made.layer("Sky", group), made.layer("Grass", group), made.layer("Third")]
    made.layer("Lines")
    made.layer("Fourth")
    ids = {area.uniqueId().toString() for area in (*areas, made.root.children[-1])}
    insert(made, ResultLayer("New", 1, 1, 4, bytes(4)), picture.uniqueId().toString(), ids)
    names = [n.name() for n in made.topLevelNodes()]
    assert names == ["Paper", "Thing", "Areas", "Third", "New", "Lines", "Fourth"]


def test_several_layers_arrive_in_a_group_the_first_lowest_with_one_undo() -> None:
    made = two_layers(("RGBA", "U16", krita.LINEAR))
    layers = [ResultLayer(name, 1, 1, 4, bytes([255] * 4)) for name in ("One", "Two", "Three")]
    group = placement.make(made, layers, "Generate").root
    assert [n.name() for n in group.childNodes()] == ["One", "Two", "Three"]
    assert [d.closed for d in krita.Krita.scratch[-1:]] == [True]
    assert placement.place(made, group, None) is False
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing", "Generate"]
    assert group.childNodes()[0].colorDepth() == "U16"
    assert len(made.undo_steps) == 1
    made.undo()
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing"]


MASKED = (
    ResultLayer("Map", 1, 1, 4, bytes([9, 9, 9, 255])),
    ResultLayer("Leaf", 2, 1, 4, bytes([10, 20, 30, 255] * 2), x=3, y=2, group="Mosaic"),
    ResultLayer("Leaf weights", 2, 1, 1, bytes([0, 200]), x=3, y=2, mask_of=1),
    ResultLayer("Shell", 1, 1, 4, bytes([1, 2, 3, 255]), x=4, y=2, group="Mosaic"),
)


def test_masks_are_editable_and_their_layers_in_one_group_with_one_undo() -> None:
    made = two_layers()
    arrives = placement.make(made, MASKED, "Mosaic of Paper")
    placement.place(made, arrives.root, None)
    assert arrives.root.name() == "Mosaic of Paper" and len(made.undo_steps) == 1
    low, group = arrives.root.childNodes()
    assert (low.name(), group.name(), group.type()) == ("Map", "Mosaic", "grouplayer")
    leaf, shell = group.childNodes()
    (edge,) = leaf.childNodes()
    assert (edge.type(), edge.name()) == ("transparencymask", "Leaf weights")
    assert edge.pixelData(2, 2, 4, 1) == bytes([0, 0, 200, 0])
    assert leaf.pixelData(3, 2, 2, 1) == bytes([30, 20, 10, 255] * 2)
    assert leaf.projectionPixelData(3, 2, 2, 1)[3::4] == bytes([0, 200])
    assert arrives.nodes == {0: low, 1: leaf, 3: shell} and group.visible()


def test_a_group_that_is_all_of_a_result_is_not_put_into_another() -> None:
    made = two_layers()
    root = placement.make(made, MASKED[1:2], "Mosaic").root
    assert (root.name(), [n.name() for n in root.childNodes()]) == ("Mosaic", ["Leaf"])


def test_a_mask_of_16_bits_has_the_nearest_of_8() -> None:
    layer = ResultLayer("L", 3, 1, 4, bytes(12))
    deep = ResultLayer("M", 3, 1, 1, struct.pack("<3H", 65535, 128, 129), "u16", mask_of=0)
    root = placement.make(two_layers(), [layer, deep], "x").root
    assert root.childNodes()[0].pixelData(0, 0, 3, 1) == bytes([255, 0, 1])
