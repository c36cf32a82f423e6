"""Numbers over a picture as half-transparent layers: heat, and parts by colour."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from intarsia_daemon.pixels import Layer, layer_from_tensors
from intarsia_daemon.real_pictures import Crop

COLDEST = 0.15
"""Where of the colour scale a heat of 0 begins: below it the scale is nearly black."""
STRONGEST = 0.85
"""Alpha of the hottest places: the picture stays visible."""
OUTLINE = (1.0, 1.0, 1.0)
PART_ALPHA = 0.5
GOLDEN = 0.618034
"""Steps around the colour circle by which neighbouring numbers get unlike colours."""


def heat_layer(name: str, heat: Tensor, crop: Crop, *, area: Tensor | None = None) -> Layer:
    """A layer over the whole picture: the hotter, the brighter and the less transparent.

    Args:
        name: For the artist.
        heat: (1, 1, R, R) in [0, 1] on the crop's square.
        crop: What the model saw.
        area: (1, 1, R, R) in [0, 1]: outlined in white; None: nothing is.

    Returns:
        Over the crop's picture, with its sample type.
    """
    window = crop.window
    warm = crop.enlarged(heat, window)[0, 0].clamp(0, 1).numpy()
    levels = ((COLDEST + (1 - COLDEST) * warm) * 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1] / 255.0
    alpha = STRONGEST * warm
    if area is not None:
        line = _outline(crop.enlarged(area, window)[0, 0].numpy())
        colours = colours + line[..., None] * (np.array(OUTLINE) - colours)
        alpha = np.maximum(alpha, line)
    return _layer(name, colours, alpha, crop)


def parts_layer(name: str, parts: Sequence[Tensor], crop: Crop) -> Layer:
    """A layer over the whole picture with a colour for each part.

    Args:
        name: For the artist.
        parts: (1, 1, R, R) in [0, 1] each; where several cover a place, their colours mix.
        crop: What the model saw.
    """
    window = crop.window
    height, width = window.bottom - window.top, window.right - window.left
    colours, covered = np.zeros((height, width, 3)), np.zeros((height, width))
    for index, part in enumerate(parts):
        share = crop.enlarged(part, window)[0, 0].clamp(0, 1).numpy()
        colours += share[..., None] * np.array(part_colour(index))
        covered += share
    colours /= np.maximum(covered, 1e-6)[..., None]
    return _layer(name, colours, PART_ALPHA * covered.clip(0, 1), crop)


def part_colour(index: int) -> tuple[float, float, float]:
    """In [0, 1]: the colour of a part by its number from 0."""
    return colorsys.hsv_to_rgb(index * GOLDEN % 1.0, 0.85, 1.0)


def _outline(coverage: np.ndarray) -> np.ndarray:
    """(H, W) in {0, 1}: a line around an area, as thin as can be seen at the picture's size."""
    inside = (coverage >= 0.5).astype(np.uint8)
    width = max(1, round(max(inside.shape) / 300))
    around = cv2.dilate(inside, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    return (around - inside).astype(np.float64)


def _layer(name: str, colours: np.ndarray, alpha: np.ndarray, crop: Crop) -> Layer:
    part = crop.window.picture(crop.picture)
    planes = torch.from_numpy(colours.transpose(2, 0, 1).astype(np.float32))[None] * 2 - 1
    return layer_from_tensors(
        name, planes, torch.from_numpy(alpha.astype(np.float32))[None, None], like=part
    )
