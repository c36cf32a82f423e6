"""Controls for names: models, classes, classes by colour label, texts and folders."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import ClassBinding, ClassName, Folder, ModelRef, Text
from intarsia_krita.class_list import ClassList
from intarsia_krita.color_labels import COLORS, shown_name
from intarsia_krita.control import Control
from intarsia_krita.pieces import WheelGuard, column, small_label
from intarsia_krita.qt import Qt, QtCore, QtGui, QtWidgets
from intarsia_krita.stock import Stock
from intarsia_krita.texts import tr

_CHIP = 14
_CHIP_WIDTH = 84
"""Of a colour label's chip with its name, in pixels."""


class ModelControl(Control):
    """A list of the models that can do what the operation needs."""

    def __init__(self, parameter: ModelRef, guard: WheelGuard, stock: Stock) -> None:
        super().__init__(parameter, guard)
        self.capability = parameter.capability
        self._empty = parameter.empty
        self._stock = stock
        self._value = ""
        self._combo = self._prepare(QtWidgets.QComboBox())
        shrink = QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self._combo.setSizeAdjustPolicy(shrink)
        self._combo.setMinimumContentsLength(6)
        rows = column(self)
        rows.setSpacing(2)
        rows.addWidget(self._caption(self._combo))
        rows.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._chosen)
        stock.models_changed.connect(self._offer)
        self._offer()
        self.reset()

    def value(self) -> str:
        return self._value

    def set_value(self, value: Any) -> None:
        wanted = str(self.parameter.check(value))
        if wanted != self._value:
            self._value = wanted
            self._offer()
            self.changed.emit()

    def _offer(self) -> None:
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItem(tr(self._empty), "")
        for model in self._stock.models(self.capability):
            self._combo.addItem(model.title, model.id)
            row = self._combo.count() - 1
            self._combo.setItemData(row, model.about(), Qt.ItemDataRole.ToolTipRole)
        if self._combo.findData(self._value) < 0:
            self._combo.addItem(tr("%s (not found)", self._value), self._value)
        self._combo.setCurrentIndex(self._combo.findData(self._value))
        self._combo.blockSignals(False)

    def _chosen(self) -> None:
        self._value = str(self._combo.currentData() or "")
        self.changed.emit()


class _Classes(Control):
    """A control whose choices are the classes of the model that another control shows."""

    def __init__(self, parameter: Any, guard: WheelGuard, stock: Stock) -> None:
        super().__init__(parameter, guard)
        self.follows: str = parameter.model
        self._stock = stock
        self._model: ModelControl | None = None
        stock.classes_changed.connect(self._offer)

    def follow(self, model: ModelControl) -> None:
        """Show the classes of that control's model from now on."""
        self._model = model
        model.changed.connect(self._offer)
        self._offer()

    def _labels(self) -> tuple[str, ...]:
        if self._model is None:
            return self._stock.classes("")
        return self._stock.classes(self._model.value(), self._model.capability)

    def _offer(self) -> None:
        raise NotImplementedError


class ClassControl(_Classes):
    """One class, or the one that is found automatically."""

    def __init__(self, parameter: ClassName, guard: WheelGuard, stock: Stock) -> None:
        super().__init__(parameter, guard, stock)
        self._list = self._prepare(ClassList(tr(parameter.empty)))
        rows = column(self)
        rows.setSpacing(2)
        rows.addWidget(self._caption(self._list))
        rows.addWidget(self._list)
        self._list.picked.connect(lambda: self.changed.emit())
        self._offer()
        self.reset()

    def value(self) -> str:
        return self._list.value()

    def set_value(self, value: Any) -> None:
        self._list.set_value(self.parameter.check(value))

    def _offer(self) -> None:
        self._list.show_classes(self._labels())


