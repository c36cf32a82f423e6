"""Training a masked regressor: from parts of generated pictures to the latents that made them.

Source: Chai et al. 2021, arXiv:2103.10426, section 3.2, eq. 3, and its public code: fresh latents
at every step, the picture made of them, a random part of it to look at, and the squared difference,
the perceptual distance and the distance of the latents of what comes back, each with weight 1;
Adam with betas 0.5 and 0.999. Styles: one style is drawn and every layer of the target has it, as
the public code does (the paper's text draws several).

Deviations: the averaged weights are kept (the public code keeps the best by a validation loss); the
rate may fall towards the end; with classes, the generator is told the class that made the picture
while a head learns to read it; a share of real pictures may join, of which only pictures and class
are compared; without LPIPS's backbone the discriminator's features take its place (`losses`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.gan_training.averaging import WeightAverage
from intarsia_models.gan_training.batches import Batches, stored_size
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.encoder import TrainedNetwork
from intarsia_models.gan_training.grids import COLUMNS, arranged, grid_classes
from intarsia_models.gan_training.loop import (
    RunOptions,
    Tick,
    TrainingLoop,
    adam,
    schedule_free,
)
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.gan_training.reconstruction import with_labels_of
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import fingerprint
from intarsia_models.latent_composition.known_areas import known_areas
from intarsia_models.latent_composition.latents import Latent, decode
from intarsia_models.latent_composition.losses import Compare, Resemblance, latent_loss
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.latent_composition.training_settings import RegressorTraining
from intarsia_models.projection.w_plus import HasStyles

if TYPE_CHECKING:
    from typing_extensions import Unpack

SHOWN_ROWS = 4
SHOWN_TRUNCATION = 2.0
"""Latents of previews are drawn within this."""


@dataclass(frozen=True)
class TrainedRegressor(TrainedNetwork):
    """A regressor, attached to the generator it was trained for."""

    compared_by: str
    """How pictures were compared beyond their pixels."""
    pictures: int
    """How many real ones took part."""

    def card(self) -> dict[str, Any]:
        """See `TrainedNetwork.card`."""
        return {**super().card(), "compared_by": self.compared_by, "pictures": self.pictures}


def train_regressor(
    generator: Generator,
    settings: RegressorTraining,
    *,
    pictures: Path | PictureSet | None = None,
    identity: Compare | None = None,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedRegressor:
    """Train a masked regressor for a generator and attach it (`Generator.attach_regressor`).

    Args:
        generator: Of any family; not changed otherwise.
        settings: See `training_settings.regressor_training`.
        pictures: Real ones for ``settings.real_share`` of every batch: a folder (see
            `gan_training.pictures.read_pictures`) or pictures of `batches.stored_size`. Classes
            that the generator does not know are left out.
        identity: A further distance, ``identity(made, wanted) -> (B,)``, for example between the
            faces of two pictures (the paper's for FFHQ).
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: One device, or `Devices.several(n)`.
        **run: See `gan_training.loop.RunOptions`; a notice may be which file would make the
            comparison of pictures better.

    Raises:
        ModelsError: What ``settings.look`` asks for is not there.
        UnsuitablePicture: The folder has no pictures of its classes, or a file cannot be read.
        ValueError: There are real pictures without a share, or the other way round.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    if (pictures is None) != (settings.real_share == 0):
        raise ValueError(
            f"real_share is {settings.real_share:g}, and real pictures were "
            f"{'not ' if pictures is None else ''}given: they need each other."
        )
    notice = run.get("on_notice") or (lambda text: None)
    devices = Devices.of(device)
    found = _real_pictures(generator, pictures, settings.crop, run.get("tick"), notice)
    loop = RegressorLoop(generator, settings, found, identity, seed=seed, devices=devices)
    if loop.resemblance.note:
        notice(loop.resemblance.note)
    loop.run(**run)
    generator.attach_regressor(loop.average.network.eval().requires_grad_(False))
    return TrainedRegressor(
        generator,
        settings,
        loop.history,
        loop.seconds,
        loop.resemblance.told,
        0 if found is None else len(found),
    )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Generated pictures first, then real ones."""

    x: Tensor
    y: Tensor | None
    latents: Tensor
    """Of the generated ones: (M, z_dim) or (M, L, w_dim)."""


class RegressorLoop(TrainingLoop):
    """Minimises eq. 3 (and what the module's text adds to it)."""

    kind = "regressor"

    def __init__(
        self,
        generator: Generator,
        settings: RegressorTraining,
        pictures: PictureSet | None,
        identity: Compare | None,
        *,
        seed: int,
        devices: Devices,
    ) -> None:
        """Prepare a training; see `train_regressor`."""
        super().__init__(
            iterations=settings.iterations,
            decay_from=settings.decay_from,
            seed=seed,
            devices=devices,
        )
        self.settings = settings
        self.generator = generator.to(devices.device).eval().requires_grad_(False)
        self.generator_hash = fingerprint(generator)
        self.fingerprint = "" if pictures is None else pictures.fingerprint()
        self.resemblance = Resemblance(self.generator, settings.look)
        self.identity_distance = identity
        self.real = None
        if pictures is not None:
            self.real = Batches(
                pictures, generator.resolution, flips=settings.flips, device=devices.device
            )
        regressor = MaskedRegressor(settings.regressor(generator), seed=seed + 4)
        regressor = regressor.to(devices.device).to(memory_format=torch.channels_last)
        self.regressor = regressor.train()
        self.average = WeightAverage(self.regressor, settings.average_decay)
        self.networks = {"regressor": self.regressor, "average": self.average.network}
        self.weights = list(self.regressor.parameters())
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {"regressor": adam(self.weights, settings.rate, *betas)}
        count = max(2, settings.batch // devices.count)
        self._real_count = round(count * settings.real_share)
        self._made_count = count - self._real_count
        self._shown = self._pictures_to_show()

    def identity(self) -> dict[str, Any]:
        """Generator, real pictures, settings, seed and kind of device."""
        return {
            "kind": self.kind,
            "pictures": self.fingerprint,
            "generator": self.generator_hash,
            "settings": schedule_free(self.settings.to_card()),
            "compared_by": self.resemblance.name,
            "identity": self.identity_distance is not None,
            "seed": self.seed,
            "device": self.devices.device.type,
            "processes": self.devices.count,
        }

    def extra_state(self) -> dict[str, Any]:
        """How often the average was updated."""
        return {"average_updates": self.average.updates}

    def restore_extra(self, card: Any) -> None:
        """See `extra_state`."""
        self.average.updates = int(card["average_updates"])

    def iterate(self) -> dict[str, Tensor]:
        """One step on one batch."""
        settings = self.settings
        batch = self._drawn()
        self.tick()
        known = self._areas(len(batch.x), self.source)
        with self.autocast(settings.precision):
            losses = self._losses(batch, known)
            total = torch.stack(list(losses.values())).sum()
        self.tick()
        self.optimizers["regressor"].zero_grad(set_to_none=True)
        total.backward()
        self.step("regressor", self.weights)
        self.average.update(self.regressor)
        self.tick()
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Generated pictures of which parts are known, and below each what comes back."""
        x, known, y = self._shown
        made = decode(self.generator, self._latent(self.average.network(x, known), y))
        rows = zip((x * known).split(COLUMNS), made.split(COLUMNS), strict=True)
        return arranged(torch.cat([part.float().cpu() for pair in rows for part in pair]), COLUMNS)

    def _losses(self, batch: _Batch, known: Tensor) -> dict[str, Tensor]:
        """By name, with their weights."""
        settings, made_count = self.settings, len(batch.latents)
        reading = self.regressor.read(batch.x, known)
        made = decode(self.generator, self._latent(reading.latent, batch.y)).float()
        losses = {"pixels": settings.pixel_weight * F.mse_loss(made, batch.x)}
        if settings.perceptual_weight:
            distance = self.resemblance(made, batch.x).mean()
            losses["perceptual"] = settings.perceptual_weight * distance
        if made_count and settings.latent_weight:
            found = reading.latent[:made_count]
            distance = latent_loss(found, batch.latents, self.generator.latent_metric)
            losses["latent"] = settings.latent_weight * distance
        if reading.class_logits is not None and batch.y is not None:
            losses["classes"] = settings.class_weight * F.cross_entropy(
                reading.class_logits, batch.y
            )
        if self.identity_distance is not None:
            distance = self.identity_distance(made, batch.x).mean()
            losses["identity"] = settings.identity_weight * distance
        return losses

    def _drawn(self) -> _Batch:
        """Fresh latents with their pictures, and real pictures."""
        parts = []
        if self._made_count:
            z, y = self._random(self._made_count, self.source)
            parts.append(self._made(z, y))
        if self.real is not None and self._real_count:
            real = self.real.draw(self._real_count, self.source)
            shape = (0, *parts[0].latents.shape[1:]) if parts else (0, 1)
            parts.append(_Batch(real.x, real.y, real.x.new_empty(shape)))
        if len(parts) == 1:
            return parts[0]
        x = torch.cat([part.x for part in parts]).contiguous(memory_format=torch.channels_last)
        labels = [part.y for part in parts if part.y is not None]
        return _Batch(x, torch.cat(labels) if labels else None, parts[0].latents)

    def _random(self, count: int, source: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """z (count, z_dim) and classes, all equally likely."""
        z = torch.randn(count, self.generator.z_dim, generator=source)
        kinds, y = self.generator.num_classes, None
        if kinds:
            y = torch.randint(kinds, (count,), generator=source).to(self.devices.device)
        return z.to(self.devices.device), y

    @torch.no_grad()
    def _made(self, z: Tensor, y: Tensor | None) -> _Batch:
        """Pictures of latents, and the latents as the regressor is to find them."""
        latents = z
        if "w_plus" in self.generator.capabilities:
            assert isinstance(self.generator, HasStyles)
            vectors, dims = self.generator.style_shape()
            latents = self.generator.styles(z, y).expand(-1, vectors, dims)
        with self.autocast(self.settings.precision):
            x = decode(self.generator, self._latent(latents, y)).float()
        return _Batch(x.contiguous(memory_format=torch.channels_last), y, latents.float())

    def _latent(self, values: Tensor, y: Tensor | None) -> Latent:
        return Latent(None, values, y) if values.ndim == 3 else Latent(values, None, y)

    def _pictures_to_show(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Always the same ones: generated, and half of them real where there are real ones."""
        source = torch.Generator().manual_seed(0)
        count = SHOWN_ROWS * COLUMNS
        z, y = self._random(count, source)
        if y is not None:
            y = grid_classes(self.generator.num_classes, count, 1)
            y = y.repeat(math.ceil(count / len(y)))[:count].to(self.devices.device)
        shown = self._made(z.clamp(-SHOWN_TRUNCATION, SHOWN_TRUNCATION), y)
        if self.real is not None:
            half = count // 2
            real = self.real.draw(half, source)
            labels = None if y is None or real.y is None else torch.cat([y[:half], real.y])
            shown = replace(shown, x=torch.cat([shown.x[:half], real.x]), y=labels)
        areas = torch.cat([self._areas(1, source) for _ in shown.x])
        return shown.x, areas, shown.y

    def _areas(self, count: int, source: torch.Generator) -> Tensor:
        side = self.generator.resolution
        areas = known_areas(self.settings.areas, count, (side, side), source)
        return areas.to(self.devices.device)


def _real_pictures(
    generator: Generator,
    pictures: Path | PictureSet | None,
    crop: float,
    tick: Tick | None,
    on_notice: Callable[[str], None],
) -> PictureSet | None:
    if pictures is None:
        return None
    size = stored_size(generator.resolution, crop)
    found = pictures
    if not isinstance(found, PictureSet):
        found = read_pictures(found, size, tick=tick)
    return with_labels_of(generator, found, on_notice)
