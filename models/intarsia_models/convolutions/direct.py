"""The derivatives of PyTorch's own convolutions without padding, one by one."""

import torch
from torch import Tensor


def input_gradient(up: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """(B, K, H', W') at the results -> (B, C, H, W), the shape of ``x``."""
    return _backward(up, x, weight, [True, False, False])[0]


def weight_gradient(up: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """(B, K, H', W') at the results and (B, C, H, W) inputs -> the shape of ``weight``."""
    return _backward(up, x, weight, [False, True, False])[1]


def _backward(up: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    return torch.ops.aten.convolution_backward(
        up, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, wanted
    )
