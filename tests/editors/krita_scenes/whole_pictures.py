"""Scenes with a model of one picture, and with results of several layers: variations, retouch, an
animation that becomes one animated layer, layers with masks in a group.
"""

from __future__ import annotations

import json

from krita import Selection
from krita_scenes.hands import (
    FOLDER,
    activate,
    choose,
    click,
    docker,
    is_idle,
    krita,
    layers,
    open_picture,
    part,
    pause,
    shown,
    text,
)
from PyQt5.QtCore import QByteArray
from PyQt5.QtWidgets import QDoubleSpinBox, QSpinBox

LIMIT_S = 300


# --- hands ----------------------------------------------------------------------------------------


def ids(document):
    return {n.uniqueId().toString() for n in document.topLevelNodes()}


def place_of(node):
    bounds = node.bounds()
    return [bounds.x(), bounds.y(), bounds.width(), bounds.height()]


def write(data, file):
    (FOLDER / file).write_bytes(bytes(data))


def recipe_of(document, node):
    kept = json.loads(bytes(document.annotation("intarsia/recipes")).decode("utf-8"))
    return kept["layers"][node.uniqueId().toString()]["recipe"]


def made_by(document):
    """Press Run; what stands in the document that did not before."""
    before = ids(document)
    docker().refresh()
    click("intarsia_run")
    yield is_idle, "the result", LIMIT_S
    assert not shown("intarsia_problem"), text("intarsia_problem")
    yield from pause(0.6)
    document.waitForDone()
    (new,) = [n for n in document.topLevelNodes() if n.uniqueId().toString() not in before]
    return new


def undone(document, before):
    """One undo takes the result away, one redo brings it back; the layers in between."""
    count = len(document.topLevelNodes())
    krita.action("edit_undo").trigger()
    yield (lambda: len(document.topLevelNodes()) < count), "undo"
    document.waitForDone()
    found = layers(document)
    krita.action("edit_redo").trigger()
    yield (lambda: len(document.topLevelNodes()) == count), "redo"
    document.waitForDone()
    return found


def background(document):
    """Make the picture itself the active layer."""
    node = document.topLevelNodes()[0]
    yield from activate(document, node)
    return node


# --- scenes ---------------------------------------------------------------------------------------


def varies():
    """Two variations of the picture: two layers in a group."""
    document = yield from open_picture("small")
    picture = yield from background(document)
    choose("intarsia_operation", "variations")
    choose("control_quality", "draft")
    part(QSpinBox, "control_count").setValue(2)
    part(QSpinBox, "control_seed").setValue(5)
    found = {"before": layers(document), "reads": text("intarsia_reads")}
    write(picture.pixelData(*place_of(picture)), "varied.bgra")
    found["picture"] = place_of(picture)
    group = yield from made_by(document)
    found["group"], found["names"] = group.name(), [n.name() for n in group.childNodes()]
    found["places"] = [place_of(node) for node in group.childNodes()]
    for number, node in enumerate(group.childNodes()):
        write(node.pixelData(*place_of(node)), f"variation-{number}.bgra")
    found["recipe"] = recipe_of(document, group.childNodes()[0])
    found["undone"] = yield from undone(document, found["before"])
    found["after"] = [n.name() for n in document.topLevelNodes()]
    return found


def retouches():
    """A roughly cloned piece on a layer of its own is made to fit."""
    document = yield from open_picture("small")
    element = document.activeNode()
    choose("intarsia_operation", "retouch")
    choose("control_quality", "draft")
    part(QSpinBox, "control_seed").setValue(3)
    docker().refresh()
    found = {"before": layers(document), "reads": text("intarsia_reads")}
    found["picture"], found["element"] = (
        place_of(document.topLevelNodes()[0]),
        place_of(element),
    )
    write(document.topLevelNodes()[0].pixelData(*found["picture"]), "retouch-picture.bgra")
    write(element.pixelData(*found["element"]), "retouch-element.bgra")
    node = yield from made_by(document)
    found["after"], found["name"] = [n.name() for n in document.topLevelNodes()], node.name()
    found["place"] = place_of(node)
    write(node.pixelData(*found["place"]), "retouched.bgra")
    found["recipe"] = recipe_of(document, node)
    found["undone"] = yield from undone(document, found["before"])
    return found


