"""What a projection returns, and what it tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Space = Literal["z", "extended", "w_plus"]
Start = Literal["encoder", "random", "earlier", "mean"]
"""Where the descent began; "earlier": at an earlier projection; "mean": at the mean style."""


@dataclass(frozen=True, eq=False)
class Projection:
    """The latent whose picture is nearest to a given one, of all that were tried."""

    z: Tensor | None
    """(1, z_dim); None where only styles were looked for."""
    y: Tensor | None
    """(1,) class or (1, K) soft label that it was made with; None without classes."""
    loss: float
    """The distance of the best one; see ``distance``."""
    losses: list[float]
    """By step, the start first: of the picture made after so many steps."""
    reconstruction: Tensor
    """(1, 3, R, R): the picture of the latent."""
    fit: float
    """In [0, 1]; see `fit.fit_of`."""
    space: Space
    start: Start
    distance: str
    """What was made small: "discriminator", "perceptual" or "multi-scale pixels"."""
    w_plus: Tensor | None = None
    """(1, layers, w_dim), where styles were looked for."""
    zeta: Tensor | None = None
    """(1, n): the point in the extended space, from which a later projection goes on."""
    noise: tuple[Tensor, ...] | None = None
    """(1, 1, h, h) noise maps that were found together with the styles, for `synthesize`; None: the
    stored ones."""


@dataclass(frozen=True, eq=False)
class Step:
    """Where a projection is."""

    step: int
    """From 0: the start."""
    steps: int
    loss: float
    """Of the newest picture."""
    best_loss: float
    _picture: Callable[[], Tensor] = field(repr=False)

    def picture(self) -> Tensor:
        """(1, 3, R, R): the best one so far, detached."""
        return self._picture()


OnStep = Callable[[Step], object]
Tick = Callable[[], object]
"""Called at every step; may raise to cancel."""
