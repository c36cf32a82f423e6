"""What a training of generators, encoders and auxiliary networks needs to know, and its presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from intarsia_models.families.sngan.networks import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
)

Quality = Literal["draft", "normal", "fine"]
QUALITIES: tuple[Quality, ...] = ("draft", "normal", "fine")
RESOLUTIONS = (32, 64, 128, 256)
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class GANSettings:
    """Of a generator and its critic."""

    resolution: int = 64
    """Side in pixels: 32, 64, 128 or 256."""
    width: int = 32
    """Generator's channels at full size."""
    critic_width: int = 32
    """Critic's channels after its first block."""
    small: bool = False
    """Take the narrow channel plans."""
    z_dim: int = 128
    batch: int = 64
    iterations: int = 20_000
    critic_steps: int = 1
    """Per step of the generator; the paper takes 5 with equal learning rates."""
    generator_rate: float = 2e-4
    critic_rate: float = 4e-4
    """Two rates instead of many critic steps: arXiv:1706.08500."""
    beta1: float = 0.0
    beta2: float = 0.9
    decay_from: float = 0.8
    """Share of the iterations after which the learning rates fall to 0 in a line."""
    diversity_weight: float = 0.1
    """Of the mode-seeking loss; 0 leaves it out."""
    average_pictures: float = 10_000
    """Generated pictures after which a weight counts half in the averaged generator."""
    augmentation: tuple[str, ...] = ("translation",)
    """Of `augmentation.CHANGES`."""
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    crop: float = 0.1
    """Share of the side that random crops leave away."""
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        _among("resolution", self.resolution, RESOLUTIONS)
        _among("flips", self.flips, ("none", "horizontal", "both"))
        _among("precision", self.precision, ("auto", "float32", "bfloat16"))
        for name in ("width", "critic_width", "z_dim", "iterations", "critic_steps"):
            _at_least(name, getattr(self, name), 1)
        _at_least("batch", self.batch, 2)
        if not 0.0 <= self.crop <= 0.5:
            raise ValueError(f"crop must lie in [0, 0.5], got {self.crop}.")

    @property
    def average_decay(self) -> float:
        """Per update of the averaged generator."""
        return 0.5 ** (self.batch / max(1.0, self.average_pictures))

    def generator(self, num_classes: int) -> GeneratorSettings:
        """Sizes of the generator."""
        return GeneratorSettings.standard(
            self.resolution,
            width=self.width,
            num_classes=num_classes,
            z_dim=self.z_dim,
            small=self.small,
        )

    def critic(self, num_classes: int) -> DiscriminatorSettings:
        """Sizes of the discriminator."""
        return DiscriminatorSettings.standard(
            self.resolution, width=self.critic_width, num_classes=num_classes, small=self.small
        )

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


