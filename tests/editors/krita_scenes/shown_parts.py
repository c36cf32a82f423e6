"""Pictures for the documentation: an animation in the timeline, a mosaic as layers with masks."""

from __future__ import annotations

from krita_scenes.hands import (
    FOLDER,
    SETTINGS,
    activate,
    choose,
    docker,
    is_idle,
    krita,
    part,
    pause,
    shot,
    shown,
    text,
)
from krita_scenes.pictures import _arrange, _scroll
from krita_scenes.whole_pictures import made_by
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

LIMIT_S = 900


def open_file(name):
    """A layered picture of the demonstration."""
    document = krita.openDocument(str(FOLDER / name))
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    docker().setVisible(True)
    docker().raise_()
    return document


def animation_pictures():
    """A piece of sky that moves: the key frames in the timeline."""
    document = yield from open_file("night_sky.ora")
    yield from activate(document, document.nodeByName("Sky"))
    found = {"place": (yield from _arrange(5.0))}
    timeline = next(d for d in krita.dockers() if d.objectName() == "TimelineDocker")
    timeline.setVisible(True)
    timeline.raise_()
    krita.activeWindow().qwindow().resizeDocks([timeline], [200], Qt.Vertical)
    choose("intarsia_operation", "animate")
    part(QSpinBox, "control_frames").setValue(12)
    part(QDoubleSpinBox, "control_fps").setValue(8.0)
    choose("control_strength", "strong")
    node = yield from made_by(document)
    yield from activate(document, node)
    document.setCurrentTime(5)
    yield from pause(3)
    found["keys"] = [time for time in range(40) if node.hasKeyframeAtTime(time)]
    found["notes"] = docker().panel.outcomes.chosen().remarks()
    yield from shot("animation")
    return found


def mosaic_pictures():
    """A portrait of photographs of fruit, each a layer with a mask."""
    document = yield from open_file("portrait_cap.ora")
    names = [node.name() for node in document.topLevelNodes()]
    root = document.rootNode()
    for node in document.topLevelNodes()[1:]:
        node.remove()
    group = document.createGroupLayer("Basket")
    root.addChildNode(group, document.topLevelNodes()[0])
    above = None
    for number, file in enumerate(sorted((FOLDER / "basket").iterdir())):
        image = QImage(str(file)).convertToFormat(QImage.Format_ARGB32)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        layer = document.createNode(file.stem, "paintlayer")
        x, y = 40 * (number % 4), 40 * (number // 4)
        layer.setPixelData(bytes(bits), x, y, image.width(), image.height())
        group.addChildNode(layer, above)
        above = layer
    document.refreshProjection()
    yield from activate(document, group)
    found = {"place": (yield from _arrange(1.2)), "names": names}
    choose("intarsia_operation", "mosaic")
    docker().jobs.start()
    models = part(QComboBox, "control_model")
    yield (lambda: models.findData(SETTINGS["shown_mosaic"]) >= 0), "the model", 120
    choose("control_model", SETTINGS["shown_mosaic"])
    choose("control_gives", "layers")
    choose("control_segments", "large")
    docker().refresh()
    _scroll("")
    yield from pause(1.5)
    yield from shot("mosaic-idle")
    found["reads"] = text("intarsia_reads")
    made = yield from made_by(document)
    yield is_idle, "the result", LIMIT_S
    found["problem"] = text("intarsia_problem") if shown("intarsia_problem") else ""
    group.setVisible(False)
    group.setCollapsed(True)
    document.refreshProjection()
    yield from activate(document, made.childNodes()[-1])
    box = next(d for d in krita.dockers() if d.objectName() == "KisLayerBox")
    krita.activeWindow().qwindow().resizeDocks([box, docker()], [560, 360], Qt.Vertical)
    yield from pause(3)
    found["layers"] = [n.name() for n in made.childNodes()]
    yield from shot("mosaic-layers")
    return found
