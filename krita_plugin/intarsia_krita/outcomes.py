"""The results of a document: a strip of pictures, how much shows, keep or discard."""

from __future__ import annotations

from typing import Any

from intarsia_krita.pieces import THUMBNAIL, WheelGuard, column, small_label, wrapped_label
from intarsia_krita.qt import Qt, QtCore, QtGui, QtWidgets
from intarsia_krita.session import Outcome
from intarsia_krita.texts import tr


class OutcomesView(QtWidgets.QWidget):
    """The results of this document: a strip of pictures, how much shows, keep or discard."""

    kept = QtCore.pyqtSignal(object)
    discarded = QtCore.pyqtSignal(object)
    faded = QtCore.pyqtSignal(object, float)

    def __init__(self, guard: WheelGuard) -> None:
        super().__init__()
        self._outcomes: list[Outcome] = []
        self._title = wrapped_label("")
        self._strip = QtWidgets.QListWidget()
        self._strip.setObjectName("intarsia_results")
        self._strip.setAccessibleName(tr("Results"))
        self._strip.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self._strip.setMovement(QtWidgets.QListView.Movement.Static)
        self._strip.setFlow(QtWidgets.QListView.Flow.LeftToRight)
        self._strip.setWrapping(False)
        self._strip.setIconSize(QtCore.QSize(THUMBNAIL, THUMBNAIL))
        self._strip.setSpacing(2)
        self._strip.currentRowChanged.connect(lambda row: self._show_chosen())
        self._notes = small_label("")
        self._notes.setObjectName("intarsia_notes")
        self._amount = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._amount.setObjectName("intarsia_amount")
        self._amount.setAccessibleName(tr("Amount"))
        self._amount.setAccessibleDescription(tr("How much of the result shows; no new run."))
        self._amount.setToolTip(self._amount.accessibleDescription())
        self._amount.setRange(0, 100)
        self._amount.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._amount.installEventFilter(guard)
        self._amount.valueChanged.connect(self._fade)
        self._percent = QtWidgets.QLabel()
        self._percent.setFixedWidth(44)
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._keep = QtWidgets.QPushButton(tr("Keep as layer"))
        self._keep.setObjectName("intarsia_keep")
        self._keep.setToolTip(tr("The result is a layer already; this puts the picture here away."))
        self._keep.clicked.connect(lambda: self._say(self.kept))
        self._discard = QtWidgets.QPushButton(tr("Discard"))
        self._discard.setObjectName("intarsia_discard")
        self._discard.setToolTip(tr("Removes the result's layer."))
        self._discard.clicked.connect(lambda: self._say(self.discarded))
        self._build()

    def _build(self) -> None:
        amount = QtWidgets.QHBoxLayout()
        label = QtWidgets.QLabel(tr("Amount"))
        label.setBuddy(self._amount)
        amount.addWidget(label)
        amount.addWidget(self._amount, 1)
        amount.addWidget(self._percent)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self._keep, 3)
        buttons.addWidget(self._discard, 2)
        layout = column(self)
        for item in (self._title, self._strip, self._notes):
            layout.addWidget(item)
        layout.addLayout(amount)
        layout.addLayout(buttons)

    def show_outcomes(self, outcomes: list[Outcome]) -> None:
        """Draw a document's results; the newest is chosen when there is a new one."""
        self.setVisible(bool(outcomes))
        if [o.job for o in outcomes] != [o.job for o in self._outcomes]:
            self._outcomes = list(outcomes)
            self._strip.blockSignals(True)
            self._strip.clear()
            for number, outcome in enumerate(outcomes, 1):
                icon = (
                    QtGui.QIcon(outcome.picture) if outcome.picture is not None else QtGui.QIcon()
                )
                item = QtWidgets.QListWidgetItem(icon, str(number))
                item.setToolTip(outcome.line())
                self._strip.addItem(item)
            heights = [o.picture.height() for o in outcomes if o.picture is not None]
            self._strip.setFixedHeight(max(heights, default=THUMBNAIL) + 34)
            self._strip.setCurrentRow(len(outcomes) - 1)
            self._strip.blockSignals(False)
        self._show_chosen()

    def chosen(self) -> Outcome | None:
        """The result that Keep, Discard and Amount are about."""
        row = self._strip.currentRow()
        return self._outcomes[row] if 0 <= row < len(self._outcomes) else None

    def set_amount(self, share: float) -> None:
        """Move the Amount slider, as if by hand.

        Args:
            share: In [0, 1], or more for all: of the opacity, or of the amount where the result has
                frames for it.
        """
        self._amount.setValue(round(100 * min(1.0, max(0.0, share))))

    def _show_chosen(self) -> None:
        outcome = self.chosen()
        if outcome is None:
            return
        self._title.setText(outcome.line())
        self.show_remarks(outcome)
        self._amount.blockSignals(True)
        self._amount.setValue(round(100 * outcome.shown()))
        self._amount.blockSignals(False)
        self._percent.setText(f"{self._amount.value()} %")

    def show_remarks(self, outcome: Outcome) -> None:
        """Draw what there is to say about the chosen result."""
        if outcome is self.chosen():
            remarks = outcome.remarks()
            self._notes.setText("\n".join(remarks))
            self._notes.setVisible(bool(remarks))

    def _fade(self, percent: int) -> None:
        outcome = self.chosen()
        self._percent.setText(f"{percent} %")
        if outcome is not None:
            self.faded.emit(outcome, percent / 100)

    def _say(self, signal: Any) -> None:
        outcome = self.chosen()
        if outcome is not None:
            signal.emit(outcome)
