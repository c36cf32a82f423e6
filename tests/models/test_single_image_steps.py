"""The training step: closed form, plain form, and the public code's."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.consingan_reference import reference_arrays

from intarsia_models.single_image import critic, reference_step
from intarsia_models.single_image.model import build_networks
from intarsia_models.single_image.networks import Discriminator
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.stage_training import StageTraining

DOUBLE = torch.float64


def no_tick() -> None:
    """For callers that are never paused."""


def random_critic(activation: str = "leaky_relu", channels: int = 6) -> Discriminator:
    settings = task_settings("harmonization", channels=channels, activation=activation)
    torch.manual_seed(1)
    return Discriminator(settings).to(DOUBLE)


def random_pictures() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(2)
    real, fake = torch.rand(2, 1, 3, 21, 26, generator=source, dtype=DOUBLE) * 2 - 1
    return real, fake


def reference_training(plain: bool) -> tuple[StageTraining, list[dict[str, float]]]:
    """Two iterations of the public code's example."""
    arrays = reference_arrays()

    def double(name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[name])

    settings = task_settings("generation", channels=6, stages=3, train_depth=2, iterations=2)
    networks = build_networks(settings, 3)
    for network, name in zip(networks, ("G", "D"), strict=True):
        network.to(DOUBLE)
        network.load_state_dict(
            {key: double(f"train.init.{name}.{key}") for key in network.state_dict()}
        )
    generator, discriminator = networks
    generator.noise_amplitudes = [1.0, *(float(value) for value in arrays["train.noise_amp"][1:])]
    sizes = [tuple(arrays[f"train.real.{n}"].shape[-2:]) for n in range(3)]
    training = StageTraining(
        generator,
        discriminator,
        double("train.real.2"),
        [double(f"train.fixed_noise.{n}") for n in range(3)],
        sizes,
        iterations=2,
        train_depth=2,
        tick=no_tick,
        plain=plain,
    )
    losses = []
    for iteration in range(2):
        noises = [double(f"train.noise.it{iteration}.{n}") for n in range(3)]
        epsilons = double("train.gp_alpha")[3 * iteration : 3 * iteration + 3]
        losses.append(training.iterate(iteration, noises, epsilons).read())
    return training, losses


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "closed_form"])
def test_two_iterations_equal_the_public_code(plain: bool) -> None:
    training, losses = reference_training(plain)
    arrays = reference_arrays()
    for name, network in (("G", training.generator), ("D", training.discriminator)):
        for key, value in network.state_dict().items():
            expected = arrays[f"train.final_torch2.{name}.{key}"]
            assert np.abs(value.numpy() - expected).max() < 1e-9, key
    log = json.loads(str(arrays["train.json"]))["log_torch2"]
    for iteration, found in enumerate(losses, start=1):
        expected = {
            "critic_real": log[f"Loss/train/D/real/2@{iteration}"],
            "critic_fake": log[f"Loss/train/D/fake/2@{iteration}"],
            "penalty": log[f"Loss/train/D/gradient_penalty/2@{iteration}"],
            "adversarial": log[f"Loss/train/G/gen@{iteration}"],
            "reconstruction": log[f"Loss/train/G/reconstruction@{iteration}"],
        }
        assert found == pytest.approx(expected, abs=1e-9)


def test_the_gradient_of_the_generator_equals_the_public_code() -> None:
    """After the second iteration; the public code logged the norm of every gradient."""
    training, _ = reference_training(plain=False)
    log = json.loads(str(reference_arrays()["train.json"]))["optimizer_steps"]
    norms = [
        float(parameter.grad.norm())
        for group in training.generator_optimizer.param_groups
        for parameter in group["params"]
    ]
    assert norms == pytest.approx(log[-1]["grad_norm_per_parameter"], rel=1e-3)


