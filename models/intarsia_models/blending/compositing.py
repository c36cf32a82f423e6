"""Blends that leave the source's colours as they are."""

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from intarsia_models.blending.arguments import check_pictures


def hard_blend(source: Tensor, target: Tensor, edit_mask: Tensor) -> Tensor:
    """The source where ``edit_mask`` is at least 0.5, the target elsewhere; no value is changed.

    Args:
        source: (B, 3, H, W) in [-1, 1].
        target: (B, 3, H, W) in [-1, 1].
        edit_mask: (B, 1, H, W) in [0, 1]; 1 takes the source.

    Returns:
        (B, 3, H, W), dtype and device of ``target``.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit, or a value is not finite.
    """
    check_pictures(source, target, edit_mask)
    return torch.where(edit_mask >= 0.5, source.to(target.dtype), target)


def alpha_over(source: Tensor, target: Tensor, edit_mask: Tensor) -> Tensor:
    """Mix by the edit mask as it is: ``keep_mask * target + edit_mask * source``.

    Args:
        source: (B, 3, H, W) in [-1, 1].
        target: (B, 3, H, W) in [-1, 1].
        edit_mask: (B, 1, H, W) in [0, 1]; soft values mix.

    Returns:
        (B, 3, H, W), dtype and device of ``target``; exactly ``target`` where the edit mask is 0.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit, or a value is not finite.

    Source: the "over" operator of Porter and Duff 1984, "Compositing digital images", for an
    opaque target.
    """
    check_pictures(source, target, edit_mask)
    return torch.lerp(target, source.to(target.dtype), edit_mask.to(target.dtype))


def feather_blend(source: Tensor, target: Tensor, edit_mask: Tensor, radius: float) -> Tensor:
    """Fade the source out towards the edge of its area; nothing outside the area changes.

    Args:
        source: (B, 3, H, W) in [-1, 1].
        target: (B, 3, H, W) in [-1, 1].
        edit_mask: (B, 1, H, W) in [0, 1]; 1 takes the source.
        radius: Width of the fade in pixels, measured inwards from the edge; 0 mixes like
            `alpha_over`.

    Returns:
        (B, 3, H, W), dtype and device of ``target``; exactly ``target`` where the edit mask is 0.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit, a value is not finite, or ``radius`` is
        negative.

    Convention: the weight is ``edit_mask`` times a smooth step (3 t^2 - 2 t^3) of t = distance /
    (radius + 1), where distance is the Euclidean one to the nearest pixel with an edit mask below
    0.5. The picture's own border is no edge, so an area that runs off the picture does not fade
    there. Distances are computed on the CPU.
    """
    check_pictures(source, target, edit_mask)
    if not (radius >= 0 and math.isfinite(radius)):
        raise ValueError(f"radius must be a number of pixels, 0 or more, got {radius}.")
    if radius == 0:
        return alpha_over(source, target, edit_mask)
    fades = np.stack([_fade(area, radius) for area in (edit_mask[:, 0] >= 0.5).cpu().numpy()])
    weight = edit_mask.to(target.dtype) * torch.from_numpy(fades[:, None]).to(target)
    return torch.lerp(target, source.to(target.dtype), weight)


def _fade(inside: np.ndarray, radius: float) -> np.ndarray:
    if inside.all():
        return np.ones(inside.shape, np.float32)
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    t = np.minimum(distance / np.float32(radius + 1), np.float32(1))
    return t * t * (3 - 2 * t)
