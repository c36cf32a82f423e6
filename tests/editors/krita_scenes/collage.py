"""Scenes with a generator: layers it makes, classes by selection and by colour label, features
taken from another layer, and Amount.
"""

from __future__ import annotations

import json

from krita import Selection
from krita_scenes.hands import (
    FOLDER,
    HOME,
    SETTINGS,
    activate,
    check_layers,
    choose,
    click,
    docker,
    is_idle,
    krita,
    layers,
    part,
    pause,
    results,
    shown,
    text,
)
from PyQt5.QtCore import QByteArray
from PyQt5.QtWidgets import QComboBox, QDoubleSpinBox, QSlider, QSpinBox

SIZE = (48, 40)
MODEL_PX = 32


# --- hands ----------------------------------------------------------------------------------------


def new_picture():
    """An empty document that nobody painted on."""
    document = krita.createDocument(*SIZE, "Fruit", "RGBA", "U8", "", 72.0)
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    docker().setVisible(True)
    docker().raise_()
    docker().refresh()
    return document


def choose_model():
    """The small generator; the engine must run for the panel to know it."""
    docker().jobs.start()
    combo = part(QComboBox, "control_model")
    yield (lambda: combo.findData(SETTINGS["model"]) >= 0), "the model in the list", 120
    choose("control_model", SETTINGS["model"])
    classes = part(QComboBox, "control_class_name")
    yield (lambda: classes.findData("plum") >= 0), "the model's classes"


def type_class(name, typed):
    """Type a class into a list and press Return."""
    line = part(QComboBox, name).lineEdit()
    line.setText(typed)
    line.editingFinished.emit()


def generated(document, count):
    """Have pictures made; the layers they became, lowest first."""
    before = [n.uniqueId().toString() for n in document.topLevelNodes()]
    choose("intarsia_operation", "generate")
    yield from choose_model()
    type_class("control_class_name", "lemon")
    part(QSpinBox, "control_count").setValue(count)
    part(QSpinBox, "control_seed").setValue(7)
    docker().refresh()
    click("intarsia_run")
    yield is_idle, "the pictures", 120
    assert not shown("intarsia_problem"), text("intarsia_problem")
    yield from pause(0.6)
    new = [n for n in document.topLevelNodes() if n.uniqueId().toString() not in before]
    assert len(new) == 1, [n.name() for n in new]
    return new[0].childNodes() if new[0].type() == "grouplayer" else new


def place_of(node):
    bounds = node.bounds()
    return [bounds.x(), bounds.y(), bounds.width(), bounds.height()]


def write(node, file, place=None):
    """A layer's pixels as Krita has them, for the host; the rectangle they lie on."""
    place = place or place_of(node)
    (FOLDER / file).write_bytes(bytes(node.pixelData(*place)))
    return place


def labelled_layer(document, name, number, place, opacity=255):
    """A layer with a filled rectangle and a colour label, on top."""
    node = document.createNode(name, "paintlayer")
    x, y, width, height = place
    data = bytes([60, 160, 200, 255]) * (width * height)
    node.setPixelData(QByteArray(data), x, y, width, height)
    node.setColorLabel(number)
    node.setOpacity(opacity)
    document.rootNode().addChildNode(node, document.topLevelNodes()[-1])
    return node


def tree(document):
    """Names of the layers, those of a group behind it."""
    return [
        [node.name(), [child.name() for child in node.childNodes()]]
        for node in document.topLevelNodes()
        if not node.type().endswith("mask")
    ]


def recipe_of(document, node):
    kept = json.loads(bytes(document.annotation("intarsia/recipes")).decode("utf-8"))
    return kept["layers"][node.uniqueId().toString()]["recipe"]


def relabelled(document, node):
    """Press Run for Relabel; the new layer."""
    before = {n.uniqueId().toString() for n in document.topLevelNodes()}
    click("intarsia_run")
    yield is_idle, "the result", 300
    assert not shown("intarsia_problem"), text("intarsia_problem")
    document.waitForDone()
    (new,) = [n for n in document.topLevelNodes() if n.uniqueId().toString() not in before]
    return new


