"""A list of classes with a search field: BigGAN alone has a thousand."""

from __future__ import annotations

from typing import Any, Sequence

from intarsia_krita.qt import Qt, QtCore, QtWidgets
from intarsia_krita.texts import tr

_ROWS = 14
_LETTERS = 6
"""The width a list asks for at least; it takes what there is."""


class ClassList(QtWidgets.QComboBox):
    """A drop-down list in which typing any part of a name finds it."""

    picked = QtCore.pyqtSignal()
    """Another class, by hand or by `set_value`."""

    def __init__(self, nothing: str) -> None:
        """
        Args:
            nothing: What the first entry is called, whose value is empty.
        """
        super().__init__()
        self._nothing = nothing
        self._labels: tuple[str, ...] = ()
        self._value = ""
        self.setEditable(True)
        self.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self.setMaxVisibleItems(_ROWS)
        shrink = QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.setSizeAdjustPolicy(shrink)
        self.setMinimumContentsLength(_LETTERS)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Fixed)
        completer = self.completer()
        completer.setCompletionMode(QtWidgets.QCompleter.CompletionMode.PopupCompletion)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.activated.connect(lambda index: self._take(self.itemData(index)))
        self.lineEdit().editingFinished.connect(self._typed)
        self.show_classes(())

    def value(self) -> str:
        """The chosen class; empty for the first entry."""
        if self.lineEdit().isModified():  # typed, and the field was not left yet
            self._typed()
        return self._value

    def set_value(self, value: str) -> None:
        """Show a class, also one that is not (yet) in the list."""
        self._take(value)

    def show_classes(self, labels: Sequence[str]) -> None:
        """Offer other classes; the chosen one stays."""
        self._labels = tuple(labels)
        was = self.blockSignals(True)
        self.clear()
        self.addItem(self._nothing, "")
        for label in labels:
            self.addItem(label, label)
        self.blockSignals(was)
        self._draw()

    def _typed(self) -> None:
        """Return was pressed, or the field was left: take what it says, if it is a class."""
        text = self.lineEdit().text().strip()
        by_text = {label.lower(): label for label in self._labels}
        if not text or text == self._nothing:
            self._take("")
        elif text.lower() in by_text:
            self._take(by_text[text.lower()])
        elif text.isdigit() or not self._labels:  # a class's number, or nobody knows the labels
            self._take(text)
        else:
            parts = [label for label in self._labels if text.lower() in label.lower()]
            self._take(parts[0] if len(parts) == 1 else self._value)

    def _take(self, value: Any) -> None:
        changed, self._value = str(value or "") != self._value, str(value or "")
        self._draw()
        if changed:
            self.picked.emit()

    def _draw(self) -> None:
        index = self.findData(self._value)
        was = self.blockSignals(True)
        self.setCurrentIndex(index)
        self.setEditText(self.itemText(index) if index >= 0 else self._value)
        self.blockSignals(was)
        self.lineEdit().setCursorPosition(0)
        strange = bool(self._labels) and index < 0 and not self._value.isdigit()
        hint = tr("The model does not know “%s”.", self._value) if strange else self.currentText()
        self.lineEdit().setToolTip(hint)
