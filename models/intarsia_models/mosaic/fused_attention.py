"""Attention over the few templates of every pixel, in one pass on the CPU.

A picture has thousands of pixels and each of them a tiny attention of its own; as matrix products
they cost far more in overhead than in arithmetic. Here `LANES` pixels are computed side by side in
the lanes of the processor's vectors, whatever the number of templates and channels, and no logits
are kept: the pass back computes them again. Compiled by numba when it is first needed (some
seconds, then kept on disk). Where numba cannot be imported, `usable` says no and callers take
PyTorch's operations.

Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; recomputing as in Dao et al. 2022,
arXiv:2205.14135.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

LANES = 64
"""Pixels side by side: four vectors of AVX-512, so that the compiler's checks are worth it."""
SHARED_FROM = 1 << 18
"""With fewer products of queries and keys than this, one thread does it all."""
NEVER = -1e30
"""Added to the logits of absent keys."""


def usable(*tensors: Tensor) -> bool:
    """Whether the pass can take these: on the CPU, in a precision of 32 bits or less."""
    if any(t.device.type != "cpu" or t.dtype == torch.float64 for t in tensors):
        return False
    return _kernels() is not None


def fused_attention(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, present: Tensor | None = None
) -> Tensor:
    """See `set_attention.attended`, for tensors for which `usable`; computed in float32."""
    dtype = queries.dtype
    bias = torch.zeros(keys.shape[:2])
    if present is not None:
        bias.masked_fill_(~present, NEVER)
    made = _FusedAttention.apply(queries.float(), keys.float(), values.float(), bias, heads)
    assert isinstance(made, Tensor)
    return made.to(dtype)


