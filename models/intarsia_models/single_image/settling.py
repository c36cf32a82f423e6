"""Stopping a stage early: when its sample hardly changes any more."""

import torch
from torch import Tensor
from torch.nn import functional as F

EVERY = 50
"""Iterations between two looks at the sample."""
CALM = 2
"""Looks in a row that must find little change."""
SETTLED_BELOW = 0.3
"""Threshold that is offered to users. At the published learning rate a sample of a coarse stage
changes by 0.4 to 1 of its contrast between two looks all along, one of the finest by 0.25: lower
thresholds end nothing."""


class Settling:
    """Watches one sample of a stage while it is trained."""

    def __init__(self, threshold: float) -> None:
        """Begin a stage.

        Args:
            threshold: Root mean square change of the sample between two looks, in units of its
                contrast (standard deviation), below which it counts as settled; 0 never stops.
        """
        self.threshold = threshold
        self.before = torch.zeros(0)
        """(1, 3, h, w) at the last look; empty before the first."""
        self.calm = 0
        self.changes: list[float] = []
        """At every look since the second."""

    def due(self, iteration: int) -> bool:
        """Whether the sample is to be looked at after so many iterations."""
        return self.threshold > 0 and iteration % EVERY == 0

    def look(self, sample: Tensor) -> bool:
        """Compare with the last look.

        Args:
            sample: (1, 3, h, w), always of the same noise.

        Returns:
            Whether the sample has settled.
        """
        if self.before.shape == sample.shape:
            apart = F.mse_loss(sample, self.before).sqrt()
            self.changes.append(float(apart / sample.std().clamp_min(1e-6)))
            self.calm = self.calm + 1 if self.changes[-1] < self.threshold else 0
        self.before = sample.detach().clone()
        return self.calm >= CALM
