"""Pieces of a collage in the real GIMP 3: what is read, what comes back, and the live preview."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_generators import install_small_generator
from tests.editors import gimp_session as session
from tests.support import ROOT, running_engine

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.schema import Pixels, ResultLayer
from intarsia_gimp.arguments import LIVE, nicks_of
from intarsia_gimp.texts import mnemonic_of

pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(session.ROOT).is_dir(), reason=f"{session.ROOT} does not exist"),
]

PICTURES = ROOT / "backend" / "intarsia_daemon" / "demo" / "pictures"
SIDE = 32
TYPES = {"u8": "<u1", "u16": "<u2", "f32": "<f4"}
FULL = {"u8": 255, "u16": 65535, "f32": 1}


@pytest.fixture(scope="module")
def gimp(tmp_path_factory: pytest.TempPathFactory) -> session.Gimp:
    folder = tmp_path_factory.mktemp("gimp-composition")
    made = session.Gimp(folder / "user", folder / "engine")
    made.install()
    return made


@pytest.fixture(scope="module")
def model(gimp: session.Gimp) -> str:
    """The id of a tiny generator with a masked regressor."""
    gimp.engine_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return install_small_generator(gimp.engine_home, regressor=True)


@pytest.fixture(scope="module")
def engine(gimp: session.Gimp, model: str) -> Iterator[subprocess.Popen[bytes]]:
    with running_engine(session.engine_environment(gimp.engine_home)) as process:
        yield process


# --- what is read -------------------------------------------------------------------------------


def _array(piece: dict[str, Any]) -> np.ndarray:
    """(H, W, channels) in [0, 1]."""
    data = np.frombuffer(base64.b64decode(piece["data"]), TYPES[piece["dtype"]])
    shape = piece["height"], piece["width"], piece["channels"]
    return data.reshape(shape).astype(float) / FULL[piece["dtype"]]


def _places(pieces: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(p["name"], p["x"], p["y"], p["width"], p["height"]) for p in pieces]


def _disc(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    away = np.hypot((2 * x + 1) / width - 1, (2 * y + 1) / height - 1)
    return np.rint(255 * np.clip(5 - 5 * away, 0, 1)) / 255


@pytest.fixture(scope="module")
def found(gimp: session.Gimp) -> dict[str, Any]:
    """What the plug-in read."""
    return gimp.play("pieces")


def test_the_pieces_of_a_group_are_read_as_they_show(found: dict[str, Any]) -> None:
    assert found["kept"] and found["images"] == 1
    for dtype in ("u8", "u16", "f32"):
        pieces = found[dtype]
        assert {p["dtype"] for p in pieces} == {dtype}
        assert _places(pieces) == [
            ("Body", 20, 16, 20, 16),
            ("Wing", -6, 20, 16, 12),
            ("Head", 40, 8, 8, 8),
        ]
        body, wing, head = (_array(piece) for piece in pieces)
        assert np.abs(body[:, :10, 3] - 0.2).max() < 1e-3 and (body[:, 10:, 3] == 1).all()
        assert np.abs(body[2, 3, :3] - np.array([46, 62, 197]) / 255).max() < 2 / 255
        assert np.abs(wing[..., 3] - 0.4 * _disc(16, 12)).max() < 2 / 255, "beyond the canvas, too"
        assert np.abs(wing[6, 8, :3] - np.array([230, 156, 30]) / 255).max() < 2 / 255
        black = (head[..., :3].sum(2) == 0) & (head[..., 3] == 1)
        assert black.sum() == 4 and black[2:4, 3:5].all()
    assert _places(found["chosen"]) == [
        ("Body", 20, 16, 20, 16),
        ("Frame", 0, 0, 6, 6),
        ("Selection", 30, 16, 10, 8),
    ]


def test_of_what_is_done_to_the_whole_group_only_its_mask_counts(found: dict[str, Any]) -> None:
    assert found["dim"] == found["u8"]
    for plain, masked in zip(found["u8"], found["masked"], strict=True):
        alpha = 128 / 255 * _array(plain)[..., 3]
        assert np.abs(_array(masked)[..., 3] - alpha).max() < 2 / 255


def test_smaller_pixels_have_no_dark_edges(found: dict[str, Any]) -> None:
    body, wing, head, keep = found["small"]
    assert _places([body, wing, head]) == [
        ("Body", 10, 8, 10, 8),
        ("Wing", -3, 10, 8, 6),
        ("Head", 20, 4, 4, 4),
    ]
    soft = _array(wing)
    edge = (soft[..., 3] > 0.02) & (soft[..., 3] < 0.35)
    assert edge.sum() >= 8 and (soft[edge][:, 0] > 0.85).all(), "red stays what it is"
    assert _places([keep]) == [("Selection", 15, 8, 5, 4)] and (_array(keep) == 1).all()


def test_a_folder_s_pictures_are_opened_by_gimp(found: dict[str, Any]) -> None:
    first, second = found["folder"][:2]
    assert _places([first, second]) == [("a", 0, 0, 5, 4), ("b", 0, 0, 5, 4)]
    assert (np.rint(255 * _array(first)) == (10, 50, 200, 128)).all()
    assert (np.rint(255 * _array(second)) == (90, 50, 200, 128)).all()


# --- what comes back ------------------------------------------------------------------------------


def _given(pieces: list[dict[str, Any]]) -> list[Pixels]:
    """Pixels as the plug-in sends them."""
    return [Pixels(**{**piece, "data": base64.b64decode(piece["data"])}) for piece in pieces]


def _whole(answer: dict[str, Any], name: str) -> Pixels:
    given = answer["given"][name]
    return Pixels(name, SIDE, SIDE, 4, base64.b64decode(given["data"]), name=given["name"])


def _run(
    gimp: session.Gimp, operation: str, inputs: list[Pixels], values: dict[str, Any]
) -> tuple[ResultLayer, ...]:
    """What the engine makes of the same pixels, asked without GIMP."""
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        return client.submit(operation, inputs, values).wait().layers


def _kept(answer: dict[str, Any]) -> bool:
    """Whether every layer that was there is as it was, byte for byte."""
    after = [layer for layer in answer["after"] if layer["name"] != answer["layer"]]
    return after == answer["before"]


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    return next(layer for layer in answer["after"] if layer["name"] == answer["layer"])


@pytest.fixture(scope="module")
def composite(gimp: session.Gimp, engine: subprocess.Popen[bytes], model: str) -> dict[str, Any]:
    """Composite, called in several ways."""
    return gimp.play("composite", MODEL=model)


def test_a_group_of_rough_pieces_becomes_one_layer_above_it(
    gimp: session.Gimp, model: str, composite: dict[str, Any]
) -> None:
    assert composite["status"] == "success", composite["text"]
    assert len(composite["after"]) == len(composite["before"]) + 1 and _kept(composite)
    top = [layer["name"] for layer in composite["after"] if layer["parent"] is None]
    assert top == ["Frame", composite["layer"], "Bird", "Background"]
    (wanted,) = _run(gimp, "composite", _given(composite["read"]), {"model": model})
    assert base64.b64decode(composite["result"]) == bytes(wanted.data)
    result = _result(composite)
    assert result["offsets"] == [wanted.x, wanted.y]
    assert result["size"] == [wanted.width, wanted.height]
    recipe = result["recipe"]
    assert [given["name"] for given in recipe["inputs"]] == ["Body", "Wing", "Head", "Selection"]
    assert recipe["operation"] == "composite" and recipe["element"]["name"] == "Bird"
    assert composite["images"] == 1, "a working copy was left open"


def test_a_result_is_made_anew_and_chosen_or_named_layers_do_as_well(
    composite: dict[str, Any],
) -> None:
    again, chosen, named = (composite[key] for key in ("again", "chosen", "named"))
    assert {again["status"], chosen["status"], named["status"]} == {"success"}
    first = composite["layer"]
    assert again["names"] == ["Frame", again["layer"], first, "Bird", "Background"]
    assert chosen["names"][:2] == [chosen["layer"], "Frame"]
    assert named["names"].index(named["layer"]) == named["names"].index("Wing") - 1


def test_without_a_group_or_several_layers_a_sentence_says_what_to_do(
    composite: dict[str, Any],
) -> None:
    one, none, folder = composite["refused"]
    assert {one["status"], none["status"], folder["status"]} == {"execution-error"}
    assert "“Frame” is one layer" in one["text"] and "into a group" in one["text"]
    assert "needs a group of layers" in none["text"]
    assert "/nowhere cannot be read" in folder["text"]


def test_an_attribute_is_carried_over_from_two_reference_layers(
    gimp: session.Gimp, engine: subprocess.Popen[bytes], model: str
) -> None:
    answer = gimp.play("attribute", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)
    inputs = [_whole(answer, name) for name in ("picture", "before", "after")]
    (wanted,) = _run(gimp, "attribute", inputs, {"model": model})
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)
    assert bytes(wanted.data) != bytes(inputs[0].data)


def test_influence_gives_a_semi_transparent_layer(
    gimp: session.Gimp, engine: subprocess.Popen[bytes], model: str
) -> None:
    answer = gimp.play("influence", MODEL=model)
    assert answer["status"] == "success" and _kept(answer)
    data = np.frombuffer(base64.b64decode(answer["result"]), np.uint8).reshape(-1, 4)
    assert 0 < (data[:, 3] / 255).mean() < 0.9 and len(np.unique(data[:, 3])) > 8


# --- with a window --------------------------------------------------------------------------------

RUN = KEEP = (90, 40)
"""Run turns into Keep in the same place: pixels from the lower right corner."""
PLACE = (640, 40)
"""Where the dialog is put: beside the image, which is dragged to the left."""
PREVIEW = (640, 40, 995, 420)
"""Where the dialog shows the picture then, on the screen."""


def _preview(screen: session.Screen) -> np.ndarray:
    return np.asarray(screen.shot("live", PREVIEW, keep=False).convert("RGB")).astype(int)


def test_the_preview_follows_the_pieces_and_one_call_is_one_undo_step(
    gimp: session.Gimp, engine: subprocess.Popen[bytes]
) -> None:
    layered, saved = gimp.folder / "collage.ora", gimp.folder / "collage.xcf"
    layered.write_bytes((PICTURES / layered.name).read_bytes())
    gimp.play("prepare", PICTURE=str(layered), CHOSEN="Collage", SAVED=str(saved))
    with gimp.screen(saved) as screen:
        before = screen.probe()
        screen.tool("mousemove", "665", "450", "mousedown", "2")
        for x in (600, 500, 400):
            screen.tool("mousemove", str(x), "450")
        screen.tool("mouseup", "2")
        dialog = screen.open("python-fu-intarsia-composite", "Composite")
        screen.tool("windowmove", "--sync", dialog, *map(str, PLACE))
        time.sleep(1.5)
        plain = _preview(screen)
        letter = mnemonic_of(nicks_of(catalog.operation("composite"))[LIVE])

        def changed(since: np.ndarray) -> Any:
            return (np.abs(_preview(screen) - since).max(2) > 40).sum() > 1000

        screen.tool("windowfocus", "--sync", dialog, "key", f"alt+{letter}")
        session.wait_for(lambda: changed(plain), 120, "the first preview")
        time.sleep(1.0)
        first = _preview(screen)
        screen.press("ctrl+alt+m")
        session.wait_for(lambda: changed(first), 60, "the preview to follow")
        moved = screen.probe()
        assert [x["name"] for x in moved["layers"]] == [x["name"] for x in before["layers"]]
        assert [x["sha256"] for x in moved["layers"]] != [x["sha256"] for x in before["layers"]]
        time.sleep(1.0)
        screen.shot("composite-live")
        screen.click(dialog, *RUN)
        count = len(before["layers"])
        session.wait_for(lambda: len(screen.layers()) == count + 1, 120, "the result")
        time.sleep(1.0)
        screen.shot("composite-result")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Composite$"), 20, "the dialog to close")
        kept = screen.probe()["layers"]
        (new,) = (layer for layer in kept if layer not in moved["layers"])
        assert new["recipe"] and kept[kept.index(new) + 1]["name"] == "Collage"
        assert [layer for layer in kept if layer is not new] == moved["layers"]
        screen.press("ctrl+z")
        session.wait_for(lambda: screen.probe() == moved, 30, "one undo step")
