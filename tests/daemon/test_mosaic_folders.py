"""Training mosaics on folders, and mosaics of a folder of frames; run directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_mosaics
from operation_runs import direct_context, painting, run_directly
from PIL import Image

from intarsia_client.errors import InvalidRequest
from intarsia_daemon import mosaic_parameters
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_models.mosaic.model import MosaicModel


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_parameters, "mosaic_settings", small_mosaics.small_settings)
    monkeypatch.setattr(mosaic_parameters, "mosaic_training", small_mosaics.brief_training)


def _save(folder: Path, *arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number}.png")
    return folder


def _grain(count: int = 2, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    bases = random.integers(20, 200, (count, 3))
    return [(base + random.integers(0, 55, (20, 24, 1))).astype(np.uint8) for base in bases]


def _training(home: Path, **more) -> Context:
    return direct_context(home, lane="training", **more)


def test_folders_of_templates_make_a_model_that_serves_any(tmp_path: Path) -> None:
    sets = tmp_path / "Sets"
    _save(sets / "red", *_grain())
    _save(sets / "blue", *_grain(seed=1))
    guides = _save(tmp_path / "Portraits", painting().array, painting(seed=5).array)
    asked = {"pictures": str(sets), "contents": str(guides), "title": "All kinds", "iterations": 2}
    result = run_directly(_training(tmp_path), "train_mosaic", **asked)
    assert result.model is not None and "All kinds" in result.notes[0]
    assert {"content", "tv", "entropy"} <= set(result.metrics)
    context = direct_context(tmp_path)
    card = context.models.card(result.model["id"])
    assert set(card.capabilities) == {"mosaic", "guided", "any_templates"}
    model = MosaicModel.load(context.models.path(result.model["id"]))
    assert model.origin["training"]["iterations"] == 2
    made = run_directly(
        context,
        "mosaic",
        {"picture": painting(24, 24)},
        pictures=str(_save(tmp_path / "New", *_grain(3, 7))),
        count=3,
    )
    assert made.model == result.model
    again = _training(tmp_path)
    known = run_directly(again, "train_mosaic", **asked)
    assert "train" not in again.seconds and "was done before" in known.notes[0]
    one_set = run_directly(_training(tmp_path), "train_mosaic", **asked, together=True)
    assert one_set.model is not None
    assert "any_templates" not in context.models.card(one_set.model["id"]).capabilities


def test_without_guides_templates_are_learnt_freely(tmp_path: Path) -> None:
    folder = _save(tmp_path / "Faces", *_grain(3))
    with pytest.raises(TrainingRequired):
        run_directly(direct_context(tmp_path), "train_mosaic", pictures=str(folder))
    result = run_directly(_training(tmp_path), "train_mosaic", pictures=str(folder), scale=50)
    context = direct_context(tmp_path)
    assert result.model is not None
    card = context.models.card(result.model["id"])
    assert set(card.capabilities) == {"mosaic", "unguided"} and card.title == "Faces"
    made = run_directly(context, "mosaic", pictures=str(folder), count=2, width=16, height=12)
    assert made.model == result.model and made.layers[0].array.shape == (12, 16, 4)


def test_how_long_a_training_takes_is_said(tmp_path: Path) -> None:
    found = find_operation("train_mosaic")
    assert found.estimate is not None
    context = direct_context(tmp_path)
    seconds = [
        found.estimate(found.declaration.check([], {"iterations": n}), {}, context).seconds
        for n in (100, 200)
    ]
    assert seconds[1] == pytest.approx(2 * seconds[0])


def _frames(folder: Path, count: int = 3, size: tuple[int, int] = (20, 26)) -> Path:
    whole = painting(size[0], size[1] + 4 * count).array
    return _save(folder, *(whole[:, 4 * n : 4 * n + size[1]] for n in range(count)))


def test_frames_become_mosaics_of_the_same_templates(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    frames = _frames(tmp_path / "Frames")
    templates = _save(tmp_path / "Templates", *_grain(4))
    results = tmp_path / "Results"
    asked = {"frames": str(frames), "results": str(results), "pictures": str(templates), "count": 3}
    result = run_directly(direct_context(tmp_path), "mosaic_frames", **asked)
    assert result.metrics["frames"] == 3
    made = [np.asarray(Image.open(results / f"{n}.png")) for n in range(3)]
    assert {array.shape for array in made} == {(20, 26, 4)}
    np.testing.assert_array_equal(result.layers[0].array, made[2])
    colours = {tuple(c) for array in _grain(4) for c in array.reshape(-1, 3).tolist()}
    assert sum(tuple(c) in colours for c in made[1][..., :3].reshape(-1, 3).tolist()) > 100
    with pytest.raises(InvalidRequest, match="already holds"):
        run_directly(direct_context(tmp_path / "another job"), "mosaic_frames", **asked)


def test_the_same_frame_twice_is_the_same_mosaic_twice(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    one, other = painting(20, 26).array, painting(20, 26, seed=8).array
    frames = _save(tmp_path / "Frames", other, one, other, one)
    results = tmp_path / "Results"
    asked = {"frames": str(frames), "results": str(results), "count": 2}
    templates = str(_save(tmp_path / "Templates", *_grain(2)))
    run_directly(direct_context(tmp_path), "mosaic_frames", **asked, pictures=templates)
    first, second, third, fourth = ((results / f"{n}.png").read_bytes() for n in range(4))
    assert first == third and second == fourth and first != second


def test_a_run_that_was_stopped_writes_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    small_mosaics.install_small_mosaic(tmp_path)
    results = tmp_path / "Results"
    asked = {
        "frames": str(_frames(tmp_path / "Frames")),
        "results": str(results),
        "pictures": str(_save(tmp_path / "Templates", *_grain())),
        "count": 2,
    }
    context = direct_context(tmp_path)

    def stop(message: object) -> None:
        if isinstance(message, Working) and message.stage == "Frame 2 of 3":
            context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        run_directly(context, "mosaic_frames", **asked)
    assert [path.name for path in results.iterdir()] == ["0.png"]
    before = (results / "0.png").stat().st_mtime_ns
    run_directly(direct_context(tmp_path), "mosaic_frames", **asked)
    assert sorted(path.name for path in results.iterdir()) == ["0.png", "1.png", "2.png"]
    assert (results / "0.png").stat().st_mtime_ns == before


def test_frames_of_different_sizes_are_refused(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    frames = _save(tmp_path / "Frames", painting(20, 26).array, painting(20, 30).array)
    with pytest.raises(InvalidRequest, match="30 x 20 pixels, the first frame 26 x 20"):
        run_directly(
            direct_context(tmp_path),
            "mosaic_frames",
            frames=str(frames),
            results=str(tmp_path / "Results"),
            pictures=str(_save(tmp_path / "Templates", *_grain())),
            count=2,
        )
