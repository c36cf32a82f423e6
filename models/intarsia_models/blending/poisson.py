"""Seamless blending (Poisson): the source's detail with the colours of the target around it.

With ``f`` the result, ``f*`` the target, ``g`` the source and ``v`` the wanted differences (Pérez,
Gangnet and Blake 2003, "Poisson image editing", Eq. 7; N_p are the 4-neighbours of p inside the
picture, Ω is the area), for every p in Ω::

    |N_p| f_p - sum of f_q, q in N_p and Ω = sum of f*_q, q in N_p, not Ω + sum of v_pq, q in N_p

The correction ``u = f - g`` is solved for, in two steps:

1. mixed gradients only: a function whose Laplacian is that of ``v`` minus that of ``g``, on the
   bounding rectangle, by a fast cosine transform (`cosine_solver`);
2. the harmonic function that brings the values around Ω to ``f* - g``, by multigrid on a composite
   grid (`harmonic`), whose cost follows the length of the edge instead of the area.

Why this one: the area's edge is short beside its surface, and both steps use others' compiled code.
Algebraic multigrid on all pixels takes about ten times as long (the reference of
benchmarks/poisson.py is made with it). A factorisation serves for the coarsest grid, areas of up
to 1500 pixels included.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intarsia_models.blending.arguments import check_pictures
from intarsia_models.blending.cosine_solver import solve_on_rectangle
from intarsia_models.blending.harmonic import HarmonicSolver
from intarsia_models.blending.parts import Part, find_parts

Gradients = Literal["import", "mixed"]
Picture = NDArray[np.floating]

GREY_LEVEL = 2 / 255
TIE = 4e-6
"""Differences this close count as equally strong, so that rounding to float32 does not choose
between them."""
DETAIL_SHARE = 0.4
"""Of the time that mixed gradients take, what the cosine transforms take."""


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
    """Put the source into the target so that no edge shows.

    Args:
        source: (B, 3, H, W) in [-1, 1]; also read one pixel around the area.
        target: (B, 3, H, W) in [-1, 1].
        edit_mask: (B, 1, H, W) in [0, 1]; the area is where it is at least 0.5 (soft values do not
            mix). Any shape: parts, holes, at the picture's border, nothing, everything.
        gradients: "import" keeps the source's detail; "mixed" takes, for each pair of neighbours
            and each channel, the larger difference of source and target (the source's if equally
            large), so that the target's texture shows.
        clamp: Clip the area to [-1, 1]. The solution may lie outside by design; without this it is
            returned as it is.
        tolerance: Largest error of the iteration in grey levels (2/255), in [1e-6, 1]. The
            composite grid adds up to 0.02 of them at full contrast, and rounding in float32 less
            than that.
        tick: Called between the steps of the work; may raise to stop. The longest step is making
            the grids of one part; it grows with the size of its rectangle.
        on_progress: Called with the share done, from 0 to 1, never smaller than before.

    Returns:
        (B, 3, H, W), dtype and device of ``target``; outside the area exactly ``target``. No
        gradient flows.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit, a value is not finite, or an option is
        out of its range.

    Convention: no equation crosses the picture's border, so an area that touches it is free there.
    Where everything is selected nothing fixes the mean of a channel: it becomes the source's (so
    with "import" the result is ``source``).
    Source: Pérez, Gangnet and Blake 2003, "Poisson image editing", Eq. 7, with the guidance of Eq.
    11 (import) and Eq. 12, 13 (mixed). All work is done on the CPU, whatever the device of the
    tensors.
    """
    check_pictures(source, target, edit_mask)
    if gradients not in get_args(Gradients):
        raise ValueError(f'gradients must be "import" or "mixed", got {gradients!r}.')
    if not 1e-6 <= tolerance <= 1:
        raise ValueError(f"tolerance must lie in [1e-6, 1] grey levels, got {tolerance}.")
    areas = (edit_mask[:, 0] >= 0.5).cpu().numpy()
    parts = [(index, part) for index, area in enumerate(areas) for part in find_parts(area)]
    report = _Report(tick, on_progress, sum(part.inside.size for _, part in parts))
    working = torch.float64 if target.dtype == torch.float64 else torch.float32
    result = target.detach().to("cpu", copy=True)
    for index, part in parts:
        window = (index, slice(None), part.rows, part.columns)
        g, f = (picture.detach()[window].to("cpu", working) for picture in (source, target))
        blended = torch.from_numpy(
            _blend_part(g.numpy(), f.numpy(), part, gradients, tolerance, report)
        )
        if clamp:
            blended.clamp_(-1, 1)
        inside = torch.from_numpy(part.inside)
        result[window] = torch.where(inside, blended.to(result.dtype), result[window])
        report.end_part(part.inside.size)
    report.finish()
    return result.to(target.device)


class _Report:
    """Progress over parts of different sizes; every report is also a chance to stop."""

    def __init__(
        self,
        tick: Callable[[], None] | None,
        on_progress: Callable[[float], None] | None,
        total: int,
    ) -> None:
        self._tick, self._on_progress, self._total = tick, on_progress, max(total, 1)
        self._done, self._shown = 0, 0.0

    def within_part(self, share: float, size: int) -> None:
        """Say which share of the current part, of ``size`` pixels, is done."""
        if self._tick is not None:
            self._tick()
        self._shown = max(self._shown, min((self._done + share * size) / self._total, 1.0))
        if self._on_progress is not None:
            self._on_progress(self._shown)

    def end_part(self, size: int) -> None:
        """The part of ``size`` pixels is done."""
        self.within_part(1.0, size)
        self._done += size

    def finish(self) -> None:
        """Everything is done."""
        self.within_part(1.0, self._total)


def _blend_part(
    g: Picture, f: Picture, part: Part, gradients: Gradients, tolerance: float, report: _Report
) -> Picture:
    """(3, h, w) of the part's rectangle, meaningless outside the part."""
    size, done = part.inside.size, 0.0
    report.within_part(done, size)
    blended = g.copy()
    around = f - g
    if gradients == "mixed":
        for channel in range(len(g)):
            detail = solve_on_rectangle(_extra_detail(g[channel], f[channel], part.inside))
            blended[channel] += detail
            around[channel] -= detail
            done = DETAIL_SHARE * (channel + 1) / len(g)
            report.within_part(done, size)
    if part.inside.all():
        return blended
    solver = HarmonicSolver(part.inside)
    blended += solver.solve(
        around,
        tolerance=tolerance * GREY_LEVEL,
        after_cycle=lambda share: report.within_part(done + (1 - done) * share, size),
    )
    return blended


def _extra_detail(g: Picture, f: Picture, inside: NDArray[np.bool_]) -> Picture:
    """(h, w): for each p the sum over its neighbours q of v_pq - (g_p - g_q), where p or q is
    inside."""
    total = np.zeros_like(g)
    _add_differences(g, f, inside, total)
    _add_differences(g.T, f.T, inside.T, total.T)
    return total


def _add_differences(g: Picture, f: Picture, inside: NDArray[np.bool_], total: Picture) -> None:
    """The part of `_extra_detail` that comes from neighbours along the first axis."""
    own = g[1:] - g[:-1]
    other = f[1:] - f[:-1]
    stronger = np.abs(other) - np.abs(own) > TIE
    stronger &= inside[1:] | inside[:-1]
    other -= own
    other *= stronger
    total[1:] += other
    total[:-1] -= other
