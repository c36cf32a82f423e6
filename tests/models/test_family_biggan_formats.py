"""BigGAN files of all kinds, made with small random weights: what is told from their shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.biggan_files import (
    GENERATOR_PLANS,
    deep_discriminator_file,
    deep_generator_file,
    discriminator_file,
    generator_file,
    huggingface_file,
)
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.biggan.discriminator import BigGANDiscriminator
from intarsia_models.families.biggan.generator import BigGANGenerator
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.families import known_families
from intarsia_models.generators.loading import load_generator, save_generator, verify_generator

FAMILIES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "biggan": generator_file,
    "biggan-deep": deep_generator_file,
    "biggan-deep-huggingface": huggingface_file,
}


def stored(value: Any, folder: Path, name: str = "G.pth") -> Path:
    torch.save(value, folder / name)
    return folder / name


def loaded(value: Any, folder: Path, **more: Any) -> BigGANGenerator:
    generator = load_generator(stored(value, folder), **more)
    assert isinstance(generator, BigGANGenerator)
    return generator


@pytest.fixture(params=FAMILIES)
def any_family(request: pytest.FixtureRequest, tmp_path: Path) -> BigGANGenerator:
    """A small random generator of each family."""
    return loaded(FAMILIES[request.param](), tmp_path)


def same(picture: Tensor, other: Tensor) -> None:
    """But for the order of sums, which memory's alignment can change."""
    torch.testing.assert_close(picture, other, rtol=0, atol=2e-5)


def a_latent(generator: BigGANGenerator) -> tuple[Tensor, Tensor]:
    return generator.sample_z(1, seed=3), torch.tensor([1])


@pytest.mark.parametrize("name", FAMILIES)
def test_exactly_one_family_recognises_the_file(name: str, tmp_path: Path) -> None:
    file = open_foreign(stored(FAMILIES[name](), tmp_path))
    assert [f.name for f in known_families().values() if f.recognises(file)] == [name]


def test_the_same_seed_makes_the_same_bounded_picture(any_family: BigGANGenerator) -> None:
    z, y = a_latent(any_family)
    with torch.inference_mode():
        picture = any_family.synthesize(z, y)
        again = any_family.synthesize(any_family.sample_z(1, seed=3), y)
    same(picture, again)
    assert picture.shape == (1, 3, any_family.resolution, any_family.resolution)
    assert picture.abs().max() <= 1
    assert picture.std() > 0.01


def test_relabelling_everything_with_the_own_class_changes_nothing(
    any_family: BigGANGenerator,
) -> None:
    z, y = a_latent(any_family)
    maps = ClassMaps.from_areas({1: torch.ones(1, 1, 16, 16)}, base=1)
    with torch.inference_mode():
        plain = any_family.synthesize(z, y)
        same(any_family.synthesize(z, y, class_weights=maps), plain)


def test_every_norm_is_named_once_at_the_size_it_works_at(any_family: BigGANGenerator) -> None:
    z, y = a_latent(any_family)
    asked: list[tuple[str, tuple[int, ...]]] = []

    class Watched(ClassMaps):
        def at(self, name: str, size: Any) -> Tensor:
            asked.append((name, tuple(size)))
            return super().at(name, size)

    maps = Watched((1, 2), torch.full((1, 2, 8, 8), 0.5))
    codes = any_family.encode_latent(z, y)
    state = any_family.begin(codes, maps)
    for level, point in enumerate(any_family.layers):
        if level:
            state = any_family.advance(level, state, codes, maps)
        assert state[0].shape == (1, point.channels, point.size, point.size)
    assert asked == [(norm.name, (norm.size, norm.size)) for norm in any_family.norm_layers]


