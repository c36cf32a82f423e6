"""Winograd's transforms of one line, for 3 x 3 convolutions by tiles of 4 x 4 results.

A tile of 6 x 6 inputs d, a filter g of 3 x 3 and the 4 x 4 results y belong together by
``y = A' [(G g G') o (B' d B)] A`` (o: number by number), which takes 36 products instead of 144.
The gradient of the filter is a convolution by 4 x 4 with 3 x 3 results, of the same points and so
of the same B: ``dg = G' [(A e A') o (B' d B)] G`` for the gradient e at the results.

The functions take and give lists of whatever can be added, and multiplied by numbers.

Source: Lavin & Gray 2016, arXiv:1509.09308, section 4.3. Deviation: the points are 0, +-5/8, +-3/2
and infinity instead of 0, +-1, +-2 and infinity. At the same number of operations rounding does
half as much: 7e-7 of the results in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TILE = 4
"""Results of a tile along a line."""
REACH = 6
"""Inputs of a tile along a line, and products."""
SIDE = 3
"""Weights of a filter along a line."""
A, B = 0.625, 1.5
_AA, _BB = A * A, B * B
_AT_0 = 1 / (_AA * _BB)  # one by the product of a point's distances from the other points
_AT_A = 1 / (2 * _AA * (_AA - _BB))
_AT_B = 1 / (2 * _BB * (_BB - _AA))


def inputs(d: Sequence[Any]) -> list[Any]:
    """B' d: 6 inputs -> 6 factors."""
    even_a, odd_a = d[4] - d[2] * _BB, (d[3] - d[1] * _BB) * A
    even_b, odd_b = d[4] - d[2] * _AA, (d[3] - d[1] * _AA) * B
    return [
        d[0] * (_AA * _BB) - d[2] * (_AA + _BB) + d[4],
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        d[1] * (_AA * _BB) - d[3] * (_AA + _BB) + d[5],
    ]


def filters(g: Sequence[Any]) -> list[Any]:
    """G g: 3 weights -> 6 factors."""
    even_a, odd_a = g[0] * _AT_A + g[2] * (_AA * _AT_A), g[1] * (A * _AT_A)
    even_b, odd_b = g[0] * _AT_B + g[2] * (_BB * _AT_B), g[1] * (B * _AT_B)
    return [
        g[0] * _AT_0,
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        g[2],
    ]


def turned_filters(g: Sequence[Any]) -> list[Any]:
    """G applied to the weights from last to first."""
    return filters(g[::-1])


def results(m: Sequence[Any]) -> list[Any]:
    """A' m: 6 products -> 4 results."""
    even_a, odd_a = m[1] + m[2], (m[1] - m[2]) * A
    even_b, odd_b = m[3] + m[4], (m[3] - m[4]) * B
    return [
        m[0] + even_a + even_b,
        odd_a + odd_b,
        even_a * _AA + even_b * _BB,
        odd_a * _AA + odd_b * _BB + m[5],
    ]


def gradients(e: Sequence[Any]) -> list[Any]:
    """A e: the gradient at 4 results -> 6 factors."""
    even_a, odd_a = e[0] + e[2] * _AA, (e[1] + e[3] * _AA) * A
    even_b, odd_b = e[0] + e[2] * _BB, (e[1] + e[3] * _BB) * B
    return [e[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, e[3]]


def filter_gradients(m: Sequence[Any]) -> list[Any]:
    """G' m: 6 sums of products -> the gradient of 3 weights."""
    even_a, even_b = (m[1] + m[2]) * _AT_A, (m[3] + m[4]) * _AT_B
    return [
        m[0] * _AT_0 + even_a + even_b,
        (m[1] - m[2]) * (A * _AT_A) + (m[3] - m[4]) * (B * _AT_B),
        even_a * _AA + even_b * _BB + m[5],
    ]
