"""The sizes that a single-image model grows through."""

import math
from typing import Literal

from torch import Tensor

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.resampling import resize_tensor

Size = tuple[int, int]
PyramidRule = Literal["concurrent", "geometric"]


def pyramid_sizes(
    height: int,
    width: int,
    *,
    stages: int,
    min_size: int,
    max_size: int,
    rule: PyramidRule = "concurrent",
) -> list[Size]:
    """(height, width) of every stage, coarse to fine.

    Args:
        height: Rows of the picture.
        width: Columns of the picture.
        stages: Number of stages S, at least 2.
        min_size: Short side of the coarsest stage, in pixels (it can come out one larger, see
            below).
        max_size: Long side of the finest stage, in pixels. A smaller picture is never enlarged.
        rule: "concurrent" keeps more of the stages small; "geometric" is for harmonization.

    Raises:
        ValueError: A count or size is out of range.
        UnsuitablePicture: The picture, once brought to ``max_size``, is smaller than ``min_size``.

    Source: arXiv:2003.11512, Eq. 3, read with N = S - 1: stage n < N has the factor
    r^((N-1)/ln(N) * ln(N-n) + 1) (concurrent) or r^(N-n) (geometric), r = (min_size / short
    side)^(1/N).
    Deviations: the r = 0.55 of the paper's text does not give the paper's sizes; this r does. Two
    stages have no concurrent factor (ln 1 = 0) and are {min_size, full} here.
    Convention: sizes are rounded up from floating point, as the public code does; so 25 can
    become 26.
    """
    full = full_size(height, width, max_size)
    factors = stage_factors(*full, stages=stages, min_size=min_size, max_size=max_size, rule=rule)
    return [(math.ceil(full[0] * factor), math.ceil(full[1] * factor)) for factor in factors]


def stage_factors(
    height: int,
    width: int,
    *,
    stages: int,
    min_size: int,
    max_size: int,
    rule: PyramidRule = "concurrent",
) -> list[float]:
    """Size of every stage as a fraction of the finest, whose size is ``height`` x ``width``.

    Raises: as `pyramid_sizes`.
    """
    _check(height, width, stages, min_size, max_size, rule)
    if min(height, width) < min_size:
        raise UnsuitablePicture(
            f"The picture is too small: its short side is {min(height, width)} px at training size "
            f"({width} x {height} px), and the coarsest stage needs {min_size} px.",
            f"Use a picture whose short side is at least {min_size} px, or lower min_size.",
        )
    last = stages - 1
    r = math.pow(min_size / min(height, width), 1 / last)
    if rule == "concurrent" and last > 1:
        steepness = (last - 1) / math.log(last)
        return [*(math.pow(r, steepness * math.log(last - n) + 1) for n in range(last)), 1.0]
    return [*(math.pow(r, last - n) for n in range(last)), 1.0]


def full_size(height: int, width: int, max_size: int) -> Size:
    """(height, width) of the finest stage: the picture's own, or shrunk so that the long side is
    ``max_size``."""
    scale = full_scale(height, width, max_size)
    return math.ceil(height * scale), math.ceil(width * scale)


def full_scale(height: int, width: int, max_size: int) -> float:
    """Factor from the picture to the finest stage, at most 1."""
    return min(max_size / max(height, width), 1)


def image_pyramid(
    image: Tensor,
    *,
    stages: int,
    min_size: int,
    max_size: int,
    rule: PyramidRule = "concurrent",
) -> list[Tensor]:
    """A picture at every stage, coarse to fine.

    Args:
        image: (1, 3, H, W) in [-1, 1].
        stages: See `pyramid_sizes`, as the other arguments.
        min_size: See `pyramid_sizes`.
        max_size: See `pyramid_sizes`.
        rule: See `pyramid_sizes`.

    Returns:
        Per stage (1, 3, h, w) in [-1, 1], of the sizes that `pyramid_sizes` tells.
    """
    height, width = image.shape[-2:]
    sizes = pyramid_sizes(
        height, width, stages=stages, min_size=min_size, max_size=max_size, rule=rule
    )
    full = resize_tensor(image, *sizes[-1], scale=full_scale(height, width, max_size))
    factors = stage_factors(
        *sizes[-1], stages=stages, min_size=min_size, max_size=max_size, rule=rule
    )
    pairs = zip(sizes[:-1], factors[:-1], strict=True)
    return [*(resize_tensor(full, *size, scale=factor) for size, factor in pairs), full]


def _check(height: int, width: int, stages: int, min_size: int, max_size: int, rule: str) -> None:
    if rule not in ("concurrent", "geometric"):
        raise ValueError(f'rule must be "concurrent" or "geometric", got {rule!r}.')
    for name, value, least in (
        ("height", height, 1),
        ("width", width, 1),
        ("stages", stages, 2),
        ("min_size", min_size, 1),
        ("max_size", max_size, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
    if min_size > max_size:
        raise ValueError(f"min_size must not exceed max_size, got {min_size} and {max_size}.")
