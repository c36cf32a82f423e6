"""The small picture that stands for a result."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import ResultLayer

from qt_binding import QtGui  # isort: skip (a skip where there is no Qt)
from intarsia_krita.faces import result_pixmap  # isort: skip

RED, GREEN = (255, 0, 0), (0, 255, 0)
CANVAS = (0x9A, 0x9A, 0x9A)


def plain(colour: tuple[int, int, int], *, x: int = 0, width: int = 20, **more: Any) -> ResultLayer:
    data = bytes((*colour, 255)) * (width * 20)
    return ResultLayer("Plain", width, 20, 4, data, x=x, **more)


def half(shown: slice, of: int, *, width: int = 20) -> ResultLayer:
    """A mask that shows some columns."""
    row = bytearray(width)
    row[shown] = b"\xff" * len(row[shown])
    return ResultLayer("Plain", width, 20, 1, bytes(row) * 20, mask_of=of)


def colour(picture: Any, x: int, y: int) -> tuple[int, ...]:
    found = QtGui.QColor(picture.toImage().pixel(x, y))
    return found.red(), found.green(), found.blue()


def test_a_group_is_shown_composed_by_its_masks() -> None:
    layers = (
        plain(RED, group="Mosaic"),
        half(slice(None), 0),
        plain(GREEN, group="Mosaic"),
        half(slice(0, 10), 2),
    )
    picture = result_pixmap(layers, 40)
    assert (picture.width(), picture.height()) == (40, 40)
    assert colour(picture, 5, 20) == GREEN and colour(picture, 35, 20) == RED


def test_layers_of_a_group_lie_at_their_places() -> None:
    layers = (plain(RED, group="Mosaic"), plain(GREEN, x=20, width=10, group="Mosaic"))
    picture = result_pixmap(layers, 60)
    assert (picture.width(), picture.height()) == (60, 40)
    assert colour(picture, 20, 10) == RED and colour(picture, 55, 10) == GREEN


def test_only_the_topmost_is_shown_where_nothing_is_grouped() -> None:
    picture = result_pixmap((plain(RED), plain(GREEN)), 40)
    assert colour(picture, 20, 20) == GREEN
    masked = result_pixmap((plain(RED), plain(GREEN), half(slice(0, 10), 1)), 40)
    assert colour(masked, 5, 20) == GREEN and colour(masked, 35, 20) == CANVAS


def test_sixteen_bits_are_shown_by_their_high_bytes() -> None:
    layer = ResultLayer("Deep", 2, 2, 4, b"\x34\xff\x34\x00\x34\x00\xff\xff" * 4, dtype="u16")
    assert colour(result_pixmap((layer,), 8), 4, 4) == RED
    assert result_pixmap((ResultLayer("", 1, 1, 4, bytes(16), dtype="f32"),), 8).isNull()
