"""What the plug-in reads from a document, with a Krita made for tests."""

from __future__ import annotations

import struct
from dataclasses import replace

import krita
import pytest
from krita import GREEN, RED, two_layers

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ClassBinding, Input, Operation, Pixels
from intarsia_krita.candidates import SELECTION, WHOLE, Picks, candidates, chosen_inputs, usual_pick
from intarsia_krita.reading import read
from intarsia_krita.situation import document_name, look

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


def read_all(
    made: krita.Document, operation: Operation, picks: Picks | None = None
) -> tuple[Pixels, ...]:
    return read(made, look(made, operation, picks))


def thing(made: krita.Document) -> krita.Node:
    """The red element."""
    return made.root.children[1]


def test_the_picture_is_what_lies_below_and_the_element_is_cropped() -> None:
    picture, element = read_all(two_layers(), BLEND)
    assert (picture.width, picture.height, picture.dtype) == (8, 6, "u8")
    assert bytes(picture.data) == bytes([0, 0, 255, 255]) * 48  # red, green, blue, alpha: no red
    assert (element.x, element.y, element.width, element.height) == (2, 1, 3, 2)
    assert bytes(element.data) == bytes([255, 0, 0, 255]) * 6
    assert element.name == "Thing"


def test_an_element_beyond_the_canvas_is_cropped_to_it() -> None:
    made = two_layers()
    thing(made).fill(GREEN, -5, 4, 7, 5)
    _, element = read_all(made, BLEND)
    assert (element.x, element.y, element.width, element.height) == (0, 1, 5, 5)


def test_the_selection_is_the_area_and_is_cropped() -> None:
    made = two_layers()
    selection = krita.Selection()
    selection.select(4, 4, 10, 10, 200)
    made.setSelection(selection)
    area = read_all(made, BLEND)[2]
    assert (area.x, area.y, area.width, area.height, area.channels) == (4, 4, 4, 2, 1)
    assert bytes(area.data) == bytes([200]) * 8


def test_a_selection_wholly_outside_of_the_picture_is_refused_not_forgotten() -> None:
    made = two_layers()
    selection = krita.Selection()
    selection.select(-40, -40, 10, 10, 255)
    made.setSelection(selection)
    with pytest.raises(InvalidRequest, match="outside of the picture"):
        look(made, BLEND)


def test_with_a_selection_its_mask_among_the_layers_is_no_layer() -> None:
    made = krita.Document(8, 6)
    mask = made.layer("Selection Mask", kind="selectionmask")
    made.layer("Thing").fill(RED, 2, 1, 3, 2)
    assert mask in made.topLevelNodes()
    with pytest.raises(InvalidRequest, match="nothing below"):
        look(made, BLEND)


def test_reading_changes_no_layer_of_the_document() -> None:
    made = two_layers()
    before = [(n.visible(), dict(n.pixels), n.writes) for n in made.topLevelNodes()]
    read_all(made, BLEND)
    assert [(n.visible(), dict(n.pixels), n.writes) for n in made.topLevelNodes()] == before
    assert made.undo_steps == []
    assert [copy.closed for copy in made.clones] == [True]


def test_of_a_group_the_element_is_all_that_shows_in_it() -> None:
    made = two_layers()
    group = made.layer("Group", kind="grouplayer")
    made.layer("In it", group).fill(GREEN, 5, 3, 2, 2)
    hidden = made.layer("Hidden", group)
    hidden.fill(RED, 5, 3, 2, 2)
    hidden.setVisible(False)
    made.active = group
    picture, element = read_all(made, BLEND)
    assert bytes(element.data) == bytes([0, 255, 0, 255]) * 4
    assert picture.data[4 * (8 + 2) : 4 * (8 + 2) + 4] == bytes([255, 0, 0, 255])  # the red thing


