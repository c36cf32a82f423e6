"""Models and their classes for the dialogs: from the engine while it runs, else what ships."""

from __future__ import annotations

from typing import Any, Callable, Iterable

from intarsia_client import catalog
from intarsia_client.errors import IntarsiaError
from intarsia_gimp.texts import tr
from intarsia_gimp.work import Link, in_background

BEST = ""
"""Instead of a model's id: the best there is."""


class KnownModels:
    """The models there are; asks the engine in the background and tells when it knows more.

    It never starts the engine: without one it knows the packs that ship with the release.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._cards: list[dict[str, Any]] = shipped()
        self._labels: dict[str, list[str]] = {}
        self._asked: set[str] = set()
        self._listeners: list[Callable[[], Any]] = []

    def listen(self, function: Callable[[], Any]) -> None:
        """Call the function whenever there is something new."""
        self._listeners.append(function)

    def refresh(self) -> None:
        """Ask the engine for its models; what it said before of their classes may be old."""
        self._asked.clear()
        in_background(lambda: self._link.client(False).models(), self._have_models, _ignore)

    def choices(self, capability: str) -> list[tuple[str, str]]:
        """(id, title) of every model that can do it, in the engine's order."""
        return [(str(card["id"]), title_of(card)) for card in catalog.able(self._cards, capability)]

    def labels(self, model: str, capability: str = "") -> list[str]:
        """The classes of a model, as far as they are known now.

        Args:
            model: Its id, or `BEST`.
            capability: What the best model must be able to do.
        """
        if model not in self._labels:
            self._ask(model)
        if model in self._labels:
            return self._labels[model]
        cards = catalog.able(self._cards, capability)
        if model:
            cards = [card for card in cards if card["id"] == model]
        return next((list(card["labels"]) for card in cards if card.get("labels")), [])

    def _ask(self, model: str) -> None:
        if model in self._asked:
            return
        self._asked.add(model)
        in_background(
            lambda: self._link.client(False).labels(model),
            lambda labels: self._have_labels(model, labels),
            _ignore,
        )

    def _have_models(self, cards: Iterable[dict[str, Any]]) -> None:
        packs = {card["id"]: card for card in shipped()}
        self._cards = [{**packs.get(card["id"], {}), **card} for card in cards]
        self._tell()

    def _have_labels(self, model: str, labels: Iterable[str]) -> None:
        self._labels[model] = list(labels)
        self._tell()

    def _tell(self) -> None:
        for function in self._listeners:
            function()


def shipped() -> list[dict[str, Any]]:
    """The packs of the release; none where their list cannot be read."""
    try:
        return list(catalog.packs())
    except IntarsiaError:
        return []


def title_of(card: dict[str, Any]) -> str:
    """``"Fruit – 64 px"``; the title alone where a model works at any size, or where it says it."""
    name, size = str(card.get("title") or card.get("id")), card.get("resolution")
    return tr("%s – %s px") % (name, size) if size and f"{size} px" not in name else name


def _ignore(_: IntarsiaError) -> None:
    """No engine, or an older one: what ships is shown."""
