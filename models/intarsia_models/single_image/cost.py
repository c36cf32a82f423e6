"""How long a training will take, from its arithmetic and a machine's speed."""

from intarsia_models.single_image.networks import BLOCKS
from intarsia_models.single_image.pyramid import Size, pyramid_sizes
from intarsia_models.single_image.settings import TaskSettings

OPERATIONS_PER_SECOND = {"cpu": 4.6e11, "cuda": 6e12}
"""At many channels, counted as direct convolutions take them (those of Winograd's algorithm are
fewer). "cpu" was measured on two cores of an AMD EPYC with AVX-512 (150 and 260 billion per second
at 32 and 64 channels); "cuda" is assumed, not measured. A machine's own factor corrects both."""
HALF_SPEED_CHANNELS = {"cpu": 64, "cuda": 64}
"""Channels at which a device reaches half of that: narrow layers use it badly."""
SECONDS_PER_ITERATION = {"cpu": 0.025, "cuda": 0.02}
"""What an iteration costs beside its arithmetic: hundreds of small operations. "cpu" was measured
on the coarse stages of a draft."""


def training_operations(settings: TaskSettings, sizes: list[Size]) -> float:
    """Floating point operations of a training of all stages."""
    return sum(
        iterations * _iteration_operations(settings, sizes, stage, settings.train_depth)
        for stage, iterations in enumerate(settings.stage_iterations())
    )


def expected_seconds(
    settings: TaskSettings,
    height: int,
    width: int,
    device: str = "cpu",
    *,
    speed: float = 1.0,
) -> float:
    """Seconds that a training will take.

    Args:
        settings: Of the training.
        height: Rows of the picture.
        width: Columns of the picture.
        device: "cpu", "cuda" or another kind, which counts as "cpu".
        speed: Measured speed of this machine over the reference: expected / actual seconds of
            earlier trainings.

    With ``settled_below`` this is the longest that it will take.

    Raises:
        UnsuitablePicture: The picture is too small.
    """
    sizes = pyramid_sizes(
        height,
        width,
        stages=settings.stages,
        min_size=settings.min_size,
        max_size=settings.max_size,
        rule=settings.rule,
    )
    iterations = sum(settings.stage_iterations())
    operations = training_operations(settings, sizes)
    return _seconds(settings, operations, iterations, device, speed)


def expected_fine_tune_seconds(
    settings: TaskSettings,
    sizes: list[Size],
    iterations: int,
    device: str = "cpu",
    *,
    speed: float = 1.0,
) -> float:
    """Seconds that a fine-tuning of a model will take.

    Args:
        settings: Of the model.
        sizes: Of the model.
        iterations: Of the fine-tuning.
        device: See `expected_seconds`.
        speed: See `expected_seconds`.
    """
    operations = iterations * _iteration_operations(settings, sizes, len(sizes) - 1, 1)
    return _seconds(settings, operations, iterations, device, speed)


def _seconds(
    settings: TaskSettings,
    operations: float,
    iterations: int,
    device: str,
    speed: float,
) -> float:
    kind = device.split(":")[0]
    kind = kind if kind in OPERATIONS_PER_SECOND else "cpu"
    width = settings.channels / (settings.channels + HALF_SPEED_CHANNELS[kind])
    work = operations / (OPERATIONS_PER_SECOND[kind] * width)
    return (work + iterations * SECONDS_PER_ITERATION[kind]) / speed


def _iteration_operations(
    settings: TaskSettings, sizes: list[Size], stage: int, depth: int
) -> float:
    """Per iteration: a critic step is ten sweeps over its layers, a stage that learns takes six,
    a frozen one two."""
    layers = BLOCKS * settings.channels**2 + 6 * settings.channels
    per_pixel = 2 * 9 * layers
    here = sizes[stage][0] * sizes[stage][1]
    critic = (10 * settings.critic_steps + 2) * here
    generator = sum(
        (6 if n > stage - depth else 2) * h * w for n, (h, w) in enumerate(sizes[: stage + 1])
    )
    return per_pixel * (critic + generator)
