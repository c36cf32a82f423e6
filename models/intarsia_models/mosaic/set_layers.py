"""A layer of attention over sets, and what comes before it, by the kernel of `fused_sets`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.kernel_threads import run_parts

if TYPE_CHECKING:
    from intarsia_models.mosaic.set_attention import AttentionBlock, SetAttention

SHARED_FROM = 1 << 18
"""With fewer numbers than this, one thread does it all."""


def computable(layer: SetAttention, x: Tensor) -> bool:
    """Whether the kernel can take these: no induced points, no gradients, on the CPU, in a
    precision of 32 bits or less."""
    if layer.points is not None or torch.is_grad_enabled() or x.device.type != "cpu":
        return False
    return x.dtype != torch.float64 and _kernel() is not None


def mixed(
    layer: SetAttention,
    x: Tensor,
    count: int,
    *,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    leak: float = 1.0,
    into: Tensor | None = None,
) -> Tensor:
    """The layer's result for leaky_relu(x scale + shift), for what is `computable`.

    Args:
        layer: Whose weights count.
        x: (B K, C, H, W), best with channels last.
        count: K.
        scale: (B K, C); None: 1.
        shift: (B K, C); None: 0.
        leak: What is not positive is multiplied by it; 1: there is no activation.
        into: (B K, H, W, C) float32 with neighbouring channels, for the result; None: a new one.

    Returns:
        (B K, C, H, W) in the type of ``x`` or, with ``into``, in float32.
    """
    rows, channels, height, width = x.shape
    seen = x.float().permute(0, 2, 3, 1)
    if seen.stride(3) != 1:
        seen = seen.contiguous()
    out = torch.empty(seen.shape) if into is None else into
    factors = torch.ones(rows, channels) if scale is None else scale.float().contiguous()
    steps = torch.zeros(rows, channels) if shift is None else shift.float().contiguous()
    weights = packed_weights(layer.block)
    workers = torch.get_num_threads() if seen.numel() >= SHARED_FROM else 1
    kernel, lanes = _known_kernel()
    blocks = -(-height * width // lanes)
    edges = [min(height * width, lanes * (blocks * n // workers)) for n in range(workers + 1)]
    parts = [(b, *span) for b in range(0, rows, count) for span in pairwise(edges)]

    def run(first: int, start: int, stop: int) -> None:
        there = slice(first, first + count)
        kernel(
            seen[first].data_ptr(),
            np.array(seen.stride()[:3]),
            out[first].data_ptr(),
            np.array(out.stride()[:3]),
            width,
            factors[there].numpy(),
            steps[there].numpy(),
            np.array([leak], np.float32),
            *weights,
            layer.block.heads,
            layer.norm_first,
            start,
            stop,
        )

    run_parts(run, parts, workers)
    made = out.permute(0, 3, 1, 2)
    return made.to(x.dtype) if into is None else made


def packed_weights(block: AttentionBlock) -> tuple[np.ndarray[Any, Any], ...]:
    """Layer normalisations, weights, biases and sizes as `fused_sets.mixed_sets` takes them."""
    channels, heads, inner = block.query.in_features, block.heads, block.expand.out_features
    d = channels // heads
    # exponentials are powers of two there
    factors = (1.0 / (np.log(2.0) * d**0.5), 1.0, 1.0)
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        layers = (block.query, block.key, block.value)
        seen = [
            factor * layer.weight[part].T for factor, layer in zip(factors, layers, strict=True)
        ]
        begin = [factor * layer.bias[part] for factor, layer in zip(factors, layers, strict=True)]
        weights += [torch.cat([_filled(w) for w in seen], 1)]
        weights += [_filled(_filled(block.out.weight[:, part]).T)]
        bias = block.out.bias if head == 0 else torch.zeros(channels)
        biases += [*(_filled(b) for b in begin), _filled(bias)]
    weights += [_filled(block.expand.weight.T), _filled(block.contract.weight.T)]
    biases += [_filled(block.expand.bias), _filled(block.contract.bias)]
    norms: list[Tensor] = [block.norm_seen.weight, block.norm_seen.bias]
    norms += [block.norm_inner.weight, block.norm_inner.bias]
    return (
        torch.stack(norms).float().numpy(),
        torch.cat([w.float().flatten() for w in weights]).numpy(),
        torch.cat([b.float() for b in biases]).numpy(),
        np.array([channels, d, inner]),
    )


def _filled(x: Tensor) -> Tensor:
    """With zeros up to a multiple of four in the last dimension."""
    return F.pad(x.detach(), (0, -x.shape[-1] % 4))


def _known_kernel() -> tuple[Callable[..., None], int]:
    kernel = _kernel()
    if kernel is None:
        raise RuntimeError("numba cannot be imported; ask computable() first.")
    return kernel


@cache
def _kernel() -> tuple[Callable[..., None], int] | None:
    """It, to be compiled at its first call, and how many pixels it takes at once."""
    try:
        from intarsia_models.mosaic.fused_sets import LANES, mixed_sets
    except ImportError:
        return None
    return mixed_sets, LANES
