"""3 x 3 convolutions of many channels on the CPU, and their derivatives, by Winograd's algorithm.

A quarter of a convolution's products, and about half of its time. Only without padding (or with
as much as the derivative needs), stride 1, and where they are `worthwhile`; elsewhere callers take
PyTorch's. Rounding does about five times as much as in PyTorch's: 7e-7 of the results in single
precision. The same tensors give the same bits with the same number of threads.

Compiled by numba at the first call (4 seconds, then kept on disk).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from intarsia_models.kernel_threads import run_parts

BLOCK = 48
"""Tiles between whose transforms nothing leaves the cache: 0.9 MB in it with 64 channels."""
SHARED_FROM = 1 << 17
"""With fewer products of a number by a number in a factor, one thread does it all."""
LEAST_TILES = 16
"""With fewer tiles, the transforms of the filters cost more than is saved."""
_kept = threading.local()


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of (B, C, H, W) by (K, C, 3, 3) weights can be computed here and gains
    by it."""
    on_cpu = x.device.type == "cpu" and weight.device.type == "cpu"
    return on_cpu and x.dtype == weight.dtype and _gains(x.shape, x.dtype, weight.shape)


@lru_cache(maxsize=512)
def _gains(shape: torch.Size, dtype: torch.dtype, filters: torch.Size) -> bool:
    if dtype not in (torch.float32, torch.float64) or tuple(filters[2:]) != (3, 3):
        return False
    if _tiles(shape[0], shape[2] - 2, shape[3] - 2) < LEAST_TILES:
        return False
    kernels = _kernels()
    if kernels is None:
        return False
    whole = kernels.granularity(dtype.itemsize)
    return all(count % whole == 0 for count in filters[:2])


def filter_factors(weight: Tensor) -> Tensor:
    """For `convolved`: (K, C, 3, 3) -> (36, C, K)."""
    count, channels = weight.shape[:2]
    factors = weight.new_empty(36, channels, count)
    laid_out = weight.detach().permute(2, 3, 1, 0).contiguous()
    arrays = laid_out.numpy(), factors.numpy()
    _known().transform_filters(arrays[0], arrays[0].dtype.type(1), arrays[1])
    return factors


def turned_filter_factors(weight: Tensor) -> Tensor:
    """For `convolved` back: (K, C, 3, 3) -> (36, K, C)."""
    count, channels = weight.shape[:2]
    factors = weight.new_empty(36, count, channels)
    arrays = _pixels(weight), factors.numpy()
    _known().transform_turned_filters(arrays[0], arrays[0].dtype.type(1), arrays[1])
    return factors


def convolved(
    x: Tensor,
    factors: Tensor,
    *,
    border: int = 0,
    bias: Tensor | None = None,
    slope: float = 1.0,
    signs: Tensor | None = None,
) -> Tensor:
    """A convolution, and what follows it.

    Args:
        x: (B, C, H, W).
        factors: (36, C, K) of `filter_factors`; or those of `turned_filter_factors`, which with a
            border of 2 make it the derivative with respect to the convolution's input.
        border: Zeros around ``x``, 0 to 2.
        bias: (K,).
        slope: Factor of those results that are not positive.
        signs: (B, K, H + 2 border - 2, W + 2 border - 2) of which it is asked instead whether
            they are positive: the derivative of LeakyReLU, from what came out of it.

    Returns:
        (B, K, H + 2 border - 2, W + 2 border - 2), channels last.
    """
    pixels = _pixels(x)
    batch, height, width, channels = pixels.shape
    kernels = factors.shape[2]
    shrink = 2 * border - 2
    made = x.new_empty(batch, height + shrink, width + shrink, kernels)
    out = made.numpy()
    shift = (x.new_zeros(kernels) if bias is None else bias.detach()).numpy()
    asked = out if signs is None else _pixels(signs)
    given = pixels, factors.numpy(), shift, asked, out.dtype.type(slope), signs is None, out

    def run(first: int, last: int, block: int) -> None:
        scratch = _scratch(x.dtype, channels, kernels, block)
        _known().convolve(*given, *scratch, border, first, last, block)

    workers = _workers(out, channels)
    run_parts(run, _parts(out, workers), workers)
    return made.permute(0, 3, 1, 2)


def weight_gradient(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The derivative with respect to a convolution's weights.

    Args:
        pairs: (B, C, H, W) inputs and (B, K, H - 2, W - 2) gradients at the results, of one or
            more times that the weights were used.

    Returns:
        (K, C, 3, 3), channels last; the sum over the pairs.
    """
    arrays = [(_pixels(x), _pixels(gradient)) for x, gradient in pairs]
    channels, kernels = arrays[0][0].shape[3], arrays[0][1].shape[3]
    like, one = pairs[0][0], arrays[0][0].dtype.type(1)
    workers = max(_workers(gradient, channels) for _, gradient in arrays)
    sums = like.new_zeros(workers, 36, kernels, channels)

    def run(worker: int) -> None:
        for x, gradient in arrays:
            parts = _parts(gradient, workers)
            if worker < len(parts):
                block = parts[worker][2]
                scratch = _scratch(like.dtype, channels, kernels, block)
                total = sums[worker].numpy()
                _known().correlate(x, gradient, one, total, *scratch, *parts[worker])

    run_parts(run, [(worker,) for worker in range(workers)], workers)
    made = like.new_empty(kernels, 3, 3, channels)
    total = sums[0] if workers == 1 else sums.sum(dim=0)
    _known().transform_sums(total.numpy(), one, made.numpy())
    return made.permute(0, 3, 1, 2)


def _pixels(tensor: Tensor) -> Any:
    """(B, C, H, W) -> (B, H, W, C) without gaps, in the same memory where it lies so."""
    return tensor.detach().permute(0, 2, 3, 1).contiguous().numpy()


def _tiles(batch: int, height: int, width: int) -> int:
    """Of results of this size."""
    return batch * (-(-height // 4)) * (-(-width // 4))


def _workers(results: Any, channels: int) -> int:
    work = _tiles(*results.shape[:3]) * channels * results.shape[3]
    return torch.get_num_threads() if work >= SHARED_FROM else 1


def _parts(results: Any, workers: int) -> list[tuple[int, int, int]]:
    """First and last tile for each worker, and how many at a time, about as many each time."""
    tiles = _tiles(*results.shape[:3])
    edges = [tiles * n // workers for n in range(workers + 1)]
    spans = [(first, last) for first, last in pairwise(edges) if first < last]
    times = [-(-(last - first) // BLOCK) for first, last in spans]
    return [
        (first, last, -(-(last - first) // count))
        for (first, last), count in zip(spans, times, strict=True)
    ]


def _scratch(dtype: torch.dtype, channels: int, kernels: int, block: int) -> list[Any]:
    """Of this thread; kept, because large memory is dear to get."""
    sizes = _known().scratch_sizes(channels, kernels, block)
    found: dict[torch.dtype, list[Any]] = _kept.__dict__.setdefault("arrays", {})
    known = found.get(dtype)
    if known is None or any(a.size < size for a, size in zip(known, sizes, strict=True)):
        known = found[dtype] = [torch.zeros(size, dtype=dtype).numpy() for size in sizes]
    return known


def _known() -> Any:
    kernels = _kernels()
    if kernels is None:
        raise RuntimeError("numba cannot be imported; ask worthwhile() first.")
    return kernels


@cache
def _kernels() -> ModuleType | None:
    try:
        from intarsia_models.convolutions import kernels
    except ImportError:
        return None
    return kernels
