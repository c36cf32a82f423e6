"""Transplant and moved pieces, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import box_area, direct_context, painting, run_directly, shown
from small_generators import small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.moved_pieces import find_piece
from intarsia_daemon.pixels import Picture
from intarsia_models.generators.transplants import Transplant

LEVEL = 1.01 / 255
ALL = {"layout": 1.0, "shapes": 1.0, "texture": 1.0, "softness": 0.0}


@pytest.fixture(name="made", scope="module")
def _made(home: Path) -> list[Picture]:
    """Three apples that the model made, at the same place."""
    result = run_directly(direct_context(home), "generate", count=3, class_name="apple")
    names = ("Base", "One", "Two")
    return [Picture(x.array, 5, 9, n) for x, n in zip(result.layers, names, strict=True)]


def _latents() -> torch.Tensor:
    return small_generator().sample_z(16, 0)[:3]


def _unit(picture: torch.Tensor) -> np.ndarray:
    return ((picture[0].permute(1, 2, 0) + 1) / 2).numpy()


def _piece(picture: Picture, box: tuple[int, int, int, int], dx: int, dy: int) -> Picture:
    """A round copy of a part, moved; as an editor makes it."""
    left, top, right, bottom = box
    array = picture.array[top:bottom, left:right].copy()
    rows, columns = np.mgrid[: bottom - top, : right - left]
    middle = ((bottom - top - 1) / 2, (right - left - 1) / 2)
    outside = np.hypot(rows - middle[0], columns - middle[1]) > max(middle) + 0.5
    array[outside] = 0
    return Picture(array, picture.x + left + dx, picture.y + top + dy, "Piece")


def test_everything_of_a_reference_is_the_reference(context: Context, made: list[Picture]) -> None:
    result = run_directly(
        context, "transplant", {"picture": made[0], "references": [made[1]]}, **ALL
    )
    np.testing.assert_allclose(
        shown(made[0], result.layers[0]), made[1].array[..., :3] / 255, atol=LEVEL
    )
    assert "project" not in context.seconds
    assert result.layers[0].name == "Base with One"
    assert result.model is not None and len(result.model["latents"]) == 2


def test_an_area_takes_the_features_of_its_layers(context: Context, made: list[Picture]) -> None:
    area = box_area(made[0], 0, 8, 16, 24)
    result = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]], "area": area},
        softness=0.0,
        layer_names="block2=0.5, block3=0",
        shapes=0.0,
    )
    generator, z, y = small_generator(), _latents(), torch.tensor([2])
    weight = torch.zeros(1, 1, 32, 32)
    weight[..., 8:24, :16] = 1
    graft = Transplant(weight, z=z[1:2], y=y, strengths={"l1": 1.0, "block2": 0.5})
    expected = generator.synthesize(z[:1], y, transplants=(graft,))
    after = shown(made[0], result.layers[0])
    np.testing.assert_allclose(after[8:24, :16], _unit(expected)[8:24, :16], atol=LEVEL)
    np.testing.assert_array_equal(after[:, 16:], made[0].array[:, 16:, :3] / 255)


def test_each_reference_has_its_area_by_name_or_order(
    context: Context, made: list[Picture]
) -> None:
    left, right = box_area(made[0], 0, 0, 8, 32, "Two"), box_area(made[0], 24, 0, 32, 32)
    result = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": made[1:], "areas": [left, right]},
        layout=0.0,
        shapes=0.0,
        layer_names="block4=1",
        softness=0.0,
    )
    after = shown(made[0], result.layers[0])
    np.testing.assert_allclose(after[:, 1:7], made[2].array[:, 1:7, :3] / 255, atol=0.25)
    nearer = [
        np.abs(after[:, part] - item.array[:, part, :3] / 255).mean()
        for part, item in (
            (slice(0, 7), made[2]),
            (slice(0, 7), made[1]),
            (slice(25, 32), made[1]),
            (slice(25, 32), made[2]),
        )
    ]
    assert nearer[0] < nearer[1] and nearer[2] < nearer[3]


def test_a_moved_piece_is_an_area_and_a_shift(context: Context, made: list[Picture]) -> None:
    piece = _piece(made[1], (2, 4, 14, 16), 8, 6)
    moved = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]], "piece": piece},
        softness=0.0,
    )
    area = box_area(made[0], 10, 10, 22, 22)
    area.array[:] = piece.array[..., 3]
    told = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]], "area": area},
        softness=0.0,
        shift_x=8.0,
        shift_y=6.0,
    )
    np.testing.assert_array_equal(moved.layers[0].array, told.layers[0].array)
    still = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]], "area": area},
        softness=0.0,
    )
    assert np.abs(moved.layers[0].array.astype(int) - still.layers[0].array).max() > 8


def test_a_piece_of_the_picture_itself_needs_no_reference(
    context: Context, made: list[Picture]
) -> None:
    piece = _piece(made[0], (0, 0, 16, 16), 16, 8)
    own = run_directly(context, "transplant", {"picture": made[0], "piece": piece}, softness=0.0)
    named = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[0]], "piece": piece},
        softness=0.0,
    )
    np.testing.assert_array_equal(own.layers[0].array, named.layers[0].array)


def test_relabelling_goes_along_in_one_pass(context: Context, made: list[Picture]) -> None:
    result = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]]},
        class_name="lime",
        softness=0.0,
        layer_names="l1=1, block2=0, block3=0, block4=0",
    )
    generator, z = small_generator(), _latents()
    expected = generator.synthesize(z[1:2], torch.tensor([1]))  # l1 is all that the latent makes
    np.testing.assert_allclose(shown(made[0], result.layers[0]), _unit(expected), atol=LEVEL)


def test_frames_grow_the_transplant(context: Context, made: list[Picture]) -> None:
    result = run_directly(
        context, "transplant", {"picture": made[0], "references": [made[1]]}, frames=3, amount=1.0
    )
    assert [frame.amount for frame in result.frames] == [0.0, 0.5]
    before = made[0].array[..., :3] / 255
    np.testing.assert_array_equal(shown(made[0], result.frames[0]), before)


def test_photographs_are_searched_once_each(home: Path) -> None:
    pictures = [painting(40, 40, seed=21), painting(50, 44, seed=22)]
    first, second = direct_context(home), direct_context(home)
    given = {"picture": pictures[0], "references": [pictures[1]]}
    for context in (first, second):
        result = run_directly(context, "transplant", given, steps=2)
        assert 0 <= result.metrics["reference_fit"] <= 1
    assert "project" in first.seconds and "project" not in second.seconds


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_names": "block2"}, "strength of block2 must be a number"),
        ({"layer_names": "block2=3"}, "strength of block2 must be a number"),
        ({"layer_names": "top=1"}, "no layer 'top'"),
        ({"class_name": "pear"}, "has no class 'pear'"),
        ({"reference_class": "pear"}, "has no class 'pear'"),
    ],
)
def test_bad_values_are_refused(
    context: Context, made: list[Picture], settings, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        run_directly(
            context, "transplant", {"picture": made[0], "references": [made[1]]}, **settings
        )
    assert caught.value.remedy


def test_nothing_to_take_from_is_refused(context: Context, made: list[Picture]) -> None:
    with pytest.raises(InvalidRequest, match="nothing to transplant from") as caught:
        run_directly(context, "transplant", {"picture": made[0]})
    assert "reference layer" in caught.value.remedy


# --- where a piece came from ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_a_piece_is_found_wherever_it_was_moved(dtype: str) -> None:
    picture = painting(70, 90, x=-11, y=4, dtype=dtype)
    piece = _piece(picture, (33, 20, 60, 44), -200, 31)
    found = find_piece(piece, picture)
    assert (found.from_x, found.from_y) == (-11 + 33, 4 + 20)
    assert found.middle[0] - found.middle_before[0] == -200
    assert found.middle[1] - found.middle_before[1] == 31


def test_a_piece_with_transparency_around_it_is_trimmed() -> None:
    picture = painting(40, 40)
    canvas = np.zeros((40, 40, 4), np.uint8)
    canvas[20:30, 22:36] = picture.array[4:14, 6:20]
    found = find_piece(Picture(canvas, name="Layer"), picture)
    assert (found.from_x, found.from_y, found.piece.x, found.piece.y) == (6, 4, 22, 20)


def test_of_equal_places_the_nearest_counts() -> None:
    tile = painting(10, 10).array
    picture = Picture(np.tile(tile, (4, 4, 1)))
    found = find_piece(Picture(tile.copy(), 21, 12), picture)
    assert (found.from_x, found.from_y) == (20, 10)


def test_what_is_no_unchanged_part_is_refused() -> None:
    picture = painting(60, 60)
    other = painting(20, 20, seed=77)
    with pytest.raises(InvalidRequest, match="no unchanged part") as caught:
        find_piece(other, picture)
    assert "do not scale" in caught.value.remedy
    with pytest.raises(InvalidRequest, match="larger than it"):
        find_piece(painting(80, 20), picture)
    with pytest.raises(InvalidRequest, match="no visible pixels"):
        find_piece(Picture(np.zeros((5, 5, 4), np.uint8), name="Empty"), picture)


def test_a_flat_picture_has_every_place(context: Context) -> None:
    flat = Picture(np.full((30, 30, 4), 255, np.uint8))
    found = find_piece(Picture(flat.array[:5, :5].copy(), 3, 4), flat)
    assert (found.from_x, found.from_y) == (3, 4)
