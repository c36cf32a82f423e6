"""A complete, tiny, conditional generator pack, made in a second, for tests of what uses packs.

Its weights are random, yet its classes look different: relabelling shows. Its pictures are nothing
that anybody would want to see.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import torch

from intarsia_daemon.model_store import ModelStore
from intarsia_models.families.sngan.networks import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
    SNGANAuxiliary,
    SNGANDiscriminator,
    SNGANEncoder,
    SNGANGenerator,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import save_generator
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.latent_composition.settings import RegressorSettings

LABELS = ("lemon", "lime", "apple", "plum")
RESOLUTION = 32
Z_DIM = 16
TITLE = "Small fruit"
SETTLING_PASSES = 60
TEACHING_STEPS = 100


def small_generator(
    *, companions: bool = True, classes: bool = True, regressor: bool = False
) -> SNGANGenerator:
    """32 px, `LABELS` as classes, z of 16 numbers; the same weights every time.

    Args:
        companions: With discriminator, encoder and auxiliary networks.
        classes: Without them it is unconditional.
        regressor: With a masked regressor that has learnt for a second: it sees colours.
    """
    return copy.deepcopy(_made(companions, classes, regressor))


@functools.cache
def _made(companions: bool, classes: bool, regressor: bool) -> SNGANGenerator:
    count = len(LABELS) if classes else 0
    sizes = GeneratorSettings((16, 12, 8, 8), num_classes=count, z_dim=Z_DIM)
    generator = SNGANGenerator(sizes, seed=5)
    source = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if parameter.ndim == 2 and parameter.shape[0] == count:  # one row per class
                spread = 0.6 if "beta" in name else 0.3
                parameter += spread * torch.randn(parameter.shape, generator=source)
        generator.output.weight *= 0.8
        _settle(generator, source, count)
    generator.labels = LABELS if classes else ()
    if companions:
        generator.discriminator = SNGANDiscriminator(
            DiscriminatorSettings((8, 12, 16), (True, True, True), num_classes=count), seed=6
        )
        generator.encoder = SNGANEncoder(
            EncoderSettings((8, 8, 12, 16), num_classes=count, z_dim=Z_DIM), seed=7
        )
        generator.auxiliary = SNGANAuxiliary(AuxiliarySettings(Z_DIM, 64, 32, 32), seed=8)
    generator.eval().requires_grad_(False)
    if regressor:
        generator.attach_regressor(_taught(generator))
    return generator


def small_regressor(generator: Generator, *, seed: int = 9) -> MaskedRegressor:
    """A masked regressor that has learnt nothing, for any generator: of styles where it has them.

    Args:
        generator: Says what is regressed; its own regressor is not touched.
        seed: Of the weights.
    """
    styles = "w_plus" in generator.capabilities
    vectors, dims = generator.style_shape() if styles else (1, generator.z_dim)
    settings = RegressorSettings(
        dims=dims,
        latent="w_plus" if styles else "z",
        vectors=vectors,
        width=4,
        small_input=True,
        mask_encoding="unit" if styles else "centred",
        num_classes=generator.num_classes,
    )
    return MaskedRegressor(settings, seed=seed).eval().requires_grad_(False)


def install_small_generator(
    home: Path,
    *,
    companions: bool = True,
    classes: bool = True,
    regressor: bool = False,
    title: str = TITLE,
) -> str:
    """Put the small generator into an engine's home; returns the model's id.

    Args:
        home: The engine's home folder (``INTARSIA_HOME``).
        companions: See `small_generator`.
        classes: See `small_generator`.
        regressor: See `small_generator`.
        title: Its name for people.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small tensors lose much with several on a busy machine
    try:
        generator = small_generator(companions=companions, classes=classes, regressor=regressor)
    finally:
        torch.set_num_threads(threads)
    card = {
        "family": generator.family,
        "task": "generator",
        "title": title,
        "source_hash": f"small-{companions}-{classes}" + "-regressor" * regressor,
    }
    return ModelStore(home / "models").add(lambda folder: save_generator(generator, folder), card)


def _taught(generator: SNGANGenerator) -> MaskedRegressor:
    """A regressor after a few steps on the generator's own pictures, some of them in part."""
    sizes = RegressorSettings(
        generator.z_dim, width=8, small_input=True, num_classes=generator.num_classes
    )
    regressor = MaskedRegressor(sizes, seed=9).train()
    optimizer = torch.optim.Adam(regressor.parameters(), 2e-3)
    source = torch.Generator().manual_seed(13)
    for _ in range(TEACHING_STEPS):
        z = torch.randn(24, generator.z_dim, generator=source)
        y = None
        if generator.num_classes:
            y = torch.randint(generator.num_classes, (24,), generator=source)
        with torch.no_grad():
            x = generator.synthesize(z, y)
        coarse = torch.rand(24, 1, 4, 4, generator=source)
        known = (torch.nn.functional.interpolate(coarse, x.shape[2:]) < 0.8).float()
        reading = regressor.read(x, known)
        loss = (reading.latent - z).square().mean()
        if y is not None and reading.class_logits is not None:
            loss = loss + 0.3 * torch.nn.functional.cross_entropy(reading.class_logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return regressor.eval().requires_grad_(False)


def _settle(generator: SNGANGenerator, source: torch.Generator, count: int) -> None:
    """Bring the norms' running statistics to what flows through them."""
    generator.train()
    for _ in range(SETTLING_PASSES):
        z = torch.randn(32, Z_DIM, generator=source)
        y = torch.randint(count, (32,), generator=source) if count else None
        generator(z, y)
