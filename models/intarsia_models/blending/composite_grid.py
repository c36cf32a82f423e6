"""Grids of several spacings that together carry a harmonic function on an irregular area.

A discrete harmonic function loses its fine detail quickly with the distance from where it is prescribed, so it is
carried by every pixel near the edge of the area only, by every second one further in, by every fourth one further
still, and so on: the number of unknowns follows the length of the edge, not the area.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ids = NDArray[np.int64]

BAND = 14
"""Width of the zone that a level carries, in steps of its own grid, counted from the edge of the area."""
SMALLEST = 1500
"""A complete level of at most this many points is solved directly."""

_NEAR = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_CUBIC = {0: ((0, 1.0),), 1: ((-1, -1 / 16), (0, 9 / 16), (1, 9 / 16), (2, -1 / 16))}


@dataclass(frozen=True)
class Level:
    """The points of one grid: ``carried`` ones are unknowns, ``fringe`` ones are interpolated from the next level."""

    spacing: int
    carried: tuple[Ids, Ids]
    """Rows and columns in steps of this grid, (N,) each; ordered by colour for Gauss-Seidel."""
    fringe: tuple[Ids, Ids]
    """(M,) each: the neighbours of carried points that lie further inside."""
    ids: NDArray[np.int32]
    """(h + 4, w + 4) with a margin of 2: number of the carried point or N + number of the fringe point; -1: none."""
    operator: sparse.csr_array
    """(N, N) negative Laplacian times the squared spacing; missing neighbours count as zero."""
    inflow: sparse.csr_array
    """(N, M): minus this times the fringe is its part in the operator."""


@dataclass(frozen=True)
class Transfer:
    """Between a level (N carried, M fringe) and the next coarser one (n carried, m fringe)."""

    prolongation: sparse.csr_array
    """(N, n), bilinear."""
    restriction: sparse.csr_array
    """(n, N), its transpose; empty rows where ``covered`` is false."""
    covered: NDArray[np.bool_]
    """(n,) coarse points whose equation comes from the finer level."""
    fringe: sparse.csr_array
    """(M, n + m), cubic."""
    injected: tuple[Ids, Ids]
    """Numbers of the coarse carried points that are carried points of the finer level, and their numbers there."""


def build_levels(area: NDArray[np.bool_]) -> list[Level]:
    """The grids for the True pixels of ``area`` (H, W), finest first; at least one pixel must be False.

    The last level carries all its points. The border of the array is a free edge (no link leads out of it).
    """
    distance = cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_C, 3)
    levels: list[Level] = []
    while True:
        spacing = 1 << len(levels)
        level = _build_level(distance, spacing)
        levels.append(level)
        complete = len(level.fringe[0]) == 0
        if complete and len(level.carried[0]) <= SMALLEST:
            return levels
        if not (distance[:: 2 * spacing, :: 2 * spacing] >= 2 * spacing).any():
            return levels


def build_transfer(fine: Level, coarse: Level) -> Transfer:
    """The interpolations between two neighbouring levels."""
    n_fine, n_coarse = len(fine.carried[0]), len(coarse.carried[0])
    rows, columns = coarse.carried
    at = fine.ids[2 * rows + 2, 2 * columns + 2].astype(np.int64)
    here = np.flatnonzero((at >= 0) & (at < n_fine))
    prolongation = _bilinear(fine, coarse)
    covered = _covered(fine, coarse)
    keep = sparse.diags_array(covered.astype(np.float64))
    return Transfer(
        prolongation=prolongation,
        restriction=sparse.csr_array(keep @ prolongation.T.tocsr()),
        covered=covered,
        fringe=_cubic(fine, coarse, n_coarse + len(coarse.fringe[0])),
        injected=(here, at[here]),
    )


def _build_level(distance: NDArray[np.float32], spacing: int) -> Level:
    steps = distance[::spacing, ::spacing]
    rows, columns = (axis.astype(np.int64) for axis in np.nonzero(steps >= spacing))
    depth = _depth(distance.shape, steps, rows, columns, spacing)
    inner = depth <= BAND * spacing
    outer = (depth > BAND * spacing) & (depth <= (BAND + 1) * spacing)
    colour = (rows & 1) ^ (columns & 1) if spacing == 1 else 2 * (rows & 1) + (columns & 1)
    order = np.flatnonzero(inner)
    order = order[np.argsort(colour[order], kind="stable")]
    carried, fringe = (rows[order], columns[order]), (rows[outer], columns[outer])
    ids = np.full((steps.shape[0] + 4, steps.shape[1] + 4), -1, np.int32)
    ids[carried[0] + 2, carried[1] + 2] = np.arange(len(order))
    ids[fringe[0] + 2, fringe[1] + 2] = len(order) + np.arange(len(fringe[0]))
    operator, inflow = _operator(carried, len(fringe[0]), ids, spacing)
    return Level(spacing, carried, fringe, ids, operator, inflow)


def _depth(
    shape: tuple[int, ...], steps: NDArray[np.float32], rows: Ids, columns: Ids, spacing: int
) -> NDArray[np.float32]:
    """Pixels to the edge of the area or the border of the array: coarse grids do not fit the border exactly."""
    y, x = rows * spacing, columns * spacing
    border = np.minimum(np.minimum(y + 1, shape[0] - y), np.minimum(x + 1, shape[1] - x))
    return np.minimum(steps[rows, columns], border.astype(np.float32))


def _operator(
    carried: tuple[Ids, Ids], n_fringe: int, ids: NDArray[np.int32], spacing: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """5 points on the pixels themselves, elsewhere the 9-point Laplacian (fourth order, sixth if harmonic)."""
    height, width = ids.shape[0] - 4, ids.shape[1] - 4
    links = [(step, 1.0) for step in _NEAR]
    if spacing > 1:
        links = [(step, 4 / 6) for step in _NEAR] + [(step, 1 / 6) for step in _DIAGONAL]
    rows, columns = carried
    count = len(rows)
    diagonal = np.zeros(count)
    entries = []
    for (down, right), weight in links:
        r, c = rows + down, columns + right
        diagonal += weight * ((r >= 0) & (r < height) & (c >= 0) & (c < width))
        entries.append((ids[r + 2, c + 2], -weight))
    own = np.arange(count)
    matrix = _assemble([*entries, (own, diagonal)], (count, count + n_fringe))
    return sparse.csr_array(matrix[:, :count]), sparse.csr_array(matrix[:, count:])


def _bilinear(fine: Level, coarse: Level) -> sparse.csr_array:
    """Coarse neighbours outside the picture give their weight to the one inside."""
    rows, columns = fine.carried
    height, width = coarse.ids.shape[0] - 4, coarse.ids.shape[1] - 4
    entries = []
    for down in (0, 1):
        for right in (0, 1):
            weight = np.where(rows & 1, 0.5, 1.0 - down) * np.where(columns & 1, 0.5, 1.0 - right)
            r = np.minimum((rows >> 1) + down, height - 1)
            c = np.minimum((columns >> 1) + right, width - 1)
            entries.append((np.where(weight > 0, coarse.ids[r + 2, c + 2], -1), weight))
    return _assemble(entries, (len(rows), len(coarse.carried[0])))


def _cubic(fine: Level, coarse: Level, width: int) -> sparse.csr_array:
    """At the fringe, whose 4 x 4 coarse neighbours all exist because the band is wide enough."""
    rows, columns = fine.fringe
    entries = []
    weights = np.array([[0, 1, 0, 0], [-1 / 16, 9 / 16, 9 / 16, -1 / 16]])
    for down in range(-1, 3):
        for right in range(-1, 3):
            weight = weights[rows & 1, down + 1] * weights[columns & 1, right + 1]
            at = coarse.ids[(rows >> 1) + down + 2, (columns >> 1) + right + 2]
            entries.append((np.where(weight != 0, at, -1), weight))
    return _assemble(entries, (len(rows), width))


def _covered(fine: Level, coarse: Level) -> NDArray[np.bool_]:
    """Whether a coarse point and its 8 fine neighbours (those inside the picture) are carried by the fine level."""
    rows, columns = 2 * coarse.carried[0], 2 * coarse.carried[1]
    count = len(fine.carried[0])
    height, width = fine.ids.shape[0] - 4, fine.ids.shape[1] - 4
    covered = np.ones(len(rows), bool)
    for down, right in ((0, 0), *_NEAR, *_DIAGONAL):
        r, c = rows + down, columns + right
        at = fine.ids[r + 2, c + 2]
        outside = (r < 0) | (r >= height) | (c < 0) | (c >= width)
        covered &= outside | ((at >= 0) & (at < count))
    return covered


def _assemble(
    entries: list[tuple[NDArray[np.integer], float | NDArray[np.float64]]], shape: tuple[int, int]
):
    """A matrix from (column number per row or -1, value per row) pairs, one pair for each link."""
    numbers = np.stack([np.asarray(column, np.int32) for column, _ in entries], axis=1)
    values = np.stack([np.broadcast_to(value, shape[0]) for _, value in entries], axis=1)
    used = numbers >= 0
    indptr = np.concatenate(([0], np.cumsum(used.sum(axis=1)))).astype(np.int32)
    matrix = sparse.csr_array((values[used], numbers[used], indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix


def points_per_level(levels: list[Level]) -> list[int]:
    """How many unknowns each level carries, finest first."""
    return [math.prod(level.carried[0].shape) for level in levels]
