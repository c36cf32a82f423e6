"""What critic and generator minimise.

Source: Lee et al. 2018, arXiv:1703.10730. The supplement gives eq. 1 (the alternative objective);
eq. 4 of the main paper, the sums and the weights are taken from the public code of one of its
authors, whose composites show the structure of eq. 4.

Written y for a real picture, y' for another one, M for the union of its parts' boxes, G for the
picture that was made and A for its placement.

Conventions: the spatial and the appearance loss are SUMS over pixels, colours and pictures of a
batch, as the public code has them; adversarial losses are means over the batch. So the weights
below belong to the batch and the resolution: they count as the public code's at its batch of 64.
Logits instead of probabilities: the same cross-entropy, which never overflows.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Objective = Literal["composites", "five_fakes", "plain"]
OBJECTIVES: tuple[Objective, ...] = ("composites", "five_fakes", "plain")
Spatial = Literal["l1", "cross_entropy"]
SPATIAL: tuple[Spatial, ...] = ("l1", "cross_entropy")
Compared = Literal["predicted", "true"]
COMPARED: tuple[Compared, ...] = ("predicted", "true")
FIRST_WEIGHT, LAST_WEIGHT = 1e-2, 1e-4
"""Of the sums at the beginning and at the end of a training, as in the public code."""
TINY = 1e-6
"""Keeps logarithms finite."""


class Fakes(NamedTuple):
    """What the critic is to tell from real pictures."""

    pictures: Tensor
    """(F, B, 3, R, R): F kinds of B pictures."""
    weight: float
    """Of each kind's loss."""


def fakes(
    objective: Objective, generated: Tensor, real: Tensor, other: Tensor, boxes: Tensor
) -> Fakes:
    """The fakes of an objective.

    Args:
        objective: "composites": G, y' where the parts are on y, and y where the parts are on y'
            (what the public code uses); "five_fakes": also G where the parts are on y, and y where
            the parts are on G, each with a weight of 1/5 (the code's unused variant); "plain": G
            alone (supplement, eq. 1).
        generated: G, (B, 3, R, R).
        real: y, likewise.
        other: y', likewise.
        boxes: M, (B, 1, R, R) in {0, 1}.

    Raises:
        ValueError: There is no such objective.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {list(OBJECTIVES)}, got {objective!r}.")
    if objective == "plain":
        return Fakes(generated[None], 1.0)
    swapped = [_composed(boxes, other, real), _composed(boxes, real, other)]
    if objective == "composites":
        return Fakes(torch.stack([generated, *swapped]), 1.0)
    mixed = [_composed(boxes, generated, real), _composed(boxes, real, generated)]
    return Fakes(torch.stack([generated, *mixed, *swapped]), 1.0 / 5.0)


def critic_loss(on_real: Tensor, on_fakes: Tensor, weight: float) -> Tensor:
    """Cross-entropy of real pictures and of every kind of fake, a scalar.

    Args:
        on_real: (B, 1) logits.
        on_fakes: (F, B, 1) logits.
        weight: Of each kind; see `Fakes`.
    """
    kinds = F.softplus(on_fakes).flatten(1).mean(1)
    return F.softplus(-on_real).mean() + weight * kinds.sum()


def generator_loss(on_generated: Tensor) -> Tensor:
    """Cross-entropy of made pictures (B, 1) taken for real, a scalar; never of composites."""
    return F.softplus(-on_generated).mean()


def spatial_loss(placement: Tensor, boxes: Tensor) -> Tensor:
    """Sum of |A - M| over all pixels of a batch, a scalar; both (B, 1, R, R)."""
    return (placement - boxes).abs().sum()


def spatial_entropy(placement: Tensor, boxes: Tensor) -> Tensor:
    """Sum of the cross-entropy of A and M over all pixels of a batch, a scalar.

    Deviation: not the paper's. The least sum of |A - M| is reached by the median: as long as the
    network is in doubt, every pixel is more likely outside than inside the boxes, and A is 0
    everywhere, which also silences the appearance loss. The least cross-entropy is the probability.
    """
    inside, outside = (placement + TINY).log(), (1.0 - placement + TINY).log()
    return -(boxes * inside + (1.0 - boxes) * outside).sum()


def appearance_loss(generated: Tensor, placement: Tensor, real: Tensor, boxes: Tensor) -> Tensor:
    """Sum of |G A - y M| over all pixels, colours and pictures of a batch, a scalar.

    Parts may move: what is made at the predicted place is compared to what was at the true one.
    With M in the place of A, what is made is compared at the true place alone.
    """
    return (generated * placement - real * boxes).abs().sum()


def whole_loss(generated: Tensor, real: Tensor) -> Tensor:
    """Sum of |G - y| over all pixels, colours and pictures of a batch, a scalar.

    Deviation: not the paper's, whose pictures answer to the critic alone where no part is. That
    takes millions of pictures to learn; a share of this makes a short training show wholes.
    """
    return (generated - real).abs().sum()


def reconstruction_loss(generated: Tensor, real: Tensor) -> Tensor:
    """Mean of |G - y|, a scalar: what an auto-encoder minimises (supplement, section 6).

    The supplement does not say which distance; this one is that of the other losses.
    """
    return F.l1_loss(generated, real)


def loss_weight(fraction: float, first: float = FIRST_WEIGHT, last: float = LAST_WEIGHT) -> float:
    """Weight of the two sums: from ``first`` to ``last``, evenly on a logarithmic scale.

    Args:
        fraction: Of the training, in [0, 1].
        first: At the beginning.
        last: At the end.

    Deviation: the public code changes it once per epoch, this one all the time.
    """
    fraction = min(1.0, max(0.0, fraction))
    return math.exp((1.0 - fraction) * math.log(first) + fraction * math.log(last))


def appearance_error(generated: Tensor, placement: Tensor, real: Tensor, boxes: Tensor) -> Tensor:
    """(B,): mean of |G A - y M| over the pixels and colours of each picture.

    The appearance loss as a figure that does not depend on the batch and the size. The supplement's
    table 3 does not say how its figures are normalised; a mean over the whole picture is assumed.
    """
    return (generated * placement - real * boxes).abs().mean((1, 2, 3))


def _composed(boxes: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    return boxes * inside + (1.0 - boxes) * outside
