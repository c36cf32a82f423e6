"""Training models of parts: what it draws, what it changes, and that it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from intarsia_models.errors import TrainingDiverged
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.boxes import union_mask
from intarsia_models.key_patches.cost import expected_seconds, training_operations
from intarsia_models.key_patches.networks import PartGenerator
from intarsia_models.key_patches.part_batches import PartBatches
from intarsia_models.key_patches.patches import cut_patches
from intarsia_models.key_patches.settings import STRUCTURES, Structure
from intarsia_models.key_patches.training import (
    KeyPatchLoop,
    settle_statistics,
    train_key_patches,
)
from intarsia_models.key_patches.training_settings import KeyPatchTraining, key_patch_training

QUICK = KeyPatchTraining(
    width=2, critic_width=2, embedding=6, batch=4, iterations=4, precision="float32"
)


def _pictures(count: int = 12) -> PictureSet:
    """Bright squares of two colours on dark ground, somewhere."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.full((count, 3, 64, 64), 30, dtype=torch.uint8)
    for index in range(count):
        x, y = torch.randint(40, (2,), generator=source).tolist()
        pixels[index, index % 2, y : y + 20, x : x + 20] = 230
        pixels[index, 2, y + 6 : y + 14, x + 6 : x + 14] = 200
    y = torch.arange(count) % 2
    return PictureSet(pixels, y, ("green", "red"), tuple(map(str, range(count))))


def _source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def _loop(**changes: object) -> KeyPatchLoop:
    settings = replace(QUICK, **changes)  # pyright: ignore[reportArgumentType]
    return KeyPatchLoop(_pictures(), settings, seed=0, devices=Devices("cpu"))


# --- what is drawn


def test_parts_are_those_of_their_picture_also_when_it_is_mirrored() -> None:
    batches = PartBatches(_pictures(), replace(QUICK, flips="both"), device="cpu")
    assert batches.candidates is not None
    real = _pictures().pixels.float() / 127.5 - 1.0
    plain = cut_patches(real, batches.candidates, 64)
    turned = set()
    for seed in range(8):
        batch = batches.draw(3, _source(seed))
        for picture, patches, boxes in zip(batch.real, batch.patches, batch.boxes, strict=True):
            found = False
            for axes in ((), (2,), (1,), (1, 2)):
                places = (real.flip([axis + 1 for axis in axes]) == picture).all((1, 2, 3))
                for index in places.nonzero().flatten().tolist():
                    mask = union_mask(batches.candidates[index : index + 1], 64)[0].flip(axes)
                    if torch.equal(mask, boxes):
                        found = True
                        turned.add(axes)
                        flipped = plain[index].flip([axis + 1 for axis in axes])
                        assert_close(patches, flipped, atol=1e-4, rtol=0)
            assert found
    assert len(turned) >= 3


def test_all_pictures_of_a_batch_are_mirrored_or_none() -> None:
    pictures = _pictures()
    pictures.pixels[:, :, :, :32] = 0  # bright on the right only
    pictures.pixels[:, :, :, 60:] = 255
    batches = PartBatches(pictures, QUICK, device="cpu")
    seen = set()
    for seed in range(10):
        on_the_left = batches.draw(6, _source(seed)).real[:, 0, 0, 0] > 0
        assert len(on_the_left.unique()) == 1
        seen.add(bool(on_the_left[0]))
    assert seen == {True, False}


def test_variable_parts_come_again_and_candidates_make_a_choice() -> None:
    def different(settings: KeyPatchTraining) -> list[int]:
        patches = PartBatches(_pictures(), settings, device="cpu").draw(40, _source()).patches
        return [len({tuple(part.flatten().tolist()[::97]) for part in one}) for one in patches]

    assert set(different(QUICK)) == {3}
    assert set(different(replace(QUICK, variable_parts=True))) == {1, 2, 3}
    assert set(different(replace(QUICK, candidates=6))) == {3}
    batches = PartBatches(_pictures(2), replace(QUICK, candidates=6), device="cpu")
    masks = batches.draw(40, _source()).boxes.flatten(1).unique(dim=0)
    assert len(masks) > 10  # two pictures, two sides, many choices


def test_random_parts_are_drawn_anew_every_time() -> None:
    batches = PartBatches(_pictures(2), replace(QUICK, patches="random"), device="cpu")
    assert len(batches.draw(40, _source()).boxes.flatten(1).unique(dim=0)) > 35


# --- what is changed