def animates():
    """Four pictures that move are one animated layer; the document plays them and keeps them."""
    document = yield from open_picture("small")
    picture = yield from background(document)
    choose("intarsia_operation", "animate")
    choose("control_quality", "draft")
    part(QSpinBox, "control_frames").setValue(4)
    part(QDoubleSpinBox, "control_fps").setValue(5.0)
    choose("control_moves", "everything")
    found = {"before": layers(document), "picture": place_of(picture)}
    write(picture.pixelData(*place_of(picture)), "animated.bgra")
    node = yield from made_by(document)
    found["name"], found["type"], found["animated"] = node.name(), node.type(), node.animated()
    found["keys"] = [time for time in range(60) if node.hasKeyframeAtTime(time)]
    found["fps"] = document.framesPerSecond()
    found["range"] = [document.fullClipRangeStartTime(), document.fullClipRangeEndTime()]
    found["played"] = [document.playBackStartTime(), document.playBackEndTime()]
    found["time"] = document.currentTime()
    found["place"] = place_of(node)
    found["recipe"] = recipe_of(document, node)
    found["undone"] = yield from undone(document, found["before"])
    for number, time in enumerate(found["keys"]):
        data = node.pixelDataAtTime(*found["place"], time)
        write(data, f"frame-{number}.bgra")
    found["canvas"] = []
    for time in range(len(found["keys"])):
        document.setCurrentTime(time)
        yield from pause(0.4)
        document.waitForDone()
        found["canvas"].append(bytes(document.pixelData(*found["place"])).hex())
    path = str(FOLDER / "animated.kra")
    assert document.saveAs(path)
    yield from pause(1.5)
    document.setModified(False)
    krita.action("file_close").trigger()
    yield (lambda: krita.activeDocument() is None), "the closing"
    yield from pause(1.5)
    again = krita.openDocument(path)
    krita.activeWindow().addView(again)
    yield (lambda: again.activeNode() is not None), "the active layer"
    kept = again.nodeByName(found["name"])
    found["kept"] = [time for time in range(60) if kept.hasKeyframeAtTime(time)]
    found["kept_fps"] = again.framesPerSecond()
    return found


def makes_masks():
    """A layer with its mask in a group: the mask hides, and an artist can paint on it."""
    document = yield from open_picture("small")
    picture = yield from background(document)
    whole = place_of(picture)
    _, _, width, height = whole
    slope = bytes(1 + (3 * x + y) % 255 for y in range(height) for x in range(width))
    area = Selection()
    area.setPixelData(QByteArray(slope), *whole)
    document.setSelection(area)
    choose("intarsia_operation", "masked")
    found = {"before": layers(document)}
    write(picture.pixelData(*whole), "masked-picture.bgra")
    root = yield from made_by(document)
    document.setSelection(None)
    below, group = root.childNodes()
    (inner,) = group.childNodes()
    (edge,) = inner.childNodes()
    found["names"] = [root.name(), below.name(), group.name(), inner.name()]
    found["edge"] = [edge.type(), edge.colorDepth()]
    found["place"] = whole
    found["weights"] = bytes(edge.pixelData(*whole)).hex()
    write(inner.pixelData(*whole), "masked-inner.bgra")
    write(root.projectionPixelData(*whole), "masked-composed.bgra")
    found["recipes"] = [recipe_of(document, n)["operation"] for n in (root, below, inner)]
    edge.setPixelData(QByteArray(b"\xff" * 4), 0, 0, 2, 2)
    document.refreshProjection()
    document.waitForDone()
    found["painted"] = bytes(inner.projectionPixelData(0, 0, 2, 2))[3::4].hex()
    found["undone"] = yield from undone(document, found["before"])
    return found
