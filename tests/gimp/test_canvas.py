"""What is read from a GIMP image, and that reading changes nothing."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from gi.repository import Gimp
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation
from intarsia_gimp import canvas, placement, reading

RED, BLUE, GREEN = (255, 0, 0, 255), (0, 0, 255, 255), (0, 255, 0, 255)


def _scene() -> tuple[Any, Any]:
    """A blue background with a red element of 2 × 2 at (1, 1)."""
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    return image, made.layer(image, "Lemur", RED, (2, 2), (1, 1))


def _read(image: Any, *layers: Any) -> dict[str, Any]:
    sources = canvas.find_sources(image, layers, made.FIT)
    return {p.input: p for p in reading.read(sources)}


def test_the_element_is_the_chosen_layer_at_its_place() -> None:
    image, lemur = _scene()
    element = _read(image, lemur)["element"]
    assert (element.x, element.y, element.width, element.height) == (1, 1, 2, 2)
    assert element.data == bytes(RED) * 4
    assert (element.name, element.dtype, element.channels) == ("Lemur", "u8", 4)


def test_the_picture_is_everything_visible_below_on_the_whole_canvas() -> None:
    image, lemur = _scene()
    made.layer(image, "Above", GREEN, (6, 4))
    picture = _read(image, lemur)["picture"]
    assert (picture.x, picture.y, picture.width, picture.height) == (0, 0, 6, 4)
    assert picture.data == bytes(BLUE) * 24


def test_hidden_layers_below_are_not_part_of_the_picture() -> None:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    made.layer(image, "Hidden", GREEN, (6, 4)).visible = False
    lemur = made.layer(image, "Lemur", RED, (2, 2))
    assert _read(image, lemur)["picture"].data == bytes(BLUE) * 24


def test_reading_leaves_no_image_and_no_undo_step_behind() -> None:
    image, lemur = _scene()
    made.mask(lemur, 128)
    _read(image, lemur)
    assert Gimp.get_images() == [image]
    assert image.steps == []
    assert lemur.get_visible() and lemur.get_mask() is not None


def test_in_a_group_the_picture_is_what_lies_below_in_it_and_below_it() -> None:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    group = made.group(image, "Animals")
    made.layer(image, "Shadow", (0, 0, 0, 255), (1, 1), (5, 3), parent=group)
    lemur = made.layer(image, "Lemur", RED, (2, 2), parent=group)
    made.layer(image, "Hat", GREEN, (6, 4), parent=group)
    made.layer(image, "Frame", GREEN, (6, 4))
    picture = _read(image, lemur)["picture"]
    assert picture.data == bytes(BLUE) * 23 + bytes((0, 0, 0, 255))


def test_the_layer_mask_is_applied_to_a_copy() -> None:
    image, lemur = _scene()
    made.mask(lemur, 51)
    assert _read(image, lemur)["element"].data == bytes((255, 0, 0, 51)) * 4
    assert lemur.get_mask() is not None


def test_a_switched_off_layer_mask_does_not_count() -> None:
    image, lemur = _scene()
    made.mask(lemur, 51)
    lemur.apply_mask = False
    assert _read(image, lemur)["element"].data == bytes(RED) * 4


def test_choosing_the_layer_mask_means_its_layer() -> None:
    image, lemur = _scene()
    made.mask(lemur, 51)
    assert _read(image, lemur.get_mask())["element"].name == "Lemur"


def test_opacity_counts_as_transparency() -> None:
    image, lemur = _scene()
    lemur.opacity = 20.0
    element = _read(image, lemur)["element"]
    assert element.data == bytes((255, 0, 0, 51)) * 4
    assert (element.x, element.y) == (1, 1)


def test_a_group_is_read_as_it_shows_whatever_its_blending_mode() -> None:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    group = made.group(image, "Animals")
    made.layer(image, "Lemur", RED, (6, 4), parent=group)
    group.opacity, group.mode = 20.0, Gimp.LayerMode.MULTIPLY
    assert _read(image, group)["element"].data == bytes((255, 0, 0, 51)) * 24


def test_a_layer_beyond_the_canvas_keeps_its_negative_offset() -> None:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    lemur = made.layer(image, "Lemur", RED, (3, 3), (-2, -1))
    element = _read(image, lemur)["element"]
    assert (element.x, element.y) == (-2, -1)
    assert element.data == bytes(RED) * 9


def test_no_selection_means_no_area_although_its_buffer_is_all_zero() -> None:
    image, lemur = _scene()
    assert "area" not in _read(image, lemur)


def test_the_area_is_the_selection_cut_to_its_bounds() -> None:
    image, lemur = _scene()
    made.select(image, 2, 1, 3, 2, value=41)
    area = _read(image, lemur)["area"]
    assert (area.x, area.y, area.width, area.height) == (2, 1, 3, 2)
    assert (area.channels, area.data) == (1, bytes((41,)) * 6)


@pytest.mark.parametrize(
    ("precision", "dtype", "one"),
    [
        (Gimp.Precision.U8_NON_LINEAR, "u8", b"\xff"),
        (Gimp.Precision.U16_NON_LINEAR, "u16", b"\xff\xff"),
        (Gimp.Precision.HALF_LINEAR, "f32", struct.pack("f", 1.0)),
        (Gimp.Precision.U32_LINEAR, "f32", struct.pack("f", 1.0)),
        (Gimp.Precision.FLOAT_NON_LINEAR, "f32", struct.pack("f", 1.0)),
    ],
)
def test_samples_follow_the_image_s_precision(precision: Any, dtype: str, one: bytes) -> None:
    image = made.image(precision=precision)
    made.layer(image, "Background", BLUE, (6, 4))
    lemur = made.layer(image, "Lemur", (255, 255, 255, 255), (1, 1))
    made.select(image, 0, 0, 1, 1)
    read = _read(image, lemur)
    assert {p.dtype for p in read.values()} == {dtype}
    assert read["element"].data == one * 4
    assert read["area"].data == one


def test_an_operation_without_element_takes_the_chosen_layer_as_picture() -> None:
    operation = Operation(
        "tint", "Tint", "Tint", "Tints.", (Input("picture", "picture", "P", "h"),), ()
    )
    image, lemur = _scene()
    sources = canvas.find_sources(image, [lemur], operation)
    (picture,) = reading.read(sources)
    assert (picture.x, picture.y, picture.data) == (1, 1, bytes(RED) * 4)
    assert canvas.describe(sources, operation) == "Reads: layer “Lemur” 2 × 2"


def test_nothing_visible_below_is_said_with_what_to_do() -> None:
    image = made.image()
    made.layer(image, "Hidden", BLUE, (6, 4)).visible = False
    lemur = made.layer(image, "Lemur", RED, (2, 2))
    with pytest.raises(InvalidRequest, match=r"Below the layer “Lemur” nothing.*of its own above"):
        canvas.find_sources(image, [lemur], made.FIT)


def test_an_empty_group_below_counts_as_nothing() -> None:
    image = made.image()
    made.group(image, "Empty")
    lemur = made.layer(image, "Lemur", RED, (2, 2))
    assert not canvas.is_anything_below(image, lemur)


@pytest.mark.parametrize("count", [0, 2])
def test_not_exactly_one_layer_is_refused_with_the_number(count: int) -> None:
    image, lemur = _scene()
    with pytest.raises(InvalidRequest, match=f"{count} layers are chosen"):
        canvas.find_sources(image, [lemur] * count, made.FIT)


def test_a_channel_is_refused() -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match="A channel is chosen"):
        canvas.find_sources(image, [image.get_selection()], made.FIT)


def test_the_line_says_what_will_be_read() -> None:
    image, lemur = _scene()
    sources = canvas.find_sources(image, [lemur], made.FIT)
    assert canvas.describe(sources, made.FIT) == (
        "Reads: object “Lemur” 2 × 2, picture below 6 × 4, no selection"
    )
    made.select(image, 2, 1, 3, 2)
    sources = canvas.find_sources(image, [lemur], made.FIT)
    assert canvas.describe(sources, made.FIT).endswith("selection 3 × 2")


def test_the_sizes_for_an_estimate_name_every_input() -> None:
    image, lemur = _scene()
    made.select(image, 2, 1, 3, 2)
    sizes = canvas.find_sources(image, [lemur], made.FIT).sizes()
    assert {"input": "area", "x": 2, "y": 1, "width": 3, "height": 2} in sizes
    assert [size["input"] for size in sizes] == ["picture", "element", "area"]


def test_choosing_a_result_layer_reads_the_element_it_was_made_from() -> None:
    image, lemur = _scene()
    sources = canvas.find_sources(image, [lemur], made.FIT)
    placed = placement.insert(placement.place_of(sources), made.result())
    again = canvas.find_sources(image, placed.layers, made.FIT)
    assert again.element is lemur
    assert again.active is placed.layers[0]
    lemur.name = "Renamed, or another layer in a duplicate"
    assert canvas.find_sources(image, placed.layers, made.FIT).element is placed.layers[0]
    lemur.name = "Lemur"
    assert {p.input: p for p in reading.read(again)}["picture"].data == bytes(BLUE) * 24
