"""The plug-in in the real GIMP 3 with the real engine: without a window, and with one.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. Without a window the
procedures are called from a script; with one, menu actions are fired and buttons are clicked.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.editors import gimp_session as session
from tests.support import ROOT, running_engine

from intarsia_client.client import Client
from intarsia_client.schema import Pixels

pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(session.ROOT).is_dir(), reason=f"{session.ROOT} does not exist"),
]

PICTURES = ROOT / "backend" / "intarsia_daemon" / "demo" / "pictures"


@pytest.fixture(scope="module")
def gimp(tmp_path_factory: pytest.TempPathFactory) -> session.Gimp:
    folder = tmp_path_factory.mktemp("gimp")
    made = session.Gimp(folder / "user", folder / "engine")
    made.install()
    return made


@pytest.fixture(scope="module")
def engine(gimp: session.Gimp) -> Iterator[subprocess.Popen[bytes]]:
    with running_engine(session.engine_environment(gimp.engine_home)) as process:
        yield process


def _array(text: str, width: int, dtype: str = "<u1") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(-1, width, 4).astype(int)


def _by_name(layers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {layer["name"]: layer for layer in layers}


# --- without a window -----------------------------------------------------------------------------


def test_the_procedures_and_their_menu_are_there_with_no_engine_running(gimp: session.Gimp) -> None:
    found = gimp.play("registered")
    menu = "<Image>/Filters/Intarsia"
    for name in ("jobs", "engine"):
        assert found[name]["menus"] == [menu]
    for name in ("blend", "harmonize"):
        assert found[name]["menus"] == [menu + "/Pasted things"]
    assert found["relabel"]["menus"] == [menu + "/Change a picture"]
    assert found["blend"]["label"] == "Blend…"
    assert {"method", "feather", "amount", "seed", "drawables"} <= set(found["blend"]["arguments"])
    assert {"quality", "strength", "fine-tune", "seed"} <= set(found["harmonize"]["arguments"])
    wanted = {"model", "class-name", "classes", "amount", "area"}
    assert wanted <= set(found["relabel"]["arguments"])
    assert {"references", "piece", "areas"} <= set(found["transplant"]["arguments"])
    assert {"pictures", "title"} <= set(found["train-gan"]["arguments"])


def test_with_no_engine_to_start_the_error_is_a_sentence(gimp: session.Gimp) -> None:
    answer = gimp.play("selection")
    assert answer["status"] == "execution-error"
    assert "engine" in answer["text"]
    assert answer["before"] == answer["after"]


@pytest.mark.usefixtures("engine")
def test_blend_inserts_what_the_engine_computes_and_nothing_else_changes(
    gimp: session.Gimp,
) -> None:
    answer = gimp.play("blend")
    assert answer["status"] == "success"
    result = _by_name(answer["after"])[answer["layer"]]
    assert [layer["name"] for layer in answer["after"]] == [answer["layer"], "Disc", "Background"]
    assert [layer for layer in answer["after"] if layer is not result] == answer["before"]
    assert answer["images"] == 1, "a working copy was left open"
    background, element = (base64.b64decode(answer[name]) for name in ("background", "element"))
    inputs = [
        Pixels("picture", 96, 72, 4, background),
        Pixels("element", 30, 24, 4, element, x=40, y=30),
    ]
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        (wanted,) = client.submit("blend", inputs, {"method": "poisson"}).wait().layers
    assert result["offsets"] == [wanted.x, wanted.y]
    assert base64.b64decode(answer["result"]) == bytes(wanted.data)
    before, after = (_array(answer[name], 96) for name in ("flat_before", "flat_after"))
    covered = np.zeros((72, 96), bool)
    covered[30:54, 40:70] = _array(answer["element"], 30)[..., 3] > 0
    assert (before[~covered] == after[~covered]).all()
    assert np.abs(before[covered] - after[covered]).mean() > 10


@pytest.mark.usefixtures("engine")
def test_the_recipe_is_stored_and_last_values_run_again(gimp: session.Gimp) -> None:
    answer = gimp.play("blend")
    recipe = _by_name(answer["after"])[answer["layer"]]["recipe"]
    assert recipe["operation"] == "blend" and recipe["parameters"]["method"] == "poisson"
    assert [given["name"] for given in recipe["inputs"]][1] == "Disc"
    assert [r["operation"] for r in answer["recipes"]] == ["blend"]
    assert answer["again"]["status"] == "success"
    assert answer["again"]["names"][0] == answer["again"]["layer"]


@pytest.mark.usefixtures("engine")
def test_a_selection_limits_the_edit(gimp: session.Gimp) -> None:
    answer = gimp.play("selection")
    assert answer["status"] == "success"
    alpha = _array(answer["result"], _by_name(answer["after"])[answer["layer"]]["size"][0])[..., 3]
    left = _by_name(answer["after"])[answer["layer"]]["offsets"][0]
    columns = np.flatnonzero(alpha.any(0)) + left
    assert columns.min() >= 40 and columns.max() < 55


@pytest.mark.usefixtures("engine")
def test_sixteen_bit_group_offset_and_layer_mask(gimp: session.Gimp) -> None:
    answer = gimp.play("deep")
    assert answer["status"] == "success"
    layers = _by_name(answer["after"])
    result = layers[answer["layer"]]
    names = [layer["name"] for layer in answer["after"]]
    assert names == ["Frame", "Animals", answer["layer"], "Deep", "Background"]
    assert result["parent"] == "Animals"
    changed = [n for n, layer in _by_name(answer["before"]).items() if layers[n] != layer]
    assert changed == ["Animals"], "a group's composite shows its new child; nothing else changes"
    assert layers["Deep"]["mask"] is not None
    before, after = (_array(answer[name], 40, "<u2") for name in ("flat_before", "flat_after"))
    assert np.abs(before - after).max() <= 1, "a hard blend shows the element as it was"
    pixels = _array(answer["result"], result["size"][0], "<u2")
    ys, xs = np.nonzero(pixels[..., 3])
    assert (xs.min() + result["offsets"][0], xs.max() + result["offsets"][0]) == (0, 8)
    assert (ys.min() + result["offsets"][1], ys.max() + result["offsets"][1]) == (9, 24)
    assert (pixels[..., :3] % 257 != 0).any(), "16 bit were squeezed through 8"


@pytest.mark.usefixtures("engine")
def test_harmonize_trains_and_inserts(gimp: session.Gimp) -> None:
    answer = gimp.play("harmonize", timeout_s=540)
    assert answer["status"] == "success"
    result = _by_name(answer["after"])[answer["layer"]]
    assert result["recipe"]["operation"] == "harmonize"
    assert [layer for layer in answer["after"] if layer is not result and layer != result] == (
        answer["before"]
    )
    before, after = (_array(answer[name], 64) for name in ("flat_before", "flat_after"))
    assert np.abs(before - after).max() > 8


def test_a_result_whose_place_is_gone_is_inserted_all_the_same(gimp: session.Gimp) -> None:
    found = gimp.play("places")
    assert found["preview"] == ["New", "Disc", "Background"]
    assert found["without"] == ["Disc", "Background"]
    mask = np.frombuffer(base64.b64decode(found["mask"]), "<u2").reshape(2, 3) // 257
    assert mask.tolist() == [[0, 0, 128], [0, 255, 7]]
    assert found["channels"] == ["Edge"]
    assert found["recalled"] and found["forgotten"] == 0
    text, names = found["deleted"]
    assert "“Disc” is gone" in text and names == ["New", "Background"]
    text, names, width = found["closed"]
    assert "closed" in text and names == ["New"] and width == 96
    assert found["images"] == 1


@pytest.mark.usefixtures("engine")
def test_nothing_below_is_said_in_a_sentence(gimp: session.Gimp) -> None:
    answer = gimp.play("nothing_below")
    assert answer["status"] == "execution-error"
    assert "Below the layer “Alone” nothing is visible." in answer["text"]


@pytest.mark.usefixtures("engine")
def test_a_script_asks_the_engine(gimp: session.Gimp) -> None:
    answer = gimp.play("engine")
    assert answer["status"]["text"].startswith("The engine is running: version")
    assert answer["release"]["text"].startswith("Released")


@pytest.mark.usefixtures("engine")
def test_a_plug_in_that_gimp_kills_takes_its_job_with_it(gimp: session.Gimp) -> None:
    """GIMP's own Cancel button kills the plug-in's process without a word."""

    def cancel_as_gimp_does() -> None:
        _wait_for_work(gimp)
        (number,) = session.plug_in_processes(gimp)
        os.kill(number, signal.SIGKILL)

    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        for model in client.models():
            if not model.get("shipped"):
                client.remove_model(model["id"])
        answer = gimp.play("harmonize", meanwhile=cancel_as_gimp_does)
        assert answer["status"] != "success"
        assert answer["before"] == answer["after"]
        session.wait_for(lambda: not _working(client), 10, "the end of the cancelled job")


def test_a_killed_engine_is_a_sentence_and_leaves_the_document_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    gimp = session.Gimp(folder / "user", folder / "engine")
    gimp.install()
    with running_engine(session.engine_environment(gimp.engine_home)) as process:

        def kill() -> None:
            _wait_for_work(gimp)
            process.kill()

        answer = gimp.play("harmonize", meanwhile=kill)
    assert answer["status"] == "execution-error"
    assert "engine" in answer["text"]
    assert answer["before"] == answer["after"]
    assert answer["flat_before"] == answer["flat_after"]


def _working(client: Client) -> list[dict[str, Any]]:
    return [job for job in client.jobs() if job["state"] in ("queued", "running", "paused")]


def _wait_for_work(gimp: session.Gimp) -> None:
    """Until a job has told how far it is."""
    with Client.connect(start=False, home_folder=gimp.engine_home) as client:
        session.wait_for(
            lambda: any(j["state"] == "running" and j["step"] for j in client.jobs()),
            120,
            "progress",
        )


# --- with a window --------------------------------------------------------------------------------


def _picture(gimp: session.Gimp, name: str, chosen: str) -> Path:
    """One of the project's pictures as XCF in the folder that GIMP sees, with one layer chosen."""
    layered, saved = gimp.folder / f"{name}.ora", gimp.folder / f"{name}.xcf"
    layered.write_bytes((PICTURES / layered.name).read_bytes())
    found = gimp.play("prepare", PICTURE=str(layered), CHOSEN=chosen, SAVED=str(saved))
    assert chosen in found["layers"]
    return saved


