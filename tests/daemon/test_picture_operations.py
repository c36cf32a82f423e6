"""What is done with a model of one picture, run directly with trainings of a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operation_runs import (
    as_picture,
    box_area,
    direct_context,
    painting,
    run_directly,
    shown,
)
from PIL import Image
from short_picture_trainings import SIDES, short_settings

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.learnt_pictures import opaque_tensor, training_estimate, wanted_settings
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_daemon.picture_trainings import arithmetic_of
from intarsia_daemon.pixels import Layer, Outcome, Picture

HEIGHT, WIDTH = 36, 48
OPERATIONS = ("variations", "retarget", "retouch", "animate", "enlarge", "repaint")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia_daemon.learnt_pictures.quality_settings", short_settings)


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for all tests that only need some model: each kind is learnt once."""
    yield tmp_path_factory.mktemp("home")


def _picture(dtype: str = "u8", **more: Any) -> Picture:
    return painting(HEIGHT, WIDTH, dtype=dtype, **more)


def _moved(picture: Picture) -> Picture:
    """A square of the picture, cloned ten pixels to the right."""
    full = 1.0 if picture.array.dtype.kind == "f" else np.iinfo(picture.array.dtype).max
    piece = picture.array[8:20, 6:18].copy()
    piece[..., 3] = full
    return Picture(piece, picture.x + 24, picture.y + 10, "Piece")


def _inputs(operation: str, picture: Picture) -> dict[str, Any]:
    if operation == "retouch":
        return {"picture": picture, "element": _moved(picture)}
    if operation == "repaint":
        return {"picture": _sketch(picture), "reference": picture}
    return {"picture": picture}


def _sketch(like: Picture) -> Picture:
    """Two flat areas of the picture's colours, in another shape."""
    array = np.empty((40, 30, 4), like.array.dtype)
    array[:20], array[20:] = like.array[2, 2], like.array[-3, -3]
    return Picture(array, 100, 50, "Sketch")


def _run(
    home: Path,
    operation: str,
    picture: Picture | None = None,
    *,
    seed: int = 0,
    area: Any = None,
    **parameters: Any,
) -> tuple[Outcome, Context]:
    context = direct_context(home, lane="training", seed=seed)
    inputs = _inputs(operation, picture or _picture())
    if area is not None:
        inputs["area"] = area
    return run_directly(context, operation, inputs, **parameters), context


