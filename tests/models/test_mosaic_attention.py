"""Attention over sets of templates: against the plain formulation, permuted, padded, induced."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from intarsia_models.mosaic import fused_attention, set_attention
from intarsia_models.mosaic.set_attention import SetAttention, attended


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _plain(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, present: Tensor | None = None
) -> Tensor:
    """Written down: a softmax over the keys for every set, query, pixel and head."""
    width = queries.shape[-1] // heads
    q, k, v = (t.unflatten(-1, (heads, width)) for t in (queries, keys, values))
    logits = torch.einsum("bkphd,blphd->bkplh", q, k) / math.sqrt(width)
    if present is not None:
        logits = logits.masked_fill(~present[:, None, None, :, None], -torch.inf)
    return torch.einsum("bkplh,blphd->bkphd", logits.softmax(3), v).flatten(-2)


CASES = [(1, 1, 1, 5, 4, 1), (2, 5, 5, 17, 8, 2), (2, 3, 7, 130, 12, 3)]
PRESENT = torch.tensor([[True, False, True, True, False], [True, True, True, False, True]])


@pytest.mark.parametrize(("sets", "count", "keys", "pixels", "channels", "heads"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_softmax_over_the_templates_of_each_pixel(
    sets: int, count: int, keys: int, pixels: int, channels: int, heads: int, dtype: torch.dtype
) -> None:
    q = _random(sets, count, pixels, channels, seed=1, dtype=dtype)
    k = _random(sets, keys, pixels, channels, seed=2, dtype=dtype)
    v = _random(sets, keys, pixels, channels, seed=3, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert_close(attended(q, k, v, heads), _plain(q, k, v, heads), atol=tolerance, rtol=tolerance)


def test_gradients_of_the_pass_on_the_cpu_are_those_of_the_plain_formulation() -> None:
    inputs = [_random(2, 5, 70, 8, seed=n, dtype=torch.float32) for n in range(4)]
    found = []
    for how in (fused_attention.fused_attention, _plain):
        q, k, v = (t.clone().requires_grad_() for t in inputs[:3])
        found.append(torch.autograd.grad(how(q, k, v, 2, PRESENT), (q, k, v), inputs[3]))
    for ours, plain in zip(*found, strict=True):
        assert_close(ours, plain, atol=2e-5, rtol=1e-4)


def test_several_threads_compute_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (_random(2, 4, 150, 8, seed=n, dtype=torch.float32) for n in range(3))
    alone = attended(q, k, v, 2)
    monkeypatch.setattr(fused_attention, "SHARED_FROM", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(attended(q, k, v, 2), alone)


def test_very_unlike_logits_stay_numbers() -> None:
    q = torch.full((1, 2, 3, 4), 60.0)
    k = torch.cat([q[:, :1], -q[:, :1]], 1)
    v = _random(1, 2, 3, 4, dtype=torch.float32)
    assert_close(attended(q, k, v, 1), v[:, :1].expand(-1, 2, -1, -1))


def test_chunks_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (_random(2, 4, 11, 8, seed=n) for n in range(3))
    whole = attended(q, k, v, 2)
    monkeypatch.setattr(set_attention, "SEQUENCES_AT_ONCE", 4)
    assert_close(attended(q, k, v, 2), whole, atol=1e-13, rtol=0)


def test_layers_go_over_the_picture_in_parts_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, x = _layer(), _random(10, 8, 5, 7)
    whole = layer(x, 5, PRESENT).detach()
    monkeypatch.setitem(set_attention.NUMBERS_AT_ONCE, "cpu", 2 * 5 * 8 * 4)
    with torch.no_grad():
        assert_close(layer(x, 5, PRESENT), whole, atol=1e-13, rtol=0)


LAYERS = [{}, {"norm_first": False}, {"induced": 3}, {"induced": 3, "norm_first": False}]


def _layer(**options: bool | int) -> SetAttention:
    torch.manual_seed(0)
    return SetAttention(8, heads=2, feed_forward=1.5, **options).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("options", LAYERS)
def test_permuted_templates_give_permuted_results(options: dict[str, bool | int]) -> None:
    layer, order = _layer(**options), torch.tensor([3, 0, 4, 1, 2])
    x = _random(2, 5, 8, 3, 4)
    straight = layer(x.flatten(0, 1), 5).unflatten(0, (2, 5))
    permuted = layer(x[:, order].flatten(0, 1), 5).unflatten(0, (2, 5))
    assert_close(permuted, straight[:, order], atol=1e-12, rtol=0)


@pytest.mark.parametrize("options", LAYERS)
def test_absent_templates_are_as_if_they_were_not_there(options: dict[str, bool | int]) -> None:
    layer = _layer(**options)
    x = _random(2, 5, 8, 3, 4)
    padded = layer(x.flatten(0, 1), 5, PRESENT).unflatten(0, (2, 5))
    for index, there in enumerate(PRESENT):
        count = int(there.sum())
        alone = layer(x[index, there], count)
        assert_close(padded[index, there], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("options", LAYERS)
def test_no_pixel_sees_another_one(options: dict[str, bool | int]) -> None:
    layer = _layer(**options)
    x = _random(5, 8, 3, 4)
    changed = x.clone()
    changed[:, :, 1, 2] += 1.0
    same = layer(x, 5) == layer(changed, 5)
    assert not same[:, :, 1, 2].all()
    same[:, :, 1, 2] = True
    assert bool(same.all())
    alone = layer(x[:, :, 1:2, 2:3], 5)
    assert_close(layer(x, 5)[:, :, 1:2, 2:3], alone, atol=1e-12, rtol=0)


def test_with_a_point_for_every_template_the_points_still_see_all_of_them() -> None:
    """ISAB by hand: points attend to the templates, templates to the points."""
    layer = _layer(induced=3)
    x = _random(4, 8, 1, 1)
    seen = x.reshape(1, 4, 1, 8)
    assert layer.points is not None
    points = layer.points[None, :, None]
    block, gather = layer.block, layer.gather
    told = gather.norm_seen(points)
    summed = points + gather.out(
        _plain(gather.query(told), gather.key(seen), gather.value(seen), 2)
    )
    summed = summed + gather.contract(gather.expand(gather.norm_inner(summed)).relu())
    told = block.norm_seen(seen)
    mixed = seen + block.out(_plain(block.query(told), block.key(summed), block.value(summed), 2))
    mixed = mixed + block.contract(block.expand(block.norm_inner(mixed)).relu())
    assert_close(layer(x, 4).reshape(1, 4, 1, 8), mixed, atol=1e-12, rtol=0)
