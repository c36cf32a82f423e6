"""Parts of other pictures' features, put into a picture while it is being made.

Source: Suzuki et al. 2018, arXiv:1811.10153 (Neural Collage), section 3.2, eq. 3: at every edit
point h <- (1 - sum_k m_k) h + sum_k m_k U_k(F_k), where F_k are the features of reference k, m_k
its weights and U_k an optional translation. References are not blended themselves. The public code
has no translation; here it moves by output pixels, at each edit point in its own scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from intarsia_models.generators.class_maps import resized

if TYPE_CHECKING:
    from intarsia_models.generators.levels import EditPoint, State, Trace


@dataclass(frozen=True, eq=False)
class Transplant:
    """What is taken from which reference, where it goes and how strongly.

    The reference is one of `z` (with `y`), `w_plus` or `trace`.
    """

    weight: Tensor | Mapping[str, Tensor]
    """(1 or B, 1, H, W) in [0, 1] at any size, reduced to each edit point by area averaging; or by
    edit point's name at its own size (points that are not named are left alone)."""
    z: Tensor | None = None
    """(1, z_dim)."""
    w_plus: Tensor | None = None
    """(1, layers, w_dim), for families with styles."""
    trace: Trace | None = None
    """Features that were computed before, by `Generator.trace`."""
    y: Tensor | None = None
    """The reference's class, (1,) or (1, K). None: it is made with the edited picture's class and
    class maps, as in the public code."""
    strengths: float | Mapping[str, float] = 1.0
    """In [0, 1], for all edit points or by name (0 where not named)."""
    shift: tuple[float, float] = (0.0, 0.0)
    """(dx, dy) in output pixels: the features move right and down; what comes from beyond the edge
    repeats the edge."""
    with_rgb: bool = True
    """StyleGAN2: also blend the running RGB picture, so that colours go along."""

    def __post_init__(self) -> None:
        sources = (self.z is not None) + (self.w_plus is not None) + (self.trace is not None)
        if sources != 1:
            raise ValueError(f"A transplant needs one of z, w_plus and trace, got {sources}.")
        strengths = self.strengths
        values = strengths.values() if isinstance(strengths, Mapping) else (strengths,)
        for value in values:
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"Strengths lie in [0, 1], got {value}.")

    def strength(self, name: str) -> float:
        """How strongly it acts at one edit point."""
        if isinstance(self.strengths, Mapping):
            return float(self.strengths.get(name, 0.0))
        return float(self.strengths)

    def acts_at(self, name: str) -> bool:
        """Whether it changes anything at this edit point."""
        known = isinstance(self.weight, Tensor) or name in self.weight
        return known and self.strength(name) > 0.0

    def weight_at(self, point: EditPoint, size: tuple[int, int]) -> Tensor:
        """(1 or B, 1, h, w): its weight at one edit point, strength included."""
        whole = self.weight if isinstance(self.weight, Tensor) else self.weight[point.name]
        return resized(whole, size) * self.strength(point.name)


def shifted(features: Tensor, dx: float, dy: float) -> Tensor:
    """Move (B, C, H, W) right by ``dx`` and down by ``dy`` cells; the edge is repeated.

    Whole cells are moved exactly, parts of cells by bilinear interpolation.
    """
    if dx == 0 and dy == 0:
        return features
    height, width = features.shape[-2:]
    if float(dx).is_integer() and float(dy).is_integer():
        rows = (torch.arange(height, device=features.device) - int(dy)).clamp_(0, height - 1)
        columns = (torch.arange(width, device=features.device) - int(dx)).clamp_(0, width - 1)
        return features[..., rows, :][..., columns]
    rows = torch.arange(height, device=features.device, dtype=torch.float32) - dy
    columns = torch.arange(width, device=features.device, dtype=torch.float32) - dx
    y = (2 * rows + 1) / height - 1
    x = (2 * columns + 1) / width - 1
    grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)
    moved = grid_sample(
        features.float(),
        grid.expand(features.shape[0], -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return moved.to(features.dtype)


def blend(
    state: State,
    references: Sequence[tuple[Transplant, State]],
    point: EditPoint,
    resolution: int,
) -> State:
    """Eq. 3 at one edit point.

    Args:
        state: The features being made; every tensor of it is blended.
        references: Transplants that act here, with the same level's features of their references.
        point: The edit point.
        resolution: Side of the output, in pixels; shifts are in its scale.

    Returns:
        The blended state. Where weights add up to more than 1 they are scaled down to 1.
    """
    result = []
    for index, own in enumerate(state):
        size = (own.shape[-2], own.shape[-1])
        scale = size[1] / resolution
        acting = [(t, s) for t, s in references if index == 0 or t.with_rgb]
        if not acting:
            result.append(own)
            continue
        weights = [t.weight_at(point, size).to(own) for t, _ in acting]
        total = sum(weights[1:], weights[0])
        excess = total.clamp_min(1.0)
        blended = own * (1.0 - total / excess)
        for weight, (transplant, features) in zip(weights, acting, strict=True):
            dx, dy = transplant.shift
            moved = shifted(features[index], dx * scale, dy * scale)
            blended = blended + weight / excess * moved
        result.append(blended)
    return tuple(result)
