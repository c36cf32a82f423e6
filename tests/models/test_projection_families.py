"""Projection of pictures of every family with a z, on tiny random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.models.biggan_files import (
    deep_discriminator_file,
    deep_generator_file,
    discriminator_file,
    generator_file,
    huggingface_file,
)
from torch import Tensor

from intarsia_models.families.proggan import ProGANGenerator, ProGANSettings
from intarsia_models.families.stylegan2 import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator
from intarsia_models.projection import guess_class, perceptual, project
from intarsia_models.projection.class_guess import JudgesClasses

STEPS = 6


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch):
    """As on a machine where nobody has put one."""
    monkeypatch.setattr(perceptual, "find_backbone", lambda *_, **__: None)


def of_file(
    tensors: dict[str, Tensor], folder: Path, judge: dict[str, Tensor] | None = None
) -> Generator:
    torch.save(tensors, folder / "G.pth")
    if judge is None:
        return load_generator(folder / "G.pth")
    torch.save(judge, folder / "D.pth")
    return load_generator(folder / "G.pth", discriminator=folder / "D.pth")


def proggan() -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ProGANGenerator(ProGANSettings((8, 8, 6, 6), 10)).eval().requires_grad_(False)


def stylegan2() -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = GeneratorSettings((8, 8, 6), 6, 8, 2, 3)
        return StyleGAN2Generator(sizes).eval().requires_grad_(False)


FAMILIES: dict[str, Callable[[Path], Generator]] = {
    "BigGAN": lambda folder: of_file(generator_file(), folder),
    "BigGAN with discriminator": lambda folder: of_file(
        generator_file(), folder, discriminator_file()
    ),
    "BigGAN-deep with discriminator": lambda folder: of_file(
        deep_generator_file(), folder, deep_discriminator_file()
    ),
    "BigGAN-deep of huggingface": lambda folder: of_file(huggingface_file(), folder),
    "ProGAN": lambda _: proggan(),
    "StyleGAN2 with classes": lambda _: stylegan2(),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_of_every_family_is_approached_in_z(name, tmp_path):
    generator = FAMILIES[name](tmp_path)
    y = torch.tensor([1]) if generator.num_classes else None
    with torch.inference_mode():
        picture = generator.synthesize(generator.sample_z(1, 7), y).clamp(-1, 1)
    found = project(generator, picture, y, steps=STEPS, restarts=1, space="z", seed=2)
    assert found.loss < found.losses[0]
    assert found.distance == (
        "multi-scale pixels" if generator.discriminator is None else "discriminator"
    )
    again = generator.synthesize(found.z, found.y)
    assert float((again - found.reconstruction).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("generator", "judge"),
    [(generator_file, discriminator_file), (deep_generator_file, deep_discriminator_file)],
)
def test_biggans_discriminator_scores_all_classes_as_its_logits_do(generator, judge, tmp_path):
    network = of_file(generator(), tmp_path, judge())
    critic = network.discriminator
    assert critic is not None and isinstance(critic, JudgesClasses)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = torch.arange(network.num_classes)
    with torch.no_grad():
        logits = critic.logits(picture.expand(len(labels), -1, -1, -1), labels)[:, 0]
        scores = critic.class_scores(picture)[0]
        assert torch.allclose(logits - critic.logits(picture)[0], scores, atol=1e-4)
    ranked = [index for index, _ in guess_class(network, picture)]
    assert ranked == logits.argsort(descending=True, stable=True).tolist()
