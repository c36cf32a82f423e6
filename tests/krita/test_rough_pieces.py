"""Rough pieces: what an operation on several pictures reads of a group or of selected layers."""

from __future__ import annotations

import struct
from dataclasses import replace

import krita
import pytest
from krita import GREEN, RED
from krita_collages import JOIN, collage, group_of

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Pixels, Result, ResultLayer
from intarsia_krita.candidates import BELOW, CANVAS, candidates, chosen_inputs, usual_pick
from intarsia_krita.delivery import deliver
from intarsia_krita.layer_tree import node_id
from intarsia_krita.reading import read
from intarsia_krita.session import Work
from intarsia_krita.situation import look

WHITE = (1.0, 1.0, 1.0, 1.0)


def read_all(made: krita.Document, picks: dict[str, tuple[str, ...]] | None = None) -> list[Pixels]:
    return list(read(made, look(made, JOIN, picks)))


def place(pixels: Pixels) -> tuple[str, int, int, int, int]:
    return pixels.name, pixels.x, pixels.y, pixels.width, pixels.height


def test_the_layers_of_the_active_group_are_the_pieces_from_the_back_to_the_front() -> None:
    pieces = read_all(collage())
    assert [place(p) for p in pieces] == [
        ("Ground", 0, 4, 6, 3),
        ("House", 2, 1, 3, 4),
        ("Sun", 8, 0, 2, 2),
    ]
    assert {p.input for p in pieces} == {"pieces"}
    assert bytes(pieces[0].data) == bytes([0, 255, 0, 255]) * 18
    assert bytes(pieces[2].data) == bytes([255, 255, 0, 128]) * 4


def test_hidden_empty_and_pictureless_layers_and_those_beyond_the_canvas_are_no_pieces() -> None:
    made = collage()
    group = group_of(made)
    group.children[1].setVisible(False)
    made.layer("Empty", group)
    made.layer("Curves", group, "filterlayer").fill(RED, 0, 0, 2, 2)
    made.layer("Edge", group, "transparencymask").fill(WHITE, 0, 0, 12, 8)
    made.layer("Outside", group).fill(RED, 20, 20, 2, 2)
    made.layer("Half outside", group).fill(RED, -1, -1, 3, 3)
    masked = made.layer("Masked", group)
    masked.fill(RED, -1, -1, 3, 3)
    made.layer("Shape", masked, "transparencymask").fill(WHITE, -1, -1, 3, 3)
    made.active = group
    found = [place(p) for p in read_all(made)]
    assert found == [
        ("Ground", 0, 4, 6, 3),
        ("Sun", 8, 0, 2, 2),
        ("Half outside", -1, -1, 3, 3),
        ("Masked", 0, 0, 2, 2),
    ]
    assert bytes(read_all(made)[2].data) == bytes([255, 0, 0, 255]) * 9


@pytest.mark.parametrize("depth", ["U8", "U16"])
def test_a_layers_opacity_is_in_its_alpha(depth: str) -> None:
    made = collage(("RGBA", depth, krita.SRGB))
    house, sun = group_of(made).children[1:]
    house.setOpacity(102)  # 40 %
    sun.setOpacity(51)  # 20 % of a half
    _, one, other = read_all(made)
    if depth == "U8":
        assert (bytes(one.data[:4]), bytes(other.data[:4])) == (b"\xff\0\0\x66", b"\xff\xff\0\x1a")
    else:
        assert one.dtype == "u16"
        assert struct.unpack("<4H", one.data[:8]) == (65535, 0, 0, 26214)
        assert struct.unpack("<4H", other.data[:8])[3] == pytest.approx(0.1 * 65535, abs=1)
    assert house.opacity() == 102 and house.pixels[(2, 1)] == RED  # the layer itself is as it was


def test_a_group_in_the_group_is_one_piece_with_its_masks() -> None:
    made = collage()
    inner = made.layer("Tree", group_of(made), "grouplayer")
    made.layer("Trunk", inner).fill(RED, 10, 4, 1, 3)
    made.layer("Crown", inner).fill(GREEN, 9, 3, 3, 2)
    mask = made.layer("Hole", inner, "transparencymask")
    mask.fill(WHITE, 9, 3, 3, 4)
    mask.pixels[(10, 4)] = (0.0, 0.0, 0.0, 0.0)
    made.active = group_of(made)
    tree = read_all(made)[-1]
    assert place(tree) == ("Tree", 9, 3, 3, 4)
    rows = [bytes(tree.data)[i : i + 4] for i in range(0, len(tree.data), 4)]
    assert rows[0] == b"\0\xff\0\xff" and rows[7] == b"\xff\0\0\xff"  # the crown, the trunk
    assert rows[4][3] == 0 and rows[6][3] == 0  # the hole, and beside the trunk


def test_layers_that_inherit_alpha_belong_to_the_piece_below_them() -> None:
    import qt_binding  # a skip where there is no Qt

    assert qt_binding.QtGui
    made = collage()
    group = group_of(made)
    shade = krita.Node(made, "Shade", "paintlayer")
    shade.fill((0.0, 0.0, 0.0, 1.0), 0, 1, 12, 1)  # wider than the house
    shade.setInheritAlpha(True)
    shade.parent = group
    group.children.insert(2, shade)
    group.children[1].setOpacity(128)
    ground, house, sun = read_all(made)
    assert [p.name for p in (ground, house, sun)] == ["Ground", "House", "Sun"]
    assert place(house)[1:] == (2, 1, 3, 4)
    assert bytes(house.data[:4]) == b"\0\0\0\x80" and bytes(house.data[12:16]) == b"\xff\0\0\x80"
    assert [copy.closed for copy in made.clones] == [True]
    assert group.children[1].opacity() == 128 and shade.visible()


