"""Layers of the SNGAN-projection networks: conditional and spectral normalization, their
initialization, and their two resizings.

Sources: Miyato et al. 2018, "Spectral Normalization for GANs" (arXiv:1802.05957), algorithm 1;
Miyato & Koyama 2018 (arXiv:1802.05637); initialization as in the latter's public code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.spatial_norm import plain_norm, spatial_norm

EPS = 2e-5
"""Of every batch normalization (Chainer's default)."""
MOMENTUM = 0.1
"""Share of the newest batch in the running statistics (Chainer says decay 0.9)."""


class ConditionalBatchNorm(nn.Module):
    """Batch normalization with a scale and a shift per class.

    In training mode batch statistics are used and the running ones follow; in evaluation mode the
    running ones are used, and the class may differ from place to place.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        rows = max(1, num_classes)  # unconditional: one class that is never named
        self.gammas = nn.Parameter(torch.ones(rows, channels))
        self.betas = nn.Parameter(torch.zeros(rows, channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(
        self, x: Tensor, y: Tensor | None, maps: ClassMaps | None = None, name: str = ""
    ) -> Tensor:
        """Normalize (B, C, H, W).

        Args:
            x: (B, C, H, W).
            y: (B,) class ids, (B, K) soft labels, or None where there are no classes.
            maps: Classes by position; only in evaluation mode.
            name: This layer's name in the maps.
        """
        if self.training:
            mean, var = self.running_mean, self.running_var
            x = F.batch_norm(x, mean, var, None, None, True, MOMENTUM, EPS)
            gamma, beta = (self._chosen(t, y)[:, :, None, None] for t in (self.gammas, self.betas))
            return torch.addcmul(beta.to(x.dtype), x, gamma.to(x.dtype))
        if maps is not None and maps.uses(name):
            rows = list(maps.classes)
            return spatial_norm(
                x,
                self.running_mean,
                self.running_var,
                EPS,
                self.gammas[None, rows],
                self.betas[None, rows],
                maps.at(name, x.shape[-2:]),
            )
        gamma, beta = self._chosen(self.gammas, y), self._chosen(self.betas, y)
        return plain_norm(x, self.running_mean, self.running_var, EPS, gamma, beta)

    @staticmethod
    def _chosen(table: Tensor, y: Tensor | None) -> Tensor:
        """(B or 1, C)."""
        if y is None:
            return table[:1]
        if y.is_floating_point():
            return y.to(table.dtype) @ table
        return table[y]


class Kept:
    """A tensor that is made of others and kept until one of those changes.

    Only where no gradient goes through them: a frozen network need not prepare its weights anew for
    every picture.
    """

    def __init__(self) -> None:
        self._sources: tuple[Tensor, ...] = ()
        self._state: tuple[tuple[int, int], ...] = ()
        self._made: Tensor | None = None

    def of(self, sources: tuple[Tensor, ...], make: Callable[[], Tensor]) -> Tensor:
        """``make()``, or what was kept of it."""
        gradient = torch.is_grad_enabled() and any(source.requires_grad for source in sources)
        if gradient or any(source.is_inference() for source in sources):
            return make()
        state = tuple((source._version, source.data_ptr()) for source in sources)
        same = len(self._sources) == len(sources) and all(
            one is other for one, other in zip(self._sources, sources, strict=True)
        )
        if self._made is None or not same or state != self._state:
            with torch.inference_mode(False), torch.no_grad():
                self._made = make()
            self._sources, self._state = sources, state
        return self._made

    def forget(self) -> None:
        """Free the memory."""
        self._sources, self._made = (), None


class SpectralWeight(nn.Module):
    """A weight that is divided by an estimate of its largest singular value.

    Every use makes one step of power iteration from the stored ``u``: v from u, then a new u from
    v, and sigma = u W v. In training mode the new u is stored. In evaluation mode nothing is
    written, and the divided weight is kept until the weight or u changes.

    Deviation: the public code's linear and embedding layers store u in evaluation mode too, so that
    its answers depend on how often it was asked; here they are those of its first answer.
    """

    u: Tensor

    def __init__(self, shape: tuple[int, ...], *, bias: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.register_buffer("u", torch.ones(1, shape[0]))
        self._kept = Kept()

    def normalized(self) -> Tensor:
        """The weight over its spectral norm; its gradient reaches the weight, u and v are
        constants."""
        if self.training:
            return self._divided(store=True)
        return self._kept.of((self.weight, self.u), lambda: self._divided(store=False))

    def train(self, mode: bool = True) -> SpectralWeight:
        """As in every module; forgets the kept weight."""
        self._kept.forget()
        return super().train(mode)

    def _divided(self, *, store: bool) -> Tensor:
        with torch.autocast(self.weight.device.type, enabled=False):
            flat = self.weight.float().flatten(1)
            with torch.no_grad():
                v = _unit(self.u.float() @ flat)
                u = _unit(v @ flat.t())
                if store:
                    self.u.copy_(u)
            sigma = ((u @ flat) * v).sum()
            return (self.weight.float() / sigma).to(self.weight.dtype)


class SpectralConv2d(SpectralWeight):
    """Convolution of stride 1 that keeps the size, with spectral normalization."""

    def __init__(self, in_channels: int, out_channels: int, size: int, *, gain: float = 1.0):
        super().__init__((out_channels, in_channels, size, size), bias=True, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return F.conv2d(x, self.normalized(), self.bias, padding=self.weight.shape[-1] // 2)


class SpectralLinear(SpectralWeight):
    """Linear layer with spectral normalization."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__((out_features, in_features), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, m)."""
        return F.linear(x, self.normalized(), self.bias)


class SpectralEmbedding(SpectralWeight):
    """A vector per class, with spectral normalization of the table."""

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__((num_classes, features), bias=False)

    def forward(self, y: Tensor) -> Tensor:
        """(B,) class ids or (B, K) soft labels -> (B, features)."""
        table = self.normalized()
        return y.to(table.dtype) @ table if y.is_floating_point() else F.embedding(y, table)


class Conv2d(nn.Conv2d):
    """Convolution of stride 1 that keeps the size; ``gain`` scales its initial weights."""

    def __init__(self, in_channels: int, out_channels: int, size: int, *, gain: float = 1.0):
        self.gain = gain
        super().__init__(in_channels, out_channels, size, padding=size // 2)

    def reset_parameters(self) -> None:
        """Left to `initialize`: nothing here draws from the global random numbers."""


class Linear(nn.Linear):
    """Linear layer; ``lecun`` chooses its initialization."""

    def __init__(self, in_features: int, out_features: int, *, lecun: bool = False) -> None:
        self.lecun = lecun
        super().__init__(in_features, out_features)

    def reset_parameters(self) -> None:
        """Left to `initialize`: nothing here draws from the global random numbers."""


def upsampled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), each value repeated."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halved(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H/2, W/2), averages of 2 x 2."""
    return F.avg_pool2d(x, 2)


def initialize(module: nn.Module, seed: int | None) -> None:
    """Fresh weights as the public code makes them.

    Weights are uniform within +-gain sqrt(6 / (fan in + fan out)) (Glorot), gain sqrt(2) inside
    the residual blocks; biases 0; conditional scales 1 and shifts 0; u normal. Layers marked
    ``lecun`` are normal with variance 1 / fan in (Chainer's default). No seed: nothing is done.
    """
    if seed is None:
        return
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, SpectralWeight):
                _glorot(part.weight, part.gain, generator)
                part.u.copy_(torch.randn(part.u.shape, generator=generator))
            elif isinstance(part, Conv2d):
                _glorot(part.weight, part.gain, generator)
            elif isinstance(part, Linear) and part.lecun:
                part.weight.normal_(0.0, part.in_features**-0.5, generator=generator)
            elif isinstance(part, Linear):
                _glorot(part.weight, 1.0, generator)
            if isinstance(part, (SpectralWeight, Conv2d, Linear)) and part.bias is not None:
                part.bias.zero_()


def _glorot(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    area = weight[0, 0].numel() if weight.ndim > 2 else 1
    fans = (weight.shape[0] + weight.shape[1]) * area
    bound = gain * math.sqrt(6.0 / fans)
    weight.uniform_(-bound, bound, generator=generator)


def _unit(x: Tensor) -> Tensor:
    return x / (x.norm() + 1e-12)
