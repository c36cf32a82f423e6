"""What every control of the panel has: a value, a label, a name for people who hear the panel."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import Parameter
from intarsia_krita.pieces import WheelGuard
from intarsia_krita.qt import Qt, QtCore, QtWidgets
from intarsia_krita.texts import tr


class Control(QtWidgets.QWidget):
    """A parameter's row. `value` and `set_value` speak the declaration's types."""

    changed = QtCore.pyqtSignal()

    def __init__(self, parameter: Parameter, guard: WheelGuard) -> None:
        super().__init__()
        self.parameter = parameter
        self._guard = guard
        self.setObjectName("row_" + parameter.name)
        self.setToolTip(parameter.help)

    def value(self) -> Any:
        """The value as the declaration checks it."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value; `InvalidRequest` if the declaration refuses it."""
        raise NotImplementedError

    def reset(self) -> None:
        """Show the default."""
        self.set_value(self.parameter.default)

    def _prepare(self, widget: Any, name: str = "") -> Any:
        """Name a widget for people who hear the panel, guard its wheel, and find it in tests."""
        widget.setObjectName(name or "control_" + self.parameter.name)
        widget.setAccessibleName(self.parameter.label)
        widget.setAccessibleDescription(self.parameter.help)
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self._guard)
        return widget

    def _caption(self, buddy: Any) -> Any:
        """The label; its hint says where a change needs no new run."""
        label = QtWidgets.QLabel(self.parameter.label.replace("&", "&&"))
        label.setWordWrap(True)  # rather than widen the panel
        label.setBuddy(buddy)
        if not self.parameter.recompute:
            hint = tr("Acts on the newest result at once, without a new run.")
            self.setToolTip(f"{self.parameter.help}\n{hint}")
        return label
