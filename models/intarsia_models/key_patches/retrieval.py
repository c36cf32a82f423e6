"""The real picture that is nearest where the parts were: what a made one is compared to.

Source: Lee et al. 2018, arXiv:1703.10730, supplement, section 9, eq. 2, and the same with squares.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distance = Literal["l1", "l2"]
CHUNK = 256
"""Pictures of the pool at once."""


@torch.no_grad()
def nearest_pictures(
    real: Tensor, boxes: Tensor, pool: Tensor, *, distance: Distance = "l1"
) -> Tensor:
    """Which pictures of a pool look most alike within the boxes.

    Args:
        real: (B, 3, R, R) in [-1, 1], the pictures that the parts are of.
        boxes: (B, 1, R, R) of 0 and 1; nothing else of the pictures counts.
        pool: (P, 3, R, R) uint8, where is searched.
        distance: "l1" sums absolute differences (eq. 2), "l2" squares.

    Returns:
        (B,) int64 numbers in the pool; the first one where several are as near.

    Raises:
        ValueError: The pool is empty or has another size, or there is no such distance.
    """
    if distance not in ("l1", "l2"):
        raise ValueError(f'distance must be "l1" or "l2", got {distance!r}.')
    if not len(pool) or pool.shape[1:] != real.shape[1:]:
        raise ValueError(
            f"pool must be (P, {', '.join(map(str, real.shape[1:]))}) with P at least 1, got "
            f"{tuple(pool.shape)}."
        )
    found = torch.empty(len(real), dtype=torch.int64)
    for index, (picture, box) in enumerate(zip(real, boxes, strict=True)):
        distances = []
        for part in pool.split(CHUNK):
            apart = (part.to(real).div(127.5) - 1.0 - picture) * box
            apart = apart.abs() if distance == "l1" else apart.square()
            distances.append(apart.sum((1, 2, 3)))
        found[index] = torch.cat(distances).argmin()
    return found