def _sizes(outcome: Outcome) -> list[tuple[int, int]]:
    """(width, height) of every layer."""
    return [(layer.array.shape[1], layer.array.shape[0]) for layer in outcome.layers]


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_picture_is_learnt_once_and_another_seed_needs_no_training(
    tmp_path: Path, operation: str
) -> None:
    first, learning = _run(tmp_path, operation)
    assert learning.seconds["train"] > 0
    edit = direct_context(tmp_path, seed=7)
    second = run_directly(edit, operation, _inputs(operation, _picture()))
    assert "train" not in edit.seconds and second.model == first.model is not None
    same = np.array_equal(first.layers[0].array, second.layers[0].array)
    assert same == (operation in ("retouch", "enlarge"))  # these use no fresh noise
    again, _ = _run(tmp_path, operation)
    np.testing.assert_array_equal(again.layers[0].array, first.layers[0].array)
    [card] = [entry for entry in edit.models.list() if not entry["shipped"]]
    assert card["title"] == "Painting" and card["task"] in (
        "generation",
        "retarget",
        "editing",
        "animation",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_model_the_edit_lane_hands_over(tmp_path: Path, operation: str) -> None:
    with pytest.raises(TrainingRequired) as told:
        run_directly(direct_context(tmp_path), operation, _inputs(operation, _picture()))
    assert told.value.seconds_expected > 0


def test_quality_likeness_stages_and_area_are_other_models(home: Path) -> None:
    whole, _ = _run(home, "variations", count=1)
    seen = [whole.model]
    others: tuple[dict[str, Any], ...] = (
        {"quality": "normal"},
        {"likeness": "close"},
        {"likeness": "free"},
        {"stages": 2},
        {"area": box_area(_picture(), 0, 0, 30, 30)},
    )
    for more in others:
        made, context = _run(home, "variations", count=1, **more)
        assert "train" in context.seconds and made.model not in seen, more
        seen.append(made.model)


@pytest.mark.parametrize("operation", ["repaint", "retarget", "animate"])
def test_a_draft_of_variations_serves_other_operations_too(home: Path, operation: str) -> None:
    first, _ = _run(home, "variations", count=1)
    second, context = _run(home, operation)
    assert "train" not in context.seconds and second.model == first.model
    if operation != "repaint":
        third, _ = _run(home, operation, quality="normal")
        assert third.model != first.model


def test_a_picture_with_something_added_uses_its_model_and_says_so(home: Path) -> None:
    first, _ = _run(home, "variations", count=1)
    array = _picture().array.copy()
    array[:7, :7, :3] = 20
    changed = Picture(array, name="Painting")
    second, context = _run(home, "variations", changed, count=1)
    assert "train" not in context.seconds and second.model == first.model
    assert any("nearly this picture" in note for note in second.notes)
    third, context = _run(home, "variations", changed, count=1, reuse="exact")
    assert "train" in context.seconds and third.model != first.model


def test_a_cancelled_training_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    seen: list[str] = []

    def stop(message: Working) -> None:
        seen.append(message.stage)
        if message.stage.startswith("Training, stage 2"):
            context.control.cancel()

    context = direct_context(tmp_path, lane="training", send=stop)
    with pytest.raises(Cancelled):
        run_directly(context, "variations", {"picture": _picture()})
    assert seen[-1] == "Training, stage 2 of 3" and not context.models.list()
    seen.clear()
    context = direct_context(
        tmp_path, lane="training", send=lambda message: seen.append(message.stage)
    )
    resumed = run_directly(context, "variations", {"picture": _picture()})
    assert "Training, stage 1 of 3" not in seen and "Training, stage 3 of 3" in seen
    whole, _ = _run(tmp_path / "other", "variations")
    for one, other in zip(resumed.layers, whole.layers, strict=True):
        np.testing.assert_array_equal(one.array, other.array)


def test_harmonization_keeps_its_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia_daemon.picture_trainings.faster_arithmetic", lambda _: "rough")
    kinds = {
        task: arithmetic_of(short_settings(task), "cpu")
        for task in ("harmonization", "generation", "retarget", "editing", "animation")
    }
    assert kinds.pop("harmonization") is None and set(kinds.values()) == {"rough"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_estimate_says_how_long_and_at_what_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.undo()  # the real settings
    found = find_operation(operation)
    assert found.estimate is not None and found.declaration.trains
    names = [item.name for item in found.declaration.inputs if item.required]
    sizes = {name: (480, 640) for name in names}
    context = direct_context(tmp_path)

    def told(quality: str, **more: Any) -> Any:
        values = found.declaration.check(names, {"quality": quality, **more})
        return found.estimate(values, sizes, context)  # type: ignore[misc]

    draft, normal = told("draft"), told("normal")
    assert draft.trains and 0 < draft.seconds < normal.seconds
    shown_size = {"enlarge": "400 x 300"}.get(operation, "120 x 90")
    assert f"{shown_size} pixels" in draft.text
    alone = operation in ("retouch", "enlarge")
    assert ("model of its own" if alone else "share a model") in draft.text
    if operation == "retouch":
        assert told("draft", fine_tune=True).seconds > draft.seconds


def test_every_task_says_with_whom_its_model_is_shared(tmp_path: Path) -> None:
    context = direct_context(tmp_path)
    for task in ("generation", "retarget", "animation", "editing"):
        text = training_estimate(wanted_settings(task, "draft", (60, 80)), (60, 80), context).text
        assert "model" in text and "32 x 24" in text


# --- kinds of pictures ----------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_the_sample_type_comes_back(home: Path, operation: str, dtype: str) -> None:
    picture = _picture(dtype)
    made, _ = _run(home, operation, picture)
    for layer in made.layers:
        assert layer.array.dtype == picture.array.dtype
        assert layer.array.shape[2] == 4 and np.isfinite(layer.array.astype(float)).all()
    if dtype == "u16":
        assert np.unique(made.layers[0].array[..., 0] % 257).size > 10  # finer than 8 bits


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_grey_picture_stays_grey(tmp_path: Path, operation: str) -> None:
    array = _picture().array.copy()
    array[..., :3] = array[..., :1]
    made, _ = _run(tmp_path, operation, Picture(array, name="Grey"))
    for layer in made.layers:
        seen = layer.array[..., :3].astype(int)
        assert np.abs(seen - seen[..., :1]).max() <= 1


def test_transparent_borders_are_left_out_and_holes_take_the_mean_colour(home: Path) -> None:
    array = _picture().array.copy()
    array[:4], array[:, :6], array[10:14, 20:30] = 0, 0, 0
    picture = Picture(array, 3, 5, "Torn")
    made, _ = _run(home, "variations", picture, count=1)
    layer = made.layers[0]
    assert _sizes(made) == [(WIDTH - 6, HEIGHT - 4)] and (layer.x, layer.y) == (9, 9)
    assert (layer.array[..., 3] == 255).all()
    cut = Picture(array[4:, 6:])
    mean = array[array[..., 3] > 0][:, :3].mean(0) / 127.5 - 1
    seen = opaque_tensor(cut)[0]
    np.testing.assert_allclose(seen[:, 7, 16].numpy(), mean, atol=1e-4)
    np.testing.assert_array_equal(
        seen[:, 0, 0].numpy(), np.float32(cut.array[0, 0, :3]) / 127.5 - 1
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_picture_that_shows_nothing_is_refused(tmp_path: Path, operation: str) -> None:
    nothing = Picture(np.zeros((HEIGHT, WIDTH, 4), np.uint8), name="Nothing")
    inputs = _inputs(operation, nothing)
    if operation == "retouch":
        inputs["element"] = nothing
    with pytest.raises(InvalidRequest, match=r"no visible pixels") as told:
        run_directly(direct_context(tmp_path, lane="training"), operation, inputs)
    assert told.value.remedy


# --- variations -----------------------------------------------------------------------------------


def test_variations_are_layers_of_the_pictures_size_and_place(home: Path) -> None:
    picture = replace(_picture(), x=-5, y=9)
    made, _ = _run(home, "variations", picture, count=3)
    assert [layer.name for layer in made.layers] == [
        f"Painting, variation {index}" for index in (1, 2, 3)
    ]
    assert _sizes(made) == [(WIDTH, HEIGHT)] * 3
    assert {(layer.x, layer.y) for layer in made.layers} == {(-5, 9)}
    assert len({layer.array.tobytes() for layer in made.layers}) == 3
    assert any("32 x 24" in note for note in made.notes)


def test_the_next_seed_moves_on_by_one_picture(home: Path) -> None:
    first, _ = _run(home, "variations", count=3)
    second, _ = _run(home, "variations", count=2, seed=1)
    for one, other in zip(first.layers[1:], second.layers, strict=True):
        np.testing.assert_allclose(one.array.astype(int), other.array, atol=1)


def test_shares_make_other_sizes(home: Path) -> None:
    made, _ = _run(home, "variations", count=1, width=150, height=50)
    assert _sizes(made) == [(round(WIDTH * 1.5), HEIGHT // 2)]
    with pytest.raises(InvalidRequest, match="pixels at the model's size") as told:
        _run(home, "variations", count=1, height=25)
    assert "11 pixels" in (told.value.remedy or "")


def test_what_varies_grows_with_the_stages(home: Path) -> None:
    def spread(varies: str) -> float:
        made, _ = _run(home, "variations", count=4, varies=varies)
        return float(np.stack([layer.array[..., :3] for layer in made.layers]).std(0).mean())

    assert spread("everything") > spread("layout") > spread("forms") > 0
    assert spread("detail") > 0  # more stages are asked for than this model has


def test_a_sheet_holds_all_of_them_on_one_layer(home: Path) -> None:
    made, _ = _run(home, "variations", count=5, output="sheet", seed=3)
    [layer] = made.layers
    assert layer.name == "Variations of Painting"
    assert layer.array.shape[1] > 2 * SIDES["draft"]


def test_an_area_is_the_part_that_is_learnt(home: Path) -> None:
    picture = replace(_picture(), x=10, y=20)
    made, _ = _run(home, "variations", picture, count=1, area=box_area(picture, 6, 4, 36, 30))
    layer = made.layers[0]
    assert _sizes(made) == [(30, 26)] and (layer.x, layer.y) == (16, 24)
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        _run(home, "variations", picture, area=box_area(picture, 100, 100, 110, 110))


# --- retarget -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({"size": "wide"}, (2 * WIDTH, HEIGHT)),
        ({"size": "high"}, (WIDTH, 2 * HEIGHT)),
        ({"size": "both"}, (2 * WIDTH, 2 * HEIGHT)),
        ({"size": "exact", "width": 61, "height": 29}, (61, 29)),
        ({"size": "exact", "width": 80}, (80, HEIGHT)),
    ],
)
def test_the_size_is_the_one_that_was_asked_for(
    home: Path, more: dict[str, Any], size: tuple[int, int]
) -> None:
    made, _ = _run(home, "retarget", **more)
    assert _sizes(made) == [size]
    arranged, _ = _run(home, "retarget", keep_layout=False, **more)
    assert not np.array_equal(made.layers[0].array, arranged.layers[0].array)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"size": "exact"}, "the picture's own size"),
        ({"size": "exact", "width": 9 * WIDTH}, "9.0 times as wide"),
        ({"size": "exact", "height": 5}, "48|32 x 3 pixels at the model's size"),
    ],
)
def test_a_size_that_cannot_be_made_is_a_sentence(
    home: Path, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as told:
        _run(home, "retarget", **more)
    assert told.value.remedy


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_extending_into_selected_canvas_keeps_the_pictures_own_pixels(
    home: Path, dtype: str
) -> None:
    picture = replace(_picture(dtype), x=10, y=20)
    area = box_area(
        picture, -12, -6, 30, HEIGHT + 10
    )  # left, above, below, and some of the picture
    made, _ = _run(home, "retarget", picture, area=area)
    layer = made.layers[0]
    assert (layer.x, layer.y) == (-2, 14) and _sizes(made) == [(WIDTH + 12, HEIGHT + 16)]
    own = layer.array[6 : 6 + HEIGHT, 12 : 12 + WIDTH]
    tolerance = 1e-6 if dtype == "f32" else 0
    assert np.abs(own.astype(np.float64) - picture.array).max() <= tolerance
    alpha = layer.array[..., 3] > 0
    assert alpha[:, :42].all() and not alpha[:6, 42:].any() and not alpha[42:, 42:].any()
    new = layer.array[:, :12, :3].astype(float)
    assert new.std() > 0


def test_a_frame_of_another_colour_does_not_tint_what_is_new(home: Path) -> None:
    plain, framed = _picture(), _picture().array.copy()
    framed[:, -1, :3] = 255
    area = box_area(plain, WIDTH, 0, 2 * WIDTH, HEIGHT)
    means = []
    for picture in (plain, Picture(framed, name="Framed")):
        made, _ = _run(home, "retarget", picture, area=area)
        means.append(made.layers[0].array[:, WIDTH + 12 :, :3].mean())
    assert abs(means[0] - means[1]) < 12


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ((4, 4, 20, 20), "lies on the picture"),
        ((-900, 0, -1, HEIGHT), "times as wide"),
    ],
)
def test_an_area_that_cannot_be_extended_into_is_a_sentence(
    home: Path, box: tuple[int, int, int, int], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as told:
        _run(home, "retarget", area=box_area(_picture(), *box))
    assert told.value.remedy


def test_an_empty_area_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    area = replace(box_area(_picture(), 0, 0, 5, 5), array=np.zeros((5, 5), np.uint8))
    with pytest.raises(InvalidRequest, match="extend into is empty"):
        _run(tmp_path, "retarget", area=area)


# --- retouch --------------------------------------------------------------------------------------


def test_retouching_changes_nothing_far_from_the_pieces(home: Path) -> None:
    picture = replace(_picture(), x=-4, y=6)
    made, _ = _run(home, "retouch", picture, grow=4.0, softness=2.0)
    [layer] = made.layers
    piece = _moved(picture)
    pasted = shown(picture, Layer(piece.name, piece.array, piece.x, piece.y))
    after = shown(replace(picture, array=_over(picture, piece)), layer)
    difference = np.abs(after - pasted).max(axis=2)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[10:22, 24:36] = True
    assert difference[inside].max() > 1 / 255
    assert difference[:4].max() == 0 and difference[:, :10].max() == 0
    assert layer.name == "Retouched Piece"


def _over(picture: Picture, piece: Picture) -> np.ndarray:
    array = picture.array.copy()
    top, left = piece.y - picture.y, piece.x - picture.x
    array[top : top + piece.array.shape[0], left : left + piece.array.shape[1]] = piece.array
    return array


def test_outlines_finer_than_the_model_do_not_stay_behind(home: Path) -> None:
    """A flat piece on another flat ground, five times as large as the model."""
    array = np.full((160, 160, 4), 255, np.uint8)
    array[..., :3] = painting(160, 160).array[..., :3] // 8 + 60
    piece = np.full((80, 80, 4), 255, np.uint8)
    piece[..., :3] = 190
    picture, element = Picture(array), Picture(piece, 40, 40, "Flat")
    inputs = {"picture": picture, "element": element}
    [layer] = run_directly(
        direct_context(home, lane="training"), "retouch", inputs, grow=10.0
    ).layers
    after = shown(replace(picture, array=_over(picture, element)), layer)

    def step(rows: np.ndarray) -> float:
        """From one pixel to the next across the piece's left edge."""
        return float(np.abs(rows[60:100, 40] - rows[60:100, 39]).mean())

    pasted = _over(picture, element)[..., :3] / 255
    assert step(after) < 0.2 * step(pasted)


def test_strength_zero_shows_the_pieces_as_they_are(home: Path) -> None:
    picture = _picture()
    made, _ = _run(home, "retouch", strength=0.0)
    pasted = _over(picture, _moved(picture))
    after = shown(replace(picture, array=pasted), made.layers[0])
    np.testing.assert_allclose(after * 255, pasted[..., :3], atol=0.51)


def test_fitting_to_the_pieces_trains_further_and_is_kept(home: Path) -> None:
    plain, _ = _run(home, "retouch")
    fitted, context = _run(home, "retouch", fine_tune=True)
    assert context.seconds["fine-tune"] > 0 and fitted.model != plain.model
    again, context = _run(home, "retouch", fine_tune=True, seed=5)
    assert "fine-tune" not in context.seconds and again.model == fitted.model


def test_how_far_the_model_may_depart_is_a_choice(home: Path) -> None:
    made = [
        _run(home, "retouch", freedom=freedom)[0].layers[0].array.tobytes()
        for freedom in ("most", "some", "little")
    ]
    assert len(set(made)) == 3


def test_pieces_outside_the_picture_are_a_sentence(home: Path) -> None:
    picture = _picture()
    inputs = {"picture": picture, "element": replace(_moved(picture), x=400)}
    with pytest.raises(InvalidRequest, match="'Piece' has no visible pixels inside the picture"):
        run_directly(direct_context(home), "retouch", inputs)


# --- animate --------------------------------------------------------------------------------------


def test_frames_are_layers_in_order_with_how_to_play_them(home: Path) -> None:
    made, _ = _run(home, "animate", frames=5)
    assert [layer.name for layer in made.layers] == [
        f"Painting, frame {index:03d}" for index in range(1, 6)
    ]
    assert _sizes(made) == [(WIDTH, HEIGHT)] * 5
    assert len({layer.array.tobytes() for layer in made.layers}) == 5
    assert any("Krita:" in note and "GIMP:" in note for note in made.notes)


def test_frames_keep_detail_that_is_finer_than_the_model(home: Path) -> None:
    picture = painting(3 * HEIGHT, 3 * WIDTH, dtype="f32")
    sharp, _ = _run(home, "animate", picture, frames=3, from_picture=True)
    away = [float(np.abs(layer.array - picture.array).max()) for layer in sharp.layers]
    assert away[0] < 1e-4 and min(away[1:]) > 10 * away[0]

    def grain(outcome: Outcome) -> float:
        return float(np.abs(np.diff(outcome.layers[1].array[..., :3], axis=1)).mean())

    soft, _ = _run(home, "animate", picture, frames=3, keep_detail=False)
    everything, _ = _run(home, "animate", picture, frames=3, moves="everything")
    assert grain(sharp) > 2 * grain(soft) and grain(sharp) > 2 * grain(everything)


def test_a_file_holds_the_frames_and_the_document_the_first(home: Path, tmp_path: Path) -> None:
    made, _ = _run(
        home, "animate", frames=4, fps=20, output="file", format="apng", folder=str(tmp_path)
    )
    assert [layer.name for layer in made.layers] == ["Painting, frame 001"]
    place = tmp_path / "Painting animated.png"
    assert f"The animation is in {place}." in made.notes
    with Image.open(place) as file:
        assert getattr(file, "n_frames", 1) == 4 and file.info["duration"] == 50
        seen = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(seen, made.layers[0].array[..., :3])
    both, _ = _run(home, "animate", frames=4, output="both", folder=str(tmp_path))
    assert len(both.layers) == 4 and (tmp_path / "Painting animated.gif").exists()
    assert place.exists()


@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_files_of_deep_pictures_show_the_same_colours(
    home: Path, tmp_path: Path, dtype: str
) -> None:
    made, _ = _run(
        home,
        "animate",
        _picture(dtype),
        frames=2,
        output="both",
        format="apng",
        folder=str(tmp_path),
    )
    full = 65535 if dtype == "u16" else 1
    with Image.open(tmp_path / "Painting animated.png") as file:
        seen = np.asarray(file.convert("RGB")).astype(float)
    np.testing.assert_allclose(seen, made.layers[0].array[..., :3] / full * 255.0, atol=0.51)


def test_file_problems_are_told_before_anything_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="is no folder"):
        _run(tmp_path, "animate", output="file")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InvalidRequest, match="ffmpeg"):
        _run(tmp_path, "animate", output="file", format="mp4", folder=str(tmp_path))