def test_the_generator_learns_at_every_second_iteration_and_the_critic_at_each() -> None:
    loop = _loop()
    assert loop.critic is not None
    changed = []
    for _ in range(4):
        generator = {name: p.clone() for name, p in loop.generator.named_parameters()}
        critic = _weights(loop.critic)
        loop.iterate()
        loop.iteration += 1
        new = dict(loop.generator.named_parameters())
        changed.append((not _same(generator, new), not _same(critic, _weights(loop.critic))))  # pyright: ignore
    assert changed == [(False, True), (True, True), (False, True), (True, True)]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_can_be_trained(structure: Structure) -> None:
    z_dim = 3 if structure == "conditional_gan" else 0
    told: list[set[str]] = []

    def follow(progress: TrainingProgress) -> None:
        told.append(set(progress.losses or ()))

    settings = replace(QUICK, structure=structure, z_dim=z_dim, iterations=2)
    trained = train_key_patches(_pictures(), settings, on_progress=follow)
    adversarial = {"critic", "score_real", "score_generated", "generator"}
    expected = {
        "full": adversarial | {"spatial", "appearance"},
        "auto_encoder": {"reconstruction"},
    }
    assert told[-1] == expected.get(structure, adversarial)
    assert (trained.model.critic is None) == (structure == "auto_encoder")
    assert trained.model.settings.structure == structure


def test_parts_can_be_compared_at_their_true_places() -> None:
    """While the placement is empty, only this tells the parts of what is made from real ones."""
    readings = []
    for compared_at in ("predicted", "true"):
        for brightness in (-2.0, 2.0):
            loop = _loop(compared_at=compared_at, spatial="cross_entropy", generator_every=1)
            assert loop.generator.mask_network is not None
            _bias(loop.generator.mask_network.doublings[-1]).fill_(-30.0)  # empty
            _bias(loop.generator.image_network.doublings[-1]).fill_(brightness)
            readings.append(float(loop.iterate()["appearance"]))
    assert readings[0] == pytest.approx(readings[1], rel=1e-3)
    assert abs(readings[2] - readings[3]) > 0.05


def test_the_whole_picture_counts_where_it_is_asked_for() -> None:
    """Without it nothing but the critic says what is to be where no part is."""
    told = _loop(generator_every=1, whole_weight=0.3).iterate()
    assert 0.0 < float(told["whole"]) < 2.0
    assert "whole" not in _loop(generator_every=1).iterate()
    usual, whole = _loop(generator_every=1), _loop(generator_every=1, whole_weight=10.0)
    for loop in (usual, whole):
        for group in loop.optimizers["critic"].param_groups:
            group["lr"] = 0.0
        for _ in range(15):
            loop.iterate()
    real = whole.shown.real

    def error(loop: KeyPatchLoop) -> float:
        return float((loop.generator(whole.shown.patches)[0] - real).abs().mean().detach())

    assert error(whole) < error(usual)


def _bias(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.ConvTranspose2d) and layer.bias is not None
    return layer.bias.detach()


@pytest.mark.parametrize("objective", ["plain", "five_fakes"])
def test_other_objectives_train_another_critic(objective: str) -> None:
    usual, other = _loop(), _loop(objective=objective)
    for loop in (usual, other):
        loop.iterate()
    assert usual.critic is not None and other.critic is not None
    assert not _same(_weights(usual.critic), _weights(other.critic))


def test_a_training_makes_what_it_minimises_smaller() -> None:
    readings: list[tuple[float, float]] = []

    def follow(progress: TrainingProgress) -> None:
        if progress.losses and "spatial" in progress.losses:
            readings.append((progress.losses["spatial"], progress.losses["appearance"]))

    settings = replace(QUICK, iterations=40, generator_every=1, rate=3e-3, last_weight=1e-2)
    train_key_patches(_pictures(), settings, on_progress=follow)
    assert readings[-1][0] < 0.6 * readings[0][0]
    assert readings[-1][1] < 0.95 * readings[0][1]


# --- going on, and ending


@pytest.mark.parametrize("average", [0.0, 20.0])
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, average: float
) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: TrainingProgress) -> None:
        if progress.iteration == 3:
            raise Stopped

    settings = replace(QUICK, average_pictures=average, z_dim=2, variable_parts=True, noise=0.1)
    whole = train_key_patches(_pictures(), settings)
    with pytest.raises(Stopped):
        train_key_patches(
            _pictures(),
            settings,
            on_progress=stop,
            checkpoint_folder=tmp_path,
            checkpoint_every_s=0.0,
        )
    resumed = train_key_patches(_pictures(), settings, checkpoint_folder=tmp_path)
    assert _same(_weights(whole.model.generator), _weights(resumed.model.generator))
    assert whole.model.critic is not None and resumed.model.critic is not None
    assert _same(_weights(whole.model.critic), _weights(resumed.model.critic))
    assert resumed.history[-1] == whole.history[-1]


