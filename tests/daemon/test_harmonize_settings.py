"""What the artist's choices mean for a training."""

from __future__ import annotations

import pytest

from intarsia_daemon.operations.harmonize import wanted_settings


@pytest.mark.parametrize(
    ("quality", "stages", "size", "expected"),
    [
        ("draft", "auto", (3000, 4000), 3),
        ("normal", "auto", (3000, 4000), 3),
        ("fine", "auto", (3000, 4000), 4),
        ("fine", "auto", (240, 320), 3),
        ("fine", "auto", (240, 401), 4),
        ("draft", "4", (240, 320), 4),
    ],
)
def test_the_number_of_stages_goes_by_the_size_that_is_learnt(
    quality: str, stages: str, size: tuple[int, int], expected: int
) -> None:
    assert wanted_settings(quality, stages, *size).stages == expected


def test_a_small_picture_gets_a_smaller_coarsest_stage() -> None:
    assert wanted_settings("normal", "auto", 60, 80).min_size < 60
