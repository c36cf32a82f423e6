"""The section on mosaics: from folders of pictures to tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intarsia_models.evaluation import mosaic_cost, mosaic_experiments, mosaic_report, mosaic_run
from intarsia_models.evaluation.mosaic_trainings import BASE, FIXED, HARD, PARAMETRIC, Scale, plans
from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.settings import MosaicSettings

TINY = Scale(
    iterations=2,
    patch=16,
    batch=1,
    width=4,
    depth=2,
    templates_most=2,
    critic_width=4,
    critic_depth=2,
    content_weight=20.0,
    side=40,
)


def put_pictures(folder: Path, names: list[str], seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save(folder / name)
    return folder


def run_here(module: str, case: dict[str, Any]) -> dict[str, Any]:
    """In this process instead of a fresh one, which takes seconds to start."""
    assert module == mosaic_cost.__name__
    return mosaic_cost._run(case)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mosaic_run.SCALES, "tiny", TINY)
    monkeypatch.setattr(mosaic_cost, "in_fresh_process", run_here)
    monkeypatch.setattr(mosaic_cost, "CASES", ((2, 0.002),))
    monkeypatch.setattr(mosaic_experiments, "QUERIES", 3)
    monkeypatch.setattr(mosaic_report, "CELL", 24)


def test_a_section_is_written_and_the_page_is_kept(tiny: None, tmp_path: Path) -> None:
    out = tmp_path / "docs"
    out.mkdir()
    page = out / "results.md"
    page.write_text("# Measured\n\n## Other\n\nkept\n", "utf-8")
    said: list[str] = []
    mosaic_run.measure_mosaics(
        put_pictures(tmp_path / "fruit", ["plum.png", "leek.png"], 0),
        put_pictures(tmp_path / "faces", ["a_face.png", "b.png"], 1),
        out,
        {"command": "COMMAND", "device": "DEVICE", "date": "DATE"},
        unseen=("b",),
        template_scale=0.75,
        scale="tiny",
        kept=tmp_path / "kept",
        say=said.append,
    )
    text = page.read_text("utf-8")
    assert "kept" in text.partition("## Mosaics")[0]
    section = text.partition("## Mosaics")[2]
    for word in ("COMMAND", "leek, plum, at 0.75", "a face; not trained on: b"):
        assert word in section
    for name in (BASE, HARD, FIXED, PARAMETRIC, f"{PARAMETRIC}, unseen", "K = 8"):
        assert re.search(rf"^\| {re.escape(name)} \|", section, re.MULTILINE), name
    assert "nan" not in section
    streamed = re.search(r"^\| streamed \| 64 \| (\S+) \|", section, re.MULTILINE)
    assert streamed is not None
    assert float(streamed[1]) < 1
    for name in re.findall(r"\(images/(\S+)\)", section):
        with Image.open(out / "images" / name) as picture:
            assert min(picture.size) > 20
    assert (tmp_path / "kept" / "fixed-memory").is_dir()
    assert "training: coarse" in said


def test_only_the_weights_differ_between_the_models() -> None:
    found = plans(TINY)
    base, hard = found[BASE], found[HARD]
    assert base[0] == hard[0]
    assert (base[1].entropy_weight, hard[1].entropy_weight) == (0.5, 5.0)
    assert found[FIXED][0].slots == TINY.templates_most
    assert found[FIXED][1] == base[1]
    assert found[PARAMETRIC][0].style == "parametric"


def test_a_fresh_process_is_asked_for_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def record(module: str, case: dict[str, Any]) -> dict[str, Any]:
        asked.append(case)
        return {"tile": 64, "seconds": 1.0, "cpu_seconds": 1.5, "peak_mb": 2.0}

    monkeypatch.setattr(mosaic_cost, "in_fresh_process", record)
    model = MosaicModel(build_network(MosaicSettings(width=4, depth=2)))
    costs = mosaic_cost.rendering_costs(model, cases=[(3, 0.5)], tile=None, memory_mb=7)
    assert [case["norm"] for case in asked] == ["fast", "exact"]
    assert [case["folder"] for case in asked] == [None, None]
    assert asked[0]["memory_mb"] == 7
    assert MosaicSettings.from_card(asked[0]["settings"]) == model.settings
    assert [(c.count, c.megapixels, c.peak_mb) for c in costs] == [(3, 0.5, 2.0)] * 2
