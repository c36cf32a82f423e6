"""LPIPS: the package's values on known backbones, and backbones that are not there."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign
from intarsia_models.projection import perceptual
from intarsia_models.projection.perceptual import (
    BACKBONES,
    Net,
    PerceptualDistance,
    PerceptualMetric,
    find_backbone,
    how_to_add,
    load_metric,
)

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
NETS = pytest.mark.parametrize("net", get_args(Net))
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def folder() -> Path:
    assert REFERENCE is not None
    return REFERENCE / "golden/07_lpips"


@cache
def values() -> dict[str, Tensor]:
    arrays = np.load(folder() / "io.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@cache
def backbone_of(net: str) -> dict[str, Tensor]:
    """The random backbone of the recipe, checked by its hash."""
    recipe = json.loads((folder() / "backbones.json").read_text())["nets"][net]
    source = np.random.RandomState(recipe["seed"])
    digest, tensors = hashlib.sha256(), {}
    for name, shape in recipe["order"]:
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.05
        array = (source.standard_normal(shape) * scale).astype(np.float16).astype(np.float32)
        digest.update(array.tobytes())
        tensors[name] = torch.from_numpy(array)
    assert digest.hexdigest() == recipe["sha256_of_concatenated_float32"]
    return tensors


@cache
def metric_of(net: Net, *, own_heads: bool = False) -> PerceptualMetric:
    heads = None if own_heads else open_foreign(folder() / f"{net}_lin_random.pth").tensors
    return PerceptualMetric(net, backbone_of(net), heads)


def pair(index: int) -> tuple[Tensor, Tensor]:
    return values()[f"pair{index}.a"][None], values()[f"pair{index}.b"][None]


@NEEDS_REFERENCE
@NETS
def test_distances_are_those_of_the_public_package(net: Net) -> None:
    stored, metric = values(), metric_of(net)
    for index in range(3):
        a, b = pair(index)
        features, others = metric.features(a), metric.features(b)
        expected = stored[f"{net}.pair{index}.distance"].flatten()
        torch.testing.assert_close(
            metric.between(features, others), expected, rtol=RELATIVE, atol=0
        )
        layers = torch.cat(metric.by_layer(features, others)).double()
        wanted = stored[f"{net}.pair{index}.per_layer"]
        torch.testing.assert_close(layers, wanted, rtol=RELATIVE, atol=1e-9)
        own = metric_of(net, own_heads=True)(a, b)
        expected = stored[f"{net}.pair{index}.distance_with_package_lins_v0.1"].flatten()
        torch.testing.assert_close(own, expected, rtol=RELATIVE, atol=0)


@NEEDS_REFERENCE
@NETS
def test_maps_gradients_and_other_modes_are_those_of_the_public_package(net: Net) -> None:
    stored, network = values(), metric_of(net).network
    a, b = pair(0)
    halved = network((a + 1) / 2, (b + 1) / 2, normalize=True)
    expected = stored[f"{net}.pair0.distance_normalize"]
    torch.testing.assert_close(halved, expected, rtol=RELATIVE, atol=0)
    network.spatial = True
    torch.testing.assert_close(network(a, b), stored[f"{net}.pair0.spatial"], rtol=0, atol=ABSOLUTE)
    network.spatial, network.lpips = False, False
    unweighted = network(a, b)
    network.lpips = True
    expected = stored[f"{net}.pair0.distance_baseline_unweighted"]
    torch.testing.assert_close(unweighted, expected, rtol=RELATIVE, atol=0)
    a, b = pair(2)
    a = a.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(metric_of(net)(a, b).sum(), a)
    torch.testing.assert_close(gradient, stored[f"{net}.pair2.grad_a"], rtol=0, atol=ABSOLUTE)


@NEEDS_REFERENCE
@NETS
def test_heads_and_scaling_are_as_stored(net: Net) -> None:
    stored, network = values(), metric_of(net).network
    state = network.state_dict()
    prefix = f"{net}.lin"
    names = [name for name in stored if name.startswith(prefix)]
    assert len(names) == len(network.lins)
    for name in names:
        assert torch.equal(state[name.removeprefix(f"{net}.")], stored[name])
    for name in ("shift", "scale"):
        assert torch.equal(getattr(network.scaling_layer, name), stored[f"scaling.{name}"])


@NEEDS_REFERENCE
def test_a_stored_backbone_is_found_checked_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = np.load(folder() / "squeezenet1_1_features_float16.npz")
    state = {name: torch.from_numpy(tensors[name]) for name in tensors.files}
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cache_folder = tmp_path / "checkpoints"
    cache_folder.mkdir()
    assert find_backbone() is None
    place = cache_folder / BACKBONES[2].file
    torch.save(state, place)
    found = find_backbone()
    assert found is not None
    assert (found[0].net, found[1]) == ("squeeze", place)
    with pytest.raises(UnreadableModel, match="damaged: its SHA-256"):
        load_metric()
    mine = tmp_path / "squeezenet1_1.pth"
    torch.save(state, mine)
    a, b = pair(1)
    expected = values()["squeeze.pair1.distance_with_package_lins_v0.1"].flatten()
    for metric in (load_metric(file=mine), load_metric("squeeze", file=mine)):
        torch.testing.assert_close(metric(a, b), expected, rtol=RELATIVE, atol=0)
    with pytest.raises(UnreadableModel, match="it is no vgg network"):
        load_metric("vgg", file=mine)
    with pytest.raises(UnreadableModel, match="does not tell which backbone"):
        load_metric(file=place.rename(tmp_path / "weights.pth"))


def test_without_a_backbone_the_message_names_the_file_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_backbone() is None
    with pytest.raises(UnreadableModel, match=r"LPIPS has no backbone here.*vgg16-397923af\.pth"):
        load_metric()
    sentence = how_to_add("alex", folder=tmp_path)
    assert sentence.endswith(f"save it as {tmp_path / 'alexnet-owt-7be5be79.pth'}.")
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in sentence


@NEEDS_REFERENCE
def test_pictures_are_compared_at_a_size_for_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "LARGEST_SIDE", 32)
    monkeypatch.setattr(perceptual, "SMALLEST_SIDE", 32)
    metric = metric_of("squeeze")
    a, b = pair(0)
    distance = PerceptualDistance(metric, a, pixel_weight=0.0)
    halves = [torch.nn.functional.avg_pool2d(picture, 2) for picture in (b, a)]
    torch.testing.assert_close(distance(b), metric(*halves))
    assert float(distance(a)) == 0.0
    small = [torch.nn.functional.avg_pool2d(picture, 4) for picture in (a, b)]
    assert 0 < float(PerceptualDistance(metric, small[0])(small[1])) < 1
    weighted = PerceptualDistance(metric, a, pixel_weight=0.5)
    expected = distance(b) + 0.5 * (a - b).square().mean()
    torch.testing.assert_close(weighted(b), expected)
