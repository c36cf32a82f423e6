"""Conditional batch normalization with one class, and with a class for every position.

Source: Suzuki et al. 2018, arXiv:1811.10153, eq. 2. The statistics are the running ones in both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia_models.generators import fused_affine


def plain_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    *,
    relu: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """gamma (x - mean) / sqrt(variance + eps) + beta.

    Args:
        x: (B, C, H, W).
        mean: (C,).
        variance: (C,), not negative.
        eps: Added to the variance.
        gamma: (C,) or (B, C).
        beta: (C,) or (B, C).
        relu: Negative results become 0.
        out: Where to write the result: its size and precision, in the layout of x, nothing to
            derive.
    """
    scale = gamma * torch.rsqrt(variance + eps)
    shift = beta - scale * mean
    if fused_affine.usable(x, scale, shift):
        rows = scale.view(-1, x.shape[1]), shift.view(-1, x.shape[1])
        return fused_affine.affine(x, *rows, relu=relu, out=out)
    shape = (-1, x.shape[1], 1, 1)
    result = torch.addcmul(shift.view(shape), x, scale.view(shape), out=out)
    return result.relu_() if relu else result


def spatial_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gammas: Tensor,
    betas: Tensor,
    weights: Tensor,
    *,
    relu: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The same with gamma and beta mixed at every position: sum over c of W_c gamma_c.

    Args:
        x: (B, C, H, W); a batch of 1 is used for every map.
        mean: (C,).
        variance: (C,).
        eps: Added to the variance.
        gammas: (1 or B, k, C), one row per class.
        betas: (1 or B, k, C).
        weights: (1 or B, k, H, W), in [0, 1], summing to 1 over k: where one is 1, the others
            may be taken as 0.
        relu: Negative results become 0.
        out: Where to write the result: its size and precision, in the layout of x, nothing to
            derive.
    """
    scales = gammas * torch.rsqrt(variance + eps)
    shifts = betas - scales * mean
    if fused_affine.usable(x, weights, scales, shifts):
        return fused_affine.mixed_affine(x, weights, scales, shifts, relu=relu, out=out)
    scale = torch.einsum("bkhw,bkc->bchw", *_same_batch(weights, scales))
    shift = torch.einsum("bkhw,bkc->bchw", *_same_batch(weights, shifts))
    result = torch.addcmul(shift, x, scale, out=out)
    return result.relu_() if relu else result


def _same_batch(weights: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    batch = max(weights.shape[0], table.shape[0])
    return weights.expand(batch, -1, -1, -1), table.expand(batch, -1, -1)
