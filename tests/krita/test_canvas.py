"""What the plug-in reads from a document and what it puts there, with a Krita made for tests."""

from __future__ import annotations

import struct
from collections.abc import Collection

import krita
import pytest

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation, ResultLayer
from intarsia_krita import canvas

BLUE, RED, GREEN = (0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)
BLEND = Operation(
    "blend",
    "Blend",
    "Blend it in",
    "",
    (
        Input("picture", "picture", "Picture", "Below."),
        Input("element", "element", "Element", "Pasted."),
        Input("area", "area", "Area", "Where.", required=False),
    ),
    (),
)


def fill(
    node: krita.Node, color: tuple[float, ...], x: int, y: int, width: int, height: int
) -> None:
    for i in range(width * height):
        node.pixels[(x + i % width, y + i // width)] = color


def document(space: tuple[str, str, str] | None = None) -> krita.Document:
    """8 x 6: blue, and on it a red element of 3 x 2 at (2, 1)."""
    made = krita.Document(8, 6, space)
    fill(made.layer("Paper"), BLUE, 0, 0, 8, 6)
    fill(made.layer("Thing"), RED, 2, 1, 3, 2)
    return made


def thing(made: krita.Document) -> krita.Node:
    """The red element."""
    return made.root.children[1]


def insert(
    made: krita.Document,
    layers: list[ResultLayer],
    element: str | None,
    earlier: Collection[str] = (),
) -> tuple[list[krita.Node], bool]:
    nodes = canvas.make_nodes(made, layers)
    return nodes, canvas.place(made, nodes, element, earlier)


def test_swapping_red_and_blue_twice_changes_nothing_and_once_swaps_samples() -> None:
    assert bytes(canvas.swap_red_and_blue(bytes([1, 2, 3, 4, 5, 6, 7, 8]), 1)) == bytes(
        [3, 2, 1, 4, 7, 6, 5, 8]
    )
    deep = struct.pack("<4H", 1, 2, 3, 4)
    assert struct.unpack("<4H", canvas.swap_red_and_blue(deep, 2)) == (3, 2, 1, 4)
    data = bytes(range(48))
    for size in (1, 2):
        assert bytes(canvas.swap_red_and_blue(canvas.swap_red_and_blue(data, size), size)) == data


def test_the_picture_is_what_lies_below_and_the_element_is_cropped() -> None:
    picture, element = canvas.read(document(), BLEND).inputs
    assert (picture.width, picture.height, picture.dtype) == (8, 6, "u8")
    assert bytes(picture.data) == bytes([0, 0, 255, 255]) * 48  # red, green, blue, alpha: no red
    assert (element.x, element.y, element.width, element.height) == (2, 1, 3, 2)
    assert bytes(element.data) == bytes([255, 0, 0, 255]) * 6
    assert element.name == "Thing"


def test_an_element_beyond_the_canvas_is_cropped_to_it() -> None:
    made = document()
    fill(thing(made), GREEN, -5, 4, 7, 5)
    _, element = canvas.read(made, BLEND).inputs
    assert (element.x, element.y, element.width, element.height) == (0, 1, 5, 5)


def test_the_selection_is_the_area_and_is_cropped() -> None:
    made = document()
    selection = krita.Selection()
    selection.select(4, 4, 10, 10, 200)
    made.setSelection(selection)
    area = canvas.read(made, BLEND).inputs[2]
    assert (area.x, area.y, area.width, area.height, area.channels) == (4, 4, 4, 2, 1)
    assert bytes(area.data) == bytes([200]) * 8


def test_with_a_selection_its_mask_among_the_layers_is_no_layer() -> None:
    made = krita.Document(8, 6)
    mask = made.layer("Selection Mask", kind="selectionmask")
    fill(made.layer("Thing"), RED, 2, 1, 3, 2)
    assert mask in made.topLevelNodes()
    with pytest.raises(InvalidRequest, match="nothing below"):
        canvas.look(made)


def test_reading_changes_no_layer_of_the_document() -> None:
    made = document()
    before = [(n.visible(), dict(n.pixels), n.writes) for n in made.topLevelNodes()]
    canvas.read(made, BLEND)
    assert [(n.visible(), dict(n.pixels), n.writes) for n in made.topLevelNodes()] == before
    assert made.undo_steps == []
    assert [copy.closed for copy in made.clones] == [True]


def test_of_a_group_the_element_is_all_that_shows_in_it() -> None:
    made = document()
    group = made.layer("Group", kind="grouplayer")
    fill(made.layer("In it", group), GREEN, 5, 3, 2, 2)
    hidden = made.layer("Hidden", group)
    fill(hidden, RED, 5, 3, 2, 2)
    hidden.setVisible(False)
    made.active = group
    picture, element = canvas.read(made, BLEND).inputs
    assert bytes(element.data) == bytes([0, 255, 0, 255]) * 4
    assert picture.data[4 * (8 + 2) : 4 * (8 + 2) + 4] == bytes([255, 0, 0, 255])  # the red thing


def test_inside_a_group_the_picture_is_below_in_it_and_below_it() -> None:
    made = document()
    group = made.layer("Group", kind="grouplayer")
    fill(made.layer("Low", group), GREEN, 0, 0, 1, 1)
    element = made.layer("Element", group)
    fill(element, RED, 0, 0, 2, 2)
    fill(made.layer("High", group), GREEN, 0, 0, 8, 6)
    fill(made.layer("Above"), GREEN, 0, 0, 8, 6)
    made.active = element
    picture = canvas.read(made, BLEND).inputs[0]
    assert bytes(picture.data[:8]) == bytes([0, 255, 0, 255, 0, 0, 255, 255])  # Low, then Paper


def test_a_transparency_mask_shapes_the_element_also_when_it_is_active() -> None:
    made = document()
    mask = made.layer("Mask", made.active, kind="transparencymask")
    fill(mask, (1.0, 1.0, 1.0, 1.0), 2, 1, 1, 2)
    _, element = canvas.read(made, BLEND).inputs
    assert list(element.data[3::4]) == [255, 0, 0, 255, 0, 0]


@pytest.mark.parametrize("depth", ["U16", "F32"])
def test_deep_linear_documents_are_read_as_srgb_with_16_bits(depth: str) -> None:
    made = document(("RGBA", depth, krita.LINEAR))
    fill(made.root.children[0], (0.5, 0.25, 0.0, 1.0), 0, 0, 8, 6)
    picture = canvas.read(made, BLEND).inputs[0]
    assert picture.dtype == "u16"
    red, green, blue, alpha = struct.unpack("<4H", picture.data[:8])
    # sRGB of 0.5 and 0.25 is 0.7354 and 0.5371 (IEC 61966-2-1)
    assert red == pytest.approx(0.7354 * 65535, abs=12)
    assert green == pytest.approx(0.5371 * 65535, abs=12)
    assert (blue, alpha) == (0, 65535)


def test_a_result_lies_above_the_element_and_one_undo_removes_it() -> None:
    made = document()
    fill(made.layer("Top"), GREEN, 0, 0, 1, 1)
    element = made.root.children[1]
    layer = ResultLayer("Blended", 2, 1, 4, bytes([10, 20, 30, 255, 40, 50, 60, 128]), x=3, y=2)
    (node,), found = insert(made, [layer], element.uniqueId().toString())
    assert found
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing", "Blended", "Top"]
    assert node.pixelData(3, 2, 2, 1) == bytes([30, 20, 10, 255, 60, 50, 40, 128])
    assert len(made.undo_steps) == 1
    made.undo()
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing", "Top"]


def test_a_second_result_covers_the_first() -> None:
    made = document()
    element, layer = thing(made), ResultLayer("One", 1, 1, 4, bytes(4))
    key = element.uniqueId().toString()
    (one,), _ = insert(made, [layer], key)
    made.layer("Other")
    insert(made, [ResultLayer("Two", 1, 1, 4, bytes(4))], key, {one.uniqueId().toString()})
    names = [n.name() for n in made.topLevelNodes()]
    assert names == ["Paper", "Thing", "One", "Two", "Other"]


def test_a_result_without_its_element_lands_on_top() -> None:
    made = document()
    layer = ResultLayer("Blended", 1, 1, 4, bytes(4))
    _, found = insert(made, [layer], "{gone}")
    assert not found
    assert made.topLevelNodes()[-1].name() == "Blended"


def test_a_result_returns_to_the_documents_own_colours() -> None:
    made = document(("RGBA", "F32", krita.LINEAR))
    half = struct.pack("<4H", round(0.7354 * 65535), 0, 65535, 65535)
    layer = ResultLayer("Deep", 1, 1, 4, half, "u16")
    (node,), _ = insert(made, [layer], None)
    red, green, blue, alpha = struct.unpack("<4f", node.pixelData(0, 0, 1, 1))
    assert (red, green, blue, alpha) == pytest.approx((0.5, 0.0, 1.0, 1.0), abs=1e-3)


def test_a_mask_becomes_a_white_layer_as_opaque_as_it_is_strong() -> None:
    made = document()
    (node,), _ = insert(made, [ResultLayer("Mask", 2, 1, 1, bytes([0, 77]))], None)
    assert node.pixelData(0, 0, 2, 1) == bytes([255, 255, 255, 0, 255, 255, 255, 77])


def test_what_cannot_be_read_is_said_with_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="No picture is open"):
        canvas.look(None)
    made = document()
    thing(made).setVisible(False)
    with pytest.raises(InvalidRequest, match=r"hidden.*Make it visible"):
        canvas.look(made)
    made = document()
    made.active = made.root.children[0]
    with pytest.raises(InvalidRequest, match=r"nothing below.*layer of its own"):
        canvas.look(made)
    made = document()
    thing(made).pixels.clear()
    with pytest.raises(InvalidRequest, match="empty inside the picture"):
        canvas.look(made)
    made = document(("CMYKA", "U8", "print"))
    with pytest.raises(InvalidRequest, match=r"cannot convert.*Convert the picture"):
        canvas.read(made, BLEND)


def test_hidden_layers_below_are_no_picture() -> None:
    made = document()
    made.root.children[0].setVisible(False)
    with pytest.raises(InvalidRequest, match="nothing below"):
        canvas.look(made)


def test_the_documents_name_is_its_files_name() -> None:
    made = document()
    made.path = "/home/painter/night sky.kra"
    assert canvas.document_name(made) == "night sky.kra"
    made.path = ""
    assert canvas.document_name(made) == "Unnamed"


def test_the_reads_line_names_layer_and_selection() -> None:
    made = document()
    assert canvas.look(made).sentence() == "layer “Thing”, 3×2, onto everything below it"
    selection = krita.Selection()
    selection.select(0, 0, 4, 4, 255)
    made.setSelection(selection)
    assert "inside the selection, 4×4" in canvas.look(made).sentence()
    assert canvas.sizes(canvas.look(made), BLEND)[2] == {
        "input": "area",
        "x": 0,
        "y": 0,
        "width": 4,
        "height": 4,
    }