class BindingControl(_Classes):
    """One row for each colour label in the document: its chip with its name, and its class.

    The classes of labels that the document does not use at present are remembered, not sent.
    """

    def __init__(self, parameter: ClassBinding, guard: WheelGuard, stock: Stock) -> None:
        super().__init__(parameter, guard, stock)
        self._declared = parameter
        self._binding: dict[str, str] = {}
        self._lists: dict[str, ClassList] = {}
        self._empty = small_label(
            tr("No other layer that shows has a colour label. Right-click a layer to give it one.")
        )
        self._empty.setObjectName("intarsia_no_labels")
        body = self._prepare(QtWidgets.QWidget())
        body.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._rows = column(body)
        self._rows.setSpacing(4)
        layout = column(self)
        layout.setSpacing(2)
        for widget in (self._caption(body), self._empty, body):
            layout.addWidget(widget)
        stock.areas_changed.connect(self._rebuild)
        self.reset()
        self._rebuild()

    def value(self) -> dict[str, str]:
        return {area: self._binding[area] for area in self._lists if self._binding.get(area)}

    def set_value(self, value: Any) -> None:
        self._binding = self._declared.check(value)
        self._show()
        self.changed.emit()

    def binding(self) -> dict[str, str]:
        """The classes of all labels that ever got one in this document."""
        return {area: found for area, found in self._binding.items() if found}

    def _rebuild(self) -> None:
        while self._rows.count():
            row = self._rows.takeAt(0).widget()
            row.setParent(None)
            row.deleteLater()
        self._lists = {}
        for area, layers in self._stock.areas:
            self._rows.addWidget(self._row(area, layers))
        self._empty.setVisible(not self._lists)
        self._offer()

    def _row(self, area: str, layers: str) -> Any:
        name = shown_name(area)
        found = self._prepare(ClassList(tr("Not used")), f"control_{self.parameter.name}_{area}")
        found.setAccessibleName(tr("%s: %s", self.parameter.label, name))
        found.setToolTip(tr("The class for %s.", layers))
        found.picked.connect(lambda: self._picked(area))
        self._lists[area] = found
        row = QtWidgets.QWidget()
        row.setToolTip(layers)
        line = QtWidgets.QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addWidget(_chip(COLORS[area]))
        label = QtWidgets.QLabel(name)
        label.setBuddy(found)
        label.setMinimumWidth(_CHIP_WIDTH - _CHIP - 4)
        line.addWidget(label)
        line.addWidget(found, 1)
        return row

    def _picked(self, area: str) -> None:
        self._binding[area] = self._lists[area].value()
        self.changed.emit()

    def _offer(self) -> None:
        labels = self._labels()
        for found in self._lists.values():
            found.show_classes(labels)
        self._show()

    def _show(self) -> None:
        for area, found in self._lists.items():
            found.blockSignals(True)
            found.set_value(self._binding.get(area, ""))
            found.blockSignals(False)


class TextControl(Control):
    """A line to type in."""

    def __init__(self, parameter: Text, guard: WheelGuard) -> None:
        super().__init__(parameter, guard)
        self._line = self._prepare(QtWidgets.QLineEdit())
        self._line.setMaxLength(parameter.max_length)
        rows = column(self)
        rows.setSpacing(2)
        rows.addWidget(self._caption(self._line))
        rows.addWidget(self._line)
        self._line.textChanged.connect(lambda text: self.changed.emit())
        self.reset()

    def value(self) -> str:
        return str(self._line.text()).strip()

    def set_value(self, value: Any) -> None:
        self._line.setText(self.parameter.check(value))


class FolderControl(Control):
    """A folder: a line, and a button that opens the list of folders."""

    def __init__(self, parameter: Folder, guard: WheelGuard) -> None:
        super().__init__(parameter, guard)
        self._line = self._prepare(QtWidgets.QLineEdit())
        self._line.setPlaceholderText(tr("No folder"))
        button = self._prepare(QtWidgets.QPushButton(tr("Choose…")), "choose_" + parameter.name)
        button.setAccessibleName(tr("Choose: %s", parameter.label))
        button.clicked.connect(self._choose)
        line = QtWidgets.QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self._line, 1)
        line.addWidget(button)
        rows = column(self)
        rows.setSpacing(2)
        rows.addWidget(self._caption(self._line))
        rows.addLayout(line)
        self._line.textChanged.connect(self._changed)
        self.reset()

    def value(self) -> str:
        return str(self._line.text()).strip()

    def set_value(self, value: Any) -> None:
        self._line.setText(self.parameter.check(value))

    def _changed(self, text: str) -> None:
        self._line.setToolTip(text or self.parameter.help)
        self.changed.emit()

    def _choose(self) -> None:
        """The dialog never blocks: Krita goes on, the answer comes by a signal."""
        dialog = QtWidgets.QFileDialog(self, self.parameter.label, self.value())
        dialog.setObjectName("intarsia_folders")
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.Directory)
        dialog.setOption(QtWidgets.QFileDialog.Option.ShowDirsOnly, True)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._line.setText)
        dialog.open()


def _chip(color: str) -> Any:
    """A small square of a colour; its name stands beside it."""
    picture = QtGui.QPixmap(_CHIP, _CHIP)
    picture.fill(QtGui.QColor(color))
    painter = QtGui.QPainter(picture)
    painter.setPen(QtGui.QColor(0, 0, 0, 140))
    painter.drawRect(0, 0, _CHIP - 1, _CHIP - 1)
    painter.end()
    label = QtWidgets.QLabel()
    label.setPixmap(picture)
    label.setFixedSize(QtCore.QSize(_CHIP, _CHIP))
    return label
