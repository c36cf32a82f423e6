"""Hard, soft and plain blends, and what all blends refuse."""

import pytest
import torch
from torch import Tensor

from intarsia_models.blending import alpha_over, feather_blend, hard_blend, poisson_blend

BLENDS = [
    poisson_blend,
    hard_blend,
    alpha_over,
    lambda source, target, edit_mask: feather_blend(source, target, edit_mask, 4.0),
]


def white_on_black(size: int = 41) -> tuple[Tensor, Tensor, Tensor]:
    """A white source, a black target, and a disk of radius 15 in the middle."""
    y, x = torch.meshgrid(
        torch.arange(size) - size // 2, torch.arange(size) - size // 2, indexing="ij"
    )
    disk = (x**2 + y**2 <= 15**2).float()[None, None]
    return torch.ones(1, 3, size, size), -torch.ones(1, 3, size, size), disk


def test_hard_blend_takes_every_pixel_from_one_picture() -> None:
    source, target, disk = white_on_black()
    assert torch.equal(hard_blend(source, target, disk * 0.6), (2 * disk - 1).expand_as(target))


def test_alpha_over_mixes_in_proportion() -> None:
    source, target, disk = white_on_black()
    torch.testing.assert_close(
        alpha_over(source, target, disk * 0.25), (0.5 * disk - 1).expand_as(target)
    )


def test_feather_fades_inwards_over_the_radius_and_nowhere_else() -> None:
    source, target, _ = white_on_black()
    square = torch.zeros(1, 1, 41, 41)
    square[..., 5:36, 5:36] = 1
    row = feather_blend(source, target, square, 6.0)[0, 0, 20]
    assert torch.all(row[:5] == -1) and torch.all(row[36:] == -1)
    assert torch.all(row[11:30] == 1)  # radius + 1 pixels from the first one outside
    assert torch.all(row[4:12].diff() > 0)
    assert float(row[5]) == pytest.approx(2 * (3 / 49 - 2 / 343) - 1, abs=1e-6)  # t = 1/7


def test_feather_of_radius_zero_is_alpha_over() -> None:
    source, target, disk = white_on_black()
    assert torch.equal(feather_blend(source, target, disk, 0.0), alpha_over(source, target, disk))


def test_feather_keeps_the_picture_border_sharp() -> None:
    source, target, _ = white_on_black()
    half = torch.zeros(1, 1, 41, 41)
    half[..., :20] = 1
    result = feather_blend(source, target, half, 5.0)
    assert torch.all(result[..., :10] == 1)
    assert torch.equal(feather_blend(source, target, torch.ones_like(half), 5.0), source)


@pytest.mark.parametrize("radius", [-1.0, float("nan"), float("inf")])
def test_feather_refuses_a_radius_that_is_no_width(radius: float) -> None:
    with pytest.raises(
        ValueError, match=f"radius must be a number of pixels, 0 or more, got {radius}"
    ):
        feather_blend(*white_on_black(), radius)


@pytest.mark.parametrize("blend", BLENDS)
def test_every_blend_names_what_does_not_fit(blend) -> None:  # type: ignore[no-untyped-def]
    source, target, disk = white_on_black()
    with pytest.raises(
        ValueError, match=r"source must be \(B, 3, H, W\), got shape \(1, 4, 41, 41\)"
    ):
        blend(torch.zeros(1, 4, 41, 41), target, disk)
    with pytest.raises(ValueError, match=r"same shape, got \(1, 3, 40, 41\) and \(1, 3, 41, 41\)"):
        blend(source[:, :, 1:], target, disk)
    with pytest.raises(
        ValueError, match=r"edit_mask must have shape \(1, 1, 41, 41\), got \(1, 3, 41, 41\)"
    ):
        blend(source, target, disk.expand(1, 3, 41, 41))
    with pytest.raises(
        ValueError, match=r"target must hold floating-point numbers, got torch.uint8"
    ):
        blend(source, target.to(torch.uint8), disk)
    with pytest.raises(
        ValueError, match=r"edit_mask must lie in \[0, 1\], got values from 0 to 255"
    ):
        blend(source, target, disk * 255)
    target[0, 1, 2, 3] = float("nan")
    with pytest.raises(
        ValueError, match=r"target must hold finite numbers; 1 are not, .* nan at \(0, 1, 2, 3\)"
    ):
        blend(source, target, disk)
