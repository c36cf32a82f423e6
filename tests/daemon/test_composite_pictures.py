"""A model's picture of rough pieces, back at the pieces' own size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from operation_runs import box_area, painting
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composite_pictures import CompositePicture, Detail, Returning, detail_weight
from intarsia_daemon.pixels import FULL, Area, Layer, Picture, dtype_name
from intarsia_daemon.real_pictures import whole_crop
from intarsia_daemon.rough_pieces import gathered, pasted, small_piece
from intarsia_models.latent_composition.collages import Collage, paste

SIZE = 16
LEVEL = 1.01 / 255


def _shown(
    pieces: list[Picture],
    detail: Detail,
    *,
    made: Tensor | None = None,
    change: float = 0.0,
    background: Tensor | None = None,
    keep: Area | None = None,
    softness: float = 0.05,
    keeps: float = 0.05,
) -> tuple[Layer, Collage]:
    """The layer of a model that paints ``made``, else the collage with ``change`` added."""
    rough = gathered(pieces)
    crop = whole_crop(rough.canvas, SIZE)
    collage = paste([small_piece(crop, piece) for piece in rough.pieces])
    painted = collage.image + change if made is None else made
    shown = CompositePicture(rough, crop, collage, Returning(detail, keeps, softness), keep)
    return shown.layer("Composite", painted, background), collage


def _unit(layer: Layer | Picture) -> np.ndarray:
    return layer.array[..., :3].astype(np.float64) / FULL[dtype_name(layer.array)]


def _cut(picture: Picture, left: int, top: int, right: int, bottom: int, name: str = "") -> Picture:
    part = picture.array[top:bottom, left:right].copy()
    return Picture(part, picture.x + left, picture.y + top, name)


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
@pytest.mark.parametrize("detail", ["pieces", "background"])
def test_a_model_that_holds_the_collage_gives_the_pieces_back_with_all_their_detail(
    dtype: str, detail: Detail
) -> None:
    piece = painting(64, 48, x=9, y=-4, dtype=dtype)
    layer, _ = _shown([piece], detail)
    assert (layer.x, layer.y, layer.array.dtype) == (9, -4, piece.array.dtype)
    np.testing.assert_allclose(_unit(layer), _unit(piece), atol=LEVEL if dtype == "u8" else 3e-5)
    assert (layer.array[..., 3] == FULL[dtype_name(piece.array)]).all()


def test_what_the_model_changes_is_added_to_the_detail() -> None:
    piece = painting(64, 64)
    piece.array[..., :3] = piece.array[..., :3] // 2 + 32
    layer, _ = _shown([piece], "pieces", change=0.2)
    np.testing.assert_allclose(_unit(layer), _unit(piece) + 0.1, atol=LEVEL)


def test_as_the_model_paints_shows_nothing_of_the_pieces() -> None:
    made = torch.full((1, 3, SIZE, SIZE), 0.5)
    layer, _ = _shown([painting(64, 64)], "model", made=made)
    np.testing.assert_allclose(_unit(layer), 0.75, atol=LEVEL)


@pytest.mark.parametrize("keeps", [0.0, 0.05])
def test_holes_are_the_models_and_detail_fades_towards_them(keeps: float) -> None:
    left = _cut(painting(64, 64), 0, 0, 40, 64)
    left.array[::2, :, :3] //= 2  # stripes finer than the model's pixels
    corner = _cut(painting(64, 64), 60, 0, 64, 4)
    made = torch.zeros(1, 3, SIZE, SIZE)
    layer, _ = _shown([left, corner], "pieces", made=made, softness=8 / 64, keeps=keeps)
    shown = _unit(layer)
    np.testing.assert_allclose(shown[10:, 40:], 0.5, atol=LEVEL)
    assert (layer.array[..., 3] == 255).all()
    stripes = np.abs(np.diff(shown[10:], axis=0)).mean((0, 2))
    assert stripes[:30].mean() > 4 * stripes[37:40].mean() > 0


def test_what_is_small_stays_the_pieces_and_what_is_large_becomes_the_models() -> None:
    piece = painting(64, 64)
    _, collage = _shown([piece], "pieces")
    random = np.random.default_rng(2).normal(0, 0.3, (1, 3, SIZE, SIZE)).astype(np.float32)
    made = (0.5 * collage.image + 0.2 + torch.from_numpy(random)).clamp(-1, 1)
    errors = []
    for keeps in (0.0, 0.1, 0.5):
        layer, _ = _shown([piece], "pieces", made=made, keeps=keeps)
        moved = _unit(layer) - _unit(piece)
        errors.append((moved - moved.mean((0, 1))).std())
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    tinted = _unit(_shown([piece], "pieces", change=0.2, keeps=0.5)[0])
    np.testing.assert_allclose(tinted.mean(), _unit(piece).mean() + 0.1, atol=0.03)


def test_detail_counts_away_from_seams_and_holes_only() -> None:
    left, right = painting(20, 20), painting(20, 20, x=20)
    far = painting(10, 4, x=50)
    own = pasted(gathered([left, right, far]))
    weight = detail_weight(own, 5.0)
    assert weight[10, 19] == weight[10, 20] == 0  # the seam
    assert weight[5, 45] == 0  # a hole
    assert weight[2, 2] == 1 and 0 < weight[10, 17] < weight[10, 15]
    assert weight[10, 37] < 1  # beside the hole
    hard = detail_weight(own, 0.0)
    np.testing.assert_array_equal(hard, (own.owner >= 0).astype(np.float32))
    alone = detail_weight(pasted(gathered([left])), 5.0)
    assert (alone == 1).all()


@pytest.mark.parametrize("keeps", [0.0, 0.05])
def test_a_background_keeps_its_pixels_where_the_model_changes_nothing(keeps: float) -> None:
    photograph = painting(64, 64)
    front = painting(16, 16, x=8, y=24, seed=8)
    base = torch.zeros(1, 3, SIZE, SIZE)  # a model that does not hold the photograph at all
    made = base.clone()
    made[..., 6:10, 2:6] = 0.8
    pieces = [photograph, front]
    layer, _ = _shown(pieces, "background", made=made, background=base, keeps=keeps)
    shown, before = _unit(layer), _unit(photograph)
    np.testing.assert_allclose(shown[:, 46:], before[:, 46:], atol=LEVEL)
    assert np.abs(shown - before)[26:38, 10:22].mean() > 0.1
    plain, _ = _shown(pieces, "pieces", made=made, keeps=keeps)
    assert np.abs(_unit(plain)[:, 46:] - before[:, 46:]).mean() > 0.05


def test_a_correction_goes_on_into_holes() -> None:
    left = painting(64, 40)
    left.array[..., :3] = 200
    corner = _cut(painting(64, 64), 60, 0, 64, 4)
    dark = torch.full((1, 3, SIZE, SIZE), -0.2)
    layer, _ = _shown([left, corner], "background", made=dark, background=dark)
    np.testing.assert_allclose(_unit(layer)[20:, 41:50], 200 / 255, atol=0.02)


@pytest.mark.parametrize("detail", ["pieces", "background", "model"])
def test_what_is_kept_stays_to_the_sample(detail: Detail) -> None:
    piece = painting(64, 64, dtype="u16")
    keep = box_area(piece, 10, 10, 30, 20)
    made = torch.full((1, 3, SIZE, SIZE), -0.7)
    layer, _ = _shown([piece], detail, made=made, keep=keep)
    np.testing.assert_array_equal(layer.array[10:20, 10:30], piece.array[10:20, 10:30])
    assert np.abs(_unit(layer) - _unit(piece))[40:].mean() > 0.05


def test_nothing_can_be_kept_in_a_hole() -> None:
    piece = painting(20, 20)
    far = painting(20, 20, x=60)
    with pytest.raises(InvalidRequest, match="keep covers nothing of the pieces"):
        _shown([piece, far], "pieces", keep=box_area(piece, 30, 0, 40, 20))


def test_values_beyond_white_stay_in_pieces_of_floats() -> None:
    piece = painting(64, 64, dtype="f32")
    piece.array[5, 5, :3] = 4.0
    layer, _ = _shown([piece], "pieces")
    np.testing.assert_allclose(layer.array[5, 5, :3], 4.0, atol=1e-5)
    dark, _ = _shown([piece], "pieces", made=torch.full((1, 3, SIZE, SIZE), -1.0))
    assert dark.array[..., :3].min() >= 0


def test_a_generator_that_goes_beyond_its_range_is_cut_to_it() -> None:
    layer, _ = _shown([painting(32, 32)], "model", made=torch.full((1, 3, SIZE, SIZE), 7.0))
    assert (layer.array == 255).all()