# --- scenes ---------------------------------------------------------------------------------------


def lists_classes_without_an_engine():
    """The models that ship and their classes are there before any engine was started."""
    yield from new_picture()
    choose("intarsia_operation", "relabel")
    models, classes = part(QComboBox, "control_model"), part(QComboBox, "control_class_name")
    return {
        "models": [models.itemText(i) for i in range(models.count())],
        "classes": [classes.itemText(i) for i in range(classes.count())],
        "running": (HOME / "run" / "endpoint.json").exists(),
    }


def generates_layers():
    """Several layers of one result arrive in a group: one undo, one redo."""
    document = yield from new_picture()
    before = tree(document)
    found = yield from generated(document, 2)
    sizes = [place_of(node)[2:] for node in found]
    after = tree(document)
    krita.action("edit_undo").trigger()
    yield (lambda: tree(document) == before), "undo"
    krita.action("edit_redo").trigger()
    yield (lambda: tree(document) == after), "redo"
    document.waitForDone()
    group = document.topLevelNodes()[-1]
    again = [bytes(n.pixelData(*place_of(n)))[:64].hex() for n in group.childNodes()]
    return {
        "before": before,
        "after": after,
        "sizes": sizes,
        "again": again,
        "reads": text("intarsia_reads"),
        "recipe": recipe_of(document, group.childNodes()[0]),
    }


