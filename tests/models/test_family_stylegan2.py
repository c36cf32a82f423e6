"""StyleGAN2: the public code's values, and what must hold for any weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan2 import FAMILY, StyleGAN2Generator, build
from intarsia_models.families.stylegan2.layers import StyledConvolution
from intarsia_models.families.stylegan2.settings import DiscriminatorSettings, GeneratorSettings
from intarsia_models.foreign_files import ForeignFile, open_foreign
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.loading import load_generator, save_generator, verify_generator
from intarsia_models.generators.transplants import Transplant

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
TOLERANCE = 1e-4
NVIDIA = "golden/03a_stylegan2_ada_pytorch"
ROSINALITY = "golden/03b_stylegan2_rosinality"
CASES = [
    f"{NVIDIA}/cond_auto_fp16/network-snapshot-000100.pkl",
    f"{NVIDIA}/uncond_paperish/network-snapshot-000100.pkl",
    f"{ROSINALITY}/stylegan2-tiny-config-f.pt",
]


@cache
def generator_of(case: str) -> StyleGAN2Generator:
    assert REFERENCE is not None
    with torch.inference_mode(False):
        generator = load_generator(REFERENCE / case)
    assert isinstance(generator, StyleGAN2Generator)
    return generator


def convolutions_of(generator: StyleGAN2Generator) -> list[StyledConvolution]:
    return [conv for conv in generator.convs if isinstance(conv, StyledConvolution)]


@cache
def values_of(case: str) -> dict[str, Tensor]:
    assert REFERENCE is not None
    arrays = np.load((REFERENCE / case).parent / "io.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


Compute = Callable[[StyleGAN2Generator, dict[str, Tensor]], Tensor]


def label(values: dict[str, Tensor], first: int, count: int = 1) -> Tensor | None:
    return values["c"][first : first + count] if "c" in values else None


def image(
    noise: str = "const", count: int = 3, psi: float = 1.0, cutoff: int | None = None
) -> Compute:
    def compute(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
        return generator.synthesize(
            values["z"][:count],
            label(values, 0, count),
            noise=noise,
            truncation_psi=psi,
            truncation_cutoff=cutoff,
        )

    return compute


def styles(psi: float = 1.0, cutoff: int | None = None) -> Compute:
    def compute(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
        codes = generator.encode_latent(
            values["z"], label(values, 0, 3), truncation_psi=psi, truncation_cutoff=cutoff
        )
        return codes.w_plus if cutoff else codes.w_plus[:, 0]

    return compute


def from_styles(noise: str) -> Compute:
    return lambda generator, values: generator.synthesize(None, w_plus=values["wplus"], noise=noise)


def mixed(cut: int) -> Compute:
    def compute(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
        w = generator.styles(values["z"], label(values, 0, 3)).expand(-1, 8, -1)
        w_plus = torch.cat((w[:1, :cut], w[1:2, cut:]), 1)
        return generator.synthesize(None, w_plus=w_plus)

    return compute


def blended(with_rgb: bool) -> Compute:
    def compute(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
        transplant = Transplant(
            {"b8": values["blend.mask8"]},
            z=values["z"][1:2],
            y=label(values, 1),
            with_rgb=with_rgb,
        )
        return generator.synthesize(values["z"][:1], label(values, 0), transplants=[transplant])

    return compute


def judged(count: int) -> Compute:
    def compute(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
        assert generator.discriminator is not None
        y = values["c"][[0, 1, 2, 0]][:count] if "c" in values else None
        return generator.discriminator.logits(values["D.x"][:count], y)

    return compute


def own_noise(generator: StyleGAN2Generator, values: dict[str, Tensor]) -> Tensor:
    noise = [values[f"own_noise.{index}"] for index in range(7)]
    return generator.synthesize(values["z"][:1], noise=noise)


COMPUTED: dict[str, Compute] = {
    "w_avg": lambda generator, values: generator.w_avg,
    "latent_avg": lambda generator, values: generator.w_avg,
    "num_ws": lambda generator, values: torch.tensor(generator.sizes.styles),
    "n_latent": lambda generator, values: torch.tensor(generator.sizes.styles),
    "ws": styles(),
    "w": styles(),
    "ws_psi0.7": styles(0.7),
    "ws_psi0.5_cutoff3": styles(0.5, 3),
    "image_const": image(),
    "image_none": image("none"),
    "image_const_psi0.7": image(count=1, psi=0.7),
    "image_const_psi0.5": image(count=1, psi=0.5),
    "image_const_psi0.5_cutoff3": image(count=1, psi=0.5, cutoff=3),
    "image_wplus_const": from_styles("const"),
    "image_wplus_none": from_styles("none"),
    "image_stylemix_0_to_3_from_z0_rest_z1": mixed(4),
    "image_stylemix_inject3": mixed(3),
    "image_own_noise": own_noise,
    "D.logit_batch4": judged(4),
    "D.logit_batch1": judged(1),
    "blend.x_only_b8.image": blended(with_rgb=False),
    "blend.x_and_img_b8.image": blended(with_rgb=True),
}
INPUTS = {"z", "c", "wplus", "D.x", "blend.mask8", *(f"own_noise.{i}" for i in range(7))}


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_every_value_of_the_public_code_is_reproduced(case: str) -> None:
    generator, values = generator_of(case), values_of(case)
    compared = set()
    for name in COMPUTED:
        if name in values:
            computed = COMPUTED[name](generator, values)
            torch.testing.assert_close(
                computed.to(values[name].dtype), values[name], atol=TOLERANCE, rtol=0
            )
            compared.add(name)
    features = features_of(generator, values["wplus"], nvidia="03a" in case)
    for name, computed in features.items():
        torch.testing.assert_close(computed, values[name], atol=TOLERANCE, rtol=0)
    left = values.keys() - compared - features.keys() - INPUTS - {"G.image_const"}
    assert not left, f"not compared: {sorted(left)}"


def features_of(
    generator: StyleGAN2Generator, w_plus: Tensor, *, nvidia: bool
) -> dict[str, Tensor]:
    """Every layer's output by the public code's names."""
    found: dict[str, Tensor] = {}
    seen: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output)

    handles = [conv.register_forward_hook(keep) for conv in convolutions_of(generator)]
    trace = generator.trace(None, w_plus=w_plus)
    for handle in handles:
        handle.remove()
    for index, output in enumerate(seen):
        ours = [n.name for n in generator.norm_layers if "conv" in n.name][index]
        theirs = "conv1" if index == 0 else f"convs.{index - 1}"
        found[f"feature_wplus_const.{ours if nvidia else theirs}"] = output
    for level, (x, rgb) in enumerate(trace.states):
        block = generator.layers[level].name
        if nvidia:
            found[f"feature_wplus_const.{block}.x"] = x
            found[f"feature_wplus_const.{block}.img"] = rgb
        else:
            name = "to_rgb1" if level == 0 else f"to_rgbs.{level - 1}"
            found[f"feature_wplus_const.{name}"] = rgb
    return found


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES[:2])
@torch.inference_mode()
def test_the_generator_without_averaging_is_read_where_there_is_no_other(case: str) -> None:
    assert REFERENCE is not None
    file = open_foreign(REFERENCE / case)
    tree = {name: part for name, part in file.tree.items() if name != "G_ema"}
    tensors = {name: t for name, t in file.tensors.items() if not name.startswith("G_ema.")}
    converted = FAMILY.read(replace(file, tree=tree, tensors=tensors))
    generator, values = build(converted.settings, converted.tensors), values_of(case)
    picture = generator.synthesize(values["z"][:1], label(values, 0))
    torch.testing.assert_close(picture, values["G.image_const"], atol=TOLERANCE, rtol=0)


@NEEDS_REFERENCE
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@torch.inference_mode()
def test_a_checkpoint_of_a_training_is_read_and_its_mean_style_computed(
    tmp_path: Path, zipped: bool
) -> None:
    from argparse import Namespace

    assert REFERENCE is not None
    saved = torch.load(REFERENCE / CASES[2], weights_only=True)
    del saved["latent_avg"]
    saved["g_ema"], saved["args"] = saved["g_ema"], Namespace(size=32, r1=10.0)
    saved |= {"g_optim": {"state": {0: {"step": torch.tensor(3.0)}}}, "ada_aug_p": 0.0}
    path = tmp_path / "100000.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    generator, values = load_generator(path), values_of(CASES[2])
    assert isinstance(generator, StyleGAN2Generator)
    picture = generator.synthesize(values["z"])
    torch.testing.assert_close(picture, values["image_const"], atol=TOLERANCE, rtol=0)
    spread = generator.styles(generator.sample_z(2000, 1), None).std()
    assert float((generator.w_avg - values["latent_avg"]).abs().mean()) < 0.2 * float(spread)
    converted = FAMILY.read(open_foreign(path))
    assert any("mean style" in note for note in converted.notes)


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES)
def test_the_licence_is_told_and_the_model_survives_storing(tmp_path: Path, case: str) -> None:
    assert REFERENCE is not None
    assert "NVIDIA Source Code License" in FAMILY.read(open_foreign(REFERENCE / case)).licence
    generator = generator_of(case)
    save_generator(generator, tmp_path / "model")
    assert verify_generator(tmp_path / "model") < 1e-4
    again = load_generator(tmp_path / "model")
    z = generator.sample_z(2, 3)
    y = torch.tensor([0, 1]) if generator.num_classes else None
    with torch.inference_mode():
        assert torch.equal(again.synthesize(z, y), generator.synthesize(z, y))


# --- tiny random networks


def tiny(num_classes: int = 0, **changed: Any) -> StyleGAN2Generator:
    judge = DiscriminatorSettings(
        (6, 6, 8), 8, class_width=8 if num_classes else 0, class_layers=2 if num_classes else 0
    )
    sizes = GeneratorSettings((8, 8, 6), 10, 12, 2, num_classes, discriminator=judge)
    torch.manual_seed(0)
    generator = StyleGAN2Generator(replace(sizes, **changed)).eval().requires_grad_(False)
    for conv in convolutions_of(generator):
        conv.noise.normal_()
        conv.noise_strength.fill_(0.3)
        conv.style.bias.add_(1.0)
    generator.w_avg.normal_()
    return generator


@torch.inference_mode()
def test_a_modulated_convolution_is_the_paper_s_formula() -> None:
    """Eq. 1-3 with a weight for every picture, written out, noise and clamp included."""
    generator = tiny(clamp=0.5)
    conv, x, w = convolutions_of(generator)[2], torch.randn(2, 8, 8, 8), torch.randn(2, 12)
    got = conv(x, w, conv.noise)
    for index in range(2):
        weight = conv.weight * conv.style(w)[index][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        y = torch.nn.functional.conv2d(x[index : index + 1], weight, padding=1)
        y = y + 0.3 * conv.noise + conv.bias.view(1, -1, 1, 1)
        expected = (torch.nn.functional.leaky_relu(y, 0.2) * 2**0.5).clamp(-0.5, 0.5)
        torch.testing.assert_close(got[index : index + 1], expected, atol=1e-5, rtol=0)
    assert float(got.abs().max()) == 0.5


@torch.inference_mode()
def test_no_truncation_and_full_truncation_are_the_style_and_the_mean() -> None:
    generator, z = tiny(), torch.randn(2, 10)
    plain = generator.synthesize(z)
    assert torch.equal(plain, generator.synthesize(z, truncation_psi=1.0))
    mean = generator.synthesize(None, w_plus=generator.w_avg.view(1, 1, -1))
    for picture in generator.synthesize(z, truncation_psi=0.0).split(1):
        torch.testing.assert_close(picture, mean)
    codes = generator.encode_latent(z, truncation_psi=0.3, truncation_cutoff=2)
    assert torch.equal(codes.w_plus[:, 2:], generator.encode_latent(z).w_plus[:, 2:])


@torch.inference_mode()
def test_noise_is_the_stored_one_none_a_given_one_or_a_new_one() -> None:
    generator, z = tiny(), torch.randn(1, 10)
    const, none = generator.synthesize(z), generator.synthesize(z, noise="none")
    given = [conv.noise for conv in convolutions_of(generator)]
    assert torch.equal(generator.synthesize(z, noise=given), const)
    silent = [torch.zeros_like(part) for part in given]
    torch.testing.assert_close(generator.synthesize(z, noise=silent), none)
    assert not torch.allclose(const, none)
    one, other = (generator.synthesize(z, noise="random") for _ in range(2))
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="noise must be maps of the sizes"):
        generator.synthesize(z, noise=given[:-1])
    with pytest.raises(ValueError, match="noise must be"):
        generator.synthesize(z, noise="some")


@torch.inference_mode()
def test_a_map_of_one_class_is_that_class() -> None:
    generator, z = tiny(3), torch.randn(2, 10)
    weights = torch.zeros(1, 3, 16, 16)
    weights[:, 2] = 1
    other = generator.synthesize(z, torch.tensor([2, 2]))
    relabelled = generator.synthesize(z, torch.tensor([0, 1]), class_weights=weights)
    torch.testing.assert_close(relabelled, other, atol=1e-5, rtol=0)
    assert not torch.allclose(other, generator.synthesize(z, torch.tensor([0, 1])), atol=1e-2)


@torch.inference_mode()
def test_inside_an_area_a_convolution_with_a_map_is_exact() -> None:
    """Away from the border by more than the filters reach, mixing styles is no approximation."""
    generator, x = tiny(3), torch.randn(1, 8, 8, 8)
    convs = convolutions_of(generator)
    for conv, side in ((convs[2], 8), (convs[3], 16)):
        w = torch.randn(1, 2, 12)
        weights = torch.zeros(1, 2, side, side)
        weights[:, 0, :, : side // 2] = 1
        weights[:, 1] = 1 - weights[:, 0]
        mixed_ = conv(x, w, None, weights)
        for index, columns in enumerate((slice(0, side // 2 - 3), slice(side // 2 + 3, None))):
            whole = conv(x, w[:, index], None)
            torch.testing.assert_close(mixed_[..., columns], whole[..., columns], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_layers_that_are_not_chosen_keep_the_own_class() -> None:
    generator, z, y = tiny(3), torch.randn(1, 10), torch.tensor([0])
    weights = torch.zeros(1, 3, 16, 16)
    weights[:, 1] = 1
    plain = generator.features(z, y)
    edited = generator.trace(z, y)
    picture = generator.edit(edited, class_weights=weights, class_layers=["b16.conv0"])
    maps = ClassMaps.from_dense(weights).select(["b16.conv0"])
    assert generator.first_edited(maps, ()) == 2
    assert not torch.allclose(picture, generator.render(edited), atol=1e-3)
    again = generator.synthesize(z, y, class_weights=weights, class_layers=["b16.conv0"])
    torch.testing.assert_close(picture, again)
    assert set(plain) == {"b4", "b8", "b16"}


@torch.inference_mode()
def test_styles_can_be_relabelled_by_the_classes_mean_styles() -> None:
    generator, z, y = tiny(3), torch.randn(1, 10), torch.tensor([0])
    w_plus = generator.encode_latent(z, y).w_plus
    weights = torch.zeros(1, 3, 16, 16)
    weights[:, 0] = 1
    same = generator.synthesize(None, y, w_plus=w_plus, class_weights=weights)
    torch.testing.assert_close(same, generator.synthesize(z, y), atol=1e-5, rtol=0)
    other = generator.synthesize(None, y, w_plus=w_plus, class_weights=weights.flip(1))
    assert not torch.allclose(other, same, atol=1e-2)
    soft = torch.tensor([[1.0, 0.0, 0.0]])
    softly = generator.synthesize(None, soft, w_plus=w_plus, class_weights=weights.flip(1))
    torch.testing.assert_close(softly, other, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="needs y"):
        generator.synthesize(None, w_plus=w_plus, class_weights=weights)


@torch.inference_mode()
def test_frames_lead_from_the_picture_to_the_edit() -> None:
    generator, z, y = tiny(3), torch.randn(1, 10), torch.tensor([0])
    weights = torch.zeros(1, 3, 16, 16)
    weights[:, 1] = 1
    transplant = Transplant(torch.ones(1, 1, 16, 16) * 0.5, z=torch.randn(1, 10))
    trace = generator.trace(z, y)
    frames = list(
        generator.frames(
            trace, [0.0, 0.5, 1.0], class_weights=weights, transplants=[transplant], batch=2
        )
    )
    torch.testing.assert_close(frames[0], generator.render(trace), atol=1e-5, rtol=0)
    whole = generator.edit(trace, class_weights=weights, transplants=[transplant])
    torch.testing.assert_close(frames[2], whole, atol=1e-5, rtol=0)
    assert not torch.allclose(frames[1], frames[2], atol=1e-3)


def test_gradients_reach_the_styles() -> None:
    generator = tiny()
    w_plus = torch.randn(1, 6, 12, requires_grad=True)
    generator.synthesize(None, w_plus=w_plus).square().sum().backward()
    assert w_plus.grad is not None
    assert bool((w_plus.grad.abs().sum(2) > 0).all())


@pytest.mark.parametrize("architecture", ["resnet", "orig"])
@torch.inference_mode()
def test_the_discriminator_s_features_belong_to_each_picture_alone(architecture: str) -> None:
    judge = DiscriminatorSettings((6, 6, 8), 8, architecture)
    generator = tiny(discriminator=judge)
    assert generator.discriminator is not None
    x = torch.randn(5, 3, 16, 16)
    features = generator.discriminator.features(x)
    assert features.shape == (5, 8 * 16)
    torch.testing.assert_close(generator.discriminator.features(x[3:4]), features[3:4])
    assert generator.discriminator.logits(x).shape == (5, 1)
    assert generator.discriminator.logits(x[:3]).shape == (3, 1)


def test_a_conditional_discriminator_asks_for_the_class() -> None:
    generator = tiny(3)
    assert generator.discriminator is not None
    x = torch.randn(2, 3, 16, 16)
    with pytest.raises(ValueError, match="y is needed"):
        generator.discriminator.logits(x)
    y = torch.tensor([0, 2])
    rows = torch.nn.functional.one_hot(y, 3).float()
    same = generator.discriminator.logits(x, y)
    torch.testing.assert_close(same, generator.discriminator.logits(x, rows))
    assert not torch.allclose(same, generator.discriminator.logits(x, y.flip(0)))


def test_settings_build_the_same_module_again() -> None:
    generator = tiny(3, clamp=256.0)
    sizes = GeneratorSettings.from_dict(generator.settings())
    assert sizes == generator.sizes
    assert asdict(sizes)["discriminator"]["channels"] == (6, 6, 8)


def test_styles_and_cut_offs_of_a_wrong_shape_are_refused() -> None:
    generator = tiny()
    with pytest.raises(ValueError, match=r"w_plus must be \(B, 6, 12\), got \(1, 5, 12\)"):
        generator.synthesize(None, w_plus=torch.zeros(1, 5, 12))
    with pytest.raises(ValueError, match=r"truncation_psi must lie in \[0, 1\], got 3"):
        generator.synthesize(torch.zeros(1, 10), truncation_psi=3)


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES)
def test_a_file_with_a_missing_tensor_is_refused_by_its_name(case: str) -> None:
    assert REFERENCE is not None
    file = open_foreign(REFERENCE / case)
    name = next(n for n in file.tensors if n.endswith(("b8.conv0.bias", "convs.0.activate.bias")))
    name = name.replace("G.", "G_ema.")
    tensors = {key: tensor for key, tensor in file.tensors.items() if key != name}
    broken: ForeignFile = replace(file, tensors=tensors)
    with pytest.raises(UnreadableModel, match=r"has no tensor .*bias|do not fit|no StyleGAN2"):
        converted = FAMILY.read(broken)
        try:
            build(converted.settings, converted.tensors)
        except RuntimeError as error:
            raise UnreadableModel(f"do not fit: {error}") from error


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES[:2])
def test_a_snapshot_without_a_mean_style_gets_one(case: str) -> None:
    assert REFERENCE is not None
    file = open_foreign(REFERENCE / case)
    tensors = {k: t for k, t in file.tensors.items() if k != "G_ema.mapping.w_avg"}
    converted = FAMILY.read(replace(file, tensors=tensors))
    generator = build(converted.settings, converted.tensors)
    z = generator.sample_z(4000, 5)
    y = torch.arange(4000) % generator.num_classes if generator.num_classes else None
    styles_ = generator.styles(z, y)[:, 0]
    assert bool(((generator.w_avg - styles_.mean(0)).abs() < 0.2 * styles_.std(0) + 1e-3).all())
    assert any("mean style" in note for note in converted.notes)


@NEEDS_REFERENCE
@pytest.mark.parametrize("case", CASES)
def test_tensors_of_strange_shapes_and_strange_settings_are_refused(case: str) -> None:
    assert REFERENCE is not None
    file = open_foreign(REFERENCE / case)
    names = [name for name in file.tensors if name.startswith(("G_ema.", "g_ema."))]
    for name in names[:: max(1, len(names) // 12)]:
        broken = replace(file, tensors={**file.tensors, name: torch.zeros(1)})
        with contextlib.suppress(UnreadableModel, RuntimeError):
            converted = FAMILY.read(broken)
            build(converted.settings, converted.tensors)
    if file.kind == "nvidia-pickle":
        for state in ({}, {"_modules": None}, {"_modules": {"synthesis": 3}}):
            tree = {"G_ema": {**file.tree["G_ema"], "state": state}}
            with pytest.raises(UnreadableModel, match="not laid out as its names promise"):
                FAMILY.read(replace(file, tree=tree))


@pytest.mark.parametrize("num_classes", [0, 3])
@torch.inference_mode()
def test_lower_precision_makes_nearly_the_same_picture(num_classes: int) -> None:
    generator, z = tiny(num_classes), torch.randn(1, 10)
    y = torch.tensor([1]) if num_classes else None
    weights = None
    if num_classes:
        weights = torch.rand(1, num_classes, 16, 16).softmax(1)
    exact = generator.synthesize(z, y, class_weights=weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = generator.synthesize(z, y, class_weights=weights)
    assert rough.dtype == torch.float32
    assert float((rough - exact).abs().mean()) < 0.05 * float(exact.std())
