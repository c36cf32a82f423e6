"""Where a picture's subject is, by a plain method without training.

Source: the boundary prior of Zhang et al. 2015, "Minimum barrier salient object detection at 80
FPS", section 3.3: what differs from the colours along each of the four edges is the subject. The
colours of each edge are taken as a normal distribution in CIE Lab; a place's Mahalanobis distances
from the four, each scaled to a largest of 1, are added and the largest is left out, so that a
subject that touches one edge is found, too. Ours: colours are smoothed first, a weak preference for
the middle is added, and the area is cut by Otsu's threshold (1979) and filled.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from torch import Tensor

EDGE_SHARE = 0.08
"""Width of the edges, of the side."""
SMOOTHING_SHARE = 0.02
MIDDLE = 0.5
"""How far the preference for the middle goes: at the corners contrast counts half as much."""


def saliency_map(image: Tensor) -> Tensor:
    """How much each place stands out.

    Args:
        image: (1, 3, H, W) in [-1, 1].

    Returns:
        (1, 1, H, W) in [0, 1], the most salient place 1; all 0 for a flat picture.

    Raises:
        ValueError: It is no picture.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 3) or min(image.shape[2:]) < 8:
        raise ValueError(f"image must be (1, 3, H, W) of 8 px or more, got {tuple(image.shape)}.")
    pixels = ((image[0].clamp(-1, 1) + 1) / 2).permute(1, 2, 0).double().cpu().numpy()
    lab = np.asarray(rgb2lab(pixels))
    height, width = lab.shape[:2]
    sigma = SMOOTHING_SHARE * max(height, width)
    lab = ndimage.gaussian_filter(lab, (sigma, sigma, 0))
    band = max(1, round(EDGE_SHARE * min(height, width)))
    edges = (lab[:band], lab[-band:], lab[:, :band], lab[:, -band:])
    distances = np.stack([_distance(lab, edge.reshape(-1, 3)) for edge in edges])
    contrast = (distances.sum(0) - distances.max(0)) * _middle(height, width)
    highest = contrast.max()
    found = contrast / highest if highest > 1e-6 else np.zeros_like(contrast)
    return torch.from_numpy(found.astype(np.float32))[None, None].to(image.device)


def salient_area(image: Tensor) -> Tensor:
    """(1, 1, H, W) in {0, 1}: the subject, without holes; empty for a flat picture.

    Args:
        image: (1, 3, H, W) in [-1, 1].

    Raises:
        ValueError: It is no picture.
    """
    values = saliency_map(image)[0, 0].cpu().numpy()
    if values.max() <= 0:
        return torch.zeros_like(image[:, :1])
    area = values > threshold_otsu(values)
    area = ndimage.binary_fill_holes(ndimage.binary_opening(area, iterations=1) & area)
    labels, count = ndimage.label(area)  # pyright: ignore[reportGeneralTypeIssues]
    if count > 1:
        sizes = np.bincount(labels.ravel())[1:]
        area = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.25 * sizes.max()))
    return torch.from_numpy(np.asarray(area, np.float32))[None, None].to(image.device)


def _distance(lab: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W): Mahalanobis distances from the colours of an edge, the largest 1."""
    covariance = np.cov(edge.T) + np.eye(3)  # of one unit of Lab: flat edges stay invertible
    centred = lab - edge.mean(0)
    found = np.sqrt(np.einsum("hwi,ij,hwj->hw", centred, np.linalg.inv(covariance), centred))
    return found / max(float(found.max()), 1.0)


def _middle(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width]
    far = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5) / np.sqrt(0.5)
    return 1 - MIDDLE * far
