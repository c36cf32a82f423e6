"""Progressive GAN: the public code's values, and what must hold for any weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.proggan import FAMILY, ProGANGenerator, ProGANSettings, build
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.loading import load_generator, save_generator, verify_generator
from intarsia_models.generators.transplants import Transplant

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
FILES = pytest.mark.parametrize("file", ["proggan_tiny-d8a89ff1.pth", "proggan_tiny_oldnames.pth"])
TOLERANCE = 2e-4


def folder() -> Path:
    assert REFERENCE is not None
    return REFERENCE / "golden/04_proggan_latentcomposition"


@cache
def values() -> dict[str, Tensor]:
    arrays = np.load(folder() / "io.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@NEEDS_REFERENCE
@FILES
def test_every_value_of_the_public_code_s_generator_is_reproduced(file: str) -> None:
    converted = FAMILY.read(open_foreign(folder() / file))
    generator = build(converted.settings, converted.tensors)
    unbounded = build({**converted.settings, "clamp_output": False}, converted.tensors)
    stored = values()
    z = stored["z_seed1"].flatten(1)
    with torch.inference_mode():
        computed = {
            "image": generator.synthesize(z),
            "image0_unclamped": unbounded.synthesize(z[:1]),
            "feature0.output_64x64": generator.synthesize(z[:1]),
            "comp.inverted": generator.synthesize(stored["comp.encoded"].flatten(1)),
        }
        for name, part in generator.features(z[:1]).items():
            computed[f"feature0.{name}"] = part
    for name, tensor in computed.items():
        torch.testing.assert_close(tensor, stored[name], atol=TOLERANCE, rtol=0)
    features = {name for name in stored if name.startswith("feature0.")}
    assert features <= computed.keys()


@NEEDS_REFERENCE
def test_both_ways_of_naming_are_one_network() -> None:
    new = FAMILY.read(open_foreign(folder() / "proggan_tiny-d8a89ff1.pth"))
    old = FAMILY.read(open_foreign(folder() / "proggan_tiny_oldnames.pth"))
    assert new.settings == old.settings
    assert new.tensors.keys() == old.tensors.keys()
    assert all(torch.equal(new.tensors[name], old.tensors[name]) for name in new.tensors)


@NEEDS_REFERENCE
@FILES
def test_the_model_survives_storing(tmp_path: Path, file: str) -> None:
    generator = load_generator(folder() / file)
    save_generator(generator, tmp_path / "model")
    assert verify_generator(tmp_path / "model") < 1e-4
    z = generator.sample_z(2, 3)
    assert torch.equal(load_generator(tmp_path / "model").synthesize(z), generator.synthesize(z))


@NEEDS_REFERENCE
@FILES
def test_a_file_without_one_of_its_layers_is_no_generator(file: str) -> None:
    whole = open_foreign(folder() / file)
    for name in whole.tensors:
        tensors = {key: tensor for key, tensor in whole.tensors.items() if key != name}
        broken = replace(whole, tensors=tensors)
        if FAMILY.recognises(broken):
            with pytest.raises(UnreadableModel, match=r"has no tensor|not two for each size"):
                FAMILY.read(broken)


@NEEDS_REFERENCE
def test_an_encoder_is_not_taken_for_a_generator() -> None:
    for file in folder().glob("*encoder*.pth"):
        assert not FAMILY.recognises(open_foreign(file))


def tiny() -> ProGANGenerator:
    torch.manual_seed(0)
    settings = ProGANSettings((8, 8, 6, 6, 4, 4), 10)
    return ProGANGenerator(settings).eval().requires_grad_(False)


def test_the_length_of_the_latent_does_not_matter() -> None:
    generator, z = tiny(), torch.randn(2, 10)
    scaled = generator.synthesize(3.0 * z)
    torch.testing.assert_close(scaled, generator.synthesize(z), atol=2e-4, rtol=0)


def test_the_picture_is_bounded_unless_asked_otherwise() -> None:
    generator = tiny()
    generator.to_rgb.weight.mul_(20)
    z = torch.randn(4, 10)
    bounded = generator.synthesize(z)
    assert float(bounded.abs().max()) == 1.0
    generator.sizes = replace(generator.sizes, clamp_output=False)
    torch.testing.assert_close(generator.synthesize(z).clamp(-1, 1), bounded)
    assert float(generator.synthesize(z).abs().max()) > 1.5


def test_a_transplant_at_one_layer_changes_what_follows_and_nothing_before() -> None:
    generator, z = tiny(), torch.randn(2, 10)
    trace = generator.trace(z[:1])
    half = torch.zeros(1, 1, 16, 16)
    half[..., :8] = 1
    transplant = Transplant(half, z=z[1:], strengths={"layer4": 1.0})
    assert generator.first_edited(None, [transplant]) == 3
    edited = generator.edit(trace, transplants=[transplant])
    changed = (edited - generator.render(trace)).abs().mean((0, 1, 2))
    assert float(changed[:8].mean()) > 4 * float(changed[12:].mean())
    whole = Transplant(torch.ones(1, 1, 16, 16), z=z[1:], strengths={"layer6": 1.0})
    torch.testing.assert_close(
        generator.edit(trace, transplants=[whole]), generator.synthesize(z[1:])
    )


def test_what_the_family_does_not_have_is_refused() -> None:
    generator, z = tiny(), torch.randn(1, 10)
    with pytest.raises(ValueError, match="cannot be truncated"):
        generator.synthesize(z, truncation_psi=0.5)
    with pytest.raises(ValueError, match="has no styles"):
        generator.synthesize(None, w_plus=torch.zeros(1, 2, 10))
