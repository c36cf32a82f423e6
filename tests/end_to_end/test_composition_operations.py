"""Composite, Complete and Adapt through a real engine, on a small generator with a regressor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_pictures import KINDS, area_of, array_of, composited, photograph
from small_generators import install_small_generator
from tests.support import engine_environment, running_engine

from intarsia_client.client import Client
from intarsia_client.errors import InvalidRequest, JobCancelled, JobFailed
from intarsia_client.schema import Pixels, Progress, Result

pytestmark = pytest.mark.timeout(900)  # on a machine that has other things to do

Run = Callable[..., Result]


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    home = Path(environment["INTARSIA_HOME"])
    install_small_generator(home, regressor=True)
    install_small_generator(home, title="Blind fruit")
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


@pytest.fixture(name="models", scope="module")
def _models(client: Client) -> dict[str, str]:
    """Ids by title."""
    return {model["title"]: model["id"] for model in client.models()}


@pytest.fixture(name="run", scope="module")
def _run(client: Client, models: dict[str, str]) -> Run:
    def run(
        operation: str,
        *inputs: Pixels,
        seed: int = 0,
        model: str = "Small fruit",
        **settings: object,
    ) -> Result:
        given = {"model": models[model], **settings}
        return client.submit(operation, inputs, given, seed=seed).wait(timeout_s=600)

    return run


def _piece(
    left: int,
    top: int,
    width: int,
    height: int,
    *,
    seed: int = 1,
    dtype: str = "u8",
    name: str = "",
) -> Pixels:
    made = photograph(height, width, seed, dtype)
    return replace(made, input="pieces", x=left, y=top, name=name or f"Piece {seed}")


def _group(dtype: str = "u8") -> list[Pixels]:
    """Three pieces, back to front, with holes; from (-8, 4) to (72, 64)."""
    return [
        _piece(-8, 4, 80, 30, seed=2, dtype=dtype, name="Sky"),
        _piece(-8, 40, 40, 24, seed=3, dtype=dtype, name="lime bush"),
        _piece(40, 20, 30, 40, seed=4, dtype=dtype, name="Tree"),
    ]


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_a_group_of_three_pieces_with_holes_becomes_one_opaque_layer(run: Run, dtype: str) -> None:
    result = run("composite", *_group(dtype))
    (layer,) = result.layers
    assert (layer.x, layer.y, layer.width, layer.height, layer.dtype) == (-8, 4, 80, 60, dtype)
    full = {"u8": 255, "u16": 65535, "f32": 1.0}[dtype]
    assert (array_of(layer)[..., 3] == full).all()
    assert result.notes[0].startswith("Taken: Sky for '") and "lime bush" not in result.notes[0]
    assert [item["name"] for item in result.recipe["inputs"]] == ["Sky", "lime bush", "Tree"]
    assert 0 < result.metrics["known"] < 1


def test_the_order_of_the_pieces_counts(run: Run) -> None:
    back, front = _piece(0, 0, 40, 40, seed=5), _piece(0, 0, 40, 40, seed=6)
    one, other = run("composite", back, front), run("composite", front, back)
    alone = run("composite", front)
    assert bytes(one.layers[0].data) != bytes(other.layers[0].data)
    apart = np.abs(array_of(one.layers[0]).astype(int) - array_of(alone.layers[0]))
    assert apart.max() <= 2  # the front one hides the other wholly


def test_the_same_recipe_gives_the_same_bits(run: Run) -> None:
    one, again = (run("composite", *_group(), refine=3, seed=7) for _ in range(2))
    assert bytes(one.layers[0].data) == bytes(again.layers[0].data) and one.recipe == again.recipe


def test_what_is_to_be_kept_comes_back_exactly(run: Run) -> None:
    pieces = _group("u16")
    result = run("composite", *pieces, area_of(-4, 44, 10, 8, role="keep"))
    before = array_of(pieces[1])[4:12, 4:14, :3]
    np.testing.assert_array_equal(array_of(result.layers[0])[40:48, 4:14, :3], before)


def test_refining_shows_previews_and_can_be_cancelled(
    client: Client, models: dict[str, str]
) -> None:
    job = client.submit(
        "composite", _group(), {"model": models["Small fruit"], "refine": 1000, "method": "adam"}
    )
    shown = threading.Event()

    def see(progress: Progress) -> None:
        if progress.preview is not None:
            shown.set()

    def cancel() -> None:
        shown.wait(300)
        job.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCancelled):
        job.wait(on_progress=see, timeout_s=600)
    thread.join()
    assert shown.is_set()


def test_variants_of_what_is_missing_leave_the_rest_alone(run: Run) -> None:
    picture = photograph(60, 90, seed=8)
    area = area_of(70, 20, 40, 20)  # beyond the right edge
    result = run("complete", picture, area, variants=2, refine=3)
    first, second = result.layers
    assert bytes(first.data) != bytes(second.data)
    for layer in (first, second):
        assert layer.x + layer.width == 110
        inside = replace(
            layer, data=np.ascontiguousarray(array_of(layer)[:, : 90 - layer.x]).tobytes()
        )
        cut = replace(inside, width=90 - layer.x)
        before, after = composited(picture), composited(picture, cut)
        changed = np.abs(after - before).max(2) > 0
        assert changed[20:40, 70:].mean() > 0.5
        changed[20:40, 70:] = False
        assert not changed.any()


def test_an_adapted_model_is_found_by_later_edits(run: Run) -> None:
    picture = photograph(50, 70, seed=9)
    first = run("adapt", picture, steps=20)
    assert first.metrics["after"] < first.metrics["before"]
    assert first.layers[0].name == "Photograph as the model holds it"
    behind = replace(picture, input="pieces", x=30)
    later = run("composite", behind, _piece(40, 5, 12, 12))
    assert later.notes[0] == "The model was adapted to 'Photograph' before; that is used."
    assert later.recipe["model"]["adapted"] == first.recipe["model"]["adapted"]
    other = run("composite", _piece(0, 0, 50, 70, seed=10))
    assert "adapted" not in other.recipe["model"]


@pytest.mark.parametrize("operation", ["composite", "complete", "adapt"])
def test_a_model_without_a_regressor_says_what_adds_one(run: Run, operation: str) -> None:
    picture = photograph(40, 40)
    inputs = [replace(picture, input="pieces")] if operation == "composite" else [picture]
    if operation == "complete":
        inputs.append(area_of(2, 2, 5, 5))
    with pytest.raises(JobFailed, match="'Blind fruit' has no regressor") as caught:
        run(operation, *inputs, model="Blind fruit")
    assert "intarsia train regressor" in caught.value.remedy


def test_hostile_groups_are_refused_and_the_engine_lives(run: Run) -> None:
    clear = replace(_piece(0, 0, 8, 8), data=bytes(8 * 8 * 4))
    nan = _piece(0, 0, 8, 8, dtype="f32")
    array = array_of(nan).astype(KINDS["f32"])
    array[2, 2, 1] = np.nan
    far = _piece(2_000_000, 2_000_000, 4, 4)
    for pieces, message in (
        ([clear], "'Piece 1' has no visible pixels"),
        ([clear, clear], "None of the 2 pieces"),
        ([replace(nan, data=array.tobytes())], "not numbers"),
        ([_piece(0, 0, 8, 8), far], "around everything that was given"),
    ):
        with pytest.raises(JobFailed, match=message) as caught:
            run("composite", *pieces)
        assert caught.value.remedy
    with pytest.raises(InvalidRequest, match="needs the input 'pieces'"):
        run("composite")
    assert run("composite", clear, *_group()).notes[0].startswith("Nothing is visible on these")
