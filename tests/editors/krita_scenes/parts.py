"""Scenes with pictures made of parts: a mosaic of a group's layers, a whole of three layers."""

from __future__ import annotations

from krita_scenes.hands import (
    SETTINGS,
    activate,
    choose,
    click,
    docker,
    is_idle,
    krita,
    layers,
    part,
    pause,
    shown,
    text,
)
from krita_scenes.whole_pictures import made_by, place_of, recipe_of, undone, write
from PyQt5.QtCore import QByteArray
from PyQt5.QtWidgets import QComboBox, QSpinBox

SIZE = (72, 56)
TEMPLATES = 4


# --- hands ----------------------------------------------------------------------------------------


def stripes(width, height, number):
    """A template: stripes of two colours in a direction of its own, opaque, as Krita's bytes."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            along = (x, y, x + y, x - y + height)[number % 4] // 3 % 2
            color = (60 + 50 * number, 200 - 40 * number, 40 + 70 * (number % 3))
            data += bytes((*(value if along else 255 - value for value in color), 255))
    return bytes(data)


def guide(width, height):
    """A light disc on a dark slope, opaque, as Krita's bytes."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2
            data += bytes((220, 230, 240, 255) if inside else (x % 90, 40 + y, 70, 255))
    return bytes(data)


def open_templates():
    """A guide, and above it a group of templates, which is active."""
    document = krita.createDocument(*SIZE, "Portrait", "RGBA", "U8", "", 72.0)
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    root = document.rootNode()
    paper = root.childNodes()[0]
    paper.setPixelData(QByteArray(guide(*SIZE)), 0, 0, *SIZE)
    group = document.createGroupLayer("Templates")
    root.addChildNode(group, paper)
    above = None
    for number in range(TEMPLATES):
        node = document.createNode(f"Stripes {number}", "paintlayer")
        place = (-8 + 13 * number, 4 + 3 * number, 36, 32)
        node.setPixelData(QByteArray(stripes(36, 32, number)), *place)
        group.addChildNode(node, above)
        above = node
    document.refreshProjection()
    document.waitForDone()
    yield from activate(document, group)
    docker().setVisible(True)
    docker().raise_()
    docker().refresh()
    return document, group


def choose_model(name):
    """A small model; the engine must run for the panel to know it."""
    docker().jobs.start()
    combo = part(QComboBox, "control_model")
    yield (lambda: combo.findData(SETTINGS[name]) >= 0), "the model in the list", 120
    choose("control_model", SETTINGS[name])
    docker().refresh()


def shapes(node):
    """Names of everything in a node."""
    return [[child.name(), child.type(), shapes(child)] for child in node.childNodes()]


# --- scenes ---------------------------------------------------------------------------------------


def makes_a_mosaic():
    """Of a group's layers along the picture below: as one layer, and as layers with masks."""
    document, group = yield from open_templates()
    choose("intarsia_operation", "mosaic")
    yield from choose_model("mosaic")
    part(QSpinBox, "control_seed").setValue(4)
    part(QSpinBox, "control_count").setValue(TEMPLATES)
    found = {"before": layers(document), "reads": text("intarsia_reads")}
    found["guides"] = [
        part(QComboBox, "input_picture").itemText(i)
        for i in range(part(QComboBox, "input_picture").count())
    ]
    whole = [0, 0, *SIZE]
    found["whole"] = whole
    choose("control_gives", "collage")
    collage = yield from made_by(document)
    found["collage"] = [collage.name(), place_of(collage)]
    write(collage.pixelData(*whole), "mosaic-collage.bgra")
    found["recipe"] = recipe_of(document, collage)
    collage.setVisible(False)
    yield from activate(document, group)
    choose("control_gives", "layers")
    made = yield from made_by(document)
    found["after"] = [n.name() for n in document.topLevelNodes()]
    found["shapes"] = [made.name(), made.type(), shapes(made)]
    for node in document.topLevelNodes():
        node.setVisible(node.name() == made.name())
    document.refreshProjection()
    document.waitForDone()
    write(document.pixelData(*whole), "mosaic-composed.bgra")
    found["recipes"] = [recipe_of(document, n)["operation"] for n in (made, made.childNodes()[0])]
    top = made.childNodes()[-1]
    (edge,) = top.childNodes()
    x, y, width, height = place_of(top)
    found["top"] = place_of(top)
    edge.setPixelData(QByteArray(bytes(width * height)), x, y, width, height)
    document.refreshProjection()
    document.waitForDone()
    found["without_top"] = bytes(top.projectionPixelData(x, y, width, height))[3::4].hex()
    for node in document.topLevelNodes():
        node.setVisible(node.name() != collage.name())
    count = len(document.topLevelNodes())
    krita.action("edit_undo").trigger()
    yield (lambda: len(document.topLevelNodes()) < count), "undo"
    found["undone"] = [n.name() for n in document.topLevelNodes()]
    return found


def assembles_three_layers():
    """Three layers of a group, one click: a picture, and below it where the parts went."""
    document, group = yield from open_templates()
    group.childNodes()[0].remove()
    yield from pause(0.5)
    yield from activate(document, group)
    choose("intarsia_operation", "assemble")
    yield from choose_model("patches")
    part(QSpinBox, "control_seed").setValue(2)
    docker().refresh()
    found = {"before": layers(document), "reads": text("intarsia_reads")}
    found["pieces"] = []
    for number, node in enumerate(group.childNodes()):
        found["pieces"].append([node.name(), place_of(node)])
        write(node.pixelData(*place_of(node)), f"part-{number}.bgra")
    made = yield from made_by(document)
    found["after"] = [n.name() for n in document.topLevelNodes()]
    found["shapes"] = [made.name(), made.type(), shapes(made)]
    placement, picture = made.childNodes()
    found["places"] = [place_of(placement), place_of(picture)]
    write(picture.pixelData(*place_of(picture)), "assembled.bgra")
    write(placement.pixelData(*place_of(picture)), "placement.bgra")
    found["recipe"] = recipe_of(document, picture)
    found["undone"] = yield from undone(document, found["before"])
    yield from activate(document, group)
    choose("control_output", "cut")
    click("intarsia_run")
    yield is_idle, "the result", 120
    assert not shown("intarsia_problem"), text("intarsia_problem")
    yield from pause(0.6)
    names = [n.name() for n in document.topLevelNodes()]
    cut = document.topLevelNodes()[names.index("Assembled")]
    found["cut"] = [cut.type(), shapes(cut)]
    found["weights"] = bytes(cut.childNodes()[0].pixelData(*found["places"][1])).hex()
    write(cut.projectionPixelData(*found["places"][1]), "cut.bgra")
    return found
