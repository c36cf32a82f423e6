"""Models and classes: what ships while no engine runs, what the engine says when it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from gi.repository import GLib

from intarsia_client import catalog
from intarsia_client.errors import EngineNotRunning, InvalidRequest
from intarsia_gimp import known_models

PACKS = [
    {"id": "fruit", "title": "Fruit", "resolution": 64, "capabilities": ["classes"],
     "labels": ["apple", "lemon"]},
    {"id": "faces", "title": "Faces", "resolution": 256, "capabilities": ["w_plus"], "labels": []},
]  # fmt: skip
LEARNT = {"id": "m1", "title": "street", "family": "sinogan"}
MINE = {"id": "m2", "title": "Mine", "resolution": 32, "capabilities": ["classes"]}
SHIPPED = {"id": "fruit", "title": "Fruit", "resolution": 64, "capabilities": ["classes"]}


class Engine:
    """Answers as the engine does, or not at all."""

    def __init__(self, runs: bool) -> None:
        self.runs, self.asked = runs, []
        self.asked: list[str]

    def client(self, start: bool) -> Any:
        assert not start, "asking for a list must not start the engine"
        if not self.runs:
            raise EngineNotRunning("It does not run.")
        return self

    def models(self) -> list[dict[str, Any]]:
        return [LEARNT, MINE, SHIPPED]

    def labels(self, model: str = "") -> list[str]:
        self.asked.append(model)
        return {"m2": ["cat", "dog"], "": ["apple", "lemon", "plum"]}.get(model, [])


@pytest.fixture(autouse=True)
def packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "packs", lambda: PACKS)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        GLib.iterate()
        time.sleep(0.005)
    assert condition()


def _known(runs: bool) -> tuple[known_models.KnownModels, Engine, list[int]]:
    engine, told = Engine(runs), []
    known = known_models.KnownModels(engine)  # type: ignore[arg-type]
    known.listen(lambda: told.append(1))
    return known, engine, told


def test_with_no_engine_the_packs_of_the_release_are_offered() -> None:
    known, _, told = _known(runs=False)
    known.refresh()
    assert known.choices("") == [("fruit", "Fruit – 64 px"), ("faces", "Faces – 256 px")]
    assert known.choices("classes") == [("fruit", "Fruit – 64 px")]
    assert known.labels("", "classes") == ["apple", "lemon"]
    assert known.labels("faces") == []
    time.sleep(0.1)
    GLib.iterate()
    assert told == []


@pytest.mark.parametrize("title", ["Fruit", "Fruit (64 px)"])
def test_the_size_of_a_model_is_said_once(title: str) -> None:
    assert known_models.title_of({"title": title, "resolution": 64}).count("64 px") == 1


def test_a_running_engine_offers_the_artist_s_own_models_too() -> None:
    known, _, told = _known(runs=True)
    known.refresh()
    _until(lambda: bool(told))
    assert [name for name, _ in known.choices("classes")] == ["m2", "fruit"]
    assert "m1" not in dict(known.choices("")), "a model learnt from one picture is no generator"


def test_classes_are_asked_once_and_told_when_they_come() -> None:
    known, engine, told = _known(runs=True)
    assert known.labels("m2") == []
    assert known.labels("m2") == []
    _until(lambda: bool(told))
    assert known.labels("m2") == ["cat", "dog"] and engine.asked == ["m2"]
    known.labels("")
    _until(lambda: len(told) == 2)
    assert known.labels("") == ["apple", "lemon", "plum"]


def test_a_list_of_packs_that_cannot_be_read_counts_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> Any:
        raise InvalidRequest("The list of models cannot be read.")

    monkeypatch.setattr(catalog, "packs", broken)
    known, _, _ = _known(runs=False)
    assert known.choices("") == [] and known.labels("") == []
