"""Where the inputs come from that do not follow from the active layer: a list for each of them."""

from __future__ import annotations

from typing import Any, Sequence

from intarsia_client.schema import Input, Operation
from intarsia_krita.candidates import (
    Candidate,
    candidates,
    chosen_inputs,
    usual_pick,
)
from intarsia_krita.pieces import WheelGuard, column
from intarsia_krita.qt import Qt, QtCore, QtWidgets

_ROW = 22
_MOST_ROWS = 5
"""Of a list with check marks, before it scrolls."""


class InputsView(QtWidgets.QWidget):
    """One row for each input that the artist chooses; what was chosen is kept for each document."""

    changed = QtCore.pyqtSignal()

    def __init__(self, guard: WheelGuard) -> None:
        super().__init__()
        self._guard = guard
        self._kept: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._rows: dict[str, _Row] = {}
        self._operation = ""
        self._document = ""
        self._layout = column(self)

    def show_inputs(
        self, document: Any | None, document_id: str, operation: Operation, active: Any | None
    ) -> None:
        """Offer what the open document has now.

        Args:
            document: The open picture, or None.
            document_id: Its id; choices are kept by it.
            operation: What would run.
            active: The layer that it is about, or None.
        """
        if self._operation != operation.id:
            self._operation = operation.id
            self._rebuild(operation)
        self._document = document_id
        self.setVisible(document is not None and bool(self._rows))
        if document is None:
            return
        for name, row in self._rows.items():
            offered = candidates(document, row.wanted, active, operation)
            there = {candidate.value for candidate in offered}
            kept = self._kept.get((document_id, operation.id, name))
            picked = tuple(value for value in kept or () if value in there)
            if kept is None or (kept and not picked):
                picked = usual_pick(document, operation, row.wanted, active)
            row.show_candidates(offered, picked)
        self.setVisible(any(not row.isHidden() for row in self._rows.values()))

    def picks(self) -> dict[str, tuple[str, ...]]:
        """What each input is read from."""
        return {name: row.picked() for name, row in self._rows.items()}

    def choose(self, name: str, values: Sequence[str]) -> None:
        """Choose as if by hand."""
        self._rows[name].choose(tuple(values))

    def forget_closed(self, open_documents: Sequence[str]) -> None:
        """Drop what was chosen for documents that were closed."""
        self._kept = {k: v for k, v in self._kept.items() if k[0] in open_documents}

    def _rebuild(self, operation: Operation) -> None:
        for row in self._rows.values():
            row.setParent(None)
            row.deleteLater()
        self._rows = {}
        for wanted in chosen_inputs(operation):
            row = (_CheckRow if wanted.several else _ComboRow)(wanted, self._guard)
            row.changed.connect(lambda name=wanted.name: self._keep(name))
            self._rows[wanted.name] = row
            self._layout.addWidget(row)

    def _keep(self, name: str) -> None:
        self._kept[(self._document, self._operation, name)] = self._rows[name].picked()
        self.changed.emit()


class _Row(QtWidgets.QWidget):
    """An input with its list."""

    changed = QtCore.pyqtSignal()

    def __init__(self, wanted: Input, guard: WheelGuard) -> None:
        super().__init__()
        self.wanted = wanted
        self._offered: list[Candidate] | None = None
        self.setToolTip(wanted.help)
        self._list = self._make()
        self._list.setObjectName("input_" + wanted.name)
        self._list.setAccessibleName(wanted.label)
        self._list.setAccessibleDescription(wanted.help)
        self._list.installEventFilter(guard)
        label = QtWidgets.QLabel(wanted.label.replace("&", "&&"))
        label.setWordWrap(True)
        label.setBuddy(self._list)
        rows = column(self)
        rows.setSpacing(2)
        rows.addWidget(label)
        rows.addWidget(self._list)

    def show_candidates(self, offered: list[Candidate], picked: tuple[str, ...]) -> None:
        """Draw what can be chosen and what is."""
        self.setVisible(self.wanted.required or bool(offered))
        if offered != self._offered:
            self._offered = offered
            self._fill(offered)
        if picked != self.picked():
            self.blockSignals(True)
            self.choose(picked)
            self.blockSignals(False)

    def picked(self) -> tuple[str, ...]:
        """What is chosen."""
        raise NotImplementedError

    def choose(self, values: tuple[str, ...]) -> None:
        """Choose, as if by hand."""
        raise NotImplementedError

    def _make(self) -> Any:
        raise NotImplementedError

    def _fill(self, offered: list[Candidate]) -> None:
        raise NotImplementedError


class _ComboRow(_Row):
    """One of several, or nothing."""

    def picked(self) -> tuple[str, ...]:
        value = self._list.currentData()
        return (str(value),) if value else ()

    def choose(self, values: tuple[str, ...]) -> None:
        self._list.setCurrentIndex(max(0, self._list.findData(values[0] if values else "")))

    def _make(self) -> Any:
        combo = QtWidgets.QComboBox()
        shrink = QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        combo.setSizeAdjustPolicy(shrink)
        combo.setMinimumContentsLength(6)
        combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        combo.currentIndexChanged.connect(lambda index: self.changed.emit())
        return combo

    def _fill(self, offered: list[Candidate]) -> None:
        self._list.blockSignals(True)
        self._list.clear()
        for candidate in offered:
            self._list.addItem(candidate.text, candidate.value)
            self._list.setItemData(
                self._list.count() - 1, candidate.text, Qt.ItemDataRole.ToolTipRole
            )
        self._list.blockSignals(False)


class _CheckRow(_Row):
    """Any number of layers or labels, each with a box to check; the topmost counts as the first."""

    def picked(self) -> tuple[str, ...]:
        return tuple(value for value, box in self._boxes.items() if box.isChecked())

    def choose(self, values: tuple[str, ...]) -> None:
        was = self.blockSignals(True)
        for value, box in self._boxes.items():
            box.setChecked(value in values)
        self.blockSignals(was)
        self.changed.emit()

    def _make(self) -> Any:
        self._boxes: dict[str, Any] = {}
        found = QtWidgets.QScrollArea()
        found.setWidgetResizable(True)
        found.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the boxes in it have it
        found.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return found

    def _fill(self, offered: list[Candidate]) -> None:
        body = QtWidgets.QWidget()
        rows = column(body, 4)
        rows.setSpacing(2)
        self._boxes = {}
        for candidate in offered:
            box = QtWidgets.QCheckBox(candidate.text.replace("&", "&&"))
            box.setToolTip(candidate.text)
            policy = QtWidgets.QSizePolicy.Policy
            box.setSizePolicy(policy.Ignored, policy.Fixed)  # long names are cut, not scrolled to
            box.toggled.connect(lambda checked: self.changed.emit())
            self._boxes[candidate.value] = box
            rows.addWidget(box)
        rows.addStretch(1)
        self._list.setWidget(body)
        shown = min(_MOST_ROWS, max(1, len(offered)))
        self._list.setFixedHeight(shown * (_ROW + 2) + 10)
