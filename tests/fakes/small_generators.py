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
from intarsia_models.generators.loading import save_generator

LABELS = ("lemon", "lime", "apple", "plum")
RESOLUTION = 32
Z_DIM = 16
TITLE = "Small fruit"
SETTLING_PASSES = 60


def small_generator(*, companions: bool = True, classes: bool = True) -> SNGANGenerator:
    """32 px, `LABELS` as classes, z of 16 numbers; the same weights every time.

    Args:
        companions: With discriminator, encoder and auxiliary networks.
        classes: Without them it is unconditional.
    """
    return copy.deepcopy(_made(companions, classes))


@functools.cache
def _made(companions: bool, classes: bool) -> SNGANGenerator:
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
    return generator.eval().requires_grad_(False)


def install_small_generator(
    home: Path, *, companions: bool = True, classes: bool = True, title: str = TITLE
) -> str:
    """Put the small generator into an engine's home; returns the model's id.

    Args:
        home: The engine's home folder (``INTARSIA_HOME``).
        companions: See `small_generator`.
        classes: See `small_generator`.
        title: Its name for people.
    """
    generator = small_generator(companions=companions, classes=classes)
    card = {
        "family": generator.family,
        "task": "generator",
        "title": title,
        "source_hash": f"small-{companions}-{classes}",
    }
    return ModelStore(home / "models").add(lambda folder: save_generator(generator, folder), card)


def _settle(generator: SNGANGenerator, source: torch.Generator, count: int) -> None:
    """Bring the norms' running statistics to what flows through them."""
    generator.train()
    for _ in range(SETTLING_PASSES):
        z = torch.randn(32, Z_DIM, generator=source)
        y = torch.randint(count, (32,), generator=source) if count else None
        generator(z, y)
