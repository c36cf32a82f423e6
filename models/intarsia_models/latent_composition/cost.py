"""How long the training of a regressor will take, from its arithmetic and a machine's speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from intarsia_models.gan_training.cost import (
    FLOAT32_FACTOR,
    HALF_SPEED_CHANNELS,
    OPERATIONS_PER_SECOND,
    SECONDS_PER_ITERATION,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import Latent, decode
from intarsia_models.latent_composition.losses import Resemblance
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.latent_composition.training_settings import RegressorTraining


def expected_seconds(
    settings: RegressorTraining,
    generator: Generator,
    *,
    device: str = "cpu",
    speed: float = 1.0,
) -> float:
    """Seconds that a training will take; one picture is made and compared to find out.

    Args:
        settings: Of the training.
        generator: That it is for, where it computes.
        device: Where it will be trained: "cpu", "cuda" or another kind, which counts as "cpu".
        speed: Measured speed of this machine over the reference: expected / actual seconds of
            earlier trainings.
    """
    kind = device.split(":")[0]
    kind = kind if kind in OPERATIONS_PER_SECOND else "cpu"
    share = settings.width / (settings.width + HALF_SPEED_CHANNELS[kind])
    operations = training_operations(settings, generator)
    work = operations * settings.batch / (OPERATIONS_PER_SECOND[kind] * share)
    if settings.precision == "float32":
        work *= FLOAT32_FACTOR
    return settings.iterations * (work + SECONDS_PER_ITERATION[kind]) / speed


@torch.no_grad()
def training_operations(settings: RegressorTraining, generator: Generator) -> float:
    """Floating point operations per picture of a batch.

    A backward pass costs two forward ones, one where only pictures get gradients.
    """
    place = next(generator.parameters()).device
    regressor = MaskedRegressor(settings.regressor(generator)).eval().to(place)
    x = torch.zeros(1, 3, generator.resolution, generator.resolution, device=place)
    found = _counted(lambda: regressor(x))
    latent = Latent(*_kinds(regressor(x)), _class_of(generator, place))
    made = _counted(lambda: decode(generator, latent))
    total = 3 * found + (2 + (1 - settings.real_share)) * made
    if settings.perceptual_weight:
        resemblance = Resemblance(generator, settings.look)
        total += 1.5 * _counted(lambda: resemblance(x, x))  # it looks at two pictures
    return total


def _counted(run: Callable[[], object]) -> float:
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return float(counter.get_total_flops())


def _kinds(values: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """z and styles, one of them None."""
    return (None, values) if values.ndim == 3 else (values, None)


def _class_of(generator: Generator, place: torch.device) -> Tensor | None:
    return torch.zeros(1, dtype=torch.int64, device=place) if generator.num_classes else None