def test_inside_a_group_the_picture_is_below_in_it_and_below_it() -> None:
    made = two_layers()
    group = made.layer("Group", kind="grouplayer")
    made.layer("Low", group).fill(GREEN, 0, 0, 1, 1)
    element = made.layer("Element", group)
    element.fill(RED, 0, 0, 2, 2)
    made.layer("High", group).fill(GREEN, 0, 0, 8, 6)
    made.layer("Above").fill(GREEN, 0, 0, 8, 6)
    made.active = element
    picture = read_all(made, BLEND)[0]
    assert bytes(picture.data[:8]) == bytes([0, 255, 0, 255, 0, 0, 255, 255])  # Low, then Paper


def test_a_transparency_mask_shapes_the_element_also_when_it_is_active() -> None:
    made = two_layers()
    mask = made.layer("Mask", made.active, kind="transparencymask")
    mask.fill((1.0, 1.0, 1.0, 1.0), 2, 1, 1, 2)
    _, element = read_all(made, BLEND)
    assert list(element.data[3::4]) == [255, 0, 0, 255, 0, 0]


@pytest.mark.parametrize("depth", ["U16", "F32"])
def test_deep_linear_documents_are_read_as_srgb_with_16_bits(depth: str) -> None:
    made = two_layers(("RGBA", depth, krita.LINEAR))
    made.root.children[0].fill((0.5, 0.25, 0.0, 1.0), 0, 0, 8, 6)
    picture = read_all(made, BLEND)[0]
    assert picture.dtype == "u16"
    red, green, blue, alpha = struct.unpack("<4H", picture.data[:8])
    # sRGB of 0.5 and 0.25 is 0.7354 and 0.5371 (IEC 61966-2-1)
    assert red == pytest.approx(0.7354 * 65535, abs=12)
    assert green == pytest.approx(0.5371 * 65535, abs=12)
    assert (blue, alpha) == (0, 65535)


def test_what_cannot_be_read_is_said_with_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="No picture is open"):
        look(None, BLEND)
    made = two_layers()
    thing(made).setVisible(False)
    with pytest.raises(InvalidRequest, match=r"hidden.*Make it visible"):
        look(made, BLEND)
    made = two_layers()
    made.active = made.root.children[0]
    with pytest.raises(InvalidRequest, match=r"nothing below.*layer of its own"):
        look(made, BLEND)
    made = two_layers()
    thing(made).pixels.clear()
    with pytest.raises(InvalidRequest, match="empty inside the picture"):
        look(made, BLEND)
    made = two_layers(("CMYKA", "U8", "print"))
    with pytest.raises(InvalidRequest, match=r"cannot convert.*Convert the picture"):
        read_all(made, BLEND)


def test_hidden_layers_below_are_no_picture() -> None:
    made = two_layers()
    made.root.children[0].setVisible(False)
    with pytest.raises(InvalidRequest, match="nothing below"):
        look(made, BLEND)


def test_the_documents_name_is_its_files_name() -> None:
    made = two_layers()
    made.path = "/home/painter/night sky.kra"
    assert document_name(made) == "night sky.kra"
    made.path = ""
    assert document_name(made) == "Unnamed"


def test_the_reads_line_names_layer_and_selection() -> None:
    made = two_layers()
    assert look(made, BLEND).sentence() == "layer “Thing”, 3×2, onto everything below it"
    selection = krita.Selection()
    selection.select(0, 0, 4, 4, 255)
    made.setSelection(selection)
    assert "inside the selection, 4×4" in look(made, BLEND).sentence()
    assert look(made, BLEND).sizes()[2] == {
        "input": "area",
        "x": 0,
        "y": 0,
        "width": 4,
        "height": 4,
    }


# --- operations whose picture is the active layer -------------------------------------------------

CHANGE = Operation(
    "change",
    "Change",
    "Change it",
    "",
    (
        Input("picture", "picture", "Picture", "The active layer."),
        Input("area", "area", "Area", "Where.", required=False),
        Input("areas", "area", "Areas", "By colour.", required=False, several=True),
        Input("references", "reference", "References", "Taken from.", False, several=True),
        Input("piece", "element", "Piece", "Moved.", required=False),
    ),
    (),
)
MAKE = Operation(
    "make", "Make", "Make", "", (Input("picture", "picture", "Picture", "Size.", False),), ()
)
LEARN = Operation("learn", "Learn", "Learn", "", (), (), trains=True)
WAY = Operation(
    "way",
    "Way",
    "Way",
    "",
    (
        Input("picture", "picture", "From", "One end.", required=False),
        Input("other", "reference", "Other", "The other end.", required=False),
    ),
    (),
)
MIX = Operation(
    "mix",
    "Mix",
    "Mix",
    "",
    (
        Input("picture", "picture", "Picture", "One."),
        Input("other", "reference", "Other", "Choose the other one."),
    ),
    (),
)


