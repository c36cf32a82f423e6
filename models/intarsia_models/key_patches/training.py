"""Training networks that make wholes of parts.

Source: Lee et al. 2018, arXiv:1703.10730, supplement, and the public code of one of its authors:
the parts of a picture are its boxes with the highest objectness; critic and generator in turn, the
generator at every second iteration; all pictures of a batch are mirrored or none; Adam with 2e-4
and betas 0.5 and 0.999. The critic sees real pictures and every kind of fake in passes of their
own, so that its batch norms compare like with like.

Deviations: the placement may be learnt by cross-entropy, the parts compared at their true places
and the whole picture as well (`losses`); an average of the weights may be kept; the statistics of
batch norms are measured again at the end, since a whole is made of one picture's parts and not of a
batch; with classes, all are drawn equally often; y' is the picture before y in its batch; the
baselines without a mask network learn by what the supplement's section 6 says, with the same fakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from intarsia_models.gan_training.augmentation import Draws, augment, draw
from intarsia_models.gan_training.averaging import WeightAverage
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.grids import COLUMNS, arranged
from intarsia_models.gan_training.loop import (
    History,
    RunOptions,
    Tick,
    TrainingLoop,
    adam,
    schedule_free,
    training_card,
)
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.key_patches.losses import (
    appearance_loss,
    critic_loss,
    fakes,
    generator_loss,
    loss_weight,
    reconstruction_loss,
    spatial_entropy,
    spatial_loss,
    whole_loss,
)
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.networks import PartCritic, PartGenerator
from intarsia_models.key_patches.part_batches import PartBatch, PartBatches
from intarsia_models.key_patches.training_settings import KeyPatchTraining

if TYPE_CHECKING:
    from typing_extensions import Unpack

SETTLING_BATCHES = 20


@dataclass(frozen=True)
class TrainedKeyPatches:
    """A model ready to be used or saved."""

    model: KeyPatchModel
    settings: KeyPatchTraining
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


def train_key_patches(
    data: Path | PictureSet,
    settings: KeyPatchTraining,
    *,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedKeyPatches:
    """Train a model of parts, or take a training up where its last checkpoint left it.

    Args:
        data: A folder (see `gan_training.pictures.read_pictures`), or pictures of
            ``settings.resolution``.
        settings: See `training_settings.key_patch_training`.
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: One device, or `Devices.several(n)`.
        **run: See `gan_training.loop.RunOptions`; previews show parts, what they were cut from, the
            predicted placement and the whole that is made.

    Raises:
        UnsuitablePicture: The folder has no or too few pictures, a class without any, or a file
            that cannot be read.
        ValueError: The pictures have another size than the settings.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    size = settings.resolution
    pictures = (
        data if isinstance(data, PictureSet) else read_pictures(data, size, tick=run.get("tick"))
    )
    if tuple(pictures.pixels.shape[2:]) != (size, size):
        raise ValueError(
            f"The pictures must be {size} x {size} pixels, got {tuple(pictures.pixels.shape[2:])}."
        )
    devices = Devices.of(device)
    loop = KeyPatchLoop(pictures, settings, seed=seed, devices=devices, tick=run.get("tick"))
    loop.run(**run)
    return loop.finished()


