"""Figures about edits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.evaluation.classifier import Classifier

INSIDE = 0.95
"""An area's weight above which a pixel counts as inside; outside is where it is 0."""


@torch.inference_mode()
def shows(classifier: Classifier, picture: Tensor, area: Tensor) -> int:
    """The class that the area's bounding square shows, enlarged to the classifier's size.

    Args:
        classifier: In eval mode.
        picture: (1, 3, R, R) in [-1, 1].
        area: (1, 1, R, R); its inside counts.
    """
    inside = area[0, 0] > INSIDE
    rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
    part = picture[:, :, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    size = picture.shape[-2:]
    enlarged = F.interpolate(part, size, mode="bilinear", align_corners=False)
    return int(classifier(enlarged).argmax(1))


def change(before: Tensor, after: Tensor, area: Tensor) -> tuple[float, float]:
    """Mean absolute difference inside and outside the area, in grey levels of 255.

    Args:
        before: (1, 3, R, R) in [-1, 1].
        after: Likewise.
        area: (1, 1, R, R) in [0, 1].
    """
    difference = (after - before).abs().mean(1, keepdim=True) * 127.5
    inside, outside = difference[area > INSIDE], difference[area <= 0]
    return float(inside.mean()), float(outside.mean())


def structure_kept(before: Tensor, after: Tensor, area: Tensor) -> float:
    """Correlation of brightness inside the area, in [-1, 1]: whether forms stay where they were."""
    inside = area[0, 0] > INSIDE
    first, second = (picture.mean(1)[0][inside] for picture in (before, after))
    stacked = torch.stack((first, second))
    found = float(torch.corrcoef(stacked)[0, 1])
    return found if found == found else 0.0


def steps_to(losses: list[float], level: float) -> int | None:
    """Steps after which the best loss so far is at most ``level``; None if it never is."""
    best = float("inf")
    for step, loss in enumerate(losses):
        best = min(best, loss)
        if best <= level:
            return step
    return None
