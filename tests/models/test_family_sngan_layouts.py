"""Every layout of the public Chainer files, written from our networks and read again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

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
from intarsia_models.generators.loading import load_generator

PARTS = {"conv1": "c1", "conv2": "c2", "shortcut": "c_sc", "norm1": "b1", "norm2": "b2"}
VALUES = {
    "weight": "W",
    "bias": "b",
    "u": "u",
    "running_mean": "avg_mean",
    "running_var": "avg_var",
}
Z_DIM = 6


def chainer_names(network: nn.Module, heads: dict[str, str], first: int) -> dict[str, np.ndarray]:
    """The network's tensors under the public names; ``first`` is the number of block 0."""
    arrays = {}
    for name, tensor in network.state_dict().items():
        places = name.split(".")
        kind, value = places[-1], tensor
        if kind in ("gammas", "betas"):
            kind = f"{kind}/W" if tensor.shape[0] > 1 else kind[:-1]
            value = tensor if tensor.shape[0] > 1 else tensor[0]
        kind = VALUES.get(kind, kind)
        if places[0] == "blocks":
            stem = f"block{int(places[1]) + first}/{PARTS[places[2]]}"
        elif len(places) == 1:
            stem, kind = heads[places[0]], "W"
        else:
            stem = heads[places[0]]
        arrays[f"{stem}/{kind}"] = value.numpy()
        if kind == "avg_mean":
            arrays[f"{stem}/N"] = np.array(0)
    return arrays


def shaken(network: nn.Module, seed: int) -> nn.Module:
    """Every tensor gets values of its own, so that a swapped name shows."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor += torch.rand(tensor.shape, generator=source)
    return network.eval()


def generator_of(resolution: int, classes: int) -> tuple[SNGANGenerator, dict[str, np.ndarray]]:
    sizes = GeneratorSettings.standard(resolution, width=2, num_classes=classes, z_dim=Z_DIM)
    network = SNGANGenerator(sizes)
    shaken(network, 1)
    last = len(sizes.channels) + 1
    output = f"c{last}" if resolution == 32 else f"l{last}"
    heads = {"input": "l1", "norm": f"b{last}", "output": output}
    return network, chainer_names(network, heads, 2)


def saved(place: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(place, **arrays)  # pyright: ignore
    return place


def assert_same(loaded: nn.Module | None, network: nn.Module) -> None:
    """Every tensor of the network is in the loaded one, bit by bit."""
    assert loaded is not None
    found = loaded.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("resolution", [32, 64, 128, 256])
def test_generator_and_discriminator_files_of_every_resolution_are_read(
    tmp_path, resolution, classes
):
    network, arrays = generator_of(resolution, classes)
    sizes = DiscriminatorSettings.standard(resolution, width=2, num_classes=classes)
    if resolution == 256:  # Neural Collage's is wider inside than SNGAN-projection's
        sizes = DiscriminatorSettings(**{**vars(sizes), "hidden": sizes.channels})
    judge = SNGANDiscriminator(sizes)
    shaken(judge, 2)
    heads = {"output": f"l{len(sizes.channels) + 1}", "embedding": "l_y"}
    loaded = load_generator(
        saved(tmp_path / "G.npz", arrays),
        discriminator=saved(tmp_path / "D.npz", chainer_names(judge, heads, 1)),
    )
    assert_same(loaded, network)
    assert_same(loaded.discriminator, judge)
    assert loaded.resolution == resolution
    written = loaded.settings()["discriminator"]
    assert written == {**sizes.to_dict(), "hidden": list(sizes.inner)}


@pytest.mark.parametrize(
    ("resolution", "first", "output"), [(128, "l1", "l7"), (256, "block1", "l8_enc")]
)
def test_encoder_files_of_both_layouts_are_read(tmp_path, resolution, first, output):
    _, arrays = generator_of(256, 3)
    sizes = EncoderSettings.standard(resolution, width=2, num_classes=3, z_dim=Z_DIM)
    encoder = SNGANEncoder(sizes)
    shaken(encoder, 3)
    heads = {"input": first, "output": output, "slopes": "prelu_out"}
    stored = chainer_names(encoder, heads, 2)
    last = len(sizes.channels) + 1
    for name in ("gamma", "beta", "avg_mean", "avg_var"):  # saved with them, never run
        stored[f"b{last}/{name}"] = np.ones(9, np.float32)
    loaded = load_generator(
        saved(tmp_path / "G.npz", arrays), encoder=saved(tmp_path / "E.npz", stored)
    )
    assert_same(loaded.encoder, encoder)
    assert loaded.settings()["encoder"] == sizes.to_dict()


def test_a_generators_file_with_auxiliary_networks_gives_both(tmp_path):
    network, arrays = generator_of(64, 3)
    auxiliary = SNGANAuxiliary(AuxiliarySettings(Z_DIM, 20, 8, 9))
    shaken(auxiliary, 4)
    heads = {
        "extend1": "lA1",
        "extend2": "lA2",
        "reduce1": "lB1",
        "reduce2": "lB2",
        "extend_slopes": "preluMiddleW",
        "reduce_slopes": "preluW",
    }
    arrays |= chainer_names(auxiliary, heads, 2)
    arrays["_fast_alpha/W"] = np.ones(20, np.float32)
    place = saved(tmp_path / "A.npz", arrays)
    for loaded in (load_generator(place), load_generator(place, auxiliary=place)):
        assert_same(loaded.auxiliary, auxiliary)
        assert_same(loaded, network)
