"""Training a generator, an encoder and auxiliary networks, on networks of a few channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import ModelsError, TrainingDiverged, UnsuitablePicture
from intarsia_models.families.sngan.networks import (
    GeneratorSettings,
    SNGANGenerator,
)
from intarsia_models.gan_training import (
    Devices,
    PictureSet,
    TrainedGAN,
    TrainingProgress,
    auxiliary_training,
    encoder_training,
    gan_settings,
    train_auxiliary,
    train_encoder,
    train_gan,
)
from intarsia_models.gan_training.adversarial import GANLoop
from intarsia_models.gan_training.auxiliary import inner_steps
from intarsia_models.gan_training.averaging import WeightAverage, settle_statistics
from intarsia_models.gan_training.losses import critic_loss, generator_loss, mode_seeking_loss
from intarsia_models.gan_training.reconstruction import dissimilarity
from intarsia_models.gan_training.settings import GANSettings, rate_factor
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator, save_generator

CLASSES = ("lemon", "lime", "plum")


class Stopped(Exception):
    """What a test's tick raises."""


def tiny(**changes: Any) -> GANSettings:
    values: dict[str, Any] = {
        "width": 4,
        "critic_width": 4,
        "small": True,
        "z_dim": 8,
        "batch": 4,
        "iterations": 4,
        "crop": 0.0,
        "precision": "float32",
    }
    return gan_settings("draft", 32, **{**values, **changes})


def pictures(classes: tuple[str, ...] = CLASSES, count: int = 12, size: int = 32) -> PictureSet:
    source = torch.Generator().manual_seed(5)
    y = torch.arange(count) % max(1, len(classes))
    colours = torch.randint(0, 255, (max(1, len(classes)), 3, 1, 1), generator=source)
    noise = torch.randint(0, 60, (count, 3, size, size), generator=source)
    pixels = (colours[y] * 0.75 + noise).to(torch.uint8)
    return PictureSet(pixels, y, classes, tuple(f"{n}.png" for n in range(count)))


@pytest.fixture(scope="module")
def trained() -> TrainedGAN:
    return train_gan(pictures(), tiny(), seed=3)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_trained_generator_makes_pictures_of_its_classes(trained: TrainedGAN) -> None:
    generator = trained.generator
    made = generator.synthesize(generator.sample_z(3, 0), torch.arange(3))
    assert made.shape == (3, 3, 32, 32)
    assert made.abs().max() <= 1
    assert generator.labels == CLASSES
    assert generator.discriminator is not None
    assert not generator.training


def test_the_same_seed_trains_the_same_generator(trained: TrainedGAN) -> None:
    again = train_gan(pictures(), tiny(), seed=3)
    other = train_gan(pictures(), tiny(), seed=4)
    assert same_weights(again.generator, trained.generator)
    assert not same_weights(other.generator, trained.generator)


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(
    tmp_path: Path, trained: TrainedGAN
) -> None:
    ticks = 0

    def stop_in_the_third_iteration() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 6:
            raise Stopped

    settings = tiny()
    with pytest.raises(Stopped):
        train_gan(
            pictures(),
            settings,
            seed=3,
            tick=stop_in_the_third_iteration,
            checkpoint_folder=tmp_path,
            checkpoint_every_s=0,
        )
    seen: list[int] = []
    resumed = train_gan(
        pictures(),
        settings,
        seed=3,
        checkpoint_folder=tmp_path,
        on_progress=lambda progress: seen.append(progress.iteration),
    )
    assert seen == [3, 4]
    assert same_weights(resumed.generator, trained.generator)


def test_a_finished_training_goes_on_when_it_is_made_longer(tmp_path: Path) -> None:
    train_gan(pictures(), tiny(iterations=2), checkpoint_folder=tmp_path)
    seen: list[int] = []
    longer = train_gan(
        pictures(),
        tiny(iterations=4),
        checkpoint_folder=tmp_path,
        on_progress=lambda progress: seen.append(progress.iteration),
    )
    assert seen == [3, 4]
    assert [at for at, _ in longer.history] == [1, 2, 4]


