"""Results of several layers in the real GIMP 3: variations, animation frames, masks in a group.

Models are small or learn briefly; what must come out is what the same engine makes of the same
pixels, asked without GIMP.
"""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_key_patches import install_small_key_patches
from small_mosaics import install_small_mosaic
from tests.editors import gimp_session as session
from tests.support import FAKES, ROOT, running_engine

from intarsia_client.client import Client
from intarsia_client.schema import Pixels, ResultLayer

pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(session.ROOT).is_dir(), reason=f"{session.ROOT} does not exist"),
]

WIDTH, HEIGHT = 72, 56


@pytest.fixture(scope="module")
def gimp(tmp_path_factory: pytest.TempPathFactory) -> session.Gimp:
    folder = tmp_path_factory.mktemp("gimp-pictures")
    made = session.Gimp(folder / "user", folder / "engine")
    made.install()
    return made


@pytest.fixture(scope="module")
def models(gimp: session.Gimp) -> dict[str, str]:
    """Ids of small models, as scenes are told of them."""
    gimp.engine_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "MOSAIC": install_small_mosaic(gimp.engine_home),
        "PATCHES": install_small_key_patches(gimp.engine_home),
    }


@pytest.fixture(scope="module")
def engine(gimp: session.Gimp, models: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = dict(session.engine_environment(gimp.engine_home))
    environment["INTARSIA_EXTRA_OPERATIONS"] = "short_picture_trainings_engine"
    environment["PYTHONPATH"] = os.pathsep.join([str(FAKES), str(ROOT)])
    with running_engine(environment) as process:
        yield process


def _rgba(text: str, width: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, width, 4)


def _pixels(
    name: str, data: str, width: int, place: Sequence[int] = (0, 0), title: str = ""
) -> Pixels:
    raw, (x, y) = base64.b64decode(data), place
    return Pixels(name, width, len(raw) // (4 * width), 4, raw, x=x, y=y, name=title)


def _again(gimp: session.Gimp, recipe: dict[str, Any], *inputs: Pixels) -> tuple[ResultLayer, ...]:
    """What the engine makes with the settings of a recipe."""
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        job = client.submit(
            recipe["operation"], list(inputs), recipe["parameters"], seed=recipe["seed"]
        )
        return job.wait().layers


def _recipe(answer: dict[str, Any]) -> dict[str, Any]:
    return next(x["recipe"] for x in answer["after"] if x["name"] == answer["layer"])


@pytest.mark.usefixtures("engine")
def test_variations_are_layers_above_the_picture(gimp: session.Gimp) -> None:
    answer = gimp.play("variations")
    assert answer["status"] == "success", answer["text"]
    names = [x["name"] for x in answer["after"]]
    assert names[0] == "Disc" and names[-1] == "Background" and len(names) == 4
    picture = _pixels("picture", answer["picture"], 48, title="Background")
    wanted = _again(gimp, _recipe(answer), picture)
    made = {x["name"]: x for x in answer["made"]}
    assert [layer.name for layer in wanted] == names[2:0:-1]
    for layer in wanted:
        assert base64.b64decode(made[layer.name]["data"]) == bytes(layer.data)
        assert made[layer.name]["offsets"] == [layer.x, layer.y]


@pytest.mark.usefixtures("engine")
def test_a_retouched_piece_is_one_new_layer_above_it(gimp: session.Gimp) -> None:
    answer = gimp.play("retouch")
    assert answer["status"] == "success", answer["text"]
    assert [x["name"] for x in answer["after"]] == ["Retouched Disc", "Disc", "Background"]
    inputs = [
        _pixels("picture", answer["picture"], 48),
        _pixels("element", answer["element"], 30, (12, 8)),
    ]
    (wanted,) = _again(gimp, _recipe(answer), *inputs)
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)


@pytest.mark.usefixtures("engine")
def test_frames_of_an_animation_say_how_long_they_show(gimp: session.Gimp) -> None:
    answer = gimp.play("animate")
    assert answer["status"] == "success", answer["text"]
    frames = [f"Background, frame {n:03d} (125ms) (replace)" for n in (3, 2, 1)]
    assert answer["names"] == ["Disc", *frames, "Background"]
    assert len(set(answer["hashes"])) == 5


def test_an_animation_that_is_kept_is_an_image_that_playback_can_play(gimp: session.Gimp) -> None:
    answer = gimp.play("film")
    assert answer["same"] and answer["size"] == [6, 4]
    assert answer["precision"] == "u16-non-linear"
    assert answer["names"] == [f"Sea, frame {n} (125ms) (replace)" for n in (2, 1)]
    assert "Filters > Animation > Playback" in answer["text"]
    for number, sent in enumerate(answer["pictures"], 1):
        found = np.frombuffer(base64.b64decode(sent), np.uint8).reshape(4, 6, 4)
        wanted = np.empty((4, 6, 4), np.uint8)
        wanted[:] = (10, 20, 30, 255)
        wanted[:, :3] = (0, 50 * number, 250, 255)
        wanted[0, :2] = (200, 0, 0, 255)  # what lies above is above
        np.testing.assert_array_equal(found, wanted)


@pytest.fixture(scope="module")
def mosaic(
    gimp: session.Gimp, engine: subprocess.Popen[bytes], models: dict[str, str]
) -> dict[str, Any]:
    return gimp.play("mosaic", MOSAIC=models["MOSAIC"])


def test_a_mosaic_reads_the_group_s_layers_and_what_lies_below(mosaic: dict[str, Any]) -> None:
    assert mosaic["status"] == "success", mosaic["text"]
    inputs = [(x["input"], x["name"]) for x in _recipe(mosaic)["inputs"]]
    assert [name for name, _ in inputs] == ["picture"] + 4 * ["templates"]
    assert [name for _, name in inputs[1:]] == [f"Stripes {n}" for n in range(4)]
    before = {x["name"]: x for x in mosaic["before"]}
    after = {x["name"]: x for x in mosaic["after"] if x["name"] != mosaic["layer"]}
    assert before == after
    assert mosaic["free"][0] == "execution-error" and mosaic["free"][1], "the model needs a guide"


def test_the_group_of_layers_with_masks_composes_to_the_collage(mosaic: dict[str, Any]) -> None:
    group = mosaic["group"]
    assert mosaic["layers"]["status"] == "success", mosaic["layers"]["text"]
    assert mosaic["names"].index("Templates") == mosaic["names"].index("Guide") - 1
    assert len(group["children"]) >= 3
    assert all(child["weights"] for child in group["children"])
    assert {x["recipe"]["operation"] for x in [group, *group["children"]]} == {"mosaic"}
    collage, composed, kept = (
        _rgba(mosaic[name], WIDTH).astype(int) for name in ("result", "composed", "kept")
    )
    assert (composed[..., 3] >= 253).all()
    apart = np.abs(collage[..., :3] - composed[..., :3])
    assert apart.max() <= 2 and apart.mean() < 0.6
    assert collage[..., :3].std() > 20
    assert (kept == composed).all(), "after saving and opening"


def test_three_layers_become_a_picture_and_a_channel_of_where_the_parts_went(
    gimp: session.Gimp, engine: subprocess.Popen[bytes], models: dict[str, str]
) -> None:
    answer = gimp.play("assemble", PATCHES=models["PATCHES"])
    assert answer["status"] == "success", answer["text"]
    top = [x["name"] for x in answer["after"] if x["parent"] is None]
    assert top == ["Assembled", "Templates", "Guide"]
    parts = [
        _pixels("parts", part["data"], part["size"][0], part["offsets"], part["name"])
        for part in answer["parts"]
    ]
    placement, picture = _again(gimp, _recipe(answer), *parts)
    assert base64.b64decode(answer["result"]) == bytes(picture.data)
    ((name, data),) = answer["channels"]
    assert name == "Placement of the parts"
    channel = np.frombuffer(base64.b64decode(data), np.uint8).reshape(HEIGHT, WIDTH)
    weights = np.frombuffer(placement.data, np.uint8).reshape(placement.height, placement.width)
    shown = np.zeros_like(channel)
    x, y = max(0, placement.x), max(0, placement.y)
    part = weights[y - placement.y :, x - placement.x :][: HEIGHT - y, : WIDTH - x]
    shown[y : y + part.shape[0], x : x + part.shape[1]] = part
    assert (channel == shown).all()
    assert base64.b64decode(answer["cut"]["weights"]) == bytes(placement.data)


# --- with a window --------------------------------------------------------------------------------

RUN = KEEP = (90, 40)
"""Run turns into Keep in the same place: pixels from the lower right corner."""


@pytest.mark.usefixtures("engine")
def test_picture_and_channel_are_one_undo_step_and_so_is_a_group_of_layers_with_masks(
    gimp: session.Gimp, models: dict[str, str]
) -> None:
    saved = gimp.folder / "templates.xcf"
    gimp.play("prepare_templates", SAVED=str(saved))
    gimp.environment["MOSAIC"] = models["MOSAIC"]
    with gimp.screen(saved) as screen:
        before = screen.probe()
        assert [x["name"] for x in before["layers"]] == ["Templates", "Guide"]
        dialog = screen.open("python-fu-intarsia-assemble", "Assemble")
        screen.click(dialog, *RUN)
        session.wait_for(lambda: len(screen.layers()) == 3, 120, "the result")
        time.sleep(1.0)
        screen.shot("assemble-result", keep=False)
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Assemble$"), 20, "the dialog to close")
        kept = screen.probe()
        assert [x["name"] for x in kept["layers"]] == ["Assembled", "Templates", "Guide"]
        assert kept["channels"] == ["Placement of the parts"]
        screen.press("ctrl+z")
        session.wait_for(lambda: screen.probe() == before, 30, "one undo step")
        screen.press(f"ctrl+alt+{session.SHORTCUTS['python-fu-gimp-mosaic']}")
        session.wait_for(lambda: screen.probe()["parasites"], 120, "the mosaic")  # comes last
        assert screen.layers()[0].startswith("Mosaic of ") and len(screen.layers()) == 3
        time.sleep(1.0)
        screen.press("ctrl+z")
        session.wait_for(lambda: screen.probe() == before, 30, "one undo step")
