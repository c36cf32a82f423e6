"""SNGAN-projection against values of the public Chainer code."""

import numpy as np
import pytest
import torch
from tests.models.sngan_reference import (
    CIFAR,
    COLLAGE,
    IMAGENET,
    Case,
    collage_generator,
    largest_difference,
)
from torch.nn.functional import interpolate

from intarsia_models.families.sngan.networks import SNGANDiscriminator
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator
from intarsia_models.generators.spatial_norm import spatial_norm
from intarsia_models.generators.transplants import Transplant

IMAGES = 1e-4
BLENDS = ("centre_layer0", "lambda_mask", "two_references", "shifted", "shifted_off")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def case() -> Case:
    return Case(COLLAGE)


@pytest.fixture
def generator(case: Case) -> Generator:
    return collage_generator()


def judge(generator: Generator) -> SNGANDiscriminator:
    assert isinstance(generator.discriminator, SNGANDiscriminator)
    return generator.discriminator


def exact_maps(case: Case, generator: Generator, layers: slice = slice(None)) -> ClassMaps:
    """The stored maps of `scbn.all_layers`, for some of the norms."""
    names = [norm.name for norm in generator.norm_layers]
    maps = {name: case.maps(f"scbn.all_layers.W{i}") for i, name in enumerate(names)}
    return ClassMaps.per_layer({name: maps[name] for name in names[layers]})


def test_plain_pictures_and_features_are_those_of_the_public_code(case, generator):
    picture = generator.synthesize(case["plain.z"], case["plain.y"])
    features = generator.features(case["plain.z"][:1], case["plain.y"][:1])
    assert largest_difference(picture, case["plain.image"]) < IMAGES
    for name in ("l1", "block2", "block3", "block4", "block5"):
        assert largest_difference(features[name], case[f"plain.feature0.{name}"]) < IMAGES


def test_sizes_of_edit_points_and_norms_are_those_of_the_public_code(case, generator):
    assert [norm.size for norm in generator.norm_layers] == case.meta()["w_sizes"]
    assert [point.size for point in generator.layers] == case.meta()["b_sizes"]
    assert generator.z_dim == case.meta()["dim_z"]
    assert generator.num_classes == case.meta()["n_classes"]


def test_conditional_tables_are_read_under_their_names(case, generator):
    for index in range(2, 7):
        for norm in (1, 2):
            own = getattr(generator.get_submodule(f"blocks.{index - 2}"), f"norm{norm}")
            stored = f"cbn.block{index}.b{norm}"
            assert torch.equal(own.gammas, case[f"{stored}.gamma"])
            assert torch.equal(own.betas, case[f"{stored}.beta"])


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("all_layers", slice(None)),
        ("first_layer_only", slice(0, 1)),
        ("all_but_first_layer", slice(1, None)),
        ("last_block_only", slice(-2, None)),
    ],
)
def test_relabelling_some_layers_is_that_of_the_public_code(case, generator, name, layers):
    base = case["scbn.classes"][:1]
    maps = exact_maps(case, generator, layers)
    picture = generator.synthesize(case["scbn.z"], base, class_weights=maps)
    assert largest_difference(picture, case[f"scbn.{name}.image"]) < IMAGES


def test_relabelled_features_are_those_of_the_public_code(case, generator):
    codes = generator.encode_latent(case["scbn.z"], case["scbn.classes"][:1])
    maps = exact_maps(case, generator)
    state = generator.begin(codes, maps)
    for level, point in enumerate(generator.layers[:-1]):
        if level:
            state = generator.advance(level, state, codes, maps)
        stored = case[f"scbn.all_layers.feature.{point.name}"]
        assert largest_difference(state[0], stored) < IMAGES


def test_half_intensity_is_the_frame_at_a_half(case, generator):
    base = case["scbn.classes"][:1]
    trace = generator.trace(case["scbn.z"], base)
    maps = exact_maps(case, generator)
    frames = list(generator.frames(trace, [0.0, 0.5, 1.0], class_weights=maps))
    stored = case["scbn.all_layers_half_intensity.image"]
    assert largest_difference(frames[1], stored) < IMAGES
    assert largest_difference(frames[2], case["scbn.all_layers.image"]) < IMAGES