def test_gradients_reach_z_through_a_relabelled_picture(any_family: BigGANGenerator) -> None:
    z, y = a_latent(any_family)
    z = z.requires_grad_()
    weights = torch.zeros(1, 5, 8, 8)
    weights[:, 1, :, :4], weights[:, 2, :, 4:] = 1, 1
    any_family.synthesize(z, y, class_weights=weights).square().mean().backward()
    assert z.grad is not None
    assert float(z.grad.abs().max()) > 0


def test_our_own_folder_makes_the_same_picture(any_family: BigGANGenerator, tmp_path: Path) -> None:
    save_generator(any_family, tmp_path / "own")
    again = load_generator(tmp_path / "own")
    z, y = a_latent(any_family)
    with torch.inference_mode():
        same(again.synthesize(z, y), any_family.synthesize(z, y))
    assert again.norm_layers == any_family.norm_layers
    assert verify_generator(tmp_path / "own") < 1e-4


@pytest.mark.parametrize(
    ("resolution", "kind"),
    [
        *((resolution, "hierarchical") for resolution in GENERATOR_PLANS),
        (32, "shared"),
        (128, "shared"),
        (32, "tables"),
        (256, "tables"),
    ],
)
def test_sizes_are_told_from_shapes(resolution: int, kind: str, tmp_path: Path) -> None:
    hierarchical, embedding = kind == "hierarchical", None if kind == "tables" else 6
    file = generator_file(resolution, width=1, hierarchical=hierarchical, embedding=embedding,
                          attention=0)  # fmt: skip
    generator = loaded(file, tmp_path)
    blocks = len(GENERATOR_PLANS[resolution][0])
    assert generator.resolution == resolution
    assert generator.z_dim == (3 * (blocks + 1) if hierarchical else 3)
    assert generator.num_classes == 5
    assert [point.size for point in generator.layers] == [4 << i for i in range(blocks + 1)]


@pytest.mark.parametrize(
    ("resolution", "depth"), [(32, 1), (32, 3), (64, 1), (64, 3), (128, 2), (256, 2), (512, 1)]
)
def test_deep_stages_are_told_from_shapes(resolution: int, depth: int, tmp_path: Path) -> None:
    file = deep_generator_file(resolution, depth=depth, attention=0)
    generator = loaded(file, tmp_path)
    assert generator.resolution == resolution
    assert generator.z_dim == 7
    assert len(generator.layers) == depth * len(GENERATOR_PLANS[resolution][0]) + 1


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_attention_is_found_where_it_is(size: int, tmp_path: Path) -> None:
    generator = loaded(generator_file(64, attention=size), tmp_path)
    found = [block["attention"] for block in generator.settings()["blocks"]]
    assert [8 << i for i, has in enumerate(found) if has] == [size]


@pytest.mark.parametrize("resolution", [32, 64, 128, 256, 512])
def test_a_discriminator_halves_as_often_as_its_plan_says(resolution: int, tmp_path: Path) -> None:
    judge = stored(discriminator_file(resolution, width=1, attention=0), tmp_path, "D.pth")
    generator = loaded(generator_file(64), tmp_path, discriminator=judge)
    assert isinstance(generator.discriminator, BigGANDiscriminator)
    with torch.inference_mode():
        maps = generator.discriminator.maps(torch.zeros(1, 3, resolution, resolution))
    assert maps.shape[-1] == (8 if resolution == 32 else 4)


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_a_deep_discriminator_halves_as_often_as_its_plan_says(
    resolution: int, tmp_path: Path
) -> None:
    judge = stored(deep_discriminator_file(resolution), tmp_path, "D.pth")
    generator = loaded(deep_generator_file(64), tmp_path, discriminator=judge)
    assert isinstance(generator.discriminator, BigGANDiscriminator)
    with torch.inference_mode():
        maps = generator.discriminator.maps(torch.zeros(1, 3, resolution, resolution))
    assert maps.shape[-1] == (8 if resolution == 32 else 4)


