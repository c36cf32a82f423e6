"""The Live switch, and the preview that follows the artist's hand."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import ResultLayer
from intarsia_krita.pieces import column, pixmap, small_label
from intarsia_krita.qt import QtCore, QtWidgets
from intarsia_krita.texts import tr


class LiveView(QtWidgets.QWidget):
    """A switch, a preview as wide as the panel, and a line that says how it is."""

    switched = QtCore.pyqtSignal(bool)
    appeared = QtCore.pyqtSignal()
    """The first preview is there."""

    def __init__(self) -> None:
        super().__init__()
        self._layer: ResultLayer | None = None
        self._switch = QtWidgets.QCheckBox(tr("Live"))
        self._switch.setObjectName("intarsia_live")
        self._switch.setAccessibleName(tr("Live preview"))
        self._switch.setAccessibleDescription(
            tr("While you paint or move things, a small preview here follows. No layer is made.")
        )
        self._switch.setToolTip(self._switch.accessibleDescription())
        self._switch.toggled.connect(self.switched.emit)
        self._picture = QtWidgets.QLabel()
        self._picture.setObjectName("intarsia_live_picture")
        self._picture.setAccessibleName(tr("Preview of the result"))
        policy = QtWidgets.QSizePolicy.Policy
        self._picture.setSizePolicy(policy.Ignored, policy.Fixed)
        self._line = small_label("")
        self._line.setObjectName("intarsia_live_line")
        rows = column(self)
        rows.setSpacing(4)
        for widget in (self._switch, self._picture, self._line):
            rows.addWidget(widget)
        self.show_off("")

    def is_on(self) -> bool:
        """Whether the switch is on."""
        return bool(self._switch.isChecked())

    def show_on(self, line: str) -> None:
        """Say how the preview is; an empty line leaves what was said."""
        if line:
            self._line.setText(line)
        self._line.show()

    def show_off(self, why: str) -> None:
        """Switch off, take the preview away, and say why if there is a reason."""
        self._switch.blockSignals(True)
        self._switch.setChecked(False)
        self._switch.blockSignals(False)
        self._layer = None
        self._picture.clear()
        self._picture.hide()
        self._line.setText(why)
        self._line.setVisible(bool(why))

    def show_layer(self, layer: ResultLayer) -> None:
        """Show a result, as wide as the panel."""
        fresh, self._layer = self._layer is None, layer
        self._draw()
        self._picture.show()
        if fresh:
            self.appeared.emit()

    def resizeEvent(self, event: Any) -> None:
        """The panel's width changed."""
        super().resizeEvent(event)
        if self._layer is not None:
            self._draw()

    def _draw(self) -> None:
        if self._layer is not None:
            ratio = self.devicePixelRatioF()
            picture = pixmap(self._layer, max(1, round(self.width() * ratio)))
            picture.setDevicePixelRatio(ratio)
            self._picture.setPixmap(picture)
            self._picture.setFixedHeight(round(picture.height() / ratio))