def test_soft_maps_of_two_classes_are_those_of_the_public_code(case, generator):
    names = [norm.name for norm in generator.norm_layers]
    maps = ClassMaps.per_layer(
        {name: case.maps(f"scbn.smooth.W{i}") for i, name in enumerate(names)}
    )
    picture = generator.synthesize(case["scbn.z"], case["scbn.classes"][:1], class_weights=maps)
    assert largest_difference(picture, case["scbn.smooth.image"]) < IMAGES


def test_a_mixture_of_all_classes_is_that_of_the_public_code(case, generator):
    grid = case["scbn.dirichlet.grid4x4"].permute(2, 0, 1)[None]
    maps = ClassMaps.from_dense(grid, resize="nearest")
    picture = generator.synthesize(case["scbn.z"], case["scbn.classes"][:1], class_weights=maps)
    assert largest_difference(picture, case["scbn.dirichlet.image"]) < IMAGES


def test_a_spatial_norm_alone_is_that_of_the_public_code(case):
    out = spatial_norm(
        case["scbn_layer.x"],
        case["scbn_layer.avg_mean"],
        case["scbn_layer.avg_var"],
        float(case["scbn_layer.eps"]),
        case["scbn_layer.gammas"][None],
        case["scbn_layer.betas"][None],
        case.maps("scbn_layer.W"),
    )
    assert largest_difference(out, case["scbn_layer.out"]) < 1e-5


def stored_transplants(case: Case, generator: Generator, blend: str, of: str) -> list[Transplant]:
    """The blends as transplants; the source's own share counts as one where it is not at first."""
    latents = case["blend.zs"][case[f"blend.{blend}.z_index"]]
    shares = {
        point.name: case.maps(f"blend.{of}.B{level}")
        for level, point in enumerate(generator.layers)
    }
    shift = (0.0, 0.0)
    if blend == "shifted":
        size, dy, dx = case["blend.shifted.shift_by_size"][0].tolist()
        pixels = generator.resolution / size
        shift = (dx * pixels, dy * pixels)
    found = []
    for index in range(len(latents)):
        weights = {name: share[:, index : index + 1] for name, share in shares.items()}
        if index == 0:
            weights.pop("l1")  # there the source is what is being made
        moved = shift if index == 1 else (0.0, 0.0)
        found.append(Transplant(weights, z=latents[index : index + 1], shift=moved))
    return found


@pytest.mark.parametrize("blend", BLENDS)
def test_feature_blends_are_those_of_the_public_code(case, generator, blend):
    z = case["blend.zs"][case[f"blend.{blend}.z_index"]][:1]
    transplants = stored_transplants(case, generator, blend, blend.removesuffix("_off"))
    picture = generator.synthesize(z, case["blend.class"].view(1), transplants=transplants)
    assert largest_difference(picture, case[f"blend.{blend}.image"]) < IMAGES


def test_blends_and_class_maps_in_one_pass_are_those_of_the_public_code(case, generator):
    name = "lambda_mask_and_classmap"
    z = case["blend.zs"][case[f"blend.{name}.z_index"]][:1]
    picture = generator.synthesize(
        z,
        case["blend.class"].view(1),
        class_weights=exact_maps(case, generator),
        transplants=stored_transplants(case, generator, name, "lambda_mask"),
    )
    assert largest_difference(picture, case[f"blend.{name}.image"]) < IMAGES


def test_a_blend_that_keeps_everything_is_the_plain_picture_of_the_public_code(case, generator):
    nothing = Transplant(torch.zeros(1, 1, 4, 4), z=case["blend.zs"][1:2])
    picture = generator.synthesize(
        case["blend.zs"][:1], case["blend.class"].view(1), transplants=[nothing]
    )
    assert largest_difference(picture, case["blend.identity.image"]) < IMAGES


def test_discriminator_features_and_scores_are_those_of_the_public_code(case, generator):
    network = judge(generator)
    x, y = case["dis.x_u8"].float() / 128 - 1, case["dis.y"]
    features = network.feature_map(x)
    assert largest_difference(features, case["dis.feature_vector_of_x"]) < 1e-5
    assert torch.equal(network.features(x), features.flatten(1))
    assert largest_difference(network.logits(x, y), case["dis.logit_x_y"]) < IMAGES
    assert largest_difference(network.logits(x), case["dis.logit_x_unconditional"]) < IMAGES
    for index, level in enumerate(network.levels(x), 1):
        if index > 1:
            assert largest_difference(level, case[f"dis.feature.block{index}"]) < 1e-5


