"""The engine window: whether it runs, what it holds, release its memory, stop it."""

from __future__ import annotations

from typing import Any

from intarsia_client.client import Client
from intarsia_client.errors import EngineNotRunning
from intarsia_gimp.jobs import listed
from intarsia_gimp.panels import text_label
from intarsia_gimp.texts import tr
from intarsia_gimp.windows import EngineView
from intarsia_gimp.work import APP

STATUS, RELEASE, STOP = "status", "release", "stop"


def megabytes(count: int) -> str:
    """Bytes for people: ``"84 MB"``, ``"1.2 GB"``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{round(count / 1e6)} MB"


def state_of(client: Any) -> dict[str, Any]:
    """Everything the window shows, asked at once."""
    return {"welcome": client.welcome, "jobs": client.jobs(), "models": client.models()}


def lines_of(state: dict[str, Any]) -> list[str]:
    """The engine's state in sentences."""
    welcome, jobs, models = state["welcome"], state["jobs"], state["models"]
    running = sum(job.get("state") == "running" for job in jobs)
    waiting = sum(job.get("state") in ("queued", "paused") for job in jobs)
    ready = sum(job.get("state") == "finished" for job in listed(jobs))
    own = [model for model in models if not model.get("shipped")]
    size = megabytes(sum(int(model.get("bytes") or 0) for model in own))
    return [
        tr("The engine is running: version %s, computing on %s.")
        % (welcome.get("version"), welcome.get("device")),
        tr("Jobs: %d running, %d waiting, %d finished and not yet in an image.")
        % (running, waiting, ready),
        tr("Models: %d of your own, %s on disk, and %d that came with Intarsia.")
        % (len(own), size, len(models) - len(own)),
    ]


def act(action: str) -> str:
    """Do one thing without a window, and say what happened.

    Args:
        action: ``status``, ``release`` or ``stop``.
    """
    try:
        client = Client.connect(app=APP, start=False)
    except EngineNotRunning:
        return tr("The engine is not running.")
    with client:
        if action == RELEASE:
            return tr("Released %s.") % megabytes(client.release())
        if action == STOP:
            client.shutdown()
            return tr("The engine stops when its work is done.")
        return "\n".join(lines_of(state_of(client)))


class EngineWindow(EngineView):
    """Shows the engine's state while it is open."""

    def __init__(self) -> None:
        self.title = tr("Intarsia: engine")
        super().__init__()
        self._text = text_label(width=64)
        self.body.pack_start(self._text, True, True, 0)
        self.window.set_default_size(460, 180)
        self._start = self.add_button(tr("Start"), self.start_engine)
        self._release = self.add_button(tr("Release memory"), self._release_memory)
        self._stop = self.add_button(tr("Stop"), self._stop_engine)
        for button in (self._start, self._release, self._stop):
            button.set_no_show_all(True)

    def look(self) -> dict[str, Any]:
        """The engine's state."""
        return state_of(self.link.client(False))

    def show(self, answer: dict[str, Any]) -> None:
        """Show it in sentences."""
        self._text.set_text("\n\n".join(lines_of(answer)))
        self._start.hide()
        self._release.show()
        self._stop.show()

    def show_absent(self) -> None:
        """No engine."""
        self._text.set_text(
            tr("The engine is not running. It starts by itself with the first edit.")
        )
        self._start.show()
        self._release.hide()
        self._stop.hide()

    def _release_memory(self) -> None:
        self.ask(
            lambda client: client.release(),
            lambda freed: self.note.set_text(tr("Released %s.") % megabytes(freed)),
        )

    def _stop_engine(self) -> None:
        self.ask(
            lambda client: client.shutdown(),
            lambda _: self.note.set_text(tr("The engine stops when its work is done.")),
        )
