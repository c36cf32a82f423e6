"""What the training of a regressor needs to know, and its presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from intarsia_models.gan_training.settings import QUALITIES, Precision, Quality
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.known_areas import AREAS, Areas
from intarsia_models.latent_composition.losses import LOOKS, Look
from intarsia_models.latent_composition.settings import (
    BLOCKS,
    SMALL_BELOW,
    STYLE_SIDE,
    RegressorSettings,
)


@dataclass(frozen=True)
class RegressorTraining:
    """Of a masked regressor (arXiv:2103.10426, section 3.2 and appendix A.1.1)."""

    depth: int = 0
    """Layers: 18 or 34; 0: 18 for z and 34 for styles, as in the paper."""
    width: int = 64
    grid: int = 1
    """See `RegressorSettings.grid`; for z only."""
    batch: int = 16
    """As in the public code at 256 px; 4 at 1024 px."""
    iterations: int = 20_000
    """The paper's are 400,000 to 680,000."""
    rate: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay_from: float = 0.7
    """Share of the iterations after which the rate falls to 0 in a line; the paper's never does."""
    areas: Areas = "noise"
    """What is known of a picture: smooth patches, rectangles, or both in turn."""
    pixel_weight: float = 1.0
    perceptual_weight: float = 1.0
    latent_weight: float = 1.0
    class_weight: float = 0.2
    """Of the cross-entropy of the class that is read, where there are classes."""
    identity_weight: float = 1.0
    """Of the further distance that a caller may give."""
    look: Look = "auto"
    """How pictures are compared beyond their pixels; see `losses.Resemblance`."""
    real_share: float = 0.0
    """Share of real pictures in a batch, where some are given; the paper's is 0."""
    average_pictures: float = 10_000
    """Pictures after which a weight counts half in the averaged regressor."""
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    """Of real pictures."""
    crop: float = 0.0
    """Share of the side of real pictures that random crops leave away."""
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name, choices in (
            ("depth", (0, *BLOCKS)),
            ("areas", AREAS),
            ("look", LOOKS),
            ("flips", ("none", "horizontal", "both")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name, least in (("width", 1), ("grid", 1), ("batch", 2), ("iterations", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        for name, most in (("real_share", 1.0), ("crop", 0.5)):
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie in [0, {most:g}], got {getattr(self, name)}.")

    @property
    def average_decay(self) -> float:
        """Per update of the averaged regressor."""
        return 0.5 ** (self.batch / max(1.0, self.average_pictures))

    def regressor(self, generator: Generator) -> RegressorSettings:
        """Sizes of the regressor of a generator: of styles where it has them, else of z."""
        if "w_plus" in generator.capabilities:
            vectors, dims = generator.style_shape()
            return RegressorSettings(
                dims=dims,
                latent="w_plus",
                vectors=vectors,
                depth=self.depth or 34,
                width=self.width,
                input_size=STYLE_SIDE if generator.resolution >= SMALL_BELOW else None,
                small_input=generator.resolution < SMALL_BELOW,
                mask_encoding="unit",
                num_classes=generator.num_classes,
            )
        return RegressorSettings(
            dims=generator.z_dim,
            depth=self.depth or 18,
            width=self.width,
            grid=self.grid,
            small_input=generator.resolution < SMALL_BELOW,
            typical_length=generator.latent_metric == "mse",
            num_classes=generator.num_classes,
        )

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def regressor_training(quality: Quality = "normal", **changes: Any) -> RegressorTraining:
    """Settings of a quality; "fine" are the paper's.

    The shorter trainings take a higher rate, read features place by place, and count the pixels
    more and the latents less: numbers of a latent that its picture hardly shows cannot be found,
    and at the paper's weights the attempt dominates a short training. Chosen by trials of a hundred
    iterations on the shipped pack, no more.

    Args:
        quality: "draft" to try out, "normal", "fine" for a GPU and hours.
        **changes: Fields of `RegressorTraining`.

    Raises:
        ValueError: There is no such quality, or a value is out of range.
    """
    if quality not in QUALITIES:
        raise ValueError(f"quality must be one of {list(QUALITIES)}, got {quality!r}.")
    if quality == "fine":
        return replace(RegressorTraining(iterations=300_000), **changes)
    draft = quality == "draft"
    made = RegressorTraining(
        width=32 if draft else 64,
        grid=4,
        iterations=1_500 if draft else 20_000,
        rate=1e-3 if draft else 4e-4,
        decay_from=0.4,
        pixel_weight=5.0,
        perceptual_weight=2.0,
        latent_weight=0.2,
    )
    return replace(made, **changes)
