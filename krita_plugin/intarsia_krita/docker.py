"""The docker: what pressing a button in the panel does to the document and to the engine."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any, Mapping

from krita import DockWidget, Krita

from intarsia_client import catalog
from intarsia_client.errors import EngineError, IntarsiaError, InvalidRequest
from intarsia_client.schema import Operation, Result
from intarsia_krita import delivery, recipes, settings
from intarsia_krita.chooser import Chooser
from intarsia_krita.faces import result_pixmap
from intarsia_krita.first_place import take_place
from intarsia_krita.jobs import Event, Jobs, Request
from intarsia_krita.jobs_window import JobsWindow
from intarsia_krita.layer_tree import find_node, node_id
from intarsia_krita.live import Live
from intarsia_krita.panel import Panel
from intarsia_krita.pieces import THUMBNAIL
from intarsia_krita.qt import QtCore
from intarsia_krita.reading import read
from intarsia_krita.session import (
    Outcome,
    Problem,
    Session,
    Work,
    engine_said,
    expected_time,
    job_label,
    live_parameter,
)
from intarsia_krita.situation import active_layer, document_id, document_name, open_document
from intarsia_krita.texts import quoted, tr

_FREQUENT = ("progress", "event", "estimate")
"""Events that change nothing about the document."""
_SETTLE_MS = 350
"""After a change of settings, before the engine is asked how long it would take."""
_ACTIVATED_MS = 150
"""After a layer arrived, until Krita has made it the active one."""
_WINDOW_MS = 300
"""Between two looks whether Krita's window is there."""
_LAYOUT_MS = 1500
"""After Krita's window appeared, until its dockers stand where they stay."""
_LOOK_AGAIN_S = 3.0
"""Least time between two looks at the engine when the pointer enters the panel."""


class Events(QtCore.QObject):
    """Brings what happens in other threads into the window's thread."""

    happened = QtCore.pyqtSignal(object)


