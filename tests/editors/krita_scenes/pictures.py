"""Pictures for the documentation: the panel on real pictures."""

from __future__ import annotations

import json
import os
import signal

from krita_scenes.hands import (
    FOLDER,
    HOME,
    SETTINGS,
    activate,
    check_layers,
    choose,
    click,
    docker,
    engine_pid,
    is_idle,
    krita,
    open_picture,
    part,
    pause,
    shot,
    shown,
    text,
)
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QCheckBox, QComboBox, QWidget

WIDTH = 250
"""Of the panel, in pixels."""


def _arrange(zoom):
    """A window with the layers, the tools and a narrow panel; where the panel stands in it."""
    window = krita.activeWindow().qwindow()
    window.setGeometry(0, 0, 1400, 1000)
    for one in krita.dockers():
        one.setVisible(one.objectName() in ("KisLayerBox", "ToolBox", "intarsia"))
    krita.activeWindow().activeView().canvas().setZoomLevel(zoom)
    window.resizeDocks([docker()], [WIDTH], Qt.Horizontal)
    window.resizeDocks([docker()], [780], Qt.Vertical)
    yield from pause(2)
    docker().refresh()
    corner = docker().mapToGlobal(docker().rect().topLeft())
    return [corner.x(), corner.y(), docker().width(), docker().height()]


def _scroll(name):
    """Show the upper edge of the panel, or a part of it."""
    docker().panel._scroll.verticalScrollBar().setValue(0)
    if name:
        docker().panel._scroll.ensureWidgetVisible(part(QWidget, name), 0, 8)


def pictures():
    """The panel idle, running, with a result and with an error, on a real painting."""
    yield from open_picture("large")
    place = yield from _arrange(1.25)
    choose("intarsia_operation", "harmonize")
    yield from pause(1)
    found = {"place": place}
    yield from shot("idle")
    click("intarsia_run")
    yield (lambda: docker().session.works and _has_preview(0.5)), "a preview", 1500
    yield from shot("running")
    yield is_idle, "the result", 1800
    yield from pause(2)
    yield from shot("result")
    command = (HOME / "engine.json").read_text("utf-8")
    os.kill(engine_pid(), signal.SIGKILL)
    (HOME / "engine.json").write_text(json.dumps({"command": ["/bin/false"]}), "utf-8")
    click("intarsia_keep")
    click("intarsia_run")
    yield (lambda: shown("intarsia_problem")), "the sentence"
    yield from pause(1)
    yield from shot("error")
    (HOME / "engine.json").write_text(command, "utf-8")
    found["sentence"] = text("intarsia_problem")
    return found


def _has_preview(share):
    work = next(iter(docker().session.works.values()))
    progress = work.progress
    return progress is not None and progress.preview is not None and progress.fraction > share


def collage_pictures():
    """Relabel by colour labels and Transplant with a moved piece, on the demonstration's apples."""
    document = krita.openDocument(str(FOLDER / SETTINGS["apples"]))
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    docker().setVisible(True)
    docker().raise_()
    apples = document.nodeByName("Apples")
    blue, yellow = document.nodeByName("Blue areas"), document.nodeByName("Yellow areas")
    for node, label in ((blue, 1), (yellow, 3)):
        node.setColorLabel(label)
        node.setVisible(True)
        node.setOpacity(110)
    document.refreshProjection()
    yield from activate(document, apples)
    found = {"place": (yield from _arrange(1.8))}
    choose("intarsia_operation", "relabel")
    docker().jobs.start()
    combo = part(QComboBox, "control_model")
    yield (lambda: docker().panel.stock.models("spatial_classes")), "the models", 120
    choose("control_model", SETTINGS["shown_model"])
    row = part(QComboBox, "control_classes_blue")
    yield (lambda: row.count() > 2), "the model's classes", 60
    found["models"] = [combo.itemText(i) for i in range(combo.count())]
    for name, wanted in zip(("blue", "yellow"), SETTINGS["shown_classes"], strict=True):
        line = part(QComboBox, "control_classes_" + name).lineEdit()
        line.setText(wanted)
        line.editingFinished.emit()
    docker().refresh()
    _scroll("")
    yield from pause(1)
    yield from shot("relabel-idle")
    _scroll("intarsia_run")
    yield from shot("relabel-run")
    click("intarsia_run")
    yield (lambda: docker().session.works and _has_preview(0.3)), "a preview", 900
    yield from shot("relabel-running")
    yield is_idle, "the result", 900
    blue.setVisible(False)
    yellow.setVisible(False)
    document.refreshProjection()
    yield from pause(2)
    yield from shot("relabel-result")
    part(QWidget, "intarsia_amount").setValue(50)
    yield from pause(1)
    yield from shot("relabel-half")
    found["problem"] = text("intarsia_problem") if shown("intarsia_problem") else ""
    found["notes"] = [o.remarks() for o in docker().session.outcomes.get(_key(), [])]
    part(QWidget, "intarsia_amount").setValue(100)
    click("intarsia_discard")
    yield from pause(1)
    yield from _transplant(document, apples)
    return found


def _transplant(document, apples):
    piece = document.nodeByName("Piece of Oranges")
    piece.setVisible(True)
    document.refreshProjection()
    yield from activate(document, apples)
    choose("intarsia_operation", "transplant")
    choose("control_model", SETTINGS["shown_model"])
    docker().refresh()
    check_layers("input_references", ["Oranges"])
    choose("input_piece", piece.uniqueId().toString())
    _scroll("")
    yield from pause(1)
    yield from shot("transplant-top")
    _scroll("intarsia_run")
    yield from pause(1)
    yield from shot("transplant-run")
    click("intarsia_run")
    yield is_idle, "the result", 900
    piece.setVisible(False)
    document.refreshProjection()
    yield from pause(2)
    yield from shot("transplant-result")


def rough_pictures():
    """Composite of the demonstration's collage, and the preview that follows a moved piece."""
    document = krita.openDocument(str(FOLDER / SETTINGS["collage"]))
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    docker().setVisible(True)
    docker().raise_()
    group, piece = document.nodeByName("Collage"), document.nodeByName("orange")
    yield from activate(document, group)
    found = {"place": (yield from _arrange(1.8))}
    choose("intarsia_operation", "composite")
    docker().jobs.start()
    models = part(QComboBox, "control_model")
    yield (lambda: models.findData(SETTINGS["shown_model"]) >= 0), "the model", 120
    choose("control_model", SETTINGS["shown_model"])
    docker().refresh()
    _scroll("intarsia_run")
    yield from pause(1.5)
    yield from shot("composite-idle")
    click("intarsia_run")
    yield is_idle, "the result", 300
    found["problem"] = text("intarsia_problem") if shown("intarsia_problem") else ""
    yield from pause(2)
    yield from shot("composite-result")
    found["notes"] = [o.remarks() for o in docker().session.outcomes.get(_key(), [])]
    click("intarsia_discard")
    yield from activate(document, group)
    part(QCheckBox, "intarsia_live").click()
    yield (lambda: shown("intarsia_live_picture")), "the preview", 60
    yield from pause(2.5)
    yield from shot("live-first")
    yield from activate(document, piece)
    for _ in range(12):
        piece.move(piece.position().x() - 4, piece.position().y() - 6)
        document.refreshProjection()
        yield from pause(0.1)
    yield from pause(2.5)
    found["line"] = text("intarsia_live_line")
    yield from shot("live-moved")
    return found


def _key():
    return krita.activeDocument().rootNode().uniqueId().toString()
