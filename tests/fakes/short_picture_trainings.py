"""Trainings of one picture that take a second: what the qualities mean, in a few iterations.

An engine whose trainings are short imports `short_picture_trainings_engine`.
"""

from __future__ import annotations

from dataclasses import replace

from intarsia_daemon import learnt_pictures
from intarsia_models.single_image import settings as published

SIDES = {"draft": 32, "normal": 40, "fine": 48}
"""Longer side of the finest stage, by quality."""
STAGES = 3
ITERATIONS = 8
_quality_settings = published.quality_settings


def short_settings(
    task: str,
    quality: str = "normal",
    *,
    likeness: str = "balanced",
    stages: int | None = None,
    size: tuple[int, int] | None = None,
) -> published.TaskSettings:
    """As `intarsia_models.single_image.settings.quality_settings`, for tests."""
    short = replace(
        _quality_settings(task, quality, likeness=likeness),
        stages=stages or STAGES,
        iterations=ITERATIONS,
        coarsest_iterations=0,
        fine_tune_iterations=2,
        min_size=12,
        max_size=SIDES[quality],
        channels=8,
        critic_steps=1,
        generator_steps=1,
        learning_rate=3e-3,
        reconstruction_weight=50.0,
    )
    return short if size is None else short.fitted_to(*size)


def shorten() -> None:
    """Make every operation of this process learn that briefly."""
    learnt_pictures.quality_settings = short_settings
