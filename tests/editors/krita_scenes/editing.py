"""Scenes with Blend and Harmonize, jobs and a killed engine, through the panel's own controls."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from krita import InfoObject
from krita_scenes.hands import (
    FOLDER,
    HOME,
    SETTINGS,
    activate,
    choose,
    click,
    docker,
    engine_pid,
    export_layer,
    is_idle,
    krita,
    layers,
    open_picture,
    part,
    pause,
    shot,
    shown,
    text,
)
from PyQt5.QtCore import QByteArray, QTimer
from PyQt5.QtWidgets import QComboBox, QDoubleSpinBox, QPushButton, QSpinBox, QWidget


def begins():
    """The panel stands there with no engine running, and nothing was started."""
    yield from open_picture("small")
    yield (lambda: text("intarsia_engine") != ""), "the engine's line"
    yield from shot("idle")
    return {
        "run": part(QPushButton, "intarsia_run").text(),
        "able": part(QPushButton, "intarsia_run").isEnabled(),
        "reads": text("intarsia_reads"),
        "engine": text("intarsia_engine"),
        "expected": text("intarsia_expected"),
        "running": (HOME / "run" / "endpoint.json").exists(),
        "width": docker().width(),
        "numpy": "numpy" in sys.modules,
        "python": sys.version.split()[0],
        "krita": krita.version(),
    }


def blends():
    """Blend: the first run starts the engine; the result is one new layer and one undo step."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "blend")
    choose("control_method", "poisson")
    click("intarsia_run")
    found = {"button": part(QPushButton, "intarsia_run").text(), "before": before}
    yield is_idle, "the result", 120
    found.update(after=layers(document), problem=shown("intarsia_problem"))
    name = found["after"][-1][0]
    export_layer(document, name, "blended.png")
    yield from pause(0.5)
    found["active"] = document.activeNode().name()
    recipes = json.loads(bytes(document.annotation("intarsia/recipes")).decode("utf-8"))
    found["recipes"] = recipes
    krita.action("edit_undo").trigger()
    yield (lambda: len(layers(document)) == len(before)), "undo"
    found["undone"] = layers(document)
    krita.action("edit_redo").trigger()
    yield (lambda: len(layers(document)) > len(before)), "redo"
    document.waitForDone()
    found["redone"] = layers(document)
    return found


def blends_in_an_area():
    """With a selection only that part of the element is blended."""
    about = SETTINGS["cases"]["small"]
    document = yield from open_picture("small", about["selection"])
    before = layers(document)
    choose("intarsia_operation", "blend")
    docker().refresh()
    found = {"before": before, "reads": text("intarsia_reads")}
    click("intarsia_run")
    yield is_idle, "the result", 120
    found["after"] = layers(document)
    export_layer(document, found["after"][-1][0], "blended-area.png")
    return found