def _wait_for_layers(screen: session.Screen, count: int) -> None:
    session.wait_for(lambda: len(screen.layers()) == count, 60, f"{count} layers")


RUN = KEEP = CANCEL = (90, 40)
"""Run turns into Cancel and into Keep in the same place: pixels from the lower right corner."""


@pytest.mark.usefixtures("engine")
def test_the_dialog_runs_keeps_and_one_undo_removes_the_layer(gimp: session.Gimp) -> None:
    file = _picture(gimp, "starry_night_lemur", "Lemur")
    with gimp.screen(file) as screen:
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-blend", "Blend")
        time.sleep(1.5)
        screen.shot("blend-dialog")
        screen.click(dialog, *RUN)
        _wait_for_layers(screen, len(before["layers"]) + 1)
        preview = screen.probe()
        assert preview["layers"][0]["name"] == "Blended Lemur"
        assert not preview["layers"][0]["recipe"], "a preview is no result yet"
        screen.shot("blend-result")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Blend$"), 20, "the dialog to close")
        kept = screen.probe()
        assert kept["layers"][0]["recipe"] and kept["layers"][1:] == before["layers"]
        screen.press("ctrl+z")
        time.sleep(1.0)
        assert screen.probe() == before
        screen.press("ctrl+y")
        time.sleep(1.0)
        assert screen.probe()["layers"] == kept["layers"]


