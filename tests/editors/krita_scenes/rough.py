"""Scenes with rough pieces: one picture of a group, and a preview that follows the hand."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time

from krita_scenes.hands import (
    FOLDER,
    SETTINGS,
    activate,
    choose,
    click,
    docker,
    engine_pid,
    is_idle,
    krita,
    part,
    pause,
    shown,
    text,
)
from PyQt5.QtCore import QByteArray, QEvent, QPointF, Qt, QTimer
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtWidgets import QApplication, QCheckBox, QComboBox, QLabel, QPushButton, QWidget

SIZE = (64, 48)


# --- hands ----------------------------------------------------------------------------------------


def paint_layer(document, parent, name, place, color, hole=None):
    """A rectangle of one colour, (r, g, b, a), with a transparent hole, on top of a group."""
    x, y, width, height = place
    rows = [[color] * width for _ in range(height)]
    if hole:
        for row in range(hole[1], hole[1] + hole[3]):
            for column in range(hole[0], hole[0] + hole[2]):
                rows[row - y][column - x] = (0, 0, 0, 0)
    data = b"".join(bytes((b, g, r, a)) for row in rows for r, g, b, a in row)
    node = document.createNode(name, "paintlayer")
    node.setPixelData(QByteArray(data), x, y, width, height)
    inside = parent.childNodes()
    parent.addChildNode(node, inside[-1] if inside else None)
    return node


def open_collage():
    """The collage of the settings, its group active: a hole, an opacity, a group with a mask."""
    document = krita.createDocument(*SIZE, "Rough", "RGBA", "U8", "", 72.0)
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    root = document.rootNode()
    group = document.createGroupLayer("Collage")
    root.addChildNode(group, root.childNodes()[-1])
    for about in SETTINGS["pieces"]:
        parent = group
        if about.get("mask"):
            parent = document.createGroupLayer(about["name"])
            group.addChildNode(parent, group.childNodes()[-1])
        node = paint_layer(
            document, parent, about["name"], about["place"], about["color"], about.get("hole")
        )
        node.setOpacity(about.get("opacity", 255))
        if about.get("mask"):
            mask = document.createTransparencyMask("Shape")
            parent.addChildNode(mask, node)
            x, y, _, height = about["place"]
            mask.setPixelData(QByteArray(bytes(SIZE[0] * SIZE[1])), 0, 0, *SIZE)
            left = about["mask"]
            mask.setPixelData(QByteArray(b"\xff" * (left * height)), x, y, left, height)
    hidden = paint_layer(document, group, "Hidden", (0, 0, 9, 9), (255, 0, 255, 255))
    hidden.setVisible(False)
    paint_layer(document, root, "Signature", (60, 44, 3, 3), (0, 0, 0, 255))
    document.refreshProjection()
    document.waitForDone()
    yield from activate(document, group)
    docker().setVisible(True)
    docker().raise_()
    docker().refresh()
    return document, group


def choose_composite():
    """The operation and the small generator with its regressor."""
    choose("intarsia_operation", "composite")
    docker().jobs.start()
    combo = part(QComboBox, "control_model")
    yield (lambda: combo.findData(SETTINGS["model"]) >= 0), "the model in the list", 120
    choose("control_model", SETTINGS["model"])
    docker().refresh()


def tree(node):
    """Every node under one with a fingerprint of what it shows."""
    return [
        [n.name(), bytes(n.projectionPixelData(0, 0, *SIZE)).hex(), n.opacity(), tree(n)]
        for n in node.childNodes()
    ]


def names(document):
    return [n.name() for n in document.topLevelNodes()]


def place_of(node):
    bounds = node.bounds()
    return [bounds.x(), bounds.y(), bounds.width(), bounds.height()]


def recipe_of(document, node):
    kept = json.loads(bytes(document.annotation("intarsia/recipes")).decode("utf-8"))
    return kept["layers"][node.uniqueId().toString()]["recipe"]


def write_layer(node, file):
    place = place_of(node)
    (FOLDER / file).write_bytes(bytes(node.pixelData(*place)))
    return place


def new_layer(document, before):
    (new,) = [n for n in document.topLevelNodes() if n.uniqueId().toString() not in before]
    return new


def ids(document):
    return {n.uniqueId().toString() for n in document.topLevelNodes()}


def live_on():
    return part(QCheckBox, "intarsia_live").isChecked()


def preview():
    """What the preview shows, as a fingerprint; empty while it shows nothing."""
    picture = docker().findChild(QLabel, "intarsia_live_picture")
    if not picture.isVisible() or picture.pixmap() is None:
        return ""
    image = picture.pixmap().toImage()
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return str(hash(bytes(bits)))


def is_shown_now(old):
    """Whether a preview other than an old one shows, of the newest request."""
    return bool(preview()) and preview() != old and not docker().jobs.live_is_busy()


def live_request(file):
    """What the newest request sent, for the host: places and pixels; and what was shown for it."""
    view, wanted = docker().panel.live._layer, docker().live._wanted
    found = []
    for number, one in enumerate(wanted.inputs):
        (FOLDER / f"{file}-{number}.rgba").write_bytes(bytes(one.data))
        place = [one.x, one.y, one.width, one.height]
        found.append({"name": one.name, "place": place, "channels": one.channels})
    (FOLDER / f"{file}-shown.rgba").write_bytes(bytes(view.data))
    return {
        "inputs": found,
        "shown": [view.x, view.y, view.width, view.height],
        "parameters": dict(wanted.parameters),
        "seed": wanted.seed,
    }


def canvas_widget():
    """The widget that Krita paints a document on."""
    window = krita.activeWindow().qwindow()
    found = [
        widget
        for widget in window.findChildren(QWidget)
        if "Canvas" in widget.metaObject().className()
        and widget.isVisible()
        and widget.width() > 200
    ]
    named = [
        w for w in found if w.metaObject().className() in ("KisOpenGLCanvas2", "KisQPainterCanvas")
    ]
    assert named, [w.metaObject().className() for w in found]
    return named[0]


def stroke(points, each_s=0.02):
    """Paint with the mouse through points of the canvas widget."""
    canvas = canvas_widget()

    def send(kind, point, buttons):
        position = QPointF(*point)
        where = QPointF(canvas.mapToGlobal(position.toPoint()))
        button = Qt.LeftButton if kind != QEvent.MouseMove else Qt.NoButton
        event = QMouseEvent(kind, position, where, button, buttons, Qt.NoModifier)
        QApplication.sendEvent(canvas, event)

    send(QEvent.MouseMove, points[0], Qt.NoButton)
    yield from pause(0.2)
    send(QEvent.MouseButtonPress, points[0], Qt.LeftButton)
    for point in points:
        send(QEvent.MouseMove, point, Qt.LeftButton)
        yield from pause(each_s)
    send(QEvent.MouseButtonRelease, points[-1], Qt.NoButton)


# --- scenes ---------------------------------------------------------------------------------------


def composites_a_group():
    """One click makes one new layer above the group of three pieces; one undo takes it away."""
    document, _ = yield from open_collage()
    yield from choose_composite()
    found = {"reads": text("intarsia_reads"), "run": part(QPushButton, "intarsia_run").text()}
    before, there = tree(document.rootNode()), ids(document)
    found["before"] = names(document)
    click("intarsia_run")
    yield is_idle, "the result", 300
    assert not shown("intarsia_problem"), text("intarsia_problem")
    yield from pause(0.6)
    result = new_layer(document, there)
    found["after"], found["new"] = names(document), result.name()
    found["type"] = result.type()
    found["active"] = document.activeNode().name()
    found["place"] = write_layer(result, "composite.bgra")
    found["recipe"] = recipe_of(document, result)
    others = [n for n in tree(document.rootNode()) if n[0] != result.name()]
    found["others_same"] = others == before
    krita.action("edit_undo").trigger()
    yield (lambda: len(names(document)) == len(found["before"])), "undo"
    document.waitForDone()
    found["undone_same"] = tree(document.rootNode()) == before
    krita.action("edit_redo").trigger()
    yield (lambda: names(document) == found["after"]), "redo"
    return found


def live_follows_a_moved_piece():
    """The preview follows a piece that is moved and one that is painted on; nothing is inserted."""
    document, group = yield from open_collage()
    yield from choose_composite()
    before = tree(document.rootNode())
    part(QCheckBox, "intarsia_live").click()
    yield (lambda: is_shown_now("")), "the first preview", 120
    found = {"line": text("intarsia_live_line"), "first": live_request("live-first")}
    found["button"] = part(QPushButton, "intarsia_run").text()
    (piece,) = [n for n in group.childNodes() if n.name() == SETTINGS["moved"]]
    yield from activate(document, piece)  # as whoever moves it has
    old = preview()
    piece.move(piece.position().x() + 9, piece.position().y() + 5)
    document.refreshProjection()
    yield (lambda: is_shown_now(old)), "the preview of the moved piece", 60
    found["moved"] = live_request("live-moved")
    found["on_after_move"] = live_on()
    old = preview()
    part(QWidget, "control_softness").setValue(8.0)
    yield (lambda: is_shown_now(old)), "the preview with another setting", 60
    found["other_setting"] = preview() != old
    found["names"] = names(document)
    piece.move(piece.position().x() - 9, piece.position().y() - 5)
    document.refreshProjection()
    document.waitForDone()
    found["same"] = tree(document.rootNode()) == before
    yield from _take(document, found)
    yield from _end(document, group, found)
    return found


def _take(document, found):
    """Take this: a layer of full size above the group, one undo, and Live goes on."""
    there, before = ids(document), names(document)
    click("intarsia_run")
    yield is_idle, "the result", 120
    yield from pause(1.2)
    result = new_layer(document, there)
    found["taken"] = [names(document), result.name(), place_of(result)]
    found["on_after_taking"] = live_on()
    found["active_after_taking"] = document.activeNode().name()
    krita.action("edit_undo").trigger()
    yield (lambda: names(document) == before), "undo"


def _end(document, group, found):
    """Hidden it rests; another layer and a dead engine end it, and the panel says so."""
    panel = docker()
    panel.setVisible(False)
    yield from pause(0.3)
    found["runs_hidden"] = panel.live._timer.isActive()
    panel.setVisible(True)
    panel.raise_()
    yield from pause(0.5)
    found["runs_again"] = panel.live._timer.isActive() and live_on()
    paper = document.topLevelNodes()[0]
    yield from activate(document, paper)
    yield (lambda: not live_on()), "the end of Live", 10
    found["off_layer"] = text("intarsia_live_line")
    yield from activate(document, group)
    docker().refresh()
    part(QCheckBox, "intarsia_live").click()
    yield (lambda: is_shown_now("")), "the preview", 60
    os.kill(engine_pid(), signal.SIGKILL)
    yield from pause(0.3)
    group.childNodes()[0].move(2, 2)
    document.refreshProjection()
    yield (lambda: not live_on()), "the end of Live without an engine", 30
    found["off_engine"] = text("intarsia_live_line")
    found["runs_off"] = panel.live._timer.isActive()


def live_while_painting():
    """A stroke of the brush on a piece, with Live and without: how long Krita's window waits."""
    size, side = (3000, 2500), 1500
    document = krita.createDocument(*size, "Large", "RGBA", "U8", "", 72.0)
    krita.activeWindow().addView(document)
    yield (lambda: document.activeNode() is not None), "the active layer"
    root = document.rootNode()
    group = document.createGroupLayer("Collage")
    root.addChildNode(group, root.childNodes()[-1])
    for number in range(3):
        node = document.createNode(f"Piece {number}", "paintlayer")
        node.setPixelData(
            QByteArray(os.urandom(4 * side * side)), 200 + 500 * number, 300, side, side
        )
        inside = group.childNodes()
        group.addChildNode(node, inside[-1] if inside else None)
    document.refreshProjection()
    document.waitForDone()
    yield from activate(document, group)
    docker().setVisible(True)
    docker().raise_()
    docker().refresh()
    yield from choose_composite()
    piece = group.childNodes()[1]
    yield from activate(document, piece)
    found = {"tool": krita.action("KritaShape/KisToolBrush") is not None}
    krita.action("KritaShape/KisToolBrush").trigger()
    yield from pause(1)
    canvas = canvas_widget()
    width, height = canvas.width(), canvas.height()
    points = [
        (width * (0.3 + 0.4 * step / 60), height * (0.4 + 0.2 * (step % 10) / 10))
        for step in range(61)
    ]
    marks = []
    clock = QTimer()
    clock.setTimerType(Qt.PreciseTimer)
    clock.timeout.connect(lambda: marks.append(time.perf_counter()))
    clock.start(5)

    def gaps():
        times = sorted(b - a for a, b in itertools.pairwise(marks))
        marks.clear()
        if not times:
            return {}
        return {
            "median_ms": round(1000 * times[len(times) // 2], 1),
            "p99_ms": round(1000 * times[int(len(times) * 0.99)], 1),
            "most_ms": round(1000 * times[-1], 1),
        }

    print_before = bytes(piece.pixelData(0, 0, *size))
    marks.clear()
    yield from pause(2)
    found["idle_without"] = gaps()
    yield from stroke(points)
    yield from pause(0.5)
    found["stroke_without"] = gaps()
    found["painted"] = bytes(piece.pixelData(0, 0, *size)) != print_before
    yield from activate(document, group)
    part(QCheckBox, "intarsia_live").click()
    yield (lambda: is_shown_now("")), "the first preview", 180
    yield from activate(document, piece)
    yield from pause(1)
    marks.clear()
    costs, steps = [], docker().live._step

    def watched_step():
        steps()
        costs.append(docker().live.cost_s)

    docker().live._timer.timeout.disconnect()
    docker().live._timer.timeout.connect(watched_step)
    yield from pause(2)
    found["idle_with"] = gaps()
    found["cost_idle_ms"] = _costs(costs)
    marks.clear()
    costs.clear()
    asked = []
    show = docker().jobs.show_live
    docker().jobs.show_live = lambda request: (asked.append(time.monotonic()), show(request))
    old = preview()
    yield from stroke([(x, y + 20) for x, y in points])
    end = time.monotonic()
    found["asked_during_stroke"] = len(asked)
    yield from pause(0.3)
    found["stroke_with"] = gaps()
    found["cost_stroke_ms"] = _costs(costs)
    yield (lambda: is_shown_now(old)), "the preview of the stroke", 60
    found["preview_after_s"] = round(time.monotonic() - end, 2)
    found["line"] = text("intarsia_live_line")
    docker().jobs.show_live = show
    part(QCheckBox, "intarsia_live").click()
    clock.stop()
    return found


def _costs(costs):
    """Of the steps: how many, the median, the longest, in milliseconds."""
    times = sorted(costs)
    if not times:
        return []
    return [len(times), round(1000 * times[len(times) // 2], 2), round(1000 * times[-1], 2)]
