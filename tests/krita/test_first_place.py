"""Where the docker stands when it is shown for the first time, in a window of this toolkit."""

from __future__ import annotations

from typing import Any

import krita
import pytest
from qt_binding import QtCore, QtTest, QtWidgets, application

Qt = QtCore.Qt
RIGHT = Qt.DockWidgetArea.RightDockWidgetArea


@pytest.fixture
def window(document: krita.Document, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A window with layers and brush presets; another docker squeezed in below them."""
    frame = QtWidgets.QMainWindow()
    frame.setCentralWidget(QtWidgets.QWidget())
    there = {}
    for name in ("KisLayerBox", "PresetDocker"):
        there[name] = QtWidgets.QDockWidget(name, frame)
        there[name].setObjectName(name)
        there[name].setWidget(QtWidgets.QTextEdit())
        frame.addDockWidget(RIGHT, there[name])
    mine = QtWidgets.QDockWidget("Intarsia", frame)
    mine.setWidget(QtWidgets.QTextEdit())
    frame.addDockWidget(RIGHT, mine)
    frame.resize(1000, 800)
    frame.show()
    frame.resizeDocks([*there.values(), mine], [330, 330, 140], Qt.Orientation.Vertical)
    application.processEvents()
    monkeypatch.setattr(krita.Window, "qwindow", lambda self: frame)
    monkeypatch.setattr(krita.Window, "dockers", lambda self: [*there.values(), mine])
    yield frame, there["PresetDocker"], mine
    frame.close()


def test_it_becomes_a_tab_beside_the_brush_presets_with_room_for_its_controls(window: Any) -> None:
    from intarsia_krita.first_place import take_place

    frame, presets, mine = window
    before = mine.height()
    take_place(mine, krita.Window())
    application.processEvents()
    assert frame.tabifiedDockWidgets(presets) == [mine]
    assert mine.height() > before
    assert mine.height() >= 0.35 * frame.height()


@pytest.mark.parametrize("elsewhere", ("hidden", "floating", "left"))
def test_brush_presets_elsewhere_are_left_alone(window: Any, elsewhere: str) -> None:
    from intarsia_krita.first_place import take_place

    frame, presets, mine = window
    if elsewhere == "hidden":
        presets.hide()
    elif elsewhere == "floating":
        presets.setFloating(True)
    else:
        frame.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, presets)
    application.processEvents()
    take_place(mine, krita.Window())
    application.processEvents()
    assert frame.tabifiedDockWidgets(presets) == []


def test_a_docker_that_floats_stays_as_it_is(window: Any) -> None:
    from intarsia_krita.first_place import take_place

    frame, presets, mine = window
    mine.setFloating(True)
    application.processEvents()
    take_place(mine, krita.Window())
    assert mine.isFloating() and frame.tabifiedDockWidgets(presets) == []


def test_the_docker_waits_for_krita_s_window_and_then_takes_its_place_once(
    window: Any, docker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intarsia_krita import docker as module

    frame, _, _ = window
    taken: list[Any] = []
    monkeypatch.setattr(module, "take_place", lambda *given: taken.append(given))
    monkeypatch.setattr(module, "_WINDOW_MS", 10)
    monkeypatch.setattr(module, "_LAYOUT_MS", 10)
    frame.hide()
    docker.canvasChanged(None)
    QtTest.QTest.qWait(50)
    assert taken == []
    frame.show()
    QtTest.QTest.qWait(100)
    docker.canvasChanged(None)
    QtTest.QTest.qWait(50)
    assert [given[0] for given in taken] == [docker]
    assert docker.isVisible()
