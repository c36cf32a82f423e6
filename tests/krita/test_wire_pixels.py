"""Bytes of Krita and of the wire."""

from __future__ import annotations

import struct

from intarsia_krita.wire_pixels import swap_red_and_blue, united


def test_swapping_red_and_blue_twice_changes_nothing_and_once_swaps_samples() -> None:
    assert bytes(swap_red_and_blue(bytes([1, 2, 3, 4, 5, 6, 7, 8]), 1)) == bytes(
        [3, 2, 1, 4, 7, 6, 5, 8]
    )
    deep = struct.pack("<4H", 1, 2, 3, 4)
    assert struct.unpack("<4H", swap_red_and_blue(deep, 2)) == (3, 2, 1, 4)
    data = bytes(range(48))
    for size in (1, 2):
        assert bytes(swap_red_and_blue(swap_red_and_blue(data, size), size)) == data


def test_coverages_that_overlap_are_as_strong_as_the_strongest() -> None:
    one, other = ((1, 1, 2, 2), bytes([10, 200, 0, 40])), ((2, 0, 2, 2), bytes([5, 6, 90, 7]))
    bounds, data = united([one, other])
    assert bounds == (1, 0, 3, 3)
    assert list(data) == [0, 5, 6, 10, 200, 7, 0, 40, 0]
