"""From pictures of any size to a model's square, and changes back into the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.pixels import Area, Picture
from intarsia_daemon.real_pictures import (
    ChangedPicture,
    blending_of,
    coverage_on,
    crop_around,
    visible_part,
    whole_crop,
)

FULL = {"u8": 255, "u16": 65535, "f32": 1.0}
KINDS = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}


def _picture(height: int, width: int, dtype: str = "u8", *, x: int = 3, y: int = -2) -> Picture:
    unit = np.random.default_rng(4).random((height, width, 4))
    unit[..., 3] = 1
    values = unit * FULL[dtype]
    return Picture((values.round() if dtype != "f32" else values).astype(KINDS[dtype]), x, y, "P")


def _box(picture: Picture, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    coverage = np.zeros(picture.array.shape[:2], np.float32)
    coverage[top:bottom, left:right] = 1
    return coverage


def test_a_picture_of_the_models_size_arrives_as_it_is() -> None:
    picture = _picture(16, 16)
    crop = whole_crop(picture, 16)
    expected = picture.array[..., :3].astype(np.float32) / 127.5 - 1
    assert_close(crop.target()[0].permute(1, 2, 0).numpy(), expected, atol=1e-6, rtol=0)


def test_a_larger_picture_is_averaged_over_exact_areas() -> None:
    picture = _picture(24, 24)  # 1.5 pixels of the picture to one of the model
    unit = picture.array[..., :3] / 255
    first = unit[:2, :2] * np.array([1, 0.5])[:, None, None] * np.array([1, 0.5])[None, :, None]
    target = whole_crop(picture, 16).target()
    np.testing.assert_allclose(
        target[0, :, 0, 0].numpy(), first.sum((0, 1)) / 2.25 * 2 - 1, atol=1e-5
    )
    np.testing.assert_allclose(target.mean().item(), unit.mean() * 2 - 1, atol=1e-5)


def test_a_wide_picture_keeps_its_aspect_and_is_mirrored_beyond_its_edge() -> None:
    picture = _picture(8, 16)
    crop = whole_crop(picture, 16)
    assert (crop.left, crop.top, crop.side) == (0, -4, 16)
    target = crop.target()
    assert_close(target[:, :, 3], target[:, :, 4])
    assert_close(target[:, :, :4].flip(2), target[:, :, 4:8])


def test_transparent_places_take_the_mean_of_what_is_visible() -> None:
    array = np.zeros((16, 16, 4), np.uint8)
    array[:, :8] = (200, 100, 50, 255)
    target = whole_crop(Picture(array), 16).target()
    for channel, value in enumerate((200, 100, 50)):
        assert_close(target[0, channel], torch.full((16, 16), value / 127.5 - 1))


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((200, 300), (0, 0, 20, 20)),
        ((200, 300), (280, 190, 300, 200)),
        ((200, 300), (100, 90, 101, 91)),
        ((40, 300), (0, 0, 300, 40)),
        ((300, 40), (0, 10, 40, 290)),
        ((9, 9), (2, 2, 4, 4)),
    ],
)
def test_the_square_holds_the_area_and_lies_in_the_picture_as_far_as_it_can(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    picture = _picture(*size)
    crop = crop_around(picture, _box(picture, *box), 32, context=0.5, reach=6)
    window = crop.window
    assert window.left <= box[0] and window.top <= box[1]
    assert window.right >= box[2] and window.bottom >= box[3]
    height, width = size
    assert crop.side <= max(size)
    if crop.side <= width:
        assert crop.left >= 0 and crop.left + crop.side <= width
    if crop.side <= height:
        assert crop.top >= 0 and crop.top + crop.side <= height
    assert crop.target().shape == (1, 3, 32, 32)


def test_canvas_positions_become_the_models() -> None:
    picture = _picture(64, 64, x=10, y=20)
    crop = crop_around(picture, _box(picture, 24, 24, 40, 40), 32, context=0.5, reach=0)
    assert (crop.left, crop.top, crop.side) == (16, 16, 32)
    assert crop.position(10 + 16, 20 + 16) == (0, 0)
    assert crop.position(10 + 32, 20 + 40) == (16, 24)


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
@pytest.mark.parametrize("edge", ["soft", "poisson"])
def test_no_edit_gives_the_very_pixels_back(dtype: str, edge) -> None:
    picture = _picture(50, 70, dtype)
    coverage = _box(picture, 20, 10, 40, 30)
    crop = crop_around(picture, coverage, 16, context=0.5, reach=12)
    blending = blending_of(crop, coverage, softness=4, edge=edge, detail="difference")
    made = torch.rand(1, 3, 16, 16) * 2 - 1
    layer = ChangedPicture(crop, blending, made).layer("same", made)
    assert layer.array.dtype == picture.array.dtype
    left, top = layer.x - picture.x, layer.y - picture.y
    part = picture.array[top : top + layer.array.shape[0], left : left + layer.array.shape[1]]
    np.testing.assert_allclose(
        layer.array[..., :3].astype(float) / FULL[dtype],
        part[..., :3].astype(float) / FULL[dtype],
        atol=2e-7 if edge == "soft" else 2e-5 if dtype == "f32" else 0,
    )


def test_outside_the_reach_nothing_shows_and_colours_stay() -> None:
    picture = _picture(60, 60)
    coverage = _box(picture, 20, 20, 40, 40)
    crop = crop_around(picture, coverage, 16, context=1, reach=15)
    blending = blending_of(crop, coverage, softness=2, edge="soft", detail="difference")
    black, white = torch.full((1, 3, 16, 16), -1.0), torch.full((1, 3, 16, 16), 1.0)
    layer = ChangedPicture(crop, blending, black).layer("lighter", white)
    left, top = layer.x - picture.x, layer.y - picture.y
    assert left >= 20 - 6 and top >= 20 - 6 and layer.array.shape[0] <= 32
    part = picture.array[top : top + layer.array.shape[0], left : left + layer.array.shape[1]]
    hidden = layer.array[..., 3] == 0
    assert hidden.any()
    np.testing.assert_array_equal(layer.array[hidden][:, :3], part[hidden][:, :3])
    inside = layer.array[20 - top : 40 - top, 20 - left : 40 - left]
    assert (inside == 255).all()  # the difference is the whole range


def test_the_change_is_the_enlarged_difference_not_the_models_pixels() -> None:
    picture = _picture(64, 64)
    crop = whole_crop(picture, 16)
    blending = blending_of(crop, None, softness=0, edge="soft", detail="difference")
    before = torch.zeros(1, 3, 16, 16)
    layer = ChangedPicture(crop, blending, before).layer("a little lighter", before + 0.1)
    expected = (picture.array[..., :3] + 0.05 * 255).clip(0, 255)
    np.testing.assert_allclose(layer.array[..., :3], expected, atol=0.51)


def test_as_the_model_paints_shows_the_models_pixels() -> None:
    picture = _picture(64, 64)
    crop = whole_crop(picture, 16)
    blending = blending_of(crop, None, softness=0, edge="soft", detail="model")
    made = torch.full((1, 3, 16, 16), 0.5)
    layer = ChangedPicture(crop, blending, torch.zeros(1, 3, 16, 16)).layer("flat", made)
    assert np.unique(layer.array[..., :3]).tolist() == [191]


def test_what_a_model_paints_beyond_white_counts_as_white() -> None:
    picture = Picture(np.full((16, 16, 4), 255, np.uint8))
    crop = whole_crop(picture, 16)
    blending = blending_of(crop, None, softness=0, edge="soft", detail="difference")
    before, after = torch.full((1, 3, 16, 16), 3.0), torch.full((1, 3, 16, 16), 0.5)
    layer = ChangedPicture(crop, blending, before).layer("changed", after)
    assert np.unique(layer.array[..., :3]).tolist() == [191]


def test_the_pictures_alpha_stays() -> None:
    picture = _picture(32, 32)
    picture.array[:, 20:, 3] = 90
    picture.array[:3, :, 3] = 0
    crop = whole_crop(picture, 16)
    blending = blending_of(crop, None, softness=0, edge="soft", detail="difference")
    flat = torch.zeros(1, 3, 16, 16)
    layer = ChangedPicture(crop, blending, flat).layer("changed", flat + 0.3)
    np.testing.assert_array_equal(layer.array[..., 3], picture.array[..., 3])


def test_float_values_beyond_white_stay_beyond_it() -> None:
    picture = _picture(32, 32, "f32")
    picture.array[5, 5, 0] = 4.0
    crop = whole_crop(picture, 16)
    blending = blending_of(crop, None, softness=0, edge="soft", detail="difference")
    flat = torch.zeros(1, 3, 16, 16)
    layer = ChangedPicture(crop, blending, flat).layer("changed", flat)
    np.testing.assert_allclose(layer.array, picture.array, atol=2e-7)


def test_a_picture_smaller_than_the_model_takes_averages_of_it() -> None:
    picture = _picture(8, 8)
    crop = whole_crop(picture, 16)
    values = torch.rand(1, 3, 16, 16)
    small = crop.enlarged(values, crop.window)
    assert_close(small, torch.nn.functional.avg_pool2d(values, 2), atol=1e-6, rtol=0)


def test_enlarging_is_cubic_and_keeps_straight_lines() -> None:
    picture = _picture(64, 64)
    crop = whole_crop(picture, 16)
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    large = crop.enlarged(ramp, crop.window)[0, 0, 30]
    steps = large[10:-10].diff()
    assert_close(steps, torch.full_like(steps, 2 / 15 / 4), atol=1e-5, rtol=0)


def test_what_is_not_there_is_refused_with_what_to_do() -> None:
    picture = _picture(32, 32)
    empty = Area(np.zeros((4, 4), np.uint8), name="blue")
    elsewhere = Area(np.full((4, 4), 255, np.uint8), 500, 500)
    for area in (empty, elsewhere):
        with pytest.raises(InvalidRequest, match="covers nothing of the picture") as caught:
            coverage_on(picture, area)
        assert caught.value.remedy
    picture.array[..., 3] = 0
    with pytest.raises(InvalidRequest, match="no visible pixels"):
        visible_part(picture)
    hdr = _picture(32, 32, "f32")
    hdr.array[3, 3, 1] = np.nan
    with pytest.raises(InvalidRequest, match="not numbers"):
        whole_crop(hdr, 16).target()


def test_only_the_visible_part_counts() -> None:
    picture = _picture(32, 48)
    picture.array[:4, :, 3] = 0
    picture.array[:, 40:, 3] = 0
    seen = visible_part(picture)
    assert seen.array.shape == (28, 40, 4) and (seen.x, seen.y) == (3, 2)
