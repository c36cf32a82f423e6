"""How values and equations travel between two neighbouring levels of a composite grid."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from intarsia_models.blending.composite_grid import (
    BAND,
    DIAGONAL,
    MARGIN,
    NEAR,
    Ids,
    Level,
    Link,
    assemble,
)

IRREGULAR = BAND - 4
"""Down to this depth, in steps of the finer level, the coarse equations are made from the
finer ones."""


@dataclass(frozen=True)
class Transfer:
    """Between a level (N carried, M fringe points) and the next coarser one (n carried, m
    fringe points)."""

    prolongation: sparse.csr_array
    """(N, n) bilinear interpolation of corrections, zero outside the area."""
    restriction: sparse.csr_array
    """(n, N) its transpose; rows are empty where not ``covered``."""
    covered: NDArray[np.bool_]
    """(n,) whether the finer level decides about this coarse point; elsewhere its Laplacian is
    zero."""
    to_fringe: sparse.csr_array
    """(M, n + m) cubic interpolation."""
    shared: tuple[Ids, Ids]
    """Numbers, coarse and fine, of the points that both levels carry."""


def build_transfer(fine: Level, coarse: Level) -> tuple[Transfer, Level]:
    """The transfer, and the coarse level with its equations near the edge made from the fine ones
    (Galerkin).

    Without that the coarse grid would not see the true shape of the area, and thin walls, holes and
    the border of the picture would make the cycles slow or divergent.
    """
    prolongation = _bilinear(fine, coarse)
    transposed = sparse.csr_array(prolongation.T)
    covered = _covered(fine, coarse)
    rows, columns = (2 * axis + MARGIN for axis in coarse.carried)
    number = fine.ids[rows, columns].astype(np.int64)
    shared = np.flatnonzero((number >= 0) & (number < fine.count))
    transfer = Transfer(
        prolongation=prolongation,
        restriction=_only_rows(transposed, covered),
        covered=covered,
        to_fringe=_cubic(fine, coarse),
        shared=(shared, number[shared]),
    )
    irregular = coarse.depth <= IRREGULAR * fine.spacing
    made = _only_rows(transposed, irregular) @ fine.operator @ prolongation
    operator = sparse.csr_array(_only_rows(coarse.operator, ~irregular) + made)
    return transfer, replace(coarse, operator=operator)


def _only_rows(matrix: sparse.csr_array, kept: NDArray[np.bool_]) -> sparse.csr_array:
    """The matrix with its other rows empty."""
    lengths = np.diff(matrix.indptr)
    entries = np.repeat(kept, lengths)
    starts = np.concatenate(([0], np.cumsum(np.where(kept, lengths, 0)))).astype(
        matrix.indptr.dtype
    )
    return sparse.csr_array(
        (matrix.data[entries], matrix.indices[entries], starts), shape=matrix.shape
    )


def _bilinear(fine: Level, coarse: Level) -> sparse.csr_array:
    """A coarse neighbour beyond the array's border gives its weight to the one inside."""
    rows, columns = fine.carried
    height, width = coarse.shape
    links: list[Link] = []
    for down in (0, 1):
        for right in (0, 1):
            weight = np.where(rows & 1, 0.5, 1 - down) * np.where(columns & 1, 0.5, 1 - right)
            r = np.minimum((rows >> 1) + down, height - 1) + MARGIN
            c = np.minimum((columns >> 1) + right, width - 1) + MARGIN
            links.append((np.where(weight > 0, coarse.ids[r, c], -1), weight))
    return assemble(links, (fine.count, coarse.count))


def _cubic(fine: Level, coarse: Level) -> sparse.csr_array:
    """At the fringe all of the 4 x 4 coarse points exist: the band is wide enough."""
    rows, columns = fine.fringe
    weights = np.array([[0, 1, 0, 0], [-1 / 16, 9 / 16, 9 / 16, -1 / 16]])
    links: list[Link] = []
    for down in range(4):
        for right in range(4):
            weight = weights[rows & 1, down] * weights[columns & 1, right]
            number = coarse.ids[
                (rows >> 1) + down - 1 + MARGIN, (columns >> 1) + right - 1 + MARGIN
            ]
            links.append((np.where(weight != 0, number, -1), weight))
    return assemble(links, (len(rows), coarse.count + len(coarse.fringe[0])))


def _covered(fine: Level, coarse: Level) -> NDArray[np.bool_]:
    """Carried by the fine level, with none of the 8 fine neighbours in its fringe."""
    rows, columns = (2 * axis + MARGIN for axis in coarse.carried)
    number = fine.ids[rows, columns]
    covered = (number >= 0) & (number < fine.count)
    for down, right in (*NEAR, *DIAGONAL):
        covered &= fine.ids[rows + down, columns + right] < fine.count
    return covered
