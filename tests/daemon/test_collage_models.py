"""Generators of the store: which one is meant, and its classes and layers by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from operation_runs import direct_context
from small_generators import install_small_generator, small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.generator_models import (
    LoadedModel,
    chosen_model,
    chosen_norms,
    find_class,
    loaded_model,
    strengths_of,
)

SYNONYMS = ("tench, Tinca tinca", "goldfish", "great white shark, white shark", "7")


@pytest.fixture(name="model", scope="module")
def _model() -> LoadedModel:
    return LoadedModel("small", "hash", "Small", small_generator(companions=False), "mark")


@pytest.fixture(name="animals")
def _animals(model: LoadedModel) -> Iterator[LoadedModel]:
    generator = small_generator(companions=False)
    generator.labels = SYNONYMS
    yield replace(model, generator=generator)


@pytest.mark.parametrize(
    ("text", "index"),
    [("lemon", 0), ("LEMON ", 0), ("app", 2), ("Plum", 3), ("3", 3), ("0", 0)],
)
def test_a_class_is_found_by_label_beginning_or_number(
    model: LoadedModel, text: str, index: int
) -> None:
    assert find_class(model, text) == index


@pytest.mark.parametrize(
    ("text", "index"),
    [("tinca tinca", 0), ("white shark", 2), ("gold", 1), ("7", 3), ("2", 2), ("Tench", 0)],
)
def test_one_of_a_labels_names_is_enough_and_a_label_beats_a_number(
    animals: LoadedModel, text: str, index: int
) -> None:
    assert find_class(animals, text) == index


@pytest.mark.parametrize("text", ["", "-1", "٣", "4", "99999999999999999999"])
def test_what_is_no_class_is_none(model: LoadedModel, text: str) -> None:
    with pytest.raises(InvalidRequest, match="has no class"):
        find_class(model, text)


def test_a_model_without_names_asks_for_numbers(model: LoadedModel) -> None:
    generator = small_generator(companions=False)
    generator.labels = ()
    unnamed = replace(model, generator=generator)
    assert find_class(unnamed, "2") == 2
    with pytest.raises(InvalidRequest) as caught:
        find_class(unnamed, "lemon")
    assert "a number from 0 to 3" in caught.value.remedy


def test_layers_are_chosen_by_word_or_name(model: LoadedModel) -> None:
    generator = model.generator
    assert chosen_norms(generator, "everything", "") is None
    assert chosen_norms(generator, "layout", "") == ("block2.b1",)
    assert chosen_norms(generator, "texture", " block3.b2 ,") == ("block3.b2",)
    with pytest.raises(InvalidRequest, match="no layer 'l1'") as caught:
        chosen_norms(generator, "everything", "l1")
    assert "block4.b2" in caught.value.remedy


def test_strengths_by_word_are_replaced_by_name(model: LoadedModel) -> None:
    groups = {"layout": 1.0, "shapes": 0.5, "texture": 0.0}
    found = strengths_of(model.generator, groups, "block4 = 0.25")
    assert found == {"l1": 1.0, "block2": 0.5, "block3": 0.0, "block4": 0.25}
    for wrong in ("block2=nan", "block2=1.01", "block2=-0.1", "block2=one", "block2"):
        with pytest.raises(InvalidRequest, match="from 0 to 1"):
            strengths_of(model.generator, groups, wrong)


def test_the_newest_able_model_is_meant_where_none_is_named(tmp_path: Path) -> None:
    context = direct_context(tmp_path)
    with_classes = install_small_generator(tmp_path, companions=False)
    without = install_small_generator(tmp_path, companions=False, classes=False)
    assert chosen_model(context, "") == without
    assert chosen_model(context, "", "classes") == with_classes
    assert chosen_model(context, with_classes) == with_classes


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    context = direct_context(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "weights.safetensors").write_bytes(b"0")
    card = {"family": "single-image", "task": "harmonization", "title": "Sea"}
    other = context.models.add(tmp_path / "weights", card)
    with pytest.raises(InvalidRequest, match="'Sea' is no generator of pictures"):
        chosen_model(context, other)
    with pytest.raises(InvalidRequest, match="No generator model is installed"):
        chosen_model(context, "")


def test_a_damaged_model_is_told_of_and_nothing_is_loaded(tmp_path: Path) -> None:
    from intarsia_client.errors import IntarsiaError

    model = install_small_generator(tmp_path, companions=False)
    weights = tmp_path / "models" / model / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with (
        pytest.raises(IntarsiaError, match="is damaged") as caught,
        loaded_model(direct_context(tmp_path), ""),
    ):
        pass
    assert caught.value.code == "MODEL_LOAD_FAILED"


def test_a_loaded_model_stays_loaded_and_is_pinned_meanwhile(tmp_path: Path) -> None:
    install_small_generator(tmp_path, companions=False)
    context = direct_context(tmp_path)
    with loaded_model(context, "") as one:
        assert context.cache.release() == 0
        with loaded_model(context, "") as again:
            assert again.generator is one.generator
    assert context.cache.release() > 0
