"""Colour tags as named areas, and the classes that an image remembers for them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from gi.repository import Gimp
from tests.gimp import pictures_for_tests as made

from intarsia_client.schema import COLOR_LABELS, Input, Operation
from intarsia_gimp import arguments, canvas, placement, reading, tags

BLUE, RED = (0, 0, 255, 255), (255, 0, 0, 255)
Tag = Gimp.ColorTag


def _scene() -> tuple[Any, dict[str, Any]]:
    """A picture with two tagged layers above it."""
    image = made.image()
    layers = {"Back": made.layer(image, "Back", BLUE, (6, 4))}
    layers["Sky"] = made.layer(image, "Sky", RED, (3, 1), (0, 0))
    layers["Sky"].color_tag = Tag.VIOLET
    layers["Sea"] = made.layer(image, "Sea", RED, (2, 2), (4, 2))
    layers["Sea"].color_tag = Tag.BLUE
    return image, layers


def _areas(image: Any, layer: Any, **picks: str) -> dict[str, Any]:
    sources = canvas.find_sources(image, [layer], made.COLLAGE, picks)
    return {p.name: p for p in reading.read(sources) if p.input == "areas"}


def test_gimp_s_tags_have_the_names_of_the_protocol() -> None:
    _, layers = _scene()
    names = []
    for tag in range(9):
        layers["Sky"].color_tag = tag
        names.append(tags.tag_of(layers["Sky"]))
    assert names == ["", *COLOR_LABELS]
    assert set(tags.SWATCHES) == set(COLOR_LABELS)
    assert [tags.name_of(tag) for tag in ("blue", "purple", "grey")] == ["Blue", "Violet", "Gray"]


def test_every_other_visible_layer_with_a_tag_is_an_area_named_by_it() -> None:
    image, layers = _scene()
    found = _areas(image, layers["Back"])
    assert list(found) == ["blue", "purple"]
    sky = found["purple"]
    assert (sky.x, sky.y, sky.width, sky.height, sky.channels) == (0, 0, 3, 1, 1)
    assert sky.data == bytes((255,)) * 3
    layers["Sea"].visible = False
    assert list(_areas(image, layers["Back"])) == ["purple"]


def test_the_picture_itself_is_no_area_nor_the_group_it_lies_in() -> None:
    image, _ = _scene()
    group = made.group(image, "Group")
    group.color_tag = Tag.RED
    inner = made.layer(image, "Inner", BLUE, (6, 4), parent=group)
    inner.color_tag = Tag.GREEN
    beside = made.layer(image, "Beside", RED, (1, 1), parent=group)
    beside.color_tag = Tag.ORANGE
    assert list(_areas(image, inner)) == ["blue", "orange", "purple"]
    assert list(_areas(image, group)) == ["blue", "purple"]


def test_masks_count_and_opacity_does_not() -> None:
    image, layers = _scene()
    made.mask(layers["Sky"], 51)
    layers["Sky"].opacity, layers["Sky"].mode = 40.0, Gimp.LayerMode.MULTIPLY
    assert _areas(image, layers["Back"])["purple"].data == bytes((51,)) * 3
    assert layers["Sky"].opacity == 40.0 and image.steps == []
    assert Gimp.get_images() == [image]


def test_layers_with_the_same_tag_are_one_area() -> None:
    image, layers = _scene()
    layers["Sea"].color_tag = Tag.VIOLET
    (area,) = _areas(image, layers["Back"]).values()
    assert (area.x, area.y, area.width, area.height) == (0, 0, 6, 4)
    assert area.data[:6] == bytes((255, 255, 255, 0, 0, 0))
    assert area.data[-6:] == bytes((0, 0, 0, 0, 255, 255))


def test_a_tagged_group_is_an_area_of_all_that_shows_in_it() -> None:
    image, layers = _scene()
    group = made.group(image, "Leaves")
    group.color_tag = Tag.GREEN
    made.layer(image, "One", RED, (1, 1), (1, 1), parent=group)
    made.layer(image, "Two", RED, (1, 1), (2, 1), parent=group).visible = False
    area = _areas(image, layers["Back"])["green"]
    assert sum(area.data) == 255 and area.data[6 + 1] == 255


def test_an_area_is_cut_at_the_canvas_and_gone_outside_of_it() -> None:
    image, layers = _scene()
    layers["Sky"].offsets, layers["Sea"].offsets = (-2, 0), (6, 0)
    found = _areas(image, layers["Back"])
    assert list(found) == ["purple"]
    assert (found["purple"].x, found["purple"].width) == (0, 1)


def test_sixteen_bit_coverage_keeps_its_bits() -> None:
    image = made.image(precision=Gimp.Precision.U16_NON_LINEAR)
    back = made.layer(image, "Back", BLUE, (6, 4))
    made.layer(image, "Sky", (0, 0, 0, 128), (1, 1)).color_tag = Tag.RED
    area = _areas(image, back)["red"]
    assert (area.dtype, area.data) == ("u16", (128 * 257).to_bytes(2, "little"))


def test_only_tags_with_a_class_are_read() -> None:
    image, layers = _scene()
    config = made.collage_config(classes="purple=lemon")
    values, _ = arguments.values_of(config, made.COLLAGE)
    picks = arguments.picks_of(config, made.COLLAGE, values)
    assert list(_areas(image, layers["Back"], **picks)) == ["purple"]
    values, _ = arguments.values_of(made.collage_config(), made.COLLAGE)
    picks = arguments.picks_of(made.collage_config(), made.COLLAGE, values)
    assert _areas(image, layers["Back"], **picks) == {}


def test_a_layer_that_is_a_reference_is_no_area() -> None:
    image, layers = _scene()
    assert list(_areas(image, layers["Back"], references="Sky")) == ["blue"]


UNBOUND = Operation(
    "unbound",
    "U",
    "U",
    "U.",
    (made.COLLAGE.input("picture"), Input("areas", "area", "Areas", "h", False, True)),
    (),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("none", []), ("tags", ["blue", "purple"]), ("purple, red", ["purple"])],
)
def test_areas_that_get_no_class_are_chosen_by_an_argument(text: str, wanted: list[str]) -> None:
    image, layers = _scene()
    procedure = Gimp.ImageProcedure.new(None, "x", "plugin", None, None)
    arguments.add_arguments(procedure, UNBOUND)
    assert procedure.arguments["areas"][3] == "none", "tags may be there for other reasons"
    sources = canvas.find_sources(image, [layers["Back"]], UNBOUND, {"areas": text})
    assert [source.name for source in sources.of("areas")] == wanted


def test_an_area_with_the_tag_of_a_reference_is_that_reference_s() -> None:
    image, layers = _scene()
    cat = made.layer(image, "Cat", RED, (2, 2))
    cat.color_tag = Tag.BLUE
    picks = {"references": "Cat"}
    free = dataclasses.replace(made.COLLAGE, parameters=())
    sources = canvas.find_sources(image, [layers["Back"]], free, picks)
    assert [source.name for source in sources.of("areas")] == ["Cat", "purple"]
    assert sources.of("areas")[0].items == (layers["Sea"],)
    assert canvas.describe(sources, free).endswith("area “Cat” 2 × 2, area violet 3 × 1")
    bound = canvas.find_sources(image, [layers["Back"]], made.COLLAGE, picks)
    assert [source.name for source in bound.of("areas")] == ["blue", "purple"]


# --- what an image remembers ----------------------------------------------------------------------


def test_classes_by_tag_are_kept_with_the_image_and_are_no_undo_step() -> None:
    image, _ = _scene()
    tags.remember(image, {"blue": "lemon", "red": "lime"}, ["blue", "red"])
    assert tags.binding_of(image) == {"blue": "lemon", "red": "lime"}
    assert image.steps == [] and image.frozen == 0
    assert image.get_parasite(tags.CLASSES).flags & Gimp.PARASITE_PERSISTENT
    tags.remember(image, {"blue": "plum"}, ["blue"])
    assert tags.binding_of(image) == {"blue": "plum", "red": "lime"}
    tags.remember(image, {}, ["blue", "red"])
    assert tags.binding_of(image) == {}


@pytest.mark.parametrize("data", [b"\xff", b"[1]", b'{"blue": 3}'])
def test_a_binding_that_cannot_be_read_counts_as_none(data: bytes) -> None:
    image, _ = _scene()
    image.attach_parasite(Gimp.Parasite.new(tags.CLASSES, 0, data))
    assert tags.binding_of(image) == {}


def test_an_empty_binding_takes_what_the_image_remembers_of_its_tags() -> None:
    image, _ = _scene()
    tags.remember(image, {"blue": "lemon", "red": "lime"}, ["blue", "red"])
    values, _ = arguments.values_of(made.collage_config(), made.COLLAGE)
    assert arguments.remembered(values, made.COLLAGE, image)["classes"] == {"blue": "lemon"}
    values["classes"] = {"purple": "plum"}
    assert arguments.remembered(values, made.COLLAGE, image)["classes"] == {"purple": "plum"}


def test_classes_of_areas_that_are_not_read_are_not_sent() -> None:
    values = {"classes": {"blue": "lemon", "red": "lime"}, "amount": 1.0}
    assert arguments.only_read(values, made.COLLAGE, ["red"])["classes"] == {"red": "lime"}


def test_the_line_names_areas_and_references() -> None:
    image, layers = _scene()
    picks = {"references": "Sea", "areas": "purple"}
    sources = canvas.find_sources(image, [layers["Back"]], made.COLLAGE, picks)
    assert canvas.describe(sources, made.COLLAGE) == (
        "Reads: layer “Back” 6 × 4, From “Sea” 2 × 2, no selection, area violet 3 × 1"
    )


def test_the_result_lies_above_the_layers_that_mark_its_areas() -> None:
    image, layers = _scene()
    made.layer(image, "Frame", RED, (1, 1))

    def names_after(classes: str, piece: str = "") -> list[str]:
        picks = {"areas": classes, "piece": piece}
        sources = canvas.find_sources(image, [layers["Back"]], made.COLLAGE, picks)
        placement.insert(placement.place_of(sources), made.result())
        names = made.names(image)
        image.undo()
        return names

    assert names_after("purple,blue") == ["Frame", "Fitted", "Sea", "Sky", "Back"]
    assert names_after("purple") == ["Frame", "Sea", "Fitted", "Sky", "Back"]
    assert names_after("") == ["Frame", "Sea", "Sky", "Fitted", "Back"]
    assert names_after("", piece="Sea") == ["Frame", "Fitted", "Sea", "Sky", "Back"]
    group = made.group(image, "Marks")
    made.layer(image, "Leaf", RED, (1, 1), parent=group).color_tag = Tag.GREEN
    assert names_after("green")[:3] == ["Fitted", "Marks", "Frame"]
