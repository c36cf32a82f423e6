"""Classes by position and feature blending on BigGAN against values of the public code, patched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor

from intarsia_models.families.biggan.generator import BigGANGenerator
from intarsia_models.generators.class_maps import ClassMaps, Resize
from intarsia_models.generators.loading import load_generator
from intarsia_models.generators.spatial_norm import spatial_norm
from intarsia_models.generators.transplants import Transplant

TOLERANCE = 1e-4
LEVELS = ("linear", "blocks.0", "blocks.1", "blocks.2", "blocks.3")
SELECTIONS = {
    "all_layers": slice(None),
    "first_ccbn_only": slice(0, 1),
    "all_but_first_ccbn": slice(1, None),
    "first_block_only": slice(0, 2),
    "all_but_first_block": slice(2, None),
    "last_block_only": slice(-2, None),
}
BLENDS: dict[str, dict[int, tuple[int, ...]]] = {
    "level0": {1: (0,)},
    "level2": {1: (2,)},
    "levels012": {1: (0, 1, 2)},
    "all_levels": {1: (0, 1, 2, 3, 4)},
    "two_refs_levels01": {1: (0, 1), 2: (0, 1)},
}
"""Levels by reference."""


@pytest.fixture(scope="module")
def golden() -> Path:
    data = reference_data()
    place = data and data / "golden"
    for name in ("02b_biggan_scbn_blend", "01a_biggan_ajbrock"):
        if place is None or not (place / name).is_dir():
            pytest.skip(f"the reference folder golden/{name} is not beside the project")
    assert place is not None
    return place


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, Any]:
    with np.load(golden / "02b_biggan_scbn_blend" / "io.npz") as file:
        found: dict[str, Any] = {name: file[name] for name in file}
    return {
        name: value if value.dtype.kind == "U" else torch.from_numpy(value)
        for name, value in found.items()
    }


@pytest.fixture(scope="module")
def generator(golden: Path) -> BigGANGenerator:
    found = load_generator(golden / "01a_biggan_ajbrock" / "G_ema.pth")
    assert isinstance(found, BigGANGenerator)
    return found


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)


def base_of(arrays: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return arrays["z"][:1], arrays["classes_base_c1_c2"][:1]


def test_one_class_everywhere(generator: BigGANGenerator, arrays: dict[str, Any]) -> None:
    z, y = base_of(arrays)
    weights = torch.zeros_like(arrays["W"])
    weights[:, y[0]] = 1
    with torch.inference_mode():
        close(generator.synthesize(z, y), arrays["scbn.plain.image"])
        close(generator.synthesize(z, y, class_weights=weights), arrays["scbn.plain.image"])


@pytest.mark.parametrize(
    ("resize", "case"), [("bilinear", "all_layers"), *(("area", case) for case in SELECTIONS)]
)
def test_classes_by_position(
    resize: Resize, case: str, generator: BigGANGenerator, arrays: dict[str, Any]
) -> None:
    names = [str(name) for name in arrays["ccbn_names_in_order"]]
    assert [norm.name for norm in generator.norm_layers] == names
    z, y = base_of(arrays)
    maps = ClassMaps.from_dense(arrays["W"], resize=resize)
    assert sorted(maps.classes) == sorted(arrays["classes_base_c1_c2"].tolist())
    with torch.inference_mode():
        found = generator.synthesize(z, y, class_weights=maps, class_layers=names[SELECTIONS[case]])
    close(found, arrays[f"scbn.{resize}.{case}.image"])


@pytest.mark.parametrize("case", SELECTIONS)
def test_an_edit_of_a_trace_is_the_same_picture(
    case: str, generator: BigGANGenerator, arrays: dict[str, Any]
) -> None:
    names = [norm.name for norm in generator.norm_layers][SELECTIONS[case]]
    with torch.inference_mode():
        trace = generator.trace(*base_of(arrays))
        found = generator.edit(trace, class_weights=arrays["W"], class_layers=names)
    close(found, arrays[f"scbn.area.{case}.image"])


def test_features_with_classes_by_position(
    generator: BigGANGenerator, arrays: dict[str, Any]
) -> None:
    given: dict[str, Tensor] = {}
    handles: list[Any] = []
    for i, block in enumerate(generator.blocks):

        def keep(_module: Any, _given: Any, out: Tensor, name: str = f"blocks.{i}.0") -> None:
            given[name] = out

        handles.append(block.register_forward_hook(keep))
    attention = generator.blocks[2].get_submodule("attention")

    def keep_input(_module: Any, inputs: Any) -> None:
        given["blocks.2.0 before attention"] = inputs[0]

    handles.append(attention.register_forward_pre_hook(keep_input))
    with torch.inference_mode():
        generator.synthesize(*base_of(arrays), class_weights=arrays["W"])
    for handle in handles:
        handle.remove()
    start = "scbn.area.all_layers.feature."
    close(given["blocks.0.0"], arrays[f"{start}blocks.0.0"])
    close(given["blocks.1.0"], arrays[f"{start}blocks.1.0"])
    close(given["blocks.2.0 before attention"], arrays[f"{start}blocks.2.0"])
    close(given["blocks.2.0"], arrays[f"{start}blocks.2.1"])
    assert sum(name.startswith(start) for name in arrays) == 4


def test_one_layer_alone(generator: BigGANGenerator, arrays: dict[str, Any]) -> None:
    """Neither square nor of the layer's usual size; without the ReLU that follows it."""
    name = str(arrays["layer.name"])
    index, number = int(name.split(".")[1]), name[-1]
    norm: Any = generator.blocks[index].get_submodule(f"norm{number}")
    assert norm.name == name
    z, y = base_of(arrays)
    codes = generator.encode_latent(z, y)
    gammas, betas = norm.gamma_beta(codes.conditions(index, range(10)))
    x, weights = arrays["layer.x"], arrays["layer.W"]
    found = spatial_norm(x, norm.mean[0], norm.variance[0], norm.eps, gammas, betas, weights)
    close(found, arrays["layer.out"])
    with torch.inference_mode():
        packed = x.contiguous(memory_format=torch.channels_last)
        made = norm(packed, codes, index, ClassMaps.per_layer({name: weights}))
    close(made, arrays["layer.out"].relu())