def keeps_and_discards():
    """Discard removes the layer and its recipe, Keep leaves both; Amount is the layer's opacity."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "blend")
    click("intarsia_run")
    yield is_idle, "the result", 120
    part(QWidget, "intarsia_amount").setValue(40)
    opacity = document.topLevelNodes()[-1].opacity()
    yield from pause(0.5)
    click("intarsia_discard")
    yield (lambda: len(layers(document)) == len(before)), "the layer to go"
    found = {"before": before, "opacity": opacity, "discarded": layers(document)}
    found["recipes"] = json.loads(bytes(document.annotation("intarsia/recipes")).decode("utf-8"))
    click("intarsia_run")
    yield is_idle, "the result", 120
    click("intarsia_keep")
    found.update(kept=layers(document), strip=part(QWidget, "intarsia_keep").isVisible())
    return found


def reads_deep_colours():
    """A 16 bit document in linear light gives and takes the same picture as the 8 bit one."""
    document = yield from open_picture("small")
    document.setColorSpace("RGBA", SETTINGS["depth"], "sRGB-elle-V2-g10.icc")
    document.waitForDone()
    before = layers(document)
    choose("intarsia_operation", "blend")
    docker().refresh()
    click("intarsia_run")
    yield is_idle, "the result", 120
    after = layers(document)
    copy = document.clone()
    for node in copy.topLevelNodes():
        node.setVisible(node.name() == after[-1][0])
    copy.setColorSpace("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
    copy.refreshProjection()
    copy.waitForDone()
    copy.setBatchmode(True)
    copy.exportImage(str(FOLDER / "blended-deep.png"), InfoObject())
    copy.setModified(False)
    copy.close()
    top = document.topLevelNodes()[-1]
    krita.action("edit_undo").trigger()
    yield (lambda: len(layers(document)) == len(before)), "undo"
    undone = layers(document)
    return {"before": before, "after": after, "undone": undone, "depth": top.colorDepth()}


def reads_groups_and_masks():
    """The element in a group with something above it; the picture is what lies below in both."""
    document = yield from open_picture("small")
    root, element = document.rootNode(), document.activeNode()
    width, height = document.width(), document.height()
    group = document.createNode("Things", "grouplayer")
    root.addChildNode(group, element)
    twin = element.duplicate()
    twin.setName("Inside")
    group.addChildNode(twin, None)
    cover = document.createNode("Cover", "paintlayer")
    cover.setPixelData(QByteArray(bytes([9, 9, 9, 255]) * (width * height)), 0, 0, width, height)
    root.addChildNode(cover, group)
    element.setVisible(False)
    document.refreshProjection()
    document.waitForDone()
    yield from activate(document, twin)
    before = layers(document)
    choose("intarsia_operation", "blend")
    docker().refresh()
    click("intarsia_run")
    yield is_idle, "the result", 120
    inside = [node.name() for node in group.childNodes()]
    result = group.childNodes()[-1]
    data = bytes(result.pixelData(0, 0, width, height))
    (FOLDER / "blended-group.bgra").write_bytes(data)
    hidden = [layer for layer in layers(document) if layer[0] != "Things"]
    return {"before": [b for b in before if b[0] != "Things"], "after": hidden, "inside": inside}


def harmonizes():
    """Harmonize trains on the picture, shows how far it is, and gives one layer."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "harmonize")
    choose("control_quality", "draft")
    click("intarsia_run")
    found = {"before": before, "stages": [], "pause": False}

    def watch():
        line = text("intarsia_stage")
        if line and line not in found["stages"]:
            found["stages"].append(line)
        found["pause"] = found["pause"] or shown("intarsia_pause")
        return is_idle()

    yield watch, "the result", 900
    found.update(after=layers(document), problem=shown("intarsia_problem"))
    export_layer(document, found["after"][-1][0], "harmonized.png")
    krita.action("edit_undo").trigger()
    yield (lambda: len(layers(document)) == len(before)), "undo"
    found["undone"] = layers(document)
    krita.action("edit_redo").trigger()
    yield (lambda: len(layers(document)) > len(before)), "redo"
    return found


def cancels():
    """Cancel in mid-training leaves the document as it was."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "harmonize")
    choose("control_reuse", "new")
    click("intarsia_run")
    yield (lambda: "Training" in text("intarsia_stage")), "the training", 120
    found = {"before": before, "button": part(QPushButton, "intarsia_run").text()}
    click("intarsia_run")
    found["stopping"] = part(QPushButton, "intarsia_run").text()
    yield is_idle, "the end of the job", 30
    choose("control_reuse", "similar")
    found.update(
        after=layers(document),
        annotations=document.annotationTypes(),
        problem=shown("intarsia_problem"),
        again=part(QPushButton, "intarsia_run").text(),
    )
    return found


def pauses():
    """Pause stops the training, Go on lets it run again; it is cancelled in the end."""
    yield from open_picture("small")
    choose("intarsia_operation", "harmonize")
    choose("control_reuse", "new")
    click("intarsia_run")
    yield (lambda: "Training" in text("intarsia_stage")), "the training", 120
    click("intarsia_pause")
    yield (lambda: text("intarsia_stage").startswith("Paused")), "the pause", 30
    found = {"paused": text("intarsia_stage")}
    click("intarsia_pause")
    yield (lambda: not text("intarsia_stage").startswith("Paused")), "going on", 30
    found["resumed"] = text("intarsia_stage")
    click("intarsia_run")
    yield is_idle, "the end of the job", 30
    choose("control_reuse", "similar")
    return found


def survives_a_killed_engine():
    """The engine is killed in mid-job and started again: the job goes on, the result arrives."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "harmonize")
    choose("control_reuse", "new")
    click("intarsia_run")
    yield (lambda: "Training" in text("intarsia_stage")), "the training", 120
    old = engine_pid()
    os.kill(old, signal.SIGKILL)
    found = {"before": before, "hints": []}

    def watch():
        hint = text("intarsia_hint")
        if hint and hint not in found["hints"]:
            found["hints"].append(hint)
        return is_idle()

    yield watch, "the result", 900
    choose("control_reuse", "similar")
    found.update(after=layers(document), problem=shown("intarsia_problem"), killed=old)
    found["pid"] = engine_pid()
    return found


