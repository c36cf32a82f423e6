"""Relabel, Transplant and Generate in the real GIMP 3, with a tiny generator in a real engine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_generators import install_small_generator
from tests.editors import gimp_session as session
from tests.support import ROOT, running_engine

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.schema import Pixels, ResultLayer
from intarsia_gimp.arguments import nicks_of
from intarsia_gimp.texts import mnemonic_of

pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(session.ROOT).is_dir(), reason=f"{session.ROOT} does not exist"),
    pytest.mark.usefixtures("engine"),
]

SIDE = 32
PICTURES = ROOT / "backend" / "intarsia_daemon" / "demo" / "pictures"


@pytest.fixture(scope="module")
def gimp(tmp_path_factory: pytest.TempPathFactory) -> session.Gimp:
    folder = tmp_path_factory.mktemp("gimp-collage")
    made = session.Gimp(folder / "user", folder / "engine")
    made.install()
    return made


@pytest.fixture(scope="module")
def model(gimp: session.Gimp) -> str:
    """The tiny generator's id."""
    gimp.engine_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return install_small_generator(gimp.engine_home)


@pytest.fixture(scope="module")
def engine(gimp: session.Gimp, model: str) -> Iterator[subprocess.Popen[bytes]]:
    with running_engine(session.engine_environment(gimp.engine_home)) as process:
        yield process


def _run(
    gimp: session.Gimp, operation: str, inputs: list[Pixels], values: dict[str, Any]
) -> ResultLayer:
    """What the engine makes of the same pixels, asked without GIMP."""
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        (layer,) = client.submit(operation, inputs, values).wait().layers
    return layer


def _picture(answer: dict[str, Any]) -> Pixels:
    return Pixels("picture", SIDE, SIDE, 4, base64.b64decode(answer["picture"]))


def _coverage(name: str, x: int, y: int, width: int, height: int) -> Pixels:
    data = b"\xff" * (width * height)
    return Pixels(name if name == "area" else "areas", width, height, 1, data, "u8", x, y, name)


def _flat(answer: dict[str, Any], when: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(answer[f"flat_{when}"]), np.uint8)
    return data.reshape(SIDE, SIDE, 4).astype(int)


def _kept(answer: dict[str, Any]) -> bool:
    """Whether every layer that was there is as it was, byte for byte."""
    after = [layer for layer in answer["after"] if layer["name"] != answer["layer"]]
    return after == answer["before"]


# --- without a window -----------------------------------------------------------------------------


def test_generate_needs_no_layer_and_its_layers_come_in_one_go(
    gimp: session.Gimp, model: str
) -> None:
    answer = gimp.play("generate", MODEL=model)
    assert answer["status"] == "success" and len(answer["layers"]) == 4
    assert all("lemon" in name for name in answer["layers"])
    assert sorted(answer["report"]["layers"]) == sorted(answer["numbers"])
    status, text = answer["unknown"]
    assert status == "execution-error" and "cat" in text


def test_relabel_changes_the_selection_as_the_engine_does(gimp: session.Gimp, model: str) -> None:
    answer = gimp.play("relabel_selection", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)
    wanted = _run(
        gimp,
        "relabel",
        [_picture(answer), _coverage("area", 16, 8, 16, 16)],
        {"class_name": "lime", "softness": 0.0, "model": model},
    )
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)
    difference = np.abs(_flat(answer, "after") - _flat(answer, "before")).sum(2)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[8:24, 16:32] = True
    assert difference[inside].mean() > 5
    assert difference[~inside].max() == 0
    assert answer["report"]["metrics"]["fit"] > 0.9, "a generated layer is found again"
    recipe = {x["name"]: x for x in answer["after"]}[answer["layer"]]["recipe"]
    assert recipe["operation"] == "relabel" and recipe["element"]["name"] == answer["name"]


def test_two_colour_tags_become_two_classes_in_one_run(gimp: session.Gimp, model: str) -> None:
    answer = gimp.play("relabel_tags", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)
    classes = {"blue": "lime", "purple": "apple"}
    areas = [_coverage("blue", 0, 0, 32, 16), _coverage("purple", 0, 16, 32, 16)]
    values = {"classes": classes, "softness": 0.0, "model": model}
    wanted = _run(gimp, "relabel", [_picture(answer), *areas], values)
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)
    one = _run(
        gimp,
        "relabel",
        [_picture(answer), areas[0]],
        {"classes": {"blue": "lime"}, "softness": 0.0},
    )
    assert bytes(one.data) != bytes(wanted.data), "the second tag does something of its own"
    assert answer["after"][0]["name"] == answer["layer"], "above the marks, or they would hide it"


def test_the_classes_of_the_tags_are_saved_with_the_image(gimp: session.Gimp, model: str) -> None:
    answer = gimp.play("relabel_tags", MODEL=model)
    assert answer["classes"] == {"blue": "lime", "purple": "apple"}
    again = answer["again"]
    assert again["status"] == "success" and again["result"] == answer["result"]
    assert answer["hidden"] == {"purple": "apple"}, "a hidden layer is no area"


def test_a_moved_piece_takes_its_features_along(gimp: session.Gimp, model: str) -> None:
    answer = gimp.play("transplant", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)

    def pixels(which: str, name: str, size: int, x: int = 0, y: int = 0) -> Pixels:
        data = base64.b64decode(answer[which]["data"])
        return Pixels(name, size, size, 4, data, "u8", x, y, answer[which]["name"])

    inputs = [
        pixels("picture", "picture", 32),
        pixels("reference", "references", 32),
        pixels("piece", "piece", 16, 8, 12),
    ]
    wanted = _run(gimp, "transplant", inputs, {"softness": 0.0, "model": model})
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)
    difference = np.abs(_flat(answer, "after") - _flat(answer, "before")).sum(2)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[12:28, 8:24] = True
    assert difference[inside].mean() > 2 and difference[~inside].max() == 0
    status, text = answer["wrong"]
    assert status == "execution-error" and "no layer “Dog”" in text


