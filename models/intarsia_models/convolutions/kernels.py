"""Winograd convolutions of whole pictures: loops over the tiles, compiled by numba.

A block of tiles is transformed, multiplied and transformed back before the next one begins, so
that what lies between stays in the processor's own cache. Tiles over the border are cut out into
a patch with zeros around it. Pictures are (B, H, W, C), channels last and without gaps; tiles are
counted over all pictures. C and K (the filters) are multiples of `granularity`.
"""

from __future__ import annotations

import numba

from intarsia_models.compiled import compiled
from intarsia_models.convolutions.parts import (
    COLUMNS,
    ROWS,
    activated_results,
    added_product,
    filter_factors,
    filter_gradients,
    gradient_factors,
    input_factors,
    product,
    turned_filter_factors,
)
from intarsia_models.convolutions.vectors import REGISTER

EDITION = "36b0e0bf"
"""Checksum of the other modules that the machine code is made of: what numba keeps on disk is
outdated when this file changes, and not when one of those does. A test tells what to write."""
GAP = 16
"""Numbers between the factors of a block, or all would want the same line of a cache."""


def granularity(bytes_each: int) -> int:
    """What the numbers of channels and of filters must be multiples of."""
    return max(ROWS, COLUMNS * REGISTER // bytes_each)


def scratch_sizes(channels: int, kernels: int, block: int) -> tuple[int, int, int]:
    """How many numbers the kernels want to keep in the block's factors of the inputs, in those of
    the results, and in a patch."""
    rows = -(-block // ROWS) * ROWS
    return 36 * (rows * channels + GAP), 36 * (rows * kernels + GAP), 36 * max(channels, kernels)


@numba.njit(nogil=True, error_model="numpy")
def _cut(source, picture, top, left, size, patch):
    """The pixels of a tile; zeros outside the picture."""
    _, height, width, channels = source.shape
    for i in range(size):
        for j in range(size):
            to, y, x = (i * size + j) * channels, top + i, left + j
            inside = 0 <= y < height and 0 <= x < width
            for c in range(channels):
                patch[to + c] = source[picture, y, x, c] if inside else 0


@numba.njit(nogil=True, error_model="numpy")
def _paste(patch, out, picture, top, left):
    """The part of a tile of results that is in the picture."""
    _, height, width, channels = out.shape
    for i in range(min(4, height - top)):
        for j in range(min(4, width - left)):
            for c in range(channels):
                out[picture, top + i, left + j, c] = patch[(i * 4 + j) * channels + c]


@compiled
def convolve(x, factors, bias, signs, slope, own, out, v, m, patch, border, first, last, block):
    """Tiles ``first`` to ``last`` of the results, ``block`` at a time.

    ``x`` (B, H, W, C) with ``border`` (0 to 2) zeros thought around it, ``factors`` (36, C, K) of
    the filters, ``bias`` (K,) -> ``out`` (B, H + 2 border - 2, W + 2 border - 2, K). Results are
    multiplied by ``slope`` (a number of their type) where they are not positive; or if not ``own``
    where ``signs``, laid out as they are, is not. ``v``, ``m``, ``patch``: of `scratch_sizes`.
    """
    _, height, width, channels = x.shape
    _, high, wide, kernels = out.shape
    down, across = (high + 3) // 4, (wide + 3) // 4
    size = x.itemsize
    point, result, stripe = channels * size, kernels * size, COLUMNS * REGISTER  # bytes
    rows = -(-block // ROWS) * ROWS
    v_apart, m_apart = rows * channels + GAP, rows * kernels + GAP
    x_at, out_at, signs_at = x.ctypes.data, out.ctypes.data, signs.ctypes.data
    v_at, m_at, patch_at = v.ctypes.data, m.ctypes.data, patch.ctypes.data
    factors_at, bias_at = factors.ctypes.data, bias.ctypes.data
    for begin in range(first, last, block):
        count = min(block, last - begin)
        for n in range(count):
            tile = begin + n
            picture, i, j = tile // (down * across), tile // across % down, tile % across
            top, left = 4 * i - border, 4 * j - border
            if top >= 0 and left >= 0 and top + 6 <= height and left + 6 <= width:
                source = x_at + ((picture * height + top) * width + left) * point
                row = width * channels
            else:
                _cut(x, picture, top, left, 6, patch)
                source, row = patch_at, 6 * channels
            v_tile = v_at + n * point
            input_factors(slope, source, row, channels, v_tile, 6 * v_apart, v_apart, channels)
        for f in range(36):
            for k in range(0, result, stripe):
                b = factors_at + f * channels * result + k
                for r in range(0, count, ROWS):
                    a = v_at + f * v_apart * size + r * point
                    c = m_at + f * m_apart * size + r * result + k
                    product(slope, a, channels, 1, b, kernels, c, kernels, channels)
        for n in range(count):
            tile = begin + n
            picture, i, j = tile // (down * across), tile // across % down, tile % across
            top, left = 4 * i, 4 * j
            inside = top + 4 <= high and left + 4 <= wide
            if inside:
                way = ((picture * high + top) * wide + left) * result
                place, sign, row = out_at + way, signs_at + way, wide * kernels
            else:
                if not own:
                    _cut(signs, picture, top, left, 4, patch)
                place, sign, row = patch_at, patch_at, 4 * kernels
            m_tile = m_at + n * result
            activated_results(slope, m_tile, m_apart, bias_at, own, sign, place, row, kernels)
            if not inside:
                _paste(patch, out, picture, top, left)


@compiled
def correlate(x, gradient, unit, sums, v, e, patch, first, last, block):
    """Add what tiles ``first`` to ``last``, ``block`` at a time, have in the filters' gradient.

    ``x`` (B, H, W, C), ``gradient`` (B, H - 2, W - 2, K) at the results -> ``sums`` (36, K, C).
    ``unit``: any number of their type. ``v``, ``e``, ``patch``: of `scratch_sizes`.
    """
    _, height, width, channels = x.shape
    _, high, wide, kernels = gradient.shape
    down, across = (high + 3) // 4, (wide + 3) // 4
    size = x.itemsize
    point, result, stripe = channels * size, kernels * size, COLUMNS * REGISTER  # bytes
    rows = -(-block // ROWS) * ROWS
    v_apart, e_apart = rows * channels + GAP, rows * kernels + GAP
    x_at, gradient_at, patch_at = x.ctypes.data, gradient.ctypes.data, patch.ctypes.data
    v_at, e_at, sums_at = v.ctypes.data, e.ctypes.data, sums.ctypes.data
    for begin in range(first, last, block):
        count = min(block, last - begin)
        for n in range(count):
            tile = begin + n
            picture, i, j = tile // (down * across), tile // across % down, tile % across
            top, left = 4 * i, 4 * j
            inside = top + 4 <= high and left + 4 <= wide
            if inside:
                source = x_at + ((picture * height + top) * width + left) * point
                row = width * channels
            else:
                _cut(x, picture, top, left, 6, patch)
                source, row = patch_at, 6 * channels
            v_tile = v_at + n * point
            input_factors(unit, source, row, channels, v_tile, 6 * v_apart, v_apart, channels)
            if inside:
                source = gradient_at + ((picture * high + top) * wide + left) * result
                row = wide * kernels
            else:
                _cut(gradient, picture, top, left, 4, patch)
                source, row = patch_at, 4 * kernels
            e_tile = e_at + n * result
            gradient_factors(unit, source, row, kernels, e_tile, 6 * e_apart, e_apart, kernels)
        for f in range(36):
            for k in range(0, point, stripe):
                b = v_at + f * v_apart * size + k
                for r in range(0, kernels, ROWS):
                    a = e_at + (f * e_apart + r) * size
                    c = sums_at + (f * kernels + r) * point + k
                    added_product(unit, a, 1, kernels, b, channels, c, channels, count)


@compiled
def transform_filters(weight, unit, factors):
    """(3, 3, C, K) weights -> (36, C, K) factors for `convolve`."""
    source, place = weight.ctypes.data, factors.ctypes.data
    count = weight.size // 9
    filter_factors(unit, source, 3 * count, count, place, 6 * count, count, count)


@compiled
def transform_turned_filters(weight, unit, factors):
    """(K, 3, 3, C) weights -> (36, K, C) factors for `convolve` by the filters turned by half a
    turn, with the channels as results."""
    kernels, _, _, channels = weight.shape
    count, point = kernels * channels, channels * weight.itemsize
    for k in range(kernels):
        source, place = weight.ctypes.data + 9 * k * point, factors.ctypes.data + k * point
        turned_filter_factors(
            unit, source, 3 * channels, channels, place, 6 * count, count, channels
        )


@compiled
def transform_sums(sums, unit, gradient):
    """(36, K, C) of `correlate` -> (K, 3, 3, C) gradient of the weights."""
    kernels, _, _, channels = gradient.shape
    count, point = kernels * channels, channels * gradient.itemsize
    for k in range(kernels):
        source, place = sums.ctypes.data + k * point, gradient.ctypes.data + 9 * k * point
        filter_gradients(unit, source, 6 * count, count, place, 3 * channels, channels, channels)
