"""Figures about sets of pictures, and about collages and what was made of them.

Sources: Heusel et al. 2017, arXiv:1706.08500, eq. 6 (Fréchet distance); Naeem et al. 2020,
arXiv:2002.09797, eq. 5 and 6 (density and coverage, k = 5); Chai et al. 2021, arXiv:2103.10426,
eq. 5 as its public code computes it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 5


def masked_l1(made: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """(B,): mean absolute difference over what is known, of values in [-1, 1].

    Divided by the known area times 3, as in the public code; the paper's eq. 5 reads as a mean over
    the whole picture. Deviation: at the pictures' own size, not at 256 px.

    Args:
        made: (B, 3, R, R).
        image: (B, 3, R, R); what is unknown may hold anything.
        known: (B, 1, R, R) in [0, 1].
    """
    difference = ((made - image).abs() * known).sum((1, 2, 3))
    return difference / (3 * known.sum((1, 2, 3))).clamp_min(1e-6)


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """Of two normal distributions with the sets' means and covariances; 0 for the same set.

    Args:
        features: (N, F) float64.
        others: (M, F) float64.
    """
    a, b = features.cpu().numpy(), others.cpu().numpy()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # the trace of the root of a product of two covariances: the roots of its eigenvalues, which
    # are real and not negative
    values = np.linalg.eigvals(first @ second)
    cross = np.sqrt(np.clip(values.real, 0, None)).sum()
    away = a.mean(0) - b.mean(0)
    found = away @ away + np.trace(first) + np.trace(second) - 2 * cross
    return float(max(found, 0.0))


def density_and_coverage(
    made: Tensor, real: Tensor, *, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """How densely the made pictures lie among the real ones, and how many real ones they reach.

    Args:
        made: (N, F).
        real: (M, F), M above ``neighbours``.
        neighbours: Real pictures' spheres reach to that neighbour.

    Returns:
        Density, 1 for a set of the same distribution, above 1 where the made ones crowd in the
        middle; coverage in [0, 1].
    """
    if len(real) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {len(real)} real pictures.")
    among = torch.cdist(real, real)
    radii = among.kthvalue(neighbours + 1, dim=1).values  # the nearest is the picture itself
    inside = torch.cdist(real, made) < radii[:, None]
    density = float(inside.double().sum()) / (neighbours * len(made))
    return density, float(inside.any(1).double().mean())
