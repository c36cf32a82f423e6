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

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.kernel_threads import run_parts

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

    run_parts(run, parts, workers)


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
    for part in (_load, _products, _exponentials):  # compiled code calls compiled code only
        globals()[part.__name__] = numba.njit(inline="always", **options)(part)
    try:
        return (
            numba.njit(cache=True, **options)(_forward),
            numba.njit(cache=True, **options)(_backward),
        )
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(_forward), numba.njit(**options)(_backward)


def _forward(q, k, v, bias, out, heads, start, stop):  # compiled: types are found at the call
    count, many = q.shape[0], k.shape[0]
    d = q.shape[2] // heads
    scale = np.float32(1.0 / np.sqrt(d))
    fours, rest = d - d % 4, many - many % 4
    ql, ol = np.empty((d, LANES), np.float32), np.empty((d, LANES), np.float32)
    kl, vl = np.empty((many, d, LANES), np.float32), np.empty((many, d, LANES), np.float32)
    a, total = np.empty((many, LANES), np.float32), np.empty(LANES, np.float32)
    bits = np.empty(LANES, np.int32)
    powers = bits.view(np.float32)
    for p in range(start, stop, LANES):
        lanes = min(LANES, stop - p)
        for h in range(heads):
            c = h * d
            for j in range(many):
                _load(k[j], p, lanes, c, kl[j], np.float32(1.0))
                _load(v[j], p, lanes, c, vl[j], np.float32(1.0))
            for i in range(count):
                _load(q[i], p, lanes, c, ql, scale)
                for j in range(many):
                    _products(a[j], ql, kl[j], bias[j], fours)
                _exponentials(a, total, bits, powers)
                ol[:] = np.float32(0.0)
                for j in range(0, rest, 4):  # four at once: sums are loaded and stored less often
                    for e in range(d):
                        for x in range(LANES):
                            ol[e, x] += (
                                a[j, x] * vl[j, e, x]
                                + a[j + 1, x] * vl[j + 1, e, x]
                                + a[j + 2, x] * vl[j + 2, e, x]
                                + a[j + 3, x] * vl[j + 3, e, x]
                            )
                for j in range(rest, many):
                    for e in range(d):
                        for x in range(LANES):
                            ol[e, x] += a[j, x] * vl[j, e, x]
                for e in range(d):
                    for x in range(LANES):
                        ol[e, x] /= total[x]
                for x in range(lanes):
                    for e in range(d):
                        out[i, p + x, c + e] = ol[e, x]


