"""MATLAB-style bicubic resizing."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.models.consingan_reference import reference_arrays

from intarsia_models.resampling import resize_bicubic, resize_tensor


@pytest.mark.parametrize(
    ("name", "height", "width", "scale"),
    [
        ("imresize.scale0.43", 10, 14, 0.43),
        ("imresize.scale1.7", 40, 53, 1.7),
        ("imresize.to_40x17", 40, 17, None),
        ("imresize.to_9x12", 9, 12, None),
    ],
)
def test_equals_the_public_code(name: str, height: int, width: int, scale: float | None) -> None:
    arrays = reference_arrays()
    resized = resize_bicubic(arrays["imresize.in"], height, width, scale=scale)
    assert np.abs(resized - arrays[name]).max() < 1e-9


@pytest.mark.parametrize(
    ("name", "size", "scale"),
    [
        ("imresize_torch.scale0.6", (12, 16), 0.6),
        ("imresize_torch.to_33x30", (33, 30), None),
    ],
)
def test_tensors_pass_through_8_bits_like_the_public_code(
    name: str, size: tuple[int, int], scale: float | None
) -> None:
    arrays = reference_arrays()
    resized = resize_tensor(torch.from_numpy(arrays["imresize_torch.in"]), *size, scale=scale)
    assert np.abs(resized.numpy() - arrays[name]).max() < 1e-6


def test_same_size_leaves_the_picture_unchanged() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (7, 9, 3))
    assert np.array_equal(resize_bicubic(image, 7, 9), image)


@pytest.mark.parametrize("size", [(5, 4), (40, 31)])
def test_a_plain_colour_stays_that_colour(size: tuple[int, int]) -> None:
    image = np.full((17, 23, 3), 42.0)
    assert np.allclose(resize_bicubic(image, *size), 42.0, atol=1e-10)


def test_without_the_8_bits_levels_are_kept() -> None:
    image = torch.full((1, 3, 4, 4), 0.1)
    exact = resize_tensor(image, 8, 8, through_8_bits=False)
    cut = resize_tensor(image, 8, 8)
    assert (exact - 0.1).abs().max() < 1e-6
    assert 0 < (0.1 - cut).max() < 2 / 255


@pytest.mark.parametrize("arguments", [{"height": 0}, {"width": -1}])
def test_sizes_must_be_positive(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        resize_bicubic(np.zeros((4, 4, 3)), **{"height": 2, "width": 2, **arguments})


def test_channels_are_required() -> None:
    with pytest.raises(ValueError, match=r"\(height, width, channels\), got shape \(4, 4\)"):
        resize_bicubic(np.zeros((4, 4)), 2, 2)
