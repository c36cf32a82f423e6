"""Which class rules where: the weights of spatial conditional normalization.

Source: Suzuki et al. 2018, arXiv:1811.10153 (Neural Collage), eq. 2: at every position the classes'
scales and shifts are mixed with weights that sum to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Resize = Literal["area", "bilinear", "nearest"]
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Weights of the classes by position, for all conditional norms or for each its own.

    Only classes that have weight somewhere are kept: k of K, so that 1000 classes cost no more than
    the few that are used.
    """

    classes: tuple[int, ...]
    """The k class ids."""
    weights: Tensor | Mapping[str, Tensor]
    """(B, k, H, W), or by norm name (B, k, h, w); in [0, 1], summing to 1 over k."""
    resize: Resize = "area"
    """How a layer's map is made from the full one."""
    layers: frozenset[str] | None = None
    """Names of the norms that use the maps; None: all."""
    _sized: dict[tuple[str, int, int], Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def from_dense(cls, class_weights: Tensor, *, resize: Resize = "area") -> ClassMaps:
        """Maps from one tensor over all classes.

        Args:
            class_weights: (B, K, H, W) in [0, 1], any resolution, summing to 1 over K.
            resize: How each layer's map is made from it.

        Raises:
            ValueError: The shape is wrong, a weight is negative or not a number, or they do not sum
                to 1.
        """
        _check(class_weights)
        used = class_weights.detach().amax((0, 2, 3)) > 0
        classes = tuple(int(index) for index in used.nonzero().flatten())
        return cls(classes, class_weights[:, list(classes)], resize)

    @classmethod
    def from_areas(
        cls, areas: Mapping[int, Tensor], base: int, *, resize: Resize = "area"
    ) -> ClassMaps:
        """Maps from an area per class; the base class has the rest.

        Args:
            areas: Class id to (B, 1, H, W) in [0, 1], all of one size. Where they add up to more
                than 1 they are scaled down to 1.
            base: Id of the class that rules elsewhere.
            resize: How each layer's map is made from it.

        Raises:
            ValueError: There is no area, the sizes differ, or a weight is outside [0, 1].
        """
        if not areas:
            raise ValueError("Relabelling needs at least one area, got none.")
        sizes = {tuple(area.shape) for area in areas.values()}
        if len(sizes) != 1 or len(next(iter(sizes))) != 4 or next(iter(sizes))[1] != 1:
            raise ValueError(f"Areas must all be (B, 1, H, W) of one size, got {sorted(sizes)}.")
        others = [index for index in areas if index != base]
        stacked = torch.cat([areas[index] for index in others] or [0 * areas[base]], 1)
        if not bool(((stacked >= 0) & (stacked <= 1)).all()):
            raise ValueError("The weights of an area must lie in [0, 1].")
        total = stacked.sum(1, keepdim=True)
        stacked = stacked / total.clamp_min(1.0)
        rest = (1.0 - stacked.sum(1, keepdim=True)).clamp_min(0.0)
        if not others:
            return cls((base,), rest + stacked, resize)
        return cls((base, *others), torch.cat((rest, stacked), 1), resize)

    @classmethod
    def per_layer(cls, class_weights: Mapping[str, Tensor]) -> ClassMaps:
        """Exact maps by norm name, each (B, K, h, w) of its layer's size.

        Norms that are not named keep the picture's own class.

        Raises:
            ValueError: As `from_dense`.
        """
        for weights in class_weights.values():
            _check(weights)
        used = torch.stack([w.detach().amax((0, 2, 3)) > 0 for w in class_weights.values()]).any(0)
        classes = tuple(int(index) for index in used.nonzero().flatten())
        chosen = {name: w[:, list(classes)] for name, w in class_weights.items()}
        return cls(classes, chosen, layers=frozenset(chosen))

    def select(self, layers: Iterable[str] | None) -> ClassMaps:
        """The same maps for these norms only; None changes nothing."""
        if layers is None:
            return self
        chosen = frozenset(layers)
        return replace(self, layers=chosen if self.layers is None else self.layers & chosen)

    def uses(self, name: str) -> bool:
        """Whether the norm of that name takes its scales and shifts from these maps."""
        return self.layers is None or name in self.layers

    def at(self, name: str, size: tuple[int, int] | torch.Size) -> Tensor:
        """(B, k, h, w): the map of one norm; made once per size.

        Raises:
            ValueError: An exact map has another size than the layer.
        """
        height, width = int(size[0]), int(size[1])
        if isinstance(self.weights, Tensor):
            key = ("", height, width)
            if key not in self._sized:
                self._sized[key] = resized(self.weights, (height, width), self.resize)
            return self._sized[key]
        weights = self.weights[name]
        if tuple(weights.shape[-2:]) != (height, width):
            raise ValueError(
                f"The class map of {name} must be {height}x{width}, "
                f"got {weights.shape[-2]}x{weights.shape[-1]}."
            )
        return weights

    def blended(self, base: Tensor, amounts: Tensor) -> ClassMaps:
        """Maps on the way from the base class to these, one per amount.

        Args:
            base: (B, K) rows summing to 1, or (B,) class ids; B is 1 or that of the maps.
            amounts: (n,) in [0, 1]; these maps must have B = 1.

        Returns:
            Maps with B = n: (1 - amount) base + amount weights.
        """
        rows = _rows(base)
        extra = [c for c in rows if c not in self.classes]
        classes = (*self.classes, *extra)

        def blend(weights: Tensor) -> Tensor:
            start = torch.zeros(1, len(classes), 1, 1, device=weights.device, dtype=weights.dtype)
            for index, name in enumerate(classes):
                start[0, index] = rows.get(name, 0.0)
            padded = torch.cat((weights, weights.new_zeros(*_grown(weights, len(extra)))), 1)
            steps = amounts.to(weights).view(-1, 1, 1, 1)
            return start + steps * (padded - start)

        if isinstance(self.weights, Tensor):
            mixed: Tensor | dict[str, Tensor] = blend(self.weights)
        else:
            mixed = {name: blend(weights) for name, weights in self.weights.items()}
        return ClassMaps(classes, mixed, self.resize, self.layers)

    def to(self, device: torch.device | str) -> ClassMaps:
        """The same maps on another device."""
        if isinstance(self.weights, Tensor):
            moved: Tensor | dict[str, Tensor] = self.weights.to(device)
        else:
            moved = {name: weights.to(device) for name, weights in self.weights.items()}
        return ClassMaps(self.classes, moved, self.resize, self.layers)


def resized(weights: Tensor, size: tuple[int, int], resize: Resize = "area") -> Tensor:
    """Bring maps (B, C, H, W) to another size.

    "area" averages where the target is smaller and interpolates linearly where it is larger, so
    that neither direction makes steps; the sum over C is kept.
    """
    if tuple(weights.shape[-2:]) == size:
        return weights
    if resize == "nearest":
        return interpolate(weights, size, mode="nearest")
    enlarges = size[0] > weights.shape[-2] or size[1] > weights.shape[-1]
    if resize == "bilinear" or enlarges:
        return interpolate(weights, size, mode="bilinear", align_corners=False)
    return interpolate(weights, size, mode="area")


def _check(weights: Tensor) -> None:
    if weights.ndim != 4:
        raise ValueError(f"class_weights must be (B, K, H, W), got {tuple(weights.shape)}.")
    if not bool((weights >= 0).all()):  # also refuses nan
        raise ValueError("class_weights must not be negative.")
    worst = float((weights.detach().sum(1) - 1).abs().max())
    if worst > SUM_TOLERANCE:
        raise ValueError(f"class_weights must sum to 1 over the classes, off by {worst:.3g}.")


def _rows(base: Tensor) -> dict[int, float]:
    """Class id to weight of one picture's label."""
    if not base.is_floating_point():
        return {int(base.flatten()[0]): 1.0}
    row = base.reshape(-1, base.shape[-1])[0]
    return {int(index): float(row[index]) for index in row.nonzero().flatten()}


def _grown(weights: Tensor, channels: int) -> tuple[int, ...]:
    return (weights.shape[0], channels, *weights.shape[2:])
