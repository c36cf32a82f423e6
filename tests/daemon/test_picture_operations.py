"""What is done with a model of one picture, run directly with trainings of a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operation_runs import box_area, direct_context, painting, run_directly
from picture_runs import (
    HEIGHT,
    WIDTH,
    inputs_of,
    learn_and_run,
    learnt_picture,
    sizes_of,
)
from short_picture_trainings import SIDES, short_settings

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, TrainingRequired
from intarsia_daemon.learnt_pictures import opaque_tensor, training_estimate, wanted_settings
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_daemon.picture_trainings import SPEED
from intarsia_daemon.pixels import Picture

OPERATIONS = ("variations", "retarget", "retouch", "animate", "enlarge", "repaint")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia_daemon.learnt_pictures.quality_settings", short_settings)


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for all tests that only need some model: each kind is learnt once."""
    yield tmp_path_factory.mktemp("home")


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_picture_is_learnt_once_and_another_seed_needs_no_training(
    tmp_path: Path, operation: str
) -> None:
    first, learning = learn_and_run(tmp_path, operation)
    assert learning.seconds["train"] > 0
    edit = direct_context(tmp_path, seed=7)
    second = run_directly(edit, operation, inputs_of(operation, learnt_picture()))
    assert "train" not in edit.seconds and second.model == first.model is not None
    same = np.array_equal(first.layers[0].array, second.layers[0].array)
    assert same == (operation in ("retouch", "enlarge"))  # these use no fresh noise
    again, _ = learn_and_run(tmp_path, operation)
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
        run_directly(direct_context(tmp_path), operation, inputs_of(operation, learnt_picture()))
    assert told.value.seconds_expected > 0


def test_quality_likeness_stages_and_area_are_other_models(home: Path) -> None:
    whole, _ = learn_and_run(home, "variations", count=1)
    seen = [whole.model]
    others: tuple[dict[str, Any], ...] = (
        {"quality": "normal"},
        {"likeness": "close"},
        {"likeness": "free"},
        {"stages": 2},
        {"area": box_area(learnt_picture(), 0, 0, 30, 30)},
    )
    for more in others:
        made, context = learn_and_run(home, "variations", count=1, **more)
        assert "train" in context.seconds and made.model not in seen, more
        seen.append(made.model)


@pytest.mark.parametrize("operation", ["repaint", "retarget", "animate"])
def test_a_draft_of_variations_serves_other_operations_too(home: Path, operation: str) -> None:
    first, _ = learn_and_run(home, "variations", count=1)
    second, context = learn_and_run(home, operation)
    assert "train" not in context.seconds and second.model == first.model
    if operation != "repaint":
        third, _ = learn_and_run(home, operation, quality="normal")
        assert third.model != first.model


def test_enlarging_a_picture_of_the_models_size_uses_the_model_of_variations(home: Path) -> None:
    small = painting(24, 28)
    first, _ = learn_and_run(home, "variations", small, count=1)
    second, context = learn_and_run(home, "enlarge", small)
    assert "train" not in context.seconds and second.model == first.model


def test_a_picture_with_something_added_uses_its_model_and_says_so(home: Path) -> None:
    first, _ = learn_and_run(home, "variations", count=1)
    array = learnt_picture().array.copy()
    array[:7, :7, :3] = 20
    changed = Picture(array, name="Painting")
    second, context = learn_and_run(home, "variations", changed, count=1)
    assert "train" not in context.seconds and second.model == first.model
    assert any("nearly this picture" in note for note in second.notes)
    third, context = learn_and_run(home, "variations", changed, count=1, reuse="exact")
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
        run_directly(context, "variations", {"picture": learnt_picture()})
    assert seen[-1] == "Training, stage 2 of 3" and not context.models.list()
    seen.clear()
    context = direct_context(
        tmp_path, lane="training", send=lambda message: seen.append(message.stage)
    )
    resumed = run_directly(context, "variations", {"picture": learnt_picture()})
    assert "Training, stage 1 of 3" not in seen and "Training, stage 3 of 3" in seen
    whole, _ = learn_and_run(tmp_path / "other", "variations")
    for one, other in zip(resumed.layers, whole.layers, strict=True):
        np.testing.assert_array_equal(one.array, other.array)


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


@pytest.mark.parametrize("operation", [*OPERATIONS, "harmonize"])
def test_trainings_end_early_only_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.undo()  # the real settings
    found = find_operation(operation)
    names = [item.name for item in found.declaration.inputs if item.required]
    sizes = {name: (480, 640) for name in names}

    def early(**choices: Any) -> bool:
        values = found.declaration.check(names, choices)
        assert found.estimate is not None
        return "may end earlier" in found.estimate(values, sizes, direct_context(tmp_path)).text

    for quality in ("draft", "normal", "fine"):
        assert not early(quality=quality) and early(quality=quality, stop_early=True)


