"""Expected times, and the qualities they belong to."""

from dataclasses import replace

import pytest

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.single_image.cost import expected_fine_tune_seconds, expected_seconds
from intarsia_models.single_image.settings import (
    harmonization_settings,
    quality_of,
    quality_settings,
    task_settings,
)

TASKS = ["generation", "retarget", "animation", "harmonization", "editing"]


def test_draft_costs_at_least_fifty_times_less_than_the_paper_on_a_cpu() -> None:
    draft, normal, fine = (
        expected_seconds(harmonization_settings(quality), 480, 640)
        for quality in ("draft", "normal", "fine")
    )
    assert 10 < draft < 120
    assert normal > 50 * draft
    assert fine > 3 * normal


def test_time_grows_with_iterations_and_falls_with_speed() -> None:
    settings = harmonization_settings("draft")
    seconds = expected_seconds(settings, 480, 640)
    assert expected_seconds(settings, 480, 640, speed=2.0) == pytest.approx(seconds / 2)
    double = replace(settings, iterations=2 * settings.iterations)
    assert expected_seconds(double, 480, 640) == pytest.approx(2 * seconds)
    assert expected_seconds(settings, 480, 640, "cuda:1") < seconds


def test_iterations_go_geometrically_from_the_coarsest_stage_to_the_finest() -> None:
    settings = task_settings("generation", stages=4, iterations=250)
    assert settings.stage_iterations() == [250] * 4
    uneven = replace(settings, coarsest_iterations=2000)
    assert uneven.stage_iterations() == [2000, 1000, 500, 250]
    assert replace(uneven, stages=2).stage_iterations() == [2000, 250]
    assert expected_seconds(settings, 480, 640) < expected_seconds(uneven, 480, 640)
    assert expected_seconds(uneven, 480, 640) < expected_seconds(
        replace(settings, iterations=2000), 480, 640
    )
    with pytest.raises(ValueError, match="coarsest_iterations must be at least 0, got -1"):
        replace(settings, coarsest_iterations=-1)


def test_fine_tuning_costs_less_than_training() -> None:
    settings = harmonization_settings("draft")
    sizes = [(40, 54), (70, 93), (120, 160)]
    tuning = expected_fine_tune_seconds(settings, sizes, settings.fine_tune_iterations)
    assert 0 < tuning < expected_seconds(settings, 480, 640)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_draft_of_minutes_and_normal_is_the_papers(task: str) -> None:
    draft, normal, fine = (
        expected_seconds(quality_settings(task, quality, size=(480, 640)), 480, 640)
        for quality in ("draft", "normal", "fine")
    )
    assert draft < 5 * 60
    assert normal > 10 * draft and fine > 2 * normal
    assert quality_settings(task) == task_settings(task)


def test_likeness_is_how_much_older_stages_learn() -> None:
    free, balanced, close = (
        quality_settings("generation", likeness=likeness)
        for likeness in ("free", "balanced", "close")
    )
    assert free.train_depth < balanced.train_depth < close.train_depth
    assert free.lr_scale <= balanced.lr_scale < close.lr_scale
    with pytest.raises(ValueError, match=r"Unknown likeness 'same'; known are free, balanced, cl"):
        quality_settings("generation", likeness="same")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(11, 11), (12, 400), (60, 60), (5000, 3000)])
def test_tiny_narrow_and_huge_pictures_have_settings(task: str, size: tuple[int, int]) -> None:
    for quality in ("draft", "normal", "fine"):
        for stages in (None, 2):
            settings = quality_settings(task, quality, stages=stages, size=size)
            assert expected_seconds(settings, *size) > 0


def test_normal_quality_is_the_papers() -> None:
    assert harmonization_settings("normal") == task_settings("harmonization")
    assert harmonization_settings("normal", stages=4).stages == 4
    with pytest.raises(ValueError, match=r"Unknown quality 'best'; known are draft, normal, fine"):
        harmonization_settings("best")


@pytest.mark.parametrize("size", [(300, 2000), (100, 100), (30, 40), (11, 11)])
@pytest.mark.parametrize("quality", ["draft", "normal", "fine"])
def test_small_and_narrow_pictures_get_a_smaller_coarsest_stage(
    quality: str, size: tuple[int, int]
) -> None:
    settings = harmonization_settings(quality, size=size)
    assert expected_seconds(settings, *size) > 0
    assert harmonization_settings(quality, size=(480, 640)) == harmonization_settings(quality)


def test_a_picture_smaller_than_the_critic_sees_is_refused() -> None:
    with pytest.raises(UnsuitablePicture, match=r"short side is 10 px .* needs 11 px"):
        expected_seconds(harmonization_settings("draft", size=(10, 40)), 10, 40)


def test_tasks_are_those_of_the_paper() -> None:
    found = {
        task: (s.stages, s.min_size, s.iterations, s.negative_slope, s.batch_norm, s.rule)
        for task in ("generation", "retarget", "animation", "harmonization", "editing")
        for s in [task_settings(task)]
    }
    assert found == {
        "generation": (6, 25, 2000, 0.05, False, "concurrent"),
        "retarget": (6, 25, 2000, 0.05, False, "concurrent"),
        "animation": (6, 20, 2000, 0.05, False, "concurrent"),
        "harmonization": (3, 120, 1000, 0.3, True, "geometric"),
        "editing": (6, 25, 1000, 0.05, True, "concurrent"),
    }
    with pytest.raises(ValueError, match="Unknown task 'mosaic'"):
        task_settings("mosaic")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("quality", ["draft", "normal", "fine"])
def test_the_quality_of_settings_can_be_told(task: str, quality: str) -> None:
    made = quality_settings(task, quality, likeness="close", size=(300, 400))
    assert quality_of(made) == quality
    assert quality_of(replace(made, channels=7)) == ""
