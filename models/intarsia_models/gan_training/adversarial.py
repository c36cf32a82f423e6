"""Training a class-conditional generator and its critic on a folder of pictures.

Sources: Miyato & Koyama 2018, arXiv:1802.05637 (networks, Adam's numbers); Lim & Ye 2017,
arXiv:1705.02894 (hinge loss); Zhao et al. 2020, arXiv:2006.10738 (augmentation). Deviations: two
learning rates instead of five critic steps per generator step (arXiv:1706.08500); the pictures of
the last critic step serve the generator's step too, instead of being made twice; a mode-seeking
loss (arXiv:1903.05628) keeps pictures of one class apart, which projection needs; the result is the
average of the weights, with statistics of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intarsia_models.families.sngan.networks import SNGANDiscriminator, SNGANGenerator
from intarsia_models.gan_training.augmentation import augment, draw
from intarsia_models.gan_training.averaging import WeightAverage, settle_statistics
from intarsia_models.gan_training.batches import Batch, Batches, stored_size
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.grids import class_grid, grid_classes
from intarsia_models.gan_training.loop import (
    History,
    RunOptions,
    TrainingLoop,
    adam,
    schedule_free,
    training_card,
)
from intarsia_models.gan_training.losses import (
    critic_loss,
    generator_loss,
    mode_seeking_loss,
)
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.gan_training.settings import GANSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

SETTLING_BATCHES = 50
PREVIEW_TRUNCATION = 2.0
"""Latents of previews are drawn within this."""


@dataclass(frozen=True)
class TrainedGAN:
    """A generator with its critic attached, ready to be edited with or saved."""

    generator: SNGANGenerator
    """In eval mode, its weights averaged; ``generator.discriminator`` is the critic."""
    settings: GANSettings
    history: History
    seconds: float
    pictures: int
    """How many it was trained on."""
    fingerprint: str
    """Of the pictures."""

    def card(self) -> dict[str, Any]:
        """What a model card says about this training; plain JSON values."""
        return {
            **training_card(self.settings, self.history, self.seconds),
            "pictures": self.pictures,
            "pictures_sha256": self.fingerprint,
        }


def train_gan(
    data: Path | PictureSet,
    settings: GANSettings,
    *,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedGAN:
    """Train a generator, or take a training up where its last checkpoint left it.

    Args:
        data: A folder (see `pictures.read_pictures`), or pictures of
            `batches.stored_size(resolution, crop)`.
        settings: See `settings.gan_settings`.
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: One device, or `Devices.several(n)`.
        **run: See `loop.RunOptions`.

    Raises:
        UnsuitablePicture: The folder has no or too few pictures, a class without any, or a file
            that cannot be read.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    size = stored_size(settings.resolution, settings.crop)
    pictures = (
        data if isinstance(data, PictureSet) else read_pictures(data, size, tick=run.get("tick"))
    )
    devices = Devices.of(device)
    loop = GANLoop(pictures, settings, seed=seed, devices=devices)
    loop.run(**run)
    return loop.finished()


