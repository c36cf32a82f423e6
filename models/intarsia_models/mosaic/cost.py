"""How long the training of a mosaic will take, and what composing one costs in arithmetic."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from intarsia_models.gan_training.cost import FLOAT32_FACTOR, SECONDS_PER_ITERATION
from intarsia_models.mosaic.model import build_network
from intarsia_models.mosaic.networks import PatchCritic
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.training_settings import MosaicTraining

OPERATIONS_PER_SECOND = {"cpu": 1.2e11, "cuda": 5e13}
"""Floating point operations with bfloat16 at many channels; half of it at `HALF_SPEED_CHANNELS`.
"cpu" was measured at 16 channels on one core of an AMD EPYC with AVX-512 bfloat16, beside other
work; "cuda" is assumed, not measured. A machine's own factor corrects both."""
HALF_SPEED_CHANNELS = {"cpu": 24, "cuda": 64}


def expected_seconds(
    settings: MosaicSettings,
    training: MosaicTraining,
    *,
    device: str = "cpu",
    speed: float = 1.0,
) -> float:
    """Seconds that a training will take.

    Args:
        settings: Of the networks.
        training: Of the training.
        device: "cpu", "cuda" or another kind, which counts as "cpu".
        speed: Measured speed of this machine over the reference: expected / actual seconds of
            earlier trainings.
    """
    kind = device.split(":")[0]
    kind = kind if kind in OPERATIONS_PER_SECOND else "cpu"
    share = settings.width / (settings.width + HALF_SPEED_CHANNELS[kind])
    work = training_operations(settings, training) * training.batch
    work /= OPERATIONS_PER_SECOND[kind] * share
    if training.precision == "float32":
        work *= FLOAT32_FACTOR
    return training.iterations * (work + SECONDS_PER_ITERATION[kind]) / speed


def training_operations(settings: MosaicSettings, training: MosaicTraining) -> float:
    """Floating point operations per picture of a batch, at the mean number of templates.

    A backward pass costs two forward ones, one where only pictures get gradients.
    """
    count = settings.slots or round((training.templates_least + training.templates_most) / 2)
    made = composing_operations(settings, training.patch, training.patch, count)
    with torch.device("meta"):
        critic = PatchCritic(
            width=training.critic_width,
            depth=training.critic_depth,
            cap=training.critic_cap,
            norm="none",
        )
        counter = FlopCounterMode(display=False)
        with counter:
            critic(torch.empty(1, 3, training.patch, training.patch))
    # the critic's step looks at two pictures, the generator's at one
    return 3 * made + (2 * 3 + 2) * float(counter.get_total_flops())


def composing_operations(settings: MosaicSettings, height: int, width: int, count: int) -> float:
    """Floating point operations of one pass.

    Args:
        settings: Of the networks.
        height: Of the picture, rounded up to what the networks take.
        width: Likewise.
        count: How many templates.
    """
    multiple = settings.multiple
    rows, columns = (-(-side // multiple) * multiple for side in (height, width))
    with torch.device("meta"):
        network = build_network(settings, seed=None)
        content = torch.empty(1, 3, rows, columns) if settings.guided else None
        templates = torch.empty(1, count, 3, rows, columns)
        noise = None
        if settings.noise_channels:
            noise = torch.empty(1, settings.noise_channels, rows, columns)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network.compose(content, templates, noise=noise)
    return float(counter.get_total_flops())
