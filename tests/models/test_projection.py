"""Projection on a tiny generator with random weights."""

import pytest
import torch
from tests.fakes.small_generators import small_generator
from torch import Tensor, nn

from intarsia_models.families.sngan.networks import SNGANDiscriminator, SNGANGenerator
from intarsia_models.projection import (
    Projection,
    Step,
    fit_of,
    guess_class,
    perceptual,
    project,
)
from intarsia_models.projection.descent import descend
from intarsia_models.projection.distances import (
    DiscriminatorDistance,
    PixelDistance,
    distance_to,
)


@pytest.fixture(scope="module")
def generator() -> SNGANGenerator:
    return small_generator()


@pytest.fixture(scope="module")
def alone() -> SNGANGenerator:
    """Without discriminator, encoder and auxiliary networks."""
    return small_generator(companions=False)


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch):
    """As on a machine where nobody has put one."""
    monkeypatch.setattr(perceptual, "find_backbone", lambda *_, **__: None)


def picture_of(generator: SNGANGenerator, seed: int = 3, label: int = 1) -> tuple[Tensor, Tensor]:
    y = torch.tensor([label])
    with torch.no_grad():
        return generator.synthesize(generator.sample_z(1, seed), y), y


def test_a_generated_picture_is_found_again_from_random_starts(alone):
    picture, y = picture_of(alone)
    found = project(alone, picture, y, steps=150, seed=1)
    assert found.start == "random" and found.distance == "multi-scale pixels"
    assert found.fit > 0.9
    assert found.loss < 0.3 * found.losses[0]


def test_the_discriminator_is_the_measure_where_there_is_one(generator):
    picture, y = picture_of(generator)
    found = project(generator, picture, y, steps=60, space="z", start="random", seed=1)
    assert found.distance == "discriminator"
    assert found.loss < -0.99


@pytest.mark.parametrize("space", ["z", "extended"])
def test_steps_bring_it_nearer_and_the_best_is_kept(generator, space):
    picture, y = picture_of(generator)
    found = project(generator, picture, y, steps=30, space=space)
    assert len(found.losses) == 31
    assert found.loss == min(found.losses) < found.losses[0]
    again = generator.synthesize(found.z, found.y)
    assert float((again - found.reconstruction).abs().max()) < 1e-5
    assert found.fit == fit_of(found.reconstruction, picture)


def test_too_large_a_step_size_does_no_worse_than_the_start(generator):
    picture, y = picture_of(generator)
    found = project(generator, picture, y, steps=12, space="z", lr=50.0)
    assert found.losses[-1] > found.losses[0]
    assert found.loss <= found.losses[0]


def test_no_steps_return_the_encoders_latent(generator):
    picture, y = picture_of(generator)
    found = project(generator, picture, y, steps=0, space="z")
    assert generator.encoder is not None and found.z is not None
    assert torch.allclose(found.z, generator.encoder(picture, y), atol=1e-5)


@pytest.mark.parametrize("space", ["z", "extended"])
def test_an_earlier_projection_is_gone_on_with(generator, space):
    picture, y = picture_of(generator)
    first = project(generator, picture, y, steps=10, space=space)
    second = project(generator, picture, y, steps=10, space=space, latent=first)
    assert second.start == "earlier"
    assert second.losses[0] == pytest.approx(first.loss, abs=1e-5)
    assert second.loss <= first.loss


def test_a_bare_latent_is_gone_on_with(generator):
    picture, y = picture_of(generator)
    z = generator.sample_z(1, 3)
    found = project(generator, picture, y, steps=0, space="z", latent=z)
    assert found.z is not None and torch.equal(found.z, z)
    assert found.fit > 0.999


def test_the_same_seed_gives_the_same_latent_and_another_seed_another(alone):
    picture, y = picture_of(alone)
    one, same, other = (project(alone, picture, y, steps=6, seed=s) for s in (1, 1, 2))
    assert one.z is not None and same.z is not None and other.z is not None
    assert torch.equal(one.z, same.z)
    assert not torch.equal(one.z, other.z)


def test_neither_weights_nor_torchs_global_state_change(generator):
    picture, y = picture_of(generator)
    generator.requires_grad_(True)
    try:
        before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
        numbers, gradients = torch.get_rng_state(), torch.is_grad_enabled()
        project(generator, picture, y, steps=3, start="random")
        assert all(torch.equal(before[k], v) for k, v in generator.state_dict().items())
        assert all(p.grad is None for p in generator.parameters())
        assert torch.equal(torch.get_rng_state(), numbers)
        assert torch.is_grad_enabled() == gradients
    finally:
        generator.requires_grad_(False)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_it_works_where_the_caller_wants_no_gradients(generator, mode):
    with mode():
        picture, y = picture_of(generator)
        found = project(generator, picture.clone(), y.clone(), steps=5, space="z")
    assert found.loss < found.losses[0]