def _backward(q, k, v, bias, grad, dq, dk, dv, heads, start, stop):
    # With weights a = softmax(l): da = grad . v, dl = a (da - sum(a da)), dq = sum(dl k),
    # dk = sum(dl q), dv = sum(a grad). Four queries at once; those beyond the last one are zeros.
    count, many = q.shape[0], k.shape[0]
    d = q.shape[2] // heads
    scale = np.float32(1.0 / np.sqrt(d))
    fours = d - d % 4
    ql, gl = np.zeros((4, d, LANES), np.float32), np.zeros((4, d, LANES), np.float32)
    dql = np.empty((4, d, LANES), np.float32)
    kl, vl = np.empty((many, d, LANES), np.float32), np.empty((many, d, LANES), np.float32)
    dkl, dvl = np.empty((many, d, LANES), np.float32), np.empty((many, d, LANES), np.float32)
    a, da = np.empty((4, many, LANES), np.float32), np.empty((4, many, LANES), np.float32)
    total, mean = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    bits = np.empty(LANES, np.int32)
    powers = bits.view(np.float32)
    none = np.float32(0.0)
    for p in range(start, stop, LANES):
        lanes = min(LANES, stop - p)
        for h in range(heads):
            c = h * d
            for j in range(many):
                _load(k[j], p, lanes, c, kl[j], np.float32(1.0))
                _load(v[j], p, lanes, c, vl[j], np.float32(1.0))
            dkl[:] = none
            dvl[:] = none
            for first in range(0, count, 4):
                there = min(4, count - first)
                for n in range(4):
                    if n < there:
                        _load(q[first + n], p, lanes, c, ql[n], scale)
                        _load(grad[first + n], p, lanes, c, gl[n], np.float32(1.0))
                    else:
                        ql[n] = none
                        gl[n] = none
                    for j in range(many):
                        _products(a[n, j], ql[n], kl[j], bias[j], fours)
                        _products(da[n, j], gl[n], vl[j], none, fours)
                    _exponentials(a[n], total, bits, powers)
                    mean[:] = none
                    for j in range(many):
                        for x in range(LANES):
                            a[n, j, x] /= total[x]
                            mean[x] += a[n, j, x] * da[n, j, x]
                    for j in range(many):
                        for x in range(LANES):
                            da[n, j, x] = a[n, j, x] * (da[n, j, x] - mean[x])
                dql[:] = none
                for j in range(many):
                    for e in range(d):
                        for x in range(LANES):
                            dvl[j, e, x] += (
                                a[0, j, x] * gl[0, e, x]
                                + a[1, j, x] * gl[1, e, x]
                                + a[2, j, x] * gl[2, e, x]
                                + a[3, j, x] * gl[3, e, x]
                            )
                            dkl[j, e, x] += (
                                da[0, j, x] * ql[0, e, x]
                                + da[1, j, x] * ql[1, e, x]
                                + da[2, j, x] * ql[2, e, x]
                                + da[3, j, x] * ql[3, e, x]
                            )
                for n in range(there):
                    for j in range(many):
                        for e in range(d):
                            for x in range(LANES):
                                dql[n, e, x] += da[n, j, x] * kl[j, e, x]
                    for x in range(lanes):
                        for e in range(d):
                            dq[first + n, p + x, c + e] = dql[n, e, x] * scale
            for j in range(many):
                for x in range(lanes):
                    for e in range(d):
                        dk[j, p + x, c + e] = dkl[j, e, x]
                        dv[j, p + x, c + e] = dvl[j, e, x]


def _load(rows, p, lanes, c, out, scale):
    """Channels from ``c`` of the pixels from ``p``, side by side; the last one fills the lanes."""
    for x in range(LANES):
        at = p + min(x, lanes - 1)
        for e in range(out.shape[0]):
            out[e, x] = rows[at, c + e] * scale


def _products(out, one, other, bias, fours):
    """The sum over the channels of the products of two elements, and a bias."""
    for x in range(LANES):
        out[x] = bias
    for e in range(0, fours, 4):
        for x in range(LANES):
            out[x] += (
                one[e, x] * other[e, x]
                + one[e + 1, x] * other[e + 1, x]
                + one[e + 2, x] * other[e + 2, x]
                + one[e + 3, x] * other[e + 3, x]
            )
    for e in range(fours, one.shape[0]):
        for x in range(LANES):
            out[x] += one[e, x] * other[e, x]


def _exponentials(a, total, bits, powers):
    """exp(a - max(a)) over the rows of ``a`` in its place, and their sum: 2^n 2^f with n whole and
    f in [-1/2, 1/2], whose polynomial is that of Cephes' exp2f (relative error 2e-7)."""
    for x in range(LANES):
        total[x] = a[0, x]
    for j in range(1, a.shape[0]):
        for x in range(LANES):
            total[x] = max(total[x], a[j, x])
    for j in range(a.shape[0]):
        for x in range(LANES):
            a[j, x] -= total[x]
    total[:] = np.float32(0.0)
    for j in range(a.shape[0]):
        for x in range(LANES):
            t = max(a[j, x] * np.float32(1.4426950409), np.float32(-126.0))
            n = np.floor(t + np.float32(0.5))
            f = t - n
            r = np.float32(1.535336188e-4) * f + np.float32(1.339887440e-3)
            r = r * f + np.float32(9.618437357e-3)
            r = r * f + np.float32(5.550332471e-2)
            r = r * f + np.float32(2.402264791e-1)
            r = r * f + np.float32(6.931472029e-1)
            a[j, x] = r * f + np.float32(1.0)
            bits[x] = (np.int32(n) + np.int32(127)) << np.int32(23)
        for x in range(LANES):
            a[j, x] *= powers[x]
            total[x] += a[j, x]
