"""Bicubic resizing of features between the stages, corners aligned, as two matrix products.

It is linear and separable, so a small matrix per axis does it: forward and backward are then plain
products, several times faster than the scalar loops of the ready-made function, and on a graphics
card the backward pass adds in a fixed order.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_SIDE = 512
"""The products grow with the third power of the side, the ready-made function with the second."""
MATRICES = 512
"""Kept, far more than a training needs at a time: CUDA graphs read them where they lie."""
_A = -0.75
"""Of the cubic kernel, as in PyTorch (Keys 1981 has -0.5)."""


def upsampled(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize features.

    Args:
        features: (B, C, h, w), best in channels-last order.
        size: (height, width).

    Returns:
        (B, C, *size) in channels-last order: what ``F.interpolate(mode="bicubic",
        align_corners=True)`` gives.
    """
    if features.shape[-2:] == size:
        return features
    if max(size) > LARGEST_SIDE:
        return F.interpolate(features, size=size, mode="bicubic", align_corners=True)
    batch, channels, height, width = features.shape
    down, across = (
        _matrix(old, new, features.dtype, features.device)
        for old, new in zip((height, width), size, strict=True)
    )
    x = features.permute(0, 2, 3, 1)  # (B, h, w, C)
    x = down @ x.reshape(batch, height, width * channels)  # (B, H, w * C)
    x = across @ x.reshape(batch, size[0], width, channels)  # (B, H, W, C)
    return x.permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=MATRICES)
@torch.inference_mode(False)  # kept beyond this call, and trainings need them too
def _matrix(old: int, new: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(new, old): every row holds the four weights of a new position; beyond the border the last
    value goes on."""
    scale = (old - 1) / (new - 1) if new > 1 else 0.0
    position = torch.arange(new, dtype=torch.float64) * scale
    first = position.floor()
    taps = torch.arange(-1, 3, dtype=torch.float64)
    weights = _cubic(((position - first)[:, None] - taps).abs())  # (new, 4)
    places = (first[:, None] + taps).clamp(0, old - 1).long()
    matrix = torch.zeros(new, old, dtype=torch.float64).scatter_add_(1, places, weights)
    return matrix.to(device, dtype)


def _cubic(x: Tensor) -> Tensor:
    near = (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    far = _A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
