"""The networks that make wholes of parts: sizes, order, and what each layer sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from intarsia_models.key_patches.networks import Decoder, Halvings, PartCritic, PartGenerator
from intarsia_models.key_patches.settings import KeyPatchSettings, Structure

SMALL = {"width": 2, "critic_width": 2, "embedding": 6}


def _settings(**changes: object) -> KeyPatchSettings:
    return KeyPatchSettings(**{**SMALL, **changes})  # pyright: ignore[reportArgumentType]


def _patches(count: int = 2, parts: int = 3, side: int = 64, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, parts, 3, side, side, generator=source) * 2 - 1


def _lively(network: nn.Module) -> nn.Module:
    """Weights and statistics that make a difference."""
    source = torch.Generator().manual_seed(5)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(0, 0.3, generator=source)
            if "running_var" in name:
                tensor.abs_().add_(0.5)
    return network


# --- order


@pytest.mark.parametrize("training", [True, False])
def test_the_order_of_the_parts_does_not_matter(training: bool) -> None:
    network = PartGenerator(_settings()).double().train(training)
    patches = _patches().double()
    picture, placement = network(patches)
    for order in ([2, 0, 1], [1, 0, 2]):
        turned, turned_placement = network(patches[:, order])
        assert_close(turned, picture, atol=1e-12, rtol=0)
        assert_close(turned_placement, placement, atol=1e-12, rtol=0)


def test_encodings_are_sums_over_the_parts() -> None:
    encoder = PartGenerator(_settings()).double().eval().encoder
    patches = _patches(1).double()
    together = encoder(patches)
    alone = [encoder(patches[:, part : part + 1]) for part in range(3)]
    assert_close(together.embedding, torch.stack([one.embedding for one in alone]).sum(0))
    for level, features in enumerate(together.features):
        assert_close(features, torch.stack([one.features[level] for one in alone]).sum(0))


# --- sizes


def test_the_layers_at_256_px_are_those_of_the_papers_table() -> None:
    with torch.device("meta"):
        settings = KeyPatchSettings(resolution=256)
        generator, critic = PartGenerator(settings, seed=None), PartCritic(settings, seed=None)
    halvings = [(64, 3), (128, 64), (256, 128), (512, 256), (512, 512), (512, 512)]
    for trunk in (generator.encoder.trunk, critic.trunk):
        found = [tuple(layer.weight.shape) for layer in trunk.convolutions]  # pyright: ignore
        assert found == [(out, into, 4, 4) for out, into in halvings]
        assert len(trunk.norms) == 5  # table 2: none after the first layer
    assert tuple(generator.encoder.embed.weight.shape) == (256, 512, 4, 4)
    assert tuple(critic.score.weight.shape) == (1, 512, 4, 4)
    assert generator.mask_network is not None
    for decoder, widths, last in (
        (generator.mask_network, (1024, 1024, 1024, 512, 256, 128), 1),
        (generator.image_network, (1536, 1536, 1536, 768, 384, 192), 3),
    ):
        assert tuple(decoder.start.weight.shape) == (256, 512, 4, 4)
        found = [tuple(layer.weight.shape) for layer in decoder.doublings]  # pyright: ignore
        outputs = (512, 512, 256, 128, 64, last)
        assert found == [(into, out, 4, 4) for into, out in zip(widths, outputs, strict=True)]


@pytest.mark.parametrize("resolution", [64, 128, 256])
@pytest.mark.parametrize("kernel", [4, 5])
def test_pictures_and_placements_have_the_models_size(resolution: int, kernel: int) -> None:
    with torch.device("meta"):
        settings = _settings(resolution=resolution, kernel=kernel)
        generator = PartGenerator(settings, seed=None)
        picture, placement = generator(torch.empty(2, 3, 3, resolution, resolution))
        score = PartCritic(settings, seed=None)(picture)
    assert picture.shape == (2, 3, resolution, resolution)
    assert placement.shape == (2, 1, resolution, resolution)
    assert score.shape == (2, 1)


def test_pictures_and_placements_lie_in_their_ranges() -> None:
    network = _lively(PartGenerator(_settings())).eval().requires_grad_(False)
    picture, placement = network(_patches() * 3)
    assert float(picture.abs().max()) <= 1.0 and float(picture.std()) > 0.05
    assert float(placement.min()) >= 0.0 and float(placement.max()) <= 1.0


@pytest.mark.parametrize(
    ("structure", "z_dim", "joined"),
    [("full", 0, 2), ("no_mask", 0, 1), ("conditional_gan", 3, 0), ("auto_encoder", 0, 0)],
)
def test_structures_differ_in_what_the_image_network_sees(
    structure: Structure, z_dim: int, joined: int
) -> None:
    settings = _settings(structure=structure, z_dim=z_dim)
    network = PartGenerator(settings).eval()
    channels = settings.channels(2)[::-1]
    doublings = [layer.weight.shape[0] for layer in network.image_network.doublings]  # pyright: ignore
    assert doublings == [(1 + joined) * count for count in channels]
    assert network.image_network.start.weight.shape[0] == 6 + z_dim
    picture, placement = network(_patches(), torch.zeros(2, z_dim) if z_dim else None)
    assert picture.shape == (2, 3, 64, 64)
    assert (placement is None) == (structure != "full")


# --- what they compute


def _halved(trunk: Halvings, x: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    for level, layer in enumerate(trunk.convolutions):
        assert isinstance(layer, nn.Conv2d)
        x = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
        if level:
            x = _normed(trunk.norms[level - 1], x)
        x = torch.where(x > 0, x, 0.2 * x)
        found.append(x)
    return found


def _normed(norm: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    shape = (1, -1, 1, 1)
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
    return x * norm.weight.view(shape) + norm.bias.view(shape)


def _doubled(decoder: Decoder, x: Tensor, sources: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    x = F.conv_transpose2d(x, decoder.start.weight, decoder.start.bias)
    seen = []
    for level, layer in enumerate(decoder.doublings):
        assert isinstance(layer, nn.ConvTranspose2d)
        x = _normed(decoder.norms[level], x).clamp_min(0)
        x = torch.cat([x, sources[level]], 1)
        seen.append(x)
        x = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)
    return x, seen


def test_the_networks_compute_what_the_paper_describes() -> None:
    network = _lively(PartGenerator(_settings(z_dim=2))).eval().double()
    assert isinstance(network, PartGenerator) and network.mask_network is not None
    patches, z = _patches(2).double() * 0.2, torch.tensor([[0.5, -1.0], [0.1, 0.9]]).double()
    features: list[Tensor] = []
    embedding = torch.zeros(2, 6, 1, 1).double()
    for part in range(3):
        encoder = network.encoder
        own = _halved(encoder.trunk, patches[:, part])
        numbers = F.conv2d(own[-1], encoder.embed.weight, encoder.embed.bias)
        embedding = embedding + torch.where(numbers > 0, numbers, 0.2 * numbers)
        features = own if part == 0 else [a + b for a, b in zip(features, own, strict=True)]
    raw, seen = _doubled(network.mask_network, embedding, features[::-1])
    numbers = torch.cat([embedding, z[:, :, None, None]], 1)
    painted, _ = _doubled(network.image_network, numbers, seen)
    picture, placement = network(patches, z)
    assert_close(placement, (1 / (1 + (-raw).exp())).float(), atol=1e-6, rtol=0)
    assert_close(picture, painted.tanh().float(), atol=1e-6, rtol=0)


def test_fresh_filters_are_those_of_the_paper() -> None:
    network = PartGenerator(KeyPatchSettings(width=16, critic_width=16), seed=3)
    again = PartGenerator(KeyPatchSettings(width=16, critic_width=16), seed=3)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        if name.endswith("weight") and tensor.ndim == 4 and tensor.numel() > 20_000:
            assert float(tensor.std()) == pytest.approx(0.02, rel=0.05)
        elif name.endswith("bias"):
            assert not tensor.any()


# --- what they refuse


def test_other_shapes_are_refused() -> None:
    network = PartGenerator(_settings(z_dim=2))
    z = torch.zeros(1, 2)
    for wrong in (torch.zeros(1, 3, 3, 32, 32), torch.zeros(1, 3, 64, 64), _patches(1, 0)):
        with pytest.raises(ValueError, match=r"patches must be \(B, N, 3, 64, 64\)"):
            network(wrong, z)
    with pytest.raises(ValueError, match=r"z must be \(1, 2\), got None"):
        network(_patches(1))
    with pytest.raises(ValueError, match="z must be None"):
        PartGenerator(_settings())(_patches(1), z)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"resolution": 32}, r"resolution must be one of \[64, 128, 256\], got 32"),
        ({"kernel": 3}, r"kernel must be one of \[4, 5\]"),
        ({"structure": "other"}, "structure must be one of"),
        ({"width": 0}, "width must lie in"),
        ({"parts": 17}, r"parts must lie in \[1, 16\], got 17"),
        ({"structure": "conditional_gan"}, "z_dim must be at least 1"),
        ({"structure": "auto_encoder", "z_dim": 4}, "z_dim must be 0, got 4"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        _settings(**changes)
