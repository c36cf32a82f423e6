"""Where the docker stands when Krita shows it for the first time: with room for its controls."""

from __future__ import annotations

from typing import Any

from intarsia_krita.qt import Qt

_NEIGHBOUR = "PresetDocker"
"""Krita's brush presets: the lowest docker of the usual workspace."""
_SHARE = 0.45
"""Of the window's height."""


def take_place(docker: Any, window: Any) -> None:
    """Become a tab beside the brush presets, as high as nearly half of the window.

    Krita would squeeze a new docker below all others, so low that hardly a control can be seen.
    Where the brush presets are hidden or elsewhere, only the height is asked for.

    Args:
        docker: The one that is new.
        window: Krita's.
    """
    frame = window.qwindow()
    if docker.isFloating():
        return
    for other in window.dockers():
        area = frame.dockWidgetArea(other)
        beside = area == frame.dockWidgetArea(docker) and not other.isFloating()
        if other.objectName() == _NEIGHBOUR and other.isVisible() and beside:
            frame.tabifyDockWidget(other, docker)
    docker.raise_()
    frame.resizeDocks([docker], [round(_SHARE * frame.height())], Qt.Orientation.Vertical)
