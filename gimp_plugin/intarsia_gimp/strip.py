"""A strip of small pictures to choose from: those that are pressed are kept."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from gi.repository import Gtk

from intarsia_gimp import pictures
from intarsia_gimp.panels import name_for_readers

SIDE = 56
IN_A_ROW = 4
HEIGHT = 160
"""Above this it scrolls."""


class Strip:
    """Toggle buttons with pictures; hidden while there is nothing to choose."""

    def __init__(self, picked: Callable[[int, bool], Any]) -> None:
        self._picked = picked
        self._flow = Gtk.FlowBox(selection_mode=Gtk.SelectionMode.NONE, homogeneous=True)
        self._flow.set_min_children_per_line(IN_A_ROW)
        self._flow.set_max_children_per_line(IN_A_ROW)
        self.widget = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
        self.widget.set_propagate_natural_height(True)
        self.widget.set_max_content_height(HEIGHT)
        self.widget.add(self._flow)
        self.widget.set_no_show_all(True)

    def offer(self, choices: Sequence[tuple[int, str, Any]]) -> None:
        """Show them, all pressed: (number, name, `GdkPixbuf.Pixbuf`)."""
        for child in self._flow.get_children():
            self._flow.remove(child)
        for number, name, pixbuf in choices:
            self._flow.add(self._button(number, name, pixbuf))
        self._flow.show_all()
        self.widget.set_visible(bool(choices))

    def _button(self, number: int, name: str, pixbuf: Any) -> Any:
        button = Gtk.ToggleButton(active=True)
        button.add(Gtk.Image.new_from_pixbuf(pictures.fitted(pixbuf, (SIDE, SIDE))))
        button.set_tooltip_text(name)
        name_for_readers(button, name)
        button.connect("toggled", lambda b: self._picked(number, b.get_active()))
        return button
