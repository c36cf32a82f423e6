"""Trainings that fail on the way, and those that are done early."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from intarsia_models.errors import TrainingDiverged
from intarsia_models.single_image import settling
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.recovery import TRIES, what_is_wrong
from intarsia_models.single_image.settings import TaskSettings, task_settings
from intarsia_models.single_image.settling import Settling
from intarsia_models.single_image.stage_training import Losses, StageTraining
from intarsia_models.single_image.training import SingleImageTrainer, train
from intarsia_models.single_image.training_loop import TrainingProgress


class Stopped(Exception):
    """What a caller raises to cancel."""


def small(**changes: Any) -> TaskSettings:
    sizes = {"stages": 3, "min_size": 12, "max_size": 24, "iterations": 22, "channels": 4}
    return task_settings("generation", **{**sizes, **changes})


def picture() -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 5, 6, generator=source) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (20, 26), mode="bilinear")


def same(one: TrainedModel, other: TrainedModel) -> bool:
    mine, theirs = one.tensors(), other.tensors()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[float]]:
    """Makes the first so many tries of a stage end in weights that are no numbers; the list tells
    the learning rate of every try."""
    plain = StageTraining.iterate

    def arm(stage: int, tries: int) -> list[float]:
        rates: list[float] = []

        def iterate(self: StageTraining, iteration: int, *others: Any) -> Losses:
            losses = plain(self, iteration, *others)
            if self.generator.stages - 1 == stage:
                if iteration == 0:
                    rates.append(self.learning_rate)
                if self.learning_rate > 5e-4 * 0.5**tries:
                    for parameter in self.generator.parameters():
                        parameter.data.fill_(float("nan"))
            return losses

        monkeypatch.setattr(StageTraining, "iterate", iterate)
        return rates

    return arm


def test_a_failed_stage_begins_again_more_gently_and_says_so(
    spoil: Callable[[int, int], list[float]],
) -> None:
    rates, notices, seen = spoil(1, 2), [], []
    model = train(
        picture(),
        small(),
        on_notice=notices.append,
        on_progress=lambda p: seen.append((p.stage, p.iteration)),
    )
    assert rates == pytest.approx([5e-4, 2.5e-4, 1.25e-4])
    assert torch.isfinite(model.reconstruct()).all()
    assert model.notes == notices and len(notices) == 2
    assert "failed at stage 2 of 3, iteration 20" in notices[0]
    assert "Stage 2 was begun again with 0.25 times the learning rate" in notices[1]
    assert seen.count((0, 1)) == 1 and seen.count((1, 1)) == 3 and seen.count((2, 1)) == 1


def test_another_try_starts_from_the_networks_of_the_stages_begin(
    spoil: Callable[[int, int], list[float]],
) -> None:
    spoil(2, 1)
    begun = []

    def note(progress: TrainingProgress) -> None:
        if progress.stage == 2 and progress.iteration == 1:
            begun.append([value.clone() for value in trainer.model.discriminator.parameters()])

    trainer = SingleImageTrainer(picture(), small())
    trainer.run(on_progress=note)
    for first, second in zip(*begun, strict=True):  # one Adam step at two rates
        torch.testing.assert_close(second, first, rtol=0, atol=5e-3)


def test_the_number_of_tries_is_bounded(spoil: Callable[[int, int], list[float]]) -> None:
    rates = spoil(0, 99)
    with pytest.raises(TrainingDiverged, match=r"stage 1 of 3, .* Train with batch norm, a small"):
        train(picture(), small())
    assert len(rates) == TRIES


def test_weights_that_break_in_the_last_iteration_of_a_stage_are_noticed(
    spoil: Callable[[int, int], list[float]],
) -> None:
    spoil(2, 1)
    notices: list[str] = []
    model = train(picture(), small(iterations=1), on_notice=notices.append)
    assert "the rebuilt picture is not made of numbers" in notices[0]
    assert torch.isfinite(model.reconstruct()).all()


def test_a_training_resumed_after_a_failed_try_equals_an_undisturbed_one(
    spoil: Callable[[int, int], list[float]], tmp_path: Path
) -> None:
    spoil(1, 1)
    undisturbed = SingleImageTrainer(picture(), small(), seed=3).run()
    begun: list[int] = []

    def stop_in_the_second_try(progress: TrainingProgress) -> None:
        begun.extend([1] * (progress.stage == 1 and progress.iteration == 1))
        if len(begun) == 2 and progress.iteration == 4:
            raise Stopped

    with pytest.raises(Stopped):
        SingleImageTrainer(picture(), small(), seed=3).run(
            checkpoint_folder=tmp_path,
            checkpoint_every_s=0,
            on_progress=stop_in_the_second_try,
        )
    resumed = SingleImageTrainer(picture(), small(), seed=3).run(checkpoint_folder=tmp_path)
    assert resumed.notes == undisturbed.notes and len(resumed.notes) == 1
    assert same(resumed, undisturbed)


@pytest.mark.parametrize(
    ("rebuilt", "what"),
    [
        (torch.full((1, 3, 20, 26), float("nan")), "not made of numbers"),
        (torch.full((1, 3, 20, 26), -1.0), "black"),
        (torch.full((1, 3, 20, 26), 0.2), "of one colour"),
        (picture().sign(), "burnt out"),
        (picture(), None),
        (0.2 * picture(), None),
    ],
)
def test_failed_pictures_are_told_apart(rebuilt: torch.Tensor, what: str | None) -> None:
    assert what_is_wrong(rebuilt, picture(), 100) == what


def test_a_young_stage_may_have_no_contrast_yet() -> None:
    assert what_is_wrong(torch.zeros(1, 3, 20, 26), picture(), 99) is None
    assert what_is_wrong(torch.full((1, 3, 20, 26), torch.inf), picture(), 1) is not None


def test_plain_and_burnt_out_originals_may_be_rebuilt() -> None:
    plain = torch.full((1, 3, 20, 26), -1.0)
    assert what_is_wrong(plain + 0.01, plain, 100) is None
    assert what_is_wrong(picture().sign(), picture().sign(), 100) is None


# --- stopping early -------------------------------------------------------------------------------


def test_a_sample_has_settled_after_two_calm_looks() -> None:
    watched = Settling(0.1)
    found = [watched.look(picture() * change) for change in (1.0, 1.05, 1.5, 1.51, 1.52)]
    assert found == [False, False, False, False, True]
    assert watched.changes[1] == pytest.approx(0.3, abs=0.02)  # (1.5 - 1.05) / 1.5
    every = settling.EVERY
    assert not Settling(0.0).due(every) and watched.due(every) and not watched.due(every + 1)


@pytest.mark.parametrize("task", ["generation", "harmonization"])
def test_a_settled_stage_skips_to_its_last_iterations(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "EVERY", 5)
    shape = {"stages": 3, "min_size": 12, "max_size": 24, "iterations": 30, "channels": 2}
    settings = task_settings(task, **shape, settled_below=1e3)
    seen: list[tuple[int, int]] = []
    train(picture(), settings, on_progress=lambda p: seen.append((p.stage, p.iteration)))
    for stage in range(3):
        assert [i for n, i in seen if n == stage] == [*range(1, 16), *range(25, 31)]


def test_an_early_end_is_the_same_after_resuming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "EVERY", 5)
    settings = small(iterations=30, channels=2, settled_below=1e3)
    undisturbed = train(picture(), settings)

    def stop(progress: TrainingProgress) -> None:
        if (progress.stage, progress.iteration) == (1, 13):
            raise Stopped

    with pytest.raises(Stopped):
        SingleImageTrainer(picture(), settings).run(
            checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=stop
        )
    assert same(train(picture(), settings, checkpoint_folder=tmp_path), undisturbed)


def test_cards_of_the_first_version_stay_the_same() -> None:
    later = {"settled_below": 0.1, "coarsest_iterations": 3000}
    assert not later.keys() & task_settings("generation").to_card().keys()
    changed = task_settings("generation", **later)
    assert TaskSettings.from_card(changed.to_card()) == changed
