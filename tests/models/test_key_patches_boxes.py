"""Where the parts of a picture are: rules, overlap, objectness."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.key_patches.boxes import (
    BoxRule,
    flipped,
    overlap,
    random_boxes,
    union_mask,
)
from intarsia_models.key_patches.objectness import find_key_patches, key_boxes


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _with_thing(height: int, width: int, box: tuple[int, int, int, int]) -> Tensor:
    """A plain ground with a chequered thing on it."""
    picture = torch.full((1, 3, height, width), 0.2)
    x, y, across, down = box
    cell = max(2, across // 6)
    rows, columns = torch.arange(down) // cell, torch.arange(across) // cell
    squares = ((rows[:, None] + columns) % 2).float() * 1.6 - 0.8
    picture[..., y : y + down, x : x + across] = squares
    return picture


def _covered(box: tuple[int, int, int, int], thing: tuple[int, int, int, int]) -> float:
    """Share of the thing that a box holds."""
    x = max(0, min(box[0] + box[2], thing[0] + thing[2]) - max(box[0], thing[0]))
    y = max(0, min(box[1] + box[3], thing[1] + thing[3]) - max(box[1], thing[1]))
    return x * y / (thing[2] * thing[3])


# --- rules


def test_sizes_keep_to_the_rule() -> None:
    for rule in (BoxRule(), BoxRule.for_area(0.04), BoxRule(0.2, 0.5, largest_area=0.2)):
        sizes = rule.sizes(200, 200)
        assert len(sizes) > 5 and len(set(sizes)) == len(sizes)
        for across, down in sizes:
            assert rule.least * 200 - 1 <= min(across, down)
            assert max(across, down) <= rule.most * 200 + 1
            assert max(across, down) / min(across, down) <= rule.aspect + 0.05
            assert across * down <= rule.largest_area * 200 * 200 * 1.02


def test_the_largest_box_has_sixteen_hundredths_of_the_picture() -> None:
    across, down = max(BoxRule().sizes(100, 100), key=lambda size: size[0] * size[1])
    assert across * down == 1600


def test_rules_that_no_box_fulfils_are_refused() -> None:
    with pytest.raises(ValueError, match="least <= most"):
        BoxRule(least=0.5, most=0.4)
    with pytest.raises(ValueError, match="largest_area must lie in"):
        BoxRule(largest_area=0.01)
    with pytest.raises(ValueError, match="aspect must be at least 1"):
        BoxRule(aspect=0.5)
    with pytest.raises(ValueError, match=r"fits into a picture of 2 x 200"):
        BoxRule().sizes(200, 2)


def test_overlap_is_intersection_over_union() -> None:
    boxes = torch.tensor([[0, 0, 4, 4], [10, 0, 2, 2], [1, 1, 2, 2]])
    found = overlap(torch.tensor([2, 0, 4, 4]), boxes)
    assert found.tolist() == pytest.approx([8 / 24, 0.0, 2 / 18])


def test_the_union_counts_what_several_boxes_cover_once() -> None:
    boxes = torch.tensor([[[0, 0, 3, 2], [2, 1, 2, 3]]])
    expected = torch.zeros(5, 5)
    expected[0:2, 0:3] = 1
    expected[1:4, 2:4] = 1
    assert torch.equal(union_mask(boxes, 5)[0, 0], expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_turn_with_their_pictures(axis: int) -> None:
    boxes = random_boxes(4, 3, 64, torch.Generator().manual_seed(0))
    turned = flipped(boxes, 64, axis)
    assert torch.equal(union_mask(turned, 64), union_mask(boxes, 64).flip(3 - axis))
    assert torch.equal(flipped(turned, 64, axis), boxes)


def test_random_boxes_reach_everywhere_and_stay_inside() -> None:
    boxes = random_boxes(500, 3, 64, torch.Generator().manual_seed(0))
    low, high = boxes[..., :2], boxes[..., :2] + boxes[..., 2:]
    assert int(low.min()) == 0 and int(high.max()) == 64
    assert float(low.float().mean()) == pytest.approx(float((64 - high).float().mean()), abs=1.5)
    again = random_boxes(500, 3, 64, torch.Generator().manual_seed(0))
    assert torch.equal(boxes, again)


# --- objectness


def test_the_best_box_holds_the_thing_in_the_picture() -> None:
    for thing in ((8, 12, 18, 18), (40, 36, 18, 18)):
        best = find_key_patches(_with_thing(64, 64, thing), 1)[0]
        assert _covered(best.box, thing) > 0.9


def test_parts_do_not_overlap_beyond_the_rule() -> None:
    rule = BoxRule()
    boxes = key_boxes(((_noise(6, 3, 64, 64) + 1) * 127).byte(), 4, rule=rule)
    for first in range(4):
        for second in range(first):
            found = overlap(boxes[:, first], boxes[:, second])
            assert float(found.max()) <= rule.overlap
    assert int(boxes.min()) >= 0 and int((boxes[..., :2] + boxes[..., 2:]).max()) <= 64


def test_better_parts_come_first() -> None:
    scores = [part.score for part in find_key_patches(_noise(1, 3, 64, 64), 5)]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5


def _score(picture: Tensor, box: tuple[int, int, int, int]) -> float:
    """The module's formula, pixel by pixel."""
    height, width = picture.shape[-2:]
    strength, across = torch.zeros(height, width), torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            right = picture[0, :, row, min(width - 1, column + 1)]
            dx = (right - picture[0, :, row, max(0, column - 1)]) / 2
            below = picture[0, :, min(height - 1, row + 1), column]
            dy = (below - picture[0, :, max(0, row - 1), column]) / 2
            x2, y2 = float(dx.square().sum()), float(dy.square().sum())
            strength[row, column] = math.sqrt(x2 + y2)
            across[row, column] = y2 / max(x2 + y2, 1e-12)  # runs from left to right
    strength = strength / (strength + strength.mean())
    x, y, wide, high = box
    band = max(1, min(wide, high) // 10)
    total = 0.0
    for row in range(y, y + high):
        for column in range(x, x + wide):
            edge, crosses = float(strength[row, column]), float(across[row, column])
            left, top = column - x, row - y
            inner_x = wide // 4 <= left < wide // 4 + wide // 2
            inner_y = high // 4 <= top < high // 4 + high // 2
            total += edge * (not (inner_x and inner_y))
            total -= edge * crosses * ((left < band) + (left >= wide - band))
            total -= edge * (1 - crosses) * ((top < band) + (top >= high - band))
    return total / (2 * (wide + high)) ** 1.5


def test_scores_are_those_of_the_formula() -> None:
    picture = _noise(1, 3, 40, 40, seed=3) + _with_thing(40, 40, (10, 12, 14, 12))
    picture = picture.clamp(-1, 1)
    for part in find_key_patches(picture, 2):
        assert part.score == pytest.approx(_score(picture, part.box), rel=1e-4)


def test_one_picture_and_many_give_the_same_boxes() -> None:
    levels = ((_noise(3, 3, 64, 64, seed=1) + 1) * 127.5).round().byte()
    many = key_boxes(levels, 3)
    for index in range(3):
        alone = find_key_patches(levels[index : index + 1].float() / 127.5 - 1, 3)
        assert [part.box for part in alone] == [tuple(box) for box in many[index].tolist()]


def test_large_pictures_of_any_shape_give_boxes_in_their_own_pixels() -> None:
    thing = (500, 100, 160, 160)
    best = find_key_patches(_with_thing(400, 800, thing), 1)[0]
    assert _covered(best.box, thing) > 0.9
    assert best.width * best.height <= 0.17 * 400 * 800
    assert best.x + best.width <= 800 and best.y + best.height <= 400


def test_parts_lie_where_the_picture_is_not_transparent() -> None:
    picture = _noise(1, 3, 64, 64)
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 32:] = 1
    for part in find_key_patches(picture, 3, alpha=alpha):
        assert part.x + part.width / 2 >= 32
    with pytest.raises(UnsuitablePicture, match="transparent wherever a part could be"):
        find_key_patches(picture, 3, alpha=torch.zeros(1, 1, 64, 64))


def test_the_best_boxes_come_again_where_no_more_fit_beside_each_other() -> None:
    rule = BoxRule(least=0.9, most=1.0, largest_area=1.0)
    boxes = key_boxes(((_noise(2, 3, 64, 64) + 1) * 127).byte(), 3, rule=rule)
    assert torch.equal(boxes[:, 1], boxes[:, 0]) and torch.equal(boxes[:, 2], boxes[:, 0])
    assert len(find_key_patches(_noise(1, 3, 64, 64), 3, rule=rule)) == 1


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match=r"picture must be \(1, 3, H, W\)"):
        find_key_patches(torch.zeros(3, 64, 64))
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        find_key_patches(torch.zeros(1, 3, 64, 64), 0)
    with pytest.raises(ValueError, match=r"alpha must be \(1, 1, 64, 64\)"):
        find_key_patches(torch.zeros(1, 3, 64, 64), alpha=torch.zeros(1, 1, 32, 32))
    with pytest.raises(UnsuitablePicture, match="Take a larger picture"):
        find_key_patches(torch.zeros(1, 3, 1, 400))


def test_a_plain_picture_still_has_parts() -> None:
    assert len(find_key_patches(torch.zeros(1, 3, 64, 64), 3)) == 3