@pytest.mark.usefixtures("engine")
def test_discard_leaves_no_layer_and_no_undo_step(gimp: session.Gimp) -> None:
    file = _picture(gimp, "shipwreck", "Shoes")
    with gimp.screen(file) as screen:
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-blend", "Blend")
        screen.click(dialog, *RUN)
        _wait_for_layers(screen, len(before["layers"]) + 1)
        screen.click(dialog, 190, 40)
        _wait_for_layers(screen, len(before["layers"]))
        assert screen.probe() == before
        with Client.connect(start=False, home_folder=gimp.engine_home) as client:
            waiting = [
                j for j in client.jobs() if j["state"] == "finished" and not j["acknowledged"]
            ]
            assert waiting == []


@pytest.mark.usefixtures("engine")
def test_keep_opens_a_new_image_when_the_picture_was_closed_meanwhile(gimp: session.Gimp) -> None:
    file = _picture(gimp, "coffee_lemon", "Lemon")
    with gimp.screen(file) as screen:
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-blend", "Blend")
        screen.click(dialog, *RUN)
        _wait_for_layers(screen, len(before["layers"]) + 1)
        screen.press("ctrl+w")
        question = session.wait_for(lambda: screen.window("^Close "), 15, "the question to save")
        screen.tool("windowfocus", "--sync", question, "key", "ctrl+d")  # discard changes
        session.wait_for(lambda: not screen.window("^Close "), 15, "the image to close")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Blend$"), 20, "the dialog to close")
        time.sleep(2.0)
        screen.shot("reopened", keep=False)
        assert screen.layers() == ["Blended Lemon"]


@pytest.mark.usefixtures("engine")
def test_cancel_in_the_dialog_stops_the_training_and_changes_nothing(gimp: session.Gimp) -> None:
    file = _picture(gimp, "starry_night_lemur", "Lemur")
    with (
        gimp.screen(file) as screen,
        Client.connect(start=False, home_folder=gimp.engine_home) as client,
    ):
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-harmonize", "Harmonize")
        time.sleep(1.5)
        screen.shot("harmonize-dialog")
        screen.click(dialog, *RUN)
        _wait_for_work(gimp)
        time.sleep(6.0)
        screen.shot("harmonize-training")
        screen.click(dialog, *CANCEL)
        session.wait_for(lambda: not _working(client), 10, "the end of the cancelled job")
        time.sleep(1.0)
        assert screen.window("^Harmonize$"), "the dialog stays, to try other settings"
        assert screen.probe() == before


