"""Small things that the panel's parts are made of."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import ResultLayer
from intarsia_krita.qt import Qt, QtCore, QtGui, QtWidgets

THUMBNAIL = 96


class WheelGuard(QtCore.QObject):
    """Keeps the wheel away from a control without focus; the panel scrolls instead."""

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QtCore.QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def pixmap(layer: ResultLayer, side: int) -> Any:
    """A picture of a layer, at most ``side`` pixels a side, over the background of a canvas."""
    size = QtCore.QSize(layer.width, layer.height)
    size.scale(side, side, Qt.AspectRatioMode.KeepAspectRatio)
    small = image(layer, size)
    if small.isNull():
        return QtGui.QPixmap()
    canvas = canvas_pixmap(small.width(), small.height())
    painter = QtGui.QPainter(canvas)
    painter.drawImage(0, 0, small)
    painter.end()
    return canvas


def canvas_pixmap(width: int, height: int) -> Any:
    """The background that small pictures lie on."""
    canvas = QtGui.QPixmap(width, height)
    canvas.fill(QtGui.QColor("#9a9a9a"))
    return canvas


def image(layer: ResultLayer, size: Any) -> Any:
    """A layer's pixels at a `QSize`; an empty image of a sample type that is not drawn."""
    data, width = bytes(layer.data), {"u8": 1, "u16": 2}.get(layer.dtype)
    if width is None:
        return QtGui.QImage()
    if width == 2:
        data = data[1::2]  # the high bytes
    kind = QtGui.QImage.Format.Format_RGBA8888
    if layer.channels == 1:
        kind = QtGui.QImage.Format.Format_Grayscale8
    found = QtGui.QImage(data, layer.width, layer.height, layer.width * layer.channels, kind)
    if max(layer.width, layer.height) > 8 * max(size.width(), size.height()):
        found = found.scaled(size * 4)  # first quickly, then smoothly
    ignored = Qt.AspectRatioMode.IgnoreAspectRatio
    return found.scaled(size, ignored, Qt.TransformationMode.SmoothTransformation)


def wrapped_label(text: str) -> Any:
    """A label that wraps and never asks for more width than there is."""
    label = QtWidgets.QLabel(text)
    label.setWordWrap(True)
    policy = QtWidgets.QSizePolicy.Policy
    label.setSizePolicy(policy.Ignored, policy.Preferred)
    return label


def fold_button(text: str, name: str) -> Any:
    """A line with an arrow that unfolds what is below it."""
    button = QtWidgets.QToolButton()
    button.setObjectName(name)
    button.setText(text)
    button.setCheckable(True)
    button.setAutoRaise(True)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setArrowType(Qt.ArrowType.RightArrow)
    policy = QtWidgets.QSizePolicy.Policy
    button.setSizePolicy(policy.Expanding, policy.Fixed)

    def turn(open_: bool) -> None:
        button.setArrowType(Qt.ArrowType.DownArrow if open_ else Qt.ArrowType.RightArrow)

    button.toggled.connect(turn)
    return button


def bold(label: Any) -> None:
    """Set a label in bold."""
    font = label.font()
    font.setBold(True)
    label.setFont(font)


def column(widget: Any, margin: int = 0) -> Any:
    """A vertical layout for a widget."""
    layout = QtWidgets.QVBoxLayout(widget)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(6)
    return layout


def framed(frame: Any, name: str, color: str) -> None:
    """A coloured bar at the left edge; its meaning is said in words as well."""
    frame.setObjectName("intarsia_frame_" + name)
    border = f"border: 1px solid {color}; border-left-width: 4px; border-radius: 3px"
    frame.setStyleSheet(f"#{frame.objectName()} {{ {border} }}")


def small_label(text: str) -> Any:
    """A wrapped label in the smaller, softer type of explanations."""
    label = QtWidgets.QLabel(text)
    label.setWordWrap(True)
    font = label.font()
    font.setPointSizeF(max(7.0, font.pointSizeF() * 0.9))
    label.setFont(font)
    policy = QtWidgets.QSizePolicy.Policy
    label.setSizePolicy(policy.Ignored, policy.Preferred)
    return label
