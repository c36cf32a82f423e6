"""The window *Jobs*: everything the engine is doing or has kept, for this picture and others."""

from __future__ import annotations

from typing import Any, Sequence

from intarsia_client import wording
from intarsia_client.schema import Progress
from intarsia_krita.pieces import column, wrapped_label
from intarsia_krita.qt import QtCore, QtWidgets
from intarsia_krita.texts import tr

_STATES = {
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "finished": "ready to insert",
    "failed": "failed",
    "cancelled": "cancelled",
}


class JobsWindow(QtWidgets.QDialog):
    """A list with Insert, Cancel and Forget; it never blocks the editor."""

    inserted = QtCore.pyqtSignal(object)
    """Bring the result of this job into the open picture, now or when it is done."""
    cancelled = QtCore.pyqtSignal(str)
    forgotten = QtCore.pyqtSignal(str)
    refreshed = QtCore.pyqtSignal()

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.setObjectName("intarsia_jobs_window")
        self.setWindowTitle(tr("Intarsia jobs"))
        self.setModal(False)
        self.resize(440, 280)
        self._jobs: list[dict[str, Any]] = []
        self._list = QtWidgets.QListWidget()
        self._list.setObjectName("intarsia_jobs")
        self._list.setAccessibleName(tr("Jobs"))
        self._list.setWordWrap(True)
        self._list.currentRowChanged.connect(lambda row: self._offer())
        self._empty = wrapped_label(tr("The engine has no jobs."))
        self._insert = self._button(tr("Insert"), "intarsia_jobs_insert")
        self._insert.clicked.connect(lambda: self._tell(self.inserted, whole=True))
        self._cancel = self._button(tr("Cancel job"), "intarsia_jobs_cancel")
        self._cancel.clicked.connect(lambda: self._tell(self.cancelled))
        self._forget = self._button(tr("Forget"), "intarsia_jobs_forget")
        self._forget.clicked.connect(lambda: self._tell(self.forgotten))
        again = self._button(tr("Refresh"), "intarsia_jobs_refresh")
        again.clicked.connect(lambda: self.refreshed.emit())
        row = QtWidgets.QHBoxLayout()
        for button in (self._insert, self._cancel, self._forget):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(again)
        layout = column(self, 10)
        layout.addWidget(self._empty)
        layout.addWidget(self._list, 1)
        layout.addLayout(row)
        self.show_jobs(())

    def show_jobs(self, jobs: Sequence[dict[str, Any]]) -> None:
        """Draw the engine's jobs, the newest first."""
        chosen = self.chosen()
        self._jobs = sorted(jobs, key=lambda job: -float(job.get("submitted") or 0))
        self._list.clear()
        for job in self._jobs:
            self._list.addItem(
                "{}\n{}".format(job.get("label") or job.get("operation"), state_line(job))
            )
        rows = [i for i, job in enumerate(self._jobs) if chosen and job["job"] == chosen["job"]]
        if self._jobs:
            self._list.setCurrentRow(rows[0] if rows else 0)
        self._empty.setVisible(not self._jobs)
        self._offer()

    def chosen(self) -> dict[str, Any] | None:
        """The job that the buttons are about."""
        row = self._list.currentRow()
        return self._jobs[row] if 0 <= row < len(self._jobs) else None

    def _offer(self) -> None:
        job = self.chosen() or {}
        state, forgotten = job.get("state"), bool(job.get("acknowledged"))
        under_way = state in ("queued", "running", "paused")
        self._insert.setEnabled(under_way or (state == "finished" and not forgotten))
        self._insert.setText(tr("Insert when done") if under_way else tr("Insert"))
        self._cancel.setEnabled(under_way)
        self._forget.setEnabled(state in ("finished", "failed", "cancelled") and not forgotten)

    def _tell(self, signal: Any, whole: bool = False) -> None:
        job = self.chosen()
        if job is not None:
            signal.emit(job if whole else job["job"])

    def _button(self, text: str, name: str) -> Any:
        button = QtWidgets.QPushButton(text)
        button.setObjectName(name)
        button.setAutoDefault(False)
        return button


def state_line(job: dict[str, Any]) -> str:
    """A job's state in words, with its progress while it runs."""
    state = str(job.get("state"))
    if state == "finished" and job.get("acknowledged"):
        return tr("done")
    words = tr(_STATES.get(state, state))
    if state == "running" and job.get("total"):
        left = job.get("seconds_left")
        progress = Progress(
            str(job.get("stage") or ""),
            int(job.get("step") or 0),
            int(job["total"]),
            float(left) if isinstance(left, (int, float)) else None,
        )
        return wording.progress_line(progress)
    error = job.get("error")
    what = error.get("what") if isinstance(error, dict) else error
    return f"{words}: {what}" if what else words
