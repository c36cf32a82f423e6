"""Rough pieces: what a model sees of them, and how they look pasted."""

from __future__ import annotations

import numpy as np
import pytest
from operation_runs import painting
from torch.nn.functional import interpolate

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.pixels import FULL, Dtype, Picture, dtype_name
from intarsia_daemon.real_pictures import Crop, whole_crop
from intarsia_daemon.rough_pieces import RoughPieces, gathered, pasted, small_piece
from intarsia_models.latent_composition.collages import paste

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def _flat(colour: str, height: int, width: int, x: int = 0, y: int = 0, alpha: int = 255):
    array = np.zeros((height, width, 4), np.uint8)
    array[...] = (*COLOURS[colour], alpha)
    return Picture(array, x, y, colour)


def _square(rough: RoughPieces, resolution: int) -> Crop:
    return whole_crop(rough.canvas, resolution)


def _by_padding(crop: Crop, piece: Picture) -> np.ndarray:
    """(4, R, R): the piece on its whole square, colours times alpha and alpha, averaged; only for
    sides that the resolution divides."""
    full = FULL[dtype_name(piece.array)]
    square = np.zeros((crop.side, crop.side, 4))
    height, width = piece.array.shape[:2]
    top = piece.y - crop.picture.y - crop.top
    left = piece.x - crop.picture.x - crop.left
    unit = np.asarray(piece.array, np.float64) / full
    unit[..., :3] *= unit[..., 3:]
    rows = slice(max(top, 0), min(top + height, crop.side))
    columns = slice(max(left, 0), min(left + width, crop.side))
    square[rows, columns] = unit[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    size, factor = crop.resolution, crop.side // crop.resolution
    return square.reshape(size, factor, size, factor, 4).mean((1, 3)).transpose(2, 0, 1)


def test_the_square_has_the_longer_side_of_all_pieces_and_is_unknown_beyond_them() -> None:
    rough = gathered([_flat("red", 20, 40, 5, 7), _flat("blue", 10, 10, 65, 17)])
    canvas = rough.canvas
    assert (canvas.x, canvas.y, canvas.array.shape) == (5, 7, (20, 70, 4))
    crop = _square(rough, 7)
    assert (crop.left, crop.top, crop.side) == (0, -25, 70)
    known = paste([small_piece(crop, piece) for piece in rough.pieces]).known[0, 0].numpy()
    expected = np.zeros((7, 7))
    expected[2, :4] = expected[4, :4] = 0.5  # rows 25 to 45 of 70
    expected[3, :4] = 1.0
    expected[3, 6], expected[4, 6] = 0.5, 0.5  # rows 35 to 45
    np.testing.assert_allclose(known, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_a_piece_is_averaged_with_its_alpha(dtype: Dtype) -> None:
    piece = painting(40, 24, x=-3, y=11, dtype=dtype)
    random = np.random.default_rng(4)
    piece.array[..., 3] = (random.random((40, 24)) * FULL[dtype]).astype(piece.array.dtype)
    crop = _square(gathered([piece]), 8)
    found = small_piece(crop, piece)
    expected = _by_padding(crop, piece)
    np.testing.assert_allclose(found.alpha[0, 0], expected[3], atol=1e-5)
    weighted = (found.colours[0] + 1) / 2 * found.alpha[0]
    np.testing.assert_allclose(weighted, expected[:3], atol=1e-5)


def test_a_piece_that_reaches_outside_the_square_is_seen_as_far_as_it_lies_inside() -> None:
    canvas = painting(32, 32)
    crop = Crop(canvas, 0, 0, 32, 8)
    piece = painting(30, 40, x=-10, y=20, seed=9)
    found, expected = small_piece(crop, piece), _by_padding(crop, piece)
    np.testing.assert_allclose(found.alpha[0, 0], expected[3], atol=1e-5)
    assert float(found.alpha[..., :5, :].max()) == 0 and float(found.alpha[..., 5:, :7].min()) == 1
    outside = small_piece(crop, painting(5, 5, x=40, y=40))
    assert not bool(outside.alpha.any()) and not bool(outside.colours.any())


def test_averages_are_exact_where_the_resolution_does_not_divide_the_side() -> None:
    piece = _flat("green", 50, 50)
    crop = _square(gathered([piece, _flat("red", 1, 1, 99, 99)]), 32)  # a side of 100
    alpha = small_piece(crop, piece).alpha[0, 0].numpy()
    assert alpha[:16, :16].min() > 0.999999 and alpha[16:].max() == 0
    assert float(alpha.mean()) == pytest.approx(0.25, abs=1e-6)
    odd = small_piece(_square(gathered([_flat("red", 100, 49)]), 32), _flat("red", 100, 49))
    assert float(odd.alpha.mean()) == pytest.approx(0.49, abs=1e-6)


def test_a_small_piece_is_enlarged_smoothly_and_one_of_the_same_size_is_as_it_is() -> None:
    piece = painting(16, 16)
    same = small_piece(_square(gathered([piece]), 16), piece)
    expected = piece.array[..., :3].transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(same.colours[0], expected, atol=1e-5)
    large = small_piece(_square(gathered([piece]), 64), piece)
    assert float(large.alpha.min()) == pytest.approx(1.0)
    back = interpolate(large.colours, (16, 16), mode="area")
    np.testing.assert_allclose(back[0], expected, atol=0.06)


def test_a_large_piece_is_averaged_in_bands_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piece = painting(90, 70)
    crop = _square(gathered([piece]), 12)
    whole = small_piece(crop, piece)
    monkeypatch.setattr("intarsia_daemon.rough_pieces.BAND", 17)
    banded = small_piece(crop, piece)
    np.testing.assert_allclose(whole.colours, banded.colours, atol=1e-5)
    np.testing.assert_allclose(whole.alpha, banded.alpha, atol=1e-6)


# --- pasted at their own size ---------------------------------------------------------------------


def test_later_pieces_cover_earlier_ones_and_soft_alpha_mixes() -> None:
    back, front = _flat("red", 4, 6), _flat("blue", 2, 2, 1, 1)
    half = _flat("green", 2, 2, 5, 3, alpha=102)  # 0.4; reaches beyond the red one
    own = pasted(gathered([back, front, half]))
    assert own.colours.shape == (5, 7, 3)
    np.testing.assert_array_equal(own.colours[0, 0], (1, 0, 0))
    np.testing.assert_array_equal(own.colours[1, 1], (0, 0, 1))
    np.testing.assert_allclose(own.colours[3, 5], (0.6, 0.4, 0), atol=1e-6)  # over red
    np.testing.assert_allclose(own.colours[4, 6], (0, 1, 0), atol=1e-6)  # over nothing
    assert own.alpha[3, 5] == 1 and own.alpha[4, 6] == pytest.approx(0.4)
    assert own.alpha[0, 6] == 0 and not own.colours[0, 6].any()
    assert own.owner[0, 0] == 0 and own.owner[1, 1] == 1
    assert own.owner[3, 5] == 0 and own.owner[0, 6] == -1  # 0.4 is not what is seen


@pytest.mark.parametrize("dtype", ["u8", "u16"])
def test_an_opaque_piece_keeps_its_samples(dtype: Dtype) -> None:
    piece = painting(20, 30, dtype=dtype)
    own = pasted(gathered([piece]))
    samples = (own.colours * FULL[dtype]).round().astype(piece.array.dtype)
    np.testing.assert_array_equal(samples, piece.array[..., :3])


def test_the_widest_sample_type_is_the_canvas_and_values_beyond_white_stay() -> None:
    bright = painting(8, 8, dtype="f32")
    bright.array[2, 2, :3] = 3.5
    rough = gathered([painting(8, 8, dtype="u8"), bright])
    assert rough.canvas.array.dtype == np.dtype("<f4")
    assert pasted(rough).colours[2, 2].tolist() == [3.5] * 3
    assert gathered([painting(dtype="u8"), painting(dtype="u16")]).canvas.array.dtype.itemsize == 2


# --- what is refused ------------------------------------------------------------------------------


def test_nothing_to_make_a_picture_of_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="has no pieces") as caught:
        gathered([])
    assert "group" in caught.value.remedy
    with pytest.raises(InvalidRequest, match="None of the 2 pieces has visible pixels"):
        gathered([_flat("red", 4, 4, alpha=0), _flat("blue", 4, 4, alpha=0)])
    with pytest.raises(InvalidRequest, match="The piece 'red' has no visible pixels"):
        gathered([_flat("red", 4, 4, alpha=0)])


def test_an_empty_piece_among_others_is_left_out_by_name_but_its_place_counts() -> None:
    empty = Picture(np.zeros((6, 6, 4), np.uint8), 20, 0, "Sketch")
    rough = gathered([_flat("red", 6, 6), empty])
    assert len(rough.pieces) == 1 and rough.canvas.array.shape == (6, 26, 4)
    assert rough.notes == ["Nothing is visible on these pieces, so they were left out: 'Sketch'."]
    assert gathered([_flat("red", 6, 6)]).notes == []


def test_pieces_that_lie_far_apart_are_refused_before_memory_is_made() -> None:
    with pytest.raises(InvalidRequest, match="200004 x 200004 pixels") as caught:
        gathered([_flat("red", 4, 4), _flat("blue", 4, 4, 200_000, 200_000)])
    assert caught.value.code == "TOO_LARGE"


def test_values_that_are_no_numbers_are_refused() -> None:
    broken = painting(8, 8, dtype="f32")
    broken.array[1, 1, 0] = np.nan
    rough = gathered([broken])
    with pytest.raises(InvalidRequest, match="not numbers"):
        small_piece(_square(rough, 8), broken)
    with pytest.raises(InvalidRequest, match="not numbers"):
        pasted(rough)
