"""Which layers, channels and tags fill an operation's inputs."""

from __future__ import annotations

from typing import Any

import pytest
from gi.repository import Gimp
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation
from intarsia_gimp import arguments, canvas, inputs, placement, reading

BLUE, RED, CLEAR = (0, 0, 255, 255), (255, 0, 0, 255), (0, 0, 0, 0)
REFERENCES = made.COLLAGE.input("references")
PIECE = made.COLLAGE.input("piece")
AREA = made.COLLAGE.input("area")


def _scene() -> tuple[Any, dict[str, Any]]:
    """A background with a reference below another layer, and a piece in a group."""
    image = made.image()
    layers = {"Back": made.layer(image, "Back", BLUE, (6, 4))}
    layers["Cat"] = made.layer(image, "Cat", RED, (2, 2), (1, 1))
    layers["Top"] = made.layer(image, "Top", RED, (1, 1), (5, 3))
    group = layers["Group"] = made.group(image, "Group")
    layers["Piece"] = made.layer(image, "Piece", RED, (2, 1), (2, 2), parent=group)
    return image, layers


def _read(image: Any, layer: Any, **picks: str) -> list[Any]:
    sources = canvas.find_sources(image, [layer], made.COLLAGE, picks)
    return reading.read(sources)


# --- layers ---------------------------------------------------------------------------------------


def test_layers_are_written_by_name_and_read_again_those_in_groups_too() -> None:
    image, layers = _scene()
    words = inputs.written(image)
    assert [word for word, _ in words] == ["Group", "Piece", "Top", "Cat", "Back"]
    assert inputs.named(image, "Cat\nPiece", REFERENCES) == [layers["Cat"], layers["Piece"]]


@pytest.mark.parametrize("name", ["Cat", "#3", " Cat ", "two\nlines", "none", "image"])
def test_a_name_that_would_be_misread_is_written_as_a_number(name: str) -> None:
    image, layers = _scene()
    layers["Top"].name = name
    words = dict((layer.get_id(), word) for word, layer in inputs.written(image))
    number = layers["Top"].get_id()
    assert words[number] == f"#{number}"
    assert inputs.named(image, words[number], REFERENCES) == [layers["Top"]]


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match=r"From: .* no layer “Dog”.*“Group”.*“Back”"):
        inputs.named(image, "Dog", REFERENCES)
    with pytest.raises(InvalidRequest, match="no layer “#99999”"):
        inputs.named(image, "#99999", REFERENCES)


def test_a_name_that_two_layers_have_is_refused() -> None:
    image, layers = _scene()
    layers["Top"].name = "Cat"
    with pytest.raises(InvalidRequest, match="2 layers are called “Cat”"):
        inputs.named(image, "Cat", REFERENCES)


def test_two_layers_for_one_input_are_refused() -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match="Piece takes one layer, 2 are named"):
        inputs.named(image, "Cat\nTop", PIECE)


def test_references_and_a_moved_piece_are_read_where_they_lie() -> None:
    image, layers = _scene()
    read = _read(image, layers["Back"], references="Top\nCat", piece="Piece")
    places = [(p.input, p.name, p.x, p.y) for p in read]
    assert places == [
        ("picture", "Back", 0, 0),
        ("references", "Top", 5, 3),
        ("references", "Cat", 1, 1),
        ("piece", "Piece", 2, 2),
    ]


def test_an_optional_element_does_not_make_the_picture_what_lies_below() -> None:
    image, layers = _scene()
    (picture,) = _read(image, layers["Cat"])
    assert (picture.name, picture.data) == ("Cat", bytes(RED) * 4)


def test_a_required_reference_is_the_nearest_visible_layer_when_none_is_named() -> None:
    needs = Operation(
        "mix",
        "Mix",
        "Mix",
        "Mixes.",
        (made.COLLAGE.input("picture"), Input("other", "reference", "Other", "A layer.")),
        (),
    )
    image, layers = _scene()
    sources = canvas.find_sources(image, [layers["Top"]], needs)
    assert [source.name for source in sources.found] == ["Top", "Cat"]
    layers["Cat"].visible = False
    assert canvas.find_sources(image, [layers["Top"]], needs).found[1].name == "Back"
    alone = made.image()
    only = made.layer(alone, "Only", BLUE, (6, 4))
    with pytest.raises(InvalidRequest, match=r"Mix needs a layer: Other\. A layer\."):
        canvas.find_sources(alone, [only], needs)


def test_two_required_references_are_two_layers_unless_they_are_named() -> None:
    needs = Operation(
        "carry",
        "Carry",
        "Carry",
        "Carries a change.",
        (
            made.COLLAGE.input("picture"),
            Input("before", "reference", "Before", "A layer."),
            Input("after", "reference", "After", "A layer."),
        ),
        (),
    )
    image, layers = _scene()
    layers["Group"].visible = False

    def found(**picks: str) -> list[str]:
        sources = canvas.find_sources(image, [layers["Top"]], needs, picks)
        return [source.name for source in sources.found[1:]]

    assert found() == ["Cat", "Back"]
    assert found(before="Back") == ["Back", "Cat"]
    assert found(after="Cat") == ["Back", "Cat"], "what is named is not taken twice"
    assert found(before="Piece", after="Piece") == ["Piece", "Piece"]
    layers["Cat"].visible = False
    with pytest.raises(InvalidRequest, match="Carry needs a layer: After"):
        found()