def test_a_checkpoint_of_other_pictures_is_not_taken_up(tmp_path: Path) -> None:
    train_gan(pictures(), tiny(iterations=2), checkpoint_folder=tmp_path)
    seen: list[int] = []
    train_gan(
        pictures(count=16),
        tiny(iterations=2),
        checkpoint_folder=tmp_path,
        on_progress=lambda progress: seen.append(progress.iteration),
    )
    assert seen == [1, 2]


def test_progress_tells_losses_and_shows_a_row_per_class() -> None:
    seen: list[TrainingProgress] = []
    grids: list[Tensor] = []

    def follow(progress: TrainingProgress) -> None:
        seen.append(progress)
        grids.append(progress.preview())

    train_gan(pictures(), tiny(iterations=3), on_progress=follow)
    assert [progress.losses is not None for progress in seen] == [True, False, True]
    told = {"critic", "generator", "score_real", "score_generated", "mode_seeking"}
    assert set(seen[0].losses or ()) == told
    assert seen[-1].fraction == 1.0
    assert grids[-1].shape == (1, 3, 3 * 32, 8 * 32)


def test_looking_at_the_preview_changes_nothing(trained: TrainedGAN) -> None:
    def look(progress: TrainingProgress) -> None:
        progress.preview()

    looked = train_gan(pictures(), tiny(), seed=3, on_progress=look)
    assert same_weights(looked.generator, trained.generator)


def test_pictures_without_classes_train_an_unconditional_generator() -> None:
    found = train_gan(pictures(classes=()), tiny(iterations=2))
    made = found.generator.synthesize(found.generator.sample_z(2, 0))
    assert made.shape == (2, 3, 32, 32)
    assert found.generator.num_classes == 0


def test_mixed_precision_trains_too() -> None:
    found = train_gan(pictures(), tiny(iterations=2, precision="bfloat16"))
    assert all(torch.isfinite(value).all() for value in found.generator.state_dict().values())


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    with pytest.raises(TrainingDiverged, match="iteration 1 of 4"):
        loop = GANLoop(pictures(), tiny(), seed=0, devices=Devices())
        with torch.no_grad():
            next(loop.critic.parameters()).fill_(float("nan"))
        loop.run()


def test_a_model_is_saved_with_its_critic(tmp_path: Path, trained: TrainedGAN) -> None:
    save_generator(trained.generator, tmp_path / "model", card=trained.card())
    loaded = load_generator(tmp_path / "model")
    z, y = loaded.sample_z(2, 1), torch.tensor([0, 2])
    assert loaded.labels == CLASSES
    assert torch.allclose(loaded.synthesize(z, y), trained.generator.synthesize(z, y), atol=1e-5)
    assert loaded.discriminator is not None
    assert trained.generator.discriminator is not None
    x = loaded.synthesize(z, y)
    expected = trained.generator.discriminator.logits(x, y)
    assert torch.allclose(loaded.discriminator.logits(x, y), expected, atol=1e-4)


# --- pieces


def test_the_hinge_losses_are_those_of_the_formula() -> None:
    real, fake = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [1.0]])
    assert critic_loss(real, fake) == pytest.approx((0 + 0.5) / 2 + (0 + 2.0) / 2)
    assert generator_loss(fake) == pytest.approx(1.0)


def test_the_mode_seeking_loss_is_that_of_the_formula() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    pictures = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert mode_seeking_loss(pictures, z) == pytest.approx(2.0 / (0.5 + 0.01))


def test_the_average_forgets_the_first_weights_and_then_is_slow() -> None:
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 0.0)
    average = WeightAverage(network, 0.9)
    torch.nn.init.constant_(network.weight, 1.0)
    expected = 0.0
    for update in range(100):
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay)
        average.update(network)
    assert average.network.weight.item() == pytest.approx(expected, abs=1e-5)


