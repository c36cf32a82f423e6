"""Where a result goes, that it is one undo step, and what happens when its place is gone."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from gi.repository import Gegl, Gimp
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Result, ResultLayer
from intarsia_gimp import canvas, film, placement

RED, BLUE = (255, 0, 0, 255), (0, 0, 255, 255)


def _scene() -> tuple[Any, Any, placement.Place]:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    lemur = made.layer(image, "Lemur", RED, (2, 2), (1, 1))
    made.layer(image, "Frame", BLUE, (1, 1))
    place = placement.place_of(canvas.find_sources(image, [lemur], made.FIT))
    return image, lemur, place


def _pixels(layer: Any) -> bytes:
    size = Gegl.Rectangle(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(size, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)


def test_the_result_goes_directly_above_the_element_at_its_offset() -> None:
    image, _, place = _scene()
    placed = placement.insert(place, made.result())
    assert made.names(image) == ["Frame", "Fitted", "Lemur", "Background"]
    assert placed.layers[0].get_offsets()[1:] == (3, 2)
    assert _pixels(placed.layers[0]) == bytes(range(1, 9))
    assert placed.text == "New layer “Fitted” above “Lemur”." and not placed.moved


def test_one_undo_removes_layer_and_recipe() -> None:
    image, _, place = _scene()
    placement.insert(place, made.result())
    assert len(image.steps) == 1
    image.undo()
    assert made.names(image) == ["Frame", "Lemur", "Background"]
    assert placement.recipes_of(image) == []


def test_other_layers_keep_their_bytes() -> None:
    image, _lemur, place = _scene()
    before = [_pixels(layer) for layer in image.get_layers()]
    placement.insert(place, made.result())
    after = [_pixels(layer) for layer in image.get_layers() if layer.get_name() != "Fitted"]
    assert after == before


def test_a_result_of_an_element_in_a_group_stays_in_the_group() -> None:
    image = made.image()
    made.layer(image, "Background", BLUE, (6, 4))
    group = made.group(image, "Animals")
    lemur = made.layer(image, "Lemur", RED, (2, 2), parent=group)
    place = placement.place_of(canvas.find_sources(image, [lemur], made.FIT))
    placed = placement.insert(place, made.result())
    assert group.get_children() == [placed.layers[0], lemur]


def test_a_second_result_of_the_same_element_lies_above_the_first() -> None:
    image, _, place = _scene()
    placement.insert(place, made.result())
    placement.insert(place, made.result(name="Again"))
    assert made.names(image) == ["Frame", "Again", "Fitted", "Lemur", "Background"]


def test_several_layers_are_stacked_lowest_first() -> None:
    image, _, place = _scene()
    first = made.result().layers[0]
    result = Result((first, dataclasses.replace(first, name="Shine")), {})
    placement.insert(place, result)
    assert made.names(image) == ["Frame", "Shine", "Fitted", "Lemur", "Background"]


def test_a_mask_becomes_the_mask_of_its_layer() -> None:
    _image, _, place = _scene()
    layer = made.result().layers[0]
    coverage = ResultLayer("Edge", 1, 1, 1, b"\x80", "u8", 4, 2, mask_of=0)
    placed = placement.insert(place, Result((layer, coverage), {}))
    values = placed.layers[0].get_mask().buffer.pixels[0]
    assert [round(255 * v[0]) for v in values] == [0, 128]


def test_a_one_channel_layer_alone_becomes_a_channel() -> None:
    image, _, place = _scene()
    placement.insert(place, made.result(channels=1, data=b"\x10\x20"))
    assert [c.get_name() for c in image.channels] == ["Fitted"]
    assert [round(255 * v[0]) for v in image.channels[0].buffer.pixels[2]] == [0, 0, 0, 16, 32, 0]


def test_of_a_channel_only_what_lies_on_the_canvas_is_written() -> None:
    image, _, place = _scene()
    wide = ResultLayer("Wide", 8, 3, 1, bytes(range(1, 25)), "u8", -1, -1)
    placement.insert(place, Result((wide,), {}))
    (channel,) = image.get_channels()
    rows = [[round(255 * v[0]) for v in row] for row in channel.buffer.pixels]
    assert rows == [list(range(10, 16)), list(range(18, 24)), [0] * 6, [0] * 6]


def test_the_recipe_lies_on_the_layer_and_on_the_image() -> None:
    image, lemur, place = _scene()
    placed = placement.insert(place, made.result())
    recipe = canvas.recipe_of(placed.layers[0])
    named = {"tattoo": lemur.get_tattoo(), "name": "Lemur"}
    assert recipe == {"operation": "fit_in", "seed": 7, "element": named}
    placement.insert(place, made.result())
    assert [r["seed"] for r in placement.recipes_of(image)] == [7, 7]


def test_an_unreadable_recipe_counts_as_none() -> None:
    image, lemur, _ = _scene()
    image.attach_parasite(Gimp.Parasite.new(placement.RECIPES, 0, b"\xff{"))
    lemur.attach_parasite(Gimp.Parasite.new(canvas.RECIPE, 0, b"[1"))
    assert placement.recipes_of(image) == [] and canvas.recipe_of(lemur) is None


def test_a_deleted_element_sends_the_result_to_the_top_and_says_so() -> None:
    image, lemur, place = _scene()
    image.remove_layer(lemur)
    placed = placement.insert(place, made.result())
    assert made.names(image)[0] == "Fitted"
    assert placed.moved and "“Lemur” is gone" in placed.text


def test_a_closed_image_sends_the_result_into_a_new_one_and_says_so() -> None:
    image, _, place = _scene()
    image.delete()
    placed = placement.insert(place, made.result())
    assert (placed.image.get_width(), placed.image.get_height()) == (6, 4)
    assert made.names(placed.image) == ["Fitted"]
    assert placed.moved and "closed" in placed.text


def test_sixteen_bit_results_are_written_as_such() -> None:
    image = made.image(precision=Gimp.Precision.U16_NON_LINEAR)
    made.layer(image, "Background", BLUE, (6, 4))
    lemur = made.layer(image, "Lemur", RED, (2, 2))
    place = placement.place_of(canvas.find_sources(image, [lemur], made.FIT))
    data = b"\x01\x02\x03\x04\x05\x06\xff\xff"
    placed = placement.insert(place, made.result(width=1, dtype="u16", data=data))
    size = Gegl.Rectangle(0, 0, 1, 1)
    assert placed.layers[0].get_buffer().get(size, 1.0, "R'G'B'A u16", 0) == data


@pytest.mark.parametrize("length", [7, 9])
def test_a_wrong_number_of_bytes_is_refused_before_anything_is_changed(length: int) -> None:
    image, _, place = _scene()
    with pytest.raises(InvalidRequest, match=f"came with {length} bytes instead of 8"):
        placement.insert(place, made.result(data=bytes(length)))
    assert image.steps == [] and len(made.names(image)) == 3


def test_no_layer_at_all_is_refused() -> None:
    _, _, place = _scene()
    with pytest.raises(InvalidRequest, match="has no layer"):
        placement.insert(place, Result((), {}))


def test_the_undo_group_is_closed_when_inserting_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, place = _scene()

    def broken(*_: Any) -> None:
        raise OSError("full")

    monkeypatch.setattr(image, "insert_layer", broken)
    with pytest.raises(OSError, match="full"):
        placement.insert(place, made.result())
    assert image.depth == 0


# --- preview --------------------------------------------------------------------------------------


def test_a_preview_shows_the_result_without_an_undo_step() -> None:
    image, _, place = _scene()
    preview = placement.Preview(place, made.result().layers)
    assert made.names(image) == ["Frame", "Fitted", "Lemur", "Background"]
    preview.show([False])
    assert not image.get_layers()[1].get_visible()
    preview.remove()
    assert made.names(image) == ["Frame", "Lemur", "Background"]
    assert image.steps == [] and image.frozen == 0


def test_a_preview_survives_what_the_artist_does_meanwhile() -> None:
    image, _, place = _scene()
    preview = placement.Preview(place, made.result().layers)
    image.remove_layer(image.get_layers()[1])
    preview.show([True])
    preview.remove()
    image.delete()
    preview.remove()
    assert preview.image is None


def test_a_preview_of_a_closed_image_is_nothing() -> None:
    image, _, place = _scene()
    image.delete()
    preview = placement.Preview(place, made.result().layers)
    preview.show([True])
    preview.remove()
    assert preview.image is None and Gimp.get_images() == []


# --- jobs that outlive the dialog -----------------------------------------------------------------


def test_a_remembered_place_is_found_again_and_forgotten() -> None:
    image, _, place = _scene()
    placement.remember(place, "a1")
    other = made.image()
    assert placement.recall("a1", other, 9, 9) == place
    placement.forget(place, "a1")
    assert placement.recall("a1", other, 9, 9).image == other.get_id()
    assert image.steps == []


def test_remembering_is_not_saved_with_the_file() -> None:
    image, _, place = _scene()
    placement.remember(place, "a1")
    (parasite,) = image._parasites.values()
    assert parasite.flags == 0 and json.loads(parasite.data)["name"] == "Lemur"


def test_an_unknown_job_goes_on_top_of_the_given_image_or_into_a_new_one() -> None:
    image, _, _ = _scene()
    placed = placement.insert(placement.recall("b2", image, 9, 9), made.result())
    assert made.names(image)[0] == "Fitted"
    assert (placed.text, placed.moved) == ("New layer “Fitted” on top.", False)
    placed = placement.insert(placement.recall("b2", None, 9, 8), made.result())
    assert (placed.image.get_width(), placed.image.get_height()) == (9, 8)


def _masked() -> Result:
    layer = made.result().layers[0]
    coverage = ResultLayer("Weights", 2, 1, 1, b"\x40\x80", "u8", layer.x, layer.y, mask_of=1)
    layers = (
        dataclasses.replace(layer, name="Map"),
        dataclasses.replace(layer, name="Leaf", group="Mosaic"),
        coverage,
        dataclasses.replace(layer, name="Shell", group="Mosaic"),
    )
    return Result(layers, {"operation": "mosaic"})


def test_layers_of_a_group_go_into_one_new_group_with_their_masks_in_one_undo() -> None:
    image, _lemur, place = _scene()
    placed = placement.insert(place, _masked())
    assert made.names(image) == ["Frame", "Mosaic", "Map", "Lemur", "Background"]
    group = image.get_layers()[1]
    assert [child.get_name() for child in group.get_children()] == ["Shell", "Leaf"]
    leaf = group.get_children()[1]
    assert [round(255 * v[0]) for v in leaf.get_mask().buffer.pixels[0]] == [64, 128]
    assert leaf.composite_space == Gimp.LayerColorSpace.RGB_PERCEPTUAL
    assert [layer.get_name() for layer in placed.layers] == ["Map", "Leaf", "Shell"]
    assert canvas.recipe_of(group) == canvas.recipe_of(leaf)
    assert placed.text == "New layer “Map”, “Mosaic” above “Lemur”."
    assert len(image.steps) == 1
    image.undo()
    assert made.names(image) == ["Frame", "Lemur", "Background"]


def test_a_group_that_is_only_shown_can_be_hidden_and_taken_away() -> None:
    image, _, place = _scene()
    shown = placement.Preview(place, _masked().layers)
    assert "Mosaic" in made.names(image)
    shown.show([False] * 4)
    assert not image.get_layers()[1].get_children()[0].get_visible()
    shown.remove()
    assert made.names(image) == ["Frame", "Lemur", "Background"] and image.steps == []


def test_pictures_of_an_animation_say_how_long_they_show() -> None:
    image, _, place = _scene()
    layer = made.result().layers[0]
    frames = [
        dataclasses.replace(layer, name=f"Sea, frame {n}", duration_ms=1000 / 12) for n in range(6)
    ]
    placed = placement.insert(place, Result(tuple(frames), {}))
    names = [f"Sea, frame {n} (83ms) (replace)" for n in range(5, -1, -1)]
    assert made.names(image)[1:7] == names
    assert placed.text.startswith("New layer “Sea, frame 0 (83ms) (replace)” to “Sea, frame 5")


def test_an_animation_that_is_kept_is_an_image_of_its_own_that_shows_all_of_the_picture() -> None:
    image, _, place = _scene()
    image.profile = "wide"
    colours = [bytes((10 * n, 200, 30, 255)) for n in range(3)]
    frames = [
        ResultLayer(f"Sea, frame {n}", 1, 1, 4, colour, x=2, y=1, duration_ms=100)
        for n, colour in enumerate(colours)
    ]
    before = [made.names(image), list(image.steps)]
    placed = film.keep(place, Result(tuple(frames), {"operation": "animate"}))
    assert [made.names(image), image.steps] == before, "the image itself is as it was"
    assert placed.image is not image and placed.image.profile == "wide"
    assert made.names(placed.image) == [f"Sea, frame {n} (100ms) (replace)" for n in (2, 1, 0)]
    assert placed.moved and "Filters > Animation > Playback" in placed.text
    assert [recipe["operation"] for recipe in placement.recipes_of(placed.image)] == ["animate"]
    bare = Gimp.Layer.new_from_visible(image, image, "bare")
    for layer, colour in zip(placed.layers, colours, strict=True):
        assert (layer.get_width(), layer.get_height()) == (image.width, image.height)
        at = 4 * (1 * image.width + 2)
        assert _pixels(layer) == _pixels(bare)[:at] + colour + _pixels(bare)[at + 4 :]


def test_what_is_no_animation_or_has_no_image_any_more_is_kept_as_layers() -> None:
    image, _, place = _scene()
    assert film.keep(place, made.result()).image is image
    layer = dataclasses.replace(made.result().layers[0], duration_ms=100)
    image.delete()
    placed = film.keep(place, Result((layer,), {}))
    assert placed.image is not image and "closed meanwhile" in placed.text
