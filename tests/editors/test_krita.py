"""The plug-in in the real Krita with the real engine, through the panel's own buttons.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. Krita is started
once; it plays the scenes of ``krita_scenes.py`` one after the other, and each test looks at one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.editors.krita_session import ROOT, Krita, small_case

pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(ROOT).is_dir(), reason=f"{ROOT} does not exist"),
]

SCENES = [
    "begins",
    "blends",
    "blends_in_an_area",
    "keeps_and_discards",
    "reads_deep_colours",
    "reads_groups_and_masks",
    "explains_a_wrong_layer",
    "keeps_the_recipe",
    "window_stays_alive",
    "cancels",
    "pauses",
    "says_when_the_engine_is_gone",
    "harmonizes",
    "survives_a_killed_engine",
]
BLENDED, HARMONIZED = "Blended Lemur", "Harmonized Lemur"


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.prepare({"small": small_case()}, depth="U16")
    return made


@pytest.fixture(scope="module")
def findings(krita: Krita) -> dict[str, Any]:
    return krita.play(SCENES, limit_s=2000)


@pytest.fixture
def seen(findings: dict[str, Any]) -> Callable[[str], Any]:
    """What a scene saw, by its name."""

    def look(name: str) -> Any:
        assert "traceback" not in findings[name], findings[name]["traceback"]
        return findings[name]

    return look


def _alone(krita: Krita, file: str) -> np.ndarray:
    """An exported layer as (H, W, 4) integers."""
    return np.asarray(Image.open(krita.folder / "scenes" / file).convert("RGBA")).astype(int)


def _expected_blend(
    inside: tuple[int, int, int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the blend must give, (H, W, 3), and where, computed without any editor."""
    import torch

    from intarsia_models.blending import poisson_blend

    case = small_case()
    picture = np.asarray(case.picture.convert("RGB")).astype(np.float32)
    height, width = picture.shape[:2]
    element = np.zeros((height, width, 4), np.float32)
    x, y = case.place
    element[y : y + case.element.height, x : x + case.element.width] = np.asarray(case.element)
    cover = element[..., 3:] / 255
    if inside is not None:
        area = np.zeros_like(cover)
        left, top, w, h = inside
        area[max(0, top) : top + h, max(0, left) : left + w] = 1
        cover = cover * area

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).permute(2, 0, 1)[None]

    blended = poisson_blend(
        tensor(element[..., :3]) / 127.5 - 1, tensor(picture) / 127.5 - 1, tensor(cover)
    )
    return ((blended[0].permute(1, 2, 0).numpy() + 1) * 127.5), cover[..., 0]


def test_the_panel_stands_there_and_starts_no_engine(seen: Callable[[str], Any]) -> None:
    found = seen("begins")
    assert found["run"] == "Blend the element in" and found["able"]
    assert "“Lemur”" in found["reads"]
    assert found["engine"] == "Engine off; starts with the first run" and not found["running"]
    assert found["width"] <= 420


def test_blend_is_one_new_layer_above_and_nothing_else_changes(seen: Callable[[str], Any]) -> None:
    found = seen("blends")
    assert found["button"] == "Cancel"
    assert found["after"][:-1] == found["before"]
    assert found["after"][-1][0] == BLENDED == found["active"]
    assert not found["problem"]


