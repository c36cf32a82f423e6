"""Scoring plug-ins: found by the name they were registered under, and checked when called."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import torch
from operation_runs import direct_context
from small_generators import LABELS, install_small_generator, small_generator

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.context import Cancelled
from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.scorers import GROUP, find_scorer, scorer_names
from intarsia_models.projection import guess_class


@pytest.fixture(name="model", scope="module")
def _model() -> LoadedModel:
    return LoadedModel("small", "hash", "Small fruit", small_generator(regressor=True), "mark")


@pytest.fixture(name="installed")
def _installed(monkeypatch: pytest.MonkeyPatch):
    """Registers functions as an installed package would."""

    def install(**functions: object) -> None:
        module = ModuleType("somebodys_scorers")
        for name, function in functions.items():
            setattr(module, name, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        points = [EntryPoint(name, f"{module.__name__}:{name}", GROUP) for name in functions]
        points.append(EntryPoint("broken", "no_such_module_anywhere:smile", GROUP))
        found = importlib.metadata.EntryPoints(points)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)

    return install


def _grey(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, 32, 32)


def test_brightness_is_the_mean_luma(model: LoadedModel) -> None:
    scorer = find_scorer("brightness", model)
    torch.testing.assert_close(scorer(_grey(-1, 0, 1, 7)), torch.tensor([0, 0.5, 1, 1]))
    green = torch.full((1, 3, 4, 4), -1.0)
    green[:, 1] = 1
    assert float(scorer(green)) == pytest.approx(0.7152)


def test_a_class_is_scored_by_the_models_own_reading(model: LoadedModel) -> None:
    generator = model.generator
    y = torch.tensor([0, 1, 2, 3, 1])
    pictures = generator.synthesize(generator.sample_z(5, 3), y)
    scores = torch.stack([find_scorer(f"class:{name}", model)(pictures) for name in LABELS], 1)
    torch.testing.assert_close(scores.sum(1), torch.ones(5))
    assert int((scores.argmax(1) == y).sum()) >= 4
    torch.testing.assert_close(find_scorer("Class: LIME", model)(pictures), scores[:, 1])


def test_without_a_reading_of_classes_each_picture_is_guessed() -> None:
    generator = small_generator()
    model = LoadedModel("small", "hash", "Small fruit", generator, "mark")
    picture = generator.synthesize(generator.sample_z(1, 3), torch.tensor([2]))
    ticks: list[int] = []
    score = find_scorer("class:apple", model, tick=lambda: ticks.append(1))(picture)
    assert float(score) == pytest.approx(dict(guess_class(generator, picture))[2])
    assert ticks


def test_an_installed_package_brings_a_scorer(model: LoadedModel, installed) -> None:
    seen: list[tuple[int, ...]] = []

    def redness(pictures: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(pictures.shape))
        return pictures[:, 0].mean((1, 2))

    installed(redness=redness)
    assert scorer_names(model) == ["brightness", "class:LABEL", "broken", "redness"]
    scores = find_scorer("redness", model)(_grey(*torch.linspace(-1, 1, 40).tolist()))
    torch.testing.assert_close(scores, torch.linspace(-1, 1, 40))
    assert seen == [(32, 3, 32, 32), (8, 3, 32, 32)]


def test_an_unknown_scorer_is_refused_with_those_there_are(model: LoadedModel, installed) -> None:
    installed(redness=lambda pictures: pictures)
    for name in ("smile", "os:system", "somebodys_scorers:redness", "builtins:eval"):
        with pytest.raises(InvalidRequest, match="There is no scorer") as caught:
            find_scorer(name, model)
        assert "brightness, class:LABEL, broken, redness" in caught.value.remedy
    with pytest.raises(InvalidRequest, match="No scorer was named"):
        find_scorer("", model)
    with pytest.raises(InvalidRequest, match="has no class 'pear'"):
        find_scorer("class:pear", model)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda pictures: pictures, "numbers of the shape"),
        (lambda pictures: pictures.mean((1, 2, 3)) / 0, "not numbers"),
        (lambda pictures: 1 / 0, "ZeroDivisionError"),
        (lambda pictures: "many", "new\\(\\)|Type|Value"),
    ],
)
def test_a_scorer_that_fails_says_which_it_is(
    model: LoadedModel, installed, function, told: str
) -> None:
    installed(odd=function)
    with pytest.raises(IntarsiaError, match=f"The scorer 'odd' failed: .*{told}") as caught:
        find_scorer("odd", model)(_grey(0, 0.5))
    assert "another scorer" in caught.value.remedy


def test_a_package_that_cannot_be_loaded_is_named(model: LoadedModel, installed) -> None:
    installed(number=3)
    with pytest.raises(IntarsiaError, match="'broken' cannot be loaded from no_such_module"):
        find_scorer("broken", model)
    with pytest.raises(IntarsiaError, match="'number' of somebodys_scorers:number is no function"):
        find_scorer("number", model)


def test_two_packages_with_one_name_are_told_apart(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [EntryPoint("smile", f"{place}:smile", GROUP) for place in ("one", "two")]
    found = importlib.metadata.EntryPoints(points)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    with pytest.raises(InvalidRequest, match="2 installed packages bring a scorer 'smile'"):
        find_scorer("smile", model)


def test_scoring_can_be_cancelled(model: LoadedModel, tmp_path: Path) -> None:
    install_small_generator(tmp_path)
    context = direct_context(tmp_path)
    context.control.cancel()
    with pytest.raises(Cancelled):
        find_scorer("brightness", model, tick=context.tick)(_grey(0.0))