def test_movement_grows_with_its_strength(home: Path) -> None:
    def spread(strength: str) -> float:
        made, _ = _run(home, "animate", frames=6, strength=strength, moves="everything")
        return float(np.stack([layer.array[..., :3] for layer in made.layers]).std(0).mean())

    assert spread("weak") < spread("strong")


def test_many_large_frames_stay_small_and_say_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.operations.animate.LARGEST_ENLARGED", 1000)
    made, _ = _run(home, "animate", frames=2)
    assert _sizes(made) == [(32, 24)] * 2
    assert any("frames are small" in note for note in made.notes)


# --- enlarge, repaint -----------------------------------------------------------------------------


def test_enlarging_adds_detail_and_shrinks_back_to_the_picture(home: Path) -> None:
    picture = _picture()
    made, _ = _run(home, "enlarge", factor=2.0)
    assert _sizes(made) == [(2 * WIDTH, 2 * HEIGHT)]
    again = as_picture(made.layers[0])
    small = np.asarray(
        Image.fromarray(again.array[..., :3]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    )
    assert np.abs(small.astype(int) - picture.array[..., :3]).mean() < 3
    free, _ = _run(home, "enlarge", factor=2.0, faithful=False)
    assert not np.array_equal(free.layers[0].array, made.layers[0].array)


def test_a_picture_too_large_to_enlarge_is_a_sentence_and_a_part_of_it_is_not(home: Path) -> None:
    picture = painting(420, 400)
    with pytest.raises(InvalidRequest, match=r"400 x 420 pixels.*up to 400") as told:
        _run(home, "enlarge", picture)
    assert "Select the part" in (told.value.remedy or "")
    made, _ = _run(home, "enlarge", picture, area=box_area(picture, 50, 60, 80, 90), factor=1.5)
    assert _sizes(made) == [(45, 45)] and (made.layers[0].x, made.layers[0].y) == (50, 60)


def test_a_painting_becomes_pictures_of_its_own_size(home: Path) -> None:
    made, _ = _run(home, "repaint", count=2)
    assert _sizes(made) == [(30, 40)] * 2
    assert {(layer.x, layer.y) for layer in made.layers} == {(100, 50)}
    assert [layer.name for layer in made.layers] == [
        "Sketch as Painting, 1",
        "Sketch as Painting, 2",
    ]
    closely, _ = _run(home, "repaint", follows="closely")
    loosely, _ = _run(home, "repaint", follows="loosely")
    assert not np.array_equal(closely.layers[0].array, loosely.layers[0].array)
