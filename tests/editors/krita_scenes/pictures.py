"""Pictures for the documentation: the panel on real pictures."""

from __future__ import annotations

import json
import os
import signal

from krita_scenes.hands import (
    HOME,
    choose,
    click,
    docker,
    engine_pid,
    is_idle,
    krita,
    open_picture,
    pause,
    shot,
    shown,
    text,
)
from PyQt5.QtCore import Qt


def pictures():
    """The panel idle, running, with a result and with an error, on a real painting."""
    window = krita.activeWindow().qwindow()
    window.setGeometry(0, 0, 1400, 1000)
    document = yield from open_picture("large")
    for one in krita.dockers():
        one.setVisible(one.objectName() in ("KisLayerBox", "ToolBox", "intarsia"))
    krita.activeWindow().activeView().canvas().setZoomLevel(1.25)
    window.resizeDocks([docker()], [270], Qt.Horizontal)
    window.resizeDocks([docker()], [720], Qt.Vertical)
    choose("intarsia_operation", "harmonize")
    yield from pause(2)
    docker().refresh()
    corner = docker().mapToGlobal(docker().rect().topLeft())
    found = {"place": [corner.x(), corner.y(), docker().width(), docker().height()]}
    yield from shot("idle")
    click("intarsia_run")
    yield (lambda: docker().session.works and _has_preview(0.5)), "a preview", 1500
    yield from shot("running")
    yield is_idle, "the result", 1800
    document.waitForDone()
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
