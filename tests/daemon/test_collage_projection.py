"""Project, and what it tells while it runs; run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from operation_runs import as_picture, box_area, direct_context, painting, run_directly, shown
from small_generators import install_small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context
from intarsia_daemon.held_pictures import fit_sentence
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation


def test_the_reconstruction_is_the_models_picture_with_a_fit(context: Context) -> None:
    picture = painting(64, 64, x=4, y=6)
    result = run_directly(context, "project", {"picture": picture}, steps=12, class_name="plum")
    layer = result.layers[0]
    assert layer.name == "Painting reconstruction"
    assert (layer.x, layer.y, layer.array.shape) == (4, 6, (64, 64, 4))
    assert 0 <= result.metrics["fit"] <= 1 and 0 < result.metrics["rmse"] < 2
    assert result.notes == [fit_sentence(result.metrics["fit"])]
    assert result.model is not None and len(result.model["latents"]) == 1


def test_more_steps_come_nearer(context: Context) -> None:
    picture = painting(seed=31)
    apart = [
        run_directly(context, "project", {"picture": picture}, steps=s, class_name="0").metrics
        for s in (0, 25)
    ]
    assert apart[1]["rmse"] < apart[0]["rmse"]


def test_the_second_time_it_is_known(home: Path) -> None:
    picture = painting(seed=32)
    first, second, edit = (direct_context(home) for _ in range(3))
    one = run_directly(first, "project", {"picture": picture}, steps=3)
    again = run_directly(second, "project", {"picture": picture}, steps=3)
    assert "project" in first.seconds and "project" not in second.seconds
    np.testing.assert_array_equal(one.layers[0].array, again.layers[0].array)
    assert one.notes == again.notes
    run_directly(edit, "relabel", {"picture": picture}, steps=3, class_name="lime")
    assert "project" not in edit.seconds


def test_a_guessed_class_is_said_and_counts_as_named(home: Path) -> None:
    picture = painting(seed=33)
    guessed = run_directly(direct_context(home), "project", {"picture": picture}, steps=3)
    label = guessed.notes[0].split("'")[1]
    assert guessed.notes[0].startswith("The picture was taken for ")
    named = direct_context(home)
    result = run_directly(named, "project", {"picture": picture}, steps=3, class_name=label)
    assert "project" not in named.seconds
    np.testing.assert_array_equal(result.layers[0].array, guessed.layers[0].array)


def test_a_generated_layer_comes_back_exactly(context: Context) -> None:
    made = as_picture(run_directly(context, "generate", count=1).layers[0])
    result = run_directly(context, "project", {"picture": made})
    np.testing.assert_array_equal(shown(made, result.layers[0]), made.array[..., :3] / 255)
    assert result.metrics["fit"] == 1 and "exactly" in result.notes[0]
    assert "project" not in context.seconds


def test_an_area_is_looked_at_with_its_surroundings(context: Context) -> None:
    picture = painting(60, 100)
    area = box_area(picture, 60, 10, 80, 30)
    layer = run_directly(
        context, "project", {"picture": picture, "area": area}, steps=1, surroundings=0.5
    ).layers[0]
    assert layer.array.shape[0] >= 40 and layer.x <= 60 and layer.x + layer.array.shape[1] >= 80
    assert layer.array.shape[1] < 100


def test_the_search_shows_the_picture_and_its_losses(home: Path, monkeypatch) -> None:
    monkeypatch.setattr("intarsia_daemon.held_pictures.PREVIEW_EVERY_S", 0.0)
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    sent: list[Working] = []
    context = direct_context(home, send=sent.append)
    run_directly(context, "project", {"picture": painting(seed=34)}, steps=4)
    search = [m for m in sent if m.stage == "Finding the picture in the model"]
    assert [m.step for m in search] == [0, 1, 2, 3, 4] and {m.total for m in search} == {4}
    assert {"loss", "best"} <= set(search[-1].numbers)
    assert search[-1].preview is not None and search[-1].preview.width == 32
    assert search[-1].numbers["best"] <= search[0].numbers["best"]


def test_a_cancelled_search_keeps_nothing_and_stops(home: Path) -> None:
    picture = painting(seed=35)
    context = direct_context(home)
    context.send = lambda message: context.control.cancel()
    with pytest.raises(Cancelled):
        run_directly(context, "project", {"picture": picture}, steps=500, class_name="lime")
    again = direct_context(home)
    run_directly(again, "project", {"picture": picture}, steps=1, class_name="lime")
    assert "project" in again.seconds


def test_without_encoder_and_auxiliary_networks_it_searches_all_the_same(tmp_path: Path) -> None:
    install_small_generator(tmp_path, companions=False)
    context = direct_context(tmp_path)
    result = run_directly(context, "project", {"picture": painting()}, steps=3)
    assert len(result.layers) == 1
    for settings, message in (
        ({"start": "encoder"}, "has no encoder"),
        ({"space": "extended"}, "has no auxiliary networks"),
    ):
        with pytest.raises(InvalidRequest, match=message) as caught:
            run_directly(context, "project", {"picture": painting()}, **settings)
        assert caught.value.action and caught.value.remedy


def test_damaged_latents_are_looked_for_again(tmp_path: Path) -> None:
    install_small_generator(tmp_path)
    picture = painting(seed=36)
    run_directly(direct_context(tmp_path), "project", {"picture": picture}, steps=2)
    for file in (tmp_path / "latents").iterdir():
        file.write_bytes(b"\0" * 100)
    again = direct_context(tmp_path)
    run_directly(again, "project", {"picture": picture}, steps=2)
    assert "project" in again.seconds


def test_the_estimate_grows_with_the_steps_and_learns(home: Path, tmp_path: Path) -> None:
    found = find_operation("project")
    assert found.estimate is not None
    context = direct_context(home)

    def seconds(**settings: object) -> float:
        values = found.declaration.check(["picture"], settings)
        assert found.estimate is not None
        return found.estimate(values, {"picture": (64, 64)}, context).seconds

    assert seconds(steps=400) > seconds(steps=100) > 0
    empty = direct_context(tmp_path)
    values = found.declaration.check(["picture"], {})
    assert found.estimate(values, {"picture": (64, 64)}, empty).seconds > 0


def test_the_sentence_says_what_to_do_about_a_bad_fit() -> None:
    assert "well" in fit_sentence(0.9)
    assert "roughly" in fit_sentence(0.7)
    assert "more steps" in fit_sentence(0.1)