@dataclass(frozen=True)
class EncoderTraining:
    """Of an encoder (arXiv:1811.10153, eq. 4)."""

    width: int = 32
    batch: int = 32
    iterations: int = 4_000
    rate: float = 2e-4
    """The public code takes 5e-5 over 450,000 iterations."""
    beta1: float = 0.0
    beta2: float = 0.9
    decay_from: float = 0.8
    """Share of the iterations after which the rate falls to 0 in a line (the public code:
    400,000 of 450,000)."""
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    crop: float = 0.1
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("width", "iterations"):
            _at_least(name, getattr(self, name), 1)
        _at_least("batch", self.batch, 2)

    def encoder(self, resolution: int, num_classes: int, z_dim: int) -> EncoderSettings:
        """Sizes of the encoder; never larger than 128 px inside, as in the public code."""
        return EncoderSettings.standard(
            min(resolution, 128), width=self.width, num_classes=num_classes, z_dim=z_dim
        )

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class AuxiliaryTraining:
    """Of the auxiliary networks A and B (arXiv:1811.10153, eq. 5-6)."""

    hidden: int = 512
    """The public code's is 1000."""
    extended_dim: int = 2048
    """Numbers in zeta; the public code's 10,000."""
    batch: int = 8
    iterations: int = 1_500
    warm_up: int = 0
    """How many of the iterations only teach B to undo A, on larger batches; they cost next to
    nothing, and a short training begins where a long one is soon."""
    warm_up_rate: float = 1e-3
    rate: float = 5e-5
    beta1: float = 0.0
    beta2: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 100.0
    """Largest norm of all gradients together."""
    inner_steps: int = 2
    inner_rate: float = 2e-4
    weights: tuple[float, ...] = (20.0, 2.0, 1.0)
    """Of the loss before and after each inner step; one more than `inner_steps`."""
    pixel_weight: float = 0.05
    cycle_weight: float = 100.0
    """Of the mean squared error between z and B(A(z)); as in the public code, whose effective
    weight of the squared norm is 100 / z_dim."""
    decay_from: float = 1.0
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    crop: float = 0.1
    precision: Literal["float32"] = "float32"
    """Double back-propagation wants full precision."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("hidden", "extended_dim", "batch", "iterations"):
            _at_least(name, getattr(self, name), 1)
        if len(self.weights) != self.inner_steps + 1:
            raise ValueError(
                f"weights must be {self.inner_steps + 1} numbers, one before and one after each "
                f"inner step, got {len(self.weights)}."
            )

    def auxiliary(self, z_dim: int) -> AuxiliarySettings:
        """Sizes of both networks."""
        return AuxiliarySettings(
            z_dim=z_dim,
            hidden_extend=self.hidden,
            extended_dim=self.extended_dim,
            hidden_reduce=self.hidden,
        )

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


_SHOWN: dict[Quality, float] = {"draft": 200_000, "normal": 1_500_000, "fine": 10_000_000}
"""Generated pictures of a training at 64 px; larger ones get more, in the ratio of the sides."""
_WIDTHS: dict[Quality, dict[int, int]] = {
    "draft": {32: 24, 64: 16, 128: 12, 256: 8},
    "normal": {32: 48, 64: 32, 128: 24, 256: 16},
    "fine": {32: 64, 64: 64, 128: 64, 256: 48},
}
_BATCHES = {32: 64, 64: 64, 128: 48, 256: 32}


def gan_settings(
    quality: Quality = "normal", resolution: int = 64, *, pictures: int = 0, **changes: Any
) -> GANSettings:
    """Settings of a quality.

    Args:
        quality: "draft" to try a set out, "normal", "fine" for a GPU and days.
        resolution: 32, 64, 128 or 256.
        pictures: How many there are; small sets get stronger augmentation. 0: unknown.
        **changes: Fields of `GANSettings`.

    Raises:
        ValueError: There is no such quality or resolution, or a value is out of range.
    """
    _among("quality", quality, QUALITIES)
    _among("resolution", resolution, RESOLUTIONS)
    batch = int(changes.get("batch", _BATCHES[resolution]))
    shown = _SHOWN[quality] * max(1.0, resolution / 64)
    width = _WIDTHS[quality][resolution]
    made = GANSettings(
        resolution=resolution,
        width=width,
        critic_width=max(24, width),
        small=resolution >= 128 and quality != "fine",
        batch=batch,
        iterations=math.ceil(shown / batch),
        augmentation=("colour", "translation", "cutout")
        if 0 < pictures < 1500
        else ("translation",),
    )
    return replace(made, **changes)


def encoder_training(quality: Quality = "normal", **changes: Any) -> EncoderTraining:
    """Settings of a quality; see `gan_settings`."""
    _among("quality", quality, QUALITIES)
    iterations = {"draft": 1_500, "normal": 10_000, "fine": 100_000}[quality]
    width = {"draft": 16, "normal": 32, "fine": 64}[quality]
    return replace(EncoderTraining(width=width, iterations=iterations), **changes)


def auxiliary_training(quality: Quality = "normal", **changes: Any) -> AuxiliaryTraining:
    """Settings of a quality; see `gan_settings`."""
    _among("quality", quality, QUALITIES)
    iterations = {"draft": 500, "normal": 4_000, "fine": 75_000}[quality]
    warm_up = {"draft": 200, "normal": 1_000, "fine": 0}[quality]
    sizes = {"draft": (256, 1024), "normal": (512, 2048), "fine": (1000, 10_000)}[quality]
    warm_up = min(warm_up, int(changes.get("iterations", iterations)) // 2)
    made = AuxiliaryTraining(
        hidden=sizes[0], extended_dim=sizes[1], iterations=iterations, warm_up=warm_up
    )
    return replace(made, **changes)


def rate_factor(done: int, iterations: int, decay_from: float) -> float:
    """What the learning rates are multiplied by after ``done`` iterations: 1, then down to 0."""
    start = decay_from * iterations
    if done < start or start >= iterations:
        return 1.0
    return max(0.0, (iterations - done) / (iterations - start))


def _among(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}.")


def _at_least(name: str, value: float, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")
