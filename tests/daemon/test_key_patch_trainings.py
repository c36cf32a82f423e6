"""Models of parts as operations know them: trained on a folder, found again, imported, listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import direct_context, painting, run_directly
from PIL import Image
from small_key_patches import small_key_patches

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.messages import Working
from intarsia_daemon.model_families import Foreign, import_foreign
from intarsia_daemon.model_import import import_model
from intarsia_daemon.model_store import PNG
from intarsia_daemon.operation import find_operation
from intarsia_daemon.operations import train_patches
from intarsia_models.key_patches.training_settings import KeyPatchTraining

STAGE = "Learning wholes and parts"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks as narrow as can be; everything else is as the operation has it."""
    usual = train_patches.key_patch_training

    def small(*arguments, **changes) -> KeyPatchTraining:
        return usual(*arguments, **{"width": 2, "critic_width": 2, "batch": 2, **changes})

    monkeypatch.setattr(train_patches, "key_patch_training", small)


@pytest.fixture(name="pictures", scope="module")
def _pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Shirts")
    for number in range(9):
        array = painting(40, 48, seed=number).array[..., :3]
        Image.fromarray(np.ascontiguousarray(array)).save(folder / f"{number}.png")
    return folder


def _training(home: Path, **more) -> Context:
    return direct_context(home, lane="training", **more)


def test_a_folder_becomes_a_model_that_assembles_and_is_found_again(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)  # no message is held back
    sent: list[Working] = []
    context = _training(tmp_path, send=sent.append)
    given = {"pictures": str(pictures), "iterations": 4, "parts": 2}
    result = run_directly(context, "train_patches", **given)
    assert result.model is not None
    entry = context.models.list(thumbnails=True)[0]
    assert entry["id"] == result.model["id"] and entry["title"] == pictures.name
    assert set(entry["capabilities"]) == {"key_patches", "features"}
    assert entry["resolution"] == 64 and entry["thumbnail"].startswith(PNG)
    assert result.layers[0].name == f"Samples of {pictures.name}"
    assert {"critic", "generator", "spatial", "appearance"} <= set(result.metrics)
    steps = [m.step for m in sent if m.stage == STAGE]
    assert steps[-1] == 4 and not list((context.folder / "training").glob("step-*"))
    made = run_directly(direct_context(tmp_path), "assemble", {"parts": [painting()]})
    assert made.model == result.model and made.notes == []  # it learnt from fewer parts, too
    again = _training(tmp_path)
    known = run_directly(again, "train_patches", **given)
    assert known.model == result.model and "was done before" in known.notes[0]
    assert "train" not in again.seconds


def test_a_stopped_training_goes_on_and_ends_as_if_it_had_not_stopped(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    monkeypatch.setattr("intarsia_daemon.generator_trainings.CHECKPOINT_EVERY_S", 0.0)
    given = {"pictures": str(pictures), "iterations": 4}
    whole = run_directly(_training(tmp_path / "whole"), "train_patches", **given)

    def stop(message: object) -> None:
        if isinstance(message, Working) and message.stage == STAGE and message.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_directly(_training(tmp_path / "cut", send=stop), "train_patches", **given)
    second = _training(tmp_path / "cut")
    resumed = run_directly(second, "train_patches", **given)
    assert resumed.metrics == whole.metrics
    assert np.array_equal(resumed.layers[0].array, whole.layers[0].array)


def test_training_leaves_the_edit_lane_and_says_how_long_it_takes(
    tmp_path: Path, pictures: Path
) -> None:
    with pytest.raises(TrainingRequired) as needed:
        run_directly(direct_context(tmp_path), "train_patches", pictures=str(pictures))
    assert needed.value.seconds_expected > 0
    found = find_operation("train_patches")
    estimates = []
    for quality in ("draft", "normal", "fine"):
        values = found.declaration.check([], {"quality": quality, "pictures": str(pictures)})
        assert found.estimate is not None
        estimates.append(found.estimate(values, {}, direct_context(tmp_path)))
    assert all(estimate.trains for estimate in estimates)
    assert estimates[0].seconds < estimates[1].seconds < estimates[2].seconds


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not there"):
        run_directly(_training(tmp_path), "train_patches", pictures=str(tmp_path / "none"))


def test_models_of_parts_arrive_whole_from_another_machine(tmp_path: Path, pictures: Path) -> None:
    home = tmp_path / "one"
    run_directly(_training(home), "train_patches", pictures=str(pictures), iterations=1)
    (place,) = (home / "models").iterdir()
    shutil.copytree(place, tmp_path / "copied")
    other = direct_context(tmp_path / "two")
    found = import_model(tmp_path / "copied", other.models.folder, title="Mine")
    made, here = (
        run_directly(context, "assemble", {"parts": [painting()]})
        for context in (direct_context(home), other)
    )
    assert here.model is not None and here.model["id"] == found
    assert np.array_equal(made.layers[1].array, here.layers[1].array)


def test_files_of_the_public_code_become_a_model(tmp_path: Path) -> None:
    """Its names: convolutions at even numbers, the encoder's in pairs with their activations."""
    model = small_key_patches(width=4, critic_width=4, kernel=5, embedding=6, z_dim=3)
    folder = tmp_path / "Cars"
    folder.mkdir()
    generator, critic = model.generator, model.critic
    assert generator.mask_network is not None and critic is not None
    halving = [*generator.encoder.trunk.convolutions, generator.encoder.embed]
    networks = {
        "partenc": _numbered(halving, generator.encoder.trunk.norms, 1, "{}.0", "{}.1.0", 1),
        "maskgen": _numbered(
            [generator.mask_network.start, *generator.mask_network.doublings],
            generator.mask_network.norms, 2, "{}", "{}.0", 0,
        ),
        "imggen": _numbered(
            [generator.image_network.start, *generator.image_network.doublings],
            generator.image_network.norms, 2, "{}", "{}.0", 0,
        ),
        "disc": _numbered(
            [*critic.trunk.convolutions, critic.score], critic.trunk.norms, 2, "{}", "{}.0", 1
        ),
    }  # fmt: skip
    for name, tensors in networks.items():
        torch.save(tensors, folder / f"epoch_7_net_net_{name}.pth")
    context = direct_context(tmp_path / "home")
    found = import_foreign(Foreign(folder), context.models)
    card = context.models.card(found)
    assert (card.family, card.title, card.resolution) == ("key-patches", "Cars", 64)
    assert "no licence" in card.licence
    parts = [painting(20, 30, seed=n) for n in range(3)]
    made = run_directly(context, "assemble", {"parts": parts}, size="model")
    from intarsia_daemon.key_patch_models import part_of

    expected = model.assemble([part_of(part) for part in parts], seed=0).picture
    levels = ((expected[0] + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(levels - made.layers[1].array[..., :3]).max() <= 0.51


def _numbered(layers, norms, step: int, plain: str, norm: str, first: int) -> dict:
    """State dicts as a data-parallel training of the public code writes them.

    Args:
        layers: Convolutions, in order.
        norms: Behind them, from layer ``first`` on.
        step: Between the numbers of two layers.
        plain: Name of a layer by its number.
        norm: Name of a norm by its number: that of the layer, or the next one.
        first: The first layer with a norm.
    """
    found = {}
    for index, layer in enumerate(layers):
        for name, tensor in layer.state_dict().items():
            found[f"module.model.{plain.format(step * index)}.{name}"] = tensor
    for index, layer in enumerate(norms, first):
        number = step * index + (step == 2)
        for name, tensor in layer.state_dict().items():
            found[f"module.model.{norm.format(number)}.{name}"] = tensor
    return found