def test_an_optional_picture_is_the_image_as_it_shows_a_layer_or_nothing() -> None:
    image, layers = _scene()
    layers["Top"].visible = False

    def read(pick: str) -> list[Any]:
        return reading.read(canvas.find_sources(image, [], made.MAKE, {"picture": pick}))

    (shown,) = read("image")
    assert (shown.width, shown.height) == (6, 4)
    assert shown.data[: 4 * 8] == bytes(BLUE) * 7 + bytes(RED)
    assert [p.name for p in read("Cat")] == ["Cat"]
    assert read("none") == []


def test_without_a_layer_or_an_image_runs_what_needs_none() -> None:
    sources = canvas.find_sources(None, [], made.LEARN)
    assert reading.read(sources) == [] and sources.sizes() == []
    assert canvas.describe(sources, made.LEARN) == "Reads nothing from the image."
    with pytest.raises(InvalidRequest, match="There is no image"):
        canvas.find_sources(None, [], made.COLLAGE)


def test_a_result_without_image_opens_as_a_new_one_of_its_size() -> None:
    place = placement.place_of(canvas.find_sources(None, [], made.LEARN))
    placed = placement.insert(place, made.result(x=0, y=0))
    assert (placed.image.get_width(), placed.image.get_height()) == (2, 1)
    assert placed.text == "The result opened as a new image."


def test_a_made_layer_is_edited_itself_not_the_layer_that_was_active_then() -> None:
    image, layers = _scene()
    place = placement.place_of(canvas.find_sources(image, [layers["Cat"]], made.MAKE))
    placed = placement.insert(place, made.result())
    assert [x.get_name() for x in image.get_layers()][2:4] == ["Fitted", "Cat"]
    (picture,) = _read(image, placed.layers[0])
    assert picture.name == "Fitted"


def test_a_result_of_the_same_operation_is_made_anew_from_its_picture() -> None:
    image, layers = _scene()
    place = placement.place_of(canvas.find_sources(image, [layers["Back"]], made.COLLAGE))
    placed = placement.insert(place, made.result())
    assert _read(image, placed.layers[0])[0].name == "Fitted"
    recipe = b'{"operation": "patch", "element": {"tattoo": %d, "name": "Back"}}'
    data = recipe % layers["Back"].get_tattoo()
    placed.layers[0].attach_parasite(Gimp.Parasite.new(canvas.RECIPE, 0, data))
    assert _read(image, placed.layers[0])[0].name == "Back"


# --- area -----------------------------------------------------------------------------------------


def test_what_an_area_can_be_taken_from_is_listed() -> None:
    image, layers = _scene()
    assert inputs.area_options(image, layers["Back"]) == [
        ("selection", "Selection"),
        ("none", "None"),
    ]
    made.mask(layers["Back"], 9)
    made.channel(image, "Eyes", 7)
    words = [word for word, _ in inputs.area_options(image, layers["Back"])]
    assert words == ["selection", "mask", "channel Eyes", "none"]


def test_an_area_comes_from_a_channel_or_from_the_mask() -> None:
    image, layers = _scene()
    made.channel(image, "Eyes", 7)
    made.mask(layers["Cat"], 9)
    area = _read(image, layers["Back"], area="channel Eyes")[1]
    assert (area.name, area.x, area.y, area.data) == ("Eyes", 0, 0, bytes((7,)) * 24)
    area = _read(image, layers["Cat"], area="mask")[1]
    assert (area.x, area.y, area.data) == (1, 1, bytes((9,)) * 4)


def test_the_selection_can_be_left_out() -> None:
    image, layers = _scene()
    made.select(image, 1, 1, 2, 2)
    assert len(_read(image, layers["Back"])) == 2
    assert len(_read(image, layers["Back"], area="none")) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("mask", "Area: the layer has no mask"),
        ("channel Dog", "Area: the image has no channel “Dog”"),
        ("everywhere", "Area: “everywhere” is no area"),
    ],
)
def test_an_area_that_is_not_there_is_refused(text: str, what: str) -> None:
    image, layers = _scene()
    with pytest.raises(InvalidRequest, match=what):
        inputs.area_drawable(image, layers["Back"], text, AREA)


# --- arguments ------------------------------------------------------------------------------------


def test_every_chosen_input_becomes_a_text_argument() -> None:
    procedure = Gimp.ImageProcedure.new(None, "x", "plugin", None, None)
    arguments.add_arguments(procedure, made.COLLAGE)
    found = {name: facts for name, facts in procedure.arguments.items()}
    assert {found[name][0] for name in ("area", "references", "piece")} == {"string_argument"}
    assert "areas" not in found, "areas are those that the binding gives a class"
    assert found["area"][3] == "selection" and found["references"][3] == ""
    assert {found[n][0] for n in ("model", "class-name", "classes", "layer-names")} == {
        "string_argument"
    }


def test_texts_are_read_as_the_command_line_reads_them() -> None:
    config = made.collage_config(**{"classes": "blue=lemon, green = lime", "class-name": " 3 "})
    values, _ = arguments.values_of(config, made.COLLAGE)
    assert values["classes"] == {"blue": "lemon", "green": "lime"}
    assert (values["class_name"], values["model"]) == ("3", "")
    with pytest.raises(InvalidRequest, match="'lemon' is no area=class"):
        arguments.values_of(made.collage_config(classes="lemon"), made.COLLAGE)


def test_a_repair_writes_texts_back() -> None:
    config = made.collage_config()
    arguments.set_values(config, made.COLLAGE, {"classes": {"blue": "plum"}, "model": "m1"})
    assert config.values["classes"] == "blue=plum" and config.values["model"] == "m1"


def test_a_folder_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    values, _ = arguments.values_of(made.Config(folder="~/fruit", seed=0), made.LEARN)
    assert values["folder"] == "/somewhere/fruit"