def says_when_the_engine_is_gone():
    """The engine is killed and cannot be started: a sentence, and the document is untouched."""
    document = yield from open_picture("small")
    before = layers(document)
    choose("intarsia_operation", "harmonize")
    choose("control_reuse", "new")
    click("intarsia_run")
    yield (lambda: "Training" in text("intarsia_stage")), "the training", 120
    (HOME / "engine.json").rename(HOME / "engine.away")
    os.kill(engine_pid(), signal.SIGKILL)
    yield is_idle, "the end of the job", 60
    yield (lambda: shown("intarsia_problem")), "the sentence"
    yield (lambda: shown("intarsia_missing")), "the two commands"
    yield from shot("gone")
    found = {
        "before": before,
        "after": layers(document),
        "annotations": document.annotationTypes(),
        "sentence": text("intarsia_problem"),
        "missing": shown("intarsia_missing"),
    }
    (HOME / "engine.away").rename(HOME / "engine.json")
    click("intarsia_look_again")
    yield (lambda: not shown("intarsia_missing")), "the form"
    choose("control_reuse", "similar")
    click("intarsia_dismiss")
    return found


def follows_a_job_that_was_lost():
    """The job whose engine was killed goes on with the next engine; Jobs brings its result back."""
    document = yield from open_picture("small")
    choose("intarsia_operation", "blend")
    click("intarsia_run")
    yield is_idle, "the blended layer", 120
    before = layers(document)
    yield (lambda: shown("intarsia_waiting")), "the hint"
    found = {"before": before, "hint": text("intarsia_waiting")}
    click("intarsia_show_jobs")
    rows = part(QWidget, "intarsia_jobs")
    found["jobs"] = [rows.item(i).text() for i in range(rows.count())]
    lost = [i for i in range(rows.count()) if "Harmonize" in rows.item(i).text()]
    rows.setCurrentRow(lost[0])
    yield from shot("jobs")
    click("intarsia_jobs_insert")
    part(QWidget, "intarsia_jobs_window").close()
    yield is_idle, "the result", 600
    found.update(after=layers(document), problem=shown("intarsia_problem"))
    return found


def explains_a_wrong_layer():
    """With nothing below the active layer the button is off and a sentence says what to do."""
    document = yield from open_picture("small")
    yield from activate(document, document.topLevelNodes()[0])
    docker().refresh()
    return {"able": part(QPushButton, "intarsia_run").isEnabled(), "reads": text("intarsia_reads")}


def keeps_the_recipe():
    """Saved, closed and opened again, the document still knows how its layer was made."""
    document = yield from open_picture("small")
    choose("intarsia_operation", "blend")
    choose("control_method", "feather")
    part(QDoubleSpinBox, "control_feather").setValue(3.5)
    part(QSpinBox, "control_seed").setValue(41)
    click("intarsia_run")
    yield is_idle, "the result", 120
    name = document.topLevelNodes()[-1].name()
    path = str(FOLDER / "kept.kra")
    assert document.saveAs(path)
    yield from pause(1.5)  # see krita_driver.Player.rest
    document.setModified(False)
    krita.action("file_close").trigger()
    yield (lambda: krita.activeDocument() is None), "the closing"
    yield from pause(1.5)
    choose("control_method", "hard")
    part(QSpinBox, "control_seed").setValue(0)
    again = krita.openDocument(path)
    krita.activeWindow().addView(again)
    yield (lambda: again.activeNode() is not None), "the active layer"
    yield from activate(again, again.nodeByName(name))
    docker().panel.actions_by_name["settings"].trigger()
    found = {
        "recipes": json.loads(bytes(again.annotation("intarsia/recipes")).decode("utf-8")),
        "id": again.activeNode().uniqueId().toString(),
        "method": part(QComboBox, "control_method").currentData(),
        "feather": part(QDoubleSpinBox, "control_feather").value(),
        "seed": part(QSpinBox, "control_seed").value(),
        "line": text("intarsia_engine"),
    }
    part(QSpinBox, "control_seed").setValue(0)
    return found


def window_stays_alive():
    """While a job is sent and runs, Krita's window keeps ticking."""
    yield from open_picture("small")
    choose("intarsia_operation", "harmonize")
    choose("control_reuse", "new")
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(20)
    click("intarsia_run")
    yield (lambda: "Training" in text("intarsia_stage")), "the training", 120
    yield from pause(3)
    timer.stop()
    click("intarsia_run")
    yield is_idle, "the end of the job", 30
    choose("control_reuse", "similar")
    gaps = sorted(ticks[i + 1] - ticks[i] for i in range(len(ticks) - 1))
    return {"ticks": len(ticks), "longest": gaps[-1], "median": gaps[len(gaps) // 2]}
