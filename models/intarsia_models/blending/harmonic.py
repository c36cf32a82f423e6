"""The harmonic function on an area of pixels with prescribed values around it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyamg.relaxation.relaxation import gauss_seidel
from scipy import sparse
from scipy.sparse.linalg import splu

from intarsia_models.blending.composite_grid import Level, Transfer, build_levels, build_transfer

Values = NDArray[np.float64]
MOST_CYCLES = 100


class HarmonicSolver:
    """Solves sum over the 4-neighbours q of (u_p - u_q) = 0 for every p of an area, u given outside.

    Args:
        area: (H, W) bool, at least one True and one False pixel. Links out of the array do not exist.
    """

    def __init__(self, area: NDArray[np.bool_]) -> None:
        self.area = area
        self.levels = build_levels(area)
        pairs = zip(self.levels, self.levels[1:], strict=False)
        self.transfers = [build_transfer(fine, coarse) for fine, coarse in pairs]
        self._coarsest = splu(sparse.csc_array(self.levels[-1].operator))

    def solve(
        self,
        around: NDArray[np.floating],
        *,
        tolerance: float,
        after_cycle: Callable[[float], None],
    ) -> NDArray[np.float32]:
        """..."""
        state = _State(self.levels, around, self.area)
        change, cycles = np.inf, 0
        while True:
            before = [values.copy() for values in state.values]
            self._cycle(state, 0)
            last, change = (
                change,
                max(
                    float(np.abs(new - old).max(initial=0))
                    for new, old in zip(state.values, before, strict=True)
                ),
            )
            cycles += 1
            rate = min(change / last, 0.9)
            after_cycle(0)
            if (
                len(self.levels) == 1
                or change * max(rate, 0.1) / (1 - rate) < tolerance
                or cycles >= MOST_CYCLES
            ):
                return self._fill(state)

    def _cycle(self, state: "_State", index: int) -> None:
        level, values, right = self.levels[index], state.values[index], state.right[index]
        count = len(level.carried[0])
        if index == len(self.levels) - 1:
            values[:, :count] = self._coarsest.solve(right.T).T
            return
        transfer = self.transfers[index]
        _relax(level, values, right, 2)
        coarse = state.values[index + 1]
        coarse_level = self.levels[index + 1]
        n = len(coarse_level.carried[0])
        there, here = transfer.injected
        coarse[:, there] = values[:, here]
        for channel in range(len(values)):
            residual = right[channel] - _apply(level, values[channel])
            state.right[index + 1][channel] = transfer.restriction @ residual + np.where(
                transfer.covered, _apply(coarse_level, coarse[channel]), 0
            )
        before = coarse[:, :n].copy()
        self._cycle(state, index + 1)
        for channel in range(len(values)):
            values[channel, :count] += transfer.prolongation @ (
                coarse[channel, :n] - before[channel]
            )
            values[channel, count:] = transfer.fringe @ coarse[channel]
        _relax(level, values, right, 2)

    def _fill(self, state: "_State") -> NDArray[np.float32]:
        dense = None
        for level, values in zip(reversed(self.levels), reversed(state.values), strict=True):
            shape = (len(values), level.ids.shape[0] - 4, level.ids.shape[1] - 4)
            dense = np.zeros(shape, np.float32) if dense is None else _double(dense, shape)
            rows, columns = level.carried
            dense[:, rows, columns] = values[:, : len(rows)]
        return dense


class _State:
    def __init__(self, levels: list[Level], around, area) -> None:
        channels = len(around)
        self.values = [np.zeros((channels, len(l.carried[0]) + len(l.fringe[0]))) for l in levels]
        self.right = [np.zeros((channels, len(l.carried[0]))) for l in levels]
        rows, columns = levels[0].carried
        height, width = area.shape
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            r, c = rows + down, columns + right
            inside = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
            edge = inside[~area[r[inside], c[inside]]]
            self.right[0][:, edge] += around[:, r[edge], c[edge]]


def _apply(level: Level, values: Values) -> Values:
    count = len(level.carried[0])
    return level.operator @ values[:count] + level.inflow @ values[count:]


def _relax(level: Level, values: Values, right: Values, sweeps: int) -> None:
    count = len(level.carried[0])
    for channel in range(len(values)):
        b = right[channel] - level.inflow @ values[channel, count:]
        x = np.ascontiguousarray(values[channel, :count])
        gauss_seidel(level.operator, x, b, iterations=sweeps, sweep="forward")
        values[channel, :count] = x


def _double(coarse, shape):
    half = np.empty((shape[0], shape[1], coarse.shape[2]), np.float32)
    _stretch(coarse.transpose(1, 0, 2), half.transpose(1, 0, 2))
    full = np.empty(shape, np.float32)
    _stretch(half.transpose(2, 0, 1), full.transpose(2, 0, 1))
    return full


def _stretch(coarse, fine):
    fine[::2] = coarse
    fine[1::2] = 0
    n = len(fine[1::2])
    inner = (9 * (coarse[1:-2] + coarse[2:-1]) - coarse[:-3] - coarse[3:]) / 16
    fine[3 : 3 + 2 * len(inner) : 2] = inner