def test_progress_tells_every_picture_and_shows_the_best(generator):
    picture, y = picture_of(generator)
    told: list[Step] = []
    found = project(generator, picture, y, steps=8, space="z", on_step=told.append)
    assert [step.step for step in told] == list(range(9))
    assert {step.steps for step in told} == {8}
    assert [step.loss for step in told] == found.losses
    best = [step.best_loss for step in told]
    assert best == sorted(best, reverse=True) and best[-1] == found.loss
    assert torch.equal(told[-1].picture(), found.reconstruction)
    assert not told[-1].picture().requires_grad


def test_progress_of_random_starts_counts_through(alone):
    picture, y = picture_of(alone)
    told: list[Step] = []
    found = project(alone, picture, y, steps=8, on_step=told.append)
    steps = [step.step for step in told]
    assert steps[-1] == 8 and steps == sorted(steps) and set(steps) == set(range(9))
    assert len(found.losses) == 9


def test_a_tick_that_raises_cancels(generator):
    picture, y = picture_of(generator)
    calls = []

    def tick() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        project(generator, picture, y, steps=50, tick=tick)
    assert len(calls) == 3


def test_soft_labels_and_no_classes_are_projected_too(generator):
    picture, _ = picture_of(generator)
    y = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert project(generator, picture, y, steps=2, space="z").y is not None
    unconditional = small_generator(classes=False)
    z = unconditional.sample_z(1, 2)
    found = project(unconditional, unconditional.synthesize(z), steps=5)
    assert found.y is None and found.loss < found.losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps must be 0 or more"),
        ({"restarts": 0}, "restarts must be 1 or more"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"space": "w"}, "space must be one of"),
        ({"space": "w_plus"}, "has no styles"),
        ({"space": "extended"}, "no auxiliary networks"),
        ({"start": "encoder"}, "no encoder"),
        ({"start": "zero"}, "start must be one of"),
        ({"latent": torch.zeros(1, 3)}, r"latent must be \(1, 16\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(alone, options, message):
    picture, y = picture_of(alone)
    with pytest.raises(ValueError, match=message):
        project(alone, picture, y, **options)


def test_unsuitable_pictures_are_refused_with_a_sentence(alone):
    picture, y = picture_of(alone)
    with pytest.raises(ValueError, match=r"picture must be \(1, 3, 32, 32\)"):
        project(alone, picture[..., :16], y)
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\]"):
        project(alone, picture * 200, y)
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\]"):
        project(alone, picture * torch.nan, y)
    with pytest.raises(ValueError, match="eval mode"):
        project(small_generator(companions=False).train(), picture, y)


def test_a_start_without_a_finite_loss_is_an_error():
    def evaluate(latents: Tensor) -> tuple[Tensor, Tensor]:
        return latents.sum(1) * torch.nan, latents[:, None, None]

    with pytest.raises(ValueError, match="no finite loss"):
        descend(torch.ones(1, 4), evaluate, steps=3, lr=0.1)


def test_every_start_of_a_batch_descends_by_itself():
    target = torch.tensor([[3.0, -1.0]])

    def evaluate(latents: Tensor) -> tuple[Tensor, Tensor]:
        return (latents - target).square().sum(1), latents[:, :, None, None]

    starts = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    together = descend(starts, evaluate, steps=40, lr=0.2)
    for index in range(2):
        single = descend(starts[index : index + 1], evaluate, steps=40, lr=0.2)
        assert torch.allclose(single.best, together.best[index : index + 1], atol=1e-6)
    assert float((together.best[0] - target).abs().max()) < 0.1


def test_distances_are_least_for_the_same_picture(generator):
    picture, _ = picture_of(generator, 3)
    other, _ = picture_of(generator, 4)
    assert generator.discriminator is not None
    for distance in (
        PixelDistance(picture),
        DiscriminatorDistance(generator.discriminator, picture),
    ):
        nearer = 0.9 * picture + 0.1 * other
        values = distance(torch.cat((picture, nearer, other)))
        assert values.shape == (3,)
        assert bool((values.diff() > 0).all())
    assert float(PixelDistance(picture)(picture)) == 0.0
    assert float(DiscriminatorDistance(generator.discriminator, picture)(picture)) == (
        pytest.approx(-1.0, abs=1e-5)
    )


