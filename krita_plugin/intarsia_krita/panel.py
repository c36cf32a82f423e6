"""The panel's layout: 240 pixels wide or more, top to bottom, without a horizontal scroll bar.

It draws a `Session` and says what was pressed; what that means for the document is the docker's.
"""

from __future__ import annotations

import time
from typing import Any, Mapping

from intarsia_client.schema import Operation
from intarsia_krita.form import Form
from intarsia_krita.inputs_view import InputsView
from intarsia_krita.live_view import LiveView
from intarsia_krita.outcomes import OutcomesView
from intarsia_krita.pieces import WheelGuard, bold, column, small_label
from intarsia_krita.qt import QAction, QShortcut, Qt, QtCore, QtGui, QtWidgets
from intarsia_krita.session import Session
from intarsia_krita.stock import Stock
from intarsia_krita.texts import tr
from intarsia_krita.views import HintView, MissingView, ProblemView, WorkView

WIDTH = 240
_LOW = 420
"""Height below which the lines around the button are kept short."""
_FOLLOW_S = 2.0
"""How long the panel keeps to what is new while its parts still grow."""
_DOTS = {"running": "#4a9c5d", "off": "#8a8a8a", "missing": "#c79a3a", "trouble": "#c0504d"}


class Panel(QtWidgets.QWidget):
    """Everything between the docker's title and its lower edge."""

    run_pressed = QtCore.pyqtSignal()
    cancel_pressed = QtCore.pyqtSignal()
    pause_pressed = QtCore.pyqtSignal()
    menu_pressed = QtCore.pyqtSignal(str)
    """``jobs``, ``settings``, ``release``, ``stop`` or ``log``."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        super().__init__()
        self.setObjectName("intarsia_panel")
        self.guard = WheelGuard(self)
        self.stock = Stock()
        self.form = Form(operations, self.guard, self.stock)
        self.inputs = InputsView(self.guard)
        self.live = LiveView()
        self.missing = MissingView()
        self.work = WorkView()
        self.problem = ProblemView()
        self.waiting = HintView(tr("Show jobs"))
        self.outcomes = OutcomesView(self.guard)
        self._reads = small_label("")
        self._reads.setObjectName("intarsia_reads")
        self._expectation = ""
        self._expected = small_label("")
        self._expected.setObjectName("intarsia_expected")
        self._run = QtWidgets.QPushButton()
        self._run.setObjectName("intarsia_run")
        self._run.setMinimumHeight(32)
        self._run.setMinimumWidth(80)  # else a large font widens the whole panel
        bold(self._run)
        self._run.clicked.connect(self._press)
        self._pause = QtWidgets.QPushButton(tr("Pause"))
        self._pause.setObjectName("intarsia_pause")
        self._pause.setMinimumHeight(32)
        self._pause.clicked.connect(lambda: self.pause_pressed.emit())
        self._runs = False
        self._is_busy = False
        self._news: tuple[Any, ...] = (None, None, None)
        self._to_show: Any = self.work
        self._scroll_soon = QtCore.QTimer(self)  # once the layout has its new heights
        self._scroll_soon.setSingleShot(True)
        self._scroll_soon.setInterval(50)
        self._scroll_soon.timeout.connect(self._scroll_to_news)
        self._follow_until = 0.0
        self.live.appeared.connect(lambda: self._follow(self.live))
        self._build()
        self._make_shortcuts()

    def _build(self) -> None:
        inside = QtWidgets.QWidget()
        layout = column(inside, 8)
        layout.setSpacing(8)
        for widget in (self.missing, self.form, _line(), self.inputs, self.live):
            layout.addWidget(widget)
        for widget in (self.work, self.problem, self.waiting, self.outcomes):
            layout.addWidget(widget)
        layout.addStretch(1)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        scroll.setMinimumWidth(WIDTH)
        scroll.verticalScrollBar().rangeChanged.connect(lambda low, high: self._follow_news())
        self._scroll = scroll
        rows = column(self)
        rows.setSpacing(0)
        rows.addWidget(scroll, 1)
        rows.addWidget(_line())
        rows.addWidget(self._run_rows())
        rows.addWidget(_line())
        rows.addWidget(self._engine_row())
        self.inside = inside

    def _run_rows(self) -> Any:
        """What is read, the button, how long it takes: in sight however low the docker is."""
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self._pause, 1)
        buttons.addWidget(self._run, 2)
        found = QtWidgets.QWidget()
        layout = column(found, 6)
        layout.setSpacing(4)
        layout.addWidget(self._reads)
        layout.addLayout(buttons)
        layout.addWidget(self._expected)
        return found

    def _engine_row(self) -> Any:
        self._dot = QtWidgets.QLabel("●")
        self._engine = small_label("")
        self._engine.setObjectName("intarsia_engine")
        self._menu = QtWidgets.QToolButton()
        self._menu.setObjectName("intarsia_menu")
        self._menu.setText(tr("More"))
        self._menu.setAutoRaise(True)
        self._menu.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu.setAccessibleName(tr("Engine and jobs"))
        menu = QtWidgets.QMenu(self._menu)
        self.actions_by_name = {}
        for name, text in (
            ("jobs", tr("Jobs…")),
            ("settings", tr("Take the settings of this layer")),
            ("", ""),
            ("release", tr("Release memory")),
            ("stop", tr("Stop the engine")),
            ("log", tr("Show the log")),
        ):
            if not name:
                menu.addSeparator()
                continue
            action = QAction(text, menu)
            action.setObjectName("intarsia_do_" + name)
            action.triggered.connect(lambda checked=False, name=name: self.menu_pressed.emit(name))
            menu.addAction(action)
            self.actions_by_name[name] = action
        self._menu.setMenu(menu)
        row = QtWidgets.QWidget()
        layout = QtWidgets.QHBoxLayout(row)
        layout.setContentsMargins(8, 3, 4, 3)
        layout.addWidget(self._dot)
        layout.addWidget(self._engine, 1)
        layout.addWidget(self._menu)
        return row

    def sizeHint(self) -> Any:
        return QtCore.QSize(260, 560)

    def _make_shortcuts(self) -> None:
        for keys, act in (
            ("Ctrl+Return", self.run_pressed),
            ("Ctrl+Enter", self.run_pressed),
            ("Escape", self.cancel_pressed),
        ):
            shortcut = QShortcut(QtGui.QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda act=act: self._by_key(act))

    # --- drawing ------------------------------------------------------------------------------

    def draw(self, session: Session, document: str, document_name: str) -> None:
        """Draw what the session knows about a document."""
        work = session.work_on(document)
        self._is_busy = work is not None
        missing = session.engine.state == "missing" and work is None
        self.missing.setVisible(missing)
        for widget in (self.form, self._reads, self._expected):
            widget.setVisible(not missing)
        if missing:
            self.inputs.hide()
        self.live.setVisible(not missing and self.form.operation.live)
        self._expected.setVisible(not missing and work is None)
        self._run.setVisible(not missing)
        self._draw_run(work)
        self.work.show_work(work)
        problem = session.problems.get(document) or session.problems.get("")
        self.problem.show_problem(problem)
        self.waiting.show_sentence(_waiting_text(session, document_name) if document else "")
        self.outcomes.show_outcomes(session.outcomes.get(document, []))
        state, line = session.engine_line()
        self._dot.setStyleSheet(f"color: {_DOTS[state]}")
        self._engine.setText(line)
        self._show_news(work, problem, self.outcomes.chosen())
        for name in ("release", "stop", "jobs"):
            self.actions_by_name[name].setEnabled(state == "running")

    def _show_news(self, work: Any, problem: Any, outcome: Any) -> None:
        """Scroll to what is new: the job that began, the problem, the result."""
        news = tuple(None if item is None else id(item) for item in (work, problem, outcome))
        views = (self.work, self.problem, self.outcomes)
        fresh = [
            v for v, new, old in zip(views, news, self._news) if new is not None and new != old
        ]
        self._news = news
        if fresh:
            self._follow(fresh[-1])

    def _follow(self, view: Any) -> None:
        """Keep a part of the panel in sight while it gets its size."""
        self._to_show = view
        self._follow_until = time.monotonic() + _FOLLOW_S
        self._scroll_soon.start()

    def _follow_news(self) -> None:
        """Sentences that wrap get their heights only after the first drawing."""
        if time.monotonic() < self._follow_until:
            self._scroll_soon.start()

    def _scroll_to_news(self) -> None:
        """Where it does not fit: a result's buttons, but the first lines of everything else."""
        view, room = self._to_show, self._scroll.viewport().height()
        if view.height() + 16 <= room:
            return self._scroll.ensureWidgetVisible(view, 0, 8)
        top = view.mapTo(self.inside, QtCore.QPoint(0, 0)).y()
        ends = top + view.height() + 8 - room
        return self._scroll.verticalScrollBar().setValue(ends if view is self.outcomes else top - 8)

    def show_reads(self, text: str, able: bool) -> None:
        """The line that says what a run would read, or why it cannot."""
        self._reads.setText(tr("Reads: %s", text) if able else text)
        self._runs = able
        self._enable_run()

    def show_expected(self, text: str) -> None:
        """The line that says how long a run will take; a low panel shows its first sentence."""
        self._expectation = text
        self._draw_expected()

    def resizeEvent(self, event: Any) -> None:
        """The panel got another height."""
        super().resizeEvent(event)
        self._draw_expected()

    def _draw_expected(self) -> None:
        text = self._expectation
        if self.height() < _LOW:
            text = text.partition(". ")[0].rstrip(".") + "." if text else ""
        self._expected.setText(text)
        self._expected.setToolTip(self._expectation)

    def _draw_run(self, work: Any) -> None:
        if work is None:
            takes, operation = self.live.is_on(), self.form.operation
            self._run.setText(tr("Take this") if takes else operation.verb.replace("&", "&&"))
            about = (
                tr("Makes the layer, as large as the picture is") if takes else operation.summary
            )
            self._run.setToolTip(tr("%s (Ctrl+Return in this panel)", about))
        else:
            self._run.setText(tr("Stopping …") if work.state == "stopping" else tr("Cancel"))
            self._run.setToolTip(
                tr("Stops the job; the picture stays as it is (Esc in this panel)")
            )
        self._run.setAccessibleName(self._run.text())
        self._enable_run()
        self._pause.setVisible(work is not None and work.may_pause)
        paused = work is not None and work.state == "paused"
        self._pause.setText(tr("Go on") if paused else tr("Pause"))

    def _enable_run(self) -> None:
        stopping = self._run.text() == tr("Stopping …")
        self._run.setEnabled(not stopping if self._is_busy else self._runs)

    def _press(self) -> None:
        (self.cancel_pressed if self._is_busy else self.run_pressed).emit()

    def _by_key(self, act: Any) -> None:
        wanted = self.cancel_pressed if self._is_busy else self.run_pressed
        if (act is wanted and self._run.isEnabled()) or (
            act is self.cancel_pressed and self._is_busy
        ):
            act.emit()


def _waiting_text(session: Session, document_name: str) -> str:
    """That jobs of this picture, sent by an earlier Krita, are in the engine."""
    jobs = session.waiting(document_name)
    if not jobs:
        return ""
    done = sum(job.get("state") == "finished" for job in jobs)
    if done == len(jobs):
        return (
            tr("A result for this picture is waiting in the engine.")
            if done == 1
            else tr("%d results for this picture are waiting in the engine.", done)
        )
    return tr("The engine is still working for this picture.")


def _line() -> Any:
    line = QtWidgets.QWidget()
    line.setFixedHeight(1)
    line.setStyleSheet("background: rgba(128, 128, 128, 110)")
    return line
