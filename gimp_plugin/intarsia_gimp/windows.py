"""What the jobs window and the engine window share: one connection, asked once a second."""

from __future__ import annotations

from typing import Any, Callable

from gi.repository import Gdk, GimpUi, GLib, Gtk

from intarsia_client.errors import EngineUnreachable, IntarsiaError
from intarsia_gimp.panels import ProblemPanel, show_log, text_label, use_style
from intarsia_gimp.problems import as_error
from intarsia_gimp.texts import tr
from intarsia_gimp.work import Link, in_background

LOOK_EVERY_MS = 1000
_HIDDEN = Gdk.WindowState.ICONIFIED | Gdk.WindowState.WITHDRAWN


class EngineView:
    """A window of its own, not modal, that shows something of the engine while it is open.

    A subclass fills ``self.body`` and gives `look`, which asks the engine in a thread, and `show`,
    which shows the answer in the main loop.
    """

    title = ""

    def __init__(self) -> None:
        GimpUi.init("intarsia")
        use_style()
        self.link, self._loop = Link(), GLib.MainLoop()
        self._timer, self._asking, self._open = 0, False, True
        self.window = Gtk.Window(title=self.title)
        self.window.set_border_width(12)
        self.window.connect("destroy", lambda *_: self.close())
        self.window.connect("key-press-event", self._key)
        self.problem = ProblemPanel(self.guard(self.repair))
        self.body = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10)
        self.note = text_label(width=60)
        self.buttons = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.END, spacing=8)
        outer = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10)
        outer.pack_start(self.body, True, True, 0)
        outer.pack_start(self.note, False, False, 0)
        outer.pack_start(self.problem.widget, False, False, 0)
        outer.pack_start(self.buttons, False, False, 0)
        self.window.add(outer)

    def run(self) -> None:
        """Show the window until it is closed."""
        self.add_button(tr("Close"), self.window.destroy)
        self.window.show_all()
        self.refresh()
        self._loop.run()

    def close(self) -> None:
        """Stop looking and leave."""
        self._open = False
        self.link.drop()
        self._loop.quit()

    def look(self) -> Any:
        """Ask the engine; runs in a thread. Raises `EngineError` where none runs."""
        raise NotImplementedError

    def show(self, answer: Any) -> None:
        """Show what `look` brought."""
        raise NotImplementedError

    def show_absent(self) -> None:
        """Show that no engine runs."""
        raise NotImplementedError

    def add_button(self, label: str, act: Callable[[], Any]) -> Any:
        """A button at the bottom."""
        button = Gtk.Button(label=label)
        button.connect("clicked", self.guard(lambda *_: act()))
        self.buttons.add(button)
        return button

    def refresh(self) -> None:
        """Look now, and again in a second for as long as the window is there to be seen."""
        if self._asking or not self._open:
            return
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0
        self._asking = True
        in_background(self.look, self.guard(self._answered), self.guard(self._unanswered))

    def ask(
        self, function: Callable[[Any], Any], then: Callable[[Any], Any], *, start: bool = False
    ) -> None:
        """Do one thing with the client in a thread, another with the answer, then look again."""

        def done(value: Any) -> None:
            then(value)
            self.refresh()

        in_background(
            lambda: function(self.link.client(start)),
            self.guard(done),
            self.guard(self.problem.show),
        )

    def start_engine(self) -> None:
        """Start the engine and look at it."""
        self.problem.hide()
        self.note.set_text(tr("Starting the engine…"))
        self.ask(lambda client: client.welcome, lambda _: self.note.set_text(""), start=True)

    def repair(self, action: dict[str, Any]) -> None:
        """Do what a problem's button promises."""
        self.problem.hide()
        if action.get("do") == "log":
            show_log()
        elif action.get("do") == "release":
            self.ask(lambda client: client.release(), lambda _: None)
        else:
            self.start_engine()

    def guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """GTK only prints what its callbacks raise; show it."""

        def call(*args: Any) -> Any:
            if not self._open:
                return None
            try:
                return function(*args)
            except Exception as error:
                self.problem.show(as_error(error))
                return None

        return call

    def _answered(self, answer: Any) -> None:
        self._asking = False
        self.show(answer)
        self._look_later()

    def _unanswered(self, error: IntarsiaError) -> None:
        self._asking = False
        self.link.drop()
        if isinstance(error, EngineUnreachable):
            self.show_absent()
        else:
            self.problem.show(error)
        self._look_later()

    def _look_later(self) -> None:
        self._timer = GLib.timeout_add(LOOK_EVERY_MS, self._look_again)

    def _look_again(self) -> bool:
        self._timer = 0
        window = self.window.get_window()
        if window is not None and not window.get_state() & _HIDDEN:
            self.refresh()
        else:
            self._look_later()
        return False

    def _key(self, _window: Any, event: Any) -> bool:
        if event.keyval == Gdk.KEY_Escape:
            self.window.destroy()
            return True
        return False
