"""Models of one picture that are used for others: chosen, exported, and with several elements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operation_runs import direct_context, painting, run_directly, shown
from picture_runs import (
    HEIGHT,
    WIDTH,
    inputs_of,
    learn_and_run,
    learnt_picture,
    moved_piece,
    pasted_over,
)
from short_picture_trainings import short_settings

from intarsia_client.catalog import able
from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import ModelRef
from intarsia_daemon.context import Context
from intarsia_daemon.learnt_pictures import resized
from intarsia_daemon.model_import import import_model
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.operation import find_operation
from intarsia_daemon.pixels import Outcome, Picture
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.sampling import variations

USES = {
    "variations": "variations",
    "retarget": "variations",
    "animate": "variations",
    "repaint": "painting",
    "retouch": "editing",
    "harmonize": "harmonization",
}
"""What a model has to be able to do, by the operation that it is chosen in."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia_daemon.learnt_pictures.quality_settings", short_settings)
    monkeypatch.setattr(
        "intarsia_daemon.operations.harmonize.harmonization_settings",
        lambda quality, **how: short_settings("harmonization", quality, **how),
    )


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for all tests: each kind of model is learnt once."""
    yield tmp_path_factory.mktemp("home")


def other_picture() -> Picture:
    """Another one, upright, at another place."""
    return painting(60, 44, x=7, y=9, seed=11)


def given_to(operation: str, picture: Picture) -> dict[str, Any]:
    """What an operation is given; harmonize gets a piece to harmonize."""
    if operation == "harmonize":
        return {"picture": picture, "element": moved_piece(picture)}
    return inputs_of(operation, picture)


def learnt(home: Path, operation: str, **parameters: Any) -> tuple[Outcome, str]:
    """What the operation makes of the learnt picture, and the id of its model."""
    context = direct_context(home, lane="training")
    given = given_to(operation, learnt_picture())
    outcome = run_directly(context, operation, given, **parameters)
    assert outcome.model is not None
    return outcome, outcome.model["id"]


def used(
    home: Path, operation: str, model: str, picture: Picture, **parameters: Any
) -> tuple[Outcome, Context]:
    """Run in the lane in which nothing may be learnt."""
    edit = direct_context(home)
    given = given_to(operation, picture)
    return run_directly(edit, operation, given, model=model, **parameters), edit


# --- another picture ------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", USES)
def test_a_chosen_model_serves_a_picture_of_another_shape(home: Path, operation: str) -> None:
    _, model = learnt(home, operation)
    outcome, context = used(home, operation, model, other_picture())
    assert "train" not in context.seconds
    assert outcome.model is not None and outcome.model["id"] == model
    assert any("“Painting”, which learnt another picture" in note for note in outcome.notes)
    first = outcome.layers[0]
    if operation in ("variations", "animate"):
        assert (first.x, first.y) == (7, 9) and first.array.shape[:2] == (60, 44)
    if operation == "retarget":
        assert first.array.shape[:2] == (60, 88)


def test_variations_are_the_models_own_in_the_shape_of_the_picture(home: Path) -> None:
    _, model = learnt(home, "variations", count=1)
    outcome, context = used(home, "variations", model, other_picture(), count=1)
    trained = TrainedModel.load(context.models.path(model))
    longer = max(trained.sizes[-1])
    made = variations(trained, 1, size=(longer, round(longer * 44 / 60)), seed=context.seed)
    wanted = ((resized(made, (60, 44))[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    np.testing.assert_allclose(outcome.layers[0].array[..., :3], wanted, atol=1)


@pytest.mark.parametrize("operation", ["retouch", "harmonize"])
def test_another_pictures_model_changes_the_element_and_nothing_else(
    home: Path, operation: str
) -> None:
    _, model = learnt(home, operation)
    picture = other_picture()
    outcome, _ = used(home, operation, model, picture)
    [layer] = outcome.layers
    result, naive = shown(picture, layer), pasted_over(picture, moved_piece(picture))
    changed = np.abs(result - naive[..., :3] / 255).max(-1)
    piece = moved_piece(picture)
    top, left = piece.y - picture.y, piece.x - picture.x
    assert changed[top : top + 12, left : left + 12].mean() > 0.005
    assert changed[top + 25 :].max() == 0 and changed[:, : left - 12].max() == 0


@pytest.mark.parametrize("operation", USES)
def test_the_pictures_own_model_may_be_chosen_too(home: Path, operation: str) -> None:
    alone, model = learnt(home, operation)
    chosen, _ = used(home, operation, model, learnt_picture())
    assert chosen.notes == alone.notes
    for one, other in zip(alone.layers, chosen.layers, strict=True):
        np.testing.assert_array_equal(one.array, other.array)


@pytest.mark.parametrize("operation", ["retouch", "harmonize"])
def test_a_model_of_another_picture_is_not_fitted(home: Path, operation: str) -> None:
    _, model = learnt(home, operation)
    with pytest.raises(InvalidRequest, match="learnt another picture") as refused:
        used(home, operation, model, other_picture(), fine_tune=True)
    assert "Switch the fitting off" in refused.value.remedy


def test_a_model_that_cannot_do_it_is_refused_with_those_that_can(home: Path) -> None:
    _, harmonizes = learnt(home, "harmonize")
    _, varies = learnt(home, "variations", count=1)
    with pytest.raises(InvalidRequest, match="none that makes variations") as refused:
        used(home, "variations", harmonizes, other_picture())
    assert varies in refused.value.remedy
    with pytest.raises(InvalidRequest, match="none that harmonizes"):
        used(home, "harmonize", varies, other_picture())
    with pytest.raises(IntarsiaError):
        used(home, "variations", "nobody", other_picture())


@pytest.mark.parametrize("operation", USES)
def test_lists_offer_the_models_that_serve(home: Path, operation: str) -> None:
    _, model = learnt(home, operation)
    declared = find_operation(operation).declaration.parameter("model")
    assert isinstance(declared, ModelRef)
    assert declared.capability == USES[operation] and declared.empty == "This picture's own"
    entries = direct_context(home).models.list()
    assert model in [entry["id"] for entry in able(entries, declared.capability)]


def test_models_of_one_picture_have_titles_of_their_own(home: Path) -> None:
    models = {learnt(home, operation)[1] for operation in ("variations", "retouch", "harmonize")}
    entries = [entry for entry in direct_context(home).models.list() if entry["id"] in models]
    assert {entry["name"] for entry in entries} == {"Painting"}
    assert all(entry["detail"].endswith("32 px") for entry in entries)
    titles = {entry["title"] for entry in entries}
    assert len(titles) == len(models) == 3
    assert any(title.startswith("Painting (Retouch") for title in titles)


def test_a_picture_too_narrow_for_a_model_is_a_sentence(home: Path) -> None:
    _, model = learnt(home, "variations", count=1)
    with pytest.raises(InvalidRequest, match="too narrow for the chosen model"):
        used(home, "variations", model, painting(120, 12), count=1)


@pytest.mark.parametrize("operation", USES)
def test_the_estimate_of_a_chosen_model_is_that_nothing_is_learnt(
    home: Path, operation: str
) -> None:
    found = find_operation(operation)
    sizes = {item.name: (400, 600) for item in found.declaration.inputs}
    values = {p.name: p.default for p in found.declaration.parameters}
    context = direct_context(home)
    assert found.estimate is not None
    assert found.estimate(values, sizes, context).trains
    told = found.estimate({**values, "model": "some"}, sizes, context)
    assert not told.trains and told.seconds < 10 and "nothing is learnt" in told.text


# --- from machine to machine ----------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["variations", "retouch", "harmonize"])
def test_an_exported_model_does_the_same_on_another_machine(
    home: Path, tmp_path: Path, operation: str
) -> None:
    here, model = learnt(home, operation)
    ModelStore(home / "models").export(model, tmp_path / "shared" / "sky")
    there = tmp_path / "there"
    assert import_model(tmp_path / "shared" / "sky", there / "models") == model
    by_itself = run_directly(
        direct_context(there), operation, given_to(operation, learnt_picture())
    )
    chosen, _ = used(there, operation, model, learnt_picture())
    for outcome in (by_itself, chosen):
        assert outcome.model == here.model
        np.testing.assert_array_equal(outcome.layers[0].array, here.layers[0].array)
    assert ModelStore(there / "models").list(thumbnails=True)[0]["thumbnail"].startswith(b"\x89PNG")


def test_an_export_replaces_nothing_and_leaves_nothing_half_done(
    home: Path, tmp_path: Path
) -> None:
    _, model = learnt(home, "variations", count=1)
    store = ModelStore(home / "models")
    (tmp_path / "there").mkdir()
    with pytest.raises(InvalidRequest, match="is there already"):
        store.export(model, tmp_path / "there")
    with pytest.raises(InvalidRequest):
        store.export("nobody", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


# --- several elements -----------------------------------------------------------------------------


def square(
    picture: Picture, left: int, top: int, colour: tuple[int, int, int], name: str
) -> Picture:
    array = np.full((9, 9, 4), 255, np.uint8)
    array[..., :3] = colour
    return Picture(array, picture.x + left, picture.y + top, name)


def test_several_elements_are_harmonized_together_each_on_a_layer_of_its_own(home: Path) -> None:
    picture = learnt_picture()
    one = square(picture, 3, 4, (250, 20, 20), "One")
    two = square(picture, 30, 20, (20, 250, 20), "Two")
    context = direct_context(home, lane="training")
    both = run_directly(context, "harmonize", {"picture": picture, "element": one, "others": [two]})
    assert [layer.name for layer in both.layers] == ["Harmonized One", "Harmonized Two"]
    naive = pasted_over(Picture(pasted_over(picture, one)), two)[..., :3] / 255
    for layer, element in zip(both.layers, (one, two), strict=True):
        assert (layer.x, layer.y) == (element.x, element.y)
        assert layer.array.shape == element.array.shape
        top, left = element.y - picture.y, element.x - picture.x
        before = naive[top : top + 9, left : left + 9]
        assert np.abs(layer.array[..., :3] / 255 - before).mean() > 0.02
    alone = run_directly(context, "harmonize", {"picture": picture, "element": one})
    assert len(alone.layers) == 1
    assert not np.array_equal(
        alone.layers[0].array, both.layers[0].array
    )  # judged beside the other


def test_elements_that_overlap_are_seen_as_they_lie(home: Path) -> None:
    picture = learnt_picture()
    below = square(picture, 10, 10, (250, 20, 20), "Below")
    above = square(picture, 14, 10, (20, 20, 250), "Above")
    outcome = run_directly(
        direct_context(home, lane="training"),
        "harmonize",
        {"picture": picture, "element": below, "others": [above]},
        strength=0.0,
    )
    result = shown(picture, outcome.layers[0])
    np.testing.assert_allclose(result[12, 17], np.array([20, 20, 250]) / 255, atol=1e-2)
    np.testing.assert_allclose(result[12, 11], np.array([250, 20, 20]) / 255, atol=1e-2)
    assert outcome.layers[1].array.shape[:2] == (9, 9)


def test_learning_needs_no_chosen_model(tmp_path: Path) -> None:
    made, context = learn_and_run(tmp_path, "variations", count=1)
    assert context.seconds["train"] > 0 and made.layers[0].array.shape[:2] == (HEIGHT, WIDTH)
