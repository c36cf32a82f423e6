"""Controls for what GIMP has no widget for: models, classes, folders, layers, areas, tags.

Each one shows an argument of the procedure (always a text) and writes it. They follow the config:
presets, Reset and Last used change it behind their back.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence, Tuple

from gi.repository import GdkPixbuf, Gtk, Pango

from intarsia_gimp.panels import name_for_readers, text_label
from intarsia_gimp.texts import tr

Choices = Sequence[Tuple[str, str]]
"""(text of the argument, what the artist reads)."""

SWATCH_SIDE = 16
LIST_HEIGHT = 110
SHOWN_AT_ONCE = 5
"""Check boxes beyond which a list scrolls."""


class TextArgument:
    """One text argument of a procedure, as the controls see it."""

    def __init__(self, config: Any, name: str) -> None:
        self._config, self._name = config, name

    def get(self) -> str:
        """The text as it is now."""
        return self._config.get_property(self._name) or ""

    def set(self, text: str) -> None:
        """Change it where it differs: every change is told to all who listen."""
        if text != self.get():
            self._config.set_property(self._name, text)

    def follow(self, function: Callable[[], Any]) -> None:
        """Call the function whenever it changed."""
        self._config.connect("notify::" + self._name, lambda *_: function())


def labelled(
    nick: str, widget: Any, hint: str, *, focus: Any = None, top: bool = False
) -> tuple[Any, Any]:
    """A row, the label with its underlined letter and then the control; and that label."""
    label = Gtk.Label(label=nick, xalign=0.0, use_underline=True)
    label.set_mnemonic_widget(focus or widget)
    if top:
        label.set_valign(Gtk.Align.START)
        label.set_margin_top(4)
    row = Gtk.Box(spacing=6)
    row.pack_start(label, False, False, 0)
    row.pack_start(widget, True, True, 0)
    row.set_tooltip_text(hint)
    name_for_readers(focus or widget, nick.replace("_", ""))
    return row, label


class ListControl:
    """A drop-down list of known values."""

    def __init__(self, argument: TextArgument) -> None:
        self._argument, self._filling = argument, False
        self._choices: Choices = ()
        self.widget = Gtk.ComboBoxText()
        for cell in self.widget.get_cells():
            cell.set_property("ellipsize", Pango.EllipsizeMode.MIDDLE)
        self.widget.connect("changed", self._changed)
        self.widget.connect("scroll-event", _let_the_window_scroll)
        argument.follow(self._show)

    def offer(self, choices: Choices, *, keep_unknown: bool) -> None:
        """Fill the list.

        Args:
            choices: What there is; the first one is shown for a text that is none of them.
            keep_unknown: Whether such a text stays, shown as it is, e.g. a model of an engine that
                does not run.
        """
        text = self._argument.get()
        if text not in [value for value, _ in choices]:
            if keep_unknown:
                choices = [*choices, (text, text)]
            else:
                self._argument.set(choices[0][0])
        if list(choices) != list(self._choices):
            self._choices = list(choices)
            self._filling = True
            self.widget.remove_all()
            for value, label in choices:
                self.widget.append(value, label)
            self._filling = False
        self._show()

    def _show(self) -> None:
        text = self._argument.get()
        if self.widget.get_active_id() != text and text in [value for value, _ in self._choices]:
            self.widget.set_active_id(text)

    def _changed(self, *_: Any) -> None:
        chosen = self.widget.get_active_id()
        if not self._filling and chosen is not None:
            self._argument.set(chosen)


class ClassList:
    """A class by its label: a list to open, a field to type in that completes what is typed."""

    def __init__(self, empty: str, changed: Callable[[], Any]) -> None:
        self._empty, self._on_change, self._labels = empty, changed, ()
        self._filling = False
        self.widget = Gtk.ComboBoxText.new_with_entry()
        self.entry = self.widget.get_child()
        self.entry.set_placeholder_text(empty)
        self.entry.set_width_chars(14)
        completion = Gtk.EntryCompletion(model=self.widget.get_model())
        completion.set_text_column(0)
        completion.set_match_func(self._matches)
        self.entry.set_completion(completion)
        self.widget.connect("changed", self._changed)
        self.widget.connect("scroll-event", _let_the_window_scroll)
        self.offer(())

    def offer(self, labels: Sequence[str]) -> None:
        """Fill the list; what is typed stays."""
        if tuple(labels) == self._labels and self.widget.get_model().iter_n_children(None):
            return
        self._labels = tuple(labels)
        text, self._filling = self.get(), True
        self.widget.remove_all()
        for label in (self._empty, *self._labels):
            self.widget.append_text(label)
        self.entry.set_text(text)
        self._filling = False

    def get(self) -> str:
        """What is typed or chosen; empty for the first row."""
        text = self.entry.get_text().strip()
        return "" if text == self._empty else text

    def set(self, text: str) -> None:
        """Show a class."""
        if text != self.get():
            self.entry.set_text(text)

    def _changed(self, *_: Any) -> None:
        if self._filling:
            return
        if self.widget.get_active() == 0:
            self.entry.set_text("")  # the field then shows the same word in gray
            return
        self._on_change()

    def _matches(self, completion: Any, typed: str, row: Any, *_: Any) -> bool:
        label = completion.get_model().get_value(row, 0)
        return label != self._empty and typed.lower() in label.lower()


class ClassControl:
    """One class of a model."""

    def __init__(self, argument: TextArgument, empty: str) -> None:
        """Follow the argument; ``empty`` is what the list calls no class."""
        self._argument = argument
        self._list = ClassList(empty, self._changed)
        self.widget, self.focus = self._list.widget, self._list.entry
        self.offer = self._list.offer
        argument.follow(self._show)
        self._show()

    def _show(self) -> None:
        self._list.set(self._argument.get())

    def _changed(self) -> None:
        self._argument.set(self._list.get())


class BindingControl:
    """A class for each colour tag that the image uses: swatch, the tag's name, the classes."""

    def __init__(
        self,
        argument: TextArgument,
        read: Callable[[str], dict[str, str]],
        write: Callable[[dict[str, str]], str],
    ) -> None:
        self._argument, self._read, self._write = argument, read, write
        self._shown: list[tuple[str, str, str, int]] = []
        self._lists: dict[str, ClassList] = {}
        self._labels: Sequence[str] = ()
        self._none = text_label(
            tr("No other visible layer has a color tag. Right-click a layer ▸ Color Tag."),
            dim=True,
            width=30,
        )
        self._grid = Gtk.Grid(row_spacing=4, column_spacing=6)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self.widget.pack_start(self._none, False, False, 0)
        self.widget.pack_start(self._grid, False, False, 0)
        self._none.set_no_show_all(True)
        argument.follow(self._show)

    def offer(self, labels: Sequence[str]) -> None:
        """The classes there are."""
        self._labels = labels
        for entry in self._lists.values():
            entry.offer(labels)

    def look(self, found: Sequence[tuple[str, str, str, int]]) -> None:
        """Show a row for each: (tag, its name, a hint, its colour as 0xRRGGBBAA)."""
        self._none.set_visible(not found)
        if list(found) == self._shown:
            return
        self._shown = list(found)
        for child in self._grid.get_children():
            self._grid.remove(child)
        self._lists = {}
        for index, (tag, words, hint, colour) in enumerate(found):
            entry = ClassList(tr("Not used"), self._changed)
            entry.offer(self._labels)
            entry.widget.set_hexpand(True)
            name_for_readers(entry.entry, words)
            label = Gtk.Label(label=words, xalign=0.0)
            label.set_tooltip_text(hint)
            for column, widget in enumerate((swatch(colour), label, entry.widget)):
                self._grid.attach(widget, column, index, 1, 1)
            self._lists[tag] = entry
        self._grid.show_all()
        self._show()

    def _show(self) -> None:
        binding = self._read(self._argument.get())
        if binding != self._binding():
            for tag, entry in self._lists.items():
                entry.set(binding.get(tag, ""))

    def _changed(self) -> None:
        self._argument.set(self._write(self._binding()))

    def _binding(self) -> dict[str, str]:
        return {tag: entry.get() for tag, entry in self._lists.items() if entry.get()}


