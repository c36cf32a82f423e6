"""The parts of an area that are blended one by one."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SMALL = 128
"""Parts whose bounding box is not larger than this, in pixels, are taken together with small
ones near them."""
NEIGHBOURHOOD = 512


@dataclass(frozen=True)
class Part:
    """Connected pixels, or several such groups near each other, and the rectangle around them."""

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]
    """(h, w) of the rectangle, which has one pixel more than needed on every side where the
    picture has one."""


def find_parts(area: NDArray[np.bool_]) -> list[Part]:
    """Split the True pixels of an (H, W) array; pixels that only touch at a corner are not
    connected."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(area).view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    groups: dict[tuple[int, int], list[int]] = {}
    for label in range(1, count):
        x, y, width, height = (int(value) for value in boxes[label, :4])
        small = max(width, height) <= SMALL
        place = (y // NEIGHBOURHOOD, x // NEIGHBOURHOOD) if small else (-1, label)
        groups.setdefault(place, []).append(label)
    number_of = np.zeros(count, np.int32)
    for number, members in enumerate(groups.values(), start=1):
        number_of[members] = number
    parts = []
    for number, members in enumerate(groups.values(), start=1):
        left, top, width, height = boxes[members, :4].T
        rows = slice(max(int(top.min()) - 1, 0), min(int((top + height).max()) + 1, area.shape[0]))
        columns = slice(
            max(int(left.min()) - 1, 0), min(int((left + width).max()) + 1, area.shape[1])
        )
        parts.append(
            Part(rows, columns, number_of[np.asarray(labels, np.int32)[rows, columns]] == number)
        )
    return parts
