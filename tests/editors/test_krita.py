"""The plug-in in the real Krita with the real engine, through the panel's own buttons.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. Krita is started
once; it plays the scenes of ``krita_scenes/`` one after the other, and each test looks at one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.editors.krita_session import NEEDED, Krita, small_case
from tests.support import running_engine

from intarsia_client.client import Client
from intarsia_client.schema import Pixels

pytestmark = NEEDED
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
    "harmonizes",
    "survives_a_killed_engine",
    "says_when_the_engine_is_gone",
    "follows_a_job_that_was_lost",
]
LIMIT_S = 2000
BLENDED, HARMONIZED = "Blended Lemur", "Harmonized Lemur"


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.prepare({"small": small_case()}, depth="U16")
    return made


def _alone(krita: Krita, file: str) -> np.ndarray:
    """An exported layer as (H, W, 4) integers."""
    return np.asarray(Image.open(krita.folder / "scenes" / file).convert("RGBA")).astype(int)


@pytest.fixture(scope="module")
def blended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., np.ndarray]]:
    """What an engine makes of the same files with no editor: a layer of the canvas's size."""
    home = tmp_path_factory.mktemp("engine")
    environment = {**os.environ, "INTARSIA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (
        running_engine(environment),
        Client.connect(start=False, home_folder=home) as client,
    ):

        def blend(area: tuple[int, int, int, int] | None = None) -> np.ndarray:
            case = small_case()
            (width, height), (x, y) = case.picture.size, case.place
            picture = case.picture.convert("RGBA").tobytes()
            inputs = [
                Pixels("picture", width, height, 4, picture),
                Pixels("element", *case.element.size, 4, case.element.tobytes(), x=x, y=y),
            ]
            if area is not None:
                left, top, w, h = area
                inputs.append(Pixels("area", w, h, 1, b"\xff" * (w * h), x=left, y=top))
            (layer,) = client.submit("blend", inputs, {"method": "poisson"}).wait().layers
            whole = np.zeros((height, width, 4), int)
            data = np.frombuffer(layer.data, np.uint8).reshape(layer.height, layer.width, 4)
            whole[layer.y : layer.y + layer.height, layer.x : layer.x + layer.width] = data
            return whole

        yield blend


def _difference(layer: np.ndarray, expected: np.ndarray) -> int:
    """The largest difference of two layers, in 1/255; what is fully transparent has no colour."""
    colours = np.abs(layer[..., :3] - expected[..., :3])[expected[..., 3] > 0]
    return int(max(np.abs(layer[..., 3] - expected[..., 3]).max(), colours.max()))


def test_the_panel_stands_there_and_starts_no_engine(seen: Callable[[str], Any]) -> None:
    found = seen("begins")
    assert found["run"] == "Blend the object in" and found["able"]
    assert "“Lemur”" in found["reads"]
    assert found["engine"] == "Engine off; starts with the first run" and not found["running"]
    assert found["width"] <= 420


def test_blend_is_one_new_layer_above_and_nothing_else_changes(seen: Callable[[str], Any]) -> None:
    found = seen("blends")
    assert found["button"] == "Cancel"
    assert found["after"][:-1] == found["before"]
    assert found["after"][-1][0] == BLENDED
    assert found["active"] == "Lemur"  # the next run reads the same element
    assert not found["problem"]


def test_the_blended_layer_has_the_very_pixels_that_the_engine_gives(
    seen: Callable[[str], Any], krita: Krita, blended: Callable[..., np.ndarray]
) -> None:
    seen("blends")
    assert _difference(_alone(krita, "blended.png"), blended()) == 0


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


def test_a_selection_limits_the_edit(
    seen: Callable[[str], Any], krita: Krita, blended: Callable[..., np.ndarray]
) -> None:
    found = seen("blends_in_an_area")
    assert "inside the selection" in found["reads"]
    assert found["after"][:-1] == found["before"]
    left, _, width, _ = small_case().selection
    layer = _alone(krita, "blended-area.png")
    assert _difference(layer, blended(small_case().selection)) == 0
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
    seen: Callable[[str], Any], krita: Krita, blended: Callable[..., np.ndarray]
) -> None:
    found = seen("reads_deep_colours")
    assert found["depth"] == "U16"
    assert found["after"][:-1] == found["before"] == found["undone"]
    assert _difference(_alone(krita, "blended-deep.png"), blended()) <= 2


def test_an_element_in_a_group_is_blended_onto_what_lies_below_the_group(
    seen: Callable[[str], Any], krita: Krita, blended: Callable[..., np.ndarray]
) -> None:
    found = seen("reads_groups_and_masks")
    assert found["inside"] == ["Inside", "Blended Inside"]
    assert found["after"] == found["before"]
    picture = small_case().picture
    data = (krita.folder / "scenes" / "blended-group.bgra").read_bytes()
    layer = np.frombuffer(data, np.uint8).reshape(picture.height, picture.width, 4).astype(int)
    assert _difference(layer[..., [2, 1, 0, 3]], blended()) == 0


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
    assert found["again"] == "Harmonize the object"


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


def test_a_lost_job_is_offered_by_the_panel_and_its_result_is_inserted(
    seen: Callable[[str], Any],
) -> None:
    found = seen("follows_a_job_that_was_lost")
    assert "for this picture" in found["hint"]
    assert found["after"][:2] == found["before"][:2] and not found["problem"]
    names = [layer[0] for layer in found["after"]]
    assert sorted(names) == ["Background", BLENDED, HARMONIZED, "Lemur"]


def test_the_recipe_survives_saving_and_opening_and_sets_the_panel(
    seen: Callable[[str], Any],
) -> None:
    found = seen("keeps_the_recipe")
    recipe = found["recipes"]["layers"][found["id"]]["recipe"]
    assert recipe["parameters"]["method"] == "feather" and recipe["seed"] == 41
    assert (found["method"], found["feather"], found["seed"]) == ("feather", 3.5, 41)
    assert found["line"] == f"These are the settings of “{BLENDED}”."
