"""A GAN without parts, whose critic is trained as long as that of a model of parts.

Source: Radford et al. 2016, arXiv:1511.06434 ("DCGAN"), which the supplement of Lee et al. 2018
(arXiv:1703.10730, table 4) compares its features with. The networks are those of
`intarsia_models.key_patches`, so that both critics are alike; what differs is what they learnt
from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.gan_training.batches import Batches
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.loop import adam
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.losses import critic_loss, generator_loss
from intarsia_models.key_patches.networks import Decoder, PartCritic, initialize
from intarsia_models.key_patches.training_settings import KeyPatchTraining

NUMBERS = 100
"""Random numbers of a picture, as published."""


def train_plain_gan(
    pictures: PictureSet,
    settings: KeyPatchTraining,
    *,
    seed: int = 0,
    device: str = "cpu",
    tick: Callable[[], None] | None = None,
) -> PartCritic:
    """Train on whole pictures alone.

    Args:
        pictures: Of ``settings.resolution``.
        settings: Sizes, batch, iterations and rates; what is about parts is not looked at.
        seed: Of all randomness.
        device: Where it computes.
        tick: Called in every iteration; may raise to stop.

    Returns:
        The critic, in eval mode on the CPU.
    """
    sizes, place = settings.networks(), Devices(device)
    channels = sizes.channels(sizes.width)[::-1]
    generator = Decoder(NUMBERS, channels, [0] * len(channels), 3, sizes.kernel)
    initialize(generator, seed)
    critic = PartCritic(sizes, seed=seed + 1)
    networks = {"generator": generator, "critic": critic}
    betas = (settings.beta1, settings.beta2)
    optimizers = {}
    for name, network in networks.items():
        network.to(place.device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        optimizers[name] = adam(list(network.parameters()), settings.rate, *betas)
    source = torch.Generator().manual_seed(seed)
    batches = Batches(pictures, sizes.resolution, flips=settings.flips, device=place.device)
    for iteration in range(settings.iterations):
        if tick is not None:
            tick()
        real = batches.draw(settings.batch, source).x
        z = (torch.rand(settings.batch, NUMBERS, 1, 1, generator=source) * 2 - 1).to(place.device)
        with place.autocast(settings.precision):
            made = torch.tanh(generator(z).output.float())
            on_real, on_made = critic(real), critic(made.detach())
        _step(optimizers["critic"], critic_loss(on_real, on_made[None], 1.0))
        if (iteration + 1) % settings.generator_every == 0:
            with place.autocast(settings.precision):
                logits = critic(made)
            _step(optimizers["generator"], generator_loss(logits))
    return critic.eval().requires_grad_(False).cpu()


@torch.no_grad()
def critic_features(critic: PartCritic, pictures: Tensor) -> Tensor:
    """(B, 16 C): as `KeyPatchModel.features`, of any critic.

    Args:
        critic: In eval mode.
        pictures: (B, 3, H, W) in [-1, 1]; resized to the critic's side.
    """
    side = critic.settings.resolution
    if pictures.shape[-1] != side:
        pictures = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)
    return torch.cat([critic.features(part.clamp(-1, 1)).flatten(1) for part in pictures.split(64)])


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
