"""The auxiliary networks of Neural Collage: z to a far larger space and back.

Source: Suzuki et al. 2018, arXiv:1811.10153, section 4.2 and eq. 5-6, and its public code. Where
they differ (the paper: PReLU at each layer) this is the code's: ReLU inside, PReLU at the outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.families.sngan.layers import Linear, initialize
from intarsia_models.families.sngan.settings import AuxiliarySettings

SLOPE = 0.25
"""Initial slopes of both outputs."""


class SNGANAuxiliary(nn.Module):
    """A: z to zeta (`extend`), and B: zeta to z (`reduce`)."""

    def __init__(self, settings: AuxiliarySettings, *, seed: int | None = 3) -> None:
        """Make one with fresh weights.

        Args:
            settings: All sizes.
            seed: Of the weights; the global random numbers are left alone. None leaves them
                for whoever loads some.
        """
        super().__init__()
        self.sizes = settings
        z_dim, extended = settings.z_dim, settings.extended_dim
        self.extend1 = Linear(z_dim, settings.hidden_extend, lecun=True)
        self.extend2 = Linear(settings.hidden_extend, extended, lecun=True)
        self.extend_slopes = nn.Parameter(torch.full((extended,), SLOPE))
        self.reduce1 = Linear(extended, settings.hidden_reduce, lecun=True)
        self.reduce2 = Linear(settings.hidden_reduce, z_dim, lecun=True)
        self.reduce_slopes = nn.Parameter(torch.full((z_dim,), SLOPE))
        initialize(self, seed)

    def extend(self, z: Tensor) -> Tensor:
        """A: (B, z_dim) -> (B, extended_dim)."""
        return F.prelu(self.extend2(torch.relu(self.extend1(z))), self.extend_slopes)

    def reduce(self, zeta: Tensor) -> Tensor:
        """B: (B, extended_dim) -> (B, z_dim)."""
        return F.prelu(self.reduce2(torch.relu(self.reduce1(zeta))), self.reduce_slopes)

    def forward(self, z: Tensor) -> Tensor:
        """B(A(z))."""
        return self.reduce(self.extend(z))
