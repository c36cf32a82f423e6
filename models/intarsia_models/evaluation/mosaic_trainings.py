"""The models that mosaics are measured with: MAGIC with four weightings, and FAMOS's two modes,
all trained alike on the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource
from intarsia_models.mosaic.training import TrainedMosaic, train_mosaic
from intarsia_models.mosaic.training_settings import (
    MosaicTraining,
    mosaic_settings,
    mosaic_training,
)

BASE, HARD, LARGER, COARSE = "soft, fine", "hard", "larger", "coarse"
PARAMETRIC, FIXED = "parametric", "fixed memory"
"""Names in the tables."""
SOFT_ENTROPY, HARD_ENTROPY = 0.5, 5.0
"""Weights of the paper's figure 7."""
FINE_TV, LARGER_TV, COARSE_TV = 1.0, 10.0, 100.0
"""The first and the last are the weights of the paper's figure 8."""


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    iterations: int
    patch: int
    batch: int
    width: int
    depth: int
    templates_most: int
    critic_width: int
    critic_depth: int
    content_weight: float
    side: int
    """Of the longer side of the contents, and so of the mosaics that are measured."""


SCALES = {
    "small": Scale(150, 64, 3, 16, 4, 6, 32, 4, 20.0, 320),
    "large": Scale(6000, 256, 6, 48, 5, 50, 128, 6, 20.0, 1024),
}
"""For one core and some minutes, and for a GPU."""


@dataclass(frozen=True)
class Material:
    """The pictures of an evaluation."""

    templates: PictureSource
    contents: PictureSource
    unseen: PictureSource
    """Contents that nothing is trained on."""


def material(
    templates: Path, contents: Path, unseen: tuple[str, ...], *, scale: float, side: int
) -> Material:
    """Read pictures.

    Args:
        templates: A folder.
        contents: A folder.
        unseen: Names, without suffix, of contents that are kept out of the training.
        scale: Templates are used at this size.
        side: Longer side of the contents.

    Raises:
        UnsuitablePicture: A folder is missing, or holds no pictures, or all contents or none are
            kept out.
    """
    every = PictureSource.from_folder(contents, largest_side=side)
    kept = [n for n, name in enumerate(every.names) if Path(name).stem in unseen]
    rest = [n for n in range(len(every)) if n not in kept]
    seen, other = (
        PictureSource([every.pictures[n] for n in part], names=[every.names[n] for n in part])
        for part in (rest, kept)
    )
    return Material(PictureSource.from_folder(templates, scale=scale), seen, other)


def plans(scale: Scale) -> dict[str, tuple[MosaicSettings, MosaicTraining]]:
    """Settings of all models, by the names of the tables."""
    settings = mosaic_settings("draft", width=scale.width, depth=scale.depth)
    training = mosaic_training(
        "draft",
        iterations=scale.iterations,
        patch=scale.patch,
        batch=scale.batch,
        templates_least=min(3, scale.templates_most),
        templates_most=scale.templates_most,
        critic_width=scale.critic_width,
        critic_depth=scale.critic_depth,
        content_weight=scale.content_weight,
        entropy_weight=SOFT_ENTROPY,
        tv_weight=FINE_TV,
        content_scales=(0.5, 1.0),
    )

    def changed(
        style: dict[str, object], **weights: float
    ) -> tuple[MosaicSettings, MosaicTraining]:
        return (
            MosaicSettings.from_card({**settings.to_card(), **style}),
            MosaicTraining(**{**training.__dict__, **weights}),
        )

    return {
        BASE: (settings, training),
        HARD: changed({}, entropy_weight=HARD_ENTROPY),
        LARGER: changed({}, tv_weight=LARGER_TV),
        COARSE: changed({}, tv_weight=COARSE_TV),
        PARAMETRIC: changed({"style": "parametric", "noise_channels": 4}),
        FIXED: changed({"style": "fixed_memory", "slots": scale.templates_most}),
    }


def trained(
    data: Material,
    scale: Scale,
    work: Path,
    *,
    device: str = "cpu",
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, TrainedMosaic]:
    """All models; checkpoints in ``work`` are taken up, also finished ones."""
    found = {}
    for name, (settings, training) in plans(scale).items():
        say(f"training: {name}")
        found[name] = train_mosaic(
            data.templates,
            data.contents,
            settings,
            training,
            seed=seed,
            device=device,
            checkpoint_folder=work / name.replace(", ", "-").replace(" ", "-"),
        )
    return found
