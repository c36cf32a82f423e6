"""How well a generator's picture stands for a given one, in one number that people can read."""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia_models.projection.distances import scales, squared_difference

_FLAT = 1e-3
"""Added to a picture's variance, so that a flat picture needs no division by zero; of 4."""


@torch.no_grad()
def fit_of(reconstruction: Tensor, target: Tensor) -> float:
    """The share of a picture's variation that its reconstruction explains.

    At the full size and at each halving down to 8 px: 1 - (mean squared difference / variance of
    the target), cut to [0, 1]; then the mean over the sizes. So 0 is no better than a flat area of
    the picture's mean colour, and 1 is the same picture. Coarse sizes count as much as fine ones:
    a reconstruction with the right shapes and colours but other hairs is still a good one to edit,
    as only the difference of an edit returns to the picture.

    Args:
        reconstruction: (1, 3, R, R) in [-1, 1].
        target: (1, 3, R, R) in [-1, 1].

    Convention: our own measure; no paper defines one.
    """
    shares = []
    pairs = zip(scales(reconstruction.float()), scales(target.float()), strict=True)
    for own, wanted in pairs:
        variance = (wanted - wanted.mean((2, 3), keepdim=True)).square().mean()
        share = 1 - squared_difference(own, wanted) / (variance + _FLAT)
        shares.append(float(share.clamp(0, 1)))
    return sum(shares) / len(shares)