@pytest.mark.usefixtures("engine")
def test_a_training_ends_with_a_preview_that_can_be_kept(gimp: session.Gimp) -> None:
    file = _picture(gimp, "starry_night_lemur", "Lemur")
    with (
        gimp.screen(file) as screen,
        Client.connect(start=False, home_folder=gimp.engine_home) as client,
    ):
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-harmonize", "Harmonize")
        screen.click(dialog, *RUN)
        _wait_for_work(gimp)
        session.wait_for(lambda: not _working(client), 450, "the end of the training")
        _wait_for_layers(screen, len(before["layers"]) + 1)
        time.sleep(2.0)
        screen.shot("harmonize-result")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Harmonize$"), 20, "the dialog to close")
        kept = screen.probe()
        assert kept["layers"][0]["recipe"] and kept["layers"][1:] == before["layers"]
        assert kept["parasites"] == ["intarsia-recipes"], "the note about the job is removed"


@pytest.mark.usefixtures("engine")
def test_a_training_goes_on_without_its_dialog_and_the_jobs_window_cancels_it(
    gimp: session.Gimp,
) -> None:
    file = _picture(gimp, "shipwreck", "Shoes")
    with (
        gimp.screen(file) as screen,
        Client.connect(start=False, home_folder=gimp.engine_home) as client,
    ):
        dialog = screen.open("python-fu-intarsia-harmonize", "Harmonize")
        screen.click(dialog, *RUN)
        _wait_for_work(gimp)
        screen.click(dialog, 280, 40)
        session.wait_for(lambda: not screen.window("^Harmonize$"), 20, "the dialog to close")
        assert len(_working(client)) == 1
        jobs = screen.open("python-fu-intarsia-jobs", "Intarsia: jobs")
        time.sleep(2.0)
        screen.shot("jobs")
        screen.click(jobs, 60, top=45)
        session.wait_for(lambda: not _working(client), 10, "the job to be cancelled")


@pytest.mark.usefixtures("engine")
def test_the_jobs_window_inserts_a_waiting_result(gimp: session.Gimp) -> None:
    file = _picture(gimp, "coffee_lemon", "Lemon")
    pixels = np.full((40, 50, 4), 255, np.uint8).tobytes()
    inputs = [
        Pixels("picture", 50, 40, 4, pixels),
        Pixels("element", 50, 40, 4, pixels, name="Cup"),
    ]
    with (
        gimp.screen(file) as screen,
        Client.connect(start=False, home_folder=gimp.engine_home) as client,
    ):
        job = client.submit("blend", inputs, {}, label="elsewhere.kra")
        job.wait(acknowledge=False)
        before = screen.probe()
        jobs = screen.open("python-fu-intarsia-jobs", "Intarsia: jobs")
        time.sleep(2.0)
        screen.click(jobs, 140, top=40)
        _wait_for_layers(screen, len(before["layers"]) + 1)
        screen.shot("jobs-inserted", keep=False)
        after = screen.probe()
        assert after["layers"][0]["recipe"] and after["layers"][1:] == before["layers"]
        (listed,) = (entry for entry in client.jobs() if entry["job"] == job.id)
        assert listed["acknowledged"]


@pytest.mark.usefixtures("engine")
def test_the_engine_window_opens_and_the_menu_has_its_groups(gimp: session.Gimp) -> None:
    file = _picture(gimp, "coffee_lemon", "Lemon")
    with gimp.screen(file) as screen:
        engine = screen.open("python-fu-intarsia-engine", "Intarsia: engine")
        time.sleep(2.0)
        screen.shot("engine")
        screen.tool("windowfocus", "--sync", engine, "key", "Escape")
        session.wait_for(lambda: not screen.window("^Intarsia: engine$"), 20, "the window to close")
        screen.tool("windowfocus", "--sync", screen.main, "mousemove", "434", "13", "click", "1")
        time.sleep(1.0)
        screen.tool("key", "Up", "key", "Up", "key", "Right", "key", "Down", "key", "Right")
        time.sleep(1.0)
        screen.shot("menu")
        screen.tool("key", "Escape", "key", "Escape", "key", "Escape")


def test_with_no_engine_the_dialog_shows_a_sentence_and_a_button(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("alone")
    gimp = session.Gimp(folder / "user", folder / "engine")
    gimp.install()
    with gimp.screen(_picture(gimp, "coffee_lemon", "Lemon")) as screen:
        before = screen.probe()
        dialog = screen.open("python-fu-intarsia-blend", "Blend")
        screen.click(dialog, *RUN)
        time.sleep(4.0)
        screen.shot("no-engine", keep=False)
        assert screen.window("^Blend$") and screen.probe() == before