def test_encoder_and_auxiliary_networks_are_those_of_the_public_code(case, generator):
    assert generator.encoder is not None and generator.auxiliary is not None
    z = generator.encoder(case["enc.x"], case["enc.y"])
    zeta = generator.auxiliary.extend(case["aux.z"])
    back = generator.auxiliary.reduce(zeta)
    assert largest_difference(z, case["enc.z"]) < IMAGES
    assert largest_difference(zeta, case["aux.zeta"]) < IMAGES
    assert largest_difference(back, case["aux.z_prime"]) < IMAGES
    picture = generator.synthesize(back, case["scbn.classes"][:1])
    assert largest_difference(picture, case["aux.image"]) < IMAGES


def test_the_file_of_auxiliary_networks_is_a_generator_too(case):
    alone = load_generator(case.file("ResNetAuxABGenerator"))
    assert alone.auxiliary is not None
    picture = alone.synthesize(case["plain.z"], case["plain.y"])
    assert largest_difference(picture, case["plain.image"]) < IMAGES


@pytest.mark.parametrize("name", [CIFAR, IMAGENET])
def test_both_layouts_of_sngan_projection_are_those_of_the_public_code(name):
    case = Case(name)
    network = load_generator(
        case.file("ResNetGenerator"), discriminator=case.file("SNResNetProjectionDiscriminator")
    )
    picture = network.synthesize(case["z"], case["y"])
    assert network.resolution == case.meta()["res"]
    assert largest_difference(picture, case["image"]) < IMAGES
    features = network.features(case["z"][:1], case["y"][:1])
    for point in network.layers:
        if f"feature0.{point.name}" in case.arrays:
            stored = case[f"feature0.{point.name}"]
            assert largest_difference(features[point.name], stored) < IMAGES
    small = case["D.x_second_8x8_before_tanh_nearest_upsampled"]
    second = interpolate(torch.tanh(small), (network.resolution,) * 2, mode="nearest")
    x, y = torch.cat((case["image"][:1], second)), case["D.y"]
    discriminator = judge(network)
    for index, level in enumerate(discriminator.levels(x), 1):
        if f"D.feature.block{index}" in case.arrays:
            assert largest_difference(level, case[f"D.feature.block{index}"]) < 1e-5
    last = discriminator.feature_map(x)
    assert largest_difference(last, case["D.final_feature_relu_before_pooling"]) < 1e-5
    assert largest_difference(last.sum((2, 3)), case["D.pooled"]) < IMAGES
    logits, stored = discriminator.logits(x, y), case["D.logit"]
    assert float(((logits - stored) / stored).abs().max()) < 1e-5


@pytest.mark.parametrize("name", [CIFAR, IMAGENET])
def test_one_step_of_power_iteration_starts_at_the_stored_vector(name, tmp_path):
    """Vectors that no iteration has touched show which formula is used."""
    case = Case(name)
    with np.load(case.file("SNResNetProjectionDiscriminator")) as stored:
        arrays = {key: stored[key] for key in stored}
    with np.load(case.folder / "D_raw_u_overrides.npz") as raw:
        arrays.update({key: raw[key] for key in raw})
    np.savez(tmp_path / "raw.npz", **arrays)
    network = load_generator(case.file("ResNetGenerator"), discriminator=tmp_path / "raw.npz")
    small = case["D.x_second_8x8_before_tanh_nearest_upsampled"]
    second = interpolate(torch.tanh(small), (network.resolution,) * 2, mode="nearest")
    x = torch.cat((case["image"][:1], second))
    for _ in range(2):  # and asking does not change it
        logits = judge(network).logits(x, case["D.y"])
        difference = (logits - case["D_raw_u.logit"]) / case["D_raw_u.logit"]
        assert float(difference.abs().max()) < 1e-5


def test_soft_labels_mix_gains_and_biases_as_in_the_public_code():
    case = Case(IMAGENET)
    network = load_generator(case.file("ResNetGenerator"))
    y = torch.zeros(2, network.num_classes)
    y.scatter_add_(1, case["mix.y"], case["mix.weights"])
    picture = network.synthesize(case["z"][:1].expand(2, -1), y)
    assert largest_difference(picture, case["mix.image"]) < IMAGES
