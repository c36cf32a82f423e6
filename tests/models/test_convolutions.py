"""Fast convolutions are those of PyTorch, and so are their derivatives."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.convolutions import few_results, transforms, winograd
from intarsia_models.convolutions.layers import convolution

kernels = pytest.importorskip("intarsia_models.convolutions.kernels")

TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-5}
RAGGED = [(1, 9, 22), (1, 10, 11), (2, 7, 21), (2, 3, 40), (3, 8, 12), (3, 13, 18), (1, 30, 45)]


@pytest.fixture(params=[1, 2], ids=["one_thread", "two_threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(winograd, "SHARED_FROM", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=source, dtype=torch.float64).to(dtype)


def close(found: Tensor, expected: Tensor) -> None:
    limit = TOLERANCES[expected.dtype] * float(expected.detach().abs().max())
    torch.testing.assert_close(found, expected, rtol=0.0, atol=limit)


def differentiated(x: Tensor, weight: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
    to_x, to_weight = torch.autograd.grad(F.conv2d(*leaves), leaves, up)
    return to_x, to_weight


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("size", RAGGED, ids=str)
def test_winograd_convolutions_equal_pytorchs(
    size: tuple[int, int, int], dtype: torch.dtype, threads: int
) -> None:
    batch, height, width = size
    x, weight = drawn(batch, 32, height, width, dtype=dtype), drawn(64, 32, 3, 3, dtype=dtype)
    bias, slope = drawn(64, dtype=dtype), 0.2
    expected = F.leaky_relu(F.conv2d(x, weight, bias), slope)
    factors = winograd.filter_factors(weight)
    close(winograd.convolved(x, factors, bias=bias, slope=slope), expected)
    signs = drawn(*expected.shape, dtype=dtype, seed=1)
    linear = F.conv2d(x, weight)
    tangent = torch.where(signs > 0, linear, slope * linear)
    close(winograd.convolved(x, factors, slope=slope, signs=signs), tangent)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("size", RAGGED, ids=str)
def test_winograd_derivatives_equal_pytorchs(
    size: tuple[int, int, int], dtype: torch.dtype, threads: int
) -> None:
    batch, height, width = size
    x, weight = drawn(batch, 64, height, width, dtype=dtype), drawn(32, 64, 3, 3, dtype=dtype)
    up = drawn(batch, 32, height - 2, width - 2, dtype=dtype)
    to_x, to_weight = differentiated(x, weight, up)
    turned = winograd.turned_filter_factors(weight)
    close(winograd.convolved(up, turned, border=2), to_x)
    through = torch.where(x > 0, to_x, 0.2 * to_x)
    close(winograd.convolved(up, turned, border=2, slope=0.2, signs=x), through)
    close(winograd.weight_gradient([(x, up)]), to_weight)
    close(winograd.weight_gradient([(x, up), (2 * x, up)]), 3 * to_weight)


def test_winograd_rounds_little() -> None:
    x, weight = drawn(1, 64, 34, 34, dtype=torch.float32), drawn(64, 64, 3, 3, dtype=torch.float32)
    exact = F.conv2d(x.double(), weight.double())
    found = winograd.convolved(x, winograd.filter_factors(weight)).double()
    error = (found - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert float(error) < 1.5e-6


def test_the_same_threads_give_the_same_bits(threads: int) -> None:
    x, weight = drawn(2, 32, 41, 30, dtype=torch.float32), drawn(32, 32, 3, 3, dtype=torch.float32)
    up = drawn(2, 32, 39, 28, dtype=torch.float32)
    factors = winograd.filter_factors(weight)
    once, again = (winograd.convolved(x, factors) for _ in range(2))
    assert torch.equal(once, again)
    once, again = (winograd.weight_gradient([(x, up)]) for _ in range(2))
    assert torch.equal(once, again)


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.zeros(1, 32, 40, 40), torch.zeros(6, 32, 3, 3)),
        (torch.zeros(1, 3, 40, 40), torch.zeros(32, 3, 3, 3)),
        (torch.zeros(1, 32, 40, 40), torch.zeros(32, 32, 1, 1)),
        (torch.zeros(1, 32, 10, 10), torch.zeros(32, 32, 3, 3)),
        (torch.zeros(1, 32, 40, 40).bfloat16(), torch.zeros(32, 32, 3, 3).bfloat16()),
        (torch.zeros(1, 32, 40, 40), torch.zeros(32, 32, 3, 3).double()),
    ],
    ids=["few", "colours", "one_by_one", "small", "bfloat16", "mixed"],
)
def test_other_convolutions_are_left_to_pytorch(x: Tensor, weight: Tensor) -> None:
    assert not winograd.worthwhile(x, weight)


def test_without_numba_convolutions_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.zeros(1, 32, 40, 40), torch.zeros(32, 32, 3, 3)
    assert winograd.worthwhile(x, weight)
    winograd._gains.cache_clear()
    monkeypatch.setattr(winograd, "_kernels", lambda: None)
    assert not winograd.worthwhile(x, weight)
    winograd._gains.cache_clear()


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(1, 3, 3), (2, 7, 9)], ids=str)
def test_convolutions_to_few_channels_equal_pytorchs(
    size: tuple[int, int, int], count: int, dtype: torch.dtype
) -> None:
    batch, height, width = size
    x, weight = drawn(batch, 20, height, width, dtype=dtype), drawn(count, 20, 3, 3, dtype=dtype)
    bias, up = drawn(count, dtype=dtype), drawn(batch, count, height - 2, width - 2, dtype=dtype)
    assert few_results.worthwhile(x, weight)
    close(few_results.convolved(x, weight, bias), F.conv2d(x, weight, bias))
    to_weight = differentiated(x, weight, up)[1]
    close(few_results.weight_gradient([(x, up), (x, up)]), 2 * to_weight)


@pytest.mark.parametrize("slope", [0.2, 1.0])
@pytest.mark.parametrize("shape", [(32, 32), (3, 32), (32, 3)], ids=["winograd", "plain", "few"])
def test_automatic_differentiation_goes_through(shape: tuple[int, int], slope: float) -> None:
    conv = nn.Conv2d(*shape, 3).double()
    x = drawn(2, shape[0], 17, 15, dtype=torch.float64).requires_grad_()
    leaves = x, *conv.parameters()
    expected = F.leaky_relu(conv(x), slope)
    up = drawn(*expected.shape, dtype=torch.float64)
    found = convolution(x, conv, slope)
    close(found, expected)
    for mine, theirs in zip(
        torch.autograd.grad(found, leaves, up),
        torch.autograd.grad(expected, leaves, up),
        strict=True,
    ):
        close(mine, theirs)


@pytest.mark.parametrize("shape", [(32, 32), (32, 3)], ids=["winograd", "few"])
def test_a_second_derivative_is_refused(shape: tuple[int, int]) -> None:
    conv = nn.Conv2d(*shape, 3).double()
    x = drawn(2, shape[0], 17, 15, dtype=torch.float64).requires_grad_()
    made = convolution(x, conv, 0.2).square().sum()
    (gradient,) = torch.autograd.grad(made, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_stored_machine_code_knows_the_modules_that_it_is_made_of() -> None:
    """`kernels` is the module that numba asks whether its stored code is still right."""
    folder = Path(transforms.__file__).parent
    names = ("transforms", "vectors", "parts")
    sources = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in names)
    found = f"{zlib.crc32(sources.encode()):08x}"
    assert found == kernels.EDITION, f'Write EDITION = "{found}" into kernels.py.'