@pytest.mark.parametrize("penalty_weight", [0.0, 0.1, 10.0])
@pytest.mark.parametrize("batch_bytes", [0, 1 << 30], ids=["one_by_one", "batched"])
@pytest.mark.parametrize("channels", [6, 32], ids=["direct", "winograd"])
def test_closed_form_equals_automatic_differentiation(
    penalty_weight: float, batch_bytes: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(critic, "LARGEST_BATCH_BYTES", batch_bytes)
    discriminator, (real, fake) = random_critic(channels=channels), random_pictures()
    found = []
    for step in (reference_step, critic):
        losses = step.critic_gradients(
            discriminator,
            real,
            fake,
            torch.tensor(0.3, dtype=DOUBLE),
            penalty_weight=penalty_weight,
            tick=no_tick,
        )
        gradients = [parameter.grad for parameter in discriminator.parameters()]
        found.append(([losses.real, losses.fake, losses.penalty], gradients))
    for plain, closed in zip(*found, strict=True):
        for one, other in zip(plain, closed, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("channels", [6, 32], ids=["direct", "winograd"])
def test_closed_form_of_the_score_gradient_equals_automatic_differentiation(channels: int) -> None:
    discriminator, (_, fake) = random_critic(channels=channels), random_pictures()
    plain = reference_step.score_gradient(discriminator, fake, tick=no_tick)
    closed = critic.score_gradient(discriminator, fake, tick=no_tick)
    for one, other in zip(plain, closed, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("task", ["generation", "harmonization", "animation"])
def test_a_step_with_fast_convolutions_equals_the_plain_one(task: Any) -> None:
    sizes = [(22, 25), (30, 34)]
    settings = task_settings(task, channels=32, stages=2, train_depth=2)
    found = []
    for plain in (True, False):
        torch.manual_seed(3)
        generator, discriminator = build_networks(settings, 2)
        generator, discriminator = generator.to(DOUBLE), discriminator.to(DOUBLE)
        generator.noise_amplitudes = [1.0, 0.3]
        noises = [torch.randn(1, *shape, dtype=DOUBLE) for shape in generator.noise_shapes(sizes)]
        training = StageTraining(
            generator,
            discriminator,
            torch.rand(1, 3, *sizes[-1], dtype=DOUBLE) * 2 - 1,
            noises,
            sizes,
            iterations=10,
            train_depth=2,
            tick=no_tick,
            plain=plain,
        )
        draws = [torch.randn_like(noise) for noise in noises]
        epsilons = torch.rand(settings.critic_steps, dtype=DOUBLE)
        losses = training.iterate(0, draws, epsilons).read()
        groups = training.generator_optimizer.param_groups
        found.append((losses, [p.grad for group in groups for p in group["params"]]))
    (plain_losses, expected), (losses, gradients) = found
    assert losses == pytest.approx(plain_losses, rel=1e-9, abs=1e-12)
    assert max(float(gradient.abs().max()) for gradient in gradients) > 1e-6
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-11)


def test_a_gradient_of_zero_gives_no_numbers_that_are_none() -> None:
    discriminator, (real, fake) = random_critic(), random_pictures()
    with torch.no_grad():
        discriminator.tail.weight.zero_()
    critic.critic_gradients(
        discriminator, real, fake, torch.tensor(0.5), penalty_weight=0.1, tick=no_tick
    )
    for parameter in discriminator.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("activation", ["prelu", "elu", "selu"])
def test_other_activations_use_automatic_differentiation(activation: str) -> None:
    assert not critic.has_closed_form(random_critic(activation))


@pytest.mark.parametrize("border_task", ["generation", "retarget"])
def test_frozen_stages_do_not_move_and_their_features_are_kept(border_task: str) -> None:
    settings = task_settings(border_task, channels=4, stages=3, train_depth=1, iterations=10)
    generator, discriminator = build_networks(settings, 3)
    sizes = [(11, 13), (14, 17), (18, 22)]
    source = torch.Generator().manual_seed(0)
    shapes = generator.noise_shapes(sizes)
    fixed, fresh = (
        [torch.randn(1, *shape, generator=source) for shape in shapes] for _ in range(2)
    )
    real = torch.rand(1, 3, 18, 22, generator=source) * 2 - 1
    generator.noise_amplitudes = [1.0, 0.1, 0.1]
    training = StageTraining(
        generator,
        discriminator,
        real,
        fixed,
        sizes,
        iterations=10,
        train_depth=1,
        tick=no_tick,
    )
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    training.iterate(0, fresh, torch.rand(3, generator=source))
    moved = {key for key, value in generator.state_dict().items() if not value.equal(before[key])}
    assert moved == {key for key in before if key.startswith(("body.2.", "tail."))}
    cached = training.reconstruction()
    torch.testing.assert_close(cached, generator(fixed, sizes))


def test_learning_rates_fall_with_age_and_near_the_end() -> None:
    settings = task_settings("harmonization", channels=4, iterations=10)
    generator, discriminator = build_networks(settings, 3)
    sizes = [(11, 12), (13, 14), (15, 16)]
    noises = [torch.randn(1, *shape) for shape in generator.noise_shapes(sizes)]
    training = StageTraining(
        generator,
        discriminator,
        torch.zeros(1, 3, 15, 16),
        noises,
        sizes,
        iterations=10,
        train_depth=3,
        tick=no_tick,
    )
    training.iterate(7, noises, torch.rand(3))
    early = [group["lr"] for group in training.generator_optimizer.param_groups]
    training.iterate(8, noises, torch.rand(3))
    late = [group["lr"] for group in training.generator_optimizer.param_groups]
    assert early == pytest.approx([5e-6, 5e-5, 5e-4, 5e-6, 5e-4])  # stages 0-2, head, tail
    assert late == pytest.approx([rate * 0.1 for rate in early])


def test_a_raising_tick_stops_in_the_middle_of_an_iteration() -> None:
    class Stopped(Exception):
        pass

    ticks = 0

    def count() -> None:
        nonlocal ticks
        ticks += 1

    settings = task_settings("harmonization", channels=4, iterations=10)
    generator, discriminator = build_networks(settings, 3)
    sizes = [(11, 12), (13, 14), (15, 16)]
    noises = [torch.randn(1, *shape) for shape in generator.noise_shapes(sizes)]
    training = StageTraining(
        generator,
        discriminator,
        torch.zeros(1, 3, 15, 16),
        noises,
        sizes,
        iterations=10,
        train_depth=3,
        tick=count,
    )
    training.iterate(0, noises, torch.rand(3))
    assert ticks > 60
    for at in range(1, ticks, 7):
        left = at

        def stop_there() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Stopped

        training.tick = stop_there
        with pytest.raises(Stopped):
            training.iterate(1, noises, torch.rand(3))


@pytest.mark.parametrize("batch_bytes", [0, 1 << 30], ids=["one_by_one", "batched"])
def test_the_critics_gradients_in_bfloat16_point_the_same_way(
    batch_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(critic, "LARGEST_BATCH_BYTES", batch_bytes)
    discriminator = random_critic().float()
    real, fake = (picture.float() for picture in random_pictures())
    found = []
    for arithmetic in (None, torch.bfloat16):
        losses = critic.critic_gradients(
            discriminator,
            real,
            fake,
            torch.tensor(0.3),
            penalty_weight=0.1,
            tick=no_tick,
            arithmetic=arithmetic,
        )
        gradients = [p.grad.clone() for p in discriminator.parameters() if p.grad is not None]
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        found.append((torch.stack([losses.real, losses.fake, losses.penalty]), gradients))
    (losses, plain), (rough_losses, rough) = found
    torch.testing.assert_close(rough_losses, losses, rtol=0.02, atol=2e-3)
    one, other = (torch.cat([g.flatten() for g in gradients]) for gradients in (plain, rough))
    assert torch.cosine_similarity(one, other, dim=0) > 0.99
    scores = [
        critic.score_gradient(discriminator, fake, tick=no_tick, arithmetic=arithmetic)[1]
        for arithmetic in (None, torch.bfloat16)
    ]
    assert scores[1].dtype == torch.float32
    assert torch.cosine_similarity(*(slope.flatten() for slope in scores), dim=0) > 0.99


@pytest.mark.parametrize("task", ["generation", "harmonization"])
def test_rough_arithmetic_hardly_changes_an_iteration(task: str) -> None:
    settings = task_settings(task, channels=8, stages=3, iterations=10)
    sizes, found = [(15, 18), (20, 24), (26, 32)], []
    for arithmetic in (None, torch.bfloat16):
        source = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        generator, discriminator = build_networks(settings, 3)
        generator.noise_amplitudes = [1.0, 0.1, 0.1]
        noises = [torch.randn(1, *s, generator=source) for s in generator.noise_shapes(sizes)]
        training = StageTraining(
            generator,
            discriminator,
            torch.rand(1, 3, 26, 32, generator=source) * 2 - 1,
            noises,
            sizes,
            iterations=10,
            train_depth=3,
            tick=no_tick,
            arithmetic=arithmetic,
        )
        losses = training.iterate(0, noises, torch.rand(3, generator=source)).read()
        gradients = [p.grad.flatten() for p in generator.parameters() if p.grad is not None]
        found.append((losses, torch.cat(gradients)))
        assert all(p.dtype == torch.float32 for p in generator.parameters())
        made = generator.eval().synthesize(noises, sizes)
        assert made.dtype == torch.float32
    (losses, gradient), (rough_losses, rough) = found
    assert rough_losses == pytest.approx(losses, rel=0.02, abs=5e-3)
    assert torch.cosine_similarity(gradient, rough, dim=0) > 0.98
