"""What the critic and the generator minimise.

Sources: Lim & Ye 2017, arXiv:1705.02894 (hinge loss); Miyato & Koyama 2018, arXiv:1802.05637; Mao
et al. 2019, arXiv:1903.05628 (mode seeking).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)), a scalar.

    Args:
        real: (B, 1) logits of real pictures.
        fake: (B, 1) logits of generated ones.
    """
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-mean D(fake), a scalar; ``fake`` is (B, 1)."""
    return -fake.mean()


def mode_seeking_loss(pictures: Tensor, z: Tensor) -> Tensor:
    """Mean of |z1 - z2| / |G(z1) - G(z2)|, a scalar: large where latents make no difference.

    Args:
        pictures: (2 n, 3, R, R); picture i and i + n are of one class.
        z: (2 n, z_dim), what they were made of.

    Source: arXiv:1903.05628, eq. 2, in the reciprocal form of its public code, both distances mean
    absolute differences. Deviation: per pair, not of the whole batch's means.
    """
    first, second = pictures.chunk(2)
    one, other = z.chunk(2)
    apart = (first - second).abs().mean((1, 2, 3))
    return ((one - other).abs().mean(1) / (apart + 1e-2)).mean()
