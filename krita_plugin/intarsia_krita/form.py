"""The upper part of the panel: which operation, with what settings."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import MAX_SEED, Operation, applies
from intarsia_krita.control import Control
from intarsia_krita.controls import SEED, ChoiceControl, make_control, make_controls
from intarsia_krita.name_controls import BindingControl
from intarsia_krita.pieces import WheelGuard, column, fold_button, small_label
from intarsia_krita.qt import Qt, QtCore, QtWidgets
from intarsia_krita.stock import Stock
from intarsia_krita.texts import tr


class Form(QtWidgets.QWidget):
    """The list of operations and the controls of the chosen one, with Advanced folded.

    The values of every operation are kept while another one is shown.
    """

    chosen = QtCore.pyqtSignal()
    """Another operation."""
    changed = QtCore.pyqtSignal(str)
    """A parameter's name."""

    def __init__(
        self, operations: Mapping[str, Operation], guard: WheelGuard, stock: Stock
    ) -> None:
        super().__init__()
        self._operations = dict(operations)
        self._stock = stock
        self._guard = guard
        self._values: dict[str, dict[str, Any]] = {}
        self._seeds: dict[str, int] = {}
        self._controls: dict[str, Control] = {}
        self._seed: Control | None = None
        self._shown = ""
        self._quiet = False
        self._combo = QtWidgets.QComboBox()
        self._combo.setObjectName("intarsia_operation")
        self._combo.setAccessibleName(tr("Operation"))
        self._combo.installEventFilter(guard)
        _list_operations(self._combo, self._operations.values())
        self._combo.currentIndexChanged.connect(self._choose)
        self._summary = small_label("")
        self._fold = fold_button(tr("Advanced"), "intarsia_advanced")
        self._body = QtWidgets.QWidget()
        self._layout = column(self)
        self._layout.addWidget(self._combo)
        self._layout.addWidget(self._summary)
        self._layout.addWidget(self._body)
        self._choose()

    @property
    def operation(self) -> Operation:
        """The chosen one."""
        return self._operations[self._combo.currentData()]

    def values(self) -> dict[str, Any]:
        """Every parameter's value, by name."""
        return {name: control.value() for name, control in self._controls.items()}

    def seed(self) -> int:
        """The seed."""
        return self._seed.value() if self._seed is not None else 0

    def missing(self) -> str:
        """What must be chosen before a run, as a sentence; empty where nothing is missing."""
        for name, control in self._controls.items():
            if self.must_have(name) and not control.value():
                return tr("Choose first: %s.", control.parameter.label)
        return ""

    def must_have(self, name: str) -> bool:
        """Whether there is no run while a parameter is empty."""
        control = self._controls.get(name)
        return control is not None and bool(getattr(control.parameter, "required", False))

    def choose(self, operation: str) -> bool:
        """Show an operation; False if there is none of that id."""
        index = self._combo.findData(operation)
        if index >= 0:
            self._combo.setCurrentIndex(index)
        return index >= 0

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values; what is unknown or out of range keeps its place."""
        for name, value in values.items():
            if name in self._controls:
                try:
                    self._controls[name].set_value(value)
                except InvalidRequest:
                    continue

    def show_value(self, name: str, value: Any) -> None:
        """Show a value without saying that it changed."""
        quiet, self._quiet = self._quiet, True
        self.set_values({name: value})
        self._quiet = quiet

    def show_binding(self, binding: Mapping[str, str]) -> None:
        """Show which class each colour label of the open document stands for, in every list."""
        for name, control in self._controls.items():
            if isinstance(control, BindingControl):
                self.show_value(name, binding)

    def binding(self, name: str) -> dict[str, str] | None:
        """The classes by colour label if that parameter holds them, else None."""
        control = self._controls.get(name)
        return control.binding() if isinstance(control, BindingControl) else None

    def set_seed(self, seed: int) -> None:
        """Show a seed."""
        if self._seed is not None and 0 <= seed <= MAX_SEED:
            self._seed.set_value(seed)

    def remembered(self) -> dict[str, Any]:
        """What to keep until Krita starts again."""
        self._store()
        return {
            "operation": self.operation.id,
            "values": self._values,
            "seeds": self._seeds,
            "advanced": self._fold.isChecked(),
        }

    def remember(self, kept: Mapping[str, Any]) -> None:
        """Show what `remembered` gave; damaged parts are left out."""
        values, seeds = kept.get("values"), kept.get("seeds")
        self._values = {k: v for k, v in _mapping(values).items() if isinstance(v, dict)}
        self._seeds = {k: v for k, v in _mapping(seeds).items() if isinstance(v, int)}
        self._fold.setChecked(bool(kept.get("advanced")))
        self._shown = ""
        if not self.choose(str(kept.get("operation"))) or self._shown == "":
            self._choose()

    def _choose(self) -> None:
        self._store()
        operation = self.operation
        self._shown = operation.id
        self._summary.setText(operation.summary)
        self._combo.setAccessibleDescription(operation.summary)
        self._rebuild(operation)
        self._quiet = True
        self.set_values(self._values.get(operation.id, {}))
        self.set_seed(self._seeds.get(operation.id, SEED.default))
        self._quiet = False
        self._show_those_that_count()
        self.chosen.emit()

    def _store(self) -> None:
        if self._shown:
            self._values[self._shown] = self.values()
            self._seeds[self._shown] = self.seed()

    def _rebuild(self, operation: Operation) -> None:
        body, open_ = QtWidgets.QWidget(), self._fold.isChecked()
        layout = column(body)
        layout.setSpacing(8)
        advanced = QtWidgets.QWidget()
        advanced.setObjectName("intarsia_advanced_controls")
        inner = column(advanced)
        controls = make_controls(operation, self._guard, self._stock)
        self._controls = {control.parameter.name: control for control in controls}
        self._seed = make_control(SEED, self._guard, self._stock)
        for control in self._controls.values():
            (inner if control.parameter.advanced else layout).addWidget(control)
            name = control.parameter.name
            control.changed.connect(lambda name=name: self._change(name))
        inner.addWidget(self._seed)
        self._seed.changed.connect(lambda: self._change(SEED.name))
        self._fold = fold_button(tr("Advanced"), "intarsia_advanced")
        self._fold.toggled.connect(advanced.setVisible)
        self._fold.setChecked(open_)
        advanced.setVisible(open_)
        layout.addWidget(self._fold)
        layout.addWidget(advanced)
        self._layout.replaceWidget(self._body, body)
        self._body.setParent(
            None
        )  # at once: a widget that waits for its end is still found and shown
        self._body.deleteLater()
        self._body = body

    def _show_those_that_count(self) -> None:
        """Hide the controls that do nothing with the other settings as they are."""
        values = self.values()
        for control in self._controls.values():
            control.setVisible(applies(control.parameter, values))

    def _change(self, name: str) -> None:
        if isinstance(self._controls.get(name), ChoiceControl):
            self._show_those_that_count()
        if not self._quiet:
            self.changed.emit(name)


def _list_operations(combo: Any, operations: Iterable[Operation]) -> None:
    """Fill a list: each group under its name, each operation with what it does as its hint."""
    group = ""
    for operation in operations:
        if operation.group != group:
            group = operation.group
            if group:
                _add_heading(combo, tr(group))
            else:
                combo.insertSeparator(combo.count())
        combo.addItem(operation.title, operation.id)
        combo.setItemData(combo.count() - 1, operation.summary, Qt.ItemDataRole.ToolTipRole)
    titles = [row for row in range(combo.count()) if combo.itemData(row)]
    combo.setCurrentIndex(titles[0] if titles else -1)


def _add_heading(combo: Any, text: str) -> None:
    """A line that cannot be chosen."""
    combo.addItem(text)
    row = combo.model().item(combo.count() - 1)
    row.setEnabled(False)
    font = combo.font()
    font.setBold(True)
    row.setFont(font)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
