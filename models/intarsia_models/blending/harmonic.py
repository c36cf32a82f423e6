"""The harmonic function on an area of pixels with prescribed values around it."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyamg.relaxation.relaxation import gauss_seidel
from scipy import sparse
from scipy.sparse.linalg import splu

from intarsia_models.blending.composite_grid import NEAR, Level, build_levels
from intarsia_models.blending.grid_transfer import build_transfer

Values = NDArray[np.float64]

MOST_CYCLES = 200
SWEEPS = 2
MOST_DIRECT = 20_000
"""A coarsest grid of more points (nearly every second row and column is outside) is relaxed:
that converges fast."""


class HarmonicSolver:
    """Solves sum over the 4-neighbours q of (u_p - u_q) = 0 for every pixel p of an area, u being
    given around it.

    Args:
        area: (H, W), at least one True and one False pixel. Links out of the array do not exist
            (free edge).

    Source: multilevel adaptive technique with the full approximation scheme, Brandt 1977,
    "Multi-level adaptive solutions to boundary-value problems", on the grids of
    `composite_grid`. All in float64.
    """

    def __init__(self, area: NDArray[np.bool_]) -> None:
        self._area = area
        self._levels = build_levels(area)
        self._transfers = []
        for index in range(len(self._levels) - 1):
            transfer, self._levels[index + 1] = build_transfer(*self._levels[index : index + 2])
            self._transfers.append(transfer)
        last = self._levels[-1]
        self._factors = splu(sparse.csc_array(last.operator)) if last.count <= MOST_DIRECT else None
        self._is_direct = self._factors is not None and len(self._levels) == 1
        self._values: list[Values] = []
        self._right_sides: list[Values] = []

    @property
    def points_per_level(self) -> list[int]:
        """Unknowns per level, finest first."""
        return [level.count for level in self._levels]

    def solve(
        self,
        around: NDArray[np.floating],
        *,
        tolerance: float,
        after_cycle: Callable[[float], None] = lambda share: None,
    ) -> NDArray[np.float32]:
        """Find the harmonic function.

        Args:
            around: (C, H, W) finite values; only those beside the area count.
            tolerance: Largest error of the iteration, in the unit of the values (estimated from
                how fast the changes shrink); the grids add their own, see `composite_grid.BAND`.
            after_cycle: Called with the share done, in [0, 1]; may raise to stop.

        Returns:
            (C, H, W); meaningless outside the area.

        Raises:
            RuntimeError: The cycles do not converge (never seen).
        """
        self._start(around)
        first = change = math.inf
        for _ in range(MOST_CYCLES):
            before = [values.copy() for values in self._values]
            self._cycle(0)
            pairs = zip(self._values, before, strict=True)
            previous, change = (
                change,
                max(float(np.abs(new - old).max(initial=0)) for new, old in pairs),
            )
            first = min(first, change)
            rate = min(max(change / previous, 0.1), 0.95) if previous > 0 else 0.1
            error = 0.0 if self._is_direct else change * rate / (1 - rate)
            if error <= tolerance and (
                math.isfinite(previous) or change <= tolerance or self._is_direct
            ):
                after_cycle(1.0)
                return self._fill()
            after_cycle(_share_done(first, error, tolerance))
        raise RuntimeError(f"The solution still changes by {change:g} after {MOST_CYCLES} cycles.")

    def _start(self, around: NDArray[np.floating]) -> None:
        channels = len(around)
        self._values = [
            np.zeros((channels, level.count + len(level.fringe[0]))) for level in self._levels
        ]
        self._right_sides = [np.zeros((channels, level.count)) for level in self._levels]
        rows, columns = self._levels[0].carried
        height, width = self._area.shape
        for down, right in NEAR:
            r, c = rows + down, columns + right
            inside = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
            edge = inside[~self._area[r[inside], c[inside]]]
            self._right_sides[0][:, edge] += around[:, r[edge], c[edge]]

    def _cycle(self, index: int) -> None:
        """One V-cycle from this level down."""
        level, values, right_side = (
            self._levels[index],
            self._values[index],
            self._right_sides[index],
        )
        if index == len(self._transfers):
            if self._factors is None:
                _relax(level, values, right_side, 2 * SWEEPS)
            else:
                values[:] = self._factors.solve(np.ascontiguousarray(right_side.T)).T
            return
        _relax(level, values, right_side, SWEEPS)
        start = self._state_coarse_problem(index)
        self._cycle(index + 1)
        transfer, coarse = self._transfers[index], self._values[index + 1]
        for channel, row in enumerate(coarse):
            values[channel, : level.count] += transfer.prolongation @ (
                row[: start.shape[1]] - start[channel]
            )
            values[channel, level.count :] = transfer.to_fringe @ row
        _relax(level, values, right_side, SWEEPS)

    def _state_coarse_problem(self, index: int) -> Values:
        """Set values and right side of the next level; return the (C, n) carried values it
        starts from."""
        transfer, level, coarse_level = self._transfers[index], *self._levels[index : index + 2]
        values, coarse = self._values[index], self._values[index + 1]
        there, here = transfer.shared
        coarse[:, there] = values[:, here]
        for channel, row in enumerate(coarse):
            residual = self._right_sides[index][channel] - level.apply(values[channel])
            known = np.where(transfer.covered, coarse_level.apply(row), 0)
            self._right_sides[index + 1][channel] = known + transfer.restriction @ residual
        return coarse[:, : coarse_level.count].copy()

    def _fill(self) -> NDArray[np.float32]:
        """Every pixel, from the coarsest level up: cubic interpolation, then what the level
        itself carries."""
        dense: NDArray[np.float32] | None = None
        for level, values in zip(reversed(self._levels), reversed(self._values), strict=True):
            shape = (len(values), *level.shape)
            dense = np.zeros(shape, np.float32) if dense is None else _double(dense, shape)
            rows, columns = level.carried
            for channel, row in enumerate(values):
                dense[channel, rows, columns] = row[: level.count]
        assert dense is not None
        return dense


def _relax(level: Level, values: Values, right_side: Values, sweeps: int) -> None:
    for row, right in zip(values, right_side, strict=True):
        carried = row[: level.count]
        gauss_seidel(
            level.operator, carried, right - level.inflow @ row[level.count :], iterations=sweeps
        )


def _share_done(first: float, error: float, tolerance: float) -> float:
    if not (0 < error < first and tolerance < first):
        return 0.0
    return min(math.log(first / error) / math.log(first / tolerance), 1.0)


def _double(coarse: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Cubic interpolation to half the spacing; not within 3 points of the border, where
    nothing needs it."""
    half = np.zeros((shape[0], shape[1], coarse.shape[2]), np.float32)
    full = np.zeros(shape, np.float32)
    for old, new in ((coarse, half), (half.swapaxes(1, 2), full.swapaxes(1, 2))):
        new[:, ::2] = old
        between = old[:, 1:-2] + old[:, 2:-1]
        between *= 9
        between -= old[:, :-3]
        between -= old[:, 3:]
        between /= 16
        new[:, 3 : 3 + 2 * between.shape[1] : 2] = between
    return full
