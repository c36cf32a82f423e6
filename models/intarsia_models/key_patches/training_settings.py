"""What the training of a model of parts needs to know, and its presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from intarsia_models.gan_training.settings import QUALITIES, Precision, Quality
from intarsia_models.key_patches.boxes import BoxRule
from intarsia_models.key_patches.losses import (
    COMPARED,
    FIRST_WEIGHT,
    LAST_WEIGHT,
    OBJECTIVES,
    SPATIAL,
    Compared,
    Objective,
    Spatial,
)
from intarsia_models.key_patches.settings import (
    RESOLUTIONS,
    KeyPatchSettings,
    Structure,
)

Patches = Literal["key", "random"]


@dataclass(frozen=True)
class KeyPatchTraining:
    """Of a model that makes wholes of parts (arXiv:1703.10730 and its public code)."""

    resolution: int = 64
    """64, 128 or 256."""
    width: int = 64
    """See `KeyPatchSettings`; so the next five."""
    critic_width: int = 64
    embedding: int = 256
    z_dim: int = 0
    kernel: int = 4
    structure: Structure = "full"
    parts: int = 3
    """How many the networks take."""
    candidates: int = 0
    """Key patches that are found in a picture; the parts of a batch are drawn from them. 0: as many
    as there are parts, as in the paper."""
    variable_parts: bool = False
    """Draw the parts of a picture from its candidates with replacement, so that the networks learn
    to do with fewer different ones (supplement, section 7)."""
    patches: Patches = "key"
    """The boxes with the highest objectness, or boxes anywhere."""
    least_side: float = 0.25
    """See `boxes.BoxRule`; so the next two."""
    most_side: float = 0.40
    largest_area: float = 0.16
    noise: float = 0.0
    """Standard deviation of noise on the parts while training; the paper's have none."""
    objective: Objective = "composites"
    """See `losses.fakes`."""
    spatial: Spatial = "l1"
    """How the placement is compared to the boxes: by the sum of differences, as in the paper, or by
    cross-entropy; see `losses.spatial_entropy`."""
    compared_at: Compared = "predicted"
    """Where what is made is compared to the parts: at the predicted place, as in the public code,
    or at the true one, which needs no good placement to begin with."""
    whole_weight: float = 0.0
    """Of the whole picture's differences beside the parts' (`losses.whole_loss`), in networks with
    a placement; the paper has none."""
    first_weight: float = FIRST_WEIGHT
    """Of the spatial and the appearance loss at the beginning."""
    last_weight: float = LAST_WEIGHT
    """Of both at the end."""
    batch: int = 64
    iterations: int = 20_000
    generator_every: int = 2
    """Critic steps per step of the generator."""
    rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay_from: float = 1.0
    """Share of the iterations after which the rates fall to 0 in a line; the paper's never do."""
    average_pictures: float = 0.0
    """Pictures after which a weight counts half in the averaged networks; 0: no average, as in the
    paper."""
    augmentation: tuple[str, ...] = ()
    """Of `gan_training.augmentation.CHANGES`, on what the critic sees; the paper has none."""
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    """Of all pictures of a batch alike, as in the public code."""
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name, choices in (
            ("objective", OBJECTIVES),
            ("spatial", SPATIAL),
            ("compared_at", COMPARED),
            ("patches", ("key", "random")),
            ("flips", ("none", "horizontal", "both")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name, least in (("batch", 2), ("iterations", 1), ("generator_every", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.candidates and self.candidates < self.parts:
            raise ValueError(
                f"candidates must be 0 or at least parts ({self.parts}), got {self.candidates}."
            )
        for name in ("noise", "average_pictures", "whole_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}.")
        for name in ("first_weight", "last_weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        self.networks()
        self.rule()

    @property
    def average_decay(self) -> float:
        """Per update of the averaged networks."""
        made = self.batch * self.generator_every
        return 0.5 ** (made / self.average_pictures) if self.average_pictures else 0.0

    def networks(self) -> KeyPatchSettings:
        """Sizes of the networks."""
        return KeyPatchSettings(
            resolution=self.resolution,
            width=self.width,
            critic_width=self.critic_width,
            embedding=self.embedding,
            z_dim=self.z_dim,
            kernel=self.kernel,
            parts=self.parts,
            variable_parts=self.variable_parts,
            structure=self.structure,
        )

    def rule(self) -> BoxRule:
        """Which boxes the parts have."""
        return BoxRule(least=self.least_side, most=self.most_side, largest_area=self.largest_area)

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


_SHOWN: dict[Quality, float] = {"draft": 100_000, "normal": 800_000, "fine": 5_000_000}
"""Real pictures shown in a training at 64 px; "fine" is the paper's number (25 times 200,000)."""
_WIDTHS: dict[Quality, dict[int, int]] = {
    "draft": {64: 24, 128: 16, 256: 12},
    "normal": {64: 48, 128: 32, 256: 24},
    "fine": {64: 64, 128: 64, 256: 64},
}
_BATCHES = {64: 64, 128: 64, 256: 32}
SMALL_SET = 1500
"""Below so many pictures the critic is kept from learning them by heart."""


def key_patch_training(
    quality: Quality = "normal", resolution: int = 64, *, pictures: int = 0, **changes: Any
) -> KeyPatchTraining:
    """Settings of a quality; "fine" are the paper's.

    The shorter trainings are narrower, keep averaged weights and take smaller batches; so that the
    two sums count as much as in a batch of 64, their weights grow in the same ratio. Their
    placement is learnt by cross-entropy and the parts are compared at their true places: with the
    paper's losses, the placement of a training of 600 iterations was empty everywhere.

    Args:
        quality: "draft" to try a set out, "normal", "fine" for a GPU and hours.
        resolution: 64, 128 or 256.
        pictures: How many there are; small sets get augmentation. 0: unknown.
        **changes: Fields of `KeyPatchTraining`.

    Raises:
        ValueError: There is no such quality or resolution, or a value is out of range.
    """
    for name, value, choices in (
        ("quality", quality, QUALITIES),
        ("resolution", resolution, RESOLUTIONS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}.")
    usual = _BATCHES[resolution] if quality == "fine" else 32 if resolution < 256 else 16
    batch = int(changes.get("batch", usual))
    shown = _SHOWN[quality] * resolution / 64
    width = int(changes.get("width", _WIDTHS[quality][resolution]))
    made = KeyPatchTraining(
        resolution=resolution,
        width=width,
        critic_width=width,
        batch=batch,
        iterations=math.ceil(shown / batch),
        augmentation=("colour", "translation") if 0 < pictures < SMALL_SET else (),
    )
    if quality != "fine":
        counts = 64 / batch
        made = replace(
            made,
            average_pictures=min(10_000.0, shown / 10),
            first_weight=FIRST_WEIGHT * counts,
            last_weight=LAST_WEIGHT * counts,
            decay_from=0.8,
            spatial="cross_entropy",
            compared_at="true",
        )
    return replace(made, **changes)