@pytest.mark.parametrize("prefix", ["module.", "state_dict.", "state_dict.module."])
def test_containers_and_prefixes_are_seen_through(prefix: str, tmp_path: Path) -> None:
    file = generator_file()
    wrapped: Any = dict(file)
    for part in reversed(prefix.strip(".").split(".")):
        if part == "state_dict":
            wrapped = {"state_dict": wrapped, "epoch": 3}
        else:
            wrapped = {f"{part}.{name}": tensor for name, tensor in wrapped.items()}
    (tmp_path / "wrapped").mkdir()
    a, b = loaded(file, tmp_path), loaded(wrapped, tmp_path / "wrapped")
    z, y = a_latent(a)
    same(a.synthesize(z, y), b.synthesize(z, y))


def test_of_one_file_with_all_networks_the_averaged_one_is_taken(tmp_path: Path) -> None:
    both = {"G": generator_file(seed=1), "G_ema": generator_file(seed=2), "D": discriminator_file()}
    generator = loaded(both, tmp_path)
    (tmp_path / "ema").mkdir()
    averaged = loaded(both["G_ema"], tmp_path / "ema")
    z, y = a_latent(generator)
    same(generator.synthesize(z, y), averaged.synthesize(z, y))
    assert isinstance(generator.discriminator, BigGANDiscriminator)


def test_weights_without_spectral_norm_are_taken_as_they_are(tmp_path: Path) -> None:
    file = {n: t for n, t in generator_file().items() if not n.endswith((".u0", ".sv0"))}
    generator = loaded(file, tmp_path)
    assert torch.equal(generator.linear.weight, file["linear.weight"])


def test_synchronized_norms_add_their_gain_unless_told_otherwise(tmp_path: Path) -> None:
    """In eval mode the public code gives norm(x) + gain + bias."""
    file = generator_file(statistics="bn.running", hierarchical=False, attention=0)
    generator = loaded(file, tmp_path)
    assert generator.gain_is_added
    z, y = a_latent(generator)
    norm = generator.blocks[0].get_submodule("norm1")
    x = torch.randn(1, 64, 4, 4)
    codes = generator.encode_latent(z, y)
    gain, beta = (
        norm.get_submodule("gain")(codes.classes),
        norm.get_submodule("beta")(codes.classes),
    )
    mean, variance = file["blocks.0.0.bn1.bn.running_mean"], file["blocks.0.0.bn1.bn.running_var"]
    plain = torch.nn.functional.batch_norm(x, mean, variance)
    gain, beta = (1 + gain)[..., None, None], beta[..., None, None]
    torch.testing.assert_close(norm(x, codes, 0, None), (plain + gain + beta).relu())
    generator.gain_is_added = False
    torch.testing.assert_close(norm(x, codes, 0, None), (plain * gain + beta).relu())
    assert generator.settings()["gain_is_added"] is False


def test_stored_synchronized_norms_multiply_with_a_file_that_multiplies(tmp_path: Path) -> None:
    running = loaded(generator_file(statistics="bn.running"), tmp_path)
    (tmp_path / "mine").mkdir()
    mine = loaded(generator_file(statistics="bn.stored"), tmp_path / "mine")
    running.gain_is_added = False
    z, y = a_latent(mine)
    same(running.synthesize(z, y), mine.synthesize(z, y))


def test_a_huggingface_file_is_read_without_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = huggingface_file()
    plan = [[False, 16, 16], [True, 16, 8], [False, 8, 8], [True, 8, 4]]
    (folder / "config.json").write_text(json.dumps({"layers": plan, "eps": 1e-4}), "utf-8")
    stored(file, folder, "pytorch_model.bin")
    alone, whole = loaded(file, tmp_path), load_generator(folder)
    assert alone.resolution == 16
    z, y = a_latent(alone)
    same(alone.synthesize(z, y), whole.synthesize(z, y))


