"""The panel's parts: what is running, what went wrong, what to do where the engine is missing.

Each part draws one object of `intarsia_krita.session` and says by signals what was pressed.
"""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import ResultLayer
from intarsia_krita.pieces import (
    THUMBNAIL,
    bold,
    column,
    fold_button,
    framed,
    pixmap,
    small_label,
    wrapped_label,
)
from intarsia_krita.qt import Qt, QtCore, QtGui, QtWidgets
from intarsia_krita.session import Problem, Work
from intarsia_krita.texts import tr

INSTALL_COMMANDS = ("python3 -m pip install intarsia", "intarsia plugins install krita")
_COLORS = {"error": "#c0504d", "hint": "#c79a3a"}


class WorkView(QtWidgets.QWidget):
    """Stage, share done, time left, and a picture of the present state."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = QtWidgets.QProgressBar()
        self._bar.setObjectName("intarsia_progress")
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(8)
        self._bar.setAccessibleName(tr("Progress"))
        self._line = wrapped_label("")
        self._line.setObjectName("intarsia_stage")
        self._preview: ResultLayer | None = None
        self._picture = QtWidgets.QLabel()
        self._picture.setObjectName("intarsia_preview")
        self._picture.setAccessibleName(tr("Picture of the present state"))
        self._words = small_label("")
        self._words.setObjectName("intarsia_hint")
        row = QtWidgets.QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        layout = column(self)
        layout.addWidget(self._bar)
        layout.addWidget(self._line)
        layout.addLayout(row)

    def show_work(self, work: Work | None) -> None:
        """Draw a job, or nothing."""
        self.setVisible(work is not None)
        if work is None:
            self._picture.clear()
            return
        percent = work.percent()
        self._bar.setRange(0, 0 if percent is None else 100)
        self._bar.setValue(percent or 0)
        self._line.setText(work.line())
        if work.preview is not None and work.preview is not self._preview:
            self._preview = work.preview
            self._picture.setPixmap(pixmap(work.preview, THUMBNAIL))
        self._picture.setVisible(work.preview is not None)
        words = work.hint
        if work.lane == "training" and not words:
            words = tr(
                "You can go on painting, or close Krita: what is learnt is kept by the engine."
            )
        self._words.setText(words)
        self._words.setVisible(bool(words))


class ProblemView(QtWidgets.QFrame):
    """A sentence, what to do, a button that does it; details are folded."""

    acted = QtCore.pyqtSignal(object)
    dismissed = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        framed(self, "problem", _COLORS["error"])
        self._problem: Problem | None = None
        self._sentence = wrapped_label("")
        self._sentence.setObjectName("intarsia_problem")
        bold(self._sentence)
        self._remedy = wrapped_label("")
        self._action = QtWidgets.QPushButton()
        self._action.setObjectName("intarsia_action")
        self._action.clicked.connect(self._act)
        self._fold = fold_button(tr("Details"), "intarsia_details_fold")
        self._fold.toggled.connect(self._unfold)
        self._copy_button = QtWidgets.QPushButton(tr("Copy"))
        self._copy_button.setObjectName("intarsia_copy")
        self._copy_button.clicked.connect(self._copy)
        self._copy_button.hide()
        close = QtWidgets.QPushButton(tr("Close"))
        close.setObjectName("intarsia_dismiss")
        close.clicked.connect(lambda: self.dismissed.emit())
        self._details = QtWidgets.QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setFixedHeight(110)
        self._details.setAccessibleName(tr("Details"))
        self._details.hide()
        row = QtWidgets.QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._fold, 1)
        row.addWidget(close)
        layout = column(self, 8)
        for widget in (self._sentence, self._remedy, self._action):
            layout.addWidget(widget)
        layout.addLayout(row)
        layout.addWidget(self._details)
        layout.addWidget(self._copy_button)

    def show_problem(self, problem: Problem | None) -> None:
        """Draw a problem, or nothing."""
        self.setVisible(problem is not None)
        if problem is None or problem is self._problem:
            return
        self._problem = problem
        self._fold.setChecked(False)
        self._sentence.setText("⚠ " + problem.sentence)
        self._remedy.setText(problem.remedy)
        self._remedy.setVisible(bool(problem.remedy))
        self._action.setVisible(problem.action is not None)
        self._action.setText(str((problem.action or {}).get("label") or ""))
        self._details.setPlainText(problem.details)

    def show_details(self, text: str) -> None:
        """Unfold a longer text, such as the engine's log."""
        self._details.setPlainText(text)
        self._fold.setChecked(True)
        end = self._details.verticalScrollBar()
        end.setValue(end.maximum())

    def _act(self) -> None:
        if self._problem is not None and self._problem.action:
            self.acted.emit(self._problem.action)

    def _unfold(self, open_: bool) -> None:
        self._details.setVisible(open_)
        self._copy_button.setVisible(open_)

    def _copy(self) -> None:
        QtWidgets.QApplication.clipboard().setText(self._details.toPlainText())


class MissingView(QtWidgets.QFrame):
    """What to do where the engine is not installed: two commands, each with a Copy button."""

    looked = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        framed(self, "missing", _COLORS["hint"])
        title = wrapped_label(tr("The engine is not installed."))
        title.setObjectName("intarsia_missing")
        bold(title)
        layout = column(self, 8)
        layout.addWidget(title)
        layout.addWidget(
            wrapped_label(
                tr("It does the work, outside Krita. Type in a terminal, one after the other:")
            )
        )
        for number, command in enumerate(INSTALL_COMMANDS, 1):
            layout.addLayout(self._command(number, command))
        layout.addWidget(
            small_label(
                tr("It needs Python 3.10 or newer and a few GB of disk. Nothing is sent away.")
            )
        )
        again = QtWidgets.QPushButton(tr("Look again"))
        again.setObjectName("intarsia_look_again")
        again.clicked.connect(lambda: self.looked.emit())
        layout.addWidget(again)

    def _command(self, number: int, command: str) -> Any:
        field = wrapped_label(command)
        field.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        field.setFont(QtGui.QFontDatabase.systemFont(QtGui.QFontDatabase.SystemFont.FixedFont))
        field.setAccessibleName(tr("Command %d", number))
        copy = QtWidgets.QPushButton(tr("Copy"))
        copy.setAccessibleName(tr("Copy command %d", number))
        copy.clicked.connect(lambda: QtWidgets.QApplication.clipboard().setText(command))
        row = QtWidgets.QHBoxLayout()
        row.addWidget(field, 1)
        row.addWidget(copy)
        return row


class HintView(QtWidgets.QFrame):
    """One sentence with one button."""

    pressed = QtCore.pyqtSignal()

    def __init__(self, button: str) -> None:
        super().__init__()
        framed(self, "hint", _COLORS["hint"])
        self._sentence = wrapped_label("")
        self._sentence.setObjectName("intarsia_waiting")
        self._button = QtWidgets.QPushButton(button)
        self._button.setObjectName("intarsia_show_jobs")
        self._button.clicked.connect(lambda: self.pressed.emit())
        layout = column(self, 8)
        layout.addWidget(self._sentence)
        layout.addWidget(self._button)

    def show_sentence(self, text: str) -> None:
        """Draw a sentence; hidden when empty."""
        self._sentence.setText(text)
        self.setVisible(bool(text))