def test_pieces_of_a_linear_float_document_are_srgb_with_16_bits() -> None:
    made = collage(("RGBA", "F32", krita.LINEAR))
    group_of(made).children[0].fill((0.5, 0.25, 0.0, 1.0), 0, 4, 6, 3)
    ground = read_all(made)[0]
    assert ground.dtype == "u16"
    red, green = struct.unpack("<2H", ground.data[:4])
    # sRGB of 0.5 and 0.25 is 0.7354 and 0.5371 (IEC 61966-2-1)
    assert (red, green) == (pytest.approx(48195, abs=12), pytest.approx(35199, abs=12))


def test_without_a_group_the_layers_selected_together_are_the_pieces() -> None:
    made = collage()
    house, sun = group_of(made).children[1:]
    made.active = house
    krita.Krita.active, krita.Krita.view = made, krita.View(made)
    krita.Krita.view.selected = [sun, house]
    try:
        situation = look(made, JOIN)
        pieces = read(made, situation)
    finally:
        krita.Krita.active = krita.Krita.view = None
    assert [p.name for p in pieces] == ["House", "Sun"]  # the lowest first, however selected
    assert situation.sentence() == "2 pieces on selected layers, 8×5"
    assert situation.active is sun  # the result lies above the highest


def test_what_gives_no_pieces_is_said_with_what_to_do() -> None:
    made = collage()
    made.active = made.root.children[0]
    with pytest.raises(InvalidRequest, match=r"no group.*holds the pieces.*select several"):
        look(made, JOIN)
    made.active = group_of(made)
    made.active.setVisible(False)
    with pytest.raises(InvalidRequest, match=r"Nothing shows in the group “Collage”.*Show"):
        look(made, JOIN)
    with pytest.raises(InvalidRequest, match="chosen as “Pieces” is gone"):
        look(made, JOIN, {"pieces": ("{gone}",)})


def test_pieces_that_may_be_missing_are_no_trouble() -> None:
    made = collage()
    made.active = made.root.children[0]
    optional = replace(JOIN.inputs[0], required=False)
    assert look(made, replace(JOIN, inputs=(optional,))).sources == ()


def test_the_selection_is_an_area_of_its_own_and_the_line_says_so() -> None:
    made = collage()
    assert look(made, JOIN).sentence() == "group “Collage”: 3 pieces, 10×7"
    selection = krita.Selection()
    selection.select(1, 1, 4, 2, 255)
    made.setSelection(selection)
    assert (
        look(made, JOIN).sentence() == "group “Collage”: 3 pieces, 10×7; Keep: the selection, 4×2"
    )
    keep = read_all(made)[-1]
    assert (keep.input, keep.channels, keep.width, keep.height) == ("keep", 1, 4, 2)
    assert [i.name for i in chosen_inputs(JOIN)] == ["keep"]


def test_a_picture_beside_the_pieces_is_what_lies_below_them() -> None:
    made = collage()
    picture = Input("picture", "picture", "Guide", "Below.", required=False)
    both = replace(JOIN, inputs=(picture, *JOIN.inputs))
    assert usual_pick(made, both, picture, made.active) == (BELOW,)
    offered = [one.value for one in candidates(made, picture, made.active, both)]
    assert offered[:2] == [BELOW, CANVAS] and offered[2] == ""
    paper, group = made.root.children
    paper.fill(RED, 0, 0, 12, 8)
    found = look(made, both)
    assert found.sentence() == "group “Collage”: 3 pieces, 10×7; Guide: what lies below, 12×8"
    guide = read(made, found)[0]
    assert guide.data == bytes([255, 0, 0, 255]) * (12 * 8)
    named = look(made, both, {"picture": (node_id(paper),)})
    assert named.sentence().endswith("; Guide: “Paper”") and node_id(named.active) == node_id(group)
    assert {s.input for s in look(made, both, {"picture": ("",)}).sources} == {"pieces"}
    paper.setVisible(False)
    assert usual_pick(made, both, picture, made.active) == ()
    with pytest.raises(InvalidRequest, match="Nothing shows below"):
        look(made, both, {"picture": (BELOW,)})
    paper.setVisible(True)
    made.active = paper
    optional = replace(both, inputs=(picture, replace(JOIN.inputs[0], required=False)))
    assert usual_pick(made, optional, picture, paper) == (CANVAS,)
    edits = replace(JOIN, inputs=(replace(picture, required=True), *JOIN.inputs))
    names = [i.name for i in chosen_inputs(edits)]
    assert names == ["pieces", "keep"]  # the active layer is the picture; the pieces are chosen


def test_the_result_is_one_new_layer_above_the_group_and_one_undo_step() -> None:
    made = collage()
    made.layer("Signature").fill(RED, 0, 0, 1, 1)
    made.active = group_of(made)
    before = [(n.name(), n.projectionPixelData(0, 0, 12, 8)) for n in made.topLevelNodes()]
    inside = [(n.name(), n.writes) for n in group_of(made).childNodes()]
    situation = look(made, JOIN)
    assert situation.reads_active  # so that the group is active again for the next run
    layer = ResultLayer("Collage, joined", 2, 1, 4, bytes([9, 9, 9, 255]) * 2, x=1, y=1)
    work = Work("j", JOIN, "d", "a.kra", situation.active_id, situation.mark_ids())
    deliver(made, work, Result((layer,), {"operation": "join"}))
    names = [n.name() for n in made.topLevelNodes()]
    assert names == ["Paper", "Collage", "Collage, joined", "Signature"]
    assert len(made.undo_steps) == 1
    made.undo()
    after = [(n.name(), n.projectionPixelData(0, 0, 12, 8)) for n in made.topLevelNodes()]
    assert after == before
    assert [(n.name(), n.writes) for n in group_of(made).childNodes()] == inside
