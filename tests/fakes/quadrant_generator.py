"""A generator whose four quarters have a colour each, with a regressor that reads them exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, State
from intarsia_models.latent_composition.regressor import Reading
from intarsia_models.latent_composition.settings import RegressorSettings

SIDE = 32
NUMBERS = 12
"""Three colours of four quarters."""
HIGHEST = 0.98


@dataclass(frozen=True)
class QuadrantCodes:
    """z alone."""

    z: Tensor

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return len(self.z)

    @property
    def y(self) -> None:
        """No classes."""
        return None

    def expand(self, count: int) -> QuadrantCodes:
        """Copies."""
        return QuadrantCodes(self.z.expand(count, -1))


class QuadrantReader(nn.Module):
    """The mean colour of what is known of each quarter; grey where nothing is.

    With ``leak`` above 0 every quarter also takes that share of the mean of all.
    """

    settings = RegressorSettings(dims=NUMBERS)

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.leak = leak

    def read(self, x: Tensor, known: Tensor | None = None) -> Reading:
        """See `MaskedRegressor.read`."""
        known = x.new_ones(1, 1, *x.shape[2:]) if known is None else known
        sums = adaptive_avg_pool2d(x * known, 2)
        colours = sums / adaptive_avg_pool2d(known, 2).clamp_min(1e-3)
        colours = colours + self.leak * (colours.mean((2, 3), keepdim=True) - colours)
        return Reading(colours.clamp(-HIGHEST, HIGHEST).atanh().flatten(1), None)


class QuadrantGenerator(Generator):
    """32 px; tanh of z as colours of top left, top right, bottom left, bottom right."""

    family = "quadrants"

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.resolution, self.z_dim = SIDE, NUMBERS
        self.layers = (EditPoint("quarters", 2, 3),)
        self.gain = nn.Parameter(torch.ones(()))
        self.regressor = QuadrantReader(leak)  # pyright: ignore[reportAttributeAccessIssue]
        self.eval().requires_grad_(False)

    def encode_latent(self, z: Tensor | None, y: Tensor | None = None, **_: Any) -> QuadrantCodes:
        """See `Generator`."""
        assert z is not None
        return QuadrantCodes(z)

    def begin(self, codes: QuadrantCodes, maps: ClassMaps | None) -> State:
        """See `Generator`."""
        return (codes.z.view(-1, 3, 2, 2) * self.gain,)

    def advance(self, level: int, state: State, codes: Any, maps: ClassMaps | None) -> State:
        """There is one level alone."""
        raise NotImplementedError

    def finish(self, state: State, codes: Any, maps: ClassMaps | None) -> Tensor:
        """See `Generator`."""
        return interpolate(state[0].tanh(), (SIDE, SIDE), mode="nearest")

    def settings(self) -> dict[str, Any]:
        """See `Generator`."""
        return {}


def quarters() -> dict[str, Tensor]:
    """The four areas, (1, 1, 32, 32)."""
    found = {}
    for index, name in enumerate(("top left", "top right", "bottom left", "bottom right")):
        cells = torch.zeros(4)
        cells[index] = 1
        found[name] = interpolate(cells.view(1, 1, 2, 2), (SIDE, SIDE), mode="nearest")
    return found
