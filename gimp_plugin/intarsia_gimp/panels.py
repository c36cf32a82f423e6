"""Parts that the plug-in's windows share: progress, and a problem with its button."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Callable, Dict

from gi.repository import Gdk, GimpUi, GLib, Gtk, Pango

from intarsia_client import wording
from intarsia_client.endpoint import home
from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Progress
from intarsia_gimp.texts import tr

_STYLE = b"""
progressbar trough, progressbar progress { min-height: 8px; }
infobar box, infobar label { background-color: transparent; }
"""

LEAST_ROOM = 240
"""Pixels of height that settings get on any screen."""

Action = Callable[[Dict[str, Any]], None]


def text_label(text: str = "", *, dim: bool = False, width: int = 40) -> Any:
    """A label that wraps and can be selected."""
    label = Gtk.Label(label=text, xalign=0.0)
    label.set_line_wrap(True)
    label.set_line_wrap_mode(Pango.WrapMode.WORD_CHAR)
    label.set_max_width_chars(width)
    if dim:
        label.get_style_context().add_class("dim-label")
    return label


def name_for_readers(widget: Any, name: str) -> Any:
    """Give a widget an accessible name, and return it."""
    widget.get_accessible().set_name(name)
    return widget


def scrolled(widget: Any, spared: int) -> Any:
    """The widget in a window that scrolls where the screen is too low for it.

    Args:
        widget: What may be tall.
        spared: Pixels of the screen's height that other things need.
    """
    most = max(LEAST_ROOM, Gdk.Screen.get_default().get_height() - spared)
    window = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
    window.set_overlay_scrolling(False)
    window.add(widget)

    def fit(*_: Any) -> None:
        """Grow with what it holds; GTK by itself would let it scroll in the size it began with."""
        wanted = min(most, widget.get_preferred_height()[1])
        if window.get_min_content_height() != wanted:
            GLib.idle_add(window.set_min_content_height, wanted)

    widget.connect("size-allocate", fit)
    return window


def use_style() -> None:
    """Bars that can be read at a glance, and no boxes behind words; once per process is enough."""
    style = Gtk.CssProvider()
    style.load_from_data(_STYLE)
    Gtk.StyleContext.add_provider_for_screen(
        Gdk.Screen.get_default(), style, Gtk.STYLE_PROVIDER_PRIORITY_USER + 1
    )


class ProblemPanel:
    """What went wrong, what to do, and a button that does it."""

    def __init__(self, act: Action) -> None:
        self.widget = Gtk.InfoBar()
        self.widget.set_message_type(Gtk.MessageType.ERROR)
        self.widget.set_no_show_all(True)
        self._sentence = text_label(width=52)
        self._remedy = text_label(width=52)
        for label in (self._sentence, self._remedy):
            label.set_selectable(True)
            label.set_can_focus(False)
            label.show()
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
        box.pack_start(self._sentence, False, False, 0)
        box.pack_start(self._remedy, False, False, 0)
        box.show()
        content = self.widget.get_content_area()
        sign = Gtk.Image.new_from_icon_name(GimpUi.ICON_WILBER_EEK, Gtk.IconSize.LARGE_TOOLBAR)
        name_for_readers(sign, tr("Problem")).show()
        content.pack_start(sign, False, False, 0)
        content.pack_start(box, True, True, 0)
        self._copy = self.widget.add_button(tr("Copy"), Gtk.ResponseType.HELP)
        self._button = self.widget.add_button("", Gtk.ResponseType.APPLY)
        self._action: dict[str, Any] | None = None
        self._act = act
        self.widget.connect("response", self._respond)

    def show(self, error: IntarsiaError) -> None:
        """Show an error; its action becomes the button."""
        sentence, remedy, action = wording.error_text(error)
        self._sentence.set_markup(f"<b>{GLib.markup_escape_text(tr(sentence))}</b>")
        self._remedy.set_text(tr(remedy or ""))
        self._remedy.set_visible(bool(remedy))
        self._action = dict(action) if action else None
        self._button.set_visible(self._action is not None)
        if self._action:
            self._button.set_label(tr(str(self._action.get("label") or "OK")))
        self.widget.show()
        self._copy.show()

    def hide(self) -> None:
        """Nothing is wrong (any more)."""
        self.widget.hide()

    def _respond(self, _bar: Any, response: int) -> None:
        if response == Gtk.ResponseType.HELP:
            text = f"{self._sentence.get_text()} {self._remedy.get_text()}"
            Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).set_text(text.strip(), -1)
        elif self._action:
            self._act(self._action)


class ProgressPanel:
    """A bar, a line of words, and a Pause button for trainings."""

    def __init__(self, pause: Callable[[bool], None]) -> None:
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
        self._bar = name_for_readers(Gtk.ProgressBar(), tr("Progress"))
        self._bar.set_valign(Gtk.Align.CENTER)
        self._pause = Gtk.ToggleButton(label=tr("Pause"))
        self._pause.connect("toggled", self._toggled)
        self._on_pause = pause
        self._line = text_label(width=60)
        row = Gtk.Box(spacing=8)
        row.pack_start(self._bar, True, True, 0)
        row.pack_start(self._pause, False, False, 0)
        self.widget.pack_start(row, False, False, 0)
        self.widget.pack_start(self._line, False, False, 0)
        self.widget.show_all()
        self.widget.set_no_show_all(True)
        self.widget.hide()
        self._pulse = 0

    def start(self, text: str, can_pause: bool) -> None:
        """Show it, with a moving stripe until the first number comes."""
        self._pause.set_visible(can_pause)
        self._pause.set_active(False)
        self._bar.set_fraction(0.0)
        self.say(text)
        self.widget.show()
        if not self._pulse:
            self._pulse = GLib.timeout_add(120, self._move)

    def say(self, text: str) -> None:
        """Show a line of words, without changing the bar."""
        self._line.set_text(text)

    def update(self, progress: Progress) -> None:
        """Show how far the job is."""
        self._still()
        self._bar.set_fraction(progress.fraction)
        self.say(tr(wording.progress_line(progress)))

    def stop(self) -> None:
        """Hide it."""
        self._still()
        self.widget.hide()

    def _toggled(self, button: Any) -> None:
        paused = button.get_active()
        button.set_label(tr("Go on") if paused else tr("Pause"))
        if self.widget.get_visible():
            self._on_pause(paused)

    def _move(self) -> bool:
        self._bar.pulse()
        return True

    def _still(self) -> None:
        if self._pulse:
            GLib.source_remove(self._pulse)
            self._pulse = 0


def show_log() -> None:
    """Open the folder of logs in the desktop's file manager."""
    folder = str(home() / "log")
    if sys.platform == "win32":
        command = ["explorer", folder]
    elif sys.platform == "darwin":
        command = ["open", folder]
    else:
        command = ["xdg-open", folder]
    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
