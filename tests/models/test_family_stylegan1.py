"""StyleGAN: the public code's values, and what must hold for any weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.families.stylegan1 import FAMILY, build
from intarsia_models.families.stylegan1.generator import StyleGAN1Generator, StyleGAN1Settings
from intarsia_models.families.stylegan1.rosinality_files import smaller
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.loading import load_generator, save_generator, verify_generator
from intarsia_models.generators.transplants import Transplant

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
CASE = "golden/03c_stylegan1_rosinality"
TOLERANCE = 1e-4


def model_path() -> Path:
    assert REFERENCE is not None
    return REFERENCE / CASE / "stylegan-32px-tiny.model"


@cache
def values() -> dict[str, Tensor]:
    arrays = np.load(model_path().parent / "io.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def rebuilt(levels: int = 4, alpha: float = 1.0) -> StyleGAN1Generator:
    converted = FAMILY.read(open_foreign(model_path()))
    generator = build(smaller(converted.settings, levels, alpha), converted.tensors)
    return generator.requires_grad_(False)


@NEEDS_REFERENCE
def test_every_value_of_the_public_code_is_reproduced() -> None:
    stored, generator = values(), rebuilt()
    z, noise = stored["z"], [stored[f"noise.{i}"] for i in range(4)]
    w = generator.mapping(z)
    generator.w_avg = stored["mean_style"][0]
    mix = torch.stack((w[1], w[1], w[0], w[0]))[None]
    first = [part[:1] for part in noise]
    computed = {
        "w": w,
        "step": torch.tensor(len(generator.layers) - 1),
        "image_noise": generator.synthesize(z, noise=noise),
        "image_zero_noise": generator.synthesize(z, noise="none"),
        "image_alpha0.4": rebuilt(alpha=0.4).synthesize(z, noise=noise),
        "image_truncated0.7": generator.synthesize(z, noise=noise, truncation_psi=0.7),
        "image_mix_range_0_1": generator.synthesize(None, w_plus=mix, noise=first),
        "image_lower_step": rebuilt(levels=3).synthesize(z[:1], noise=first[:3]),
    }
    for level, part in enumerate(generator.features(z[:1], noise=first).values()):
        computed[f"feature_noise.progression.{level}"] = part
    for name, tensor in computed.items():
        torch.testing.assert_close(tensor, stored[name], atol=TOLERANCE, rtol=0)
    left = stored.keys() - computed.keys() - {"z", "mean_style", *(f"noise.{i}" for i in range(4))}
    assert not left, f"not compared: {sorted(left)}"


@NEEDS_REFERENCE
def test_the_computed_mean_style_is_near_the_public_code_s() -> None:
    generator = rebuilt()
    spread = generator.mapping(generator.sample_z(2000, 1)).std(0)
    off = (generator.w_avg - values()["mean_style"][0]).abs()
    assert bool((off < 0.25 * spread + 0.01).all())


@NEEDS_REFERENCE
def test_the_size_is_the_file_name_s_or_the_last_trained_block_s(tmp_path: Path) -> None:
    state = torch.load(model_path(), weights_only=True)
    path = tmp_path / "checkpoint.model"
    for level in range(5, 9):
        for norm in ("adain1", "adain2"):
            bias = state[f"generator.progression.{level}.{norm}.style.linear.bias"]
            bias[: len(bias) // 2], bias[len(bias) // 2 :] = 1.0, 0.0
    torch.save({"generator": {}, "g_running": state, "d_optimizer": {"state": {}}}, path)
    assert load_generator(path).resolution == 64
    named = tmp_path / "stylegan-16px.model"
    torch.save(state, named)
    assert load_generator(named).resolution == 16
    odd = tmp_path / "stylegan-100px.model"
    torch.save(state, odd)
    assert load_generator(odd).resolution == 64


@NEEDS_REFERENCE
def test_blocks_of_128_pixels_and_more_enlarge_by_the_spread_kernel(tmp_path: Path) -> None:
    """The public code's transposed convolution, by sums over the four places of its kernel."""
    path = tmp_path / "stylegan-128px.model"
    path.write_bytes(model_path().read_bytes())
    generator = load_generator(path)
    assert isinstance(generator, StyleGAN1Generator)
    assert (generator.resolution, generator.sizes.fused[-1]) == (128, True)
    state = torch.load(path, weights_only=True)
    weight = state["generator.progression.5.conv1.0.weight"]
    x = torch.randn(1, 12, 64, 64)
    expected = torch.zeros(1, 10, 128, 128)
    for row in (0, 1):
        for column in (0, 1):
            spread = F.conv_transpose2d(x, weight, stride=2)  # (B, O, 129, 129)
            moved = F.pad(spread, (column, 1 - column, row, 1 - row))
            expected += moved[..., 1:-1, 1:-1] * ((2 / (12 * 9)) ** 0.5 / 4)
    expected += state["generator.progression.5.conv1.0.bias"].view(1, -1, 1, 1)
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(10, 1, 3, 3)
    expected = F.conv2d(expected, kernel, padding=1, groups=10)
    enlarge: Any = generator.blocks[5]
    torch.testing.assert_close(enlarge.enlarge(x), expected, atol=1e-5, rtol=0)
    assert generator.synthesize(generator.sample_z(1, 0)).shape == (1, 3, 128, 128)


