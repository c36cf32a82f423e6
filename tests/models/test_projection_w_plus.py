"""Projection into styles: a picture of the generator itself is found again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intarsia_models.families.stylegan1.generator import StyleGAN1Generator, StyleGAN1Settings
from intarsia_models.families.stylegan2 import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import DiscriminatorSettings, GeneratorSettings
from intarsia_models.generators.generator import Generator
from intarsia_models.projection import Projection, Step, project
from intarsia_models.projection.w_plus import noise_correlation, project_w_plus, schedule


def stylegan2(num_classes: int = 0, judge: bool = True) -> StyleGAN2Generator:
    discriminator = DiscriminatorSettings(
        (6, 6, 8), 8, class_width=8 if num_classes else 0, class_layers=2 if num_classes else 0
    )
    sizes = GeneratorSettings(
        (8, 8, 6), 6, 8, 2, num_classes, discriminator=discriminator if judge else None
    )
    torch.manual_seed(0)
    generator = StyleGAN2Generator(sizes).eval().requires_grad_(False)
    for name, tensor in [*generator.named_parameters(), *generator.named_buffers()]:
        if name.endswith(".noise"):
            tensor.normal_()
        elif name.endswith("noise_strength"):
            tensor.fill_(0.1)
        elif name.startswith("convs.") and name.endswith("style.bias"):
            tensor.add_(1.0)
        elif name.startswith("to_rgb.") and name.endswith(".weight"):
            tensor.mul_(0.3)
    generator.w_avg = generator.styles(
        torch.randn(256, 6), torch.randint(0, num_classes, (256,)) if num_classes else None
    ).mean((0, 1))
    return generator


def stylegan1() -> StyleGAN1Generator:
    torch.manual_seed(0)
    sizes = StyleGAN1Settings((8, 8, 6), (False, False, False), 6, 2)
    return StyleGAN1Generator(sizes).eval().requires_grad_(False)


def picture_of(generator: Generator) -> Tensor:
    z = generator.sample_z(1, 7)
    y = torch.tensor([1]) if generator.num_classes else None
    return generator.synthesize(z, y).clamp(-1, 1)


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan1", "without a judge"])
def test_a_picture_of_the_generator_is_found_again(kind: str) -> None:
    generator = stylegan1() if kind == "stylegan1" else stylegan2(judge=kind == "stylegan2")
    target = picture_of(generator)
    found = project(generator, target, steps=120)
    start = project(generator, target, steps=0)
    assert found.space == "w_plus"
    assert found.start == start.start == "mean"
    assert found.distance == ("discriminator" if kind == "stylegan2" else "multi-scale pixels")
    assert found.w_plus is not None
    assert found.z is None
    assert found.w_plus.shape == (1, 6 if kind != "stylegan1" else 3, generator.w_dim)
    gap = (start.reconstruction - target).square().mean()
    assert float((found.reconstruction - target).square().mean()) < 0.2 * float(gap)
    assert found.fit > start.fit
    again = generator.synthesize(None, w_plus=found.w_plus)
    torch.testing.assert_close(again, found.reconstruction, atol=1e-5, rtol=0)


def test_the_best_iterate_is_kept_and_steps_are_told() -> None:
    generator = stylegan2()
    told: list[Step] = []
    found = project_w_plus(generator, picture_of(generator), steps=12, lr=3.0, on_step=told.append)
    assert found.loss == min(found.losses)
    assert len(found.losses) == len(told) == 13
    assert [step.best_loss for step in told] == [
        min(found.losses[: index + 1]) for index in range(13)
    ]
    torch.testing.assert_close(told[-1].picture(), found.reconstruction)


def test_the_same_seed_gives_the_same_styles_and_the_caller_s_mode_does_not_matter() -> None:
    generator, target = stylegan2(), picture_of(stylegan2())
    first = project_w_plus(generator, target, steps=4, start="random", seed=3)
    with torch.inference_mode():
        second = project_w_plus(generator, target, steps=4, start="random", seed=3)
    assert first.start == "random"
    assert first.losses == second.losses
    assert first.w_plus is not None
    assert second.w_plus is not None
    assert torch.equal(first.w_plus, second.w_plus)


def test_a_projection_goes_on_from_an_earlier_one() -> None:
    generator = stylegan2()
    target = picture_of(generator)
    first = project(generator, target, steps=60)
    on = project(generator, target, steps=5, lr=0.01, latent=first)
    assert on.start == "earlier"
    assert on.losses[0] == pytest.approx(first.loss, abs=1e-6)
    z = generator.sample_z(1, 7)
    there = project(generator, target, steps=0, latent=z)
    torch.testing.assert_close(there.reconstruction, generator.synthesize(z))
    assert first.w_plus is not None
    same = project_w_plus(generator, target, steps=0, latent=first.w_plus)
    torch.testing.assert_close(same.reconstruction, first.reconstruction)


def test_classes_tell_where_the_search_begins() -> None:
    generator = stylegan2(3)
    target = picture_of(generator)
    starts = []
    for k in range(3):
        found = project_w_plus(generator, target, torch.tensor([k]), steps=0)
        assert found.y is not None
        assert found.y.tolist() == [k]
        starts.append(found.reconstruction)
        rows = torch.nn.functional.one_hot(torch.tensor([k]), 3).float()
        same = project_w_plus(generator, target, rows, steps=0)
        torch.testing.assert_close(same.reconstruction, found.reconstruction)
    assert not torch.allclose(starts[0], starts[1], atol=1e-3)
    guessed = project_w_plus(generator, target, steps=0)
    assert guessed.y is not None
    assert guessed.y.item() in range(3)


def test_noise_maps_are_left_alone_or_found_with_mean_zero_and_variance_one() -> None:
    generator = stylegan2()
    target = picture_of(generator)
    before = [part.clone() for part in generator.stored_noise()]
    plain = project_w_plus(generator, target, steps=3)
    assert plain.noise is None
    found = project_w_plus(generator, target, steps=10, noise_weight=1.0)
    assert found.noise is not None
    assert found.w_plus is not None
    for part, own in zip(found.noise, generator.stored_noise(), strict=True):
        assert part.shape == own.shape
        assert abs(float(part.mean())) < 1e-5
        assert float(part.square().mean()) == pytest.approx(1.0, abs=1e-4)
    picture = generator.synthesize(None, w_plus=found.w_plus, noise=found.noise)
    torch.testing.assert_close(picture, found.reconstruction, atol=1e-5, rtol=0)
    assert all(map(torch.equal, before, generator.stored_noise()))
    on = project_w_plus(generator, target, steps=0, noise_weight=1.0, latent=found)
    assert on.losses[0] == pytest.approx(found.loss, abs=1e-5)


def test_smooth_noise_is_worse_than_white_noise() -> None:
    white = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    wave = torch.linspace(0, 6.283, 32).sin().expand(1, 1, 32, 32) * 2**0.5
    assert float(noise_correlation([wave])) > 20 * float(noise_correlation([white]))


def test_the_learning_rate_rises_stays_and_falls() -> None:
    assert schedule(0.0) == schedule(1.0) == 0.0
    assert schedule(0.025) == pytest.approx(0.5)
    assert schedule(0.05) == schedule(0.5) == schedule(0.75) == 1.0
    assert schedule(0.875) == pytest.approx(0.5)


def test_what_does_not_fit_is_refused() -> None:
    generator = stylegan2()
    target = picture_of(generator)
    with pytest.raises(ValueError, match=r"latent must be \(1, 6, 8\), got \(1, 5, 8\)"):
        project_w_plus(generator, target, latent=torch.zeros(1, 5, 8))
    with pytest.raises(ValueError, match=r'start must be "auto"'):
        project_w_plus(generator, target, start="middle")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="must be 0 or more"):
        project_w_plus(generator, target, steps=-1)
    with pytest.raises(ValueError, match=r"picture must be \(1, 3, 16, 16\)"):
        project_w_plus(generator, torch.zeros(1, 3, 8, 8))

    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project_w_plus(generator, target, tick=cancel)


def test_lpips_is_used_where_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from intarsia_models.projection import perceptual
    from intarsia_models.projection.perceptual import BACKBONES, PerceptualMetric

    generator = stylegan2()
    target = picture_of(generator)
    torch.manual_seed(1)
    metric = PerceptualMetric("squeeze", random_squeezenet())
    found = project_w_plus(generator, target, steps=6, metric=metric)
    assert found.distance == "perceptual"
    assert found.loss < found.losses[0]
    assert isinstance(found, Projection)
    monkeypatch.setattr(perceptual, "find_backbone", lambda: (BACKBONES[2], "anywhere"))
    monkeypatch.setattr(perceptual, "load_metric", lambda: metric)
    assert project(generator, target, steps=0).distance == "perceptual"
    assert project_w_plus(generator, target, steps=0, metric=None).distance == "discriminator"


def random_squeezenet() -> dict[str, Tensor]:
    from torchvision.models import squeezenet1_1

    return squeezenet1_1(weights=None).state_dict()
