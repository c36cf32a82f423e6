"""Grids of growing spacing that together carry a harmonic function on an irregular area.

Such a function loses its fine detail quickly with the distance from where it is prescribed. So
every pixel near the edge of the area carries it, every second one further in, every fourth one
further still: the number of unknowns follows the length of the edge, not the area. How exact that
is: see `BAND`.

Source: the idea of Agarwala 2007, "Efficient gradient-domain compositing using quadtrees".
Deviations, for exactness: points instead of quadtree cells, cubic instead of linear interpolation
between the levels, and the 9-point Laplacian away from the pixel grid.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ids = NDArray[np.int64]
Link = tuple[NDArray[np.integer], NDArray[np.float64]]

BAND = 14
"""Depth of the zone that a level carries, in steps of its own grid.

Detail of wave number k has faded to exp(-k d) at depth d, and both the cubic interpolation (error
about k^4) and the different Laplacians of two levels (about k^2 per step) act on what is left of
it there. Seen on random masks with random values of the full range around them: at most 0.02 grey
levels.
"""
SMALLEST = 1500
"""A level with no more points than this that carries all of its points needs no coarser one."""
MARGIN = 2

NEAR = ((-1, 0), (1, 0), (0, -1), (0, 1))
DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class Level:
    """The points of one grid, (row, column) being ``spacing`` times that in pixels.

    The N carried points are unknowns; the M fringe points, their neighbours further inside, are
    interpolated from the next coarser level.
    """

    spacing: int
    carried: tuple[Ids, Ids]
    """(N,) rows and columns, ordered by colour, so that Gauss-Seidel in this order is a
    multi-colour one."""
    fringe: tuple[Ids, Ids]
    """(M,) rows and columns."""
    depth: NDArray[np.float32]
    """(N,) pixels to the nearest one outside the area or the array, along rows, columns or
    diagonals."""
    ids: NDArray[np.int32]
    """(rows + 4, columns + 4), a margin of 2 around: 0 to N-1 carried, N to N+M-1 fringe, -1
    neither."""
    operator: sparse.csr_array
    """(N, N) negative Laplacian times the squared spacing, with 0 at neighbours outside the
    area."""
    inflow: sparse.csr_array
    """(N, M) the fringe's part in it."""

    @property
    def count(self) -> int:
        """Number of unknowns N."""
        return len(self.carried[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole grid."""
        return self.ids.shape[0] - 2 * MARGIN, self.ids.shape[1] - 2 * MARGIN

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The operator on (N + M,) values, giving (N,)."""
        return self.operator @ values[: self.count] + self.inflow @ values[self.count :]


def build_levels(area: NDArray[np.bool_]) -> list[Level]:
    """The grids for the True pixels of ``area`` (H, W), finest first; the last one carries all its
    points.

    At least one pixel must be True and one False. The border of the array is a free edge: no link
    leads out of it.
    """
    depth = _depth(area)
    levels = [_build_level(depth, 1)]
    while levels[-1].count > SMALLEST or len(levels[-1].fringe[0]):
        spacing = 2 * levels[-1].spacing
        if not area[::spacing, ::spacing].any():
            break
        levels.append(_build_level(depth, spacing))
    return levels


def assemble(links: list[Link], shape: tuple[int, int]) -> sparse.csr_array:
    """A matrix from links, each (column numbers or -1, values), both (rows,); equal columns
    are summed."""
    numbers = np.stack([columns.astype(np.int32) for columns, _ in links], axis=1)
    values = np.stack([value for _, value in links], axis=1)
    used = numbers >= 0
    starts = np.concatenate(([0], np.cumsum(used.sum(axis=1)))).astype(np.int32)
    matrix = sparse.csr_array((values[used], numbers[used], starts), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _depth(area: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Also to the array's border, because coarse grids do not fit it exactly and so must not
    come near it."""
    depth = cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_C, 3)
    for axis, size in enumerate(area.shape):
        from_border = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
        np.minimum(depth, np.expand_dims(from_border, 1 - axis), out=depth)
    return np.asarray(depth, np.float32)


def _build_level(depth: NDArray[np.float32], spacing: int) -> Level:
    steps = depth[::spacing, ::spacing]
    limit = BAND * spacing
    rows, columns = np.nonzero((steps > 0) & (steps <= limit))
    parity = (rows + columns) & 1 if spacing == 1 else 2 * (rows & 1) + (columns & 1)
    order = np.argsort(parity, kind="stable")
    carried = rows[order], columns[order]
    fringe = np.nonzero((steps > limit) & (steps <= limit + spacing))
    ids = np.full((steps.shape[0] + 2 * MARGIN, steps.shape[1] + 2 * MARGIN), -1, np.int32)
    ids[carried[0] + MARGIN, carried[1] + MARGIN] = np.arange(len(order))
    ids[fringe[0] + MARGIN, fringe[1] + MARGIN] = np.arange(len(order), len(order) + len(fringe[0]))
    operator, inflow = _laplacian(carried, len(fringe[0]), ids, spacing)
    return Level(spacing, carried, (fringe[0], fringe[1]), steps[carried], ids, operator, inflow)


def _laplacian(
    carried: tuple[Ids, Ids], n_fringe: int, ids: NDArray[np.int32], spacing: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """5 points on the pixels, where it is the definition; else 9 points, of sixth order on
    harmonic functions."""
    rows, columns = carried
    count, own = len(rows), np.arange(len(rows))
    weights = [(step, 1.0) for step in NEAR]
    if spacing > 1:
        weights = [(step, 4 / 6) for step in NEAR] + [(step, 1 / 6) for step in DIAGONAL]
    diagonal = np.zeros(count)
    links: list[Link] = [(own, diagonal)]
    for (down, right), weight in weights:
        r, c = rows + down + MARGIN, columns + right + MARGIN
        exists = (
            (r >= MARGIN)
            & (r < ids.shape[0] - MARGIN)
            & (c >= MARGIN)
            & (c < ids.shape[1] - MARGIN)
        )
        diagonal += weight * exists
        links.append((ids[r, c], np.full(count, -weight)))
    matrix = assemble(links, (count, count + n_fringe))
    return sparse.csr_array(matrix[:, :count]), sparse.csr_array(matrix[:, count:])
