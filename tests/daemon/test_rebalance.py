"""Rebalancing a folder, run directly on a small generator's pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from operation_runs import box_area, direct_context, painting, run_directly
from PIL import Image
from small_generators import small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.operation import find_operation
from intarsia_daemon.operations.rebalance import wanted_part
from intarsia_daemon.picture_folders import read_picture
from intarsia_daemon.pixels import Outcome, Picture, picture_tensor
from intarsia_daemon.rebalance_run import BALANCE, TABLE
from intarsia_daemon.rebalancing import balance_of, is_kept, planned
from intarsia_daemon.scorers import brightness

REGRESSOR = True
"""See conftest."""
COUNT = 9
THRESHOLD = 0.36
QUICK = {"candidates": 6, "region": "10, 10, 90, 90", "threshold": THRESHOLD, "softness": 0.0}


def _fill(folder: Path, darkest: float) -> Path:
    """Nine pictures, twice as large as the model's, in two folders; the last ones are darker."""
    generator = small_generator()
    y = torch.arange(COUNT) % 4
    made = generator.synthesize(generator.sample_z(COUNT, 1), y).clamp(-1, 1)
    darker = torch.linspace(0.0, darkest, COUNT).view(-1, 1, 1, 1)
    levels = (made - darker * (made + 1) + 1) * 127.5
    for number, picture in enumerate(levels.round().byte().permute(0, 2, 3, 1).numpy()):
        place = folder / ("a" if number % 2 else "b")
        place.mkdir(exist_ok=True)
        image = Image.fromarray(picture).resize((64, 64), Image.Resampling.BICUBIC)
        image.save(place / f"{number}.{'png' if number < 6 else 'jpg'}", quality=98)
    return folder


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fill(tmp_path_factory.mktemp("dark"), 0.9)


@pytest.fixture(name="context")
def _context(home: Path) -> Context:
    return direct_context(home, lane="training")


def _score(path: Path) -> float:
    return float(brightness(picture_tensor(read_picture(path).picture)))


def _scores(folder: Path) -> dict[str, float]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): _score(path)
        for path in folder.rglob("*")
        if path.suffix in (".png", ".jpg")
    }


def _rows(results: Path) -> dict[str, dict[str, str]]:
    with open(results / TABLE, newline="", encoding="utf-8") as file:
        return {row["picture"]: row for row in csv.DictReader(file)}


def _run(context: Context, folder: Path, results: Path, **more: object) -> Outcome:
    settings = {**QUICK, **more}
    return run_directly(
        context, "rebalance", pictures=str(folder), results=str(results), **settings
    )


def _states(rows: Iterable[dict[str, str]]) -> list[str]:
    return [row["state"] for row in rows]


