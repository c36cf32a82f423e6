"""The three trainings as operations, run directly on twelve small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from operation_runs import as_picture, direct_context, painting, run_directly
from PIL import Image
from small_generators import install_small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_models.errors import ModelsError
from intarsia_models.generators.loading import load_generator

CLASSES = ("lemon", "lime")
SHORT = {"resolution": "32", "iterations": 2}


@pytest.fixture(name="pictures", scope="module")
def _pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Fruit")
    random = np.random.default_rng(1)
    for index, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(6):
            array = random.integers(0, 90, (36, 44, 3), dtype=np.uint8)
            array[..., index] += 120
            Image.fromarray(array).save(folder / name / f"{number}.png")
    return folder


def _training(home: Path, **more) -> Context:
    return direct_context(home, lane="training", **more)


def _in_training(message: object) -> int:
    """The iteration that a message tells of; -1 for other messages."""
    if isinstance(message, Working) and message.stage.startswith("Training"):
        return message.step
    return -1


def test_a_generator_is_trained_stored_and_used_at_once(tmp_path: Path, pictures: Path) -> None:
    sent: list[Working] = []
    context = _training(tmp_path, send=sent.append)
    result = run_directly(context, "train_gan", pictures=str(pictures), title="Fruit", **SHORT)
    [entry] = context.models.list()
    assert (entry["title"], entry["family"]) == ("Fruit", "sngan-projection")
    assert (entry["resolution"], entry["num_classes"]) == (32, 2)
    assert "spatial_classes" in entry["capabilities"]
    assert context.models.labels(entry["id"]) == list(CLASSES)
    assert context.models.list(thumbnails=True)[0]["thumbnail"].startswith(b"\x89PNG")
    generator = load_generator(context.models.path(entry["id"]))
    assert generator.discriminator is not None
    assert result.layers[0].name == "Samples of Fruit" and result.model is not None
    assert result.model["id"] == entry["id"]
    assert {"critic", "generator"} <= set(result.metrics)
    assert not list((context.folder / "training").glob("step-*"))
    training = [m for m in sent if m.stage == "Training the generator"]
    assert training and training[-1].total == 2
    assert all(m.seconds_left is not None and m.seconds_left >= 0 for m in training)

    edit = direct_context(tmp_path)
    run_directly(edit, "relabel", {"picture": painting()}, class_name="lime", steps=1)
    again = _training(tmp_path)
    known = run_directly(again, "train_gan", pictures=str(pictures), **SHORT)
    assert "train" not in again.seconds and "was done before" in known.notes[0]
    assert known.model == result.model and len(known.layers) == 1


def test_it_runs_in_the_training_lane_with_its_estimate(tmp_path: Path, pictures: Path) -> None:
    for operation, more in (("train_gan", {}), ("train_encoder", {}), ("train_auxiliary", {})):
        install_small_generator(tmp_path)
        found = find_operation(operation)
        assert found.declaration.trains and found.estimate is not None
        context = direct_context(tmp_path)
        values = found.declaration.check([], {"pictures": str(pictures), **more})
        told = found.estimate(values, {}, context)
        assert told.trains and told.seconds > 0
        with pytest.raises(TrainingRequired) as needed:
            run_directly(context, operation, pictures=str(pictures), **more)
        assert needed.value.seconds_expected == pytest.approx(told.seconds, rel=0.5)


def test_a_cancelled_training_goes_on_from_its_checkpoint(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.generator_trainings.CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    settings = {"pictures": str(pictures), "resolution": "32", "iterations": 4}
    context = _training(tmp_path)

    def stop(message: object) -> None:
        if _in_training(message) >= 2:
            context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        run_directly(context, "train_gan", **settings)
    assert context.models.list() == []

    steps: list[int] = []
    later = _training(tmp_path)

    def note(message: object) -> None:
        if _in_training(message) >= 0:
            steps.append(_in_training(message))

    later.send = note
    run_directly(later, "train_gan", **settings)
    assert steps[0] > 1 and steps[-1] == 4 and len(later.models.list()) == 1


def test_an_encoder_and_auxiliary_networks_make_new_models(tmp_path: Path, pictures: Path) -> None:
    base = install_small_generator(tmp_path, companions=False, title="Fruit")
    context = _training(tmp_path)
    with pytest.raises(ModelsError, match="no discriminator"):
        run_directly(context, "train_encoder", model=base, pictures=str(pictures), iterations=1)
    whole = install_small_generator(tmp_path, title="Fruit")
    made = run_directly(
        context, "train_encoder", model=whole, pictures=str(pictures), iterations=1, title="Quick"
    )
    assert made.model is not None and made.model["id"] not in (base, whole)
    assert context.models.card(made.model["id"]).title == "Quick"
    assert any(whole in note for note in made.notes)
    searched = run_directly(
        context, "train_auxiliary", model=made.model["id"], pictures=str(pictures), iterations=1
    )
    assert searched.model is not None
    generator = load_generator(context.models.path(searched.model["id"]))
    assert generator.encoder is not None and generator.auxiliary is not None
    assert context.models.card(searched.model["id"]).title == "Quick"


def test_latents_stay_when_a_network_is_added(tmp_path: Path, pictures: Path) -> None:
    base = install_small_generator(tmp_path)
    made = run_directly(direct_context(tmp_path), "generate", model=base, count=1).layers[0]
    other = run_directly(
        _training(tmp_path), "train_encoder", model=base, pictures=str(pictures), iterations=1
    )
    assert other.model is not None
    context = direct_context(tmp_path)
    result = run_directly(
        context,
        "relabel",
        {"picture": as_picture(made)},
        model=other.model["id"],
        class_name="lime",
    )
    assert "project" not in context.seconds and result.metrics["fit"] == 1


@pytest.mark.parametrize("operation", ["train_gan", "train_encoder", "train_auxiliary"])
def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path, operation: str) -> None:
    install_small_generator(tmp_path)
    context = _training(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="No pictures to learn from"):
        run_directly(context, operation)
    with pytest.raises(InvalidRequest, match="is not there"):
        run_directly(context, operation, pictures=str(tmp_path / "nowhere"))
    with pytest.raises(ModelsError, match="picture"):
        run_directly(context, operation, pictures=str(tmp_path / "empty"))


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InvalidRequest, match="report cannot be written") as caught:
        run_directly(
            _training(tmp_path),
            "train_gan",
            pictures=str(pictures),
            report=str(tmp_path / "file" / "report"),
            **SHORT,
        )
    assert "a folder that you may write to" in caught.value.remedy
