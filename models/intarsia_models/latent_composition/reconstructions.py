"""How near pictures come back through a regressor and its generator, wholly or partly known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.gan_training.grids import COLUMNS, arranged
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.known_areas import noise_areas
from intarsia_models.latent_composition.latents import Latent, decode, read

AREAS_SEED = 123
ROWS = 2
BATCH = 32


@dataclass(frozen=True)
class Reconstructed:
    """Mean absolute differences of values in [-1, 1]."""

    known: str
    """What was known: "everything", "random areas" or "the left half"."""
    of_known: float
    """Over what was known."""
    of_all: float
    """Over the whole picture."""
    classes_read: float | None
    """Share of pictures whose class was read; None without classes."""


@torch.no_grad()
def measured(generator: Generator, x: Tensor, y: Tensor | None) -> list[Reconstructed]:
    """Measure reconstructions.

    Args:
        generator: With its regressor.
        x: (N, 3, R, R) in [-1, 1].
        y: (N,) classes, which the generator is told; None without classes.
    """
    side = generator.resolution
    source = torch.Generator().manual_seed(AREAS_SEED)
    random = torch.cat([noise_areas(1, (side, side), source) for _ in range(len(x))])
    areas = {
        "everything": torch.ones_like(x[:, :1]),
        "random areas": random.to(x),
        "the left half": _left_half(x),
    }
    return [_of(generator, x, known, y, name) for name, known in areas.items()]


@torch.no_grad()
def shown(generator: Generator, x: Tensor, y: Tensor | None) -> Tensor:
    """A grid: a row of pictures, what comes back, the row half hidden, what comes back; twice.

    Args:
        generator: With its regressor.
        x: (N, 3, R, R) in [-1, 1], at least one.
        y: As `measured`; the pictures shown are spread over the classes.

    Returns:
        (1, 3, h, w) in [-1, 1].
    """
    columns = min(COLUMNS, len(x))
    order = torch.arange(len(x)) if y is None else y.cpu().argsort(stable=True)
    places = torch.linspace(0, len(x) - 1, ROWS * columns).round().long()
    x = x[order[places]]
    y = None if y is None else y[order[places]]
    rows = []
    for known in (torch.ones_like(x[:, :1]), _left_half(x)):
        latents, _ = _read(generator, x, known, y)
        rows += [(x * known).split(columns), decode(generator, latents).split(columns)]
    pictures = [part for group in zip(*rows, strict=True) for part in group]
    return arranged(torch.cat(pictures).float().cpu(), columns)


def _of(
    generator: Generator, x: Tensor, known: Tensor, y: Tensor | None, name: str
) -> Reconstructed:
    of_known, of_all, hits = 0.0, 0.0, 0
    for at in range(0, len(x), BATCH):
        part, area = x[at : at + BATCH], known[at : at + BATCH]
        labels = None if y is None else y[at : at + BATCH]
        latents, logits = _read(generator, part, area, labels)
        apart = (decode(generator, latents) - part).abs()
        of_known += float(((apart * area).sum((1, 2, 3)) / (3 * area.sum((1, 2, 3)))).sum())
        of_all += float(apart.mean((1, 2, 3)).sum())
        if labels is not None and logits is not None:
            hits += int((logits.argmax(1) == labels).sum())
    share = round(hits / len(x), 3) if y is not None else None
    return Reconstructed(name, round(of_known / len(x), 4), round(of_all / len(x), 4), share)


def _read(
    generator: Generator, x: Tensor, known: Tensor, y: Tensor | None
) -> tuple[Latent, Tensor | None]:
    values, logits = read(generator, x, known)
    return Latent(None, values, y) if values.ndim == 3 else Latent(values, None, y), logits


def _left_half(x: Tensor) -> Tensor:
    half = torch.ones_like(x[:, :1])
    half[..., x.shape[-1] // 2 :] = 0
    return half
