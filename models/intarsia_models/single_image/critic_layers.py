"""The critic's convolutions with their LeakyReLU, and the derivatives of both.

In single and double precision by Winograd's algorithm where that is faster, else by PyTorch's
winograd.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.convolutions import direct, few_results, winograd

_aten = torch.ops.aten
Pairs = Sequence[tuple[Tensor, Tensor]]


def laid_out(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Channels last."""
    return tensor.to(dtype).contiguous(memory_format=torch.channels_last)


class CriticLayer:
    """A convolution without padding and with a bias; its weights as they are now."""

    def __init__(self, convolution: nn.Conv2d, slope: float, dtype: torch.dtype) -> None:
        """Lay the weights out.

        Args:
            convolution: 3 x 3.
            slope: Of the LeakyReLU after it.
            dtype: What is computed in.
        """
        assert convolution.bias is not None
        self.convolution = convolution
        self.slope = slope
        self.weight = laid_out(convolution.weight.detach(), dtype)
        self.bias = convolution.bias.detach().to(dtype)

    def activated(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H-2, W-2)."""
        if winograd.worthwhile(x, self.weight):
            return winograd.convolved(x, self._factors, bias=self.bias, slope=self.slope)
        return F.leaky_relu_(self.linear(x), self.slope)

    def linear(self, x: Tensor) -> Tensor:
        """As `activated`, without the LeakyReLU."""
        if few_results.worthwhile(x, self.weight):
            return few_results.convolved(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias)

    def tangent(self, x: Tensor, activated: Tensor) -> Tensor:
        """The derivative of `activated` in the direction ``x``, given what it made."""
        if winograd.worthwhile(x, self.weight):
            return winograd.convolved(x, self._factors, slope=self.slope, signs=activated)
        return self._through_activation(F.conv2d(x, self.weight), activated)

    def input_gradient(self, up: Tensor, x: Tensor) -> Tensor:
        """Of the convolution: (B, K, H-2, W-2) -> (B, C, H, W), the shape of ``x``."""
        return direct.input_gradient(up, x, self.weight)

    def delta_before(self, up: Tensor, x: Tensor) -> Tensor:
        """As `input_gradient`, and on through the LeakyReLU that ``x`` came out of (of this slope
        too): it keeps the sign, so its output tells its slope."""
        if winograd.worthwhile(x, self.weight):
            turned = self._turned_factors
            return winograd.convolved(up, turned, border=2, slope=self.slope, signs=x)
        return self._through_activation(self.input_gradient(up, x), x)

    def set_gradients(self, pairs: Pairs, bias_gradient: Tensor) -> None:
        """Replace ``.grad`` of the module's weights by the sum over the inputs and the gradients at
        the results."""
        if winograd.worthwhile(pairs[0][0], self.weight):
            total = winograd.weight_gradient(pairs)
        elif few_results.worthwhile(pairs[0][0], self.weight):
            total = few_results.weight_gradient(pairs)
        else:
            total = _sum([direct.weight_gradient(up, x, self.weight) for x, up in pairs])
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        weight.grad = _laid_out_like(total, weight)
        bias.grad = bias_gradient

    @cached_property
    def _factors(self) -> Tensor:
        return winograd.filter_factors(self.weight)

    @cached_property
    def _turned_factors(self) -> Tensor:
        return winograd.turned_filter_factors(self.weight)

    def _through_activation(self, up: Tensor, activated: Tensor) -> Tensor:
        """In place."""
        return _aten.leaky_relu_backward.grad_input(up, activated, self.slope, True, grad_input=up)


def _laid_out_like(gradient: Tensor, weight: Tensor) -> Tensor:
    """Fused optimizers read a weight and its gradient in step, so their strides must agree."""
    if gradient.stride() == weight.stride() and gradient.dtype == weight.dtype:
        return gradient
    return torch.empty_like(weight).copy_(gradient)


def _sum(tensors: list[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total.add_(tensor)
    return total
