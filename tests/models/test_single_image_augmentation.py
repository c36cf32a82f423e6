"""Random changes to training pictures."""

import colorsys
from collections.abc import Callable

import pytest
import torch

from intarsia_models.single_image import augmentation
from intarsia_models.single_image.augmentation import augment_colours_and_holes, shuffle_patches


def picture(height: int = 120, width: int = 160) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, height, width, generator=source)


def choices(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("change", [augment_colours_and_holes, shuffle_patches])
def test_changes_keep_shape_range_and_input(
    change: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    image01, original = picture(), picture()
    for seed in range(40):
        changed = change(image01, choices(seed))
        assert changed.shape == image01.shape
        assert changed.min() >= 0 and changed.max() <= 1
        assert torch.equal(changed, change(image01, choices(seed)))
    assert torch.equal(image01, original)


def test_harmonization_changes_as_often_as_published() -> None:
    """Holes nine times in ten, another change one time in four; so about 7.5 % stay unchanged."""
    image01, count = picture(40, 53), 1200
    whole, changed_outside = 0, 0
    for seed in range(count):
        moved = (augment_colours_and_holes(image01, choices(seed)) != image01).any(dim=1).float()
        whole += int(moved.sum() == 0)
        changed_outside += int(moved.mean() > 0.6)
    assert whole / count == pytest.approx(0.9 * 0 + 0.1 * 0.75, abs=0.025)
    assert changed_outside / count == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("height", "width"), [(120, 160), (40, 53)])
def test_holes_are_in_proportion_to_the_picture(height: int, width: int) -> None:
    image01 = torch.zeros(1, 3, height, width)
    for seed in range(200):
        cut = augmentation._cut_holes(image01.clone(), choices(seed))
        hole = (cut != 0).any(dim=1)[0]
        assert hole.any()
        assert hole.float().sum() <= (height / 2 + 1) ** 2


def test_hue_arithmetic_equals_the_standard_library() -> None:
    image01 = picture(5, 7)
    h, s, v = augmentation._rgb_to_hsv(image01)
    for row, column in ((0, 0), (2, 3), (4, 6)):
        pixel = image01[0, :, row, column].tolist()
        expected = colorsys.rgb_to_hsv(*pixel)
        found = tuple(float(part[0, row, column]) for part in (h, s, v))
        assert found == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(augmentation._hsv_to_rgb(h, s, v), image01, atol=1e-5, rtol=0)


def test_shuffled_patches_are_pixels_of_the_picture() -> None:
    image01 = torch.arange(3.0 * 30 * 40).view(1, 3, 30, 40) / 3600
    shuffled = shuffle_patches(image01, choices(1))
    assert not torch.equal(shuffled, image01)
    assert set(shuffled[0, 0].flatten().tolist()) <= set(image01[0, 0].flatten().tolist())
