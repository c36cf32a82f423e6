"""A generator in the real Krita: classes by selection and colour label, features, Amount.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. Krita is started
once; it plays scenes of ``krita_scenes/collage.py``, and each test looks at one. What must come out
is what an engine with the same home makes of the same pixels with no editor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.editors.krita_session import NEEDED, Krita, small_case

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.schema import Pixels, Result

pytestmark = NEEDED

SCENES = [
    "lists_classes_without_an_engine",
    "generates_layers",
    "relabels_a_selection",
    "relabels_by_colour_labels",
    "transplants_a_moved_piece",
]
LIMIT_S = 1500
Place = Sequence[int]


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.prepare({"small": small_case()})
    return made


def _file(krita: Krita, name: str, place: Place) -> np.ndarray:
    """What a scene wrote of a layer, as (H, W, 4) RGBA."""
    return _rgba((krita.folder / "scenes" / name).read_bytes(), place)


def _rgba(data: bytes, place: Place) -> np.ndarray:
    pixels = np.frombuffer(data, np.uint8).reshape(place[3], place[2], 4)
    return pixels[..., [2, 1, 0, 3]].copy()


def _picture(name: str, pixels: np.ndarray, place: Place, title: str = "") -> Pixels:
    height, width = pixels.shape[:2]
    return Pixels(name, width, height, 4, pixels.tobytes(), x=place[0], y=place[1], name=title)


def _area(name: str, place: Place, title: str) -> Pixels:
    x, y, width, height = place
    return Pixels(name, width, height, 1, b"\xff" * (width * height), x=x, y=y, name=title)


def _run(engine: Client, recipe: dict[str, Any], inputs: list[Pixels]) -> Result:
    job = engine.submit(recipe["operation"], inputs, recipe["parameters"], seed=recipe["seed"])
    return job.wait()


def _array(layer: Any) -> np.ndarray:
    return np.frombuffer(layer.data, np.uint8).reshape(layer.height, layer.width, 4)


def _difference(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of two layers in 1/255; what is transparent has no colour."""
    there = one[..., 3] > 0
    colours = np.abs(one[..., :3].astype(int) - other[..., :3])[there]
    return int(max(np.abs(one[..., 3].astype(int) - other[..., 3]).max(), colours.max(initial=0)))


def test_models_that_ship_and_their_classes_are_known_without_an_engine(
    seen: Callable[[str], Any],
) -> None:
    found = seen("lists_classes_without_an_engine")
    assert not found["running"]
    shipped = [pack for pack in catalog.packs() if "spatial_classes" in pack["capabilities"]]
    assert found["models"] == ["Best there is", *(pack["title"] for pack in shipped)]
    assert found["classes"] == ["Not chosen", *(shipped[0]["labels"] if shipped else ())]


def test_several_pictures_arrive_as_one_group_and_one_undo_step(seen: Callable[[str], Any]) -> None:
    """The scene waits until one undo gave the tree of before, and one redo that of after."""
    found = seen("generates_layers")
    assert found["after"] == [*found["before"], ["Generate", ["1 lemon", "2 lemon"]]]
    assert found["sizes"] == [[32, 32], [32, 32]]
    assert len(set(found["again"])) == 2
    assert found["recipe"]["operation"] == "generate"


