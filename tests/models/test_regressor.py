"""The masked regressor: what it sees, what it refuses, and how it is kept beside its generator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_generators import LABELS, RESOLUTION, Z_DIM, small_generator, small_regressor
from torch.testing import assert_close
from torchvision.models import resnet18, resnet34
from toy_generator import ToyGenerator

from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import DamagedCheckpoint, UnreadableModel
from intarsia_models.generators.loading import (
    fingerprint,
    load_generator,
    own_tensors,
    save_generator,
    verify_generator,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.latent_composition.settings import RegressorSettings

SMALL = RegressorSettings(dims=5, width=4, small_input=True)


def _picture(count: int = 2, side: int = 24) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _half(side: int = 24) -> torch.Tensor:
    known = torch.ones(1, 1, side, side)
    known[..., side // 2 :] = 0
    return known


@pytest.mark.parametrize(("depth", "theirs"), [(18, resnet18), (34, resnet34)])
def test_the_trunk_computes_what_torchvisions_computes(depth: int, theirs: type) -> None:
    settings = RegressorSettings(dims=7, depth=depth, sees_known=False)
    ours = MaskedRegressor(settings).eval()
    reference = theirs(weights=None, num_classes=7).eval()
    reference.load_state_dict(ours.state_dict())
    x = _picture(1, 64)
    with torch.no_grad():
        assert_close(ours(x), reference(x))


def test_a_regressor_of_z_has_the_papers_size() -> None:
    regressor = MaskedRegressor(RegressorSettings(dims=512))
    assert sum(p.numel() for p in regressor.parameters()) == 11_442_304


@pytest.mark.parametrize("vectors", [14, 18])
def test_a_regressor_of_styles_has_the_papers_size(vectors: int) -> None:
    settings = RegressorSettings(dims=512, latent="w_plus", vectors=vectors, depth=34)
    numbers = sum(p.numel() for p in MaskedRegressor(settings, seed=None).parameters())
    assert numbers == pytest.approx({14: 24.96e6, 18: 26.02e6}[vectors], rel=3e-4)


def test_what_lies_in_hidden_places_does_not_matter() -> None:
    regressor = MaskedRegressor(SMALL).eval()
    x, known = _picture(), _half()
    other = torch.where(known > 0, x, torch.full_like(x, 0.9))
    assert torch.equal(regressor(x, known), regressor(other, known))
    assert not torch.allclose(regressor(x, known), regressor(x))


@pytest.mark.parametrize(("encoding", "low", "high"), [("centred", -0.5, 0.5), ("unit", 0.0, 1.0)])
def test_the_network_sees_the_known_area_in_its_own_encoding(
    encoding: str, low: float, high: float
) -> None:
    regressor = MaskedRegressor(replace(SMALL, mask_encoding=encoding)).eval()
    nothing = regressor.seen(_picture(), torch.zeros(1, 1, 24, 24))
    assert bool((nothing[:, 3] == low).all()) and bool((nothing[:, :3] == 0).all())
    assert bool((regressor.seen(_picture())[:, 3] == high).all())
    soft = regressor.seen(_picture(), torch.full((1, 1, 24, 24), 0.75))
    assert_close(soft[:, 3], torch.full((2, 24, 24), 0.75 + low))
    assert_close(soft[:, :3], 0.75 * _picture())


def test_the_callers_tensors_stay_as_they_are() -> None:
    for encoding in ("centred", "unit"):
        regressor = MaskedRegressor(replace(SMALL, mask_encoding=encoding)).eval()
        x, known = _picture(), _half()
        regressor(x, known)
        assert torch.equal(x, _picture()) and torch.equal(known, _half())


@pytest.mark.parametrize("known", [_half() - 0.5, _half() * 255, _half() * float("nan")])
def test_a_known_area_of_another_range_is_refused(known: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"known must lie in \[0, 1\]"):
        MaskedRegressor(SMALL).eval()(_picture(), known)


def test_shapes_that_do_not_fit_are_refused() -> None:
    regressor = MaskedRegressor(SMALL).eval()
    with pytest.raises(ValueError, match=r"x must be \(B, 3, H, W\)"):
        regressor(_picture()[:, :1])
    with pytest.raises(ValueError, match=r"known must be \(2, 1, 24, 24\)"):
        regressor(_picture(), _half(12))
    with pytest.raises(ValueError, match=r"known must be"):
        regressor(_picture(), _half().expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 50}, "depth must be one of"),
        ({"mask_encoding": "half"}, "mask_encoding must be one of"),
        ({"vectors": 3}, "finds one vector"),
        ({"dims": 0}, "dims must be at least 1"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RegressorSettings(**{**SMALL.to_dict(), **change})


def test_classes_are_read_in_the_same_pass() -> None:
    generator = small_generator(regressor=True)
    assert generator.regressor is not None
    x = generator.synthesize(generator.sample_z(3, 0), torch.tensor([0, 1, 2]))
    reading = generator.regressor.read(x)
    assert reading.latent.shape == (3, Z_DIM)
    assert reading.class_logits is not None and reading.class_logits.shape == (3, len(LABELS))
    assert MaskedRegressor(SMALL).eval().read(x).class_logits is None


def test_a_regressor_comes_back_with_its_generator_from_a_file_of_its_own(tmp_path: Path) -> None:
    made = small_generator(regressor=True)
    save_generator(made, tmp_path / "model")
    assert (tmp_path / "model" / "regressor.safetensors").is_file()
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert "regressor" in card["companions"] and "regressor" in card["capabilities"]
    assert card["settings"]["regressor"]["mask_encoding"] == "centred"
    loaded = load_generator(tmp_path / "model")
    assert "regressor" in loaded.capabilities
    assert loaded.regressor is not None and made.regressor is not None
    x = made.synthesize(made.sample_z(1, 0), torch.tensor([0]))
    assert_close(loaded.regressor(x, _half(RESOLUTION)), made.regressor(x, _half(RESOLUTION)))
    assert verify_generator(tmp_path / "model") < 1e-3


def test_a_regressor_changes_neither_the_fingerprint_nor_the_generators_file(
    tmp_path: Path,
) -> None:
    plain, with_one = small_generator(), small_generator(regressor=True)
    assert fingerprint(plain) == fingerprint(with_one)
    assert "regressor" not in plain.capabilities
    save_generator(plain, tmp_path / "plain")
    save_generator(with_one, tmp_path / "more")
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("plain", "more")]
    assert files[0] == files[1]
    assert not (tmp_path / "plain" / "regressor.safetensors").exists()


def test_a_damaged_regressor_is_noticed(tmp_path: Path) -> None:
    save_generator(small_generator(regressor=True), tmp_path / "model")
    file = tmp_path / "model" / "regressor.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(DamagedCheckpoint, match=r"regressor\.safetensors is damaged"):
        load_generator(tmp_path / "model")
    file.unlink()
    with pytest.raises(DamagedCheckpoint):
        load_generator(tmp_path / "model")


def test_one_file_with_all_tensors_is_read_too(tmp_path: Path) -> None:
    made = small_generator(regressor=True)
    save_generator(made, tmp_path / "model")
    write_bundle(tmp_path / "flat", own_tensors(made), read_bundle(tmp_path / "model").card)
    assert load_generator(tmp_path / "flat").regressor is not None


def test_tensors_without_settings_are_refused(tmp_path: Path) -> None:
    made = small_generator(regressor=True)
    save_generator(made, tmp_path / "model")
    bundle = read_bundle(tmp_path / "model")
    settings = {k: v for k, v in bundle.card["settings"].items() if k != "regressor"}
    write_bundle(tmp_path / "model", bundle.tensors, {**bundle.card, "settings": settings})
    with pytest.raises(UnreadableModel, match="do not fit"):
        load_generator(tmp_path / "model")


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    save_generator(small_generator(regressor=True), tmp_path / "model")
    place = tmp_path / "model" / "manifest.json"
    manifest = json.loads(place.read_text())
    manifest["files"]["../model/regressor.safetensors"] = manifest["files"]["regressor.safetensors"]
    place.write_text(json.dumps(manifest))
    with pytest.raises(DamagedCheckpoint, match="plain word"):
        load_generator(tmp_path / "model")


def test_two_files_of_a_bundle_hold_no_tensor_twice(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(1)}
    with pytest.raises(ValueError, match="same name"):
        write_bundle(tmp_path / "model", tensors, {}, parts={"more": tensors})
    with pytest.raises(ValueError, match="plain word"):
        write_bundle(tmp_path / "model", tensors, {}, parts={"../more": {}})


def test_a_regressor_of_another_size_is_refused() -> None:
    generator = small_generator()
    with pytest.raises(ValueError, match="1 x 5 numbers, the generator takes 1 x 16"):
        generator.attach_regressor(MaskedRegressor(SMALL))
    fitting = replace(SMALL, dims=Z_DIM, num_classes=9)
    with pytest.raises(ValueError, match="tells 9 classes apart, the generator has 4"):
        generator.attach_regressor(MaskedRegressor(fitting))
    with pytest.raises(ValueError, match="has no styles"):
        generator.attach_regressor(MaskedRegressor(replace(SMALL, latent="w_plus")))


def test_a_regressor_can_be_taken_away_again() -> None:
    generator = ToyGenerator()
    before = generator.capabilities
    generator.attach_regressor(small_regressor(generator))
    assert generator.capabilities == before | {"regressor"}
    generator.attach_regressor(None)
    assert generator.regressor is None and generator.capabilities == before
    assert ToyGenerator.capabilities == before
