"""What there is to choose from: the models, their classes, and the areas of the open document.

Models and classes come from the engine while it runs; before, those that ship with the release are
known without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from intarsia_client import catalog
from intarsia_client.errors import InvalidRequest
from intarsia_krita.qt import QtCore


@dataclass(frozen=True)
class Model:
    """A model that can be chosen."""

    id: str
    title: str
    family: str = ""
    resolution: int = 0
    capabilities: tuple[str, ...] = ()

    def about(self) -> str:
        """One line more about it."""
        size = f"{self.resolution} px" if self.resolution else ""
        return " · ".join(part for part in (self.family, size, self.id) if part)


class Stock(QtCore.QObject):
    """Tells the controls what there is, and when it changed."""

    models_changed = QtCore.pyqtSignal()
    classes_changed = QtCore.pyqtSignal()
    areas_changed = QtCore.pyqtSignal()
    classes_wanted = QtCore.pyqtSignal(str)
    """The classes of this model are not known yet; empty: of the best there is."""

    def __init__(self) -> None:
        super().__init__()
        packs = _packs()
        self._shipped = packs
        self._installed: list[dict[str, Any]] = []
        self._classes = {str(pack["id"]): _texts(pack.get("labels")) for pack in packs}
        self._asked: set[str] = set()
        self._areas: tuple[tuple[str, str], ...] = ()

    # --- models -------------------------------------------------------------------------------

    def models(self, capability: str = "") -> list[Model]:
        """The models with a capability, or all generators; installed ones come first."""
        known = {_model(card).id for card in self._installed}
        every = self._installed + [pack for pack in self._shipped if pack["id"] not in known]
        return [_model(card) for card in catalog.able(every, capability)]

    def set_models(self, cards: Iterable[Mapping[str, Any]]) -> None:
        """Take in the engine's list of models."""
        found = [dict(card) for card in cards]
        self._asked.clear()  # the engine is there: it may know more by now
        if found != self._installed:
            self._installed = found
            self.models_changed.emit()
        self.classes_changed.emit()

    # --- classes ------------------------------------------------------------------------------

    def classes(self, model: str, capability: str = "") -> tuple[str, ...]:
        """The class labels of a model; empty while they are not known.

        Args:
            model: Its id; empty: the best there is.
            capability: What the best there is must be able to do.
        """
        if model not in self._classes and model not in self._asked:
            self._asked.add(model)
            self.classes_wanted.emit(model)
        if model in self._classes:
            return self._classes[model]
        shipped = catalog.able(self._shipped, capability)
        return self._classes[str(shipped[0]["id"])] if not model and shipped else ()

    def set_classes(self, model: str, labels: Iterable[Any]) -> None:
        """Take in what the engine says about a model."""
        found = _texts(labels)
        if self._classes.get(model) != found:
            self._classes[model] = found
            self.classes_changed.emit()

    # --- areas --------------------------------------------------------------------------------

    @property
    def areas(self) -> tuple[tuple[str, str], ...]:
        """(colour label, names of its layers) of the open document, in the labels' order."""
        return self._areas

    def set_areas(self, areas: Sequence[tuple[str, str]]) -> None:
        """Take in which layers of the open document mark areas."""
        if tuple(areas) != self._areas:
            self._areas = tuple(areas)
            self.areas_changed.emit()


def _packs() -> list[dict[str, Any]]:
    """The models of the release; none where their list cannot be read."""
    try:
        return catalog.packs()
    except InvalidRequest:
        return []


def _model(about: Mapping[str, Any]) -> Model:
    name = str(about.get("id") or about.get("model") or "")
    return Model(
        name,
        str(about.get("title") or name),
        str(about.get("family") or ""),
        int(about.get("resolution") or 0),
        _texts(about.get("capabilities")),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values or ())
