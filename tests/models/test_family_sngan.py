"""SNGAN-projection: networks, sizes and files, on tiny random weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fakes.small_generators import small_generator
from torch import Tensor, nn

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.sngan import FAMILY
from intarsia_models.families.sngan.generator import UpBlock
from intarsia_models.families.sngan.layers import ConditionalBatchNorm, SpectralConv2d
from intarsia_models.families.sngan.networks import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
    SNGANAuxiliary,
    SNGANDiscriminator,
    SNGANEncoder,
    SNGANGenerator,
)
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.families import recognise
from intarsia_models.generators.loading import load_generator, save_generator, verify_generator
from intarsia_models.generators.transplants import Transplant

RESOLUTIONS = (32, 64, 128, 256)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# --- sizes


def test_the_256_px_model_has_as_many_parameters_as_the_published_one():
    """22 556 547 and 24 525 457, counted in the published files of Neural Collage."""
    with torch.device("meta"):
        sizes = GeneratorSettings.standard(256, width=48, num_classes=143)
        judge = DiscriminatorSettings.standard(256, width=48, num_classes=143)
        wide = replace(judge, hidden=judge.channels)
        assert parameters_of(SNGANGenerator(sizes, seed=None)) == 22_556_547
        assert parameters_of(SNGANDiscriminator(wide, seed=None)) == 24_525_457


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_standard_sizes_fit_together_at_every_resolution(resolution, small):
    generator = SNGANGenerator(
        GeneratorSettings.standard(resolution, width=2, num_classes=3, z_dim=8, small=small)
    ).eval()
    judge = SNGANDiscriminator(
        DiscriminatorSettings.standard(resolution, width=2, num_classes=3, small=small)
    )
    encoder = SNGANEncoder(EncoderSettings.standard(resolution, width=2, num_classes=3, z_dim=8))
    y = torch.tensor([0, 2])
    with torch.no_grad():
        picture = generator(numbers(2, 8), y)
        assert picture.shape == (2, 3, resolution, resolution)
        assert float(picture.abs().max()) <= 1.0
        assert judge(picture, y).shape == (2, 1)
        assert encoder(picture, y).shape == (2, 8)
    assert generator.resolution == resolution
    assert generator.layers[-1].size == resolution


def test_unknown_resolutions_are_refused():
    with pytest.raises(ValueError, match="one of 32, 64, 128, 256, got 96"):
        GeneratorSettings.standard(96, width=4, num_classes=0)


def test_classes_are_mixed_only_where_there_are_any():
    assert small_generator(companions=False).capabilities == {"classes", "spatial_classes"}
    unconditional = small_generator(companions=False, classes=False)
    assert unconditional.capabilities == frozenset() and unconditional.norm_layers == ()
    with pytest.raises(ValueError, match="no classes"):
        unconditional.synthesize(unconditional.sample_z(1, 0), torch.tensor([0]))


# --- layers


def test_fresh_weights_follow_their_seed_and_leave_torchs_numbers_alone():
    sizes = GeneratorSettings((4, 4, 4, 4), num_classes=2, z_dim=8)
    state = torch.get_rng_state()
    one, same, other = (SNGANGenerator(sizes, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.input.weight, same.input.weight)
    assert not torch.equal(one.input.weight, other.input.weight)


def test_fresh_weights_have_the_spread_of_glorot():
    network = SNGANGenerator(GeneratorSettings((64, 64, 32, 32), num_classes=2), seed=3)
    block = network.blocks[0]
    assert isinstance(block, UpBlock) and network.output.bias is not None
    bound = (6.0 / (64 * 9 + 64 * 9)) ** 0.5
    inner, shortcut = block.conv1.weight.detach(), block.shortcut.weight.detach()
    assert float(inner.abs().max()) == pytest.approx(bound * 2**0.5, rel=0.01)
    assert float(shortcut.abs().max()) == pytest.approx((6.0 / 128) ** 0.5, rel=0.01)
    assert not bool(network.output.bias.any())


def test_training_uses_batch_statistics_and_the_running_ones_follow():
    norm = ConditionalBatchNorm(3, 2)
    x = 4 * numbers(16, 3, 5, 5) + 7
    out = norm(x, torch.zeros(16, dtype=torch.int64))
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(norm.running_mean, 0.1 * x.mean((0, 2, 3)), atol=1e-5)
    expected = 0.9 + 0.1 * x.var((0, 2, 3))
    assert torch.allclose(norm.running_var, expected, atol=1e-4)
    fixed = norm.eval()(x, torch.zeros(16, dtype=torch.int64))
    assert not torch.allclose(fixed, out, atol=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_a_soft_label_mixes_scales_and_shifts(training):
    norm = ConditionalBatchNorm(3, 2).train(training)
    with torch.no_grad():
        norm.gammas.copy_(numbers(2, 3, seed=1))
        norm.betas.copy_(numbers(2, 3, seed=2))
    x = numbers(2, 3, 4, 4)
    with torch.no_grad():
        mixed = norm(x, torch.tensor([[0.25, 0.75]] * 2))
        pure = [norm(x, torch.full((2,), label)) for label in (0, 1)]
    if training:
        assert torch.allclose(mixed, 0.25 * pure[0] + 0.75 * pure[1], atol=1e-5)
    else:
        hard = norm(x, torch.tensor([[0.0, 1.0]] * 2))
        assert torch.allclose(hard, pure[1], atol=1e-6)
        assert torch.allclose(mixed, 0.25 * pure[0] + 0.75 * pure[1], atol=1e-5)


def test_power_iteration_finds_the_largest_singular_value():
    layer = SpectralConv2d(3, 5, 3)
    with torch.no_grad():
        layer.weight.copy_(numbers(5, 3, 3, 3))
        layer.u.copy_(numbers(1, 5, seed=1))
        for _ in range(60):
            layer.normalized()
        largest = torch.linalg.matrix_norm(layer.normalized().flatten(1), 2)
    assert float(largest) == pytest.approx(1.0, abs=1e-3)


def test_spectral_vectors_move_in_training_only():
    judge = SNGANDiscriminator(DiscriminatorSettings.standard(32, width=4, num_classes=2))
    x, y = numbers(1, 3, 32, 32), torch.tensor([1])
    vectors = {name: value.clone() for name, value in judge.named_buffers()}
    judge.eval()
    first, again = judge(x, y), judge(x, y)
    assert torch.equal(first, again)
    assert all(torch.equal(vectors[name], value) for name, value in judge.named_buffers())
    judge.train()
    judge(x, y)
    moved = dict(judge.named_buffers())
    assert not any(torch.equal(vectors[k], moved[k]) for k in vectors if vectors[k].numel() > 1)


def test_the_gradient_of_a_spectral_weight_knows_its_norm():
    """d(W / sigma) along W itself is zero: scaling the weight changes nothing."""
    layer = SpectralConv2d(3, 5, 3).double()
    with torch.no_grad():
        layer.weight.copy_(numbers(5, 3, 3, 3))
        layer.u.copy_(numbers(1, 5, seed=1))
    probe = numbers(5, 3, 3, 3, seed=2).double()
    (gradient,) = torch.autograd.grad((layer.normalized() * probe).sum(), [layer.weight])
    assert float((gradient * layer.weight.detach()).sum().abs()) < 1e-5
    assert float(gradient.abs().max()) > 1e-3


def test_a_kept_spectral_weight_follows_changes():
    layer = SpectralConv2d(3, 5, 3).eval().requires_grad_(False)
    with torch.no_grad():
        layer.weight.copy_(numbers(5, 3, 3, 3))
        kept = layer.normalized()
        assert layer.normalized() is kept
        layer.weight.copy_(numbers(5, 3, 3, 3, seed=4))
        assert not torch.equal(layer.normalized(), kept)
        changed = layer.normalized()
        layer.u.copy_(numbers(1, 5, seed=5))
        assert not torch.equal(layer.normalized(), changed)


def test_a_kept_spectral_weight_serves_gradients_after_inference_mode():
    judge = SNGANDiscriminator(DiscriminatorSettings.standard(32, width=4, num_classes=0))
    judge.eval().requires_grad_(False)
    x = numbers(1, 3, 32, 32)
    with torch.inference_mode():
        judge.features(x)
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(judge.features(x).sum(), [x])
    assert float(gradient.abs().max()) > 0


def test_all_networks_learn():
    generator = small_generator().requires_grad_(True).train()
    y = torch.tensor([0, 1, 2, 3])
    picture = generator(numbers(4, generator.z_dim), y)
    assert generator.discriminator is not None and generator.encoder is not None
    assert generator.auxiliary is not None
    loss = generator.discriminator.logits(picture, y).sum()
    loss = loss + generator.auxiliary(generator.encoder(picture, y)).square().sum()
    loss.backward()
    without = [name for name, p in generator.named_parameters() if p.grad is None]
    assert without == []


# --- the interface


def test_forward_in_eval_mode_is_synthesize():
    generator = small_generator(companions=False)
    z, y = generator.sample_z(2, 1), torch.tensor([0, 3])
    assert torch.equal(generator(z, y), generator.synthesize(z, y))


def test_identity_edits_change_nothing():
    generator = small_generator(companions=False)
    z, y = generator.sample_z(1, 1), torch.tensor([2])
    plain = generator.synthesize(z, y)
    own = torch.zeros(1, generator.num_classes, 8, 8)
    own[:, 2] = 1.0
    relabelled = generator.synthesize(z, y, class_weights=own)
    transplanted = generator.synthesize(z, y, transplants=[Transplant(torch.ones(1, 1, 1, 1), z=z)])
    assert torch.allclose(relabelled, plain, atol=1e-5)
    assert torch.allclose(transplanted, plain, atol=1e-5)


def test_a_whole_relabel_is_the_other_class():
    generator = small_generator(companions=False)
    z = generator.sample_z(1, 1)
    everywhere = torch.zeros(1, generator.num_classes, 1, 1)
    everywhere[:, 3] = 1.0
    relabelled = generator.synthesize(z, torch.tensor([0]), class_weights=everywhere)
    other = generator.synthesize(z, torch.tensor([3]))
    plain = generator.synthesize(z, torch.tensor([0]))
    assert torch.allclose(relabelled, other, atol=1e-5)
    assert float((other - plain).abs().max()) > 0.05


def test_an_edit_from_a_trace_equals_the_one_from_scratch():
    generator = small_generator(companions=False)
    z, y = generator.sample_z(1, 1), torch.tensor([0])
    weights = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = weights / weights.sum(1, keepdim=True)
    late = [norm.name for norm in generator.norm_layers if norm.level >= 2]
    whole = generator.synthesize(z, y, class_weights=weights, class_layers=late)
    reused = generator.edit(generator.trace(z, y), class_weights=weights, class_layers=late)
    assert torch.allclose(whole, reused, atol=1e-6)


def test_styles_and_truncation_are_refused():
    generator = small_generator(companions=False)
    z, y = generator.sample_z(1, 1), torch.tensor([0])
    with pytest.raises(ValueError, match="no truncation_psi"):
        generator.synthesize(z, y, truncation_psi=0.5)
    with pytest.raises(ValueError, match="no styles"):
        generator.synthesize(None, y, w_plus=torch.zeros(1, 2, 3))


def test_other_sizes_are_brought_to_the_encoders():
    encoder = small_generator().encoder
    assert encoder is not None
    assert encoder(numbers(1, 3, 77, 77), torch.tensor([0])).shape == (1, 16)


# --- files


@pytest.mark.parametrize("classes", [True, False])
def test_a_folder_of_ours_gives_the_same_pictures_and_judgements(tmp_path, classes):
    generator = small_generator(classes=classes)
    save_generator(generator, tmp_path / "pack")
    again = load_generator(tmp_path / "pack")
    z, y = generator.sample_z(2, 1), torch.tensor([0, 1]) if classes else None
    picture = generator.synthesize(z, y)
    assert torch.allclose(again.synthesize(z, y), picture, atol=1e-5)
    for role in ("discriminator", "encoder", "auxiliary"):
        own, loaded = getattr(generator, role), getattr(again, role)
        given = (z,) if role == "auxiliary" else (picture, y)
        assert torch.allclose(loaded(*given), own(*given), atol=1e-4), role
    assert again.settings() == generator.settings()
    assert verify_generator(tmp_path / "pack") < 1e-4


def chainer_arrays(classes: int = 3) -> dict[str, np.ndarray]:
    """A 16 px generator as Chainer writes it, with names and shapes of the public code."""
    source = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"l1/W": np.zeros((4 * 16, 5)), "l1/b": np.zeros(4 * 16)}
    for block, (before, after) in {2: (4, 4), 3: (4, 2)}.items():
        for name, (outside, inside, size) in {
            "c1": (after, before, 3),
            "c2": (after, after, 3),
            "c_sc": (after, before, 1),
        }.items():
            shape = (outside, inside, size, size)
            arrays[f"block{block}/{name}/W"] = source.normal(size=shape)
            arrays[f"block{block}/{name}/b"] = source.normal(size=outside)
        for name, channels in {"b1": before, "b2": after}.items():
            if classes:
                arrays[f"block{block}/{name}/gammas/W"] = np.ones((classes, channels))
                arrays[f"block{block}/{name}/betas/W"] = np.zeros((classes, channels))
            else:
                arrays[f"block{block}/{name}/gamma"] = np.ones(channels)
                arrays[f"block{block}/{name}/beta"] = np.zeros(channels)
            arrays[f"block{block}/{name}/avg_mean"] = np.zeros(channels)
            arrays[f"block{block}/{name}/avg_var"] = np.ones(channels)
            arrays[f"block{block}/{name}/N"] = np.array(0)
    arrays |= {"b4/gamma": np.ones(2), "b4/beta": np.zeros(2), "b4/N": np.array(0)}
    arrays |= {"b4/avg_mean": np.zeros(2), "b4/avg_var": np.ones(2)}
    arrays |= {"l4/W": source.normal(size=(3, 2, 3, 3)), "l4/b": np.zeros(3)}
    return {name: np.asarray(a, np.float32 if a.ndim else np.int64) for name, a in arrays.items()}


def written(place: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(place / "ResNetGenerator_1.npz", **arrays)  # pyright: ignore
    return place / "ResNetGenerator_1.npz"


@pytest.mark.parametrize("classes", [0, 3])
def test_sizes_are_read_from_the_shapes(tmp_path, classes):
    generator = load_generator(written(tmp_path, chainer_arrays(classes)))
    assert generator.family == "sngan-projection"
    assert (generator.resolution, generator.z_dim, generator.num_classes) == (16, 5, classes)
    assert [point.name for point in generator.layers] == ["l1", "block2", "block3"]
    y = torch.tensor([classes - 1]) if classes else None
    assert generator.synthesize(generator.sample_z(1, 0), y).shape == (1, 3, 16, 16)


def test_the_file_is_recognised_as_this_family_only(tmp_path):
    file = open_foreign(written(tmp_path, chainer_arrays()))
    assert recognise(file) is FAMILY


def test_labels_may_be_given(tmp_path):
    place = written(tmp_path, chainer_arrays())
    assert load_generator(place, labels=["a", "b", "c"]).labels == ("a", "b", "c")
    with pytest.raises(UnreadableModel, match="2 labels were given for 3 classes"):
        load_generator(place, labels=["a", "b"])


@pytest.mark.parametrize("missing", ["l1/W", "block3/c2/W", "block3/b1/avg_var", "l4/b"])
def test_a_file_that_lacks_a_tensor_is_refused(tmp_path, missing):
    arrays = chainer_arrays()
    del arrays[missing]
    with pytest.raises(UnreadableModel):
        load_generator(written(tmp_path, arrays))


@pytest.mark.parametrize("name", ["l9/W", "block2/c3/W", "block2/c1/strange", "surprise/W"])
def test_a_file_with_an_unknown_tensor_is_refused(tmp_path, name):
    arrays = chainer_arrays() | {name: np.zeros((2, 2), np.float32)}
    with pytest.raises(UnreadableModel, match="unknown"):
        load_generator(written(tmp_path, arrays))


def test_shapes_that_do_not_fit_are_refused_before_anything_is_allocated(tmp_path):
    arrays = chainer_arrays()
    arrays["l1/W"] = np.zeros((1, 1 << 20), np.float32)
    with pytest.raises(UnreadableModel, match="no square of 4 channels"):
        load_generator(written(tmp_path, arrays))
    arrays = chainer_arrays()
    arrays["block3/c1/W"] = np.zeros((1 << 20, 1, 1, 1), np.float32)
    with pytest.raises(UnreadableModel, match="do not fit"):
        load_generator(written(tmp_path, arrays))


def test_other_networks_files_are_named_when_they_are_given_for_the_generators(tmp_path):
    arrays = chainer_arrays()
    np.savez(tmp_path / "D.npz", **arrays, **{"block2/c1/u": np.zeros((1, 4))})  # pyright: ignore
    with pytest.raises(UnreadableModel, match=r"D\.npz holds the discriminator"):
        load_generator(tmp_path / "D.npz")
    np.savez(tmp_path / "E.npz", **arrays, **{"prelu_out/W": np.zeros(5)})  # pyright: ignore
    with pytest.raises(UnreadableModel, match=r"E\.npz holds the encoder"):
        load_generator(tmp_path / "E.npz")
    place = written(tmp_path, arrays)
    with pytest.raises(UnreadableModel, match="holds the generator, not the encoder"):
        load_generator(place, encoder=place)
    with pytest.raises(UnreadableModel, match="no auxiliary networks"):
        load_generator(place, auxiliary=place)


def test_auxiliary_networks_of_another_generator_are_refused(tmp_path):
    place = written(tmp_path, chainer_arrays())
    own = {
        "lA1/W": np.zeros((6, 7)), "lA1/b": np.zeros(6),
        "lA2/W": np.zeros((9, 6)), "lA2/b": np.zeros(9), "preluMiddleW/W": np.zeros(9),
        "lB1/W": np.zeros((6, 9)), "lB1/b": np.zeros(6),
        "lB2/W": np.zeros((7, 6)), "lB2/b": np.zeros(7), "preluW/W": np.zeros(7),
    }  # fmt: skip
    np.savez(tmp_path / "A.npz", **chainer_arrays(), **own)  # pyright: ignore
    with pytest.raises(UnreadableModel, match="7 numbers in z, the generator 5"):
        load_generator(place, auxiliary=tmp_path / "A.npz")


def test_auxiliary_networks_need_no_encoder():
    network = SNGANAuxiliary(AuxiliarySettings(8, 40, 12, 10))
    z = numbers(3, 8)
    assert network.extend(z).shape == (3, 40)
    assert torch.equal(network(z), network.reduce(network.extend(z)))
