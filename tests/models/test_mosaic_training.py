"""Training a mosaic: it learns, goes on where it stopped, and leaves a model and a pack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from intarsia_models import packs_folder
from intarsia_models.checkpoints import CARD
from intarsia_models.errors import DamagedCheckpoint, TrainingDiverged, UnreadableModel
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.settings import QUALITIES
from intarsia_models.mosaic.commands import main
from intarsia_models.mosaic.cost import (
    composing_operations,
    expected_seconds,
    training_operations,
)
from intarsia_models.mosaic.losses import entropy_loss
from intarsia_models.mosaic.model import MosaicModel
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource, stacked
from intarsia_models.mosaic.training import TrainedMosaic, train_mosaic
from intarsia_models.mosaic.training_settings import (
    MosaicTraining,
    mosaic_settings,
    mosaic_training,
)

NETWORKS = MosaicSettings(width=8, depth=2, heads=2, refine_width=4)
QUICK = MosaicTraining(
    patch=16,
    batch=2,
    templates_least=2,
    templates_most=4,
    iterations=5,
    generator_rate=2e-3,
    critic_width=8,
    critic_depth=3,
    average_pictures=1,
    precision="float32",
)


def _levels() -> PictureSource:
    """Templates of one grey each, from black to white, with a little grain."""
    source = torch.Generator().manual_seed(0)
    grain = torch.randint(-8, 9, (5, 3, 24, 24), generator=source)
    levels = torch.linspace(20, 235, 5).view(5, 1, 1, 1)
    return PictureSource(list((levels + grain).clamp(0, 255).byte()))


def _blobs() -> PictureSource:
    """Contents: smooth light and dark areas."""
    source = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 1, 5, 5, generator=source)
    large = torch.nn.functional.interpolate(coarse, (40, 40), mode="bicubic").clamp(0, 1)
    return PictureSource(list((255 * large).byte().expand(-1, 3, -1, -1)))


def _train(
    settings: MosaicSettings = NETWORKS, training: MosaicTraining = QUICK, **options: Any
) -> TrainedMosaic:
    contents = _blobs() if settings.guided else None
    return train_mosaic(_levels(), contents, settings, training, **options)


def test_it_learns_to_follow_a_content_and_to_cut_hard() -> None:
    training = replace(QUICK, iterations=70, entropy_weight=0.5, tv_weight=0.0, precision="auto")
    losses: list[dict[str, float]] = []

    def follow(progress: TrainingProgress) -> None:
        if progress.losses is not None:
            losses.append(progress.losses)
        if progress.iteration == progress.iterations:
            assert progress.preview().shape == (1, 3, 4 * 16, 6 * 16)

    model = _train(training=training, on_progress=follow).model
    assert set(losses[0]) == {"critic", "adversarial", "content", "tv", "entropy", "max"}
    content = _blobs().pictures[0][None].float() / 127.5 - 1.0
    templates = stacked(_levels().canvases(5, 0), 0, 0, 40, 40)
    made = model.compose(content, templates)
    plain = templates.mean(1)
    assert _distance(made.picture, content) < 0.3 * _distance(plain, content)
    assert _distance(made.collage, content) < 0.5 * _distance(plain, content)
    assert made.weights is not None
    assert float(entropy_loss(made.weights)) < 0.8 * float(np.log(5))


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one.mean(1) - other.mean(1)).square().mean())


def _weights(trained: TrainedMosaic) -> dict[str, Tensor]:
    return trained.model.network.state_dict()


def _stopping_at(iteration: int) -> Callable[[TrainingProgress], None]:
    def follow(progress: TrainingProgress) -> None:
        if progress.iteration == iteration:
            raise InterruptedError

    return follow


def test_a_training_that_was_stopped_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    training = replace(QUICK, phi="learned")
    options: dict[str, Any] = {"checkpoint_folder": tmp_path, "checkpoint_every_s": 0.0}
    with pytest.raises(InterruptedError):
        _train(training=training, seed=4, on_progress=_stopping_at(3), **options)
    resumed = _train(training=training, seed=4, **options)
    whole = _train(training=training, seed=4)
    assert _weights(whole).keys() == _weights(resumed).keys()
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(resumed)[name]), name
    assert whole.history == resumed.history


def test_other_pictures_begin_another_training(tmp_path: Path) -> None:
    _train(checkpoint_folder=tmp_path, checkpoint_every_s=0.0)
    seen: list[int] = []
    other = PictureSource([picture.flip(-1) for picture in _levels().pictures])
    training = replace(QUICK, iterations=1)
    train_mosaic(
        other,
        _blobs(),
        NETWORKS,
        training,
        checkpoint_folder=tmp_path,
        on_progress=lambda progress: seen.append(progress.iteration),
    )
    assert seen == [1]


def test_an_unguided_mosaic_and_every_warp_can_be_trained() -> None:
    training = replace(QUICK, iterations=2, max_weight=1.0, content_weight=0.0)
    for warp in ("affine", "flow"):
        settings = replace(NETWORKS, guided=False, warp=warp, warp_reach=3.0)  # type: ignore[arg-type]
        trained = _train(settings, training)
        assert "content" not in trained.card()["losses"]
        made = trained.model.weights(None, torch.zeros(1, 2, 3, 8, 8))
        assert made.theta is not None and float(made.theta.abs().max()) <= 3.0


def test_without_a_guide_templates_part_instead_of_becoming_one_grey() -> None:
    networks = replace(NETWORKS, guided=False)
    wished = mosaic_training("draft", guided=False, tv_weight=10.0, entropy_weight=1.5)
    names = ("adversarial_mix_weight", "tint_weight", "warm_up", "max_weight")
    weights = {name: getattr(wished, name) for name in (*names, "tv_weight", "entropy_weight")}
    brief = replace(QUICK, iterations=60, generator_rate=6e-3, templates_least=3, **weights)
    templates = stacked(_levels().canvases(4, 0), 0, 0, 32, 32)

    def entropy(training: MosaicTraining) -> float:
        made = _train(networks, training).model.compose(None, templates)
        assert made.weights is not None
        shift = (made.picture - made.collage).mean((-2, -1)).abs().max()
        assert not training.tint_weight or shift < 0.1
        return float(entropy_loss(made.weights))

    assert entropy(brief) < 0.5
    printed = replace(brief, adversarial_mix_weight=0.0, warm_up=0.0, tint_weight=0.0)
    assert entropy(printed) > 1.2  # of log 4 = 1.39: they stay alike


def test_items_of_a_batch_may_have_templates_of_different_sources() -> None:
    dark = PictureSource([torch.zeros(3, 20, 20, dtype=torch.uint8)])
    light = PictureSource([torch.full((3, 20, 20), 255, dtype=torch.uint8)])
    shown: list[Tensor] = []

    def follow(progress: TrainingProgress) -> None:
        shown.append(progress.preview())

    training = replace(QUICK, iterations=1, batch=4)
    train_mosaic([dark, light], _blobs(), NETWORKS, training, on_progress=follow)
    row = shown[0][0, 0, 16:32]  # one template of each
    levels = {float(part.mean().round()) for part in row.split(16, dim=1)}
    assert levels == {-1.0, 1.0}


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="needs contents"):
        train_mosaic(_levels(), None, NETWORKS, QUICK)
    with pytest.raises(ValueError, match="takes no contents"):
        train_mosaic(_levels(), _blobs(), replace(NETWORKS, guided=False), QUICK)
    with pytest.raises(ValueError, match="multiple of 4"):
        _train(training=replace(QUICK, patch=18))
    with pytest.raises(ValueError, match="no templates"):
        train_mosaic([], _blobs(), NETWORKS, QUICK)
    memory = replace(NETWORKS, style="fixed_memory", slots=3)
    with pytest.raises(ValueError, match="one source"):
        train_mosaic([_levels(), _levels()], _blobs(), memory, QUICK)
    with pytest.raises(ValueError, match="templates_least"):
        replace(QUICK, templates_least=9)
    with pytest.raises(ValueError, match="tv_weight must not be negative"):
        replace(QUICK, tv_weight=-1.0)
    with pytest.raises(ValueError, match="content_scales"):
        replace(QUICK, content_scales=(1.0, 0.5))


def test_a_training_that_fails_says_when() -> None:
    with pytest.raises(TrainingDiverged, match="of 5"):
        _train(training=replace(QUICK, generator_rate=float("inf")))


# --- the model and the pack


def test_a_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    trained = _train(training=replace(QUICK, iterations=1))
    trained.model.save(tmp_path / "model", extra={"title": "Grey"})
    loaded = MosaicModel.load(tmp_path / "model")
    templates, content = torch.rand(1, 3, 3, 8, 8), torch.rand(1, 3, 8, 8)
    one, other = (model.compose(content, templates) for model in (trained.model, loaded))
    assert torch.equal(one.picture, other.picture)
    card = json.loads((tmp_path / "model" / CARD).read_text())
    assert card["title"] == "Grey" and card["task"] == "mosaic" and card["contents"] == 3
    assert loaded.card() == card


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"family": "other"}, "family 'other'"),
        ({"format": 99}, "newer version"),
        ({"settings": {"width": 16, "depth": 2}}, "not a whole mosaic"),
    ],
)
def test_what_is_no_mosaic_is_not_loaded(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    model = _train(training=replace(QUICK, iterations=1)).model
    model.card = lambda: {**MosaicModel.card(model), **change}
    model.save(tmp_path / "model")
    with pytest.raises(UnreadableModel, match=told):
        MosaicModel.load(tmp_path / "model")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    _train(training=replace(QUICK, iterations=1)).model.save(tmp_path / "model")
    file = tmp_path / "model" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedCheckpoint):
        MosaicModel.load(tmp_path / "model")


def _written(folder: Path, source: PictureSource) -> Path:
    folder.mkdir(parents=True)
    for name, picture in zip(source.names, source.pictures, strict=True):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    return folder


def test_the_commands_train_and_write_a_pack(tmp_path: Path) -> None:
    templates = _written(tmp_path / "templates" / "grey", _levels()).parent
    contents = _written(tmp_path / "contents", _blobs())
    small = ["--network-set", "width=8", "--network-set", "depth=2", "--network-set", "heads=2"]
    for name, value in QUICK.to_card().items():
        if name in ("patch", "batch", "templates_least", "critic_width", "critic_depth"):
            small += ["--set", f"{name}={value}"]
    small += ["--set", "iterations=1", "--contents", str(contents), "--sets"]
    small += ["--out", str(tmp_path / "run")]
    ran = CliRunner().invoke(main, ["train", str(templates), *small])
    assert ran.exit_code == 0, ran.output
    assert "5 templates in 1 sets" in ran.output
    assert MosaicModel.load(tmp_path / "run" / "model").settings.width == 8
    about = ["--pack", str(tmp_path / "pack"), "--title", "Grey", "--licence", "CC0."]
    about += ["--example", str(contents / "1.png"), str(templates / "grey")]
    ran = CliRunner().invoke(main, ["pack", str(templates), *small, *about])
    assert ran.exit_code == 0, ran.output
    card = json.loads((tmp_path / "pack" / CARD).read_text())
    assert card["task"] == card["family"] == "mosaic" and "guided" in card["capabilities"]
    assert set(card["files"]) >= {"weights.safetensors", CARD}
    readme = (tmp_path / "pack" / "README.md").read_text()
    assert "CC0." in readme and "example_1.png" in readme and str(tmp_path) not in readme
    with Image.open(tmp_path / "pack" / "example_1.png") as shown:
        assert shown.size == (3 * 40, 40)
    assert MosaicModel.load(tmp_path / "pack" / "model").settings.depth == 2


def test_the_shipped_pack_follows_a_content_with_templates_it_never_saw() -> None:
    model = MosaicModel.load(packs_folder() / "mosaic-small" / "model")
    content = _blobs().pictures[0][None].float() / 127.5 - 1.0
    templates = stacked(_levels().canvases(5, 0), 0, 0, 40, 40)
    made = model.compose(content, templates)
    plain = _distance(templates.mean(1), content)
    assert _distance(made.collage, content) < 0.5 * plain
    assert _distance(made.picture, content) < 0.5 * plain


# --- cost and presets


def test_presets_say_what_they_cost() -> None:
    for guided in (True, False):
        for quality in QUALITIES:
            settings = mosaic_settings(quality, guided=guided)
            training = mosaic_training(quality, guided=guided)
            assert settings.guided is guided and training.patch % settings.multiple == 0
    draft, normal = (
        expected_seconds(mosaic_settings(quality), mosaic_training(quality))
        for quality in ("draft", "normal")
    )
    assert draft < 600 < normal
    fine = mosaic_settings("fine"), mosaic_training("fine")
    assert (fine[0].width, fine[0].depth, fine[1].patch, fine[1].templates_most) == (48, 5, 256, 50)
    assert mosaic_training("fine", guided=False).max_weight > 0
    with pytest.raises(ValueError, match="quality must be one of"):
        mosaic_training("best")  # type: ignore[arg-type]


def test_operations_grow_with_size_and_templates() -> None:
    one = composing_operations(NETWORKS, 64, 64, 2)
    assert composing_operations(NETWORKS, 128, 64, 2) == pytest.approx(2 * one, rel=0.02)
    assert 1.5 * one < composing_operations(NETWORKS, 64, 64, 4) < 2.2 * one
    longer = replace(QUICK, batch=4)
    assert training_operations(NETWORKS, longer) == training_operations(NETWORKS, QUICK)
    fast = expected_seconds(NETWORKS, QUICK, speed=2.0)
    assert fast == pytest.approx(expected_seconds(NETWORKS, QUICK) / 2)
