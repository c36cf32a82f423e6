"""The compiled pass against PyTorch's operations, which take everything it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, one_hot

from intarsia_models.generators import fused_affine
from intarsia_models.generators.spatial_norm import plain_norm, spatial_norm

EPS = 1e-5
CHANNELS = 24


def features(batch: int = 1, size: int = 8) -> Tensor:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, CHANNELS, size, size, generator=random)
    return x.contiguous(memory_format=torch.channels_last)


def statistics() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    mean = torch.randn(CHANNELS, generator=random)
    return mean, 0.5 + torch.rand(CHANNELS, generator=random)


def tables(batch: int, count: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(2)
    both = torch.randn(2, batch, count, CHANNELS, generator=random)
    return both[0], both[1]


def maps(batch: int, count: int, size: int = 8) -> Tensor:
    """Rows of one class each, rows of two, and rows of all of them."""
    random = torch.Generator().manual_seed(3)
    weights = torch.rand(batch, count, size, size, generator=random)
    weights[:, 2:, 3:5] = 0
    weights = weights / weights.sum(1, keepdim=True)
    pure = one_hot(torch.randint(count, (batch, 3, size), generator=random), count)
    weights[:, :, :3] = pure.permute(0, 3, 1, 2).float()
    return weights


def by_definition(x: Tensor, gammas: Tensor, betas: Tensor, weights: Tensor) -> Tensor:
    """Eq. 2, written out per position in float64."""
    mean, variance = statistics()
    shape = (1, -1, 1, 1)
    normal = (x.double() - mean.view(shape)) / (variance.view(shape).double() + EPS).sqrt()
    gamma = (weights[:, :, None].double() * gammas[..., None, None]).sum(1)
    beta = (weights[:, :, None].double() * betas[..., None, None]).sum(1)
    return (normal * gamma + beta).float()


@pytest.fixture
def compiled() -> None:
    if not fused_affine.usable(features()):
        pytest.skip("numba cannot be imported here")


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("pictures", "map_batch", "table_batch"),
    [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (1, 2, 1)],
)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_mixing_by_position_follows_the_definition(
    count: int, pictures: int, map_batch: int, table_batch: int, relu: bool
) -> None:
    x, weights = features(pictures), maps(map_batch, count)
    gammas, betas = tables(table_batch, count)
    wanted = by_definition(x, gammas, betas, weights)
    wanted = wanted.relu() if relu else wanted
    with torch.inference_mode():
        found = spatial_norm(x, *statistics(), EPS, gammas, betas, weights, relu=relu)
        spread = spatial_norm(x.contiguous(), *statistics(), EPS, gammas, betas, weights, relu=relu)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(spread, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(CHANNELS,), (1, CHANNELS), (2, CHANNELS)])
def test_one_class_is_a_batch_norm(shape: tuple[int, ...], relu: bool) -> None:
    x, (mean, variance) = features(2), statistics()
    gamma, beta = torch.randn(shape), torch.randn(shape)
    wanted = batch_norm(x, mean, variance, eps=EPS) * gamma.view(-1, CHANNELS, 1, 1)
    wanted = wanted + beta.view(-1, CHANNELS, 1, 1)
    with torch.inference_mode():
        found = plain_norm(x, mean, variance, EPS, gamma, beta, relu=relu)
    torch.testing.assert_close(found, wanted.relu() if relu else wanted, rtol=1e-5, atol=1e-5)


def test_one_class_everywhere_is_exactly_the_plain_norm(compiled: None) -> None:
    x, (gammas, betas) = features(), tables(1, 2)
    weights = torch.zeros(1, 2, 8, 8)
    weights[:, 1] = 1
    with torch.inference_mode():
        mixed = spatial_norm(x, *statistics(), EPS, gammas, betas, weights)
        plain = plain_norm(x, *statistics(), EPS, gammas[:, 1], betas[:, 1])
    assert torch.equal(mixed, plain)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(
    threads: int, compiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weights, (gammas, betas) = features(2), maps(2, 3), tables(1, 3)
    with torch.inference_mode():
        alone = spatial_norm(x, *statistics(), EPS, gammas, betas, weights)
        monkeypatch.setattr(fused_affine, "SHARED_FROM", 1)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        shared = spatial_norm(x, *statistics(), EPS, gammas, betas, weights)
    assert torch.equal(alone, shared)


def test_not_a_number_is_not_hidden(compiled: None) -> None:
    x, (gammas, betas) = features(), tables(1, 2)
    x[0, 5, 2, 3] = float("nan")
    with torch.inference_mode():
        found = spatial_norm(x, *statistics(), EPS, gammas, betas, maps(1, 2), relu=True)
    assert found.isnan().nonzero().tolist() == [[0, 5, 2, 3]]


def test_the_result_stays_channels_last(compiled: None) -> None:
    x, (gammas, betas) = features(2), tables(1, 2)
    with torch.inference_mode():
        found = spatial_norm(x, *statistics(), EPS, gammas, betas, maps(1, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_result_is_written_where_one_is_named(
    layout: torch.memory_format, in_place: bool
) -> None:
    (gammas, betas), weights = tables(1, 3), maps(1, 3)

    def run(make: Any) -> None:
        x = features(2).contiguous(memory_format=layout)
        wanted = make(x)
        out = x if in_place else torch.full_like(x, float("nan"))
        assert make(x, out=out) is out
        assert torch.equal(out, wanted)

    with torch.inference_mode():
        run(lambda x, **o: plain_norm(x, *statistics(), EPS, gammas[0, 0], betas[0, 0], **o))
        run(lambda x, **o: spatial_norm(x, *statistics(), EPS, gammas, betas, weights, **o))


def test_gradients_are_those_of_the_definition() -> None:
    def run(make: Any) -> list[Tensor]:
        inputs = [t.clone().requires_grad_() for t in (features(), *tables(1, 3), maps(1, 3))]
        make(*inputs).square().mean().backward()
        return [t.grad for t in inputs if t.grad is not None]

    found = run(lambda x, g, b, w: spatial_norm(x, *statistics(), EPS, g, b, w))
    wanted = run(by_definition)
    assert len(found) == len(wanted) == 4
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_without_numba_pytorch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_affine, "_kernels", lambda: None)
    x, (gammas, betas), weights = features(), tables(1, 3), maps(1, 3)
    assert not fused_affine.usable(x)
    with torch.inference_mode():
        found = spatial_norm(x, *statistics(), EPS, gammas, betas, weights)
    wanted = by_definition(x, gammas, betas, weights)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_are_left_to_pytorch(dtype: torch.dtype) -> None:
    assert not fused_affine.usable(features().to(dtype))