def test_settled_statistics_are_the_mean_over_the_batches() -> None:
    generator = SNGANGenerator(GeneratorSettings((4, 4, 4), 2, z_dim=8))
    inputs = [torch.randn(6, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    y = torch.arange(6) % 2
    features = [generator.input(z).view(6, 4, 4, 4) for z in inputs]
    expected = torch.stack([f.mean((0, 2, 3)) for f in features]).mean(0)
    waiting = iter(inputs)
    settle_statistics(generator, lambda: generator(next(waiting), y), 3)
    first = generator.blocks[0].get_submodule("norm1")
    assert torch.allclose(first.get_buffer("running_mean"), expected, atol=1e-5)
    assert not generator.training


def test_learning_rates_fall_to_nothing_at_the_end() -> None:
    assert [rate_factor(done, 10, 0.8) for done in (0, 8, 9, 10)] == [1.0, 1.0, 0.5, 0.0]
    assert rate_factor(9, 10, 1.0) == 1.0


# --- encoder and auxiliary networks


@pytest.fixture
def generator(trained: TrainedGAN) -> Generator:
    made = train_gan(pictures(), tiny(), seed=3).generator
    assert same_weights(made, trained.generator)
    return made


def test_an_encoder_learns_to_make_pictures_again(generator: Generator) -> None:
    settings = encoder_training(
        "draft", width=4, batch=6, iterations=60, rate=2e-3, precision="float32"
    )
    found = train_encoder(generator, pictures(), settings, seed=1)
    losses = [losses["dissimilarity"] for _, losses in found.history]
    assert losses[-1] < losses[0]
    assert generator.encoder is not None
    z = generator.encoder(torch.zeros(2, 3, 32, 32), torch.tensor([0, 1]))
    assert z.shape == (2, 8)


def test_the_encoders_loss_is_the_cosine_of_the_flattened_features(generator: Generator) -> None:
    critic = generator.discriminator
    assert critic is not None
    one, two = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = dissimilarity(critic, one, critic.features(two))
    a, b = critic.features(one), critic.features(two)
    expected = 1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    assert torch.allclose(found, expected, atol=1e-5)


def test_an_inner_step_is_adagrad_on_zeta() -> None:
    source = torch.Generator().manual_seed(1)
    matrix = torch.randn(5, 5, generator=source, dtype=torch.float64)
    zeta = torch.randn(2, 5, generator=source, dtype=torch.float64, requires_grad=True)

    def loss_of(point: Tensor) -> Tensor:
        return (point @ matrix).square().sum()

    found = inner_steps(loss_of, zeta, steps=2, rate=0.01)
    plain = zeta.detach().clone().requires_grad_()
    optimizer = torch.optim.Adagrad([plain], lr=0.01, initial_accumulator_value=1e-8, eps=0.0)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = loss_of(plain)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    losses.append(loss_of(plain).item())
    assert torch.allclose(found.zeta, plain, atol=1e-12)
    assert [loss.item() for loss in found.losses] == pytest.approx(losses)


def test_gradients_flow_through_the_inner_steps() -> None:
    source = torch.Generator().manual_seed(1)
    matrix = torch.randn(4, 4, generator=source, dtype=torch.float64)
    zeta = torch.randn(1, 4, generator=source, dtype=torch.float64, requires_grad=True)

    def last_loss(start: Tensor) -> Tensor:
        return inner_steps(
            lambda point: (point @ matrix).tanh().square().sum(), start, steps=2, rate=0.05
        ).losses[-1]

    assert torch.autograd.gradcheck(last_loss, (zeta,), atol=1e-4)


def test_the_auxiliary_loss_is_that_of_the_formula(generator: Generator) -> None:
    from intarsia_models.gan_training.auxiliary import AuxiliaryLoop
    from intarsia_models.gan_training.reconstruction import prepare_target

    encoder = encoder_training("draft", width=4, batch=4, iterations=2, precision="float32")
    train_encoder(generator, pictures(), encoder)
    settings = auxiliary_training("draft", hidden=8, extended_dim=12, batch=3, iterations=2)
    target = prepare_target(generator, pictures(), 0.0)
    loop = AuxiliaryLoop(target, settings, seed=0, devices=Devices())
    batch = loop.drawn()
    zeta = loop.auxiliary.extend(loop.encoder(batch.x, batch.y))
    found = loop.inner(batch, zeta)

    def loss_of(point: Tensor) -> Tensor:
        made = generator.synthesize(loop.auxiliary.reduce(point), batch.y)
        assert generator.discriminator is not None
        a = generator.discriminator.features(made)
        b = generator.discriminator.features(batch.x)
        unlike = 1 - F.cosine_similarity(a, b)
        return (unlike + 0.05 * (made - batch.x).square().mean((1, 2, 3))).sum()

    (slope,) = torch.autograd.grad(loss_of(zeta), zeta)
    after = zeta - 2e-4 * slope / (slope.square() + 1e-8).sqrt()
    assert found.losses[0].item() == pytest.approx(loss_of(zeta).item(), abs=1e-5)
    assert found.losses[1].item() == pytest.approx(loss_of(after).item(), abs=1e-5)
    assert len(found.losses) == 3


def test_auxiliary_networks_are_trained_and_attached(generator: Generator) -> None:
    encoder = encoder_training("draft", width=4, batch=4, iterations=2, precision="float32")
    train_encoder(generator, pictures(), encoder)
    settings = auxiliary_training(
        "draft", hidden=8, extended_dim=12, batch=3, iterations=40, warm_up=0
    )
    found = train_auxiliary(generator, pictures(), settings)
    cycles = [losses["cycle"] for _, losses in found.history]
    assert cycles[-1] < cycles[0]
    auxiliary = generator.auxiliary
    assert auxiliary is not None
    assert auxiliary(torch.zeros(2, 8)).shape == (2, 8)


def test_a_warm_up_teaches_b_to_undo_a_alone(generator: Generator) -> None:
    encoder = encoder_training("draft", width=4, batch=4, iterations=2, precision="float32")
    train_encoder(generator, pictures(), encoder)
    settings = auxiliary_training(
        "draft", hidden=16, extended_dim=24, batch=3, iterations=61, warm_up=60
    )
    history = train_auxiliary(generator, pictures(), settings).history
    assert set(history[0][1]) == {"cycle"}
    assert history[3][1]["cycle"] < 0.6 * history[0][1]["cycle"]
    assert set(history[-1][1]) == {"loss_before", "loss_after", "cycle"}


def test_auxiliary_networks_resume_as_if_nothing_had_happened(
    tmp_path: Path, generator: Generator
) -> None:
    encoder = encoder_training("draft", width=4, batch=4, iterations=2, precision="float32")
    train_encoder(generator, pictures(), encoder)

    def run(folder: Path, iterations: int) -> torch.nn.Module:
        settings = auxiliary_training(
            "draft", hidden=8, extended_dim=12, batch=3, iterations=iterations, warm_up=1
        )
        train_auxiliary(generator, pictures(), settings, checkpoint_folder=folder)
        assert generator.auxiliary is not None
        return generator.auxiliary

    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    assert same_weights(run(tmp_path / "parts", 4), whole)


def test_what_is_missing_for_a_training_is_said(generator: Generator) -> None:
    settings = auxiliary_training("draft", hidden=8, extended_dim=12, iterations=1)
    generator.encoder = None
    with pytest.raises(ModelsError, match="Train an encoder"):
        train_auxiliary(generator, pictures(), settings)
    with pytest.raises(UnsuitablePicture, match="None of the model's classes"):
        train_encoder(generator, pictures(classes=("cat", "dog")), encoder_training("draft"))
    generator.discriminator = None
    with pytest.raises(ModelsError, match="discriminator"):
        train_encoder(generator, pictures(), encoder_training("draft"))


def test_classes_that_the_model_does_not_know_are_left_out(generator: Generator) -> None:
    told: list[str] = []
    settings = encoder_training("draft", width=4, batch=4, iterations=1, precision="float32")
    data = pictures(classes=("lime", "stone"))
    train_encoder(generator, data, settings, on_notice=told.append)
    assert told == ["Left out, because the model does not know them: stone"]