def test_a_config_of_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"layers": [[True, 16, 8]]}), "utf-8")
    stored(huggingface_file(), tmp_path, "pytorch_model.bin")
    with pytest.raises(UnreadableModel, match=r"config\.json has 1 layers, the weights 4"):
        load_generator(tmp_path)


def test_linear_weighting_takes_the_nearer_row(tmp_path: Path) -> None:
    generator = loaded(huggingface_file(rows=11), tmp_path)
    (row, public), _ = generator.statistics_rows(0.325)
    generator.statistics_weighting = "linear"
    (same, linear), (following, rest) = generator.statistics_rows(0.325)
    assert (row, same, following) == (3, 3, 4)
    assert (public, linear, rest) == pytest.approx((0.25, 0.75, 0.25))
    assert generator.settings()["statistics_weighting"] == "linear"


def test_latents_of_a_network_with_statistics_by_truncation_stay_within_two(tmp_path: Path) -> None:
    generator = loaded(huggingface_file(), tmp_path)
    assert float(generator.sample_z(500, seed=0).abs().max()) <= 2


@pytest.mark.parametrize("name", FAMILIES)
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    file = FAMILIES[name]()
    gone = next(n for n in file if n.endswith("conv1.bias") or n.endswith("conv_1.bias"))
    del file[gone]
    with pytest.raises(UnreadableModel, match=gone.replace(".", r"\.")):
        loaded(file, tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tensor_of_another_shape_is_refused(name: str, tmp_path: Path) -> None:
    file = FAMILIES[name]()
    wrong = next(n for n in file if n.endswith(("conv2.weight", "conv_2.weight_orig")))
    file[wrong] = torch.zeros(3)
    with pytest.raises(UnreadableModel):
        loaded(file, tmp_path)


def test_layers_that_are_not_known_are_refused(tmp_path: Path) -> None:
    file = {**generator_file(), "blocks.1.2.weight": torch.zeros(3)}
    with pytest.raises(UnreadableModel, match=r"layers that are not known: blocks\.1\.2\.weight"):
        loaded(file, tmp_path)


def test_a_discriminator_of_other_classes_is_refused(tmp_path: Path) -> None:
    judge = stored(discriminator_file(classes=7), tmp_path, "D.pth")
    with pytest.raises(UnreadableModel, match="knows 7 classes, the generator 5"):
        loaded(generator_file(), tmp_path, discriminator=judge)


def test_a_generator_is_no_discriminator(tmp_path: Path) -> None:
    judge = stored(generator_file(), tmp_path, "D.pth")
    with pytest.raises(UnreadableModel, match="holds no discriminator of BigGAN"):
        loaded(generator_file(), tmp_path, discriminator=judge)


def test_truncation_outside_its_range_is_refused(any_family: BigGANGenerator) -> None:
    z, y = a_latent(any_family)
    with pytest.raises(ValueError, match=r"truncation_psi must lie in \[0, 1\], got 1\.5"):
        any_family.synthesize(z, y, truncation_psi=1.5)


def test_a_file_in_half_precision_makes_nearly_the_same_picture(tmp_path: Path) -> None:
    file = generator_file()
    (tmp_path / "half").mkdir()
    whole = loaded(file, tmp_path)
    half = loaded({name: t.half() for name, t in file.items()}, tmp_path / "half")
    z, y = a_latent(whole)
    assert float((whole.synthesize(z, y) - half.synthesize(z, y)).abs().mean()) < 0.02


def test_codes_for_several_copies_are_those_of_one(any_family: BigGANGenerator) -> None:
    z, y = a_latent(any_family)
    codes = any_family.encode_latent(z, y)
    several = codes.expand(3)
    assert several.batch == 3
    assert several.y.tolist() == [1, 1, 1]
    with torch.inference_mode():
        one, three = any_family.begin(codes, None)[0], any_family.begin(several, None)[0]
    torch.testing.assert_close(three, one.expand(3, -1, -1, -1))
    assert replace(codes).batch == 1