def by_name(pixels: tuple[Pixels, ...], name: str) -> list[Pixels]:
    return [one for one in pixels if one.input == name]


def key(node: krita.Node) -> str:
    return node.uniqueId().toString()


def test_without_a_needed_element_the_picture_is_the_active_layer_alone() -> None:
    (picture,) = read_all(two_layers(), CHANGE)
    assert (picture.x, picture.y, picture.width, picture.height) == (2, 1, 3, 2)
    assert bytes(picture.data) == bytes([255, 0, 0, 255]) * 6
    assert picture.name == "Thing"


def test_an_active_group_is_read_as_it_shows() -> None:
    made = two_layers()
    group = made.layer("Group", kind="grouplayer")
    made.layer("In it", group).fill(GREEN, 0, 0, 2, 1)
    made.active = group
    (picture,) = read_all(made, CHANGE)
    assert bytes(picture.data) == bytes([0, 255, 0, 255]) * 2


def test_with_no_needed_picture_the_whole_canvas_is_read() -> None:
    (picture,) = read_all(two_layers(), MAKE)
    assert (picture.x, picture.y, picture.width, picture.height) == (0, 0, 8, 6)
    assert bytes(picture.data[4 * (8 + 2) : 4 * (8 + 2) + 4]) == bytes([255, 0, 0, 255])
    assert look(two_layers(), MAKE).sentence() == "the whole picture, 8×6"


def test_a_picture_that_may_be_missing_is_the_active_layer_where_there_are_others() -> None:
    """Between two pictures the active layer is one; the whole canvas would be searched for."""
    made = two_layers()
    paper = made.root.children[0]
    assert [s.name for s in look(made, WAY).sources] == ["Thing"]
    assert look(made, WAY, {"picture": ()}).sources == ()
    (picture,) = read_all(made, WAY, {"picture": ("canvas",)})
    assert (picture.width, picture.height) == (8, 6)
    situation = look(made, WAY, {"picture": (key(paper),), "other": (key(thing(made)),)})
    assert situation.active_id == key(paper)  # the result lies above it
    assert situation.sentence() == "layer “Paper”, 8×6; Other: “Thing”"
    offered = [one.text for one in candidates(made, WAY.inputs[0], thing(made))]
    assert offered == ["Whole picture, 8×6", "None", "Thing", "Paper"]


def test_a_training_without_pictures_reads_nothing_and_can_run() -> None:
    made = krita.Document(8, 6)
    assert read_all(made, LEARN) == ()
    situation = look(made, LEARN)
    assert (situation.active_id, situation.sizes()) == (None, [])
    assert situation.sentence() == "nothing from the picture"


def labelled(made: krita.Document, name: str, label: int, *place: int) -> krita.Node:
    node = made.layer(name)
    node.fill((0.5, 0.5, 0.5, 0.5), *place)
    node.setColorLabel(label)
    made.active = made.root.children[1]
    return node


def test_each_colour_label_is_one_area_named_by_it() -> None:
    made = two_layers()
    labelled(made, "Sky", 1, 0, 0, 2, 2)
    labelled(made, "More sky", 1, 5, 4, 1, 1)
    labelled(made, "Grass", 8, 0, 4, 8, 2)
    blue, grey = by_name(read_all(made, CHANGE), "areas")
    assert (blue.name, blue.x, blue.y, blue.width, blue.height) == ("blue", 0, 0, 6, 5)
    assert blue.channels == 1 and blue.data[0] == 128 and blue.data[4 * 6 + 5] == 128
    assert sum(value > 0 for value in blue.data) == 5
    assert (grey.name, grey.y, bytes(grey.data)) == ("grey", 4, bytes([128]) * 16)
    assert look(made, CHANGE).sentence() == "layer “Thing”, 3×2; areas: Blue, Grey"


