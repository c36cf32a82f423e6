"""The convolutions of this package for automatic differentiation; they can be derived once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from intarsia_models.convolutions import few_results, winograd
from intarsia_models.convolutions.direct import input_gradient


def convolution(x: Tensor, conv: nn.Conv2d, slope: float = 1.0) -> Tensor:
    """LeakyReLU of a 3 x 3 convolution without padding, computed in the fastest way known here.

    Args:
        x: (B, C, H, W).
        conv: C channels to K.
        slope: Of LeakyReLU; 1 for none.

    Returns:
        (B, K, H - 2, W - 2). Its gradient may have none.
    """
    assert conv.bias is not None
    if winograd.worthwhile(x, conv.weight):
        made = _Winograd.apply(x, conv.weight, conv.bias, slope)
    elif few_results.worthwhile(x, conv.weight):
        made = _FewResults.apply(x, conv.weight, conv.bias)
        made = made if slope == 1.0 else F.leaky_relu(made, slope)
    else:
        made = conv(x)
        made = made if slope == 1.0 else F.leaky_relu(made, slope)
    assert isinstance(made, Tensor)
    return made


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
        factors = winograd.filter_factors(weight)
        made = winograd.convolved(x, factors, bias=bias, slope=slope)
        ctx.save_for_backward(x, weight, made)
        ctx.slope = slope
        return made

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, made = ctx.saved_tensors
        (delta,) = grads
        if ctx.slope != 1.0:
            delta = torch.ops.aten.leaky_relu_backward(delta, made, ctx.slope, True)
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            factors = winograd.turned_filter_factors(weight)
            to_x = winograd.convolved(delta, factors, border=2)
        if ctx.needs_input_grad[1]:
            to_weight = winograd.weight_gradient([(x, delta)])
        if ctx.needs_input_grad[2]:
            to_bias = delta.sum(dim=(0, 2, 3))
        return to_x, to_weight, to_bias, None


class _FewResults(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return few_results.convolved(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (up,) = grads
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = input_gradient(up, x, weight)
        if ctx.needs_input_grad[1]:
            to_weight = few_results.weight_gradient([(x, up)])
        if ctx.needs_input_grad[2]:
            to_bias = up.sum(dim=(0, 2, 3))
        return to_x, to_weight, to_bias
