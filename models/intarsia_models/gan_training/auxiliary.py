"""Training the auxiliary networks: a larger latent space in which calibration is quicker.

A maps z to zeta, B maps zeta to z. They are trained so that a few steps of gradient descent on zeta
bring G(B(zeta)) close to a picture: the loss before and after each of these inner steps is
minimised, through the inner steps.

Source: Suzuki et al. 2018, arXiv:1811.10153, eq. 5-6, and its public code: T = 2 steps of AdaGrad
(Adam was found unstable here) with a fixed rate of 2e-4, weights 20, 2, 1, a pixel term of 0.05,
and 100 times the mean squared error between z and B(A(z)); losses are summed over the batch.
Deviation: a short training may begin with the last term alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import ModelsError
from intarsia_models.families.sngan.networks import SNGANAuxiliary
from intarsia_models.gan_training.batches import Batch
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.encoder import TrainedNetwork
from intarsia_models.gan_training.loop import (
    RunOptions,
    adam,
)
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.reconstruction import (
    ReconstructionLoop,
    Target,
    dissimilarity,
    prepare_target,
)
from intarsia_models.gan_training.settings import AuxiliaryTraining
from intarsia_models.generators.generator import Generator

if TYPE_CHECKING:
    from typing_extensions import Unpack

WARM_UP_BATCH = 64
ACCUMULATOR = 1e-8
"""AdaGrad's sum of squares before the first step."""