class _FusedAttention(torch.autograd.Function):
    """Derived once only: gradients that are to be derived again cannot go through numpy."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, heads: int
    ) -> Tensor:
        given = [t.detach().contiguous() for t in (queries, keys, values)]
        out = torch.empty_like(given[0])
        ctx.save_for_backward(*given, bias)
        ctx.heads = heads
        _run(_known_kernels()[0], [*given, bias, out], heads)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, bias = ctx.saved_tensors
        made = [torch.empty_like(t) for t in (queries, keys, values)]
        given = [queries, keys, values, bias, grads[0].contiguous()]
        _run(_known_kernels()[1], [*given, *made], ctx.heads)
        return (*made, None, None)


def _run(kernel: Callable[..., None], tensors: list[Tensor], heads: int) -> None:
    """All sets, their pixels shared among as many threads as PyTorch uses."""
    arrays = [tensor.numpy() for tensor in tensors]
    sets, count, pixels, _ = arrays[0].shape
    work = sets * count * arrays[1].shape[1] * pixels * heads
    workers = torch.get_num_threads() if work >= SHARED_FROM else 1
    blocks = -(-pixels // LANES)
    edges = [min(pixels, LANES * (blocks * n // workers)) for n in range(workers + 1)]
    parts = [(b, *span) for b in range(sets) for span in pairwise(edges) if span[0] < span[1]]

    def run(index: int, start: int, stop: int) -> None:
        kernel(*(array[index] for array in arrays), heads, start, stop)

    if workers == 1:
        for part in parts:
            run(*part)
        return
    own, given = parts[::workers], [part for n, part in enumerate(parts) if n % workers]
    waiting = [_pool(os.getpid(), workers).submit(run, *part) for part in given]
    for part in own:
        run(*part)
    for done in waiting:
        done.result()


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers - 1, thread_name_prefix="fused-attention")


def _known_kernels() -> tuple[Any, Any]:
    kernels = _kernels()
    if kernels is None:
        raise RuntimeError("numba cannot be imported; ask usable() first.")
    return kernels


@cache
def _kernels() -> tuple[Any, Any] | None:
    """The pass there and the pass back, to be compiled at their first call."""
    try:
        import numba
    except ImportError:
        return None
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz", "reassoc"},
    }
    try:
        return tuple(numba.njit(cache=True, **options)(f) for f in (_forward, _backward))  # type: ignore[return-value]
    except RuntimeError:  # nowhere to keep it
        return tuple(numba.njit(**options)(f) for f in (_forward, _backward))  # type: ignore[return-value]


def _forward(q, k, v, bias, out, heads, start, stop):  # compiled: types are found at the call
    count, many = q.shape[0], k.shape[0]
    d = q.shape[2] // heads
    scale = np.float32(1.0 / np.sqrt(d))
    ql = np.empty((d, LANES), np.float32)
    kl = np.empty((many, d, LANES), np.float32)
    vl = np.empty((many, d, LANES), np.float32)
    ol = np.empty((d, LANES), np.float32)
    logits = np.empty((many, LANES), np.float32)
    top, total = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    bits = np.empty(LANES, np.int32)
    powers = bits.view(np.float32)
    for p in range(start, stop, LANES):
        lanes = min(LANES, stop - p)
        for h in range(heads):
            c = h * d
            for j in range(many):
                for x in range(LANES):
                    at = p + min(x, lanes - 1)
                    for e in range(d):
                        kl[j, e, x] = k[j, at, c + e]
                        vl[j, e, x] = v[j, at, c + e]
            for i in range(count):
                for x in range(LANES):
                    at = p + min(x, lanes - 1)
                    for e in range(d):
                        ql[e, x] = q[i, at, c + e] * scale
                top[:] = np.float32(-3e38)
                for j in range(many):
                    for x in range(LANES):
                        logits[j, x] = bias[j]
                    for e in range(d):
                        for x in range(LANES):
                            logits[j, x] += ql[e, x] * kl[j, e, x]
                    for x in range(LANES):
                        top[x] = max(top[x], logits[j, x])
                total[:] = np.float32(0.0)
                ol[:] = np.float32(0.0)
                for j in range(many):
                    # exp(l - top) = 2^n 2^f with n whole and f in [-1/2, 1/2]
                    for x in range(LANES):
                        t = max(
                            (logits[j, x] - top[x]) * np.float32(1.4426950409), np.float32(-126)
                        )
                        n = np.floor(t + np.float32(0.5))
                        f = t - n
                        r = np.float32(1.535336188e-4)
                        r = r * f + np.float32(1.339887440e-3)
                        r = r * f + np.float32(9.618437357e-3)
                        r = r * f + np.float32(5.550332471e-2)
                        r = r * f + np.float32(2.402264791e-1)
                        r = r * f + np.float32(6.931472029e-1)
                        logits[j, x] = r * f + np.float32(1.0)
                        bits[x] = (np.int32(n) + np.int32(127)) << np.int32(23)
                    for x in range(LANES):
                        logits[j, x] *= powers[x]
                        total[x] += logits[j, x]
                    for e in range(d):
                        for x in range(LANES):
                            ol[e, x] += logits[j, x] * vl[j, e, x]
                for x in range(lanes):
                    for e in range(d):
                        out[i, p + x, c + e] = ol[e, x] / total[x]


def _backward(q, k, v, bias, grad, dq, dk, dv, heads, start, stop):
    count, many = q.shape[0], k.shape[0]
    d = q.shape[2] // heads
    scale = np.float32(1.0 / np.sqrt(d))
    ql = np.empty((d, LANES), np.float32)
    gl = np.empty((d, LANES), np.float32)
    dql = np.empty((d, LANES), np.float32)
    kl = np.empty((many, d, LANES), np.float32)
    vl = np.empty((many, d, LANES), np.float32)
    dkl = np.empty((many, d, LANES), np.float32)
    dvl = np.empty((many, d, LANES), np.float32)
    a = np.empty((many, LANES), np.float32)
    da = np.empty((many, LANES), np.float32)
    top, total = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    mean = np.empty(LANES, np.float32)
    bits = np.empty(LANES, np.int32)
    powers = bits.view(np.float32)
    for p in range(start, stop, LANES):
        lanes = min(LANES, stop - p)
        for h in range(heads):
            c = h * d
            for j in range(many):
                for x in range(LANES):
                    at = p + min(x, lanes - 1)
                    for e in range(d):
                        kl[j, e, x] = k[j, at, c + e]
                        vl[j, e, x] = v[j, at, c + e]
            dkl[:] = np.float32(0.0)
            dvl[:] = np.float32(0.0)
            for i in range(count):
                for x in range(LANES):
                    at = p + min(x, lanes - 1)
                    for e in range(d):
                        ql[e, x] = q[i, at, c + e] * scale
                        gl[e, x] = grad[i, at, c + e]
                top[:] = np.float32(-3e38)
                for j in range(many):
                    for x in range(LANES):
                        a[j, x] = bias[j]
                        da[j, x] = np.float32(0.0)
                    for e in range(d):
                        for x in range(LANES):
                            a[j, x] += ql[e, x] * kl[j, e, x]
                            da[j, x] += gl[e, x] * vl[j, e, x]
                    for x in range(LANES):
                        top[x] = max(top[x], a[j, x])
                total[:] = np.float32(0.0)
                for j in range(many):
                    for x in range(LANES):
                        t = max((a[j, x] - top[x]) * np.float32(1.4426950409), np.float32(-126))
                        n = np.floor(t + np.float32(0.5))
                        f = t - n
                        r = np.float32(1.535336188e-4)
                        r = r * f + np.float32(1.339887440e-3)
                        r = r * f + np.float32(9.618437357e-3)
                        r = r * f + np.float32(5.550332471e-2)
                        r = r * f + np.float32(2.402264791e-1)
                        r = r * f + np.float32(6.931472029e-1)
                        a[j, x] = r * f + np.float32(1.0)
                        bits[x] = (np.int32(n) + np.int32(127)) << np.int32(23)
                    for x in range(LANES):
                        a[j, x] *= powers[x]
                        total[x] += a[j, x]
                mean[:] = np.float32(0.0)
                for j in range(many):
                    for x in range(LANES):
                        a[j, x] /= total[x]
                        mean[x] += a[j, x] * da[j, x]
                dql[:] = np.float32(0.0)
                for j in range(many):
                    for x in range(LANES):
                        da[j, x] = a[j, x] * (da[j, x] - mean[x])
                    for e in range(d):
                        for x in range(LANES):
                            dvl[j, e, x] += a[j, x] * gl[e, x]
                            dkl[j, e, x] += da[j, x] * ql[e, x]
                            dql[e, x] += da[j, x] * kl[j, e, x]
                for x in range(lanes):
                    for e in range(d):
                        dq[i, p + x, c + e] = dql[e, x] * scale
            for j in range(many):
                for x in range(lanes):
                    for e in range(d):
                        dk[j, p + x, c + e] = dkl[j, e, x]
                        dv[j, p + x, c + e] = dvl[j, e, x]
