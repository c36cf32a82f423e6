"""Models of one picture in the real Krita, and results of several layers: groups, masks, animation.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. Trainings are short
(`short_picture_trainings`); what must come out is what an engine with the same home makes of the
same pixels with no editor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.editors.krita_session import NEEDED, Krita, small_case

from intarsia_client.client import Client
from intarsia_client.schema import Pixels, ResultLayer

pytestmark = NEEDED

SCENES = ["varies", "retouches", "animates", "makes_masks"]
Place = Sequence[int]


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.add_operations("short_picture_trainings_engine")
    made.prepare({"small": small_case()})
    return made


def _file(krita: Krita, name: str, place: Place) -> np.ndarray:
    """What a scene wrote of a layer, as (H, W, 4) RGBA."""
    data = (krita.folder / "scenes" / name).read_bytes()
    return np.frombuffer(data, np.uint8).reshape(place[3], place[2], 4)[..., [2, 1, 0, 3]]


def _picture(name: str, pixels: np.ndarray, place: Place, title: str = "") -> Pixels:
    height, width = pixels.shape[:2]
    return Pixels(name, width, height, 4, pixels.tobytes(), x=place[0], y=place[1], name=title)


def _again(engine: Client, recipe: dict[str, Any], *inputs: Pixels) -> tuple[ResultLayer, ...]:
    """What the engine makes with the settings of a recipe."""
    given = engine.submit(
        recipe["operation"], list(inputs), recipe["parameters"], seed=recipe["seed"]
    )
    return given.wait().layers


def _array(layer: ResultLayer) -> np.ndarray:
    return np.frombuffer(layer.data, np.uint8).reshape(layer.height, layer.width, 4)


def test_variations_are_layers_of_one_group_and_one_undo(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("varies")
    assert found["reads"].startswith("Reads: layer “Background”")
    assert found["group"] == "Variations" and len(found["names"]) == 2
    assert found["undone"] == found["before"]
    assert found["after"] == ["Background", "Variations", "Lemur"]
    inputs = _picture("picture", _file(krita, "varied.bgra", found["picture"]), found["picture"])
    wanted = _again(engine, found["recipe"], inputs)
    assert [[x.x, x.y, x.width, x.height] for x in wanted] == found["places"]
    pictures = [
        _file(krita, f"variation-{n}.bgra", place) for n, place in enumerate(found["places"])
    ]
    for picture, layer in zip(pictures, wanted, strict=True):
        np.testing.assert_array_equal(picture, _array(layer))
    assert (pictures[0] != pictures[1]).mean() > 0.1


def test_a_retouched_piece_is_one_new_layer_above_the_piece(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("retouches")
    assert "“Lemur”" in found["reads"]
    assert found["after"] == ["Background", "Lemur", "Retouched Lemur"]
    assert found["undone"] == found["before"]
    inputs = [
        _picture(name, _file(krita, f"retouch-{name}.bgra", found[name]), found[name])
        for name in ("picture", "element")
    ]
    (layer,) = _again(engine, found["recipe"], *inputs)
    x, y, width, height = found["place"]
    wanted = _array(layer)[y - layer.y :, x - layer.x :][:height, :width]
    result = _file(krita, "retouched.bgra", found["place"])
    there = wanted[..., 3:] > 0
    assert (np.where(there, wanted, 0) == np.where(there, result, 0)).all()
    assert wanted[..., 3].max() == 255


def test_an_animation_is_one_animated_layer_that_the_document_plays(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("animates")
    assert (found["name"], found["type"], found["animated"]) == (
        "Background, animated",
        "paintlayer",
        True,
    )
    assert found["keys"] == [0, 1, 2, 3] and found["fps"] == 5 and found["time"] == 0
    assert found["range"] == found["played"] == [0, 3]
    assert found["undone"] == found["before"]
    assert (found["kept"], found["kept_fps"]) == ([0, 1, 2, 3], 5), "after saving and opening"
    inputs = _picture("picture", _file(krita, "animated.bgra", found["picture"]), found["picture"])
    wanted = _again(engine, found["recipe"], inputs)
    assert {layer.duration_ms for layer in wanted} == {200.0}
    assert len({bytes(layer.data) for layer in wanted}) == 4
    for number, layer in enumerate(wanted):
        frame = _file(krita, f"frame-{number}.bgra", found["place"])
        np.testing.assert_array_equal(frame, _array(layer))
    assert len(set(found["canvas"])) == 4, "the canvas shows another picture at each frame"


def test_a_mask_is_editable_and_what_shows_is_what_it_says(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("makes_masks")
    assert found["names"] == ["Masked", "Below", "Made", "Inner"]
    assert found["edge"] == ["transparencymask", "U8"]
    assert found["recipes"] == ["masked"] * 3 and found["undone"] == found["before"]
    _, _, width, height = found["place"]
    weights = np.frombuffer(bytes.fromhex(found["weights"]), np.uint8).reshape(height, width)
    y, x = np.mgrid[:height, :width]
    np.testing.assert_array_equal(weights, 1 + (3 * x + y) % 255)
    picture = _file(krita, "masked-picture.bgra", found["place"]).astype(float)
    np.testing.assert_array_equal(_file(krita, "masked-inner.bgra", found["place"]), picture)
    share = weights[..., None] / 255
    wanted = share * picture[..., :3] + (1 - share) * (255 - picture[..., :3])
    shown = _file(krita, "masked-composed.bgra", found["place"])
    assert np.abs(shown[..., :3] - wanted).max() <= 1 and (shown[..., 3] == 255).all()
    assert found["painted"] == "ff" * 4
