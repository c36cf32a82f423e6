"""Random known areas that a regressor is trained with.

Source: Chai et al. 2021, arXiv:2103.10426, section 3.2 and appendix A.1.1. Deviations, all towards
the public code, which made the released weights: a place is known where the noise lies below the
threshold (the paper's text says above, which would hide 69 % instead of keeping it), and one
threshold serves a whole batch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Areas = Literal["noise", "rectangles", "both"]
AREAS: tuple[Areas, ...] = ("noise", "rectangles", "both")
CELLS = 6
"""Rows and columns of the noise."""
LEAST_THRESHOLD = 0.3
STOPPING = 0.1
"""Chance, after each rectangle, that it was the last one."""
SIDES = (0.05, 0.5)
"""Of rectangles, in shares of the picture's side."""


def known_areas(kind: Areas, count: int, size: tuple[int, int], source: torch.Generator) -> Tensor:
    """Known areas of a batch.

    Args:
        kind: "noise", "rectangles", or "both": either by the toss of a coin.
        count: How many.
        size: Rows and columns.
        source: Random numbers, on the CPU.

    Returns:
        (count, 1, *size) of 0 and 1, 1 = known, on the CPU.
    """
    if kind == "both":
        kind = "noise" if float(torch.rand((), generator=source)) < 0.5 else "rectangles"
    if kind == "noise":
        return noise_areas(count, size, source)
    return rectangle_areas(count, size, source)


def noise_areas(count: int, size: tuple[int, int], source: torch.Generator) -> Tensor:
    """Smooth patches: uniform noise of 6 x 6 cells, enlarged, known where it is below a threshold.

    The threshold is uniform in [0.3, 1] and the same for the whole batch; 69 % of all pixels are
    known on average, and one area in twenty is known whole.

    Args:
        count: How many.
        size: Rows and columns.
        source: Random numbers, on the CPU.

    Returns:
        (count, 1, *size) of 0 and 1.
    """
    noise = torch.rand(count, 1, CELLS, CELLS, generator=source)
    threshold = LEAST_THRESHOLD + (1 - LEAST_THRESHOLD) * torch.rand((), generator=source)
    smooth = interpolate(noise, size, mode="bilinear", align_corners=False)
    return (smooth < threshold).float()


def rectangle_areas(count: int, size: tuple[int, int], source: torch.Generator) -> Tensor:
    """Known rectangles, like the pieces of a collage; their number is geometric, 10 on average.

    Args:
        count: How many areas.
        size: Rows and columns.
        source: Random numbers, on the CPU.

    Returns:
        (count, 1, *size) of 0 and 1; every area knows at least one pixel.

    Source: the hints of Zhang et al. 2017, arXiv:1705.02999, with rectangles of 5 to 50 % instead
    of points, as in the public code of arXiv:2103.10426.
    """
    height, width = size
    areas = torch.zeros(count, 1, height, width)
    for area in areas:
        while True:
            share = SIDES[0] + (SIDES[1] - SIDES[0]) * torch.rand(2, generator=source)
            place = torch.rand(3, generator=source)
            rows = max(1, round(float(share[0]) * height))
            columns = max(1, round(float(share[1]) * width))
            top = int(float(place[0]) * (height - rows + 1))
            left = int(float(place[1]) * (width - columns + 1))
            area[0, top : top + rows, left : left + columns] = 1
            if float(place[2]) < STOPPING:
                break
    return areas