def test_a_selection_becomes_another_class_and_nothing_else_changes(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("relabels_a_selection")
    assert "inside the selection, 16×32" in found["reads"]
    assert found["after"][:-1] == found["before"]
    picture = _file(krita, "relabel-picture.bgra", found["picture"])
    inputs = [
        _picture("picture", picture, found["picture"], "1 lemon"),
        _area("area", found["selection"], "Selection"),
    ]
    (layer,) = _run(engine, found["recipe"], inputs).layers
    assert [layer.x, layer.y, layer.width, layer.height] == found["result"] == found["selection"]
    result = _file(krita, "relabel-result.bgra", found["result"])
    assert _difference(result, _array(layer)) == 0
    changed = np.abs(result[..., :3].astype(int) - picture[:, :16, :3])
    assert changed.mean() > 5
    assert "Fit: 100 %" in found["notes"]  # a generated layer needs no search


def test_amount_scrubs_between_frames_without_a_run_or_an_undo_step(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("relabels_a_selection")
    inputs = [
        _picture(
            "picture", _file(krita, "relabel-picture.bgra", found["picture"]), found["picture"]
        ),
        _area("area", found["selection"], "Selection"),
    ]
    made = _run(engine, found["recipe"], inputs)
    frames = {layer.amount or 0.0: layer for layer in (*made.frames, *made.layers)}
    assert sorted(frames) == found["amounts"]
    for name, amount in (("at_none", 0.0), ("at_half", 0.5), ("at_full", 1.0)):
        shown = _rgba(bytes.fromhex(found[name]), found["result"])
        assert _difference(shown, _array(frames[amount])) == 0, name
    assert found["at_full"] != found["at_half"] != found["at_none"]
    assert found["half_canvas"] == found["at_half"]  # the canvas shows it too
    assert found["form"] == found["recipe_amount"] == pytest.approx(0.52)
    assert found["runs"] == 0


def test_undo_after_scrubbing_removes_the_result_and_redo_brings_what_was_shown(
    seen: Callable[[str], Any],
) -> None:
    found = seen("relabels_a_selection")
    assert found["others"] == found["undone"] == found["before"]
    assert found["redone"] == found["at_half"]
    assert found["after_redo"] == found["at_none"]  # it still follows the slider


def test_two_colour_labels_become_two_classes_in_one_run(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("relabels_by_colour_labels")
    assert found["reads"].endswith("areas: Blue, Green") and found["red"] == "Not used"
    assert found["recipe"]["parameters"]["classes"] == {"blue": "plum", "green": "lime"}
    names = [name for name, _ in found["after"]]
    assert names == [
        "Background",
        "1 lemon",
        "Left",
        "Right",
        "1 lemon as plum, lime",  # above the layers that say where
        "Only sorted",
    ]
    picture = _file(krita, "labels-picture.bgra", found["picture"])
    places = found["places"]
    inputs = [_picture("picture", picture, found["picture"])]
    inputs += [_area("areas", places[label], label) for label in ("blue", "green")]
    (layer,) = _run(engine, found["recipe"], inputs).layers
    result = _file(krita, "labels-result.bgra", found["result"])
    assert [layer.x, layer.y, layer.width, layer.height] == found["result"]
    assert _difference(result, _array(layer)) == 0  # how opaque a layer is drawn does not count
    changed = np.abs(result[..., :3].astype(int) - picture[:16, :, :3]).mean((0, 2))
    assert changed[:16].mean() > 3 and changed[16:].mean() > 3


def test_the_classes_of_colour_labels_are_kept_in_the_saved_document(
    seen: Callable[[str], Any],
) -> None:
    assert seen("relabels_by_colour_labels")["kept"] == {"blue": "plum", "green": "lime"}


def test_a_moved_piece_says_what_goes_where(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("transplants_a_moved_piece")
    assert "References: “2 lemon”" in found["reads"] and "“Piece”" in found["reads"]
    assert found["result"] == found["piece"]
    inputs = [
        _picture(name, _file(krita, f"transplant-{file}.bgra", found[file]), found[file])
        for name, file in (
            ("picture", "picture"),
            ("references", "reference"),
            ("piece", "piece"),
        )
    ]
    (layer,) = _run(engine, found["recipe"], inputs).layers
    result = _file(krita, "transplant-result.bgra", found["result"])
    assert _difference(result, _array(layer)) == 0
    area = _area("area", found["piece"], "")
    (unmoved,) = _run(engine, found["recipe"], [*inputs[:2], area]).layers
    assert _difference(result, _array(unmoved)) > 3  # without the piece nothing was moved