def relabels_a_selection():
    """Half of a generated layer becomes another class; then Amount scrubs it."""
    document = yield from new_picture()
    (picture,) = yield from generated(document, 1)
    yield from activate(document, picture)
    x, y, width, height = place_of(picture)
    area = Selection()
    area.select(x, y, width // 2, height, 255)
    document.setSelection(area)
    choose("intarsia_operation", "relabel")
    yield from choose_model()
    type_class("control_class_name", "plum")
    part(QDoubleSpinBox, "control_softness").setValue(0.0)
    docker().refresh()
    before = layers(document)
    found = {"before": before, "reads": text("intarsia_reads")}
    found["picture"] = write(picture, "relabel-picture.bgra")
    found["selection"] = [x, y, width // 2, height]
    result = yield from relabelled(document, picture)
    found["after"] = layers(document)
    found["result"] = write(result, "relabel-result.bgra")
    found["recipe"] = recipe_of(document, result)
    found["notes"] = docker().panel.outcomes.chosen().remarks()
    yield from _scrub(document, result, found)
    return found


def _scrub(document, result, found):
    """Move Amount on both sliders, then undo and redo the result's arrival."""
    jobs = len(results())
    place = found["result"]
    outcome = docker().panel.outcomes.chosen()
    found["amounts"] = [frame.amount for frame in outcome.frames[0]]
    part(QSlider, "slider_amount").setValue(0)
    found["at_none"] = bytes(result.pixelData(*place)).hex()
    part(QSlider, "intarsia_amount").setValue(52)
    found["at_half"] = bytes(result.pixelData(*place)).hex()
    yield from pause(0.5)
    found["half_canvas"] = bytes(document.pixelData(*place)).hex()
    found["form"] = part(QDoubleSpinBox, "control_amount").value()
    found["recipe_amount"] = recipe_of(document, result)["parameters"]["amount"]
    part(QSlider, "intarsia_amount").setValue(100)
    found["at_full"] = bytes(result.pixelData(*place)).hex()
    part(QSlider, "intarsia_amount").setValue(52)
    found["others"] = [one for one in layers(document) if one[0] != result.name()]
    found["runs"] = len(results()) - jobs
    krita.action("edit_undo").trigger()
    yield (lambda: len(layers(document)) == len(found["before"])), "undo"
    found["undone"] = layers(document)
    krita.action("edit_redo").trigger()
    yield (lambda: len(layers(document)) > len(found["before"])), "redo"
    document.waitForDone()
    again = document.topLevelNodes()
    (node,) = [n for n in again if n.uniqueId().toString() == result.uniqueId().toString()]
    found["redone"] = bytes(node.pixelData(*place)).hex()
    part(QSlider, "intarsia_amount").setValue(0)
    found["after_redo"] = bytes(node.pixelData(*place)).hex()


def relabels_by_colour_labels():
    """Two layers with a colour label become two classes in one run; the binding is kept."""
    document = yield from new_picture()
    (picture,) = yield from generated(document, 1)
    x, y, width, height = place_of(picture)
    blue, green = [x, y, width // 2, height // 2], [x + width // 2, y, width // 2, height // 2]
    labelled_layer(document, "Left", 1, blue, opacity=128)
    labelled_layer(document, "Right", 2, green)
    labelled_layer(document, "Only sorted", 6, [x, y + height - 4, 4, 4])
    yield from activate(document, picture)
    choose("intarsia_operation", "relabel")
    yield from choose_model()
    type_class("control_class_name", "")
    docker().refresh()
    yield from pause(0.3)
    type_class("control_classes_blue", "plum")
    type_class("control_classes_green", "lime")
    part(QDoubleSpinBox, "control_softness").setValue(0.0)
    part(QDoubleSpinBox, "control_amount").setValue(1.0)  # another scene left it elsewhere
    docker().refresh()
    found = {"reads": text("intarsia_reads"), "places": {"blue": blue, "green": green}}
    found["red"] = part(QComboBox, "control_classes_red").currentText()
    found["picture"] = write(picture, "labels-picture.bgra")
    found["before"] = tree(document)
    result = yield from relabelled(document, picture)
    found["after"] = tree(document)
    found["result"] = write(result, "labels-result.bgra")
    found["recipe"] = recipe_of(document, result)
    path = str(FOLDER / "labels.kra")
    assert document.saveAs(path)
    yield from pause(1.5)
    document.setModified(False)
    krita.action("file_close").trigger()
    yield (lambda: krita.activeDocument() is None), "the closing"
    yield from pause(1.5)
    again = krita.openDocument(path)
    krita.activeWindow().addView(again)
    yield (lambda: again.activeNode() is not None), "the active layer"
    yield from activate(again, again.nodeByName(found["before"][1][0]))
    docker().refresh()
    found["kept"] = docker().panel.form.values()["classes"]
    return found


def transplants_a_moved_piece():
    """A part of one layer, copied and moved, says what goes where in another."""
    document = yield from new_picture()
    one, other = yield from generated(document, 2)
    place = place_of(one)
    x, y, _, _ = place_of(other)
    piece = document.createNode("Piece", "paintlayer")
    data = other.pixelData(x + 4, y + 6, 12, 12)
    piece.setPixelData(data, place[0] + 14, place[1] + 8, 12, 12)
    document.rootNode().addChildNode(piece, document.topLevelNodes()[-1])
    yield from activate(document, one)
    choose("intarsia_operation", "transplant")
    yield from choose_model()
    check_layers("input_references", [other.name()])
    choose("input_piece", piece.uniqueId().toString())
    part(QDoubleSpinBox, "control_softness").setValue(0.0)
    docker().refresh()
    found = {"reads": text("intarsia_reads"), "before": tree(document)}
    found["picture"] = write(one, "transplant-picture.bgra")
    found["reference"] = write(other, "transplant-reference.bgra")
    found["piece"] = write(piece, "transplant-piece.bgra")
    click("intarsia_run")
    yield is_idle, "the result", 300
    assert not shown("intarsia_problem"), text("intarsia_problem")
    document.waitForDone()
    found["after"] = tree(document)
    group = one.parentNode()
    known = {one.uniqueId().toString(), other.uniqueId().toString()}
    (result,) = [n for n in group.childNodes() if n.uniqueId().toString() not in known]
    found["result"] = write(result, "transplant-result.bgra")
    found["recipe"] = recipe_of(document, result)
    found["notes"] = docker().panel.outcomes.chosen().remarks()
    return found
