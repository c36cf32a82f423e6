"""Training an encoder: from a picture and its class to the latent that makes it again.

Source: Suzuki et al. 2018, arXiv:1811.10153, eq. 4 and its public code: only the cosine of the
critic's features, the generator fixed and in evaluation mode, Adam with beta 0 and 0.9. Deviations:
a shorter schedule with a higher rate by default; the encoder's input is at most 128 px as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intarsia_models.families.sngan.networks import SNGANEncoder
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.loop import (
    History,
    RunOptions,
    adam,
    training_card,
)
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.reconstruction import (
    ReconstructionLoop,
    Target,
    dissimilarity,
    prepare_target,
)
from intarsia_models.gan_training.settings import EncoderTraining
from intarsia_models.generators.generator import Generator

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class TrainedNetwork:
    """An encoder or auxiliary networks, attached to the generator they were trained for."""

    generator: Generator
    settings: Any
    history: History
    seconds: float

    def card(self) -> dict[str, Any]:
        """What a model card says about this training; plain JSON values."""
        return training_card(self.settings, self.history, self.seconds)


def train_encoder(
    generator: Generator,
    data: Path | PictureSet,
    settings: EncoderTraining,
    *,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedNetwork:
    """Train an encoder for a generator and attach it as ``generator.encoder``.

    Args:
        generator: With its discriminator; not changed otherwise.
        data: Real pictures of its classes; see `reconstruction.prepare_target`.
        settings: See `settings.encoder_training`.
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: One device, or `Devices.several(n)`.
        **run: See `loop.RunOptions`.

    Raises:
        ModelsError: The generator has no discriminator.
        UnsuitablePicture: The folder has no pictures of its classes, or a file cannot be read.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    target = prepare_target(
        generator, data, settings.crop, tick=run.get("tick"), on_notice=run.get("on_notice")
    )
    devices = Devices.of(device)
    loop = EncoderLoop(target, settings, seed=seed, devices=devices)
    loop.run(**run)
    generator.encoder = loop.encoder.eval().requires_grad_(False)
    return TrainedNetwork(generator, settings, loop.history, loop.seconds)


class EncoderLoop(ReconstructionLoop):
    """Minimises 1 - cos(psi(G(E(x, y), y)), psi(x))."""

    kind = "encoder"
    settings: EncoderTraining

    def __init__(
        self, target: Target, settings: EncoderTraining, *, seed: int, devices: Devices
    ) -> None:
        """Prepare a training; see `train_encoder`."""
        super().__init__(target, settings, seed=seed, devices=devices)
        generator = target.generator
        sizes = settings.encoder(generator.resolution, generator.num_classes, generator.z_dim)
        encoder = SNGANEncoder(sizes, seed=seed + 2)
        self.encoder = encoder.to(devices.device).to(memory_format=torch.channels_last).train()
        self.networks = {"encoder": self.encoder}
        self.weights = list(self.encoder.parameters())
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {"encoder": adam(self.weights, settings.rate, *betas)}

    def iterate(self) -> dict[str, Tensor]:
        """One step on one batch."""
        batch = self.drawn()
        with self.autocast(self.settings.precision):
            wanted = self.wanted(batch)
            made = self.made(self.encoder(batch.x, batch.y).float(), batch.y)
            loss = dissimilarity(self.critic, made, wanted).mean()
        self.tick()
        self.optimizers["encoder"].zero_grad(set_to_none=True)
        loss.backward()
        self.step("encoder", self.weights)
        self.tick()
        return {"dissimilarity": loss.detach()}

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Real pictures, and below each its reconstruction."""
        self.encoder.eval()
        made = self.made(self.encoder(self.shown.x, self.shown.y), self.shown.y)
        self.encoder.train()
        return self.preview_of(made)
