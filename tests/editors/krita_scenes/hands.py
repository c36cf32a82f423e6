"""Hands and eyes inside the real Krita: press the panel's controls, open pictures, look at layers.

A scene is a generator that yields (what to wait for, its name[, seconds]) and returns its findings;
``krita_driver.py`` plays it, the host's side is ``krita_session.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from krita import InfoObject, Krita, Selection
from PyQt5.QtCore import QByteArray
from PyQt5.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QWidget

FOLDER = Path(os.environ["INTARSIA_SCENES"])
HOME = Path(os.environ["INTARSIA_HOME"])
krita = Krita.instance()
krita.setBatchmode(True)
SETTINGS = json.loads((FOLDER / "scenes.json").read_text("utf-8"))


def docker():
    found = [d for d in krita.dockers() if d.objectName() == "intarsia"]
    assert found, "no docker; there are " + ", ".join(d.objectName() for d in krita.dockers())
    return found[0]


def part(kind, name):
    widget = docker().findChild(kind, name)
    assert widget is not None, "the panel has no " + name
    return widget


def click(name):
    button = part(QPushButton, name)
    assert button.isEnabled() and button.isVisible(), name + " cannot be pressed"
    button.click()


def choose(name, value):
    combo = part(QComboBox, name)
    combo.setCurrentIndex(combo.findData(value))
    assert combo.currentData() == value, (name, value)


def check_layers(name, wanted):
    """Check the boxes of these layers, and no others."""
    for box in part(QWidget, name).findChildren(QCheckBox):
        if box.isChecked() != (box.text() in wanted):
            box.click()


def text(name):
    return part(QLabel, name).text()


def shown(name):
    return docker().findChild(QWidget, name).isVisible()


def run_says(word):
    return part(QPushButton, "intarsia_run").text().startswith(word)


def is_idle():
    return not docker().session.works


def results():
    return [o for group in docker().session.outcomes.values() for o in group]


# --- documents ------------------------------------------------------------------------------------


def open_picture(case, selection=None):
    """Open a picture and paste an element on a layer of its own; waits until it can be used."""
    about = SETTINGS["cases"][case]
    document = krita.openDocument(str(FOLDER / about["picture"]))
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    element = document.createNode(about["name"], "paintlayer")
    x, y, width, height = about["place"]
    rgba = bytearray((FOLDER / about["element"]).read_bytes())
    rgba[0::4], rgba[2::4] = rgba[2::4], rgba[0::4]
    element.setPixelData(QByteArray(bytes(rgba)), x, y, width, height)
    document.rootNode().addChildNode(element, None)
    yield from activate(document, element)
    if selection:
        area = Selection()
        area.select(*selection, 255)
        document.setSelection(area)
    document.refreshProjection()
    document.waitForDone()
    docker().setVisible(True)
    docker().raise_()
    docker().refresh()
    return document


def activate(document, node):
    """Make a layer active; Krita takes it only once it has drawn it among the others."""

    def tried():
        document.setActiveNode(node)
        return document.activeNode() is not None and document.activeNode().name() == node.name()

    yield from pause(0.5)
    yield tried, "the active layer"


def layers(document):
    """Every layer with a fingerprint of its pixels, bottom first; masks are left out."""
    width, height = document.width(), document.height()
    return [
        [
            node.name(),
            hashlib.sha256(bytes(node.pixelData(-64, -64, width + 128, height + 128))).hexdigest(),
            node.visible(),
            node.opacity(),
        ]
        for node in document.topLevelNodes()
        if not node.type().endswith("mask")
    ]


def names(document):
    return [layer[0] for layer in layers(document)]


def export_layer(document, name, file):
    """One layer alone as a PNG, from a copy of the document."""
    copy = document.clone()
    for node in copy.topLevelNodes():
        node.setVisible(node.name() == name)
    copy.refreshProjection()
    copy.waitForDone()
    copy.setBatchmode(True)
    assert copy.exportImage(str(FOLDER / file), InfoObject())
    copy.setModified(False)
    copy.close()


def shot(name):
    """Have the host take a picture of the screen."""
    (FOLDER / f"shot-{name}.wanted").touch()
    yield (lambda: (FOLDER / f"shot-{name}.taken").exists()), "the screenshot " + name


def pause(seconds):
    end = time.monotonic() + seconds
    yield (lambda: time.monotonic() > end), "a pause"


def engine_pid():
    return json.loads((HOME / "run" / "endpoint.json").read_text("utf-8"))["pid"]