def test_a_finished_training_says_what_it_was() -> None:
    seen: list[Tensor] = []

    def follow(progress: TrainingProgress) -> None:
        if progress.iteration == progress.iterations:
            seen.append(progress.preview())

    trained = train_key_patches(_pictures(), QUICK, on_progress=follow)
    assert seen[0].shape == (1, 3, 6 * 64, 8 * 64)  # three parts, real, placement, result
    assert float(seen[0].abs().max()) <= 1.0
    card = trained.card()
    assert card["pictures"] == 12 and card["training"]["width"] == 2
    assert trained.model.labels == ("green", "red")
    assert trained.pictures == 12 and len(trained.fingerprint) == 64


def test_settled_statistics_are_the_mean_over_all_batches() -> None:
    network = PartGenerator(QUICK.networks())
    batches = [torch.rand(2, 3, 3, 64, 64, generator=_source(seed)) for seed in range(3)]
    norm = network.encoder.trunk.norms[0]
    assert isinstance(norm, nn.BatchNorm2d)
    means: list[Tensor] = []
    handle = norm.register_forward_pre_hook(
        lambda _, inputs: means.append(inputs[0].mean((0, 2, 3)))
    )
    waiting = iter(batches)
    settle_statistics(network, lambda: network(next(waiting)), 3)
    handle.remove()
    assert norm.running_mean is not None and norm.momentum == 0.1
    assert_close(norm.running_mean, torch.stack(means).mean(0))
    assert not network.training


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(TrainingDiverged, match="iteration 1 of 4"):
        loop = _loop()
        assert loop.critic is not None
        with torch.no_grad():
            next(loop.critic.parameters()).fill_(float("nan"))
        loop.run()


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be 128 x 128 pixels, got \(64, 64\)"):
        train_key_patches(_pictures(), replace(QUICK, resolution=128))


# --- settings and cost


def test_fine_settings_are_the_papers() -> None:
    made = key_patch_training("fine", 256)
    assert (made.width, made.embedding, made.parts, made.z_dim, made.kernel) == (64, 256, 3, 0, 4)
    assert (made.rate, made.beta1, made.generator_every) == (2e-4, 0.5, 2)
    assert (made.first_weight, made.last_weight) == (1e-2, 1e-4)
    assert (made.objective, made.average_pictures, made.augmentation) == ("composites", 0.0, ())
    assert (made.spatial, made.compared_at) == ("l1", "predicted")


def test_smaller_batches_give_each_picture_the_same_weight() -> None:
    made = key_patch_training("draft", 64, batch=16)
    assert made.first_weight * made.batch == pytest.approx(1e-2 * 64)
    assert made.last_weight * made.batch == pytest.approx(1e-4 * 64)
    assert key_patch_training("draft", 64, pictures=100).augmentation
    assert not key_patch_training("draft", 64, pictures=5000).augmentation


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": 1}, "batch must be at least 2"),
        ({"objective": "x"}, "objective must be one of"),
        ({"patches": "best"}, "patches must be one of"),
        ({"spatial": "l3"}, "spatial must be one of"),
        ({"compared_at": "x"}, "compared_at must be one of"),
        ({"candidates": 2}, r"candidates must be 0 or at least parts \(3\), got 2"),
        ({"last_weight": 0.0}, "last_weight must be above 0"),
        ({"noise": -1.0}, "noise must be 0 or more"),
        ({"whole_weight": -1.0}, "whole_weight must be 0 or more"),
        ({"least_side": 0.5}, "least <= most"),
        ({"width": 0}, "width must lie in"),
    ],
)
def test_trainings_that_cannot_be_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(QUICK, **changes)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="quality must be one of"):
        key_patch_training("best")  # pyright: ignore[reportArgumentType]


def test_cost_counts_what_the_critic_and_the_generator_do() -> None:
    settings = replace(QUICK, iterations=100)
    longer = replace(settings, iterations=200)
    assert expected_seconds(longer) == pytest.approx(2 * expected_seconds(settings))
    assert expected_seconds(settings, speed=2.0) == pytest.approx(expected_seconds(settings) / 2)
    # by hand: the critic's layers 32 px 3->2, 16 px 2->4, 8 px 4->8, 4 px 8->16, and the score
    layers = ((32, 3, 2), (16, 2, 4), (8, 4, 8), (4, 8, 16))
    critic = sum(side * side * 16 * a * b for side, a, b in layers)
    critic = 2 * (critic + 16 * 16)
    plain = training_operations(replace(settings, objective="plain"))
    composites = training_operations(settings)
    assert composites - plain == pytest.approx(2 * 3 * critic)
