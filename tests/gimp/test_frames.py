"""Results with frames: what a slider shows without a new run, and what is kept in the end."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from gi.repository import Gegl
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Result, ResultLayer
from intarsia_gimp import canvas, frames, pictures, placement
from intarsia_gimp.strip import Strip
from intarsia_gimp.trial import Trial, facts_of

BLUE = (0, 0, 255, 255)
SLIDER: Any = made.COLLAGE.parameter("amount")
VALUES = {"amount": 1.0}


def _layer(value: int, **changes: Any) -> ResultLayer:
    facts: dict[str, Any] = {"name": "Patched", "width": 2, "height": 1, "x": 3, "y": 2}
    return ResultLayer(**{**facts, "channels": 4, "data": bytes((value,)) * 8, **changes})


def _result(*more: ResultLayer) -> Result:
    """One layer at amount 1, frames at 0 and 0.5."""
    steps = [_layer(i, name="frame", amount=i / 2, frame_of=0) for i in (0, 1)]
    return Result(
        (_layer(2, amount=1.0), *more),
        {"operation": "patch", "parameters": {"amount": 1.0, "class_name": "lemon"}},
        frames=tuple(steps),
    )


def _scene() -> tuple[Any, placement.Place]:
    image = made.image()
    back = made.layer(image, "Back", BLUE, (6, 4))
    return image, placement.place_of(canvas.find_sources(image, [back], made.COLLAGE))


def _first(layer: Any) -> int:
    size = Gegl.Rectangle(0, 0, 1, 1)
    return layer.get_buffer().get(size, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)[0]


def test_the_slider_is_the_one_that_needs_no_new_run() -> None:
    assert frames.scrubbed(made.COLLAGE) == SLIDER
    assert frames.scrubbed(made.FIT) is None


@pytest.mark.parametrize(
    ("amount", "value"), [(0.0, 0), (0.24, 0), (0.26, 1), (0.7, 1), (0.76, 2), (1.0, 2)]
)
def test_the_nearest_frame_is_shown(amount: float, value: int) -> None:
    (layer,) = frames.layers_at(_result(), 1.0, amount)
    assert layer.data[0] == value


def test_a_layer_without_frames_stays() -> None:
    layers = frames.layers_at(_result(_layer(9, name="Other")), 1.0, 0.0)
    assert [layer.data[0] for layer in layers] == [0, 9]


def test_a_frame_of_another_size_is_not_swapped_in() -> None:
    result = _result()
    wrong = dataclasses.replace(result.frames[0], width=1, data=bytes(4))
    result = dataclasses.replace(result, frames=(wrong, result.frames[1]))
    assert frames.layers_at(result, 1.0, 0.0)[0].data[0] == 1


def test_what_is_kept_carries_the_amount_of_its_frame_and_its_own_name() -> None:
    result = frames.result_at(_result(), SLIDER, 1.0, 0.4)
    assert result.recipe["parameters"] == {"amount": 0.5, "class_name": "lemon"}
    assert [(layer.name, layer.data[0]) for layer in result.layers] == [("Patched", 1)]
    assert result.frames == () and result.layers[0].frame_of is None


def test_the_amount_that_was_asked_for_is_the_result_itself() -> None:
    result = _result()
    assert frames.result_at(result, SLIDER, 1.0, 0.95) is result


# --- on the canvas --------------------------------------------------------------------------------


def test_scrubbing_changes_the_shown_layer_and_no_other_and_is_no_undo_step() -> None:
    image, place = _scene()
    trial = Trial(made.COLLAGE, place, _result(), VALUES)
    assert trial.can_scrub
    shown = image.get_layers()[0]
    seen = []
    for amount in (0.0, 0.5, 1.0, 0.1):
        trial.scrub(amount)
        seen.append(_first(shown))
    assert seen == [0, 1, 2, 0]
    assert made.names(image) == ["Patched", "Back"] and image.steps == []
    assert _first(image.get_layers()[1]) == 0 and image.get_layers()[1].buffer.pixels[0][0][2] == 1


def test_keep_inserts_the_frame_that_is_shown_as_one_undo_step() -> None:
    image, place = _scene()
    trial = Trial(made.COLLAGE, place, _result(), VALUES)
    trial.scrub(0.5)
    placed = trial.keep()
    assert _first(placed.layers[0]) == 1 and len(image.steps) == 1
    recipe = canvas.recipe_of(placed.layers[0])
    assert recipe is not None and recipe["parameters"]["amount"] == 0.5
    image.undo()
    assert made.names(image) == ["Back"]


def test_discard_takes_everything_away() -> None:
    image, place = _scene()
    coverage = ResultLayer("Edge", 2, 1, 1, b"\x10\x20", "u8", 3, 2)
    trial = Trial(made.COLLAGE, place, _result(coverage, _layer(7, name="More")), VALUES)
    assert made.names(image) == ["More", "Patched", "Back"]
    trial.scrub(0.0)
    trial.discard()
    assert made.names(image) == ["Back"] and image.channels == [] and image.steps == []


def test_a_channel_alone_is_taken_away_too() -> None:
    image, place = _scene()
    only = Result((ResultLayer("Edge", 2, 1, 1, b"\x10\x20", "u8", 3, 2),), {})
    trial = Trial(made.COLLAGE, place, only, VALUES)
    assert [c.get_name() for c in image.channels] == ["Edge"]
    trial.discard()
    assert image.channels == []


def test_several_layers_are_one_undo_step() -> None:
    image, place = _scene()
    trial = Trial(made.COLLAGE, place, _result(_layer(7, name="More")), VALUES)
    trial.keep()
    assert made.names(image) == ["More", "Patched", "Back"] and len(image.steps) == 1
    image.undo()
    assert made.names(image) == ["Back"]


def test_a_frame_with_too_few_bytes_is_refused() -> None:
    _, place = _scene()
    result = _result()
    broken = dataclasses.replace(result.frames[0], data=bytes(7))
    trial = Trial(made.COLLAGE, place, dataclasses.replace(result, frames=(broken,)), VALUES)
    with pytest.raises(InvalidRequest, match="came with 7 bytes instead of 8"):
        trial.scrub(0.0)


def test_layers_that_are_not_picked_are_hidden_and_not_kept() -> None:
    image, place = _scene()
    coverage = ResultLayer("Edge", 2, 1, 1, b"\x10\x20", "u8", 3, 2)
    result = _result(coverage, _layer(7, name="More"), _layer(8, name="Most"))
    trial = Trial(made.COLLAGE, place, result, VALUES)
    assert [(n, name) for n, name, _ in trial.choices()] == [
        (0, "Patched"),
        (2, "More"),
        (3, "Most"),
    ]
    assert trial.pick(0, False) and trial.pick(3, False)
    shown = {layer.get_name(): layer.get_visible() for layer in image.get_layers()}
    assert shown == {"Most": False, "More": True, "Patched": False, "Back": True}
    trial.show(False)
    trial.show(True)
    assert not image.get_layers()[0].get_visible(), "comparing does not bring it back"
    trial.keep()
    assert made.names(image) == ["More", "Back"]


def test_frames_stay_with_their_layer_when_another_is_dropped() -> None:
    other = [_layer(i, name="f", amount=i / 2, frame_of=1) for i in (0, 1)]
    result = _result(_layer(9, name="More", amount=1.0))
    result = dataclasses.replace(result, frames=(*result.frames, *other))
    kept = frames.only(result, [False, True])
    assert [layer.name for layer in kept.layers] == ["More"]
    assert [frame.frame_of for frame in kept.frames] == [0, 0]
    assert frames.layers_at(kept, 1.0, 0.5)[0].data[0] == 1


def test_one_layer_is_nothing_to_choose_from_and_none_cannot_be_kept() -> None:
    _, place = _scene()
    trial = Trial(made.COLLAGE, place, _result(), VALUES)
    assert trial.choices() == [] and not trial.pick(0, False)


def test_the_strip_shows_a_pressed_button_for_each_and_tells_what_is_released() -> None:
    told: list[tuple[int, bool]] = []
    strip = Strip(lambda number, wanted: told.append((number, wanted)))
    picture = pictures.pixbuf_of(_layer(3))
    strip.offer([(0, "One", picture), (2, "Two", picture)])
    first, second = strip._flow.get_children()
    assert first.get_active() and second.get_active() and strip.widget.get_visible()
    second.set_active(False)
    assert told == [(2, False)]
    strip.offer([])
    assert not strip.widget.get_visible() and strip._flow.get_children() == []


def test_without_frames_there_is_nothing_to_scrub() -> None:
    _, place = _scene()
    plain = dataclasses.replace(_result(), frames=())
    assert not Trial(made.COLLAGE, place, plain, VALUES).can_scrub
    assert not Trial(made.FIT, place, made.result(), {"width": 8.0}).can_scrub


def test_notes_and_the_fit_are_told() -> None:
    image, place = _scene()
    result = dataclasses.replace(_result(), notes=("Made smaller.",), metrics={"fit": 0.873})
    assert facts_of(result) == ["Fit of the model to the picture: 87 %.", "Made smaller."]
    told = dataclasses.replace(result, notes=("It holds this picture roughly (fit 87%).",))
    assert facts_of(told) == ["It holds this picture roughly (fit 87%)."], "once is enough"
    text = Trial(made.COLLAGE, place, result, VALUES).text()
    assert "Keep the new layer?" in text and "Move “Amount”" in text and "87 %" in text
    image.delete()
    assert "closed" in Trial(made.COLLAGE, place, result, VALUES).text()


def test_without_an_image_the_result_itself_is_shown() -> None:
    place = placement.place_of(canvas.find_sources(None, [], made.LEARN))
    trial = Trial(made.LEARN, place, _result(), {"folder": "/x"})
    assert trial.image is None and trial.pixbuf().data == bytes((2,)) * 8
    assert trial.text().startswith("Keep opens the result as a new image.")
