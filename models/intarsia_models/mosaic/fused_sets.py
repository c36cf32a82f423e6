"""A whole layer of attention over sets, pixel by pixel, in one pass on the CPU.

What is before it (a norm with given statistics, an activation), its layer normalisations, its
projections, the attention and the small network after it are computed for as many pixels as a
vector has lanes before the next ones are looked at, so that all but the numbers read and written
stays in the processor's own cache. Without gradients; compiled by numba when it is first needed.

Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1, in the blocks of `set_attention`.
"""

from __future__ import annotations

import numpy as np

from intarsia_models.compiled import compiled
from intarsia_models.mosaic.set_kernel_parts import (
    LANES,
    added_products,
    exponentials,
    layer_norm,
    positive_products,
    products,
    read_pixels,
    scores,
    weighted_sums,
    write_pixels,
)

EDITION = "c0f14f19"
"""Of `set_kernel_parts` and `convolutions.vectors`, whose changes the stored machine code would not
notice; a test says what to write."""
LINE = LANES * 4
"""Bytes of a vector."""


@compiled
def mixed_sets(
    x_at, x_steps, out_at, out_steps, width, scale, shift, leak, norms, weights, biases, sizes,
    heads, norm_first, start, stop,
):  # fmt: skip
    """Pixels ``start`` to ``stop``, counted row by row, of all elements.

    Args:
        x_at: Address of the first number, float32.
        x_steps: (3,) numbers from an element, row, pixel to the next.
        out_at: Where the first result goes.
        out_steps: As ``x_steps``.
        width: Pixels of a row.
        scale: (K, C), before the activation.
        shift: (K, C), likewise.
        leak: (1,) factor of what is not positive.
        norms: (4, C) gamma and beta of the two layer normalisations.
        weights: All weights one after the other: for every head (C, 3 d') of queries, keys and
            values and (d', C') of what they become, then (C, F') and (F, C'); a prime means zeros
            up to a multiple of four.
        biases: Likewise: for every head 3 d' and C' (those of the output with the first head only),
            then F' and C'.
        sizes: C, d, F.
        heads: How many.
        norm_first: See `set_attention.SetAttention`.
        start: First pixel.
        stop: After the last pixel.
    """
    count = scale.shape[0]
    channels, d, inner = sizes[0], sizes[1], sizes[2]
    fours = (count + 3) // 4 * 4
    wide, deep, broad = (channels + 3) // 4 * 4, (d + 3) // 4 * 4, (inner + 3) // 4 * 4
    x = np.zeros((fours, wide, LANES), np.float32)
    seen = np.zeros((fours, wide, LANES), np.float32)
    three = np.zeros((fours, 3 * deep, LANES), np.float32)
    mixed = np.zeros((4, 3 * deep, LANES), np.float32)
    rows = np.zeros((4, fours, LANES), np.float32)
    totals = np.zeros((4, LANES), np.float32)
    hidden = np.zeros((4, broad, LANES), np.float32)
    from_places, to_places = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    x_data, seen_data, three_data = x.ctypes.data, seen.ctypes.data, three.ctypes.data
    mixed_data, rows_data, totals_data = mixed.ctypes.data, rows.ctypes.data, totals.ctypes.data
    hidden_data, from_data, to_data = (
        hidden.ctypes.data,
        from_places.ctypes.data,
        to_places.ctypes.data,
    )
    w_at, b_at, n_at, leak_at = (
        weights.ctypes.data,
        biases.ctypes.data,
        norms.ctypes.data,
        leak.ctypes.data,
    )
    scale_at, shift_at = scale.ctypes.data, shift.ctypes.data
    number = wide * LINE
    w_head, b_head = 4 * (channels * 3 * deep + deep * wide), 4 * (3 * deep + wide)
    w_inner, b_inner = w_at + heads * w_head, b_at + heads * b_head
    for p in range(start, stop, LANES):
        for lane in range(LANES):
            pixel = min(p + lane, stop - 1)
            row, column = pixel // width, pixel % width
            from_places[lane] = 4 * (row * x_steps[1] + column * x_steps[2])
            to_places[lane] = 4 * (row * out_steps[1] + column * out_steps[2])
        for i in range(count):
            read_pixels(
                x_at + 4 * i * x_steps[0],
                from_data,
                x_data + i * number,
                channels,
                scale_at + 4 * i * channels,
                shift_at + 4 * i * channels,
                leak_at,
            )
            if norm_first:
                layer_norm(
                    x_data + i * number, seen_data + i * number, channels, n_at, n_at + 4 * channels
                )
        if not norm_first:
            seen[:] = x
        for h in range(heads):
            w, b = w_at + h * w_head, b_at + h * b_head
            for i in range(0, fours, 4):
                products(
                    w, b, seen_data + i * number, wide, channels,
                    three_data + i * 3 * deep * LINE, 3 * deep, 3 * deep,
                )  # fmt: skip
            for i in range(0, fours, 4):
                scores(
                    three_data + i * 3 * deep * LINE, three_data + deep * LINE, 3 * deep, d,
                    rows_data, fours,
                )  # fmt: skip
                exponentials(rows_data, fours, count, totals_data)
                weighted_sums(
                    rows_data, fours, count, three_data + 2 * deep * LINE, 3 * deep, deep,
                    totals_data, mixed_data,
                )  # fmt: skip
                added_products(
                    w + 4 * channels * 3 * deep, b + 4 * 3 * deep, mixed_data, 3 * deep, deep,
                    x_data + i * number, wide, wide,
                )  # fmt: skip
        for i in range(0, fours, 4):
            here, normed = x_data + i * number, seen_data + i * number
            for n in range(4):
                at = n * number
                if norm_first:
                    layer_norm(
                        here + at, normed + at, channels, n_at + 8 * channels, n_at + 12 * channels
                    )
                else:
                    layer_norm(here + at, here + at, channels, n_at, n_at + 4 * channels)
            given = normed if norm_first else here
            positive_products(w_inner, b_inner, given, wide, channels, hidden_data, broad, broad)
            added_products(
                w_inner + 4 * channels * broad, b_inner + 4 * broad, hidden_data, broad, inner,
                here, wide, wide,
            )  # fmt: skip
            if not norm_first:
                for n in range(4):
                    at = n * number
                    layer_norm(
                        here + at, here + at, channels, n_at + 8 * channels, n_at + 12 * channels
                    )
        for i in range(count):
            write_pixels(x_data + i * number, channels, out_at + 4 * i * out_steps[0], to_data)
