"""One Qt control per declared parameter, made from the declaration alone.

Every control can be used with the keyboard, has an accessible name and description, and ignores the
mouse wheel until it has the focus, so that scrolling the panel changes nothing.
"""

from __future__ import annotations

from typing import Any, Callable

from intarsia_client.schema import MAX_SEED, Choice, Operation, Parameter, Toggle, Whole
from intarsia_krita.control import Control
from intarsia_krita.name_controls import (
    BindingControl,
    ClassControl,
    FolderControl,
    ModelControl,
    TextControl,
)
from intarsia_krita.pieces import WheelGuard, small_label
from intarsia_krita.qt import Qt, QtWidgets
from intarsia_krita.stock import Stock

_NUMBER_WIDTH, _LONG_NUMBER_WIDTH = 78, 112
_DIGITS = 5
"""Of the largest whole number that fits into the narrow field."""
_LONG_OPTION = 13
"""Letters from which a list stands under its label instead of beside it."""


class NumberControl(Control):
    """A number: a slider with a field for typing (`Scalar`), or the field alone (`Whole`)."""

    def __init__(self, parameter: Any, guard: WheelGuard) -> None:
        super().__init__(parameter, guard)
        self._range: Any = parameter
        whole = isinstance(parameter, Whole)
        self._spin = self._prepare(QtWidgets.QSpinBox() if whole else QtWidgets.QDoubleSpinBox())
        self._step = 1 if whole else parameter.step
        if not whole:
            self._spin.setDecimals(_decimals(parameter.step))
        self._spin.setRange(parameter.minimum, parameter.maximum)
        self._spin.setSingleStep(self._step)
        self._spin.setSuffix(" " + parameter.unit if parameter.unit else "")
        self._spin.setKeyboardTracking(False)
        self._spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        digits = len(str(parameter.maximum)) if whole else 0
        self._spin.setFixedWidth(_LONG_NUMBER_WIDTH if digits > _DIGITS else _NUMBER_WIDTH)
        self._slider = None if whole else self._prepare(QtWidgets.QSlider(), self._slider_name())
        head = QtWidgets.QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.addWidget(self._caption(self._spin), 1)
        head.addWidget(self._spin)
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(head)
        if self._slider is not None:
            self._slider.setOrientation(Qt.Orientation.Horizontal)
            self._slider.setRange(0, round((parameter.maximum - parameter.minimum) / self._step))
            self._slider.valueChanged.connect(self._slid)
            rows.addWidget(self._slider)
        self._spin.valueChanged.connect(self._typed)
        self.reset()

    def value(self) -> Any:
        number = self._spin.value()
        if isinstance(self.parameter, Whole):
            return int(number)
        return min(self._range.maximum, max(self._range.minimum, float(number)))

    def set_value(self, value: Any) -> None:
        self._spin.setValue(self.parameter.check(value))

    def _slider_name(self) -> str:
        return "slider_" + self.parameter.name

    def _slid(self, position: int) -> None:
        if position != self._position():
            self._spin.setValue(self._range.minimum + position * self._step)

    def _typed(self) -> None:
        if self._slider is not None:
            self._slider.setValue(self._position())
        self.changed.emit()

    def _position(self) -> int:
        return round((self._spin.value() - self._range.minimum) / self._step)


class ChoiceControl(Control):
    """A drop-down list, and under it what the chosen entry means."""

    def __init__(self, parameter: Choice, guard: WheelGuard) -> None:
        super().__init__(parameter, guard)
        self._combo = self._prepare(QtWidgets.QComboBox())
        shrink = QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self._combo.setSizeAdjustPolicy(shrink)
        self._combo.setMinimumContentsLength(6)
        for index, option in enumerate(parameter.options):
            self._combo.addItem(option.label, option.value)
            self._combo.setItemData(index, option.help, Qt.ItemDataRole.ToolTipRole)
        self._meaning = small_label("")
        long = max(len(option.label) for option in parameter.options) > _LONG_OPTION
        head = QtWidgets.QVBoxLayout() if long else QtWidgets.QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(2 if long else 6)
        head.addWidget(self._caption(self._combo), 2)
        head.addWidget(self._combo, 3)
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(head)
        rows.addWidget(self._meaning)
        self._combo.currentIndexChanged.connect(self._chosen)
        self.reset()
        self._explain()

    def value(self) -> Any:
        return self._combo.currentData()

    def set_value(self, value: Any) -> None:
        self._combo.setCurrentIndex(self._combo.findData(self.parameter.check(value)))

    def _chosen(self) -> None:
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        parameter = self.parameter
        options = parameter.options if isinstance(parameter, Choice) else ()
        text = next((o.help for o in options if o.value == self.value()), "")
        self._meaning.setText(text)
        self._meaning.setVisible(bool(text))


class ToggleControl(Control):
    """A check box."""

    def __init__(self, parameter: Toggle, guard: WheelGuard) -> None:
        super().__init__(parameter, guard)
        self._box = self._prepare(QtWidgets.QCheckBox(parameter.label.replace("&", "&&")))
        rows = QtWidgets.QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self._box)
        self._box.toggled.connect(lambda checked: self.changed.emit())
        self.reset()

    def value(self) -> Any:
        return self._box.isChecked()

    def set_value(self, value: Any) -> None:
        self._box.setChecked(self.parameter.check(value))


_PLAIN: dict[str, Callable[..., Control]] = {
    "scalar": NumberControl,
    "whole": NumberControl,
    "choice": ChoiceControl,
    "toggle": ToggleControl,
    "text": TextControl,
    "folder": FolderControl,
}
_STOCKED: dict[str, Callable[..., Control]] = {
    "model": ModelControl,
    "class": ClassControl,
    "classes": BindingControl,
}
"""Controls whose choices depend on what is installed or open."""

SEED = Whole(
    "seed",
    "Seed",
    "The same seed gives the same result; another seed another one.",
    0,
    MAX_SEED,
    0,
)


def make_control(parameter: Parameter, guard: WheelGuard, stock: Stock) -> Control:
    """The control of a parameter, showing its default."""
    if parameter.kind in _STOCKED:
        return _STOCKED[parameter.kind](parameter, guard, stock)
    return _PLAIN[parameter.kind](parameter, guard)


def make_controls(operation: Operation, guard: WheelGuard, stock: Stock) -> list[Control]:
    """The controls of an operation, in the declared order; classes follow their model's control."""
    controls = [make_control(parameter, guard, stock) for parameter in operation.parameters]
    models = {c.parameter.name: c for c in controls if isinstance(c, ModelControl)}
    for control in controls:
        if isinstance(control, (ClassControl, BindingControl)) and control.follows in models:
            control.follow(models[control.follows])
    return controls


def _decimals(step: float) -> int:
    text = (f"{step:.6f}").rstrip("0")
    return len(text.split(".")[1])
