"""Relabel, transplant, project and generate through a real engine, on a small generator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_pictures import area_of, array_of, composited, photograph, sent_back
from small_generators import LABELS, install_small_generator
from tests.support import engine_environment, running_engine

from intarsia_client.client import Client
from intarsia_client.errors import IntarsiaError, InvalidRequest, JobCancelled, JobFailed
from intarsia_client.schema import Pixels, Progress, Result, ResultLayer

pytestmark = pytest.mark.timeout(900)  # on a machine that has other things to do


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    home = Path(environment["INTARSIA_HOME"])
    install_small_generator(home)
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


@pytest.fixture(name="model", scope="module")
def _model(client: Client) -> str:
    """The small generator; a shipped one would come first."""
    return next(m["id"] for m in client.models() if m["title"] == "Small fruit")


@pytest.fixture(name="run", scope="module")
def _run(client: Client, model: str):
    def run(operation: str, *inputs: Pixels, seed: int = 0, **settings: object) -> Result:
        job = client.submit(operation, inputs, {"model": model, **settings}, seed=seed)
        return job.wait(timeout_s=600)

    return run


@pytest.fixture(name="apples", scope="module")
def _apples(run) -> tuple[ResultLayer, ...]:
    return run("generate", count=3, class_name="apple").layers


def test_the_model_tells_its_classes(client: Client, model: str) -> None:
    entry = next(m for m in client.models() if m["id"] == model)
    assert "spatial_classes" in entry["capabilities"] and entry["resolution"] == 32
    assert client.labels(model) == list(LABELS)


def test_a_generated_layer_is_relabelled_without_a_search(
    run, apples: tuple[ResultLayer, ...]
) -> None:
    picture = sent_back(apples[0], "picture", x=40, y=-8)
    result = run("relabel", picture, class_name="lime")
    assert "project" not in result.seconds and result.metrics["fit"] == 1.0
    limes = run("generate", count=1, class_name="lime").layers
    shown = composited(picture, result.layers[0])
    np.testing.assert_allclose(shown, array_of(limes[0])[..., :3] / 255, atol=1.01 / 255)
    assert result.recipe["model"]["latents"] and result.recipe["parameters"]["class_name"] == "lime"


def test_an_area_of_a_photograph_is_relabelled_and_the_rest_stays(run) -> None:
    picture = photograph(dtype="u16")
    result = run(
        "relabel", picture, area_of(60, 20, 20, 20), class_name="lime", steps=5, softness=2.0
    )
    layer = result.layers[0]
    assert layer.dtype == "u16" and layer.x >= 54 and layer.x + layer.width <= 86
    before, after = composited(picture), composited(picture, layer)
    np.testing.assert_array_equal(after[:, :54], before[:, :54])
    np.testing.assert_array_equal(after[46:], before[46:])
    assert np.abs(after - before)[20:40, 60:80].mean() > 0.002
    assert any("fit" in note for note in result.notes) and 0 <= result.metrics["fit"] <= 1


def test_several_areas_get_classes_by_their_colour_labels(
    run, apples: tuple[ResultLayer, ...]
) -> None:
    picture = sent_back(apples[1], "picture")
    areas = [
        area_of(0, 0, 12, 12, role="areas", name="blue"),
        area_of(20, 20, 12, 12, role="areas", name="green"),
    ]
    given = {"classes": {"blue": "lemon", "green": "plum"}, "softness": 0.0}
    result = run("relabel", picture, *areas, **given)
    before, after = composited(picture), composited(picture, result.layers[0])
    changed = np.abs(after - before).max(2) > 0
    assert changed[:12, :12].mean() > 0.5 and changed[20:, 20:].mean() > 0.5
    changed[:12, :12] = changed[20:, 20:] = False
    assert not changed.any()


def test_frames_come_with_the_result(run, apples: tuple[ResultLayer, ...]) -> None:
    picture = sent_back(apples[0], "picture")
    result = run("relabel", picture, class_name="lime", amount=0.6, frames=5)
    assert result.layers[0].amount == 0.6
    assert [frame.amount for frame in result.frames] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert {frame.frame_of for frame in result.frames} == {0}
    boxes = {(f.x, f.y, f.width, f.height, f.dtype) for f in (*result.layers, *result.frames)}
    assert len(boxes) == 1
    np.testing.assert_array_equal(composited(picture, result.frames[0]), composited(picture))


def test_a_moved_piece_moves_the_feature(run, apples: tuple[ResultLayer, ...]) -> None:
    picture = sent_back(apples[0], "picture", name="Base")
    reference = sent_back(apples[1], "references", name="Other")
    part = np.ascontiguousarray(array_of(apples[1])[4:16, 2:14])
    piece = Pixels("piece", 12, 12, 4, part.tobytes(), x=16, y=10, name="Piece")
    moved = run("transplant", picture, reference, piece, softness=0.0)
    told = run(
        "transplant",
        picture,
        reference,
        area_of(16, 10, 12, 12),
        softness=0.0,
        shift_x=14.0,
        shift_y=6.0,
    )
    still = run("transplant", picture, reference, area_of(16, 10, 12, 12), softness=0.0)
    assert bytes(moved.layers[0].data) == bytes(told.layers[0].data)
    assert bytes(moved.layers[0].data) != bytes(still.layers[0].data)
    assert (moved.layers[0].x, moved.layers[0].y) == (16, 10)


def test_a_projection_shows_its_search_and_is_known_the_second_time(
    client: Client, model: str, run
) -> None:
    picture, seen = photograph(64, 64, seed=5), list[Progress]()
    settings = {"model": model, "steps": 80, "class_name": "lime"}
    first = client.submit("project", [picture], settings).wait(
        on_progress=seen.append, timeout_s=600
    )
    assert first.layers[0].name == "Photograph reconstruction"
    assert any(p.preview is not None and p.preview.width == 32 for p in seen)
    again = run("project", picture, steps=80, class_name="lime")
    assert "project" in first.seconds and "project" not in again.seconds
    assert bytes(again.layers[0].data) == bytes(first.layers[0].data)
    assert again.recipe["model"] == first.recipe["model"]
    edit = run("relabel", picture, steps=80, source_class="lime", class_name="plum")
    assert "project" not in edit.seconds


def test_a_search_can_be_cancelled(client: Client, model: str) -> None:
    picture = photograph(64, 64, seed=6)
    job = client.submit("project", [picture], {"model": model, "steps": 2000})
    running = threading.Event()

    def note(progress: Progress) -> None:
        running.set()

    def cancel() -> None:
        running.wait(300)
        job.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCancelled):
        job.wait(on_progress=note, timeout_s=600)
    thread.join()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_name": "lemom"}, "no class 'lemom'.* nearest are: lemon"),
        ({}, "No class was chosen"),
        ({"class_name": "lime", "layer_names": "../../x"}, "no layer"),
        ({"class_name": "lime", "model": "../escape"}, "no model '../escape'"),
        ({"classes": {"blue": "lime"}}, "the area 'blue', which is not there"),
    ],
)
def test_bad_values_come_back_as_sentences(
    run, apples: tuple[ResultLayer, ...], settings, message: str
) -> None:
    with pytest.raises(JobFailed, match=message) as caught:
        run("relabel", sent_back(apples[0], "picture"), **settings)
    assert caught.value.remedy and caught.value.code in ("BAD_REQUEST", "NOT_FOUND")


def test_hostile_pictures_and_areas_are_refused_and_the_engine_lives(
    run, apples: tuple[ResultLayer, ...]
) -> None:
    good = sent_back(apples[0], "picture")
    nan = photograph(dtype="f32")
    array = array_of(nan).copy()
    array[5, 5, 1] = np.nan
    clear = replace(good, data=bytes(len(good.data)))
    hostile: list[tuple[tuple[Pixels, ...], str]] = [
        ((replace(nan, data=array.tobytes()),), "not numbers"),
        ((clear,), "no visible pixels"),
        ((good, area_of(900, 900, 4, 4)), "covers nothing"),
        ((good, replace(area_of(0, 0, 4, 4), data=bytes(16))), "covers nothing"),
    ]
    for inputs, message in hostile:
        with pytest.raises(JobFailed, match=message):
            run("relabel", *inputs, class_name="lime")
    with pytest.raises((InvalidRequest, IntarsiaError)):
        run("relabel", replace(area_of(0, 0, 8, 8), input="picture"), class_name="lime")
    with pytest.raises((InvalidRequest, IntarsiaError), match="takes one"):
        run("relabel", good, good, class_name="lime")
    assert run("relabel", good, class_name="lime").layers


def test_the_same_recipe_gives_the_same_bits(run) -> None:
    picture = photograph(40, 50, seed=9)
    given = {"class_name": "plum", "steps": 3, "frames": 3}
    one, again = (run("relabel", picture, seed=4, **given) for _ in range(2))
    for a, b in zip((*one.layers, *one.frames), (*again.layers, *again.frames), strict=True):
        assert bytes(a.data) == bytes(b.data)
    assert one.recipe == again.recipe
