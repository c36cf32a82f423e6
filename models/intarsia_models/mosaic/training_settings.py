"""What the training of a mosaic needs to know, and presets for networks and training.

Weights that the paper names: entropy 0.5 (soft) to 5 (hard), total variation 1 (small segments) to
100 (large ones). Those of content and variety are ours; the paper names none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from intarsia_models.gan_training.settings import QUALITIES, Precision, Quality
from intarsia_models.mosaic.settings import MosaicSettings

Phi = Literal["blurred_grey", "average_pool", "lpips", "learned"]
PHIS: tuple[Phi, ...] = ("blurred_grey", "average_pool", "lpips", "learned")
"""What content and mosaic are compared by; see `content_distance`."""
Tiling = Literal["mirror", "wrap"]
TILINGS: tuple[Tiling, ...] = ("mirror", "wrap")


@dataclass(frozen=True)
class MosaicTraining:
    """Of a mosaic's generator and its critic (arXiv:1910.07236, appendix I and II)."""

    patch: int = 256
    """Side of the training patches."""
    batch: int = 6
    templates_least: int = 2
    templates_most: int = 12
    """K is drawn anew for every iteration, all numbers from least to most equally likely."""
    iterations: int = 4_000
    """The paper names none; its guided training took a quarter of an hour on three V100."""
    generator_rate: float = 2e-4
    critic_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay_from: float = 0.7
    """Share of the iterations after which the rates fall to 0 in a line; the paper's never do."""
    adversarial_weight: float = 1.0
    adversarial_mix_weight: float = 0.0
    """The same of the collage before it is refined; the paper's critic looks at the result only.
    Without a guide it is needed in a short training: see `mosaic_training`."""
    content_weight: float = 20.0
    """Of the distance of the result to the content; more: the content is easier to recognise."""
    content_mix_weight: float = 0.0
    """The same of the collage before it is refined, as FAMOS has it; MAGIC does not. Without it a
    short training lets the refinement bleach or tint the collage until it resembles the content."""
    tint_weight: float = 0.0
    """Of what the refinement changes of the collage's colours over wide areas; more: seams only."""
    tv_weight: float = 1.0
    """Of the total variation of the weights; more: larger segments."""
    entropy_weight: float = 0.5
    """Of the entropy of the weights; more: harder cuts."""
    warm_up: float = 0.0
    """Share of the iterations during which ``tv_weight`` rises from 0. Where all weights are alike
    the total variation is smallest and the entropy has no slope: without a guide nothing leads away
    from there otherwise."""
    max_weight: float = 0.0
    """Of the area of the largest template; more: more variety. Needed without a content."""
    phi: Phi = "blurred_grey"
    critic_width: int = 128
    critic_depth: int = 6
    critic_cap: int = 1024
    """The critic's channels at most; the printed doubling gives up to 200 million weights."""
    critic_norm: Literal["instance", "batch", "none"] = "none"
    """FAMOS has "batch". With norms the critic hardly sees whether a mosaic is tinted, and the
    refinement of the shipped pack bleached it."""
    template_scales: tuple[float, ...] = (1.0, 1.0)
    """Least and greatest size of a template, drawn anew for every one."""
    content_scales: tuple[float, ...] = (0.25, 1.0)
    """Likewise of a content picture."""
    flips: Literal["none", "horizontal", "both"] = "horizontal"
    """Of templates and contents."""
    average_pictures: float = 2_000
    """Pictures after which a weight counts half in the averaged generator."""
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name, choices in (
            ("phi", PHIS),
            ("critic_norm", ("instance", "batch", "none")),
            ("flips", ("none", "horizontal", "both")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name in ("patch", "batch", "iterations", "critic_width", "critic_depth", "critic_cap"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 1 <= self.templates_least <= self.templates_most:
            raise ValueError(
                "templates_least must lie in [1, templates_most], got "
                f"{self.templates_least} and {self.templates_most}."
            )
        for name in (
            "adversarial_weight",
            "adversarial_mix_weight",
            "content_weight",
            "content_mix_weight",
            "tint_weight",
            "tv_weight",
            "entropy_weight",
            "max_weight",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name in ("template_scales", "content_scales"):
            scales = getattr(self, name)
            if len(scales) != 2 or not 0.01 <= scales[0] <= scales[1] <= 8:
                raise ValueError(
                    f"{name} must be a least and a greatest scale in [0.01, 8], got {scales}."
                )

    @property
    def average_decay(self) -> float:
        """Per update of the averaged generator."""
        return 0.5 ** (self.batch / max(1.0, self.average_pictures))

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        card = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in card.items()}


def mosaic_settings(
    quality: Quality = "normal", *, guided: bool = True, **changes: Any
) -> MosaicSettings:
    """Networks of a quality; "fine" are the paper's.

    Args:
        quality: "draft" for a CPU and some minutes, "normal" for a GPU and some minutes, "fine".
        guided: Whether a content picture is followed.
        **changes: Fields of `MosaicSettings`.

    Raises:
        ValueError: There is no such quality, or a value is out of range.
    """
    _check(quality)
    made = MosaicSettings(guided=guided)
    if quality == "draft":
        made = replace(made, width=16, depth=4)
    elif quality == "normal":
        made = replace(made, width=32)
    else:
        made = replace(made, refinement="direct")
    return replace(made, **changes)


def mosaic_training(
    quality: Quality = "normal", *, guided: bool = True, **changes: Any
) -> MosaicTraining:
    """The training of a quality; arguments as of `mosaic_settings`.

    The weights of "draft" and "normal" were found by looking at a training of 78 sets of templates
    and 165 contents; those of "fine" are the paper's where it names any.
    """
    _check(quality)
    made = MosaicTraining(critic_depth=6 if guided else 7, batch=6 if guided else 12)
    if guided:
        made = replace(made, templates_least=40, templates_most=50)
    if quality == "draft":
        made = replace(
            made,
            patch=64,
            batch=4,
            templates_least=3,
            templates_most=8,
            iterations=800,
            generator_rate=1e-3,
            critic_rate=4e-4,
            critic_width=32,
            critic_depth=4,
            average_pictures=300,
        )
    elif quality == "normal":
        made = replace(
            made,
            patch=128,
            batch=6,
            templates_least=4,
            templates_most=16,
            generator_rate=5e-4,
            critic_width=64,
            critic_depth=5,
            average_pictures=1_000,
        )
    if quality != "fine":
        made = replace(
            made, content_weight=4.0, content_mix_weight=14.0, tv_weight=5.0, entropy_weight=0.12
        )
    if not guided:
        made = replace(
            made,
            max_weight=1.0,
            content_weight=0.0,
            content_mix_weight=0.0,
            adversarial_mix_weight=1.0,
            tint_weight=5.0,
            warm_up=0.5,
        )
        if quality == "fine":
            made = replace(made, templates_least=2, templates_most=12)
    return replace(made, **changes)


def _check(quality: str) -> None:
    if quality not in QUALITIES:
        raise ValueError(f"quality must be one of {list(QUALITIES)}, got {quality!r}.")
