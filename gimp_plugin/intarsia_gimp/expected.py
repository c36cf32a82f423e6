"""The line that says how long a run will take, asked from the engine before anything is run."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

from gi.repository import GLib, Gtk

from intarsia_client import wording
from intarsia_client.errors import EngineError, IntarsiaError
from intarsia_client.schema import Operation
from intarsia_gimp.panels import text_label
from intarsia_gimp.texts import tr
from intarsia_gimp.work import Link, in_background

ASK_AFTER_MS = 250
"""Settings may change many times a second while a slider is dragged."""
SHORT_S = 2.0
"""Below this nobody wants to know how long it takes."""

Question = Callable[[], Optional[Tuple[Any, Any]]]
"""Parameters by name and sizes of the inputs, or None while there is nothing to ask."""


class ExpectedTime:
    """A line of words; where no engine runs, with a button that starts it."""

    def __init__(
        self,
        link: Link,
        operation: Operation,
        question: Question,
        *,
        on_error: Callable[[IntarsiaError], Any],
        on_started: Callable[[], Any],
    ) -> None:
        self._link, self._operation = link, operation
        self._question, self._on_error, self._on_started = question, on_error, on_started
        self._timer, self._asked = 0, 0
        self._words = text_label(dim=True, width=44)
        self._start = Gtk.Button(label=tr("Start the engine now"), halign=Gtk.Align.START)
        self._start.set_no_show_all(True)
        self._start.connect("clicked", lambda *_: self._ask(start=True))
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self.widget.pack_start(self._words, False, False, 0)
        self.widget.pack_start(self._start, False, False, 0)

    def ask_soon(self) -> None:
        """Ask in a moment; asking again before that starts the moment anew."""
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(ASK_AFTER_MS, self._ask_now)

    def _ask_now(self) -> bool:
        self._timer = 0
        self._ask(start=False)
        return False

    def _ask(self, start: bool) -> None:
        try:
            question = self._question()
        except IntarsiaError as error:
            self._on_error(error)
            return
        if question is None:
            return
        self._asked += 1
        number, (values, sizes) = self._asked, question
        if start:
            self._start.hide()
            self._words.set_text(tr("Starting the engine…"))
        in_background(
            lambda: self._link.client(start).estimate(self._operation.id, values, sizes),
            lambda answer: self._answer(number, answer, start),
            lambda error: self._no_answer(number, error, start),
        )

    def _is_wanted(self, number: int) -> bool:
        return number == self._asked and self._question() is not None

    def _answer(self, number: int, answer: dict[str, Any], started: bool) -> None:
        if started:
            self._on_started()
        if not self._is_wanted(number):
            return
        seconds, text = answer.get("seconds"), tr(str(answer.get("text") or ""))
        if isinstance(seconds, (int, float)) and seconds >= SHORT_S:
            text = " ".join((tr("Expected time: %s.") % wording.duration(seconds), text)).strip()
        self._words.set_text(text)
        self._start.hide()

    def _no_answer(self, number: int, error: IntarsiaError, asked_for: bool) -> None:
        if not self._is_wanted(number):
            return
        self._words.set_text("")
        if isinstance(error, EngineError):
            self._link.drop()
            self._words.set_text(tr("The engine starts with the first run."))
            self._start.show()
        if asked_for:
            self._on_error(error)