class LayersControl:
    """Several layers to tick."""

    def __init__(self, argument: TextArgument) -> None:
        self._argument, self._filling = argument, False
        self._choices: Choices = ()
        self._boxes: dict[str, Any] = {}
        self._note = text_label(dim=True, width=30)
        self._list = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self._scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
        self._scrolled.set_shadow_type(Gtk.ShadowType.IN)
        self._scrolled.add(self._list)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=2)
        self.widget.pack_start(self._scrolled, False, False, 0)
        self.widget.pack_start(self._note, False, False, 0)
        argument.follow(self._show)

    def offer(self, choices: Choices, note: str) -> None:
        """The layers there are, topmost first, and what happens when none is ticked."""
        self._note.set_text(note)
        kept = [word for word in self._words() if word in [value for value, _ in choices]]
        self._argument.set("\n".join(kept))
        if list(choices) != list(self._choices):
            self._choices = list(choices)
            for child in self._list.get_children():
                self._list.remove(child)
            self._boxes = {value: Gtk.CheckButton(label=label) for value, label in choices}
            for box in self._boxes.values():
                box.get_child().set_ellipsize(Pango.EllipsizeMode.MIDDLE)
                box.connect("toggled", self._changed)
                self._list.pack_start(box, False, False, 0)
            long = len(choices) > SHOWN_AT_ONCE
            never = Gtk.PolicyType.NEVER
            self._scrolled.set_policy(never, Gtk.PolicyType.AUTOMATIC if long else never)
            self._scrolled.set_min_content_height(LIST_HEIGHT if long else -1)
            self._scrolled.set_visible(bool(choices))
            self._list.show_all()
        self._show()

    def _words(self) -> list[str]:
        return self._argument.get().splitlines()

    def _show(self) -> None:
        words, self._filling = self._words(), True
        for value, box in self._boxes.items():
            box.set_active(value in words)
        self._filling = False
        self._note.set_visible(bool(self._note.get_text()) and not words)

    def _changed(self, *_: Any) -> None:
        if not self._filling:
            ticked = [value for value, box in self._boxes.items() if box.get_active()]
            self._argument.set("\n".join(ticked))


class FolderControl:
    """A folder on this computer."""

    def __init__(self, argument: TextArgument, title: str) -> None:
        self._argument = argument
        self.widget = Gtk.FileChooserButton(title=title, action=Gtk.FileChooserAction.SELECT_FOLDER)
        self.widget.connect("file-set", self._chosen)
        argument.follow(self._show)
        self._show()

    def _show(self) -> None:
        folder = self._argument.get()
        if folder and folder != (self.widget.get_filename() or ""):
            self.widget.set_filename(folder)
        elif not folder:
            self.widget.unselect_all()

    def _chosen(self, *_: Any) -> None:
        self._argument.set(self.widget.get_filename() or "")


def swatch(colour: int) -> Any:
    """A square of one colour, 0xRRGGBBAA."""
    square = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, True, 8, SWATCH_SIDE, SWATCH_SIDE)
    square.fill(colour)
    return Gtk.Image.new_from_pixbuf(square)


def _let_the_window_scroll(widget: Any, _event: Any) -> bool:
    """The wheel over a list would change it unseen."""
    widget.stop_emission_by_name("scroll-event")
    return False
