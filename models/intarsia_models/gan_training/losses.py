"""What the critic and the generator minimise.

Sources: Lim & Ye 2017, arXiv:1705.02894 (hinge loss); Miyato & Koyama 2018, arXiv:1802.05637.
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
