"""BigGAN-deep of pytorch-pretrained-BigGAN against values of the public code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor, nn

from intarsia_models.families.biggan.generator import BigGANGenerator
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.loading import load_generator

TOLERANCE = 3e-4
"""Tiny widths amplify rounding; other orders of operations differ by 5e-5."""
TRUNCATIONS = (1.0, 0.4, 0.425, 0.14)


@pytest.fixture(scope="module")
def folder() -> Path:
    data = reference_data()
    place = data and data / "golden" / "01b_biggan_huggingface"
    if place is None or not place.is_dir():
        pytest.skip("the reference folder golden/01b_biggan_huggingface is not beside the project")
    return place


@pytest.fixture(scope="module")
def arrays(folder: Path) -> dict[str, Any]:
    with np.load(folder / "io.npz") as file:
        found: dict[str, Any] = {name: file[name] for name in file}
    names = "scbn.names_in_order"
    tensors = {name: torch.from_numpy(found[name]) for name in found if name != names}
    return {**tensors, names: [str(name) for name in found[names]]}


@pytest.fixture(scope="module")
def generator(folder: Path) -> BigGANGenerator:
    found = load_generator(folder)
    assert isinstance(found, BigGANGenerator)
    return found


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_pictures(truncation: float, generator: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    wanted = arrays[f"image.trunc{truncation}"]
    z, y = arrays["z_unit"][: len(wanted)], arrays["y"][: len(wanted)]
    with torch.inference_mode():
        close(generator.synthesize(z, y, truncation_psi=truncation), wanted)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_statistics_rows(
    truncation: float, generator: BigGANGenerator, arrays: dict[str, Tensor]
) -> None:
    whole, fraction = arrays[f"stat_row.trunc{truncation}"].sort(descending=True).values.tolist()
    rows = generator.statistics_rows(truncation)
    assert rows[0][0] == whole
    assert rows[0][1] == (fraction or 1.0)


def test_the_right_way_round_is_another_picture(
    generator: BigGANGenerator, arrays: dict[str, Tensor]
) -> None:
    z, y = arrays["z_unit"][:1], arrays["y"][:1]
    generator.statistics_weighting = "linear"
    with torch.inference_mode():
        found = generator.synthesize(z, y, truncation_psi=0.425)
        grid = generator.synthesize(z, y, truncation_psi=0.4)
    generator.statistics_weighting = "public"
    assert float((found - arrays["image.trunc0.425"]).abs().max()) > 0.1
    close(grid, arrays["image.trunc0.4"])


def test_a_soft_label(generator: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    z, label = arrays["z_unit"][:1], arrays["soft_label"]
    with torch.inference_mode():
        found = generator.synthesize(z, label, truncation_psi=0.4)
    close(found, arrays["image.soft_label_trunc0.4"])


def test_class_embeddings(generator: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    z = arrays["z_unit"][:1].expand(10, -1)
    close(generator.encode_latent(z, torch.arange(10)).classes, arrays["class_embeddings"])


def test_scales_and_shifts_of_all_classes(
    generator: BigGANGenerator, arrays: dict[str, Tensor]
) -> None:
    codes = generator.encode_latent(arrays["z_unit"][:1], arrays["y"][:1], truncation_psi=0.4)
    checked = 0
    for index, block in enumerate(generator.blocks):
        for number in range(4):
            norm: Any = block.get_submodule(f"norm{number + 1}")
            if f"cbn.{norm.name}.offset" not in arrays:
                continue
            gammas, betas = norm.gamma_beta(codes.conditions(index, range(10)))
            close(gammas[0], arrays[f"cbn.{norm.name}.scale_plus_1"])
            close(betas[0], arrays[f"cbn.{norm.name}.offset"])
            checked += 2
    assert checked == sum(name.startswith("cbn.") for name in arrays)


def test_features(generator: BigGANGenerator, arrays: dict[str, Tensor]) -> None:
    given: dict[str, Tensor] = {}
    handles: list[Any] = []
    number = 0
    for block in generator.blocks:
        attention = block.attention

        def keep(_module: nn.Module, _given: Any, out: Tensor, number: int = number) -> None:
            given[f"layers.{number}"] = out

        if isinstance(attention, nn.Module):

            def keep_input(_module: nn.Module, inputs: Any, number: int = number) -> None:
                given[f"layers.{number}"] = inputs[0]

            def keep_after(_m: nn.Module, _g: Any, out: Tensor, number: int = number + 1) -> None:
                given[f"layers.{number}"] = out

            handles.append(attention.register_forward_pre_hook(keep_input))
            handles.append(attention.register_forward_hook(keep_after))
            number += 1
        else:
            handles.append(block.register_forward_hook(keep))
        number += 1
    with torch.inference_mode():
        generator.synthesize(arrays["z_unit"][:1], arrays["y"][:1], truncation_psi=0.425)
    for handle in handles:
        handle.remove()
    start = "feature0_trunc0.425."
    wanted = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
    assert len(wanted) == 10
    for name, values in wanted.items():
        close(given[name], values)


@pytest.mark.parametrize(
    ("case", "chosen"),
    [
        ("all", slice(None)),
        ("first_bn_only", slice(0, 1)),
        ("all_but_first_bn", slice(1, None)),
    ],
)
def test_classes_by_position(
    case: str, chosen: slice, generator: BigGANGenerator, arrays: dict[str, Any]
) -> None:
    names = arrays["scbn.names_in_order"]
    assert [norm.name for norm in generator.norm_layers] == names
    base, other = arrays["scbn.classes"].tolist()
    maps = ClassMaps.from_areas({other: arrays["scbn.blob"][None, None]}, base=base)
    with torch.inference_mode():
        found = generator.synthesize(
            arrays["z_unit"][:1],
            torch.tensor([base]),
            class_weights=maps,
            class_layers=names[chosen],
            truncation_psi=0.4,
        )
    close(found, arrays[f"scbn.{case}.image"])
