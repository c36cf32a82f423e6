"""Scale, shift and ReLU in one pass over channels-last features on the CPU.

PyTorch has no operation that mixes a few rows of scales by position and applies them at once; made
of several operations, each of them walks through memory that is as large as the features. The one
pass here is compiled by numba when it is first needed (about two seconds, then kept on disk). Where
numba cannot be imported, `usable` says no and callers take PyTorch's operations.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.kernel_threads import run_parts

SHARED_FROM = 1 << 20
"""Features with fewer numbers than this are done by one thread."""
NEVER = float("-inf")
"""The lower bound where there is no ReLU."""


def usable(x: Tensor, *others: Tensor) -> bool:
    """Whether the pass can take these: float32 on the CPU, channels last, nothing to derive."""
    if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
        return False
    if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in (x, *others)):
        return False
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *others)):
        return False
    return _kernels() is not None


def affine(
    x: Tensor, scales: Tensor, shifts: Tensor, *, relu: bool, out: Tensor | None = None
) -> Tensor:
    """x * scale + shift, one row of scales and shifts per picture.

    Args:
        x: (B, C, H, W) for which `usable`.
        scales: (1 or B, C).
        shifts: (1 or B, C).
        relu: Negative results become 0.
        out: (B, C, H, W) for which `usable`, to be written; x itself is allowed.
    """
    if out is None:
        out = torch.empty_like(x, memory_format=torch.channels_last)
    arrays = (_pixels(x), _rows(scales), _rows(shifts), _pixels(out))
    _run(_known_kernels()[0], arrays, 0.0 if relu else NEVER)
    return out


def mixed_affine(
    x: Tensor,
    weights: Tensor,
    scales: Tensor,
    shifts: Tensor,
    *,
    relu: bool,
    out: Tensor | None = None,
) -> Tensor:
    """x * scale + shift with both mixed at every position from k rows.

    Args:
        x: (B, C, H, W) for which `usable`; a batch of 1 is used for every map.
        weights: (1 or B, k, H, W).
        scales: (1 or B, k, C).
        shifts: (1 or B, k, C).
        relu: Negative results become 0.
        out: (B, C, H, W) for which `usable`, to be written; x itself is allowed where it has the
            batch of the result.
    """
    if out is None:
        shape = (max(x.shape[0], weights.shape[0], scales.shape[0]), *x.shape[1:])
        out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
    maps = _rows(weights.flatten(2))
    arrays = (_pixels(x), maps, _rows(scales), _rows(shifts), _pixels(out))
    _run(_known_kernels()[1], arrays, 0.0 if relu else NEVER)
    return out


def _pixels(x: Tensor) -> np.ndarray:
    """(B, H W, C) of a channels-last tensor, the same memory."""
    return x.detach().permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1]).numpy()


def _rows(table: Tensor) -> np.ndarray:
    return table.detach().contiguous().numpy()


def _run(kernel: Any, arrays: tuple[np.ndarray, ...], bound: float) -> None:
    """Every picture's pixels, shared among as many threads as PyTorch uses.

    An array of one picture serves all of them; the last one is written.
    """

    def run(picture: int, start: int, stop: int) -> None:
        own = (array[picture if len(array) > 1 else 0] for array in arrays)
        kernel(*own, bound, start, stop)

    batch, count, channels = arrays[-1].shape
    workers = torch.get_num_threads()
    if workers == 1 or count * channels < SHARED_FROM:
        for picture in range(batch):
            run(picture, 0, count)
        return
    edges = [count * part // workers for part in range(workers + 1)]
    parts = [(n, *span) for n in range(batch) for span in pairwise(edges)]
    run_parts(run, parts, workers)


def _known_kernels() -> tuple[Any, Any]:
    kernels = _kernels()
    if kernels is None:
        raise RuntimeError("numba cannot be imported; ask usable() first.")
    return kernels


@cache
def _kernels() -> tuple[Any, Any] | None:
    """`_affine` and `_mixed_affine`, to be compiled at their first call."""
    try:
        import numba
    except ImportError:
        return None
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz"},  # not-a-number must stay one
    }
    try:
        return (
            numba.njit(cache=True, **options)(_affine),
            numba.njit(cache=True, **options)(_mixed_affine),
        )
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(_affine), numba.njit(**options)(_mixed_affine)


def _affine(x, scale, shift, out, bound, start, stop):  # compiled: types are found at the call
    low = np.float32(bound)
    for p in range(start, stop):
        for c in range(x.shape[1]):
            v = x[p, c] * scale[c] + shift[c]
            out[p, c] = low if v < low else v


def _mixed_affine(x, weights, scales, shifts, out, bound, start, stop):
    # Inside an area one class has the whole weight, position after position: such runs are asked
    # for nothing but their end, and each of their numbers costs what it costs in `_affine`.
    low = np.float32(bound)
    many, channels = weights.shape[0], x.shape[1]
    used = np.zeros(many, np.int64)
    scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    p = start
    while p < stop:
        count = 0
        for k in range(many):
            if weights[k, p] != 0:
                used[count] = k
                count += 1
        i, j = used[0], used[1 if count > 1 else 0]
        u, v = weights[i, p], weights[j, p]
        if count == 1 and u == 1:
            whole = weights[i]
            while p < stop and whole[p] == 1:
                for c in range(channels):
                    r = x[p, c] * scales[i, c] + shifts[i, c]
                    out[p, c] = low if r < low else r
                p += 1
            continue
        if count == 2:
            for c in range(channels):
                y = x[p, c]
                r = u * (y * scales[i, c] + shifts[i, c]) + v * (y * scales[j, c] + shifts[j, c])
                out[p, c] = low if r < low else r
        elif count == 3:
            h = used[2]
            w = weights[h, p]
            for c in range(channels):
                y = x[p, c]
                r = u * (y * scales[i, c] + shifts[i, c]) + v * (y * scales[j, c] + shifts[j, c])
                r += w * (y * scales[h, c] + shifts[h, c])
                out[p, c] = low if r < low else r
        elif count == 4:
            h, g = used[2], used[3]
            w, t = weights[h, p], weights[g, p]
            for c in range(channels):
                y = x[p, c]
                r = u * (y * scales[i, c] + shifts[i, c]) + v * (y * scales[j, c] + shifts[j, c])
                r += w * (y * scales[h, c] + shifts[h, c]) + t * (y * scales[g, c] + shifts[g, c])
                out[p, c] = low if r < low else r
        else:
            scale[:] = 0
            shift[:] = 0
            for n in range(count):
                k = used[n]
                w = weights[k, p]
                for c in range(channels):
                    scale[c] += w * scales[k, c]
                    shift[c] += w * shifts[k, c]
            for c in range(channels):
                r = x[p, c] * scale[c] + shift[c]
                out[p, c] = low if r < low else r
        p += 1