class GANLoop(TrainingLoop):
    """Critic and generator in turn."""

    kind = "gan"

    def __init__(
        self, pictures: PictureSet, settings: GANSettings, *, seed: int, devices: Devices
    ) -> None:
        """Prepare a training; see `train_gan`."""
        super().__init__(
            iterations=settings.iterations,
            decay_from=settings.decay_from,
            seed=seed,
            devices=devices,
        )
        self.settings = settings
        self.labels = pictures.labels
        self.count = len(pictures)
        self.fingerprint = pictures.fingerprint()
        self.batches = Batches(
            pictures, settings.resolution, flips=settings.flips, device=devices.device
        )
        kinds = pictures.num_classes
        place: dict[str, Any] = {"device": devices.device, "memory_format": torch.channels_last}
        self.generator = SNGANGenerator(settings.generator(kinds), seed=seed).to(**place).train()
        self.critic = SNGANDiscriminator(settings.critic(kinds), seed=seed + 1).to(**place).train()
        self.average = WeightAverage(self.generator, settings.average_decay)
        self.networks = {
            "generator": self.generator,
            "critic": self.critic,
            "average": self.average.network,
        }
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {
            "generator": adam(list(self.generator.parameters()), settings.generator_rate, *betas),
            "critic": adam(list(self.critic.parameters()), settings.critic_rate, *betas),
        }
        shown = torch.Generator().manual_seed(0)
        self.shown_y = grid_classes(kinds)
        z = torch.randn(len(self.shown_y), settings.z_dim, generator=shown)
        self.shown_z = z.clamp(-PREVIEW_TRUNCATION, PREVIEW_TRUNCATION)

    def identity(self) -> dict[str, Any]:
        """Pictures, settings, seed and kind of device."""
        return {
            "kind": self.kind,
            "pictures": self.fingerprint,
            "labels": list(self.labels),
            "settings": schedule_free(self.settings.to_card()),
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
        """The critic's steps, then the generator's on the pictures of the last of them."""
        losses: dict[str, Tensor] = {}
        fake = y = z = None
        for step in range(self.settings.critic_steps):
            last = step == self.settings.critic_steps - 1
            z, y = self._latents(self._batch)
            fake = self._generated(z, y, gradient=last)
            losses = self._critic_step(self.batches.draw(self._batch, self.source), fake, y)
            self.tick()
        assert fake is not None and z is not None
        losses |= self._generator_step(fake, z, y)
        self.average.update(self.generator)
        self.tick()
        return losses

    def preview(self) -> Tensor:
        """Pictures of the averaged generator, a row per class."""
        return class_grid(self.average.network, self.shown_z, self.shown_y)

    def finished(self) -> TrainedGAN:
        """The averaged generator with its own statistics, and the critic."""
        generator = self.average.network
        batch = 64

        def run() -> None:
            with self.autocast(self.settings.precision):
                generator(*self._latents(batch))

        settle_statistics(generator, run, SETTLING_BATCHES)
        generator.labels = self.labels
        generator.discriminator = self.critic.eval().requires_grad_(False)
        return TrainedGAN(
            generator=generator.eval().requires_grad_(False),
            settings=self.settings,
            history=self.history,
            seconds=self.seconds,
            pictures=self.count,
            fingerprint=self.fingerprint,
        )

    @property
    def _batch(self) -> int:
        """Pictures per step and process; an even number."""
        return max(2, 2 * (self.settings.batch // self.devices.count // 2))

    def _latents(self, count: int) -> tuple[Tensor, Tensor | None]:
        z = torch.randn(count, self.settings.z_dim, generator=self.source)
        y = self.batches.classes((count + 1) // 2, self.source)  # pairs of one class
        if y is not None:
            y = torch.cat((y, y))[:count]
        return z.to(self.devices.device), y

    def _generated(self, z: Tensor, y: Tensor | None, *, gradient: bool) -> Tensor:
        with torch.set_grad_enabled(gradient), self.autocast(self.settings.precision):
            return self.generator(z, y).float()

    def _critic_step(self, real: Batch, fake: Tensor, fake_y: Tensor | None) -> dict[str, Tensor]:
        draws = self._draws()
        x = torch.cat((augment(real.x, draws), augment(fake.detach(), draws)))
        y = None if real.y is None or fake_y is None else torch.cat((real.y, fake_y))
        logits = self._logits(x, y)
        on_real, on_fake = logits.chunk(2)
        loss = critic_loss(on_real, on_fake)
        self.optimizers["critic"].zero_grad(set_to_none=True)
        loss.backward()
        self.step("critic", list(self.critic.parameters()))
        return {
            "critic": loss.detach(),
            "score_real": on_real.detach().mean(),
            "score_generated": on_fake.detach().mean(),
        }

    def _generator_step(self, fake: Tensor, z: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        self.critic.requires_grad_(False)
        loss = generator_loss(self._logits(augment(fake, self._draws()), y))
        losses = {"generator": loss.detach()}
        weight = self.settings.diversity_weight
        if weight:
            alike = mode_seeking_loss(fake, z)
            loss = loss + weight * alike
            losses["mode_seeking"] = alike.detach()
        self.optimizers["generator"].zero_grad(set_to_none=True)
        loss.backward()
        self.step("generator", list(self.generator.parameters()))
        self.critic.requires_grad_(True)
        return losses

    def _logits(self, x: Tensor, y: Tensor | None) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with self.autocast(self.settings.precision):
            return self.critic(x, y).float()

    def _draws(self) -> Any:
        settings = self.settings
        return draw(self._batch, settings.resolution, settings.augmentation, self.source)