def test_an_area_from_a_channel_counts_instead_of_the_selection(
    gimp: session.Gimp, model: str
) -> None:
    answer = gimp.play("channel", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)
    changed = np.abs(_flat(answer, "after") - _flat(answer, "before")).sum(2).any(0)
    assert changed[24:].any() and not changed[:24].any()


def test_a_folder_is_learnt_with_no_image_open_and_its_model_is_there_at_once(
    gimp: session.Gimp, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    for index, name in enumerate(("pear", "plum")):
        (tmp_path / name).mkdir()
        for number in range(6):
            array = random.integers(0, 90, (36, 36, 3), dtype=np.uint8)
            array[..., index] += 120
            Image.fromarray(array).save(tmp_path / name / f"{number}.png")
    answer = gimp.play("train", PICTURES=str(tmp_path), timeout_s=400)
    assert answer["status"] == "success", answer
    ((names, width),) = answer["images"]
    assert names == ["Samples of Fruit"] and width > 32, "the samples opened as an image"
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        (model,) = [m for m in client.models() if m["title"] == "Fruit"]
        assert client.labels(model["id"]) == ["pear", "plum"]
        client.remove_model(model["id"])


# --- with a window --------------------------------------------------------------------------------

RUN = KEEP = (90, 40)
"""Run turns into Keep in the same place: pixels from the lower right corner."""


def _letter(operation: str, parameter: str) -> str:
    """The underlined letter of a parameter's label."""
    return mnemonic_of(nicks_of(catalog.operation(operation))[parameter])


def _class(gimp: session.Gimp, *starts: str) -> str:
    """A class of the best model, the one that ships: the first that begins like one of these."""
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        labels = client.labels()
    return next(label for start in starts for label in labels if label.startswith(start))


def _apples(gimp: session.Gimp) -> Path:
    """The project's photograph of apples as XCF, with areas to become other fruit."""
    layered, saved = gimp.folder / "apples.ora", gimp.folder / "apples.xcf"
    layered.write_bytes((PICTURES / layered.name).read_bytes())
    tagged = {"blue": "Blue areas", "yellow": "Yellow areas"}
    classes = {"blue": _class(gimp, "orange", "lime"), "yellow": _class(gimp, "tomato", "plum")}
    gimp.play(
        "prepare_tags",
        PICTURE=str(layered),
        TAGGED=json.dumps(tagged),
        CLASSES=json.dumps(classes),
        CHOSEN="Apples",
        SAVED=str(saved),
    )
    return saved


def test_the_amount_is_scrubbed_between_frames_and_kept_as_one_undo_step(
    gimp: session.Gimp,
) -> None:
    with gimp.screen(_apples(gimp)) as screen:
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-relabel", "Relabel")
        time.sleep(1.5)
        screen.shot("relabel-dialog")
        screen.click(dialog, *RUN)
        count = len(before["layers"])
        session.wait_for(lambda: len(screen.layers()) == count + 1, 400, "the result")
        full = screen.probe()["layers"][0]
        assert not full["recipe"], "a preview is no result yet"
        time.sleep(1.0)
        screen.shot("relabel-result")

        def scrub(amount: str) -> dict[str, Any]:
            screen.enter(dialog, _letter("relabel", "amount"), amount)
            time.sleep(1.0)
            seen = screen.probe()
            assert seen["layers"][1:] == before["layers"], "only the result's layer may change"
            return seen["layers"][0]

        none, half = scrub("0"), scrub("0.5")
        hashes = {layer["sha256"] for layer in (full, none, half)}
        assert len(hashes) == 3 and {none["name"], half["name"]} == {full["name"]}
        assert scrub("1")["sha256"] == full["sha256"], "frames are painted once and stay the same"
        assert scrub("0.5")["sha256"] == half["sha256"]
        screen.shot("relabel-scrubbed")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Relabel$"), 20, "the dialog to close")
        kept = screen.probe()
        assert kept["layers"][0]["sha256"] == half["sha256"] and kept["layers"][0]["recipe"]
        assert kept["layers"][0]["amount"] == 0.5
        assert kept["layers"][1:] == before["layers"]
        screen.press("ctrl+z")
        time.sleep(1.0)
        assert screen.probe() == before


def test_the_transplant_dialog_offers_layers_and_the_generate_dialog_needs_none(
    gimp: session.Gimp,
) -> None:
    with gimp.screen(_apples(gimp)) as screen:
        before = screen.layers()
        dialog = screen.open("python-fu-intarsia-transplant", "Transplant")
        time.sleep(1.5)
        screen.shot("transplant-dialog")
        screen.tool("windowfocus", "--sync", dialog, "key", "Escape")
        session.wait_for(lambda: not screen.window("^Transplant$"), 20, "the dialog to close")
        dialog = screen.open("python-fu-intarsia-generate", "Generate")
        screen.enter(dialog, _letter("generate", "class_name"), _class(gimp, "apple"))
        screen.click(dialog, *RUN)
        session.wait_for(lambda: len(screen.layers()) == len(before) + 4, 120, "four pictures")
        time.sleep(1.0)
        screen.shot("generate-result")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Generate$"), 20, "the dialog to close")
        after = screen.layers()
        assert sum("apple" in name for name in after) == 4
        assert [name for name in after if "apple" not in name] == before
        screen.press("ctrl+z")
        session.wait_for(lambda: screen.layers() == before, 30, "one undo step")
