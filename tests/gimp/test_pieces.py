"""Rough pieces from a group, from layers chosen together, from named layers and from a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from gi.repository import Gimp, GimpUi
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation, Pixels
from intarsia_client.wire import MAX_BUFFERS
from intarsia_gimp import arguments, canvas, inputs, placement, procedures, reading, settings, tree

RED, GREEN, BLUE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)
FUSE = Operation(
    "fuse",
    "Fuse",
    "Fuse",
    "Fuses pieces.",
    inputs=(
        Input("pieces", "templates", "Pieces", "What lies together."),
        Input("keep", "area", "Keep", "What stays.", required=False),
    ),
    parameters=(),
    live=True,
)
LAY = dataclasses.replace(
    FUSE, id="lay", inputs=(made.COLLAGE.input("picture"), FUSE.input("pieces"))
)
MAY = dataclasses.replace(
    FUSE, id="may", inputs=(Input("pieces", "templates", "Pieces", "What.", required=False),)
)


def _scene() -> tuple[Any, dict[str, Any]]:
    """A group of three pieces with a hole between them, between a background and a frame."""
    image = made.image()
    layers = {"Back": made.layer(image, "Back", BLUE, (6, 4))}
    bird = layers["Bird"] = made.group(image, "Bird")
    layers["Body"] = made.layer(image, "Body", RED, (3, 2), (1, 1), parent=bird)
    layers["Wing"] = made.layer(image, "Wing", GREEN, (2, 2), (-1, 2), parent=bird)
    layers["Beak"] = made.layer(image, "Beak", BLUE, (1, 1), (5, 0), parent=bird)
    layers["Frame"] = made.layer(image, "Frame", RED, (1, 1))
    return image, layers


def _read(image: Any, *drawables: Any, operation: Operation = FUSE, **picks: str) -> list[Pixels]:
    return reading.read(canvas.find_sources(image, drawables, operation, picks))


def _pieces(image: Any, *drawables: Any, pieces: str = "") -> list[tuple[str, int, int, int, int]]:
    read = _read(image, *drawables, pieces=pieces)
    return [(p.name, p.x, p.y, p.width, p.height) for p in read if p.input == "pieces"]


# --- which ones -----------------------------------------------------------------------------------


def test_a_group_s_visible_layers_are_read_from_back_to_front_each_where_it_lies() -> None:
    image, layers = _scene()
    body, wing, beak = ("Body", 1, 1, 3, 2), ("Wing", -1, 2, 2, 2), ("Beak", 5, 0, 1, 1)
    assert _pieces(image, layers["Bird"]) == [body, wing, beak]
    layers["Wing"].visible = False
    assert _pieces(image, layers["Bird"]) == [body, beak]


def test_layers_chosen_together_are_pieces_as_they_lie_in_the_image() -> None:
    image, layers = _scene()
    found = _pieces(image, layers["Frame"], layers["Beak"], layers["Body"])
    assert [name for name, *_ in found] == ["Body", "Beak", "Frame"]
    found = _pieces(image, layers["Wing"], layers["Back"])
    assert [name for name, *_ in found] == ["Back", "Wing"], "not the group that one of them is in"


def test_a_group_chosen_with_its_own_layers_is_one_group() -> None:
    image, layers = _scene()
    names = [p[0] for p in _pieces(image, layers["Beak"], layers["Bird"], layers["Body"])]
    assert names == ["Body", "Wing", "Beak"]
    named = _pieces(image, pieces="Beak\nBird\nFrame")
    assert [p[0] for p in named] == ["Bird", "Frame"]


def test_a_group_among_chosen_layers_is_one_piece() -> None:
    image, layers = _scene()
    assert [p[0] for p in _pieces(image, layers["Bird"], layers["Frame"])] == ["Bird", "Frame"]


def test_one_layer_alone_is_refused_and_its_group_named() -> None:
    image, layers = _scene()
    with pytest.raises(InvalidRequest, match="“Frame” is one layer") as error:
        _read(image, layers["Frame"])
    assert "into a group" in error.value.remedy
    with pytest.raises(InvalidRequest, match="“Beak” is one layer") as error:
        _read(image, layers["Beak"])
    assert "Choose the group “Bird”" in error.value.remedy


def test_nothing_chosen_and_no_image_are_refused() -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match="Fuse needs a group of layers: Pieces"):
        _read(image)
    with pytest.raises(InvalidRequest, match="There is no image"):
        _read(None)


def test_a_group_that_shows_nothing_is_refused() -> None:
    image, layers = _scene()
    for name in ("Body", "Wing", "Beak"):
        layers[name].visible = False
    with pytest.raises(InvalidRequest, match="nothing in the group “Bird” is visible"):
        _read(image, layers["Bird"])
    empty = made.group(image, "Empty")
    with pytest.raises(InvalidRequest, match="nothing in the group “Empty”"):
        _read(image, empty)


def test_a_chosen_channel_is_refused() -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match="A channel is chosen"):
        _read(image, made.channel(image, "Eyes", 7))


def test_scripts_name_a_group_or_layers_in_any_order() -> None:
    image, layers = _scene()
    assert [p[0] for p in _pieces(image, pieces="Bird")] == ["Body", "Wing", "Beak"]
    named = _pieces(image, layers["Frame"], pieces=f"Beak\n#{layers['Back'].get_id()}")
    assert [p[0] for p in named] == ["Back", "Beak"]
    assert [p[0] for p in _pieces(image, pieces="Body")] == ["Body"], "named is meant"
    with pytest.raises(InvalidRequest, match=r"Pieces: .* no layer “Dog”"):
        _read(image, pieces="Dog")


def test_pieces_that_need_not_be_given_are_not_guessed_from_one_layer() -> None:
    image, layers = _scene()
    assert _read(image, layers["Frame"], operation=MAY) == []
    assert len(_read(image, layers["Bird"], operation=MAY)) == 3


def test_beside_a_picture_pieces_are_named() -> None:
    image, layers = _scene()
    names = [p.name for p in _read(image, layers["Back"], operation=LAY, pieces="Bird")]
    assert names == ["Back", "Body", "Wing", "Beak"]
    with pytest.raises(InvalidRequest, match="needs a group of layers"):
        _read(image, layers["Bird"], operation=LAY)


GUIDED = dataclasses.replace(
    FUSE,
    inputs=(
        Input("picture", "picture", "Guide", "What lies below.", required=False),
        dataclasses.replace(FUSE.inputs[0], required=False),
    ),
)


def test_the_picture_beside_pieces_is_what_shows_below_them() -> None:
    image, layers = _scene()
    assert inputs.default_of(GUIDED.inputs[0], GUIDED) == "below"
    found = canvas.find_sources(image, [layers["Bird"]], GUIDED)
    (guide,) = found.of("picture")
    assert (guide.kind, guide.items) == (canvas.BELOW, (layers["Bird"],))
    assert "picture below" in canvas.describe(found, GUIDED)
    assert found.active is layers["Bird"]
    layers["Back"].set_visible(False)
    assert canvas.find_sources(image, [layers["Bird"]], GUIDED).of("picture") == []
    (whole,) = canvas.find_sources(image, [layers["Back"]], GUIDED).of("picture")
    assert whole.kind == canvas.VISIBLE, "no pieces in the image: they are a folder's"
    picks = {"picture": "none"}
    assert canvas.find_sources(image, [layers["Bird"]], GUIDED, picks).of("picture") == []


def test_more_layers_than_can_be_sent_are_refused_before_a_pixel_is_read() -> None:
    image, layers = _scene()
    for number in range(MAX_BUFFERS):
        made.layer(image, str(number), RED, (1, 1), parent=layers["Bird"])
    told = f"{MAX_BUFFERS + 3} layers would be sent; at most {MAX_BUFFERS}"
    with pytest.raises(InvalidRequest, match=told) as error:
        canvas.find_sources(image, [layers["Bird"]], FUSE)
    assert error.value.code == "TOO_LARGE"


# --- their pixels ---------------------------------------------------------------------------------


def test_opacity_goes_into_the_alpha_even_beyond_the_canvas() -> None:
    image, layers = _scene()
    layers["Wing"].opacity, layers["Wing"].mode = 40.0, Gimp.LayerMode.MULTIPLY
    wing = next(p for p in _read(image, layers["Bird"]) if p.name == "Wing")
    assert (wing.x, wing.y) == (-1, 2) and wing.data == bytes((0, 255, 0, 102)) * 4
    assert layers["Wing"].opacity == 40.0 and image.steps == []
    assert Gimp.get_images() == [image]


def test_what_is_done_to_the_whole_group_is_no_part_of_a_piece_but_its_mask_is() -> None:
    image, layers = _scene()
    bird = layers["Bird"]
    outer = made.group(image, "Outer")
    image.reorder_item(bird, outer, 0)
    for group in (bird, outer):
        group.opacity, group.mode = 30.0, Gimp.LayerMode.MULTIPLY
    body = _read(image, bird)[0]
    assert body.data == bytes(RED) * 6
    made.mask(bird, 51)
    masked = {p.name: p for p in _read(image, bird)}
    assert masked["Body"].data == bytes((255, 0, 0, 51)) * 6
    assert masked["Beak"].data == bytes((0, 0, 255, 51))
    assert (bird.opacity, len(outer.get_children())) == (30.0, 1)


def test_a_layer_mask_and_a_nested_group_count_as_they_show() -> None:
    image, layers = _scene()
    made.mask(layers["Body"], 51)
    eyes = made.group(image, "Eyes")
    image.reorder_item(eyes, layers["Bird"], 0)
    made.layer(image, "Left", BLUE, (1, 1), (2, 1), parent=eyes).opacity = 60.0
    made.layer(image, "Right", RED, (1, 1), (3, 1), parent=eyes).visible = False
    eyes.opacity = 50.0
    read = {p.name: p for p in _read(image, layers["Bird"])}
    assert list(read) == ["Body", "Wing", "Beak", "Eyes"]
    assert read["Body"].data == bytes((255, 0, 0, 51)) * 6
    seen = [read["Eyes"].data[i : i + 4] for i in range(0, len(read["Eyes"].data), 4)]
    assert [p for p in seen if p[3]] == [bytes((0, 0, 255, round(255 * 0.3)))]


@pytest.mark.parametrize(
    ("precision", "dtype", "size"),
    [
        (Gimp.Precision.U8_NON_LINEAR, "u8", 1),
        (Gimp.Precision.U16_NON_LINEAR, "u16", 2),
        (Gimp.Precision.FLOAT_NON_LINEAR, "f32", 4),
    ],
)
def test_pieces_have_the_image_s_own_precision(precision: Any, dtype: str, size: int) -> None:
    image, layers = _scene()
    image.precision = precision
    layers["Body"].opacity = 33.0
    for piece in _read(image, layers["Bird"]):
        assert piece.dtype == dtype
        assert len(piece.data) == piece.width * piece.height * 4 * size


def test_the_selection_is_the_area_beside_them() -> None:
    image, layers = _scene()
    made.select(image, 2, 1, 2, 2, 128)
    keep = _read(image, layers["Bird"])[-1]
    assert (keep.input, keep.x, keep.y, keep.data) == ("keep", 2, 1, bytes((128,)) * 4)
    assert [p.input for p in _read(image, layers["Bird"], keep="none")] == ["pieces"] * 3


# --- a folder -------------------------------------------------------------------------------------


def _folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).write_bytes(b"")

        def load(name: str = name) -> Any:
            picture = made.image(2, 1)
            made.layer(picture, name, GREEN, (2, 1))
            return picture

        Gimp.files[str(tmp_path / name)] = load
    return tmp_path


def test_a_folder_s_pictures_are_pieces_in_the_order_of_their_names(tmp_path: Path) -> None:
    image, _ = _scene()
    image.precision = Gimp.Precision.U16_NON_LINEAR
    folder = _folder(tmp_path, "b.png", "a.XCF", "notes.txt")
    sources = canvas.find_sources(image, [], FUSE, {"pieces": f"folder {folder}"})
    read = reading.read(sources)
    assert [(p.name, p.x, p.y, p.width, p.height) for p in read] == [
        ("a", 0, 0, 2, 1),
        ("b", 0, 0, 2, 1),
    ]
    assert read[0].dtype == "u16" and read[0].data == b"".join(
        (257 * v).to_bytes(2, "little") for v in GREEN * 2
    )
    assert sources.sizes() == [] and Gimp.get_images() == [image]
    assert placement.place_of(sources).active == 0, "the result goes on top"
    assert canvas.describe(sources, FUSE) == "Reads: Pieces: “a”, “b”, no selection"


def test_a_folder_without_pictures_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    image, _ = _scene()
    with pytest.raises(InvalidRequest, match="holds no pictures"):
        _read(image, pieces=f"folder {tmp_path}")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        _read(image, pieces=f"folder {tmp_path / 'gone'}")
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(InvalidRequest, match=r"broken\.png cannot be opened \(Unknown file type"):
        _read(image, pieces=f"folder {tmp_path}")


# --- where the result goes ------------------------------------------------------------------------


def _names_after(image: Any, *drawables: Any, **picks: str) -> list[str]:
    """Names of all layers with the result among them, topmost first."""
    sources = canvas.find_sources(image, drawables, FUSE, picks)
    steps = len(image.steps)
    placement.insert(placement.place_of(sources), made.result())
    names = [layer.get_name() for layer in tree.layers_of(image)]
    assert len(image.steps) == steps + 1, "one step"
    image.undo()
    assert "Fitted" not in [layer.get_name() for layer in tree.layers_of(image)]
    return names


def test_the_result_lies_above_the_group_as_one_undo_step() -> None:
    image, layers = _scene()
    inside = ["Beak", "Wing", "Body"]
    wanted = ["Frame", "Fitted", "Bird", *inside, "Back"]
    assert _names_after(image, layers["Bird"]) == wanted
    assert _names_after(image, pieces="Bird") == wanted


def test_the_result_lies_above_all_that_were_chosen_in_the_group_that_holds_them() -> None:
    image, layers = _scene()
    inside = _names_after(image, layers["Wing"], layers["Body"])
    assert inside == ["Frame", "Bird", "Beak", "Fitted", "Wing", "Body", "Back"]
    beside = _names_after(image, layers["Back"], layers["Wing"])
    assert beside == ["Frame", "Fitted", "Bird", "Beak", "Wing", "Body", "Back"]


def test_a_chosen_result_is_made_anew_from_its_group_and_lies_above_the_older_one() -> None:
    image, layers = _scene()
    place = placement.place_of(canvas.find_sources(image, [layers["Bird"]], FUSE))
    result = dataclasses.replace(made.result(), recipe={"operation": "fuse"})
    (first,) = placement.insert(place, result).layers
    sources = canvas.find_sources(image, [first], FUSE)
    assert [source.name for source in sources.of("pieces")] == ["Body", "Wing", "Beak"]
    (second,) = placement.insert(placement.place_of(sources), result).layers
    assert image.get_layers()[1:4] == [second, first, layers["Bird"]]


# --- words and arguments --------------------------------------------------------------------------


def test_the_line_names_the_group_and_not_endlessly_many_pieces() -> None:
    image, layers = _scene()
    sources = canvas.find_sources(image, [layers["Bird"]], FUSE)
    assert canvas.describe(sources, FUSE) == (
        "Reads: Pieces of “Bird”: “Body” 3 × 2, “Wing” 2 × 2, “Beak” 1 × 1, no selection"
    )
    for number in range(6):
        made.layer(image, str(number), RED, (1, 1), parent=layers["Bird"])
    sources = canvas.find_sources(image, [layers["Bird"]], FUSE)
    assert canvas.describe(sources, FUSE).endswith("“0” 1 × 1, “1” 1 × 1, 4 more, no selection")
    sources = canvas.find_sources(image, [layers["Back"], layers["Frame"]], FUSE)
    assert canvas.describe(sources, FUSE).startswith("Reads: Pieces: “Back” 6 × 4, “Frame”")


def test_pieces_are_a_text_argument_that_says_what_to_write() -> None:
    procedure = Gimp.ImageProcedure.new(None, "x", "plugin", None, None)
    arguments.add_arguments(procedure, FUSE)
    kind, _nick, blurb, default, _flags = procedure.arguments["pieces"]
    assert (kind, default) == ("string_argument", "") and "folder PATH" in blurb
    assert set(procedure.arguments) >= {"pieces", "keep", "seed"}


def test_the_menu_entry_can_be_chosen_with_a_group_with_several_layers_or_with_none() -> None:
    mask = Gimp.ProcedureSensitivityMask
    procedure = procedures._operation(None, "x", FUSE)
    (wanted,) = procedure.facts["sensitivity_mask"][0]
    assert wanted == mask.NO_DRAWABLES | mask.DRAWABLE | mask.DRAWABLES


class Known:
    """No engine."""

    def listen(self, function: Any) -> None:
        pass


def test_layers_can_be_ticked_where_no_group_is_chosen_and_what_was_ticked_is_forgotten() -> None:
    image, layers = _scene()
    config = made.Config(**{"pieces": "Frame", "keep": "selection", "seed": 0})
    dialog, known = GimpUi.ProcedureDialog(), Known()
    column = settings.Settings(dialog, config, FUSE, image, known)  # type: ignore[arg-type]
    assert config.values["pieces"] == "", "the group that is chosen now counts"
    row = column._rows["pieces"]
    column.look(layers["Bird"], layers["Bird"])
    assert not row.get_visible()
    column.look(layers["Frame"], None)
    assert row.get_visible()
    box = row.get_children()[1].get_children()[0].get_children()[0].get_children()[0]
    assert box.get_child().get_text() == "Frame"
    box.set_active(True)
    assert config.values["pieces"] == "Frame"
    column.look(layers["Bird"], layers["Bird"])
    assert row.get_visible(), "what counts can be seen"
    lay = settings.Settings(dialog, made.Config(pieces="", seed=0), LAY, image, known)  # type: ignore[arg-type]
    lay.look(layers["Back"], layers["Back"])
    assert lay._rows["pieces"].get_visible(), "beside a picture they must be named"


@pytest.mark.parametrize("name", ["folder x", "folder /pictures"])
def test_a_layer_whose_name_reads_like_a_folder_is_written_as_a_number(name: str) -> None:
    image, layers = _scene()
    layers["Beak"].name = name
    words = {layer.get_id(): word for word, layer in inputs.written(image)}
    number = layers["Beak"].get_id()
    assert words[number] == f"#{number}"