def test_the_blended_layer_has_the_pixels_that_poisson_gives(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("blends")
    layer = _alone(krita, "blended.png")
    expected, cover = _expected_blend()
    inside = cover > 0.999
    assert (layer[..., 3][inside] == 255).all() and (layer[..., 3][cover == 0] < 255).any()
    assert np.abs(layer[..., :3][inside] - expected[inside]).max() <= 1.0


def test_exactly_one_undo_removes_the_result_and_redo_brings_it_back(
    seen: Callable[[str], Any],
) -> None:
    found = seen("blends")
    assert found["undone"] == found["before"]
    assert found["redone"] == found["after"]


def test_the_recipe_names_the_operation_and_what_it_read(seen: Callable[[str], Any]) -> None:
    found = seen("blends")
    (entry,) = found["recipes"]["layers"].values()
    recipe = entry["recipe"]
    assert (entry["name"], recipe["operation"], recipe["seed"]) == (BLENDED, "blend", 0)
    assert [i["input"] for i in recipe["inputs"]] == ["picture", "element"]
    assert all(len(i["sha256"]) == 64 for i in recipe["inputs"])


def test_a_selection_limits_the_edit(seen: Callable[[str], Any], krita: Krita) -> None:
    found = seen("blends_in_an_area")
    assert "inside the selection" in found["reads"]
    assert found["after"][:-1] == found["before"]
    left, _, width, _ = small_case().selection
    layer = _alone(krita, "blended-area.png")
    expected, cover = _expected_blend(small_case().selection)
    inside = cover > 0.999
    assert np.abs(layer[..., :3][inside] - expected[inside]).max() <= 1.0
    assert layer[:, left + width + 2 :, 3].max() == 0


def test_discard_takes_layer_and_recipe_away_and_keep_leaves_them(
    seen: Callable[[str], Any],
) -> None:
    found = seen("keeps_and_discards")
    assert found["opacity"] == 102
    assert found["discarded"] == found["before"] and found["recipes"]["layers"] == {}
    assert found["kept"][:-1] == found["before"] and found["kept"][-1][0] == BLENDED
    assert not found["strip"]


def test_a_16_bit_document_in_linear_light_gives_the_same_picture(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("reads_deep_colours")
    assert found["depth"] == "U16"
    assert found["after"][:-1] == found["before"] == found["undone"]
    layer = _alone(krita, "blended-deep.png")
    expected, cover = _expected_blend()
    inside = cover > 0.999
    assert np.abs(layer[..., :3][inside] - expected[inside]).max() <= 2.0


def test_an_element_in_a_group_is_blended_onto_what_lies_below_the_group(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("reads_groups_and_masks")
    assert found["inside"] == ["Inside", "Blended Inside"]
    assert found["after"] == found["before"]
    picture = small_case().picture
    data = (krita.folder / "scenes" / "blended-group.bgra").read_bytes()
    layer = np.frombuffer(data, np.uint8).reshape(picture.height, picture.width, 4).astype(int)
    expected, cover = _expected_blend()
    inside = cover > 0.999
    assert np.abs(layer[..., 2::-1][inside] - expected[inside]).max() <= 1.0


def test_with_nothing_below_a_sentence_says_what_to_do(seen: Callable[[str], Any]) -> None:
    found = seen("explains_a_wrong_layer")
    assert not found["able"]
    assert "nothing below" in found["reads"] and "layer of its own" in found["reads"]


def test_harmonize_trains_shows_its_stages_and_gives_one_layer(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("harmonizes")
    assert found["after"][:-1] == found["before"] == found["undone"]
    assert found["after"][-1][0] == HARMONIZED and not found["problem"]
    assert found["pause"]
    stages = {line.split(" – ")[0] for line in found["stages"] if line.startswith("Training")}
    assert {f"Training, stage {n} of 3" for n in (1, 2, 3)} <= stages
    layer, case = _alone(krita, "harmonized.png"), small_case()
    x, y = case.place
    element = np.asarray(case.element).astype(int)
    part = layer[y : y + element.shape[0], x : x + element.shape[1]]
    inside = element[..., 3] == 255
    assert (part[..., 3][inside] == 255).all()
    assert np.abs(part[..., :3] - element[..., :3])[inside].mean() > 3  # it was changed
    assert layer[0, 0, 3] == 0  # and far from it nothing was


def test_cancel_leaves_the_document_as_it_was(seen: Callable[[str], Any]) -> None:
    found = seen("cancels")
    assert (found["button"], found["stopping"]) == ("Cancel", "Stopping …")
    assert found["after"] == found["before"]
    assert found["annotations"] == [] and not found["problem"]
    assert found["again"] == "Harmonize the element"


def test_a_training_pauses_and_goes_on(seen: Callable[[str], Any]) -> None:
    found = seen("pauses")
    assert found["paused"].startswith("Paused: Training")
    assert not found["resumed"].startswith("Paused")


def test_kritas_window_keeps_ticking_while_a_job_is_sent_and_runs(
    seen: Callable[[str], Any],
) -> None:
    found = seen("window_stays_alive")
    assert found["ticks"] > 50


def test_a_job_goes_on_after_its_engine_was_killed(seen: Callable[[str], Any]) -> None:
    found = seen("survives_a_killed_engine")
    assert found["pid"] != found["killed"]
    assert any("goes on by itself" in hint for hint in found["hints"])
    assert found["after"][:-1] == found["before"]
    assert found["after"][-1][0] == HARMONIZED and not found["problem"]


def test_a_killed_engine_that_cannot_start_is_a_sentence_and_changes_nothing(
    seen: Callable[[str], Any],
) -> None:
    found = seen("says_when_the_engine_is_gone")
    assert found["after"] == found["before"] and found["annotations"] == []
    assert "engine" in found["sentence"] and "Traceback" not in found["sentence"]
    assert found["missing"]


def test_the_recipe_survives_saving_and_opening_and_sets_the_panel(
    seen: Callable[[str], Any],
) -> None:
    found = seen("keeps_the_recipe")
    recipe = found["recipes"]["layers"][found["id"]]["recipe"]
    assert recipe["parameters"]["method"] == "feather" and recipe["seed"] == 41
    assert (found["method"], found["feather"], found["seed"]) == ("feather", 3.5, 41)
    assert found["line"] == f"These are the settings of “{BLENDED}”."
