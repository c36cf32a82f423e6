"""What the trainings of encoders and auxiliary networks share: real pictures, a fixed generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import ModelsError, UnsuitablePicture
from intarsia_models.gan_training.batches import Batch, Batches, stored_size
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.grids import COLUMNS, arranged
from intarsia_models.gan_training.loop import TrainingLoop, schedule_free
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.generators.generator import Discriminator, Generator
from intarsia_models.generators.loading import fingerprint


@dataclass(frozen=True)
class Target:
    """A fixed generator, its critic, and real pictures of its classes."""

    generator: Generator
    critic: Discriminator
    pictures: PictureSet
    """Classes are the generator's."""


def prepare_target(
    generator: Generator,
    data: Path | PictureSet,
    crop: float,
    *,
    tick: Callable[[], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Target:
    """Read pictures and find the generator's classes in them.

    Args:
        generator: Any family with a discriminator that takes z (no styles).
        data: A folder (see `pictures.read_pictures`) or pictures of `batches.stored_size`.
        crop: Share of the side that random crops leave away.
        tick: See `read_pictures`.
        on_notice: Told which classes of the data the generator does not know.

    Raises:
        ModelsError: The generator has no discriminator.
        UnsuitablePicture: As `read_pictures`, or no class of the data is known.
    """
    critic = generator.discriminator
    if critic is None:
        raise ModelsError(
            "This model has no discriminator, whose features say how alike two pictures are.",
            "Import the model together with its discriminator, or train one here.",
        )
    size = stored_size(generator.resolution, crop)
    pictures = data if isinstance(data, PictureSet) else read_pictures(data, size, tick=tick)
    pictures = with_labels_of(generator, pictures, on_notice or (lambda text: None))
    for network in (generator, critic):
        network.eval().requires_grad_(False)
    return Target(generator, critic, pictures)


def dissimilarity(critic: Discriminator, made: Tensor, wanted: Tensor) -> Tensor:
    """(B,): 1 - cosine between the critic's features.

    Args:
        critic: In eval mode.
        made: (B, 3, R, R) in [-1, 1].
        wanted: (B, F) features of the pictures that are to be met.

    Source: Suzuki et al. 2018, arXiv:1811.10153, eq. 4; features flattened over space as in its
    public code.
    """
    return 1.0 - F.cosine_similarity(critic.features(made).float(), wanted.float(), dim=1)


class ReconstructionLoop(TrainingLoop):
    """Trainings that draw real pictures and leave the generator as it is."""

    def __init__(self, target: Target, settings: Any, *, seed: int, devices: Devices) -> None:
        """Prepare a loop.

        Args:
            target: See `prepare_target`; the networks are moved to the device.
            settings: `EncoderTraining` or `AuxiliaryTraining`.
            seed: See `TrainingLoop`.
            devices: See `TrainingLoop`.
        """
        super().__init__(
            iterations=settings.iterations,
            decay_from=settings.decay_from,
            seed=seed,
            devices=devices,
        )
        self.settings = settings
        self.generator = target.generator.to(devices.device)
        self.critic = target.critic.to(devices.device)
        self.fingerprint = target.pictures.fingerprint()
        self.generator_hash = fingerprint(target.generator)
        self.batches = Batches(
            target.pictures,
            target.generator.resolution,
            flips=settings.flips,
            device=devices.device,
        )
        self.shown = self.batches.draw(2 * COLUMNS, torch.Generator().manual_seed(0))

    def identity(self) -> dict[str, Any]:
        """Pictures, generator, settings, seed and kind of device."""
        return {
            "kind": self.kind,
            "pictures": self.fingerprint,
            "generator": self.generator_hash,
            "settings": schedule_free(self.settings.to_card()),
            "seed": self.seed,
            "device": self.devices.device.type,
            "processes": self.devices.count,
        }

    def drawn(self) -> Batch:
        """A batch of this process."""
        return self.batches.draw(max(2, self.settings.batch // self.devices.count), self.source)

    def wanted(self, batch: Batch) -> Tensor:
        """(B, F): the critic's features of real pictures."""
        with torch.no_grad():
            return self.critic.features(batch.x).float()

    def made(self, z: Tensor, y: Tensor | None) -> Tensor:
        """(B, 3, R, R) in [-1, 1]."""
        return self.generator.synthesize(z, y)

    def preview_of(self, made: Tensor) -> Tensor:
        """(1, 3, h, w): the shown pictures, and below each what the generator makes of it."""
        rows = zip(self.shown.x.split(COLUMNS), made.split(COLUMNS), strict=True)
        return arranged(torch.cat([part.float().cpu() for pair in rows for part in pair]), COLUMNS)


def with_labels_of(
    generator: Generator, pictures: PictureSet, on_notice: Callable[[str], None]
) -> PictureSet:
    """The pictures of classes that the generator knows, with its ids.

    Args:
        generator: With or without classes.
        pictures: Classes are the data's.
        on_notice: Told which classes are left out.

    Raises:
        UnsuitablePicture: No class of the data is known.
    """
    if not generator.num_classes:
        return replace(pictures, y=torch.zeros_like(pictures.y), labels=())
    known = {generator.label_of(index): index for index in range(generator.num_classes)}
    unknown = [label for label in pictures.labels if label not in known]
    if len(unknown) == len(pictures.labels):
        raise UnsuitablePicture(
            f"None of the model's classes is in this folder: it has "
            f"{', '.join(pictures.labels) or 'no classes'}.",
            f"Name the sub-folders as the classes: {', '.join(list(known)[:20])}.",
        )
    if unknown:
        on_notice(f"Left out, because the model does not know them: {', '.join(unknown)}")
    ids = torch.tensor([known.get(label, -1) for label in pictures.labels])[pictures.y]
    kept = ids >= 0
    names = tuple(name for name, keep in zip(pictures.names, kept.tolist(), strict=False) if keep)
    return PictureSet(
        pictures.pixels[kept],
        ids[kept],
        tuple(generator.label_of(index) for index in range(generator.num_classes)),
        names,
    )