def test_a_training_that_may_end_early_teaches_no_speed(tmp_path: Path) -> None:
    _, context = learn_and_run(tmp_path, "variations", count=1, stop_early=True)
    assert "train" in context.seconds and not context.machine.knows(SPEED)
    _, context = learn_and_run(tmp_path, "variations", count=1)
    assert "train" in context.seconds and context.machine.knows(SPEED)


def test_every_task_says_with_whom_its_model_is_shared(tmp_path: Path) -> None:
    context = direct_context(tmp_path)
    for task in ("generation", "retarget", "animation", "editing"):
        text = training_estimate(wanted_settings(task, "draft", (60, 80)), (60, 80), context).text
        assert "model" in text and "32 x 24" in text


# --- kinds of pictures ----------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_the_sample_type_comes_back(home: Path, operation: str, dtype: str) -> None:
    picture = learnt_picture(dtype)
    made, _ = learn_and_run(home, operation, picture)
    for layer in made.layers:
        assert layer.array.dtype == picture.array.dtype
        assert layer.array.shape[2] == 4 and np.isfinite(layer.array.astype(float)).all()
    if dtype == "u16":
        assert np.unique(made.layers[0].array[..., 0] % 257).size > 10  # finer than 8 bits


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_grey_picture_stays_grey(tmp_path: Path, operation: str) -> None:
    array = learnt_picture().array.copy()
    array[..., :3] = array[..., :1]
    made, _ = learn_and_run(tmp_path, operation, Picture(array, name="Grey"))
    for layer in made.layers:
        seen = layer.array[..., :3].astype(int)
        assert np.abs(seen - seen[..., :1]).max() <= 1


def test_transparent_borders_are_left_out_and_holes_take_the_mean_colour(home: Path) -> None:
    array = learnt_picture().array.copy()
    array[:4], array[:, :6], array[10:14, 20:30] = 0, 0, 0
    picture = Picture(array, 3, 5, "Torn")
    made, _ = learn_and_run(home, "variations", picture, count=1)
    layer = made.layers[0]
    assert sizes_of(made) == [(WIDTH - 6, HEIGHT - 4)] and (layer.x, layer.y) == (9, 9)
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
    inputs = inputs_of(operation, nothing)
    if operation == "retouch":
        inputs["element"] = nothing
    with pytest.raises(InvalidRequest, match=r"no visible pixels") as told:
        run_directly(direct_context(tmp_path, lane="training"), operation, inputs)
    assert told.value.remedy


# --- variations -----------------------------------------------------------------------------------


def test_variations_are_layers_of_the_pictures_size_and_place(home: Path) -> None:
    picture = replace(learnt_picture(), x=-5, y=9)
    made, _ = learn_and_run(home, "variations", picture, count=3)
    assert [layer.name for layer in made.layers] == [
        f"Painting, variation {index}" for index in (1, 2, 3)
    ]
    assert sizes_of(made) == [(WIDTH, HEIGHT)] * 3
    assert {(layer.x, layer.y) for layer in made.layers} == {(-5, 9)}
    assert len({layer.array.tobytes() for layer in made.layers}) == 3
    assert any("32 x 24" in note for note in made.notes)


def test_the_next_seed_moves_on_by_one_picture(home: Path) -> None:
    first, _ = learn_and_run(home, "variations", count=3)
    second, _ = learn_and_run(home, "variations", count=2, seed=1)
    for one, other in zip(first.layers[1:], second.layers, strict=True):
        np.testing.assert_allclose(one.array.astype(int), other.array, atol=1)


def test_shares_make_other_sizes(home: Path) -> None:
    made, _ = learn_and_run(home, "variations", count=1, width=150, height=50)
    assert sizes_of(made) == [(round(WIDTH * 1.5), HEIGHT // 2)]
    with pytest.raises(InvalidRequest, match="pixels at the model's size") as told:
        learn_and_run(home, "variations", count=1, height=25)
    assert "11 pixels" in (told.value.remedy or "")


def test_what_varies_grows_with_the_stages(home: Path) -> None:
    def spread(varies: str) -> float:
        made, _ = learn_and_run(home, "variations", count=4, varies=varies)
        return float(np.stack([layer.array[..., :3] for layer in made.layers]).std(0).mean())

    assert spread("everything") > spread("layout") > spread("forms") > 0
    assert spread("detail") > 0  # more stages are asked for than this model has


def test_a_sheet_holds_all_of_them_on_one_layer(home: Path) -> None:
    made, _ = learn_and_run(home, "variations", count=5, output="sheet", seed=3)
    [layer] = made.layers
    assert layer.name == "Variations of Painting"
    assert layer.array.shape[1] > 2 * SIDES["draft"]


def test_an_area_is_the_part_that_is_learnt(home: Path) -> None:
    picture = replace(learnt_picture(), x=10, y=20)
    made, _ = learn_and_run(
        home, "variations", picture, count=1, area=box_area(picture, 6, 4, 36, 30)
    )
    layer = made.layers[0]
    assert sizes_of(made) == [(30, 26)] and (layer.x, layer.y) == (16, 24)
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        learn_and_run(home, "variations", picture, area=box_area(picture, 100, 100, 110, 110))
