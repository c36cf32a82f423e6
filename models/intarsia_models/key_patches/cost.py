"""How long training a model of parts will take, from its arithmetic and a machine's speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from intarsia_models.gan_training.cost import (
    FLOAT32_FACTOR,
    HALF_SPEED_CHANNELS,
    OPERATIONS_PER_SECOND,
    SECONDS_PER_ITERATION,
)
from intarsia_models.key_patches.networks import PartCritic, PartGenerator
from intarsia_models.key_patches.training_settings import KeyPatchTraining

KINDS = {"composites": 3, "five_fakes": 5, "plain": 1}
"""Of fakes that the critic sees, by objective."""


def expected_seconds(
    settings: KeyPatchTraining, *, device: str = "cpu", speed: float = 1.0
) -> float:
    """Seconds that a training will take.

    Args:
        settings: Of the training.
        device: "cpu", "cuda" or another kind, which counts as "cpu".
        speed: Measured speed of this machine over the reference: expected / actual seconds of
            earlier trainings.
    """
    kind = device.split(":")[0]
    kind = kind if kind in OPERATIONS_PER_SECOND else "cpu"
    share = settings.width / (settings.width + HALF_SPEED_CHANNELS[kind])
    work = training_operations(settings) * settings.batch / (OPERATIONS_PER_SECOND[kind] * share)
    if settings.precision == "float32":
        work *= FLOAT32_FACTOR
    return settings.iterations * (work + SECONDS_PER_ITERATION[kind]) / speed


@torch.no_grad()
def training_operations(settings: KeyPatchTraining) -> float:
    """Floating point operations per picture of a batch, on average over the iterations.

    A backward pass costs two forward ones, one where only pictures get gradients.
    """
    sizes = settings.networks()
    side = sizes.resolution
    with torch.device("meta"):
        generator = PartGenerator(sizes, seed=None).eval()
        patches = torch.empty(1, sizes.parts, 3, side, side)
        z = torch.empty(1, sizes.z_dim) if sizes.z_dim else None
        made = _counted(lambda: generator(patches, z))
        if not sizes.has_critic:
            return 3 * made
        critic = PartCritic(sizes, seed=None).eval()
        judged = _counted(lambda: critic(patches[:, 0]))
    turns = 1 / settings.generator_every
    looks = 1 + KINDS[settings.objective]
    return made + 3 * looks * judged + turns * (2 * made + 2 * judged)


def _counted(run: Callable[[], object]) -> float:
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return float(counter.get_total_flops())
