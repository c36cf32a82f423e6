"""Where an element lies on the picture, and what it covers there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composition import Window, continued, edit_mask_of, place, window_of
from intarsia_daemon.pixels import Area, Picture


def _picture(height: int = 12, width: int = 16) -> Picture:
    array = np.full((height, width, 4), 200, np.uint8)
    array[..., 3] = 255
    return Picture(array, 5, 3, "Background")


def _element(size: int = 4, x: int = 7, y: int = 6, alpha: int = 255) -> Picture:
    array = np.zeros((size, size, 4), np.uint8)
    array[..., 0], array[..., 3] = 100, alpha
    return Picture(array, x, y, "Ball")


def test_the_edit_mask_is_the_elements_alpha_on_the_canvas() -> None:
    edit_mask = edit_mask_of(_picture(), _element(alpha=51), None)
    expected = np.zeros((12, 16), np.float32)
    expected[3:7, 2:6] = 0.2
    np.testing.assert_allclose(edit_mask, expected, atol=1e-7)


def test_an_area_limits_the_element_to_their_overlap() -> None:
    area = Area(np.full((2, 100), 255, np.uint8), 0, 7)
    edit_mask = edit_mask_of(_picture(), _element(), area)
    assert window_of(edit_mask) == Window(2, 4, 6, 6)


def test_a_part_beyond_the_canvas_is_left_out() -> None:
    edit_mask = edit_mask_of(_picture(), _element(x=3, y=1), None)
    assert window_of(edit_mask) == Window(0, 0, 2, 2)


def test_the_naive_paste_mixes_by_alpha() -> None:
    placed = place(_picture(), _element(alpha=255), None, margin=1)
    assert placed.window == Window(1, 2, 7, 8)
    assert (placed.picture.x, placed.picture.y) == (6, 5)
    inside, outside = placed.naive[0, :, 2, 2], placed.naive[0, :, 0, 0]
    torch.testing.assert_close(inside, torch.tensor([100 / 127.5 - 1, -1.0, -1.0]))
    torch.testing.assert_close(outside, torch.full((3,), 200 / 127.5 - 1))


def test_the_margin_stops_at_the_pictures_edge() -> None:
    placed = place(_picture(), _element(), None, margin=50)
    assert placed.window == Window(0, 0, 16, 12)


@pytest.mark.parametrize(
    ("element", "area", "message"),
    [
        (_element(alpha=0), None, "'Ball' has no visible pixels inside the picture"),
        (_element(x=500), None, "no visible pixels inside the picture"),
        (_element(), Area(np.zeros((12, 16), np.uint8), 5, 3), "do not overlap"),
    ],
)
def test_nothing_to_change_is_refused_with_what_to_do(
    element: Picture, area: Area | None, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        edit_mask_of(_picture(), element, area)
    assert caught.value.remedy


def test_an_elements_colours_go_on_beyond_its_edge_and_its_alpha_stays() -> None:
    array = np.zeros((1, 5, 4), np.uint8)
    array[0, 1], array[0, 3] = (10, 20, 30, 255), (70, 80, 90, 200)
    done = continued(Picture(array)).array
    assert done[0, :, 0].tolist() == [10, 10, done[0, 2, 0], 70, 70]
    assert done[0, 2, 0] in (10, 70)
    np.testing.assert_array_equal(done[..., 3], array[..., 3])


def test_an_opaque_element_keeps_its_surroundings() -> None:
    opaque = _picture()
    assert continued(opaque) is opaque
