"""What can be changed of a mosaic's weights without learning anew.

Our own addition: in the paper (Jetchev et al. 2019, arXiv:1910.07236) how hard, how large and how
much alike the segments are is learnt (its entropy, total variation, maximum and content terms).
Here the logits a of a ready network become, before the softmax over the K templates,

    s * G * (a - f * (phi(template) - phi(content))^2) + b

with a sharpness s, a Gaussian G (larger segments), a fidelity f and a bias b per template. All of
it treats every template alike but for b, so that permuting templates with their bias still
permutes the weights; all of it is local, so that tiles with a halo of `Adjustment.reach` agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intarsia_models.mosaic.losses import BLUR_REACH, BLUR_SIGMA, BLUR_TAPS, blurred

BALANCING_ROUNDS = 60
BALANCING_RATE, BALANCING_DECAY = 0.5, 0.9


@dataclass(frozen=True)
class Adjustment:
    """How logits are changed before the softmax; the default changes nothing."""

    sharpness: float = 1.0
    """Above 1: harder cuts between templates; below: softer ones."""
    smoothing: float = 0.0
    """Standard deviation in pixels of the blur of the logits: larger segments."""
    fidelity: float = 0.0
    """Of the squared distance of blurred greys, in [0, 4]; more: closer to the content."""
    bias: tuple[float, ...] = ()
    """Added for each template; (): none."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if not (math.isfinite(self.sharpness) and self.sharpness > 0):
            raise ValueError(f"sharpness must be above 0, got {self.sharpness}.")
        for name in ("smoothing", "fidelity"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")

    @property
    def reach(self) -> int:
        """Pixels to each side that a result depends on, beyond the networks' own reach."""
        compared = _taps(BLUR_SIGMA) if self.fidelity else 0
        return _taps(self.smoothing) + compared

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return self != Adjustment()

    def __call__(
        self, logits: Tensor, templates: Tensor, content: Tensor | None, *, first: int = 0
    ) -> Tensor:
        """The changed logits.

        Args:
            logits: (B, k, H, W) float32; -inf where a template is absent.
            templates: (B, k, 3, H, W) in [-1, 1].
            content: (B, 3, H, W) in [-1, 1], or None without one: fidelity does nothing then.
            first: Number of the first of these templates, where they are a part of more.

        Raises:
            ValueError: There is a bias, but none for one of these templates.
        """
        if not self.changes:
            return logits
        count = logits.shape[1]
        if self.bias and len(self.bias) < first + count:
            raise ValueError(f"There are {len(self.bias)} biases for {first + count} templates.")
        absent = torch.isneginf(logits)
        made = logits.masked_fill(absent, 0.0)
        if self.fidelity and content is not None:
            wanted = blurred(content.float().mean(1, keepdim=True))
            found = smoothed(templates.float().mean(2), BLUR_SIGMA)
            made = made - self.fidelity * (found - wanted) ** 2
        made = smoothed(made, self.smoothing) * self.sharpness
        if self.bias:
            own = made.new_tensor(self.bias[first : first + count])
            made = made + own[None, :, None, None]
        return made.masked_fill(absent, -torch.inf)


def balanced(
    adjustment: Adjustment, logits: Tensor, templates: Tensor, content: Tensor | None, amount: float
) -> Adjustment:
    """The same with a bias that brings the templates' shares of the area closer to each other.

    Args:
        adjustment: Without a bias.
        logits: (1, K, H, W) float32 of a part, or a reduced copy, of the picture.
        templates: (1, K, 3, H, W), as for `Adjustment`.
        content: (1, 3, H, W) or None.
        amount: In [0, 1]: 0 leaves the shares s as they are, 1 makes all 1 / K; between them the
            goal is proportional to s^(1 - amount).
    """
    if amount <= 0:
        return adjustment
    changed = adjustment(logits, templates, content)
    count = changed.shape[1]
    bias = changed.new_zeros(count)
    least = 1e-6
    shares = changed.softmax(1).mean((0, 2, 3)).clamp_min(least)
    goal = shares ** (1.0 - min(1.0, amount))
    goal = goal / goal.sum()
    step = BALANCING_RATE * max(1.0, margin_of(changed))
    for _ in range(BALANCING_ROUNDS):
        shares = (changed + bias[None, :, None, None]).softmax(1).mean((0, 2, 3)).clamp_min(least)
        bias = bias + step * (goal.log() - shares.log()).clamp(-1, 1)
        step *= BALANCING_DECAY
    bias = bias - bias.mean()
    return replace(adjustment, bias=tuple(float(value) for value in bias))


def margin_of(logits: Tensor) -> float:
    """By how much the best template at a place typically exceeds the second: the median.

    Args:
        logits: (B, K, H, W), K at least 2.
    """
    best = logits.topk(2, 1).values
    return float((best[:, 0] - best[:, 1]).median())


def smoothed(planes: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) float32 blurred by a Gaussian; the border's pixels go on beyond it."""
    if sigma <= 0:
        return planes
    flat = planes.flatten(0, 1)[:, None]
    return blurred(flat, sigma)[:, 0].unflatten(0, planes.shape[:2])


def _taps(sigma: float) -> int:
    return min(BLUR_TAPS // 2, math.ceil(BLUR_REACH * sigma))
