"""Bicubic resizing as MATLAB does it, antialiased when shrinking, with the border rule of
ConSinGAN.

Sources: Keys 1981, "Cubic convolution interpolation for digital image processing" (a = -0.5), and
the behaviour of the public ConSinGAN code (arXiv:2003.11512), which single-image models are
trained with:

* one antialiasing decision for both axes, taken from the scale of the height;
* right and bottom borders mirror the picture, left and top borders cut the kernel off and
  renormalise it (the public code turns negative positions into huge unsigned ones, whose weight
  is zero).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def resize_bicubic(image: Array, height: int, width: int, *, scale: float | None = None) -> Array:
    """Resize an (H, W, C) array.

    Args:
        image: (H, W, C) floats in any range.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.
        scale: The exact factor where the new size is a rounded one (MATLAB's ``imresize(image,
            scale)``); by default each axis uses new size / old size.

    Returns:
        (height, width, C) float64, neither rounded nor clipped: bicubic kernels overshoot.

    Raises:
        ValueError: The array is not (H, W, C) or the new size is not positive.
    """
    if image.ndim != 3:
        raise ValueError(f"image must be (height, width, channels), got shape {image.shape}.")
    if height < 1 or width < 1:
        raise ValueError(f"The new size must be at least 1 x 1, got {height} x {width}.")
    scales = [
        new / old if scale is None else scale
        for new, old in zip((height, width), image.shape[:2], strict=True)
    ]
    antialias = scales[0] < 1
    result = image.astype(np.float64)
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):
        if scales[axis] != 1:
            matrix = _weights(image.shape[axis], (height, width)[axis], scales[axis], antialias)
            result = np.moveaxis(np.tensordot(matrix, result, axes=(1, axis)), 0, axis)
    return result


def resize_tensor(
    image: Tensor,
    height: int,
    width: int,
    *,
    scale: float | None = None,
    through_8_bits: bool = True,
) -> Tensor:
    """Resize a picture in [-1, 1].

    Args:
        image: (1, 3, H, W) in [-1, 1]; values outside are clipped.
        height: Rows of the result.
        width: Columns of the result.
        scale: See `resize_bicubic`.
        through_8_bits: Cut (not round) the input to 8 bits first, as the public ConSinGAN code
            does with the pictures that it trains on.

    Returns:
        (1, 3, height, width) in [-1, 1], dtype and device of ``image``; not quantised.
    """
    levels = ((image[0].float().cpu() + 1) / 2).clamp(0, 1) * 255
    array = (levels.to(torch.uint8) if through_8_bits else levels).permute(1, 2, 0).numpy()
    resized = resize_bicubic(array.astype(np.float64), height, width, scale=scale)
    tensor = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))[None]
    return ((tensor / 255 - 0.5) * 2).clamp(-1, 1).to(image)


def _cubic(distance: NDArray[np.floating]) -> Array:
    """Keys' kernel, a = -0.5, support [-2, 2]."""
    x = np.abs(distance)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _weights(old: int, new: int, scale: float, antialias: bool) -> Array:
    """(new, old) matrix whose rows sum to 1."""
    stretch = scale if antialias else 1.0
    support = 4.0 / stretch
    taps = math.ceil(support) + 2
    centre = (np.arange(new) + 0.5) / scale - 0.5  # position of each new pixel among the old ones
    first = np.floor(centre + 1 - support / 2).astype(np.int64) - 2
    position = first[:, None] + np.arange(taps)[None]
    weight = stretch * _cubic(stretch * (centre[:, None] - position))
    weight[position < 0] = 0.0
    total = weight.sum(axis=1, keepdims=True)
    weight /= np.where(total == 0, 1.0, total)
    folded = np.mod(position, 2 * old)
    folded = np.where(folded < old, folded, 2 * old - 1 - folded)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], folded), weight)
    return matrix
