"""A refined mosaic in the colours of its templates.

Our own addition. What a mosaic has in common with its content is measured in greys (eq. 2 of
Jetchev et al. 2019, arXiv:1910.07236, with the phi of FAMOS: the mean of the colours). How a
refinement gets to a grey is left to it: adding blue is as good as adding all three. Only the critic
could object, and one of a short training, or templates unlike those of the training, leave it
silent: grey pebbles become green ones. So of what the refinement changes only the grey is taken.
The distance to the content stays what it was, but for what is cut off at black and white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 256
"""At a time, so that large mosaics need no third copy of them."""


def with_colours_of(collage: NDArray[Any], picture: NDArray[Any]) -> NDArray[np.float32]:
    """The collage's colours with the picture's greys.

    Args:
        collage: (3, H, W) in [-1, 1].
        picture: (3, H, W), refined.

    Returns:
        (3, H, W) in [-1, 1]: the same is added to all colours of a pixel.

    Raises:
        ValueError: The shapes differ.
    """
    if collage.shape != picture.shape or collage.shape[0] != 3:
        raise ValueError(
            f"Collage and picture must be (3, H, W) both, got {collage.shape} and {picture.shape}."
        )
    made = np.empty(collage.shape, np.float32)
    for top in range(0, collage.shape[1], ROWS):
        rows = slice(top, top + ROWS)
        before = np.asarray(collage[:, rows], np.float32)
        change = (np.asarray(picture[:, rows], np.float32) - before).mean(0)
        np.clip(before + change, -1.0, 1.0, out=made[:, rows])
    return made
