"""Soft areas around an edit."""

import numpy as np
import pytest
import torch
from tests.models.consingan_reference import reference_arrays

from intarsia_models.region_masks import dilate, soft_edit_mask


@pytest.mark.parametrize(("task", "radius"), [("harmonization", 7), ("editing", 20)])
@pytest.mark.parametrize(("case", "size"), [("same_size", None), ("resized", (61, 75))])
def test_equals_the_public_code(
    task: str, radius: int, case: str, size: tuple[int, int] | None
) -> None:
    arrays = reference_arrays()
    edit_mask = torch.from_numpy(arrays["mask.u8"][None, None, :, :, 0]).float() / 255
    soft = soft_edit_mask(edit_mask, radius=radius, size=size)
    assert np.abs(soft[0].numpy() - arrays[f"mask.{task}.{case}"]).max() < 1e-3


def test_dilation_of_a_point_is_a_disk() -> None:
    inside = np.zeros((21, 21), dtype=bool)
    inside[10, 10] = True
    rows, columns = np.mgrid[-10:11, -10:11]
    assert np.array_equal(dilate(inside, 7), rows**2 + columns**2 <= 49)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_or_full_area_stays_so(value: float) -> None:
    soft = soft_edit_mask(torch.full((1, 1, 30, 40), value), radius=7)
    assert torch.equal(soft, torch.full((1, 1, 30, 40), value))


def test_range_is_zero_to_one_and_the_area_is_kept() -> None:
    edit_mask = torch.zeros(2, 1, 60, 60)
    edit_mask[:, :, 20:35, 10:40] = 1
    soft = soft_edit_mask(edit_mask, radius=5, sigma=2)
    assert soft.shape == edit_mask.shape
    assert float(soft.min()) == 0 and float(soft.max()) == 1
    assert float(soft[edit_mask > 0].min()) > 0.9


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\), got shape \(1, 3, 8, 8\)"):
        soft_edit_mask(torch.zeros(1, 3, 8, 8), radius=1)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        soft_edit_mask(torch.zeros(1, 1, 8, 8), radius=-1)
