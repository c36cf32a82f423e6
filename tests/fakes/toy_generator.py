"""A generator of four levels and five classes, small enough to reason about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, NormLayer, State
from intarsia_models.generators.spatial_norm import plain_norm, spatial_norm

CHANNELS, CLASSES, LEVELS = 6, 5, 4


@dataclass(frozen=True)
class ToyCodes:
    """z and the label."""

    z: Tensor
    y: Tensor

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return self.z.shape[0]

    def expand(self, count: int) -> ToyCodes:
        """Copies."""
        shape = (-1,) * (self.y.ndim - 1)
        return replace(self, z=self.z.expand(count, -1), y=self.y.expand(count, *shape))


class ToyGenerator(Generator):
    """4x4 to 32x32; one conditional norm per level above 0."""

    family = "toy"
    capabilities = frozenset({"classes", "spatial_classes"})

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=source) / 2)

        self.resolution, self.z_dim, self.num_classes = 4 << (LEVELS - 1), 3, CLASSES
        self.first = random(self.z_dim, CHANNELS * 16)
        self.gammas = random(LEVELS, CLASSES, CHANNELS)
        self.betas = random(LEVELS, CLASSES, CHANNELS)
        self.kernels = random(LEVELS, CHANNELS, CHANNELS, 3, 3)
        self.last = random(3, CHANNELS, 1, 1)
        self.layers = tuple(EditPoint(f"level{i}", 4 << i, CHANNELS) for i in range(LEVELS))
        self.norm_layers = tuple(
            NormLayer(f"norm{i}", 4 << i, CHANNELS, i) for i in range(1, LEVELS)
        )
        self.advanced: list[int] = []
        """Levels computed so far."""
        self.eval().requires_grad_(False)

    def encode_latent(self, z: Tensor | None, y: Tensor | None = None, **_: Any) -> ToyCodes:
        assert z is not None and y is not None
        return ToyCodes(z, y)

    def begin(self, codes: ToyCodes, maps: ClassMaps | None) -> State:
        self.advanced.append(0)
        return ((codes.z @ self.first).view(-1, CHANNELS, 4, 4),)

    def advance(self, level: int, state: State, codes: ToyCodes, maps: ClassMaps | None) -> State:
        self.advanced.append(level)
        x = interpolate(state[0], scale_factor=2)
        gammas, betas, name = self.gammas[level], self.betas[level], f"norm{level}"
        mean, variance = torch.zeros(CHANNELS), torch.ones(CHANNELS)
        if maps is None or not maps.uses(name):
            if codes.y.is_floating_point():
                gamma, beta = codes.y @ gammas, codes.y @ betas
            else:
                gamma, beta = gammas[codes.y], betas[codes.y]
            x = plain_norm(x, mean, variance, 0.0, gamma, beta)
        else:
            chosen = list(maps.classes)
            weights = maps.at(name, x.shape[-2:])
            tables = gammas[chosen][None], betas[chosen][None]
            x = spatial_norm(x, mean, variance, 0.0, *tables, weights)
        return (conv2d(x, self.kernels[level], padding=1).tanh(),)

    def finish(self, state: State, codes: ToyCodes, maps: ClassMaps | None) -> Tensor:
        return conv2d(state[0], self.last).tanh()

    def settings(self) -> dict[str, Any]:
        return {}
