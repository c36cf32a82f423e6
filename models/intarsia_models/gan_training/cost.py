"""How long a training will take, from its arithmetic and a machine's speed."""

from __future__ import annotations

from intarsia_models.families.sngan.networks import (
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
)
from intarsia_models.gan_training.settings import AuxiliaryTraining, EncoderTraining, GANSettings

OPERATIONS_PER_SECOND = {"cpu": 3.0e11, "cuda": 5e13}
"""Floating point operations with bfloat16 at many channels. "cpu" was measured on two cores of an
AMD EPYC with AVX-512 bfloat16 (230, 250 and 270 billion at 24, 32 and 48 channels); "cuda" is
assumed, not measured. A machine's own factor corrects both."""
HALF_SPEED_CHANNELS = {"cpu": 6, "cuda": 64}
"""Channels at full size at which a device reaches half of that: narrow layers use it badly."""
SECONDS_PER_ITERATION = {"cpu": 0.04, "cuda": 0.04}
"""What an iteration costs beside its arithmetic: some thousand small operations."""
FLOAT32_FACTOR = 2.5
"""How much longer the same takes in float32, measured on that CPU."""


def expected_seconds(
    settings: GANSettings | EncoderTraining | AuxiliaryTraining,
    *,
    resolution: int = 64,
    generator_width: int = 32,
    critic_width: int = 32,
    device: str = "cpu",
    speed: float = 1.0,
) -> float:
    """Seconds that a training will take.

    Args:
        settings: Of the training.
        resolution: The generator's, for the trainings of encoders and auxiliary networks.
        generator_width: Likewise: its channels at full size.
        critic_width: Likewise: the critic's channels after its first block.
        device: "cpu", "cuda" or another kind, which counts as "cpu".
        speed: Measured speed of this machine over the reference: expected / actual seconds of
            earlier trainings.
    """
    kind = device.split(":")[0]
    kind = kind if kind in OPERATIONS_PER_SECOND else "cpu"
    if isinstance(settings, GANSettings):
        operations, width = gan_operations(settings), settings.width
    else:
        width = generator_width
        operations = _reconstruction_operations(settings, resolution, generator_width, critic_width)
    share = width / (width + HALF_SPEED_CHANNELS[kind])
    work = operations * settings.batch / (OPERATIONS_PER_SECOND[kind] * share)
    if settings.precision == "float32":
        work *= FLOAT32_FACTOR
    return settings.iterations * (work + SECONDS_PER_ITERATION[kind]) / speed


def gan_operations(settings: GANSettings) -> float:
    """Floating point operations per picture of a batch.

    A backward pass costs two forward ones, one where only pictures get gradients.
    """
    generator = generator_operations(settings.generator(1))
    critic = critic_operations(settings.critic(1), settings.resolution)
    further = settings.critic_steps - 1
    return (3 + further) * generator + (6 * settings.critic_steps + 2) * critic


def generator_operations(sizes: GeneratorSettings) -> float:
    """Floating point operations of one picture, forward."""
    total, side = 0.0, sizes.bottom_width
    pairs = zip(sizes.channels[:-1], sizes.inner, sizes.channels[1:], strict=True)
    for before, inner, after in pairs:
        side *= 2
        # the first convolution is fused with the upsampling: 16 taps per input position
        total += side * side * (4 * before * inner + 9 * inner * after + before * after / 4)
    return 2 * (total + side * side * 27 * sizes.channels[-1])


def critic_operations(sizes: DiscriminatorSettings, side: int) -> float:
    """Floating point operations of one picture of a side, forward."""
    total, before = 0.0, 3
    for inner, after, halves in zip(sizes.inner, sizes.channels, sizes.downsample, strict=True):
        last = (4 if halves else 9) * inner * after  # averages are fused into the convolution
        total += side * side * (9 * before * inner + last + before * after / (4 if halves else 1))
        side = side // 2 if halves else side
        before = after
    return 2 * total


def encoder_operations(sizes: EncoderSettings) -> float:
    """Floating point operations of one picture, forward."""
    side = sizes.resolution
    total = side * side * 27.0 * sizes.channels[0]
    for before, after in zip(sizes.channels[:-1], sizes.channels[1:], strict=True):
        side //= 2
        total += side * side * (9 * before * before + 10 * before * after)
    return 2 * total


def _reconstruction_operations(
    settings: EncoderTraining | AuxiliaryTraining,
    resolution: int,
    generator_width: int,
    critic_width: int,
) -> float:
    generator = generator_operations(
        GeneratorSettings.standard(resolution, width=generator_width, num_classes=0)
    )
    critic = critic_operations(
        DiscriminatorSettings.standard(resolution, width=critic_width, num_classes=0), resolution
    )
    if isinstance(settings, EncoderTraining):
        encoder = encoder_operations(settings.encoder(resolution, 0, 128))
        return 3 * encoder + 2 * generator + 3 * critic
    steps = settings.inner_steps
    # each step: forward, and backward with a graph; then back through all of it
    return (2 + 6 * steps) * (generator + critic)
