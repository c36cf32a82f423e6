"""Soft areas around an edit: dilation by a disk, Gaussian softening."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def soft_edit_mask(
    edit_mask: Tensor, *, radius: int, sigma: float = 5.0, size: tuple[int, int] | None = None
) -> Tensor:
    """Grow an area by a disk and soften its edge, so that a change fades into its surroundings.

    Args:
        edit_mask: (B, 1, H, W); every value above zero counts as inside.
        radius: Radius of the disk in pixels: 7 for harmonization, 20 for editing in the public
            ConSinGAN code.
        sigma: Standard deviation of the Gaussian in pixels.
        size: (height, width) to bring the area to before it is grown; by default its own size.

    Returns:
        (B, 1, H, W) float32 in [0, 1], 1 = change; rescaled so that its extremes are 0 and 1. An
        empty area stays 0 and a full one 1.

    Raises:
        ValueError: Wrong shape, or a negative radius or sigma.

    Source: the behaviour of the public ConSinGAN code; deviation: where the area has one value
    everywhere the public code divides by zero.
    """
    if edit_mask.ndim != 4 or edit_mask.shape[1] != 1:
        raise ValueError(f"edit_mask must be (B, 1, H, W), got shape {tuple(edit_mask.shape)}.")
    if radius < 0 or sigma < 0:
        raise ValueError(f"radius and sigma must not be negative, got {radius} and {sigma}.")
    rows = [_soften(area, radius, sigma, size) for area in edit_mask[:, 0].detach().cpu().numpy()]
    return torch.from_numpy(np.stack(rows)[:, None]).to(edit_mask.device)


def dilate(inside: np.ndarray, radius: int) -> np.ndarray:
    """Every pixel within ``radius`` of a True pixel of the (H, W) array ``inside``."""
    if radius == 0 or not inside.any():
        return inside.copy()
    distance = np.asarray(ndimage.distance_transform_edt(~inside))
    return distance**2 <= radius * radius + 0.5  # squared distances are whole numbers


def _soften(
    area: np.ndarray, radius: int, sigma: float, size: tuple[int, int] | None
) -> np.ndarray:
    inside = area > 0
    if size is not None and size != area.shape:
        inside = _resized(area, size) > 0
    grown = dilate(inside, radius).astype(np.float64)
    soft = ndimage.gaussian_filter(grown, sigma, mode="nearest", truncate=4.0)
    low, high = soft.min(), soft.max()
    if high - low < 1e-6:
        return grown.astype(np.float32)
    return ((soft - low) / (high - low)).astype(np.float32)


def _resized(area: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from intarsia_models.resampling import resize_bicubic

    levels = np.clip(area.astype(np.float64), 0, 1)[:, :, None] * 255
    return np.floor(np.clip(resize_bicubic(levels, *size)[:, :, 0], 0, 255) + 1e-6)
