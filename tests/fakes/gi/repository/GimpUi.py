"""GimpUi is drawn by the tests in the real GIMP only; here its names can be looked up."""

from typing import Any

from gi.repository import Gtk


class Labeled(Gtk.Box):
    """GIMP's controls with a label of their own."""

    def get_label(self) -> Any:
        return Gtk.Label()


class ProcedureDialog:
    """Makes GIMP's own controls for a procedure's arguments."""

    new: Any

    def get_scale_entry(self, name: str, factor: float) -> Any:
        return Labeled()

    def get_widget(self, name: str, kind: Any) -> Any:
        return Labeled()


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