def train_auxiliary(
    generator: Generator,
    data: Path | PictureSet,
    settings: AuxiliaryTraining,
    *,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedNetwork:
    """Train A and B for a generator with an encoder and attach them as ``generator.auxiliary``.

    Args:
        generator: With its discriminator and encoder; neither is changed.
        data: Real pictures of its classes; see `reconstruction.prepare_target`.
        settings: See `settings.auxiliary_training`.
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: One device, or `Devices.several(n)`.
        **run: See `loop.RunOptions`.

    Raises:
        ModelsError: The generator has no discriminator or no encoder.
        UnsuitablePicture: The folder has no pictures of its classes, or a file cannot be read.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    if generator.encoder is None:
        raise ModelsError(
            "This model has no encoder, whose latents the auxiliary networks start from.",
            "Train an encoder for it first.",
        )
    target = prepare_target(
        generator, data, settings.crop, tick=run.get("tick"), on_notice=run.get("on_notice")
    )
    devices = Devices.of(device)
    loop = AuxiliaryLoop(target, settings, seed=seed, devices=devices)
    loop.run(**run)
    generator.auxiliary = loop.auxiliary.eval().requires_grad_(False)
    return TrainedNetwork(generator, settings, loop.history, loop.seconds)


@dataclass(frozen=True)
class InnerSteps:
    """What the inner loop went through."""

    losses: tuple[Tensor, ...]
    """Before the first and after each step, each a sum over the batch."""
    zeta: Tensor
    """(B, n) after the last step."""


def inner_steps(
    loss_of: Callable[[Tensor], Tensor],
    zeta: Tensor,
    *,
    steps: int,
    rate: float,
    differentiable: bool = True,
    tick: Callable[[], None] = lambda: None,
) -> InnerSteps:
    """AdaGrad on zeta that can be differentiated (eq. 5, with AdaGrad's step as in the code).

    r_0 = 1e-8; r_j = r_{j-1} + g_j^2; zeta_{j+1} = zeta_j - rate g_j / sqrt(r_j).

    Args:
        loss_of: (B, n) to a scalar: the sum over the batch.
        zeta: (B, n), part of a graph.
        steps: T.
        rate: Of every step.
        differentiable: Whether gradients flow through the steps.
        tick: Called after every step.
    """
    accumulated = torch.full_like(zeta, ACCUMULATOR)
    losses = [loss_of(zeta)]
    for _ in range(steps):
        (slope,) = torch.autograd.grad(losses[-1], zeta, create_graph=differentiable)
        accumulated = accumulated + slope.square()
        zeta = zeta - rate * slope / accumulated.sqrt()
        losses.append(loss_of(zeta))
        tick()
    return InnerSteps(tuple(losses), zeta)


class AuxiliaryLoop(ReconstructionLoop):
    """Minimises eq. 6."""

    kind = "auxiliary"
    settings: AuxiliaryTraining

    def __init__(
        self, target: Target, settings: AuxiliaryTraining, *, seed: int, devices: Devices
    ) -> None:
        """Prepare a training; see `train_auxiliary`."""
        super().__init__(target, settings, seed=seed, devices=devices)
        generator = target.generator
        assert generator.encoder is not None
        self.encoder = generator.encoder.to(devices.device).eval().requires_grad_(False)
        self.auxiliary = SNGANAuxiliary(settings.auxiliary(generator.z_dim), seed=seed + 3)
        self.auxiliary = self.auxiliary.to(devices.device).train()
        self.networks = {"auxiliary": self.auxiliary}
        self.weights = list(self.auxiliary.parameters())
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {
            "auxiliary": adam(self.weights, settings.rate, *betas, settings.weight_decay),
            "warm_up": adam(self.weights, settings.warm_up_rate, 0.9, 0.99),
        }

    def identity(self) -> dict[str, Any]:
        """As in every training on a generator, and the encoder."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.encoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return {**super().identity(), "encoder": digest.hexdigest()}

    def iterate(self) -> dict[str, Tensor]:
        """One outer step on one batch."""
        if self.iteration < self.settings.warm_up:
            return self._warm_up()
        settings, batch = self.settings, self.drawn()
        with torch.no_grad():
            z = self.encoder(batch.x, batch.y)
        zeta = self.auxiliary.extend(z)
        inner = self.inner(batch, zeta)
        cycle = F.mse_loss(self.auxiliary.reduce(zeta), z) * len(z)
        weighted = sum(w * loss for w, loss in zip(settings.weights, inner.losses, strict=True))
        total = weighted + settings.cycle_weight * cycle
        self.optimizers["auxiliary"].zero_grad(set_to_none=True)
        total.backward()
        self.devices.average_gradients(self.weights)
        torch.nn.utils.clip_grad_norm_(self.weights, settings.clip)
        self.optimizers["auxiliary"].step()
        self.tick()
        count = len(z)
        return {
            "loss_before": inner.losses[0].detach() / count,
            "loss_after": inner.losses[-1].detach() / count,
            "cycle": cycle.detach() / count,
        }

    def _warm_up(self) -> dict[str, Tensor]:
        batch = self.batches.draw(WARM_UP_BATCH, self.source)
        with torch.no_grad():
            z = self.encoder(batch.x, batch.y)
        cycle = F.mse_loss(self.auxiliary(z), z)
        self.optimizers["warm_up"].zero_grad(set_to_none=True)
        cycle.backward()
        self.step("warm_up", self.weights)
        self.tick()
        return {"cycle": cycle.detach()}

    def inner(self, batch: Batch, zeta: Tensor, *, differentiable: bool = True) -> InnerSteps:
        """The inner loop on a batch."""
        wanted = self.wanted(batch)

        def loss_of(zeta: Tensor) -> Tensor:
            made = self.made(self.auxiliary.reduce(zeta), batch.y)
            pixels = (made - batch.x).square().mean((1, 2, 3))
            unlike = dissimilarity(self.critic, made, wanted)
            return (unlike + self.settings.pixel_weight * pixels).sum()

        return inner_steps(
            loss_of,
            zeta,
            steps=self.settings.inner_steps,
            rate=self.settings.inner_rate,
            differentiable=differentiable,
            tick=self.tick,
        )

    def preview(self) -> Tensor:
        """Real pictures, and below each what the inner steps reach."""
        with torch.no_grad():
            zeta = self.auxiliary.extend(self.encoder(self.shown.x, self.shown.y))
        reached = self.inner(self.shown, zeta.requires_grad_(), differentiable=False).zeta
        with torch.no_grad():
            return self.preview_of(self.made(self.auxiliary.reduce(reached), self.shown.y))