def test_only_the_labels_that_count_are_sent() -> None:
    made = two_layers()
    labelled(made, "Sky", 1, 0, 0, 2, 2)
    labelled(made, "Grass", 2, 0, 4, 8, 2)
    (area,) = by_name(read_all(made, CHANGE, {"areas": ("green",)}), "areas")
    assert area.name == "green"
    assert by_name(read_all(made, CHANGE, {"areas": ()}), "areas") == []


def test_a_layer_that_is_read_as_something_else_marks_no_area() -> None:
    made = two_layers()
    sky = labelled(made, "Sky", 1, 0, 0, 2, 2)
    assert by_name(read_all(made, CHANGE, {"references": (key(sky),)}), "areas") == []


def test_without_classes_to_bind_the_labels_that_count_are_chosen() -> None:
    areas = CHANGE.inputs[2]
    made = two_layers()
    labelled(made, "Sky", 1, 0, 0, 2, 2)
    labelled(made, "Cloud", 1, 0, 0, 2, 2)
    assert [one.text for one in candidates(made, areas, thing(made))] == ["Blue: Sky, Cloud"]
    assert usual_pick(made, CHANGE, areas, thing(made)) == ()
    assert usual_pick(made, CHANGE, replace(areas, required=True), thing(made)) == ("blue",)
    assert areas in chosen_inputs(CHANGE)
    bound = replace(CHANGE, parameters=(ClassBinding("classes", "Classes", "Which."),))
    assert areas not in chosen_inputs(bound)


def test_the_picture_its_groups_and_hidden_layers_mark_no_area() -> None:
    made = two_layers()
    group = made.layer("Around", kind="grouplayer")
    group.setColorLabel(3)
    picture = made.layer("Picture", group)
    picture.fill(RED, 0, 0, 2, 2)
    picture.setColorLabel(1)
    hidden = made.layer("Hidden")
    hidden.fill(RED, 0, 0, 2, 2)
    hidden.setColorLabel(2)
    hidden.setVisible(False)
    made.active = picture
    assert by_name(read_all(made, CHANGE), "areas") == []


def test_what_a_labelled_group_holds_counts_once() -> None:
    made = two_layers()
    group = made.layer("Sky", kind="grouplayer")
    inside = made.layer("Cloud", group)
    inside.fill((1.0, 1.0, 1.0, 0.5), 0, 0, 2, 1)
    group.setColorLabel(1)
    inside.setColorLabel(1)
    made.active = made.root.children[1]
    (source,) = [s for s in look(made, CHANGE).sources if s.input == "areas"]
    assert [n.name() for n in source.nodes] == ["Sky"]
    assert look(made, CHANGE).mark_ids() == (key(group),)


def test_an_area_can_be_a_mask_another_layer_or_everything() -> None:
    made = two_layers()
    selection = krita.Selection()
    selection.select(3, 1, 1, 1, 255)
    made.setSelection(selection)
    mask = made.layer("Edge", thing(made), kind="transparencymask")
    mask.fill((1.0, 1.0, 1.0, 0.4), 2, 1, 1, 2)
    made.active = thing(made)
    area = by_name(read_all(made, CHANGE, {"area": (key(mask),)}), "area")[0]
    assert (area.x, area.y, area.width, area.height) == (2, 1, 3, 2)
    assert list(area.data) == [102, 0, 0, 102, 0, 0]
    paper = made.root.children[0]
    area = by_name(read_all(made, CHANGE, {"area": (key(paper),)}), "area")[0]
    assert bytes(area.data) == b"\xff" * 48
    assert by_name(read_all(made, CHANGE, {"area": (WHOLE,)}), "area") == []
    area = by_name(read_all(made, CHANGE, {"area": (SELECTION,)}), "area")[0]
    assert (area.x, area.width, bytes(area.data)) == (3, 1, b"\xff")
    assert "inside “Edge”, 3×2" in look(made, CHANGE, {"area": (key(mask),)}).sentence()


