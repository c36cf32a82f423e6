"""3 x 3 convolutions of many channels to one or a few, as matrix products.

A convolution that fills vectors with its results leaves most of them empty here. So every pixel
is multiplied by the nine weights of every result at once, and the products are summed over the
pixels around; for the weights' derivative the gradients of its nine neighbours are laid beside
every pixel. Without padding, stride 1. The derivative with respect to the input has as many
results as there are channels, and is PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

MOST = 4
"""Results up to which this is faster on a CPU."""
_TAPS = tuple(product(range(3), range(3)))


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of (B, C, H, W) by (K, C, 3, 3) weights gains by it."""
    few = weight.shape[0] <= MOST and weight.shape[1] >= 4 * MOST
    plain = x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
    return few and plain and x.device.type == "cpu" and tuple(weight.shape[2:]) == (3, 3)


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, K, H - 2, W - 2), by (K, C, 3, 3) weights and (K,) bias."""
    batch, _, height, width = x.shape
    planes = (_rows(weight) @ _pixels(x).T).view(3, 3, -1, batch, height, width)
    made = bias.view(-1, 1, 1, 1).expand(-1, batch, height - 2, width - 2).clone()
    for i, j in _TAPS:
        made += planes[i, j, :, :, i : height - 2 + i, j : width - 2 + j]
    return made.transpose(0, 1)


def weight_gradient(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The derivative with respect to the weights.

    Args:
        pairs: (B, C, H, W) inputs and (B, K, H - 2, W - 2) gradients at the results, of one or
            more times that the weights were used.

    Returns:
        (K, C, 3, 3); the sum over the pairs.
    """
    products = [_neighbours(gradient) @ _pixels(x) for x, gradient in pairs]
    total = products[0] if len(products) == 1 else torch.stack(products).sum(dim=0)
    return total.view(3, 3, -1, pairs[0][0].shape[1]).permute(2, 3, 0, 1)


def _neighbours(gradient: Tensor) -> Tensor:
    """(B, K, H - 2, W - 2) at the results -> (9 K, B H W): those that a pixel has part in, tap by
    tap."""
    batch, kernels, height, width = gradient.shape
    wide = F.pad(gradient.transpose(0, 1), (2, 2, 2, 2))
    height, width = height + 2, width + 2
    taps = [wide[:, :, 2 - i : 2 - i + height, 2 - j : 2 - j + width] for i, j in _TAPS]
    return torch.stack(taps).view(9 * kernels, batch * height * width)


def _rows(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) -> (9 K, C), tap by tap."""
    return weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1])


def _pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B H W, C), in the same memory where the channels lie last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
