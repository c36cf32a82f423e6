"""Seamless blending: the source's detail with the colours of the target around it (Poisson blending).

With ``f`` the result, ``f*`` the target, ``g`` the source and ``v`` the wanted detail (Pérez, Gangnet and Blake 2003,
"Poisson image editing", Eq. 7; N_p the 4-neighbours of p inside the picture, Ω the area)::

    for p in Ω:   |N_p| f_p - sum of f_q over N_p in Ω  =  sum of f*_q over N_p outside Ω  +  sum of v_pq over N_p

``u = f - g`` is solved for, in two steps that are both fast and exact:

1. mixed gradients only: some function whose detail is ``v - grad g`` everywhere in the bounding rectangle, by a
   cosine transform (`cosine_solver`); import gradients need none, because there ``v = grad g``;
2. the harmonic function that brings the values around Ω to ``f* - g``, by multigrid on grids that get coarser
   with the distance from the edge (`harmonic`): its cost follows the length of the edge, not the area.

Measured on 2 CPU cores (benchmarks/poisson.py) this was 5 to 10 times faster than the same multigrid on every pixel would be per
cycle, and it keeps memory small; a sparse factorisation is used for the coarsest grid and for areas of a few
hundred pixels. Areas are labelled, and each part is solved in its own rectangle; small ones near each other together.
"""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intarsia_models.blending.arguments import check_pictures
from intarsia_models.blending.cosine_solver import solve_on_rectangle
from intarsia_models.blending.harmonic import HarmonicSolver

Gradients = Literal["import", "mixed"]

GREY_LEVEL = 2 / 255
TIE = 4e-6
"""Differences this close count as equally strong: rounding to float32 must not choose between them."""
SMALL = 128
"""Parts whose bounding box is not larger are solved together with their neighbours."""
NEIGHBOURHOOD = 512


def poisson_blend(
    source: Tensor,
    target: Tensor,
    edit_mask: Tensor,
    *,
    gradients: Gradients = "import",
    clamp: bool = False,
    tolerance: float = 0.05,
    tick: Callable[[], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """..."""
    check_pictures(source, target, edit_mask)
    if gradients not in get_args(Gradients):
        raise ValueError(f'gradients must be "import" or "mixed", got {gradients!r}.')
    if not 1e-6 <= tolerance <= 1:
        raise ValueError(f"tolerance must lie in [1e-6, 1] grey levels, got {tolerance}.")
    result = target.detach().cpu().clone()
    pictures = source.detach().cpu().to(result.dtype)
    for index, area in enumerate((edit_mask[:, 0] >= 0.5).cpu().numpy()):
        for rows, columns, part in _parts(area):
            window = (index, slice(None), rows, columns)
            g, f = pictures[window].numpy(), result[window].numpy()
            blended = _blend_part(g, f, part, gradients, tolerance)
            f[:, part] = blended[:, part]
    if clamp:
        result = torch.where(edit_mask.cpu() >= 0.5, result.clamp(-1, 1), result)
    return result.to(target.device)


def _blend_part(g, f, part, gradients, tolerance):
    difference = f - g
    if gradients == "mixed":
        detail = np.stack([solve_on_rectangle(_right_side(g[k], f[k], part)) for k in range(3)])
    else:
        detail = np.zeros_like(g)
    if part.all():
        return g + detail
    u = HarmonicSolver(part).solve(difference - detail, tolerance=tolerance * GREY_LEVEL, after_cycle=lambda f: None)
    return g + detail + u


def _right_side(g, f, part):
    out = np.zeros(g.shape, np.float32)
    for axis in (0, 1):
        dg, df = np.diff(g, axis=axis), np.diff(f, axis=axis)
        near = part.take(range(part.shape[axis] - 1), axis) | part.take(range(1, part.shape[axis]), axis)
        w = np.where(near & (np.abs(df) > np.abs(dg) + TIE), df - dg, 0)
        if axis == 0:
            out[1:] += w
            out[:-1] -= w
        else:
            out[:, 1:] += w
            out[:, :-1] -= w
    return out


def _parts(area: NDArray[np.bool_]) -> Iterator[tuple[slice, slice, NDArray[np.bool_]]]:
    """Bounding boxes with a margin of one pixel where the picture has one, and what belongs to the part there."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=4)
    groups = np.full(count, -1)
    boxes: dict[tuple[int, ...], list[int]] = {}
    for label in range(1, count):
        x, y, width, height, _ = stats[label]
        small = max(width, height) <= SMALL
        key = (y // NEIGHBOURHOOD, x // NEIGHBOURHOOD) if small else (-1, label)
        boxes.setdefault(key, []).append(label)
    for number, members in enumerate(boxes.values()):
        groups[members] = number
    for number, members in enumerate(boxes.values()):
        x, y, width, height, _ = stats[members].T
        rows = slice(max(y.min() - 1, 0), (y + height).max() + 1)
        columns = slice(max(x.min() - 1, 0), (x + width).max() + 1)
        yield rows, columns, groups[labels[rows, columns]] == number
