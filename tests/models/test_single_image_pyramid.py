"""Sizes of a single-image model's stages."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.models.consingan_reference import reference_arrays, reference_json

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.single_image.pyramid import image_pyramid, pyramid_sizes


def test_sizes_equal_the_public_code_in_all_cases() -> None:
    cases = reference_json("pyramid_sizes.json")
    assert len(cases) == 72
    for case in cases:
        rule = "geometric" if case["mode"] == "harmonization" else "concurrent"
        sizes = pyramid_sizes(
            *case["image_hw"],
            stages=case["train_stages"],
            min_size=case["min_size"],
            max_size=case["max_size"],
            rule=rule,
        )
        if case["error"] is None:
            assert sizes == [tuple(size) for size in case["sizes_hw"]], case
        else:  # the public code divides by zero for two stages; here they are {min, full}
            assert case["train_stages"] == 2
            assert min(sizes[0]) in (case["min_size"], case["min_size"] + 1)
            assert max(sizes[1]) == case["max_size"]


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        (
            {"height": 188, "width": 250, "stages": 6, "min_size": 25, "max_size": 250},
            [(25, 34), (32, 42), (42, 56), (63, 84), (126, 167), (188, 250)],
        ),
        (
            {"height": 166, "width": 250, "stages": 8, "min_size": 25, "max_size": 250},
            [(26, 38), (29, 43), (34, 50), (40, 61), (51, 77), (72, 108), (127, 191), (166, 250)],
        ),
        (
            {
                "height": 188,
                "width": 250,
                "stages": 3,
                "min_size": 120,
                "max_size": 250,
                "rule": "geometric",
            },
            [(120, 160), (151, 200), (188, 250)],
        ),
    ],
)
def test_sizes_of_the_paper(arguments: dict[str, Any], sizes: list[tuple[int, int]]) -> None:
    assert pyramid_sizes(**arguments) == sizes


def test_a_small_picture_is_never_enlarged() -> None:
    assert pyramid_sizes(80, 100, stages=4, min_size=25, max_size=250)[-1] == (80, 100)


def test_a_picture_below_the_least_size_is_refused_with_that_size() -> None:
    with pytest.raises(UnsuitablePicture, match=r"short side is 20 px .* needs 25 px"):
        pyramid_sizes(20, 300, stages=3, min_size=25, max_size=300)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": 1}, "stages must be at least 2, got 1"),
        ({"height": 0}, "height must be at least 1, got 0"),
        ({"min_size": 300}, "min_size must not exceed max_size, got 300 and 250"),
        ({"rule": "linear"}, 'rule must be "concurrent" or "geometric", got \'linear\''),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "height": 188,
        "width": 250,
        "stages": 3,
        "min_size": 25,
        "max_size": 250,
    }
    with pytest.raises(ValueError, match=message):
        pyramid_sizes(**{**arguments, **change})


@pytest.mark.parametrize("task", ["generation", "harmonization"])
def test_pictures_of_the_pyramid_equal_the_public_code(task: str) -> None:
    arrays = reference_arrays()
    image = torch.from_numpy(arrays["train_image_u8"]).permute(2, 0, 1)[None].float() / 255
    pictures = image_pyramid(
        (image - 0.5) * 2,
        stages=3,
        min_size=15,
        max_size=64,
        rule="geometric" if task == "harmonization" else "concurrent",
    )
    for n, picture in enumerate(pictures):
        assert np.abs(picture.numpy() - arrays[f"{task}.real.{n}"]).max() < 1e-6
