"""Bytes to tensors and tensors to layers: exact, without guessing, in canvas coordinates."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from intarsia_client.errors import InvalidRequest
from intarsia_daemon import pixels
from intarsia_daemon.messages import BufferFile
from intarsia_daemon.model_store import THUMBNAIL_LIMIT
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Picture,
    alpha_tensor,
    layer_from_coverage,
    layer_from_tensors,
    map_file,
    on_canvas,
    picture_tensor,
    shrink,
    thumbnail,
    write_file,
)

EVERY_U8 = np.arange(256, dtype=np.uint8).repeat(4).reshape(16, 16, 4)
EVERY_U16 = np.arange(65536, dtype=np.uint16).repeat(4).reshape(256, 256, 4)


def _through_tensors(picture: Picture) -> Layer:
    return layer_from_tensors("Same", picture_tensor(picture), alpha_tensor(picture), like=picture)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [EVERY_U8, EVERY_U16], ids=["u8", "u16"])
def test_every_integer_value_comes_back_exactly(array: np.ndarray) -> None:
    layer = _through_tensors(Picture(array))
    assert layer.array.dtype == array.dtype
    np.testing.assert_array_equal(layer.array, array)


def test_f32_comes_back_exactly_in_alpha_and_within_half_a_step_of_one_in_colour() -> None:
    array = np.random.default_rng(0).random((64, 64, 4), np.float32)
    array[0, 0], array[0, 1] = 0.0, 1.0
    layer = _through_tensors(Picture(array))
    np.testing.assert_array_equal(layer.array[..., 3], array[..., 3])
    np.testing.assert_array_equal(layer.array[0, :2], array[0, :2])
    np.testing.assert_allclose(layer.array, array, rtol=0, atol=2**-24)


@pytest.mark.parametrize(
    ("dtype", "full", "half"),
    [(np.uint8, 255, 51), (np.uint16, 65535, 13107), (np.float32, 1, 0.2)],
)
def test_the_range_follows_from_the_sample_type(dtype: type, full: float, half: float) -> None:
    array = np.array([[[0, half, full, half]]], dtype)
    torch.testing.assert_close(
        picture_tensor(Picture(array)), torch.tensor([-1.0, -0.6, 1.0]).reshape(1, 3, 1, 1)
    )
    assert float(alpha_tensor(Picture(array))) == pytest.approx(0.2)
    assert float(alpha_tensor(Area(array[..., 2]))) == 1.0


def test_nothing_guesses_a_range_from_values() -> None:
    dark = Picture(np.ones((2, 2, 4), np.uint16))  # would look like [0, 1] to a guesser
    torch.testing.assert_close(
        picture_tensor(dark), torch.full((1, 3, 2, 2), 2 / 65535 - 1), rtol=0, atol=1e-7
    )


def test_colour_under_alpha_zero_is_kept() -> None:
    array = np.array([[[10, 20, 30, 0]]], np.uint8)
    np.testing.assert_array_equal(_through_tensors(Picture(array)).array, array)


def test_channels_and_rows_keep_their_order() -> None:
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    rgb = picture_tensor(Picture(array))
    assert rgb.shape == (1, 3, 2, 3) and rgb.dtype == torch.float32
    assert float(rgb[0, 2, 1, 0]) == pytest.approx(array[1, 0, 2] / 127.5 - 1)


def test_values_outside_the_range_are_clamped_and_the_rest_rounded() -> None:
    rgb = torch.tensor([-1.5, 1.5, 0.0]).reshape(1, 3, 1, 1)
    layer = layer_from_tensors("L", rgb, None, like=Picture(EVERY_U8))
    np.testing.assert_array_equal(layer.array, [[[0, 255, 128, 255]]])


def test_hdr_values_of_a_float_picture_are_clamped() -> None:
    array = np.array([[[-0.5, 7.0, 0.5, 1.0]]], np.float32)
    assert picture_tensor(Picture(array)).flatten().tolist() == [-1.0, 1.0, 0.0]


def test_a_float_picture_with_nan_is_refused_with_its_name() -> None:
    array = np.full((1, 1, 4), np.nan, np.float32)
    with pytest.raises(InvalidRequest, match="'Sky' holds values that are not numbers"):
        picture_tensor(Picture(array, name="Sky"))


def test_a_result_with_nan_is_an_error() -> None:
    rgb = torch.full((1, 3, 2, 2), float("nan"))
    with pytest.raises(ValueError, match="not numbers"):
        layer_from_tensors("L", rgb, like=Picture(EVERY_U8))


@pytest.mark.parametrize("array", [EVERY_U8, EVERY_U8.astype(np.float32)])
def test_the_callers_pixels_are_never_changed(array: np.ndarray) -> None:
    array = array / 255 if array.dtype == np.float32 else array
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    before = array.copy()
    picture_tensor(Picture(array)).zero_()
    alpha_tensor(Picture(array)).zero_()
    np.testing.assert_array_equal(array, before)


def test_other_sample_types_are_refused() -> None:
    with pytest.raises(TypeError, match="u8, u16 or f32, got float64"):
        picture_tensor(Picture(np.zeros((1, 1, 4))))


@pytest.mark.parametrize(
    ("rgb", "alpha", "message"),
    [
        (torch.zeros(1, 1, 4, 4), None, r"rgb must be \(1, 3, 'H', 'W'\), got \(1, 1, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), None, "rgb must be"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 5), r"alpha must be \(1, 1, 4, 4\), got"),
    ],
)
def test_wrong_shapes_are_refused_with_both_shapes(
    rgb: torch.Tensor, alpha: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        layer_from_tensors("L", rgb, alpha, like=Picture(EVERY_U8))


def test_a_layer_lies_where_its_picture_is_unless_told_otherwise() -> None:
    like, rgb = Picture(EVERY_U8, -7, 40), torch.zeros(1, 3, 2, 2)
    placed, moved = (
        layer_from_tensors("A", rgb, like=like),
        layer_from_tensors("B", rgb, like=like, x=0, y=3),
    )
    assert (placed.x, placed.y, moved.x, moved.y) == (-7, 40, 0, 3)


def test_coverage_becomes_a_layer_of_one_channel() -> None:
    area = Area(EVERY_U16[..., 0], -3, 2)
    layer = layer_from_coverage("Area", alpha_tensor(area), like=area)
    np.testing.assert_array_equal(layer.array, area.array)
    assert (layer.x, layer.y) == (-3, 2)


# --- rectangles -----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.tuples(*[st.integers(-6, 6)] * 4), st.tuples(*[st.integers(1, 6)] * 4), st.booleans())
def test_on_canvas_agrees_with_looking_up_every_pixel(
    offsets: tuple[int, int, int, int], sizes: tuple[int, int, int, int], is_area: bool
) -> None:
    x, y, like_x, like_y = offsets
    height, width, like_height, like_width = sizes
    array = np.arange(1, height * width * 4 + 1, dtype=np.uint16).reshape(height, width, 4)
    like = Picture(np.zeros((like_height, like_width, 4), np.uint8), like_x, like_y)
    item: Area | Picture
    if is_area:
        item = Area(array[..., 0], x, y, "n")
        placed: Area | Picture = on_canvas(item, like)
    else:
        item = Picture(array, x, y, "n")
        placed = on_canvas(item, like)
    assert (placed.x, placed.y, placed.name) == (like_x, like_y, "n")
    assert type(placed) is type(item) and placed.array.dtype == np.uint16
    for row in range(like_height):
        for column in range(like_width):
            inside_y, inside_x = row + like_y - y, column + like_x - x
            inside = 0 <= inside_y < height and 0 <= inside_x < width
            expected = item.array[inside_y, inside_x] if inside else 0
            assert (placed.array[row, column] == expected).all()


def test_on_canvas_copies_nothing_where_the_rectangles_agree() -> None:
    picture = Picture(EVERY_U8, 3, 4)
    assert on_canvas(picture, Picture(EVERY_U8, 3, 4)) is picture


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [EVERY_U8, EVERY_U16, EVERY_U16[..., 0].astype(np.float32)])
def test_a_written_layer_is_mapped_again_byte_by_byte(tmp_path: Path, array: np.ndarray) -> None:
    buffer = write_file(Layer("Name", array[::2], -4, 9), tmp_path / "out-0.raw")
    assert buffer.nbytes == (tmp_path / "out-0.raw").stat().st_size
    back = map_file(buffer)
    np.testing.assert_array_equal(back.array, array[::2])
    assert (back.x, back.y, back.name) == (-4, 9, "Name")
    assert isinstance(back, Picture if array.ndim == 3 else Area)
    assert not back.array.flags.writeable, "inputs cannot be changed by accident"
    assert [path.name for path in tmp_path.iterdir()] == ["out-0.raw"]


@pytest.mark.parametrize("found", [0, 15, 17])
def test_a_file_of_another_size_is_refused(tmp_path: Path, found: int) -> None:
    (tmp_path / "in.raw").write_bytes(bytes(found))
    buffer = BufferFile(
        width=2,
        height=2,
        channels=4,
        dtype="u8",
        nbytes=16,
        path=str(tmp_path / "in.raw"),
        name="Sky",
    )
    with pytest.raises(InvalidRequest, match=f"'Sky' should have 16 bytes, {found} are there"):
        map_file(buffer)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    buffer = BufferFile(
        width=1,
        height=1,
        channels=1,
        dtype="u8",
        nbytes=1,
        path=str(tmp_path / "none"),
        input="area",
    )
    with pytest.raises(InvalidRequest, match="'area' should have 1 bytes, 0 are there"):
        map_file(buffer)


@pytest.mark.parametrize("shape", [(3, 3, 3), (3,), (0, 4, 4), (1, 2, 3, 4)])
def test_a_layer_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="A layer is"):
        write_file(Layer("L", np.zeros(shape, np.uint8)), tmp_path / "out.raw")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pixels.os, "replace", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_file(Layer("L", EVERY_U8), tmp_path / "out.raw")
    assert not list(tmp_path.iterdir())


# --- small copies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "small"), [((100, 400), (64, 256)), ((700, 30), (256, 11)), ((20, 10), (20, 10))]
)
def test_a_preview_keeps_the_aspect_and_never_grows(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    preview = shrink(Layer("L", np.full((*size, 4), 77, np.uint8)), 256)
    assert preview.array.shape == (*small, 4) and (preview.array == 77).all()


def test_a_preview_of_other_sample_types_is_u8() -> None:
    assert (shrink(Layer("L", np.full((9, 9), 0.2, np.float32)), 4).array == 51).all()
    assert shrink(Layer("L", np.full((9, 9, 4), 257 * 51, np.uint16)), 4).array.max() == 51


def test_transparent_pixels_do_not_bleed_into_a_preview() -> None:
    array = np.zeros((4, 4, 4), np.uint8)
    array[:, ::2] = (200, 100, 50, 255)
    preview = shrink(Layer("L", array), 2).array
    np.testing.assert_array_equal(preview[0, 0], (200, 100, 50, 128))


def test_a_thumbnail_is_a_small_png() -> None:
    array = np.random.default_rng(0).integers(0, 256, (200, 300, 4)).astype(np.uint8)
    data = thumbnail(Picture(array))
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG" and image.size == (96, 64) and len(data) < THUMBNAIL_LIMIT