class IntarsiaDocker(DockWidget):
    """Krita makes one of these for each of its windows."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Intarsia")
        self._operations = panel_operations()
        self.session = Session()
        self.panel = Panel(self._operations)
        self.chooser = Chooser(self.panel)
        self.setWidget(self.panel)
        self._events = Events()
        self._events.happened.connect(self._happen)
        self.jobs = Jobs(self._events.happened.emit)
        self.live = Live(self.panel, self.chooser, self.session, self.jobs, self.refresh)
        self._window: JobsWindow | None = None
        self._requests: dict[str, tuple[Work, Request]] = {}
        self._again: dict[str, tuple[Work, Request]] = {}
        self._estimate: Mapping[str, Any] | None = None
        self._active = ("", "")
        self._reads = False
        self._knows_models = False
        self._looked = 0.0
        self._settle = QtCore.QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._ask_estimate)
        self._connect()
        remembered = settings.read_settings(Krita.instance())
        self.panel.form.remember(remembered)
        self._shown_before = bool(remembered.get("shown"))
        QtCore.QCoreApplication.instance().aboutToQuit.connect(self._leave)
        self.refresh()
        self.jobs.ask_status()

    def _connect(self) -> None:
        panel = self.panel
        panel.run_pressed.connect(self.run)
        panel.cancel_pressed.connect(self._cancel)
        panel.pause_pressed.connect(self._pause)
        panel.menu_pressed.connect(self._menu)
        panel.form.chosen.connect(self._operation_chosen)
        panel.form.changed.connect(self._setting_changed)
        panel.inputs.changed.connect(self._input_chosen)
        panel.stock.classes_wanted.connect(self.jobs.ask_classes)
        panel.missing.looked.connect(self.jobs.ask_status)
        panel.waiting.pressed.connect(self._show_jobs)
        panel.problem.acted.connect(self._act)
        panel.problem.dismissed.connect(self._dismiss)
        panel.outcomes.kept.connect(self._keep)
        panel.outcomes.discarded.connect(self._discard)
        panel.outcomes.faded.connect(self._fade)
        self.visibilityChanged.connect(self.live.set_shown)

    # --- Krita calls these --------------------------------------------------------------------

    def canvasChanged(self, canvas: Any) -> None:
        """Another view or document, or none."""
        self._document_changed()

    def _document_changed(self) -> None:
        if not self._shown_before:  # Krita hides a docker that it does not know yet
            self._shown_before = True
            QtCore.QTimer.singleShot(0, self._introduce)
        there = [document_id(d) for d in Krita.instance().documents()]
        self.session.forget_closed(there)
        self.panel.inputs.forget_closed(there)
        self._settle.start()
        self.chooser.show_binding(Krita.instance().activeDocument())
        self.refresh()

    def enterEvent(self, event: Any) -> None:
        """The pointer came: the active layer or the selection may be another one by now."""
        super().enterEvent(event)
        self.refresh()
        if time.monotonic() - self._looked > _LOOK_AGAIN_S:
            self._looked = time.monotonic()
            self.jobs.ask_status()

    def _introduce(self) -> None:
        window = Krita.instance().activeWindow()
        if window is None or not window.qwindow().isVisible():  # a picture opens while it starts
            return QtCore.QTimer.singleShot(_WINDOW_MS, self._introduce)
        self.setVisible(True)
        self.raise_()
        self._remember()
        # Krita lays its dockers out once more after its window appeared
        return QtCore.QTimer.singleShot(_LAYOUT_MS, lambda: take_place(self, window))

    def _leave(self) -> None:
        self.live.stop()
        self._remember()
        self.jobs.close()

    def _remember(self) -> None:
        kept = dict(self.panel.form.remembered(), shown=self._shown_before)
        settings.write_settings(Krita.instance(), kept)

    # --- drawing ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """See what the active document has now, and draw that."""
        document = Krita.instance().activeDocument()
        self.chooser.show(document, self._active_id())
        try:
            sentence, missing = self.chooser.look(document).sentence(), self.panel.form.missing()
            self.panel.show_reads(missing or sentence, not missing)
        except InvalidRequest as error:
            self.panel.show_reads(f"{error.what} {error.remedy}", False)
        self._draw()

    def _draw(self) -> None:
        """Draw jobs, results and the engine; cheap enough for ten times a second."""
        document = Krita.instance().activeDocument()
        name = document_name(document) if document is not None else ""
        self.panel.show_expected(expected_time(self.panel.form.operation, self._estimate))
        self.panel.draw(self.session, self._active_id(), name)

    def _operation_chosen(self) -> None:
        self._estimate = None
        self._settle.start()
        self.chooser.show_binding(Krita.instance().activeDocument())
        self.refresh()

    def _input_chosen(self) -> None:
        self._settle.start()
        self.refresh()

    def _setting_changed(self, name: str) -> None:
        self._settle.start()
        kept = self.chooser.keep_binding(Krita.instance().activeDocument(), name)
        if kept or self.panel.form.must_have(name):
            self.refresh()
        self._follow_live(name)

    def _follow_live(self, name: str) -> None:
        """A setting that needs no new run: it moves the newest result between its frames, or fades.

        A result without frames was made with the setting as it was then; all of that is its most.
        """
        outcome, operation = self.panel.outcomes.chosen(), self.panel.form.operation
        parameter = live_parameter(operation)
        if outcome is None or outcome.operation.id != operation.id:
            return
        if parameter is None or parameter.name != name:
            return
        value = self.panel.form.values()[name]
        made_with = outcome.result.recipe.get("parameters", {}).get(name)
        if outcome.frames:
            self.panel.outcomes.set_amount(value)
        elif isinstance(made_with, (int, float)) and made_with > 0:
            self.panel.outcomes.set_amount(value / made_with)

    def _ask_estimate(self) -> None:
        try:
            situation = self.chooser.look(Krita.instance().activeDocument())
        except InvalidRequest:
            return
        operation = self.panel.form.operation
        self.jobs.ask_estimate(operation, self.panel.form.values(), situation.sizes())

    # --- running ------------------------------------------------------------------------------

    def run(self) -> None:
        """Read the document and send the job; the result becomes a layer when it is there."""
        document, form = Krita.instance().activeDocument(), self.panel.form
        operation = form.operation
        if self._reads:  # Krita may handle events while it composes: a second press, for one
            return
        self._reads = True
        try:
            situation, values = self.chooser.look(document), form.values()
            inputs = read(document, situation)
            values = operation.check([i.input for i in inputs], values)
        except IntarsiaError as error:
            return self._complain(error)
        finally:
            self._reads = False
        job = uuid.uuid4().hex
        label = job_label(situation.document_name, operation, situation.title)
        work = Work(
            job,
            operation,
            situation.document,
            situation.document_name,
            situation.active_id,
            situation.mark_ids(),
            situation.reads_active,
        )
        self._send(work, Request(job, operation, inputs, values, form.seed(), label))
        self._remember()

    def _send(self, work: Work, request: Request) -> None:
        self._requests[work.job] = (work, request)
        self._again.pop(work.document, None)
        self.session.begin(work)
        self.jobs.run(request)
        self.refresh()

    def _run_again(self) -> None:
        """The same request where the engine was away (it may have it already), else a new one."""
        unsent = self._again.get(self._active_id())
        if unsent is None:
            return self.run()
        work, request = unsent
        fresh = replace(work, state="connecting", lane="", progress=None, preview=None, hint="")
        self.session.over.discard(work.job)
        return self._send(fresh, request)

    def _cancel(self) -> None:
        work = self._active_work()
        if work is not None and work.state != "stopping":
            work.state = "stopping"
            self.jobs.cancel(work.job)
            self.refresh()

    def _pause(self) -> None:
        work = self._active_work()
        if work is not None:
            (self.jobs.resume if work.state == "paused" else self.jobs.pause)(work.job)

    def _happen(self, event: Event) -> None:
        """Something happened in the engine or on the way to it (in the window's thread)."""
        if event.kind in ("live", "live_failed"):
            return (self.live.show if event.kind == "live" else self.live.fail)(*event.value)
        delivered = True
        if event.kind == "finished" and event.job in self.session.works:
            delivered = self._insert(self.session.works[event.job], event.value)
        self.session.happen(event)
        if not delivered:
            self.session.over.discard(event.job)  # the engine still has it
        if event.kind == "status":
            self.session.engine, self.session.said = event.value, ""
            self._ask_models(event.value.state == "running")
            if self._window is not None:
                self._window.show_jobs(event.value.jobs)
        elif event.kind == "models":
            self.panel.stock.set_models(event.value)
        elif event.kind == "classes":
            self.panel.stock.set_classes(*event.value)
        elif event.kind == "estimate":
            operation, found = event.value
            if operation == self.panel.form.operation.id:
                self._estimate = found
        elif event.kind == "said":
            self.session.said = engine_said(*event.value)
        elif event.kind == "log":
            self._show_log(event.value)
        elif event.kind == "trouble":
            self.session.problems[self._active_id()] = Problem.of(event.value)
        if event.kind in ("finished", "failed", "cancelled"):
            sent = self._requests.pop(event.job, None)
            if sent is not None and isinstance(event.value, EngineError):
                self._again[sent[0].document] = sent
        if event.kind in ("accepted", "finished", "failed", "cancelled"):
            self._knows_models = self._knows_models and event.kind != "finished"
            self.jobs.ask_status()
            self._settle.start()
        return self._draw() if event.kind in _FREQUENT else self.refresh()

    def _ask_models(self, running: bool) -> None:
        """Once for each engine, and after each job: a training makes a model."""
        if running and not self._knows_models:
            self.jobs.ask_models()
            self._settle.start()  # now it can say how long a run takes
        self._knows_models = running

    def _insert(self, work: Work, result: Result) -> bool:
        """Put a result into its document, and let the engine forget it; False if it cannot."""
        document = open_document(work.document)
        if document is None:
            self.session.problems[""] = Problem.without_document(work)
            return False
        active = document.activeNode()
        key = document_id(document)
        self._active = (key, node_id(active) if active else "")
        try:
            outcome, found = delivery.deliver(document, work, result)
        except IntarsiaError as error:
            self.session.problems[key] = Problem.of(error)
            return False
        if result.layers:
            outcome.picture = result_pixmap(result.layers, THUMBNAIL)
        self.session.outcomes.setdefault(key, []).append(outcome)
        if work.read_layer:
            QtCore.QTimer.singleShot(_ACTIVATED_MS, self._restore_active)
        if work.element and not found:
            self.session.said = tr("Its layer is gone; the result is on top.")
        self.jobs.acknowledge(work.job)
        return True

    def _restore_active(self) -> None:
        """Krita makes a new layer the active one; the next run is to read the same element."""
        document = open_document(self._active[0])  # it may be closed by now
        node = find_node(document, self._active[1]) if document is not None else None
        if document is not None and node is not None:
            document.setActiveNode(node)
        self.refresh()

    # --- results ------------------------------------------------------------------------------

    def _keep(self, outcome: Outcome) -> None:
        self.session.outcomes[self._active_id()].remove(outcome)
        self.refresh()

    def _discard(self, outcome: Outcome) -> None:
        delivery.take_back(Krita.instance().activeDocument(), outcome)
        self._keep(outcome)

    def _fade(self, outcome: Outcome, share: float) -> None:
        document = Krita.instance().activeDocument()
        if not outcome.frames:
            return delivery.fade(document, outcome, share)
        delivery.scrub(document, outcome, share)
        parameter = live_parameter(outcome.operation)
        if parameter is not None:
            delivery.note_amount(document, outcome, parameter.name)
            if outcome.operation.id == self.panel.form.operation.id:
                self.panel.form.show_value(parameter.name, share)
        self.panel.outcomes.show_remarks(outcome)
        return None

    # --- problems, engine, jobs ---------------------------------------------------------------

    def _complain(self, error: BaseException) -> None:
        self.session.problems[self._active_id()] = Problem.of(error)
        self.refresh()

    def _dismiss(self) -> None:
        self.session.problems.pop(self._active_id(), None)
        self.session.problems.pop("", None)
        self.refresh()

    def _act(self, action: Mapping[str, Any]) -> None:
        """The button of a problem: it does what it says, then runs again where that makes sense."""
        if isinstance(action.get("set"), dict):
            self.panel.form.set_values(action["set"])
            return self.run()
        what = action.get("do")
        if what == "log":
            return self.jobs.ask_log()
        self._dismiss()
        if what == "start":
            self.jobs.start()
        else:
            if what == "release":
                self.jobs.release()
            self._run_again()

    def _menu(self, name: str) -> None:
        if name == "jobs":
            self._show_jobs()
        elif name == "settings":
            self._take_settings()
        elif name == "log":
            self.jobs.ask_log()
        else:
            {"release": self.jobs.release, "stop": self.jobs.stop}[name]()

    def _take_settings(self) -> None:
        """Show the settings that made the active layer."""
        document = Krita.instance().activeDocument()
        node = document.activeNode() if document is not None else None
        recipe = None
        if document is not None and node is not None:
            recipe = recipes.recipe_of(document, node)
        form = self.panel.form
        if node is None or recipe is None or not form.choose(str(recipe.get("operation"))):
            self.session.said = tr("The active layer was not made by Intarsia.")
            return self.refresh()
        form.set_values(recipe.get("parameters") or {})
        form.set_seed(int(recipe.get("seed") or 0))
        self.session.said = tr("These are the settings of %s.", quoted(node.name()))
        self.refresh()

    def _show_log(self, text: str) -> None:
        key = self._active_id()
        if key not in self.session.problems and "" not in self.session.problems:
            self.session.problems[key] = Problem(tr("This is the end of the engine's log."), "")
        self.refresh()
        self.panel.problem.show_details(text)

    def _show_jobs(self) -> None:
        if self._window is None:
            self._window = JobsWindow(self)
            self._window.inserted.connect(self._attach)
            self._window.cancelled.connect(self._cancel_job)
            self._window.forgotten.connect(self._forget_job)
            self._window.refreshed.connect(self.jobs.ask_status)
        self._window.show_jobs(self.session.engine.jobs)
        self._window.show()
        self._window.raise_()
        self.jobs.ask_status()

    def _attach(self, job: Mapping[str, Any]) -> None:
        """Follow a job of an earlier Krita; its result goes into the open picture."""
        document = Krita.instance().activeDocument()
        if document is None:
            return self._complain(InvalidRequest(tr("No picture is open."), remedy=tr("Open one.")))
        number, operation = str(job["job"]), self._operations.get(str(job.get("operation")))
        if number in self.session.works or operation is None:
            return
        key, name = document_id(document), document_name(document)
        active = active_layer(document)
        element = node_id(active) if active is not None else None
        work = Work(number, operation, key, name, element)
        work.lane = str(job.get("lane") or "")
        self.session.begin(work)
        self.jobs.attach(number)
        self.refresh()

    def _cancel_job(self, job: str) -> None:
        self.jobs.cancel(job)
        self.jobs.ask_status()

    def _forget_job(self, job: str) -> None:
        self.jobs.acknowledge(job)
        self.jobs.ask_status()

    def _active_id(self) -> str:
        document = Krita.instance().activeDocument()
        return document_id(document) if document is not None else ""

    def _active_work(self) -> Work | None:
        return self.session.work_on(self._active_id())


def panel_operations() -> dict[str, Operation]:
    """Every operation of the catalogue: this panel can read whatever one may ask for."""
    return catalog.operations()