@pytest.mark.parametrize("number", [0, 1])
def test_unblended_pictures(
    number: int, generator: BigGANGenerator, arrays: dict[str, Any]
) -> None:
    one = slice(number, number + 1)
    with torch.inference_mode():
        found = generator.synthesize(arrays["z"][one], arrays["blend.y"][one])
    close(found, arrays[f"blend.plain{number}.image"])


def transplant(
    arrays: dict[str, Any], number: int, levels: tuple[int, ...], **more: Any
) -> Transplant:
    mask = more.pop("weight", arrays[f"blend.mask{number}"])
    return Transplant(
        mask[None, None],
        z=arrays["z"][number : number + 1],
        y=arrays["blend.y"][number : number + 1],
        strengths={LEVELS[level]: 1.0 for level in levels},
        **more,
    )


@pytest.mark.parametrize("case", BLENDS)
def test_blended_features(case: str, generator: BigGANGenerator, arrays: dict[str, Any]) -> None:
    transplants = [transplant(arrays, number, levels) for number, levels in BLENDS[case].items()]
    z, y = arrays["z"][:1], arrays["blend.y"][:1]
    with torch.inference_mode():
        found = generator.synthesize(z, y, transplants=transplants)
        edited = generator.edit(generator.trace(z, y), transplants=transplants)
    close(found, arrays[f"blend.{case}.image"])
    close(edited, arrays[f"blend.{case}.image"])


def test_features_after_a_blend(generator: BigGANGenerator, arrays: dict[str, Any]) -> None:
    given: list[Tensor] = []
    handle = generator.blocks[2].register_forward_pre_hook(
        lambda _module, inputs: given.append(inputs[0])
    )
    with torch.inference_mode():
        trace = generator.trace(arrays["z"][:1], arrays["blend.y"][:1])
        reference = generator.trace(arrays["z"][1:2], arrays["blend.y"][1:2])
        given.clear()
        generator.edit(
            trace,
            transplants=[
                Transplant(
                    arrays["blend.mask1"][None, None],
                    trace=reference,
                    strengths={"blocks.1": 1.0},
                )
            ],
        )
    handle.remove()
    assert len(given) == 1
    close(given[0], arrays["blend.level2.feature_after_blend"])


def test_a_shifted_blend(generator: BigGANGenerator, arrays: dict[str, Any]) -> None:
    down, right = arrays["blend.shift.dy_dx_output_pixels"].tolist()
    moved = transplant(arrays, 1, (1, 2), weight=arrays["blend.shift.mask"], shift=(right, down))
    with torch.inference_mode():
        found = generator.synthesize(arrays["z"][:1], arrays["blend.y"][:1], transplants=[moved])
    close(found, arrays["blend.shift.image"])