class KeyPatchLoop(TrainingLoop):
    """Critic and generator in turn."""

    kind = "key_patches"

    def __init__(
        self,
        pictures: PictureSet,
        settings: KeyPatchTraining,
        *,
        seed: int,
        devices: Devices,
        tick: Tick | None = None,
    ) -> None:
        """Prepare a training; see `train_key_patches`."""
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
        self.batches = PartBatches(pictures, settings, device=devices.device, tick=tick)
        sizes = settings.networks()
        place: dict[str, Any] = {"device": devices.device, "memory_format": torch.channels_last}
        self.generator = PartGenerator(sizes, seed=seed).to(**place).train()
        self.networks = {"generator": self.generator}
        self.average: WeightAverage[PartGenerator] | None = None
        if settings.average_pictures:
            self.average = WeightAverage(self.generator, settings.average_decay)
            self.networks["average"] = self.average.network
        betas = (settings.beta1, settings.beta2)
        self.weights = list(self.generator.parameters())
        self.optimizers = {"generator": adam(self.weights, settings.rate, *betas)}
        self.critic: PartCritic | None = None
        if sizes.has_critic:
            critic = PartCritic(sizes, seed=seed + 1).to(**place).train()
            self.optimizers["critic"] = adam(list(critic.parameters()), settings.rate, *betas)
            self.networks["critic"] = self.critic = critic
        self.shown = self.batches.draw(COLUMNS, torch.Generator().manual_seed(0))

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
        return {"average_updates": 0 if self.average is None else self.average.updates}

    def restore_extra(self, card: Any) -> None:
        """See `extra_state`."""
        if self.average is not None:
            self.average.updates = int(card["average_updates"])

    def iterate(self) -> dict[str, Tensor]:
        """A step of the critic and, when it is its turn, one of the generator on the same parts."""
        turn = self.critic is None or (self.iteration + 1) % self.settings.generator_every == 0
        batch = self.batches.draw(self._batch, self.source)
        self.tick()
        with torch.set_grad_enabled(turn), self.autocast(self.settings.precision):
            generated, placement = self.generator(batch.patches, batch.z)
        losses: dict[str, Tensor] = {}
        if self.critic is not None:
            losses |= self._critic_step(self.critic, batch, generated.detach())
            self.tick()
        if turn:
            losses |= self._generator_step(batch, generated, placement)
            if self.average is not None:
                self.average.update(self.generator)
        self.tick()
        return losses

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Columns: the parts, what they were cut from, the placement, and what is made."""
        network = self.generator if self.average is None else self.average.network
        was_training = network.training
        generated, placement = network.eval()(self.shown.patches, self.shown.z)
        network.train(was_training)
        rows = [*self.shown.patches.unbind(1), self.shown.real]
        if placement is not None:
            rows.append((placement * 2 - 1).expand_as(generated))
        return arranged(torch.cat([row.float().cpu() for row in (*rows, generated)]), COLUMNS)

    def finished(self) -> TrainedKeyPatches:
        """The averaged networks, where there are some, with statistics of their own."""
        network = self.generator if self.average is None else self.average.network

        def run() -> None:
            batch = self.batches.draw(self._batch, self.source)
            with self.autocast(self.settings.precision):
                network(batch.patches, batch.z)

        settle_statistics(network, run, SETTLING_BATCHES)
        return TrainedKeyPatches(
            model=KeyPatchModel(network, self.critic, labels=self.labels),
            settings=self.settings,
            history=self.history,
            seconds=self.seconds,
            pictures=self.count,
            fingerprint=self.fingerprint,
        )

    @property
    def _batch(self) -> int:
        """Pictures per step and process."""
        return max(2, self.settings.batch // self.devices.count)

    def _critic_step(
        self, critic: PartCritic, batch: PartBatch, generated: Tensor
    ) -> dict[str, Tensor]:
        draws = self._draws()
        other = batch.real.roll(1, 0)
        made = fakes(self.settings.objective, generated, batch.real, other, batch.boxes)
        on_real = self._logits(critic, batch.real, draws)
        on_fakes = torch.stack([self._logits(critic, kind, draws) for kind in made.pictures])
        loss = critic_loss(on_real, on_fakes, made.weight)
        self.optimizers["critic"].zero_grad(set_to_none=True)
        loss.backward()
        self.step("critic", list(critic.parameters()))
        return {
            "critic": loss.detach(),
            "score_real": on_real.detach().sigmoid().mean(),
            "score_generated": on_fakes[0].detach().sigmoid().mean(),
        }

    def _generator_step(
        self, batch: PartBatch, generated: Tensor, placement: Tensor | None
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        terms: list[Tensor] = []
        if self.critic is None:
            losses["reconstruction"] = reconstruction_loss(generated, batch.real)
            terms.append(losses["reconstruction"])
        else:
            self.critic.requires_grad_(False)
            losses["generator"] = generator_loss(
                self._logits(self.critic, generated, self._draws())
            )
            terms.append(losses["generator"])
        if placement is not None:
            settings = self.settings
            weight = loss_weight(
                self.iteration / self.iterations, settings.first_weight, settings.last_weight
            )
            compare = spatial_entropy if settings.spatial == "cross_entropy" else spatial_loss
            spatial = compare(placement, batch.boxes)
            at = batch.boxes if settings.compared_at == "true" else placement
            appearance = appearance_loss(generated, at, batch.real, batch.boxes)
            terms.append(weight * (spatial + appearance))
            if settings.whole_weight:
                whole = whole_loss(generated, batch.real)
                terms.append(weight * settings.whole_weight * whole)
                losses["whole"] = whole / batch.real.numel()
            losses["spatial"] = spatial / batch.boxes.numel()  # told as means
            losses["appearance"] = appearance / batch.real.numel()
        self.optimizers["generator"].zero_grad(set_to_none=True)
        torch.stack(terms).sum().backward()
        self.step("generator", self.weights)
        if self.critic is not None:
            self.critic.requires_grad_(True)
        return {name: loss.detach() for name, loss in losses.items()}

    def _logits(self, critic: PartCritic, x: Tensor, draws: Draws | None) -> Tensor:
        seen = x if draws is None else augment(x, draws)
        with self.autocast(self.settings.precision):
            return critic(seen.contiguous(memory_format=torch.channels_last))

    def _draws(self) -> Draws | None:
        changes = self.settings.augmentation
        if not changes:
            return None
        return draw(self._batch, self.settings.resolution, changes, self.source)


@torch.no_grad()
def settle_statistics(network: nn.Module, run: Callable[[], object], batches: int) -> None:
    """Replace the running statistics of batch norms by the plain mean over some batches.

    Args:
        network: Changed in place; left in eval mode.
        run: Makes one batch with the network in training mode.
        batches: How often.

    Source: "standing statistics", Brock et al. 2019, arXiv:1809.11096, section 2 and appendix.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then keeps the plain mean
    network.train()
    for _ in range(batches):
        run()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