@NEEDS_REFERENCE
def test_the_model_survives_storing(tmp_path: Path) -> None:
    generator = load_generator(model_path())
    save_generator(generator, tmp_path / "model")
    assert verify_generator(tmp_path / "model") < 1e-4
    z = generator.sample_z(2, 3)
    assert torch.equal(load_generator(tmp_path / "model").synthesize(z), generator.synthesize(z))


def tiny(alpha: float = 1.0) -> StyleGAN1Generator:
    torch.manual_seed(0)
    sizes = StyleGAN1Settings((8, 8, 6), (False, False, True), 10, 2, alpha)
    generator = StyleGAN1Generator(sizes).eval().requires_grad_(False)
    for name, buffer in generator.named_buffers():
        if name.startswith("noise_") or name == "w_avg":
            buffer.normal_()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_weight"):
            parameter.normal_()
    return generator


def test_truncation_noise_and_styles_do_what_they_say() -> None:
    generator, z = tiny(), torch.randn(2, 10)
    plain = generator.synthesize(z)
    styles = generator.encode_latent(z).w_plus
    torch.testing.assert_close(generator.synthesize(None, w_plus=styles), plain)
    mean = generator.synthesize(None, w_plus=generator.w_avg.view(1, 1, -1))
    torch.testing.assert_close(generator.synthesize(z, truncation_psi=0.0)[:1], mean)
    stored = [generator.get_buffer(f"noise_{size}") for size in (4, 8, 16)]
    torch.testing.assert_close(generator.synthesize(z, noise=stored), plain)
    assert not torch.allclose(generator.synthesize(z, noise="none"), plain)
    with pytest.raises(ValueError, match=r"w_plus must be \(B, 3, 10\)"):
        generator.synthesize(None, w_plus=torch.zeros(1, 2, 10))


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_whole_transplant_is_the_other_picture(alpha: float) -> None:
    generator, z = tiny(alpha), torch.randn(2, 10)
    whole = Transplant(torch.ones(1, 1, 16, 16), z=z[1:])
    result = generator.synthesize(z[:1], transplants=[whole])
    expected = generator.synthesize(z[1:])
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    trace = generator.trace(z[:1])
    nothing = replace(whole, weight=torch.zeros(1, 1, 16, 16))
    torch.testing.assert_close(
        generator.edit(trace, transplants=[nothing]), generator.synthesize(z[:1])
    )


def test_a_network_without_classes_refuses_them() -> None:
    generator, z = tiny(), torch.randn(1, 10)
    with pytest.raises(ValueError, match="no classes"):
        generator.synthesize(z, torch.tensor([0]))
    with pytest.raises(ValueError, match="no classes that could be mixed"):
        generator.synthesize(z, class_weights=torch.ones(1, 1, 4, 4))
