"""Training a regressor as an operation, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from operation_runs import as_picture, direct_context, painting, run_directly
from PIL import Image
from small_generators import LABELS, install_small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.cli import application
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_daemon.operations.train_regressor import wanted_settings
from intarsia_models.errors import ModelsError
from intarsia_models.generators.loading import fingerprint, load_generator

STAGE = "Training the regressor"


def _training(home: Path, **more) -> Context:
    return direct_context(home, lane="training", **more)


def _step(message: object) -> int:
    """The iteration that a message tells of; -1 for other messages."""
    if isinstance(message, Working) and message.stage == STAGE:
        return message.step
    return -1


@pytest.fixture(name="pictures", scope="module")
def _pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Fruit")
    random = np.random.default_rng(1)
    for name in LABELS[:2]:
        (folder / name).mkdir()
        for number in range(5):
            array = random.integers(0, 255, (36, 44, 3), dtype=np.uint8)
            Image.fromarray(array).save(folder / name / f"{number}.png")
    return folder


def test_a_model_learns_to_read_collages_from_its_own_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)  # no message is held back
    base = install_small_generator(tmp_path, title="Fruit")
    made = as_picture(
        run_directly(direct_context(tmp_path), "generate", model=base, count=1).layers[0]
    )
    sent: list[Working] = []
    context = _training(tmp_path, send=sent.append)
    result = run_directly(context, "train_regressor", model=base, iterations=2, title="Collages")
    assert result.model is not None and result.model["id"] != base
    found = result.model["id"]
    entry = next(e for e in context.models.list(thumbnails=True) if e["id"] == found)
    assert entry["title"] == "Collages" and "regressor" in entry["capabilities"]
    assert entry["thumbnail"].startswith(b"\x89PNG")
    assert {"pixels", "latent", "classes"} <= set(result.metrics)
    assert result.layers[0].name == "Samples of Collages"
    assert [_step(m) for m in sent if _step(m) >= 0][-1] == 2
    assert all(m.seconds_left is not None for m in sent if _step(m) >= 0)
    assert any(base in note for note in result.notes)
    old, new = (load_generator(context.models.path(name)) for name in (base, found))
    assert new.regressor is not None and fingerprint(old) == fingerprint(new)
    assert new.regressor.settings.num_classes == len(LABELS)
    edit = direct_context(tmp_path)
    relabelled = run_directly(edit, "relabel", {"picture": made}, model=found, class_name="lime")
    assert "project" not in edit.seconds and relabelled.metrics["fit"] == 1
    run_directly(direct_context(tmp_path), "mix", {"picture": made, "reference": painting()})
    again = _training(tmp_path)
    known = run_directly(again, "train_regressor", model=base, iterations=2)
    assert "train" not in again.seconds and known.model == result.model
    assert "was done before" in known.notes[0]


def test_real_pictures_may_join(tmp_path: Path, pictures: Path) -> None:
    base = install_small_generator(tmp_path)
    context = _training(tmp_path)
    result = run_directly(
        context,
        "train_regressor",
        model=base,
        pictures=str(pictures),
        iterations=1,
        real_share=0.5,
        areas="rectangles",
    )
    assert result.model is not None
    settings = wanted_settings("draft", 1, "rectangles", 0.5)
    assert (settings.real_share, settings.areas, settings.iterations) == (0.5, "rectangles", 1)
    assert wanted_settings("draft", 0, "noise", 0.0).iterations > 100
    without = run_directly(context, "train_regressor", model=base, iterations=1)
    assert without.model is not None and without.model["id"] != result.model["id"]


def test_a_stopped_training_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.generator_trainings.CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    base = install_small_generator(tmp_path)
    context = _training(tmp_path)

    def stop(message: object) -> None:
        if _step(message) >= 2:
            context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        run_directly(context, "train_regressor", model=base, iterations=4)
    assert len(context.models.list()) == 1
    steps: list[int] = []
    later = _training(tmp_path, send=lambda message: steps.append(_step(message)))
    run_directly(later, "train_regressor", model=base, iterations=4)
    told = [step for step in steps if step >= 0]
    assert told[0] > 1 and told[-1] == 4 and len(later.models.list()) == 2


def test_how_long_it_takes_is_said_beforehand(tmp_path: Path) -> None:
    install_small_generator(tmp_path)
    found = find_operation("train_regressor")
    assert found.declaration.trains and found.estimate is not None
    context = direct_context(tmp_path)
    seconds = []
    for settings in ({"iterations": 100}, {"iterations": 200}, {"quality": "normal"}):
        told = found.estimate(found.declaration.check([], settings), {}, context)
        assert told.trains
        seconds.append(told.seconds)
    assert seconds[1] == pytest.approx(2 * seconds[0], rel=0.01) and seconds[0] > 0
    assert seconds[2] > 10 * seconds[1]
    unknown = found.estimate(found.declaration.check([], {"model": "none-such"}), {}, context)
    assert unknown.seconds > 0
    with pytest.raises(TrainingRequired) as needed:
        run_directly(context, "train_regressor", iterations=100)
    assert needed.value.seconds_expected == pytest.approx(seconds[0], rel=0.2)


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No generator model is installed"):
        run_directly(_training(tmp_path), "train_regressor")
    base = install_small_generator(tmp_path)
    context = _training(tmp_path)
    with pytest.raises(InvalidRequest, match="is not there"):
        run_directly(
            context, "train_regressor", model=base, pictures=str(tmp_path / "nowhere"), iterations=1
        )
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelsError, match="picture"):
        run_directly(
            context, "train_regressor", model=base, pictures=str(tmp_path / "empty"), iterations=1
        )


def test_the_command_line_wants_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert application.run(["train", "regressor", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--pictures" in told and "--real-share" in told and "[required]" not in told
    assert application.run(["train", "gan"]) != 0
    assert "--data" in capsys.readouterr().err
