"""The jobs window: what the engine is doing, and results that wait to be put into an image."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable

from gi.repository import Gtk

from intarsia_client import catalog, wording
from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Progress, Result
from intarsia_gimp import film, placement
from intarsia_gimp.panels import name_for_readers, text_label
from intarsia_gimp.texts import tr
from intarsia_gimp.windows import EngineView

SIGNS = {
    "queued": "…",
    "running": "▶",
    "paused": "❚❚",
    "finished": "✓",
    "failed": "✕",
    "cancelled": "–",
}

PAUSE, RESUME, CANCEL, INSERT, REMOVE = "pause", "resume", "cancel", "insert", "remove"


def buttons_for(job: dict[str, Any]) -> list[tuple[str, str]]:
    """Which buttons a job has: (what it does, its label)."""
    state = job.get("state")
    if state in ("queued", "running", "paused"):
        buttons = [(CANCEL, tr("Cancel"))]
        if state == "paused":
            return [(RESUME, tr("Go on")), *buttons]
        return [(PAUSE, tr("Pause")), *buttons] if job.get("lane") == "training" else buttons
    if state == "finished":
        return [(INSERT, tr("Insert")), (REMOVE, tr("Discard"))]
    return [(REMOVE, tr("Remove"))]


def listed(jobs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Jobs worth showing, newest first: not those that were cancelled or taken care of."""
    kept = [j for j in jobs if j.get("state") != "cancelled" and not j.get("acknowledged")]
    return sorted(kept, key=lambda job: -float(job.get("submitted") or 0))


def title_of(job: dict[str, Any]) -> str:
    """``"Harmonize “street.xcf”"``, in the artist's words where the operation is known."""
    try:
        title = tr(catalog.operation(str(job.get("operation"))).title)
    except IntarsiaError:
        title = str(job.get("operation"))
    label = str(job.get("label") or "")
    return f"{title} “{label}”" if label and label != title else title


def line_of(job: dict[str, Any], now: float) -> str:
    """What a job is doing, in one line."""
    state = job.get("state")
    if state == "queued":
        return tr("Waiting for its turn")
    if state in ("running", "paused"):
        line = wording.progress_line(_progress(job))
        return tr("Paused – %s") % line if state == "paused" else line
    if state == "failed":
        error = job.get("error") or {}
        return " ".join(str(error.get(k)) for k in ("what", "remedy") if error.get(k)) or tr(
            "Failed"
        )
    words = {"finished": tr("Finished, not yet in an image"), "cancelled": tr("Cancelled")}
    return "{} ({})".format(
        words.get(str(state), str(state)), when(float(job.get("submitted") or now), now)
    )


def when(moment: float, now: float) -> str:
    """A time of day, with the date where it was not today."""
    there, here = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%d %b %H:%M", there)


def _progress(job: dict[str, Any]) -> Progress:
    return Progress(
        str(job.get("stage") or ""),
        int(job.get("step") or 0),
        int(job.get("total") or 0),
        job.get("seconds_left"),
    )


