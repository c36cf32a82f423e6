"""Regressors adapted to a picture: found by pixels, bounded, and never trusted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from operation_runs import direct_context, painting
from safetensors.torch import load_file, save_file
from small_generators import install_small_generator

from intarsia_daemon.adapted_regressors import AdaptedRegressors
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import loaded_model
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import whole_crop
from intarsia_models.latent_composition.adaptation import Adapted, adapt
from intarsia_models.latent_composition.latents import regressor_of

REGRESSOR = True
"""See conftest."""


@pytest.fixture(name="fitted", scope="module")
def _fitted(home: Path) -> Adapted:
    with loaded_model(direct_context(home), "", capability="regressor") as model:
        target = whole_crop(painting(60, 90), model.generator.resolution).target()
        return adapt(model.generator, target, steps=4, rate=2e-3)


def _found(context: Context, *pictures: Picture, wanted: bool = True) -> torch.nn.Module | None:
    with (
        loaded_model(context, "", capability="regressor") as model,
        AdaptedRegressors(context, model).fitting(pictures, wanted=wanted) as fitting,
    ):
        return fitting.regressor


def _keep(context: Context, picture: Picture, fitted: Adapted) -> str:
    with loaded_model(context, "", capability="regressor") as model:
        return AdaptedRegressors(context, model).keep(picture, fitted)


def _far_apart(one: torch.nn.Module, other: torch.nn.Module) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def test_what_was_kept_is_found_by_the_picture(home: Path, fitted: Adapted) -> None:
    picture, context = painting(60, 90), direct_context(home)
    _keep(context, picture, fitted)
    found = _found(direct_context(home), picture)
    assert found is not None
    with loaded_model(context, "", capability="regressor") as model:
        assert _far_apart(regressor_of(model.generator), fitted.regressor) > 1e-3
    assert _far_apart(found, fitted.regressor) < 2e-5  # differences in float16
    assert _found(context, painting(60, 90, seed=11)) is None
    assert _found(context, painting(60, 90, seed=11), picture) is not None
    assert _found(context, picture, wanted=False) is None


def test_the_same_picture_elsewhere_smaller_or_a_little_changed_is_known(
    context: Context, fitted: Adapted
) -> None:
    picture = painting(120, 180)
    _keep(context, picture, fitted)
    moved = replace(picture, x=900, y=-4)
    wide = replace(picture, array=picture.array.astype(np.uint16) * 257)
    small = replace(
        picture, array=cv2.resize(picture.array, (90, 60), interpolation=cv2.INTER_AREA)
    )
    canvas = np.zeros((300, 300, 4), np.uint8)
    canvas[50:170, 30:210] = picture.array
    dabbed = picture.array.copy()
    dabbed[10:50, 10:50, :3] = 255
    for same in (moved, wide, small, Picture(canvas), Picture(dabbed)):
        assert _found(context, same) is not None
    half = picture.array.copy()
    half[:, :90, :3] = 255
    assert _found(context, Picture(half)) is None


def test_another_model_has_its_own(context: Context, fitted: Adapted) -> None:
    picture = painting(60, 90)
    _keep(context, picture, fitted)
    with loaded_model(context, "", capability="regressor") as model:
        other = AdaptedRegressors(context, replace(model, hash="0" * 64))
        with other.fitting([picture], wanted=True) as fitting:
            assert fitting.regressor is None and fitting.reference == {} and fitting.notes == ()


def test_adapting_again_replaces_what_is_in_memory(context: Context, fitted: Adapted) -> None:
    picture = painting(60, 90)
    _keep(context, picture, fitted)
    first = _found(context, picture)
    assert first is not None and _found(context, picture) is first
    with loaded_model(context, "", capability="regressor") as model:
        target = whole_crop(picture, model.generator.resolution).target()
        again = adapt(model.generator, target, steps=8, rate=2e-3)
    _keep(context, picture, again)
    second = _found(context, picture)
    assert second is not None and _far_apart(second, again.regressor) < 2e-5


def test_the_least_recently_used_leave_first(
    context: Context, fitted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.adapted_regressors.LIMIT_COUNT", 2)
    pictures = [painting(40, 40, seed=seed) for seed in (21, 22, 23)]
    for age, picture in enumerate(pictures[:2]):
        name = _keep(context, picture, fitted)
        place = context.models.folder.parent / "adapted" / f"{name}.safetensors"
        os.utime(place, (1000 + age, 1000 + age))
    assert _found(context, pictures[0]) is not None  # now the newest
    _keep(context, pictures[2], fitted)
    assert [_found(context, picture) is not None for picture in pictures] == [True, False, True]


# --- files that cannot be trusted -----------------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _nonsense(path: Path) -> None:
    path.write_bytes(b"\xff" * 300)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _changed(change: Callable[[dict[str, torch.Tensor]], object], **about: object):
    def damage(path: Path) -> None:
        tensors = load_file(path)
        change(tensors)
        told = {"form": 1, "mark": "", "version": "x", **about}
        save_file(tensors, path, {"adapted": json.dumps(told)})

    return damage


def _nan(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[0] = torch.nan


def _foreign(tensors: dict[str, torch.Tensor]) -> None:
    tensors["something.else"] = torch.zeros(3)


def _misshapen(tensors: dict[str, torch.Tensor]) -> None:
    tensors["conv1.weight"] = torch.zeros(3)


DAMAGES = {
    "cut": _cut,
    "nonsense": _nonsense,
    "empty": _empty,
    "nan": _changed(_nan),
    "foreign": _changed(_foreign),
    "misshapen": _changed(_misshapen),
    "newer": _changed(lambda tensors: None, form=99),
    "deep": lambda path: save_file({}, path, {"adapted": "[" * 100_000}),
    "undescribed": lambda path: save_file({}, path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_as_good_as_none(
    context: Context, home: Path, fitted: Adapted, damage: Callable[[Path], None]
) -> None:
    picture = painting(60, 90)
    name = _keep(context, picture, fitted)
    path = home / "adapted" / f"{name}.safetensors"
    damage(path)
    for same in (picture, painting(60, 90, seed=11)):
        assert _found(direct_context(home), same) is None
    assert not path.exists()
    _keep(context, picture, fitted)
    assert _found(direct_context(home), picture) is not None


def test_a_link_is_not_followed(context: Context, home: Path, fitted: Adapted) -> None:
    picture = painting(60, 90)
    name = _keep(context, picture, fitted)
    place = home / "adapted" / f"{name}.safetensors"
    elsewhere = place.rename(home / "elsewhere.safetensors")
    try:
        place.symlink_to(elsewhere)
    except OSError:
        pytest.skip("this system makes no links")
    assert _found(direct_context(home), picture) is None


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, fitted: Adapted
) -> None:
    install_small_generator(tmp_path, regressor=True)
    (tmp_path / "adapted").write_text("a file where the folder should be")
    context, picture = direct_context(tmp_path), painting(60, 90)
    _keep(context, picture, fitted)
    assert _found(context, picture) is None