def test_references_and_a_piece_are_read_from_the_chosen_layers_also_hidden_ones() -> None:
    made = two_layers()
    group = made.layer("Hidden group", kind="grouplayer")
    made.layer("In it", group).fill(GREEN, 1, 1, 1, 1)
    group.setVisible(False)
    made.active = thing(made)
    paper = made.root.children[0]
    picks = {"references": (key(paper), key(group)), "piece": (key(paper),)}
    found = read_all(made, CHANGE, picks)
    one, other = by_name(found, "references")
    assert (one.name, other.name) == ("Paper", "Hidden group")
    assert bytes(other.data) == bytes([0, 255, 0, 255]) and (other.x, other.y) == (1, 1)
    assert by_name(found, "piece")[0].name == "Paper"
    assert not group.visible() and [copy.closed for copy in made.clones] == [True]
    assert "References: “Paper”" in look(made, CHANGE, picks).sentence()
    assert look(made, CHANGE, picks).mark_ids() == (key(paper),)  # the piece


def test_a_needed_reference_is_the_layer_below_unless_one_has_the_same_label() -> None:
    made = two_layers()
    far = labelled(made, "Far", 4, 0, 0, 1, 1)
    wanted = MIX.inputs[1]
    assert usual_pick(made, MIX, wanted, thing(made)) == (key(made.root.children[0]),)
    assert [s.name for s in look(made, MIX).sources] == ["Thing", "Paper"]
    thing(made).setColorLabel(4)
    assert usual_pick(made, MIX, wanted, thing(made)) == (key(far),)


def test_two_needed_references_are_two_layers_and_none_is_the_edited_one() -> None:
    made = two_layers()
    far = labelled(made, "Far", 0, 0, 0, 1, 1)
    third = Input("third", "reference", "Third", "Choose it.")
    both = replace(MIX, inputs=(*MIX.inputs, third))
    paper, edited = made.root.children[0], thing(made)
    picked = [usual_pick(made, both, wanted, edited) for wanted in both.inputs[1:]]
    assert picked == [(key(paper),), (key(far),)]
    offered = [c.value for c in candidates(made, third, edited, both)]
    assert offered == [key(far), key(paper)]
    far.remove()  # then both are the one there is, and the artist must choose
    assert usual_pick(made, both, third, edited) == (key(paper),)


def test_further_objects_are_not_the_one_that_is_active() -> None:
    made = two_layers()
    further = Input("others", "reference", "Others", "More.", required=False, several=True)
    pasted = replace(MIX, inputs=(Input("thing", "element", "Thing", "It."), further))
    offered = [c.text for c in candidates(made, further, thing(made), pasted)]
    assert offered == ["Paper"]


def test_a_needed_input_that_is_nowhere_is_said_with_what_to_do() -> None:
    made = krita.Document(8, 6)
    made.layer("Alone").fill(RED, 0, 0, 1, 1)
    with pytest.raises(InvalidRequest, match=r"Mix needs: Other.*Choose the other one"):
        look(made, MIX)
    with pytest.raises(InvalidRequest, match=r"chosen as “Other” is gone"):
        look(made, MIX, {"other": ("{gone}",)})


def test_what_an_area_can_be_read_from_is_listed_the_usual_first() -> None:
    made = two_layers()
    made.layer("Edge", thing(made), kind="transparencymask")
    made.layer("Local", thing(made), kind="filtermask")
    made.active = thing(made)
    offered = candidates(made, CHANGE.inputs[1], thing(made))
    assert [one.text for one in offered] == [
        "Selection (nothing is selected)",
        "Not used",
        "Mask “Edge”",
        "Layer “Paper”",
    ]
    piece = candidates(made, CHANGE.inputs[4], thing(made))
    assert [one.text for one in piece] == ["None", "Thing", "Paper"]
    several = candidates(made, CHANGE.inputs[3], thing(made))
    assert [one.text for one in several] == ["Thing", "Paper"]