def test_the_distance_goes_by_what_the_generator_has(generator, alone):
    picture, _ = picture_of(generator)
    assert distance_to(picture, generator, 0.2).name == "discriminator"
    assert distance_to(picture, alone, 0.2).name == "multi-scale pixels"


class GreyMetric(nn.Module):
    """Stands for LPIPS: only brightness counts."""

    def features(self, pictures: Tensor) -> list[Tensor]:
        return [pictures.mean(1, keepdim=True)]

    def between(self, features: list[Tensor], others: list[Tensor]) -> Tensor:
        return (features[0] - others[0]).square().mean((1, 2, 3))


def test_a_perceptual_measure_is_taken_where_there_is_no_discriminator(
    generator, alone, monkeypatch
):
    monkeypatch.setattr(perceptual, "find_backbone", lambda *_, **__: object())
    monkeypatch.setattr(perceptual, "load_metric", GreyMetric)
    picture, y = picture_of(alone)
    found = project(alone, picture, y, steps=10, seed=1)
    assert found.distance == "perceptual"
    assert found.loss < found.losses[0]
    assert project(generator, picture, y, steps=0).distance == "discriminator"


def test_fit_is_one_for_the_same_picture_and_falls_with_what_it_lacks(generator):
    picture, _ = picture_of(generator)
    colour = picture.mean((2, 3), keepdim=True).expand_as(picture)
    half = 0.5 * (picture + colour)
    grey = torch.zeros_like(picture)
    assert fit_of(picture, picture) == 1.0
    found = [fit_of(other, picture) for other in (picture, half, colour, grey, -picture)]
    assert found == sorted(found, reverse=True)
    assert found[1] > 0.7 and found[3] < 0.05 and found[4] == 0.0


def test_fit_is_the_concordance_of_the_values():
    """By hand: variances 1 and 4, covariance 2, means 0 and 1: 4 / (1 + 4 + 1)."""
    signs = torch.ones(1, 3, 8, 8)
    signs[..., ::2] = -1.0
    assert fit_of(0.1 * signs, 0.2 * signs + 0.1) == pytest.approx(4 / 6, abs=0.01)


def test_fit_of_a_flat_picture_is_a_number():
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert fit_of(flat, flat) == 1.0
    assert fit_of(-flat, flat) == pytest.approx(0.0, abs=0.01)


def ranks(found: list[tuple[int, float]]) -> list[int]:
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    assert sum(score for _, score in found) == pytest.approx(1.0, abs=1e-4)
    return [index for index, _ in found]


def test_a_class_is_guessed_by_discriminator_and_encoder(generator):
    picture, _ = picture_of(generator)
    assert sorted(ranks(guess_class(generator, picture))) == [0, 1, 2, 3]


@pytest.mark.parametrize("label", range(4))
def test_a_class_is_guessed_from_the_generator_alone(alone, label):
    picture, _ = picture_of(alone, seed=8, label=label)
    assert ranks(guess_class(alone, picture))[0] == label


def test_a_discriminator_that_likes_a_class_decides_without_an_encoder():
    network = small_generator()
    network.encoder = None
    picture, _ = picture_of(network)
    assert isinstance(network.discriminator, SNGANDiscriminator)
    one_pass = network.discriminator.class_scores(picture)[0]
    assert ranks(guess_class(network, picture)) == one_pass.argsort(descending=True).tolist()


def test_class_scores_are_what_the_logits_differ_by():
    network = small_generator()
    assert isinstance(network.discriminator, SNGANDiscriminator)
    picture, _ = picture_of(network)
    scores = network.discriminator.class_scores(picture)[0]
    logits = network.discriminator.logits(picture.expand(4, -1, -1, -1), torch.arange(4))[:, 0]
    plain = network.discriminator.logits(picture)[0]
    assert torch.allclose(logits - plain, scores, atol=1e-5)


def test_the_class_is_guessed_where_nobody_named_it(generator):
    picture, _ = picture_of(generator)
    found = project(generator, picture, steps=0, space="z")
    assert isinstance(found, Projection) and found.y is not None
    assert int(found.y) == guess_class(generator, picture)[0][0]


def test_there_is_nothing_to_guess_without_classes():
    with pytest.raises(ValueError, match="no classes"):
        guess_class(small_generator(classes=False), torch.zeros(1, 3, 32, 32))
