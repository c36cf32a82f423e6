"""The few widgets that `intarsia_gimp.controls` is made of, without a screen.

They keep values and tell of changes as GTK 3 does: filling a list clears what was active, typing
into a list's field makes no row active, choosing a row writes into the field. Every other name can
be looked up and does nothing; those are drawn by the tests in the real GIMP only.
"""

from __future__ import annotations

from typing import Any, Callable

from gi.repository import GObject


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything()


class _Anything:
    def __getattr__(self, name: str) -> Any:
        return _Anything()

    def __or__(self, other: Any) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _Anything()


class Widget(GObject.Object):
    """Its properties are whatever it was made with; unknown methods do nothing."""

    def __init__(self, **properties: Any) -> None:
        super().__init__()
        self.properties = {"visible": True, "sensitive": True, **properties}

    def set_visible(self, visible: bool) -> None:
        self.properties["visible"] = bool(visible)

    def get_visible(self) -> bool:
        return self.properties["visible"]

    def set_sensitive(self, sensitive: bool) -> None:
        self.properties["sensitive"] = bool(sensitive)

    def set_text(self, text: str) -> None:
        self.properties["label"] = text

    def get_text(self) -> str:
        return self.properties.get("label", "")

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("set_", "get_", "show", "hide")):
            return lambda *args: _Anything()
        raise AttributeError(name)


class Container(Widget):
    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.children: list[Any] = []

    def get_children(self) -> list[Any]:
        return list(self.children)

    def add(self, child: Any) -> None:
        self.children.append(child)

    def pack_start(self, child: Any, expand: bool, fill: bool, padding: int) -> None:
        self.children.append(child)

    def attach(self, child: Any, left: int, top: int, width: int, height: int) -> None:
        self.children.append(child)

    def remove(self, child: Any) -> None:
        self.children.remove(child)


class Box(Container):
    pass


class Grid(Container):
    pass


class ScrolledWindow(Container):
    pass


class FlowBox(Container):
    pass


class ToggleButton(Container):
    def __init__(self, active: bool = False, **properties: Any) -> None:
        super().__init__(**properties)
        self.active = active

    def get_active(self) -> bool:
        return self.active

    def set_active(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self.emit("toggled")


class Label(Widget):
    pass


class Scale(Widget):
    pass


class Image(Widget):
    new_from_icon_name: Any

    @classmethod
    def new_from_pixbuf(cls, pixbuf: Any) -> Image:
        return cls(pixbuf=pixbuf)


class CheckButton(Widget):
    def __init__(self, label: str = "", use_underline: bool = False) -> None:
        super().__init__(label=label)
        self.active = False

    def get_child(self) -> Any:
        return Label(label=self.properties["label"])

    def get_active(self) -> bool:
        return self.active

    def set_active(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self.emit("toggled")


class Entry(Widget):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.completion: Any = None

    def get_text(self) -> str:
        return self.text

    def set_text(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self.emit("changed")

    def set_completion(self, completion: Any) -> None:
        self.completion = completion


class EntryCompletion(Widget):
    match: Callable[..., bool]

    def get_model(self) -> Any:
        return self.properties["model"]

    def set_match_func(self, function: Callable[..., bool]) -> None:
        self.match = function

    def offered(self, typed: str) -> list[str]:
        """What pops up below the field."""
        rows = range(len(self.get_model().rows))
        return [self.get_model().rows[i][1] for i in rows if self.match(self, typed, i)]


class _Rows:
    def __init__(self) -> None:
        self.rows: list[tuple[str | None, str]] = []

    def get_value(self, row: int, column: int) -> str:
        return self.rows[row][1]

    def iter_n_children(self, parent: None) -> int:
        return len(self.rows)


class ComboBoxText(Widget):
    def __init__(self, entry: bool = False) -> None:
        super().__init__()
        self.model, self.active = _Rows(), -1
        self.entry = Entry() if entry else None
        self._choosing = False
        if self.entry is not None:
            self.entry.connect("changed", self._typed)

    @classmethod
    def new_with_entry(cls) -> ComboBoxText:
        return cls(entry=True)

    def get_child(self) -> Any:
        return self.entry

    def get_cells(self) -> list[Any]:
        return [Widget()]

    def get_model(self) -> _Rows:
        return self.model

    def append(self, value: str | None, text: str) -> None:
        self.model.rows.append((value, text))

    def append_text(self, text: str) -> None:
        self.append(None, text)

    def remove_all(self) -> None:
        self.model.rows.clear()
        self._activate(-1)

    def get_active(self) -> int:
        return self.active

    def get_active_id(self) -> str | None:
        return self.model.rows[self.active][0] if self.active >= 0 else None

    def set_active_id(self, value: str) -> bool:
        for index, row in enumerate(self.model.rows):
            if row[0] == value:
                self._activate(index)
                return True
        return False

    def choose(self, index: int) -> None:
        """What a click on a row does."""
        self._activate(index)

    def texts(self) -> list[str]:
        """What the list shows."""
        return [text for _, text in self.model.rows]

    def _activate(self, index: int) -> None:
        if index == self.active:
            return
        self.active = index
        if self.entry is not None and index >= 0:
            self._choosing = True
            self.entry.set_text(self.model.rows[index][1])
            self._choosing = False
        self.emit("changed")

    def _typed(self, *_: Any) -> None:
        if not self._choosing:
            self.active = -1
            self.emit("changed")


class FileChooserButton(Widget):
    filename: str | None = None

    def get_filename(self) -> str | None:
        return self.filename

    def set_filename(self, name: str) -> None:
        self.filename = name

    def unselect_all(self) -> None:
        self.filename = None

    def choose(self, name: str) -> None:
        """What a person does in the file dialog."""
        self.filename = name
        self.emit("file-set")
