"""BigGAN and BigGAN-deep of ajbrock/BigGAN-PyTorch against values of the public code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor, nn

from intarsia_models.families.biggan.discriminator import BigGANDiscriminator
from intarsia_models.families.biggan.generator import BigGANGenerator
from intarsia_models.generators.loading import load_generator

TOLERANCE = 1e-4
FOLDER = (reference_data() or Path("absent")) / "golden" / "01a_biggan_ajbrock"
ALTERNATIVES = sorted(place.name for place in FOLDER.glob("alt_*")) or ["alt_deep64"]
"""Generators of other kinds, each with its discriminator."""


@pytest.fixture(scope="module")
def folder() -> Path:
    if not FOLDER.is_dir():
        pytest.skip("the reference folder golden/01a_biggan_ajbrock is not beside the project")
    return FOLDER


@pytest.fixture(scope="module")
def arrays(folder: Path) -> dict[str, Tensor]:
    return read(folder)


@pytest.fixture(scope="module")
def averaged(folder: Path) -> BigGANGenerator:
    return loaded(folder)


def read(folder: Path) -> dict[str, Tensor]:
    with np.load(folder / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def loaded(folder: Path, name: str = "G_ema.pth") -> BigGANGenerator:
    generator = load_generator(folder / name, discriminator=folder / "D.pth")
    assert isinstance(generator, BigGANGenerator)
    return generator


def judge_of(generator: BigGANGenerator) -> BigGANDiscriminator:
    assert isinstance(generator.discriminator, BigGANDiscriminator)
    return generator.discriminator


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)


class Watch:
    """What modules gave while it was open."""

    def __init__(self) -> None:
        self.given: dict[str, Tensor] = {}
        self.handles: list[Any] = []

    def output(self, name: str, module: nn.Module) -> None:
        def keep(_module: nn.Module, _given: Any, out: Tensor) -> None:
            self.given[name] = out

        self.handles.append(module.register_forward_hook(keep))

    def input(self, name: str, module: nn.Module) -> None:
        def keep(_module: nn.Module, given: Any) -> None:
            self.given[name] = given[0]

        self.handles.append(module.register_forward_pre_hook(keep))

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


def watched_features(generator: BigGANGenerator, z: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Features by the public code's module names, after ReLU where it is part of our layer."""
    watch = Watch()
    watch.output("linear", generator.linear)
    watch.output("output_layer.0", generator.output_norm)
    for i, block in enumerate(generator.blocks):
        attention = block.attention
        if isinstance(attention, nn.Module):
            watch.input(f"blocks.{i}.0", attention)
            watch.output(f"blocks.{i}.1", attention)
        else:
            watch.output(f"blocks.{i}.0", block)
    with torch.inference_mode():
        generator.synthesize(z, y)
    watch.close()
    return watch.given


def check_features(generator: BigGANGenerator, arrays: dict[str, Tensor], start: str) -> int:
    given = watched_features(generator, arrays["z"][:1], arrays["y"][:1])
    wanted = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
    for name, values in wanted.items():
        close(given[name], values.relu() if name == "output_layer.0" else values)
    return len(wanted)


@pytest.mark.parametrize("name", ["G", "G_ema"])
def test_pictures(name: str, folder: Path, arrays: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        found = loaded(folder, f"{name}.pth").synthesize(arrays["z"], arrays["y"])
    close(found, arrays[f"{name}.image"])


def test_features(averaged: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    assert check_features(averaged, arrays, "G_ema.feature0.") == 7


def test_features_by_edit_point(averaged: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        found = averaged.features(arrays["z"][:1], arrays["y"][:1])
    assert list(found) == ["linear", "blocks.0", "blocks.1", "blocks.2", "blocks.3"]
    close(found["linear"].flatten(1), arrays["G_ema.feature0.linear"])
    close(found["blocks.1"], arrays["G_ema.feature0.blocks.1.0"])
    close(found["blocks.2"], arrays["G_ema.feature0.blocks.2.1"])  # with its attention


def test_scales_and_shifts_of_all_classes(
    averaged: BigGANGenerator, arrays: dict[str, Tensor]
) -> None:
    codes = averaged.encode_latent(arrays["z"][:1], arrays["y"][:1])
    checked = 0
    for index, block in enumerate(averaged.blocks):
        for number in (1, 2):
            norm: Any = block.get_submodule(f"norm{number}")
            gammas, betas = norm.gamma_beta(codes.conditions(index, range(10)))
            name = f"cbn.blocks.{index}.0.bn{number}"
            close(gammas[0], arrays[f"{name}.gain"])
            close(betas[0], arrays[f"{name}.bias"])
            checked += 2
    assert checked == sum(name.startswith("cbn.") for name in arrays)


def test_truncation_scales_z(averaged: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    z, y = arrays["z"][:1], arrays["y"][:1]
    close(0.5 * z, arrays["z_half"])
    with torch.inference_mode():
        close(averaged.synthesize(z, y, truncation_psi=0.5), arrays["G_ema.image_z_half"])


def test_a_mixed_label_is_a_mixed_embedding(
    averaged: BigGANGenerator, arrays: dict[str, Tensor]
) -> None:
    z, y = arrays["z"][:1], arrays["y"]
    label = torch.zeros(1, 10)
    label[0, y[0]] += 0.3
    label[0, y[1]] += 0.7
    with torch.inference_mode():
        close(averaged.encode_latent(z, label).classes, arrays["shared_mix"])
        close(averaged.synthesize(z, label), arrays["G_ema.image_shared_mix"])


def test_spectral_norm_is_one_iteration_from_the_stored_vector(
    folder: Path, arrays: dict[str, Tensor], tmp_path: Path
) -> None:
    """With vectors that no iteration has touched; the exact singular value is far off."""
    overrides = torch.load(folder / "raw_u0_overrides.pth", weights_only=True)
    file = torch.load(folder / "G_ema.pth", weights_only=True)
    assert set(overrides) <= set(file)
    torch.save({**file, **overrides}, tmp_path / "G_ema.pth")
    generator = load_generator(tmp_path / "G_ema.pth")
    with torch.inference_mode():
        found = generator.synthesize(arrays["z"][:1], arrays["y"][:1])
    close(found, arrays["G_raw_u0.image0"])


def test_discriminator(averaged: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    judge, x, y = judge_of(averaged), arrays["D.x"], arrays["D.y"]
    watch = Watch()
    for i, block in enumerate(judge.blocks):
        watch.output(f"D.feature.blocks.{i}.0", block)
        if str(i) in judge.attentions:
            watch.output(f"D.feature.blocks.{i}.1", judge.attentions[str(i)])
    with torch.inference_mode():
        close(judge.logits(x, y), arrays["D.logit"])
        close(judge.features(x), arrays["D.final_feature_relu"].flatten(1))
        found = watch.given
    watch.close()
    wanted = {name: values for name, values in arrays.items() if name.startswith("D.feature.")}
    assert len(wanted) == len(found) == 6
    for name, values in wanted.items():
        close(found[name][: len(values)], values)


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_other_kinds_of_generators(name: str, folder: Path) -> None:
    arrays, generator = read(folder / name), loaded(folder / name)
    with torch.inference_mode():
        found = generator.synthesize(arrays["z"], arrays["y"])
        close(found, arrays["image"])
        close(judge_of(generator).logits(found, arrays["y"]), arrays["D.logit_of_image"])
    assert check_features(generator, arrays, "feature0.") > 4
    assert generator.family == ("biggan-deep" if "deep" in name else "biggan")
