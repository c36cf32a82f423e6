"""The compiled layer of attention over sets: what PyTorch's own operations compute."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from intarsia_models.convolutions import vectors
from intarsia_models.mosaic import fused_sets, set_kernel_parts, set_layers
from intarsia_models.mosaic.networks import Level, Statistics
from intarsia_models.mosaic.set_attention import SetAttention
from intarsia_models.mosaic.settings import MosaicSettings

# sets, count, channels, heads, feed_forward, norm_first, (height, width)
SHAPES = [
    (1, 1, 4, 2, 1.0, True, (1, 1)),
    (2, 3, 4, 2, 1.0, True, (5, 7)),
    (1, 50, 16, 4, 1.0, True, (9, 11)),
    (1, 8, 48, 4, 1.0, False, (6, 7)),
    (2, 6, 40, 4, 1.3, True, (4, 33)),
    (1, 5, 6, 2, 0.5, False, (3, 18)),
]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def lively_layer(channels: int, heads: int, feed_forward: float, norm_first: bool) -> SetAttention:
    layer = SetAttention(channels, heads=heads, feed_forward=feed_forward, norm_first=norm_first)
    with torch.no_grad():
        for n, parameter in enumerate(layer.parameters()):
            spread = 2.0 / channels**0.5 if parameter.ndim > 1 else 0.5
            parameter.copy_(spread * random(*parameter.shape, seed=n))
    return layer.requires_grad_(False)


def by_torch(layer: SetAttention, x: Tensor, count: int) -> Tensor:
    """With gradients the kernel is not asked."""
    return layer(x.clone().requires_grad_(), count).detach()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_layer_is_that_of_pytorch(
    shape: tuple[int, int, int, int, float, bool, tuple[int, int]],
) -> None:
    sets, count, channels, heads, feed_forward, norm_first, size = shape
    layer = lively_layer(channels, heads, feed_forward, norm_first)
    x = 3 * random(sets * count, channels, *size, seed=9)
    with torch.no_grad():
        assert set_layers.computable(layer, x)
        made = layer(x, count)
    assert_close(made, by_torch(layer, x, count), atol=1e-4, rtol=1e-4)


def test_scale_shift_and_activation_come_first_and_results_go_where_they_are_wanted() -> None:
    layer = lively_layer(8, 2, 1.0, True)
    x, scale, shift = random(3, 8, 6, 9), random(3, 8, seed=1), random(3, 8, seed=2)
    joined = torch.full((3, 8, 12, 20), 7.0)
    with torch.no_grad():
        set_layers.mixed(
            layer,
            x[..., 1:, 2:],
            3,
            scale=scale,
            shift=shift,
            leak=0.2,
            into=joined[:, 1:6, 3:10, 5:13],
        )
    before = x[..., 1:, 2:] * scale[:, :, None, None] + shift[:, :, None, None]
    wanted = by_torch(layer, F.leaky_relu(before, 0.2), 3)
    assert_close(joined[:, 1:6, 3:10, 5:13].permute(0, 3, 1, 2), wanted, atol=1e-5, rtol=1e-5)
    joined[:, 1:6, 3:10, 5:13] = 7.0
    assert (joined == 7.0).all()  # nothing else was touched


@pytest.mark.parametrize("channels", [4, 16])
def test_very_unlike_logits_stay_numbers(channels: int) -> None:
    layer = lively_layer(channels, 2, 1.0, True)
    with torch.no_grad():
        layer.block.query.weight.mul_(100.0)
        x = random(6, channels, 4, 5)
        made = layer(x, 6)
    assert_close(made, by_torch(layer, x, 6), atol=1e-3, rtol=1e-3)


def test_several_threads_compute_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = lively_layer(8, 2, 1.0, True)
    x = random(8, 8, 11, 13)
    with torch.no_grad():
        alone = layer(x, 4)
        monkeypatch.setattr(set_layers, "SHARED_FROM", 0)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        assert torch.equal(layer(x, 4), alone)


@pytest.mark.parametrize("sets", [False, True])
def test_a_level_is_activated_with_given_statistics_as_in_several_steps(sets: bool) -> None:
    level = Level(6, 8, MosaicSettings(heads=2), shrinks=True, norm=True, sets=sets)
    assert level.norm is not None
    level.norm.given = Statistics(random(4, 8, seed=1), random(4, 8, seed=2).abs())
    x, into = random(4, 8, 6, 5), torch.empty(4, 6, 5, 8)
    wanted = level.finish(level.norm(x.clone()), 4, None).detach()
    with torch.no_grad():
        level.activate(x, 4, into)
    assert_close(into.permute(0, 3, 1, 2), wanted, atol=1e-5, rtol=1e-5)


def test_halves_stay_halves() -> None:
    layer = lively_layer(8, 2, 1.0, True)
    with torch.no_grad():
        assert layer(random(4, 8, 3, 3).bfloat16(), 4).dtype == torch.bfloat16


def test_stored_machine_code_knows_the_modules_that_it_is_made_of() -> None:
    sources = "".join(
        Path(module.__file__ or "").read_text(encoding="utf-8")
        for module in (set_kernel_parts, vectors)
    )
    found = f"{zlib.crc32(sources.encode()):08x}"
    assert found == fused_sets.EDITION, f'Write EDITION = "{found}" into fused_sets.py.'