class JobsWindow(EngineView):
    """Lists the engine's jobs, also those of Krita and the command line."""

    def __init__(self, image: Any) -> None:
        self.title = tr("Intarsia: jobs")
        super().__init__()
        self._image = image
        self._rows: dict[str, _Row] = {}
        self._list = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self._empty = text_label(tr("Nothing is under way, and no result is waiting."), dim=True)
        self._empty.set_margin_top(24)
        self._empty.set_margin_bottom(24)
        self._empty.set_halign(Gtk.Align.CENTER)
        self._list.pack_end(self._empty, True, True, 0)
        scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
        scrolled.set_min_content_height(220)
        scrolled.set_shadow_type(Gtk.ShadowType.IN)
        scrolled.add(self._list)
        self.body.pack_start(scrolled, True, True, 0)
        self.window.set_default_size(620, 340)
        self._start = self.add_button(tr("Start the engine"), self.start_engine)
        self._start.set_no_show_all(True)

    def look(self) -> list[dict[str, Any]]:
        """The engine's list of jobs."""
        return self.link.client(False).jobs()

    def show(self, answer: list[dict[str, Any]]) -> None:
        """Bring the rows up to date, newest job first, without rebuilding what stays."""
        self._start.hide()
        self._empty.set_text(tr("Nothing is under way, and no result is waiting."))
        jobs = listed(answer)
        for gone in set(self._rows) - {job["job"] for job in jobs}:
            self._list.remove(self._rows.pop(gone).widget)
        for index, job in enumerate(jobs):
            row = self._rows.get(job["job"])
            if row is None:
                row = self._rows[job["job"]] = _Row(self.guard(self._act))
                self._list.pack_start(row.widget, False, False, 0)
            self._list.reorder_child(row.widget, index)
            row.update(job)
        self._empty.set_visible(not jobs)

    def show_absent(self) -> None:
        """No engine, no list."""
        for row in self._rows.values():
            self._list.remove(row.widget)
        self._rows.clear()
        self._empty.show()
        self._empty.set_text(
            tr("The engine is not running. Work that was under way goes on when it starts.")
        )
        self._start.show()

    def _act(self, job: dict[str, Any], what: str) -> None:
        self.problem.hide()
        name = job["job"]
        if what == INSERT:
            self.note.set_text(tr("Fetching the result…"))
            self.ask(
                lambda client: client.attach(name).wait(acknowledge=False),
                lambda result: self._insert(name, result),
            )
            return
        calls = {
            PAUSE: lambda client: client.pause(name),
            RESUME: lambda client: client.resume(name),
            CANCEL: lambda client: client.cancel(name),
            REMOVE: lambda client: client.acknowledge(name),
        }
        self.ask(calls[what], lambda _: None)

    def _insert(self, name: str, result: Result) -> None:
        width = max(layer.x + layer.width for layer in result.layers)
        height = max(layer.y + layer.height for layer in result.layers)
        place = placement.recall(name, self._image, max(1, width), max(1, height))
        placed = film.keep(place, result)
        placement.forget(place, name)
        self.note.set_text(f"{placed.image.get_name()}: {placed.text}")
        self.ask(lambda client: client.acknowledge(name), lambda _: None)


class _Row:
    """One job: a sign, its title, what it does, a bar while it runs, its buttons."""

    def __init__(self, act: Callable[[dict[str, Any], str], Any]) -> None:
        self._act = act
        self._job: dict[str, Any] = {}
        self._shown: list[tuple[str, str]] = []
        self._sign = Gtk.Label(width_chars=2)
        self._title = text_label()
        self._line = text_label(dim=True, width=48)
        self._bar = Gtk.ProgressBar()
        self._buttons = Gtk.Box(spacing=6, valign=Gtk.Align.CENTER)
        words = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=3)
        for widget in (self._title, self._line, self._bar):
            words.pack_start(widget, False, False, 0)
        box = Gtk.Box(spacing=10, border_width=8)
        box.pack_start(self._sign, False, False, 0)
        box.pack_start(words, True, True, 0)
        box.pack_start(self._buttons, False, False, 0)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self.widget.pack_start(box, False, False, 0)
        self.widget.pack_start(Gtk.Separator(), False, False, 0)
        self.widget.show_all()

    def update(self, job: dict[str, Any]) -> None:
        """Show the job's newest state."""
        self._job = job
        self._sign.set_text(SIGNS.get(str(job.get("state")), "?"))
        self._title.set_text(title_of(job))
        self._line.set_text(line_of(job, time.time()))
        self._bar.set_fraction(_progress(job).fraction)
        self._bar.set_visible(job.get("state") in ("running", "paused"))
        name_for_readers(self.widget, f"{title_of(job)}: {line_of(job, time.time())}")
        wanted = buttons_for(job)
        if wanted != self._shown:
            self._shown = wanted
            for button in self._buttons.get_children():
                self._buttons.remove(button)
            for what, label in wanted:
                self._add(what, label)

    def _add(self, what: str, label: str) -> None:
        button = Gtk.Button(label=label)
        button.connect("clicked", lambda *_: self._act(self._job, what))
        button.show()
        self._buttons.pack_start(button, False, False, 0)
