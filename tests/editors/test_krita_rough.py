"""Rough pieces in the real Krita: one picture of a group, and the preview that follows the hand.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. What must come out is
what an engine with the same home makes of the same pieces, drawn here, with no editor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.editors.krita_session import NEEDED, Krita, small_case

from intarsia_client.client import Client
from intarsia_client.schema import Pixels, Result

pytestmark = NEEDED

SCENES = ["composites_a_group", "live_follows_a_moved_piece"]
PIECES: list[dict[str, Any]] = [
    {"name": "Ground", "place": [0, 24, 48, 20], "color": [60, 140, 70, 255]},
    {
        "name": "House",
        "place": [6, 6, 20, 24],
        "color": [200, 90, 60, 255],
        "hole": [12, 14, 8, 10],
        "opacity": 204,
    },
    {"name": "Tree", "place": [30, 10, 14, 20], "color": [30, 90, 200, 255], "mask": 7},
]
"""From the back to the front; a ``mask`` shows so many columns on the left."""
MOVED, STEP = "House", (9, 5)


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.prepare({"small": small_case()}, regressor=True, pieces=PIECES, moved=MOVED)
    return made


def _piece(about: dict[str, Any], step: Sequence[int] = (0, 0)) -> Pixels:
    """A piece as it shows, on its own rectangle."""
    x, y, width, height = about["place"]
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[:] = about["color"]
    pixels[..., 3] = about.get("opacity", 255)
    if "hole" in about:
        left, top, w, h = about["hole"]
        pixels[top - y : top - y + h, left - x : left - x + w] = 0
    if "mask" in about:
        pixels = pixels[:, : about["mask"]]
    height, width = pixels.shape[:2]
    at = (x + step[0], y + step[1])
    return Pixels(
        "pieces", width, height, 4, pixels.tobytes(), x=at[0], y=at[1], name=about["name"]
    )


def _run(engine: Client, recipe: dict[str, Any], inputs: list[Pixels]) -> Result:
    return engine.submit("composite", inputs, recipe["parameters"], seed=recipe["seed"]).wait()


def _difference(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of two layers in 1/255; what is transparent has no colour."""
    there = (one[..., 3] > 0) & (other[..., 3] > 0)
    colours = np.abs(one[..., :3].astype(int) - other[..., :3])[there]
    return int(max(np.abs(one[..., 3].astype(int) - other[..., 3]).max(), colours.max(initial=0)))


def _rgba(data: Any, width: int, height: int) -> np.ndarray:
    return np.frombuffer(data, np.uint8).reshape(height, width, 4)


def test_one_click_makes_one_new_layer_above_the_group_and_one_undo_takes_it_away(
    seen: Callable[[str], Any],
) -> None:
    found = seen("composites_a_group")
    assert found["reads"] == "Reads: group “Collage”: 3 pieces, 48×38"
    assert found["before"] == ["Background", "Collage", "Signature"]
    assert found["after"] == ["Background", "Collage", found["new"], "Signature"]
    assert found["type"] == "paintlayer" and found["new"]
    assert found["active"] == "Collage"  # ready for the next run
    assert found["others_same"] and found["undone_same"]


def test_the_layer_is_what_an_engine_makes_of_the_same_pieces(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("composites_a_group")
    (layer,) = _run(engine, found["recipe"], [_piece(about) for about in PIECES]).layers
    x, y, width, height = found["place"]
    data = (krita.folder / "scenes" / "composite.bgra").read_bytes()
    result = _rgba(data, width, height)[..., [2, 1, 0, 3]]
    wanted = _rgba(layer.data, layer.width, layer.height)
    wanted = wanted[y - layer.y : y - layer.y + height, x - layer.x : x - layer.x + width]
    assert (layer.x, layer.y) <= (x, y) and wanted.shape == result.shape
    assert _difference(result, wanted) <= 1
    assert found["recipe"]["operation"] == "composite" and len(found["recipe"]["inputs"]) == 3


@pytest.mark.parametrize(("name", "step"), [("first", (0, 0)), ("moved", STEP)])
def test_the_preview_shows_what_an_engine_makes_of_the_pieces_where_they_are_now(
    name: str, step: tuple[int, int], seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    about = seen("live_follows_a_moved_piece")[name]
    sent = []
    for number, one in enumerate(about["inputs"]):
        data = (krita.folder / "scenes" / f"live-{name}-{number}.rgba").read_bytes()
        x, y, width, height = one["place"]
        sent.append(Pixels("pieces", width, height, 4, data, x=x, y=y, name=one["name"]))
    wanted = [_piece(a, step if a["name"] == MOVED else (0, 0)) for a in PIECES]
    for one, other in zip(sent, wanted, strict=True):
        x, y = other.x - one.x, other.y - one.y  # a layer's rectangle may be wider than its mask
        there = _rgba(one.data, one.width, one.height)
        part = there[y : y + other.height, x : x + other.width]
        assert _difference(part, _rgba(other.data, other.width, other.height)) <= 1
        assert int(there[..., 3].sum()) == int(part[..., 3].sum())
    (layer,) = _run(engine, about, sent).layers
    shown = (krita.folder / "scenes" / f"live-{name}-shown.rgba").read_bytes()
    assert about["shown"] == [layer.x, layer.y, layer.width, layer.height]
    assert (
        _difference(
            _rgba(shown, layer.width, layer.height), _rgba(layer.data, layer.width, layer.height)
        )
        <= 1
    )


def test_a_preview_makes_no_layer_and_follows_moving_and_settings(
    seen: Callable[[str], Any],
) -> None:
    found = seen("live_follows_a_moved_piece")
    assert found["line"].startswith("Follows “Collage”") and found["button"] == "Take this"
    assert found["on_after_move"] and found["other_setting"] and found["same"]
    assert found["names"] == ["Background", "Collage", "Signature"]


def test_take_this_makes_the_layer_in_one_undo_step_and_goes_on(seen: Callable[[str], Any]) -> None:
    """The scene waits until one undo gave the layers of before."""
    found = seen("live_follows_a_moved_piece")
    tree, name, _ = found["taken"]
    assert tree == ["Background", "Collage", name, "Signature"]
    assert found["on_after_taking"] and found["active_after_taking"] == MOVED


def test_it_rests_while_hidden_and_ends_with_a_sentence(seen: Callable[[str], Any]) -> None:
    found = seen("live_follows_a_moved_piece")
    assert not found["runs_hidden"] and found["runs_again"]
    assert found["off_layer"] == "Live is off: another layer was chosen."
    assert "the engine stopped" in found["off_engine"] and not found["runs_off"]
