"""Public masked encoders against the values of their own code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_generators import small_generator
from tests.support import reference_data
from torch import Tensor
from torch.testing import assert_close

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan2.generator import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.loading import (
    convert,
    load_generator,
    save_generator,
    verify_generator,
)
from intarsia_models.latent_composition.known_areas import noise_areas
from intarsia_models.latent_composition.losses import latent_loss
from intarsia_models.latent_composition.public_encoders import read_regressor
from intarsia_models.latent_composition.regressor import MaskedRegressor, build_regressor

GENERATOR = "proggan_tiny-d8a89ff1.pth"
ENCODER = "pgan_encoder_RGBM_model_final.pth"
STYLE_ENCODER = "sgan_encoder_RGBM_model_final.pth"


@pytest.fixture(name="place", scope="module")
def _place() -> Path:
    data = reference_data()
    if data is None:
        pytest.skip("the reference data are not beside the project")
    return data / "golden" / "04_proggan_latentcomposition"


@pytest.fixture(name="values", scope="module")
def _values(place: Path) -> dict[str, Tensor]:
    with np.load(place / "io.npz") as found:
        return {name: torch.from_numpy(np.array(found[name])) for name in found.files}


@pytest.fixture(name="regressor", scope="module")
def _regressor(place: Path) -> MaskedRegressor:
    generator = load_generator(place / GENERATOR, regressor=place / ENCODER)
    assert generator.regressor is not None
    return generator.regressor


def _same(ours: Tensor, theirs: Tensor, tolerance: float = 1e-4) -> None:
    assert_close(ours, theirs.view_as(ours), atol=tolerance, rtol=0)


def test_a_collage_is_read_as_by_its_own_code(
    regressor: MaskedRegressor, values: dict[str, Tensor]
) -> None:
    x, known = values["comp.image"], values["comp.mask"]
    _same(regressor(x, known), values["comp.encoded"])
    _same(regressor(x), values["comp.encoded_without_mask"])
    _same(regressor(x, torch.ones_like(known)), values["comp.encoded_without_mask"])


def test_every_stage_computes_what_its_own_code_does(
    regressor: MaskedRegressor, values: dict[str, Tensor]
) -> None:
    found = regressor.seen(values["comp.image"], values["comp.mask"])
    found = regressor.maxpool(torch.relu(regressor.bn1(regressor.conv1(found))))
    _same(found, values["enc_feature.maxpool"])
    for stage in (1, 2, 3, 4):
        found = getattr(regressor, f"layer{stage}")(found)
        _same(found, values[f"enc_feature.layer{stage}"])
    _same(found.mean((2, 3)), values["enc_feature.avgpool"])


def test_the_picture_that_comes_back_is_that_of_its_own_code(
    place: Path, regressor: MaskedRegressor, values: dict[str, Tensor]
) -> None:
    generator = load_generator(place / GENERATOR)
    z = regressor(values["comp.image"], values["comp.mask"])
    _same(generator.synthesize(z), values["comp.inverted"], 2e-4)  # its pixel norm adds rounding
    assert generator.latent_metric == "cosine"
    loss = latent_loss(z, values["z_seed1"][:1, :, 0, 0], generator.latent_metric)
    _same(loss, values["cosine_latent_loss"])


def test_the_file_does_not_say_how_it_sees_the_known_area_and_our_card_does(
    place: Path, tmp_path: Path, values: dict[str, Tensor]
) -> None:
    made = load_generator(place / GENERATOR, regressor=place / ENCODER)
    save_generator(made, tmp_path / "model")
    loaded = load_generator(tmp_path / "model")
    assert verify_generator(tmp_path / "model") < 1e-3
    assert loaded.regressor is not None and "regressor" in loaded.capabilities
    assert loaded.regressor.settings.mask_encoding == "centred"
    assert loaded.regressor.settings.small_input
    _same(loaded.regressor(values["comp.image"], values["comp.mask"]), values["comp.encoded"])


def test_an_area_of_which_nothing_is_known_is_not_taken_for_a_grey_one(
    regressor: MaskedRegressor, values: dict[str, Tensor]
) -> None:
    x = values["comp.image"]
    hidden = torch.zeros_like(values["comp.mask"])
    assert bool((regressor.seen(x, hidden)[:, 3] == -0.5).all())  # their wrapper passes 0 here
    soft = torch.full_like(hidden, 0.8)
    _same(regressor.seen(x, soft)[:, 3], torch.full((1, 64, 64), 0.3))  # and 0.8 here


def _styled() -> StyleGAN2Generator:
    """6 styles of 24 numbers."""
    sizes = GeneratorSettings(channels=(8, 8, 8), z_dim=24, w_dim=24, mapping_layers=2)
    return StyleGAN2Generator(sizes).eval()


def test_an_encoder_of_styles_is_read_as_by_its_own_code(
    place: Path, values: dict[str, Tensor]
) -> None:
    companion = read_regressor(open_foreign(place / STYLE_ENCODER), _styled())
    assert companion.settings["mask_encoding"] == "unit"
    assert companion.settings["input_size"] == 256
    tensors = {name.removeprefix("regressor."): t for name, t in companion.tensors.items()}
    regressor = build_regressor(companion.settings, tensors)
    given = values["sgan_enc.x_rgbm"]
    before = given.clone()
    _same(regressor(given[:, :3], given[:, 3:]), values["sgan_enc.wplus"])
    assert torch.equal(given, before)


def _state(place: Path) -> dict[str, Tensor]:
    return torch.load(place / ENCODER, weights_only=True)["state_dict"]


@pytest.mark.parametrize("wrap", ["bare", "parallel"])
def test_bare_and_parallel_tensors_are_read_too(
    place: Path, tmp_path: Path, values: dict[str, Tensor], wrap: str
) -> None:
    state = {name: t for name, t in _state(place).items() if "num_batches" not in name}
    if wrap == "parallel":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "encoder.pth")
    generator = load_generator(place / GENERATOR, regressor=tmp_path / "encoder.pth")
    assert generator.regressor is not None
    _same(generator.regressor(values["comp.image"], values["comp.mask"]), values["comp.encoded"])


def test_an_encoder_of_colours_alone_sees_no_area(
    place: Path, tmp_path: Path, values: dict[str, Tensor]
) -> None:
    state = _state(place)
    state["conv1.weight"] = state["conv1.weight"][:, :3].clone()
    torch.save({"state_dict": state}, tmp_path / "encoder.pth")
    regressor = load_generator(place / GENERATOR, regressor=tmp_path / "encoder.pth").regressor
    assert regressor is not None and not regressor.settings.sees_known
    x, known = values["comp.image"], values["comp.mask"]
    _same(regressor(x, known), regressor(x * known))  # black holes, and nothing but those
    with_area = build_regressor(
        replace(regressor.settings, sees_known=True).to_dict(),
        {**regressor.state_dict(), "conv1.weight": _widened(state["conv1.weight"])},
    )
    _same(regressor(x, known), with_area(x, known))


def _widened(weight: Tensor) -> Tensor:
    """A fourth channel that counts nothing."""
    return torch.cat([weight, torch.zeros_like(weight[:, :1])], 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc.weight": torch.zeros(7, 64)}, "finds latents of 7 numbers, the model takes 24"),
        ({"fc.weight": None}, "ends neither in fc nor in layer5.conv5"),
        ({"conv1.weight": None}, "no tensor conv1.weight"),
        ({"conv1.weight": torch.zeros(8, 5, 7, 7)}, "not of 3 or 4 channels"),
        ({"layer3.1.conv1.weight": None}, "no ResNet-18 or -34"),
        ({"layer3.1.bn1.bias": None}, "do not fit"),
    ],
)
def test_files_of_something_else_are_refused(
    place: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    state = {**_state(place), **change}
    torch.save({n: t for n, t in state.items() if t is not None}, tmp_path / "encoder.pth")
    with pytest.raises(UnreadableModel, match=words):
        load_generator(place / GENERATOR, regressor=tmp_path / "encoder.pth")


def test_an_encoder_of_styles_is_refused_by_a_model_without_them(place: Path) -> None:
    with pytest.raises(UnreadableModel, match="proggan has no styles"):
        load_generator(place / GENERATOR, regressor=place / STYLE_ENCODER)


def test_a_model_with_classes_takes_a_regressor_that_reads_none(
    place: Path, tmp_path: Path
) -> None:
    state = _state(place)
    state["fc.weight"], state["fc.bias"] = torch.zeros(16, 64), torch.zeros(16)
    torch.save(state, tmp_path / "encoder.pth")
    companion = read_regressor(open_foreign(tmp_path / "encoder.pth"), small_generator())
    assert companion.settings["num_classes"] == 0


def test_what_is_known_of_the_licence_is_told(place: Path) -> None:
    conversion = convert(place / GENERATOR, {"regressor": place / ENCODER})
    assert any("weights may be used" in note for note in conversion.converted.notes)


def test_a_random_known_area_is_that_of_their_code_for_the_same_seed(
    values: dict[str, Tensor],
) -> None:
    theirs = values["mask_upsample.mask_minus_half"] + 0.5
    assert torch.equal(noise_areas(1, (64, 64), torch.Generator().manual_seed(52)), theirs)