def test_a_folder_gets_as_many_with_the_attribute_as_without(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    before = _scores(folder)
    showed = sum(score >= THRESHOLD for score in before.values())
    assert showed < COUNT // 2  # dark pictures are the larger side
    outcome = _run(context, folder, results)
    rows = _rows(results)
    after = _scores(results)
    assert after.keys() == before.keys()  # a whole set
    changed = [row for row in rows.values() if row["state"] == "changed"]
    assert 1 <= len(changed) <= (COUNT - 2 * showed) // 2
    for row in rows.values():
        stem = row["picture"].rpartition(".")[0]
        assert float(row["score_before"]) == pytest.approx(before[stem], abs=0.01)
        assert float(row["score_after"]) == pytest.approx(after[stem], abs=0.01)
        if row["state"] == "changed":
            assert float(row["score_before"]) < THRESHOLD <= float(row["score_after"])
            assert row["part_from"] in rows and row["part_from"] != row["picture"]
            assert row["output"].endswith(".png")
            assert read_picture(results / row["output"]).picture.array.shape == (64, 64, 4)
        else:
            same = (folder / row["picture"]).read_bytes()
            assert (results / row["output"]).read_bytes() == same
    with open(results / BALANCE, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [line["when"] for line in table] == ["before", "after"]
    assert int(table[0]["showing"]) == showed
    assert int(table[1]["showing"]) == showed + len(changed)
    assert outcome.metrics["share_after"] == pytest.approx((showed + len(changed)) / COUNT)
    assert outcome.metrics["mean_after"] == pytest.approx(
        float(np.mean(list(after.values()))), abs=0.01
    )
    assert outcome.layers[0].name == "Rebalanced by brightness"
    assert any(f"{showed} of {COUNT} pictures" in note for note in outcome.notes)


@pytest.mark.parametrize(("goal", "sign"), [("more", 1), ("less", -1)])
def test_all_are_brought_nearer_to_a_goal(
    context: Context, tmp_path: Path, goal: str, sign: int
) -> None:
    (tmp_path / "pictures").mkdir()
    folder = _fill(tmp_path / "pictures", 0.0)
    wishes = {"goal": goal, "threshold": 0.53, "copy_rest": False}
    outcome = _run(context, folder, tmp_path / "results", **wishes)
    rows = _rows(tmp_path / "results")
    changed = [row for row in rows.values() if row["state"] == "changed"]
    assert changed
    for row in changed:
        assert sign * (float(row["score_after"]) - float(row["score_before"])) > 0
    assert sign * (outcome.metrics["mean_after"] - outcome.metrics["mean_before"]) > 0
    written = {
        path.relative_to(tmp_path / "results").as_posix()
        for path in (tmp_path / "results").rglob("*.png")
    }
    assert written == {row["output"] for row in changed}
    left = [row for row in rows.values() if row["state"] == "unchanged"]
    assert len(left) + len(changed) == COUNT and all(not row["output"] for row in left)


def test_the_same_seed_gives_the_same_results(home: Path, folder: Path, tmp_path: Path) -> None:
    tables = []
    for number, seed in enumerate((3, 3, 4)):
        context = direct_context(home, lane="training", seed=seed)
        _run(context, folder, tmp_path / str(number), goal="more", candidates=2, copy_rest=False)
        tables.append((tmp_path / str(number) / TABLE).read_text())
    assert tables[0] == tables[1] != tables[2]


def test_a_stopped_run_goes_on_and_what_was_written_is_not_made_again(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    whole, results = tmp_path / "whole", tmp_path / "results"
    _run(direct_context(home, lane="training"), folder, whole, goal="more")
    context = direct_context(home, lane="training")

    def stop(message: object) -> None:
        if getattr(message, "stage", "").startswith("Trying") and getattr(message, "step", 0) == 2:
            context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        _run(context, folder, results, goal="more")
    first = {path: path.stat().st_mtime_ns for path in results.rglob("*.png")}
    assert 1 <= len(first) < COUNT and _rows(results)  # the table tells what is done so far
    outcome = _run(direct_context(home, lane="training"), folder, results, goal="more")
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert any("by an earlier run" in note for note in outcome.notes)
    assert (results / TABLE).read_text() == (whole / TABLE).read_text()
    again = _run(direct_context(home, lane="training"), folder, results, goal="more")
    assert again.metrics == outcome.metrics


def test_nothing_that_is_there_is_overwritten(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    (results / "a").mkdir(parents=True)
    (results / "a" / "1.png").write_bytes(b"mine")
    with pytest.raises(InvalidRequest, match=r"already holds a/1\.png") as caught:
        _run(context, folder, results)
    assert "an empty folder" in caught.value.remedy
    assert (results / "a" / "1.png").read_bytes() == b"mine"
    other = tmp_path / "other"
    _run(context, folder, other)
    with pytest.raises(InvalidRequest, match="already holds"):
        _run(context, folder, other, candidates=3)  # other settings, other results
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / TABLE).write_text("mine")
    with pytest.raises(InvalidRequest, match=f"already holds {TABLE}"):
        _run(context, folder, tmp_path / "tables")


def test_a_file_that_was_being_written_when_the_machine_stopped_is_made_again(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    written: list[Path] = []

    def crash(path: Path, data: bytes) -> None:
        if path.suffix != ".csv":
            path.write_bytes(data[: len(data) // 2])
            written.append(path)
        raise OSError(5, "the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr("intarsia_daemon.rebalance_run.write_whole", crash)
        with pytest.raises(OSError, match="disk is gone"):
            _run(direct_context(home, lane="training"), folder, results)
    assert written
    _run(direct_context(home, lane="training"), folder, results)
    assert _scores(results).keys() == _scores(folder).keys()
    written[0].write_bytes(b"painted on by somebody")
    with pytest.raises(InvalidRequest, match="already holds"):
        _run(direct_context(home, lane="training"), folder, results)


def test_folders_that_cannot_be_used_are_refused(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    free = str(tmp_path / "free")
    for pictures, results, told in (
        ("", free, "Pictures: no folder was named"),
        (str(tmp_path / "nowhere"), free, "is no folder"),
        (str(tmp_path / "empty"), free, "holds no pictures"),
        (str(folder), "", "Results: no folder was named"),
        (str(folder), str(folder), "lies in the folder that is read"),
        (str(folder), str(folder / "a" / "results"), "lies in the folder that is read"),
        (str(folder), str(tmp_path / "file"), "cannot be made"),
    ):
        with pytest.raises(InvalidRequest, match=told):
            run_directly(context, "rebalance", pictures=pictures, results=results)
    one = tmp_path / "one"
    one.mkdir()
    Image.new("RGB", (40, 40), "red").save(one / "red.png")
    with pytest.raises(InvalidRequest, match="Only 1 of 1 pictures"):
        _run(context, one, tmp_path / "free")
    Image.new("RGB", (40, 40), "red").save(one / "red.jpg")
    with pytest.raises(InvalidRequest, match=r"both be written to red\.png"):
        _run(context, one, tmp_path / "free")


def test_an_unknown_scorer_is_refused_before_anything_is_read(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="no scorer 'smile'") as caught:
        _run(context, folder, tmp_path / "results", scorer="smile")
    assert "brightness, class:LABEL" in caught.value.remedy
    assert "read" not in context.seconds


def test_a_broken_file_is_told_and_stops_nothing(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted((folder / "a").iterdir()):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(copy / "clear.png")
    outcome = _run(context, copy, tmp_path / "results", goal="more")
    rows = _rows(tmp_path / "results")
    assert rows["0.png"]["state"] == rows["clear.png"]["state"] == "failed"
    assert rows["0.png"]["problem"] and not (tmp_path / "results" / "0.png").exists()
    assert outcome.metrics["failed"] == 2 and any("2 could not be read" in n for n in outcome.notes)


def test_it_runs_in_the_training_lane_with_its_estimate(
    home: Path, folder: Path, tmp_path: Path
) -> None:
    found = find_operation("rebalance")
    assert found.declaration.trains and found.estimate is not None
    context = direct_context(home)
    settings: dict[str, Any] = {
        "pictures": str(folder),
        "results": str(tmp_path / "results"),
    }
    told = found.estimate(found.declaration.check([], settings), {}, context)
    assert told.seconds > 1 and f"{COUNT} pictures" in told.text
    with pytest.raises(TrainingRequired):
        run_directly(context, "rebalance", **settings)


# --- parts and plans ------------------------------------------------------------------------------


def test_the_part_is_relative_to_the_frame() -> None:
    frame = Picture(np.zeros((100, 200, 4), np.uint8), 10, 20)
    part = wanted_part(box_area(frame, 50, 0, 100, 50), frame, "")(40, 40)
    expected = np.zeros((40, 40), np.float32)
    expected[:20, 10:20] = 1
    np.testing.assert_allclose(part, expected, atol=1e-3)
    alone = wanted_part(box_area(frame, 50, 0, 100, 50), None, "")(8, 8)
    np.testing.assert_allclose(alone, 1, atol=1e-5)
    soft = wanted_part(None, None, "0, 0, 50, 100", 0.05)(100, 100)[50]
    assert soft[:35].min() > 0.99 and soft[65:].max() < 0.01
    assert soft[47] > soft[50] > soft[53] and abs(soft[49] + soft[50] - 1) < 0.01
    region = wanted_part(None, None, "25 %, 0%, 50, 75")(100, 200)
    assert region[:75, 50:100].all() and region.sum() == 75 * 50


@pytest.mark.parametrize("region", ["", "1, 2, 3", "30, 30, 20, 70", "0, 0, 101, 50", "a, b, c, d"])
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(InvalidRequest, match="four percentages") as caught:
        wanted_part(None, None, region)
    assert "30, 30, 70, 70" in caught.value.remedy


def test_an_empty_part_is_refused() -> None:
    frame = painting(40, 40)
    with pytest.raises(InvalidRequest, match="part that is exchanged is empty"):
        wanted_part(box_area(frame, 90, 90, 99, 99), frame, "")


def test_the_plan_takes_from_the_larger_side_those_nearest_to_the_threshold() -> None:
    scores = [0.9, 0.1, 0.4, 0.2, 0.45, 0.3]
    plan = planned(scores, "balance", 0.5)
    assert plan.order == (4, 2, 5, 3, 1) and plan.wanted == 2 and plan.upwards
    assert is_kept(plan, 0.4, 0.5, 0.5) and not is_kept(plan, 0.4, 0.49, 0.5)
    less = planned(scores, "less", 0.25)
    assert set(less.order) == {0, 2, 4, 5} and not less.upwards and less.wanted == 4
    assert is_kept(less, 0.9, 0.8, 0.25) and not is_kept(less, 0.9, 0.95, 0.25)
    assert planned([0.1, 0.9], "balance", 0.5).order == ()


def test_a_balance_counts_from_the_threshold_on() -> None:
    found = balance_of([0.2, 0.5, 0.8, 0.1], 0.5)
    assert (found.pictures, found.showing, found.share) == (4, 2, 0.5)
    assert found.mean == pytest.approx(0.4)
