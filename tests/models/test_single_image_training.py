"""Whole trainings, small: watched, stopped, resumed, saved."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from intarsia_models.errors import TrainingDiverged, UnreadableModel, UnsuitablePicture
from intarsia_models.single_image import training_loop
from intarsia_models.single_image.fine_tuning import FineTuner, fine_tune
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.settings import TaskSettings, task_settings
from intarsia_models.single_image.training import SingleImageTrainer, image_hash, train
from intarsia_models.single_image.training_loop import Trainer, TrainingProgress

TASKS = ["generation", "retarget", "animation", "harmonization", "editing"]


class Stopped(Exception):
    """What a caller raises to cancel."""


def small(task: str = "harmonization", **changes: Any) -> TaskSettings:
    sizes = {"stages": 3, "min_size": 12, "max_size": 24, "iterations": 4, "channels": 4}
    return task_settings(task, **{**sizes, **changes})


def picture(seed: int = 0, height: int = 20, width: int = 26) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=source) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def same(one: TrainedModel, other: TrainedModel) -> bool:
    mine, theirs = one.tensors(), other.tensors()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def stop_at(stage: int, iteration: int) -> Callable[[TrainingProgress], None]:
    def stop(progress: TrainingProgress) -> None:
        if (progress.stage, progress.iteration) == (stage, iteration):
            raise Stopped

    return stop


@pytest.mark.parametrize("task", TASKS)
def test_every_task_trains_and_the_same_seed_gives_the_same_model(task: str) -> None:
    settings = small(task, iterations=2)
    first, second = (train(picture(), settings, seed=5) for _ in range(2))
    assert same(first, second)
    assert not same(first, train(picture(), settings, seed=6))
    assert first.reconstruct().shape == (1, 3, *first.sizes[-1])
    assert len(first.fixed_noises) == 3
    assert [round(value, 9) > 0 for value in first.generator.noise_amplitudes] == [True] * 3


@pytest.mark.parametrize("activation", ["prelu", "elu", "selu"])
def test_other_activations_train(activation: str) -> None:
    model = train(picture(), small("generation", iterations=2, activation=activation))
    assert torch.isfinite(model.reconstruct()).all()


@pytest.mark.parametrize("arithmetic", [None, torch.bfloat16])
def test_training_learns_to_rebuild_the_picture(arithmetic: torch.dtype | None) -> None:
    settings = small(iterations=40, channels=8, learning_rate=2e-3)
    losses: list[float] = []

    def note(progress: TrainingProgress) -> None:
        if progress.losses is not None:
            losses.append(progress.losses["reconstruction"])

    train(picture(), settings, on_progress=note, arithmetic=arithmetic)
    assert losses[-1] < 0.3 * losses[0]


def test_progress_tells_where_the_training_is() -> None:
    seen: list[tuple[int, int, float, bool]] = []
    shapes = []

    def note(progress: TrainingProgress) -> None:
        losses = progress.losses is not None
        seen.append((progress.stage, progress.iteration, progress.fraction, losses))
        shapes.append(progress.preview(None).shape)
        assert progress.preview(picture(1, 40, 52)).shape == shapes[-1]

    model = train(picture(), small(), on_progress=note)
    assert [(stage, iteration) for stage, iteration, _, _ in seen] == [
        (stage, iteration) for stage in range(3) for iteration in (1, 2, 3, 4)
    ]
    fractions = [fraction for _, _, fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert [losses for *_, losses in seen] == [True, False, False, True] * 3
    assert [shape[-2:] for shape in shapes[3::4]] == [torch.Size(size) for size in model.sizes]


def test_stages_of_different_lengths_are_trained_and_resumed_as_said(tmp_path: Path) -> None:
    settings = small(iterations=2, coarsest_iterations=8)
    undisturbed = train(picture(), settings)
    seen: list[tuple[int, int]] = []
    fractions: list[float] = []

    def note(progress: TrainingProgress) -> None:
        seen.append((progress.stage, progress.iteration))
        fractions.append(progress.fraction)
        assert progress.iterations == (8, 4, 2)[progress.stage]
        if seen.count((1, 3)) == 1 and seen[-1] == (1, 3):
            raise Stopped

    def run() -> TrainedModel:
        return SingleImageTrainer(picture(), settings).run(
            checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=note
        )

    with pytest.raises(Stopped):
        run()
    assert same(run(), undisturbed)
    whole = [(stage, i + 1) for stage, count in enumerate((8, 4, 2)) for i in range(count)]
    assert seen == [*whole[:11], *whole[10:]]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_previews_change_nothing() -> None:
    plain = train(picture(), small())

    def watch(progress: TrainingProgress) -> None:
        progress.preview(picture(3))

    assert same(plain, train(picture(), small(), on_progress=watch))


@pytest.mark.parametrize("task", ["generation", "harmonization", "editing"])
@pytest.mark.parametrize(("stage", "iteration"), [(0, 3), (1, 1), (1, 4), (2, 2)])
def test_a_resumed_training_equals_an_undisturbed_one(
    task: str, stage: int, iteration: int, tmp_path: Path
) -> None:
    settings = small(task)
    undisturbed = train(picture(), settings, seed=1)

    def run(stop: Callable[[TrainingProgress], None] | None) -> TrainedModel:
        return SingleImageTrainer(picture(), settings, seed=1).run(
            checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=stop
        )

    with pytest.raises(Stopped):
        run(stop_at(stage, iteration))
    seen: list[tuple[int, int]] = []
    resumed = run(lambda progress: seen.append((progress.stage, progress.iteration)))
    assert seen[0] == (stage, iteration)  # the stopped iteration was not in a checkpoint yet
    assert same(resumed, undisturbed)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    settings = small()
    undisturbed = train(picture(), settings)
    with pytest.raises(Stopped):
        SingleImageTrainer(picture(), settings).run(
            checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=stop_at(1, 3)
        )
    newest = max(tmp_path.glob("step-*"))
    weights = newest / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    notices: list[str] = []
    seen: list[tuple[int, int]] = []
    resumed = SingleImageTrainer(picture(), settings).run(
        checkpoint_folder=tmp_path,
        on_notice=notices.append,
        on_progress=lambda progress: seen.append((progress.stage, progress.iteration)),
    )
    assert seen[0] == (1, 2)
    assert same(resumed, undisturbed)
    assert not newest.exists()
    assert len(notices) == 1 and f"checkpoint {newest.name} is damaged" in notices[0]
    assert resumed.notes == notices


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"image": picture(9)}, {"iterations": 5}, {"arithmetic": torch.bfloat16}],
)
def test_a_checkpoint_of_another_training_is_not_used(
    change: dict[str, Any], tmp_path: Path
) -> None:
    def run(stop: Callable[[TrainingProgress], None] | None, **change: Any) -> None:
        settings = small(iterations=change.get("iterations", 4))
        SingleImageTrainer(
            change.get("image", picture()),
            settings,
            seed=change.get("seed", 1),
            arithmetic=change.get("arithmetic"),
        ).run(checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=stop)

    with pytest.raises(Stopped):
        run(stop_at(1, 1))
    with pytest.raises(Stopped):
        run(stop_at(0, 3), **change)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["step-000000001", "step-000000002"]  # its own, not the other's later ones


def test_a_raising_tick_cancels_and_the_training_can_be_taken_up_again(tmp_path: Path) -> None:
    undisturbed = train(picture(), small())
    left = 700

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Stopped

    with pytest.raises(Stopped):
        SingleImageTrainer(picture(), small()).run(
            tick=tick, checkpoint_folder=tmp_path, checkpoint_every_s=0
        )
    assert same(train(picture(), small(), checkpoint_folder=tmp_path), undisturbed)


def test_losses_that_are_no_numbers_stop_the_training() -> None:
    with pytest.raises(TrainingDiverged, match=r"stage 1 of 3, iteration \d+: .* is (nan|inf)"):
        train(picture(), small("generation", learning_rate=1e30, iterations=10))


def test_pictures_that_cannot_be_trained_on_are_refused() -> None:
    with pytest.raises(UnsuitablePicture, match=r"short side is 8 px .* needs 12 px"):
        train(picture(0, 8, 26), small())
    with pytest.raises(UnsuitablePicture, match=r"must be \(1, 3, height, width\), got \(1, 1,"):
        train(picture()[:, :1], small())
    broken = picture()
    broken[0, 0, 3, 3] = float("nan")
    with pytest.raises(UnsuitablePicture, match="not numbers"):
        train(broken, small())


def test_a_saved_model_comes_back_exactly(tmp_path: Path) -> None:
    model = train(picture(), small(iterations=2), seed=3)
    model.save(tmp_path / "m", software_version="1.2", extra={"title": "Boats", "seed": "mine"})
    loaded = TrainedModel.load(tmp_path / "m")
    assert same(model, loaded)
    assert loaded.settings == model.settings
    assert loaded.generator.noise_amplitudes == model.generator.noise_amplitudes
    assert loaded.card("1.2") == model.card("1.2")
    assert torch.equal(loaded.reconstruct(), model.reconstruct())
    assert torch.equal(loaded.apply(picture(4)), model.apply(picture(4)))


def test_a_model_of_another_family_or_a_newer_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(picture(), small(iterations=1))
    monkeypatch.setattr("intarsia_models.single_image.model.FORMAT", 2)
    model.save(tmp_path / "newer")
    monkeypatch.setattr("intarsia_models.single_image.model.FORMAT", 1)
    with pytest.raises(UnreadableModel, match="format 2, and this one reads up to 1"):
        TrainedModel.load(tmp_path / "newer")
    monkeypatch.setattr("intarsia_models.single_image.model.FAMILY", "mosaic")
    model.save(tmp_path / "other")
    monkeypatch.setattr("intarsia_models.single_image.model.FAMILY", "single-image")
    with pytest.raises(UnreadableModel, match="family 'mosaic', not 'single-image'"):
        TrainedModel.load(tmp_path / "other")


def test_settings_survive_json() -> None:
    settings = small("editing", activation="elu")
    assert TaskSettings.from_card({**settings.to_card(), "from_the_future": 1}) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": 1}, "stages must be at least 2, got 1"),
        ({"activation": "relu"}, "activation must be one of leaky_relu, prelu, elu, selu"),
        ({"negative_slope": 0.0}, r"negative_slope must lie in \(0, 1\), got 0.0"),
        ({"depth": 3}, "TaskSettings has no depth"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_settings("generation", **changes)


def test_fine_tuning_moves_the_last_stage_only_and_leaves_the_model_alone() -> None:
    model = train(picture(), small(iterations=2))
    before = {name: tensor.clone() for name, tensor in model.tensors().items()}
    tuned = fine_tune(model, picture(7), iterations=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.tensors().items())
    changed = {name for name, tensor in tuned.tensors().items() if not tensor.equal(before[name])}
    learned = {name for name in changed if "running_" not in name and "num_batches" not in name}
    assert learned and all(
        re.match(r"generator\.(body\.2|tail)\.|discriminator\.", name) for name in learned
    )


def test_fine_tuning_resumes_exactly(tmp_path: Path) -> None:
    model = train(picture(), small("editing", iterations=2))
    undisturbed = fine_tune(model, picture(7), iterations=4, seed=2)

    def run(stop: Callable[[TrainingProgress], None] | None) -> TrainedModel:
        tuner: Trainer = FineTuner(model, picture(7), iterations=4, seed=2)
        return tuner.run(checkpoint_folder=tmp_path, checkpoint_every_s=0, on_progress=stop)

    with pytest.raises(Stopped):
        run(stop_at(2, 3))
    assert same(run(None), undisturbed)


def test_no_iterations_of_fine_tuning_give_the_model_itself() -> None:
    model = train(picture(), small(iterations=1))
    assert same(fine_tune(model, picture(), iterations=0), model)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        fine_tune(model, picture(), iterations=-1)


def test_image_hash_tells_pictures_and_shapes_apart() -> None:
    plain = torch.zeros(1, 3, 4, 6)
    assert image_hash(plain) == image_hash(plain.clone())
    assert image_hash(plain) != image_hash(torch.zeros(1, 3, 6, 4))
    changed = plain.clone()
    changed[0, 0, 0, 0] = 1 / 255
    assert image_hash(plain) != image_hash(changed)


def test_time_spent_waiting_is_not_training_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def now() -> float:
        return clock

    def tick() -> None:
        nonlocal clock
        clock += 100.0

    monkeypatch.setattr(training_loop.time, "perf_counter", now)
    model = train(picture(), replace(small(), iterations=1), tick=tick)
    assert model.training_seconds == 0
