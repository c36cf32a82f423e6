"""Small loops over the pixels of many pictures, compiled by numba; channels last."""

from __future__ import annotations

import numpy as np

from intarsia_models.compiled import compiled


@compiled(fastmath={"contract"})
def fill_area(pixels, rows, columns, values, content, out):
    """An area of a template and, after it, of the content.

    Args:
        pixels: (3, h, w) uint8.
        rows: (H,) of the picture.
        columns: (W,) likewise.
        values: (256,) what the levels become.
        content: (H, W, 3), or (H, W, 0) without one.
        out: (H, W, 6), or (H, W, 3) without a content.
    """
    also = content.shape[2]
    for y in range(rows.shape[0]):
        row = rows[y]
        for x in range(columns.shape[0]):
            column = columns[x]
            for c in range(3):
                out[y, x, c] = values[pixels[c, row, column]]
            for c in range(also):
                out[y, x, 3 + c] = content[y, x, c]


@compiled(fastmath={"contract"})
def mean_and_squares(x, mean, squares):
    """Per channel: the mean, and the sum of squared deviations from it.

    Sums of a row are float32, of deviations from the first pixel; all others float64.

    Args:
        x: (H, W, C) float32.
        mean: (C,) float64.
        squares: (C,) float64.
    """
    height, width, channels = x.shape
    first = x[0, 0].copy()
    sums, powers = np.empty(channels, np.float32), np.empty(channels, np.float32)
    mean[:] = 0.0
    squares[:] = 0.0
    for y in range(height):
        sums[:] = np.float32(0.0)
        powers[:] = np.float32(0.0)
        for column in range(width):
            for c in range(channels):
                away = x[y, column, c] - first[c]
                sums[c] += away
                powers[c] += away * away
        for c in range(channels):
            mean[c] += sums[c]
            squares[c] += powers[c]
    count = height * width
    for c in range(channels):
        squares[c] = max(0.0, squares[c] - mean[c] * mean[c] / count)
        mean[c] = first[c] + mean[c] / count
