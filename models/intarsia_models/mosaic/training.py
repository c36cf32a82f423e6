"""Training a mosaic: templates drawn at random, a critic that knows what they look like.

Source: Jetchev et al. 2019, arXiv:1910.07236, eq. 1 to 4: patches of the templates are real, what
the generator makes of other patches of them is not; Adam with betas 0.5 and 0.999; K is drawn anew
for every iteration.

Deviations: one forward pass serves both steps of an iteration (FAMOS draws anew); the averaged
weights are kept and the rates may fall towards the end; with several sources of templates every
item of a batch takes one of them, so that one model learns to serve templates that it has not
seen. Without a content the critic looks at the collage as well, the weight of the total variation
rises from 0, and the refinement is held to the collage's colours over wide areas
(`MosaicTraining`): with the printed losses alone all weights stayed alike, and the refinement
painted spots on their grey mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intarsia_models.gan_training.averaging import WeightAverage
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.grids import arranged
from intarsia_models.gan_training.loop import (
    History,
    RunOptions,
    TrainingLoop,
    adam,
    schedule_free,
    training_card,
)
from intarsia_models.mosaic.losses import (
    ContentDistance,
    adversarial_loss,
    critic_loss,
    entropy_loss,
    max_loss,
    tint_loss,
    tv_loss,
)
from intarsia_models.mosaic.model import Mosaic, MosaicModel, build_network
from intarsia_models.mosaic.networks import PatchCritic, initialize
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource, Scales, stacked
from intarsia_models.mosaic.training_settings import MosaicTraining

if TYPE_CHECKING:
    from typing_extensions import Unpack

SHOWN = 6
"""Mosaics in a preview."""
MEMORY_SEED = 0
"""Of the canvases of a "fixed_memory": the same in training and ever after."""
MEMORY_SIDES = 4
"""Patches along a side of the part of those canvases that is trained on."""


@dataclass(frozen=True)
class TrainedMosaic:
    """A mosaic's generator, ready to compose."""

    model: MosaicModel
    settings: MosaicSettings
    training: MosaicTraining
    history: History
    seconds: float
    templates: int
    """How many pictures."""
    contents: int
    pictures_sha256: str
    """Of all of them, and of how they were used."""

    def card(self) -> dict[str, Any]:
        """What a model card says about this training; plain JSON values."""
        return {
            **training_card(self.training, self.history, self.seconds),
            "templates": self.templates,
            "contents": self.contents,
            "pictures_sha256": self.pictures_sha256,
        }


def train_mosaic(
    templates: PictureSource | Sequence[PictureSource],
    contents: PictureSource | None,
    settings: MosaicSettings,
    training: MosaicTraining,
    *,
    seed: int = 0,
    device: str | torch.device | Devices = "cpu",
    **run: Unpack[RunOptions],
) -> TrainedMosaic:
    """Train a generator of mosaics, or take a training up where its last checkpoint left it.

    Args:
        templates: Pictures to compose of; several sources make a model that serves any of them.
        contents: Pictures to follow; None for an unguided model.
        settings: Of the networks.
        training: Of the training.
        seed: Of all randomness.
        device: One device, or `Devices.several(n)`.
        **run: See `gan_training.loop.RunOptions`; a preview shows contents, one template of each,
            collages and results in rows.

    Raises:
        ValueError: Contents are missing or not wanted, the patch is no multiple of what the
            networks take, or there is a fixed memory of several sources.
        UnreadableModel: The distance of contents is to be LPIPS, and its backbone is not here.
        TrainingDiverged: A loss is no longer a finite number.
        OSError: A checkpoint could not be written.
    """
    sources = [templates] if isinstance(templates, PictureSource) else list(templates)
    _check(sources, contents, settings, training)
    devices = Devices.of(device)
    loop = MosaicLoop(sources, contents, settings, training, seed=seed, devices=devices)
    loop.run(**run)
    trained = TrainedMosaic(
        MosaicModel(loop.average.network),
        settings,
        training,
        loop.history,
        loop.seconds,
        sum(len(source) for source in sources),
        0 if contents is None else len(contents),
        loop.fingerprint,
    )
    trained.model.origin.update(trained.card())
    return trained


class MosaicLoop(TrainingLoop):
    """Eq. 4, one step of the critic and one of the generator at a time."""

    kind = "mosaic"

    def __init__(
        self,
        templates: Sequence[PictureSource],
        contents: PictureSource | None,
        settings: MosaicSettings,
        training: MosaicTraining,
        *,
        seed: int,
        devices: Devices,
    ) -> None:
        """Prepare a training; see `train_mosaic`."""
        super().__init__(
            iterations=training.iterations,
            decay_from=training.decay_from,
            seed=seed,
            devices=devices,
        )
        self.settings = settings
        self.training = training
        self.templates = list(templates)
        self.contents = contents
        self.fingerprint = _fingerprint([*self.templates, *([contents] if contents else [])])
        place = devices.device
        self.generator = build_network(settings, seed=seed * 4 + 1).to(place).train()
        self.critic = PatchCritic(
            width=training.critic_width,
            depth=training.critic_depth,
            cap=training.critic_cap,
            norm=training.critic_norm,
        )
        initialize(self.critic, seed * 4 + 2)
        self.critic = self.critic.to(place).to(memory_format=torch.channels_last).train()
        self.distance = ContentDistance(training.phi)
        initialize(self.distance, seed * 4 + 3)
        self.distance = self.distance.to(place)
        self.average = WeightAverage(self.generator, training.average_decay)
        self.networks = {
            "generator": self.generator,
            "critic": self.critic,
            "average": self.average.network,
            "distance": self.distance,
        }
        self._generator_weights = [*self.generator.parameters(), *self.distance.parameters()]
        self._critic_weights = list(self.critic.parameters())
        betas = (training.beta1, training.beta2)
        self.optimizers = {
            "generator": adam(self._generator_weights, training.generator_rate, *betas),
            "critic": adam(self._critic_weights, training.critic_rate, *betas),
        }
        self._memory = None
        if settings.style == "fixed_memory":
            self._memory = self.templates[0].canvases(settings.slots, MEMORY_SEED)
        self._batch = max(1, training.batch // devices.count)
        self._shown = self._drawn(SHOWN, self._most, torch.Generator().manual_seed(0))

    def identity(self) -> dict[str, Any]:
        """Pictures, settings, seed and kind of device; the weights of the losses may change."""
        training = schedule_free(self.training.to_card())
        return {
            "kind": self.kind,
            "pictures": self.fingerprint,
            "settings": self.settings.to_card(),
            "training": {k: v for k, v in training.items() if not k.endswith("_weight")},
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
        """One step of each on one batch."""
        batch = self._drawn(self._batch, self._count(), self.source)
        self.tick()
        with self.autocast(self.training.precision):
            made = self.generator.compose(batch.content, batch.templates, noise=batch.noise)
        self.tick()
        losses = {"critic": self._critic_step(batch.real, self._judged(made))}
        self.tick()
        losses |= self._generator_step(batch.content, made)
        self.average.update(self.generator)
        self.tick()
        return losses

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Contents, templates, collages and results, a row each."""
        batch, network = self._shown, self.average.network
        rows = [] if batch.content is None else [batch.content]
        with self.autocast(self.training.precision):
            made = network.compose(batch.content, batch.templates, noise=batch.noise)
        rows += [batch.templates[:, 0], made.collage, made.picture]
        return arranged(torch.cat([row.float().cpu() for row in rows]), SHOWN)

    @property
    def _most(self) -> int:
        return len(self._memory) if self._memory else self.training.templates_most

    def _count(self) -> int:
        if self._memory:
            return len(self._memory)
        low, high = self.training.templates_least, self.training.templates_most
        return int(torch.randint(low, high + 1, (), generator=self.source))

    def _judged(self, made: Mosaic) -> Tensor:
        """(B, 3, H, W), or (2 B, 3, H, W) with the collages behind: what the critic looks at."""
        if self.training.adversarial_mix_weight and made.picture is not made.collage:
            return torch.cat([made.picture, made.collage])
        return made.picture

    @property
    def _warmth(self) -> float:
        """Share of the weight of the total variation that counts by now."""
        steps = self.training.warm_up * self.iterations
        return min(1.0, self.iteration / steps) if steps else 1.0

    def _critic_step(self, real: Tensor, pictures: Tensor) -> Tensor:
        with self.autocast(self.training.precision):
            scores = self.critic(real), self.critic(pictures.detach())
        loss = critic_loss(*scores)
        self.optimizers["critic"].zero_grad(set_to_none=True)
        loss.backward()
        self.step("critic", self._critic_weights)
        return loss.detach()

    def _generator_step(self, content: Tensor | None, made: Mosaic) -> dict[str, Tensor]:
        """The losses before they are weighted."""
        training = self.training
        weighted: list[tuple[str, float, Tensor]] = []
        if training.adversarial_weight:
            self.critic.requires_grad_(False)
            with self.autocast(training.precision):
                scores = self.critic(self._judged(made)).split(len(made.picture))
            self.critic.requires_grad_(True)
            loss = adversarial_loss(scores[0])
            weighted.append(("adversarial", training.adversarial_weight, loss))
            if len(scores) > 1:
                loss = adversarial_loss(scores[1])
                weighted.append(("adversarial_mix", training.adversarial_mix_weight, loss))
        if content is not None:
            distance = self.distance(made.picture, content)
            weighted.append(("content", training.content_weight, distance))
            if training.content_mix_weight:
                distance = self.distance(made.collage, content)
                weighted.append(("content_mix", training.content_mix_weight, distance))
        if training.tint_weight and made.picture is not made.collage:
            distance = tint_loss(made.picture, made.collage, guided=content is not None)
            weighted.append(("tint", training.tint_weight, distance))
        if made.weights is not None:
            weighted += [
                ("tv", training.tv_weight * self._warmth, tv_loss(made.weights)),
                ("entropy", training.entropy_weight, entropy_loss(made.weights)),
                ("max", training.max_weight, max_loss(made.weights)),
            ]
        total = torch.stack([weight * loss for _, weight, loss in weighted]).sum()
        self.optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        self.step("generator", self._generator_weights)
        return {name: loss.detach() for name, _, loss in weighted}

    def _drawn(self, batch: int, count: int, source: torch.Generator) -> _Batch:
        """Templates, other patches of the same pictures, and contents."""
        training = self.training
        size, place = training.patch, self.devices.device
        chosen = torch.randint(len(self.templates), (batch,), generator=source).tolist()
        sets, real = [], []
        for index in chosen:
            own = self.templates[index]
            crops = _Crops(own, size, source, training.template_scales, training.flips)
            real.append(crops(1))
            sets.append(self._remembered(source) if self._memory else crops(count))
        content = noise = None
        if self.contents is not None:
            crops = _Crops(self.contents, size, source, training.content_scales, training.flips)
            content = _on(crops(batch), place)
        if self.settings.noise_channels:
            shape = (batch, self.settings.noise_channels, size, size)
            noise = torch.randn(shape, generator=source).to(place)
        return _Batch(content, _on(torch.stack(sets), place), _on(torch.cat(real), place), noise)

    def _remembered(self, source: torch.Generator) -> Tensor:
        """(K, 3, size, size) uint8: the same part of all canvases of a fixed memory."""
        assert self._memory is not None
        size = self.training.patch
        top, left = torch.randint(size * (MEMORY_SIDES - 1) + 1, (2,), generator=source).tolist()
        return ((stacked(self._memory, top, left, size, size)[0] + 1) * 127.5).round().byte()


@dataclass(frozen=True, eq=False)
class _Batch:
    content: Tensor | None
    templates: Tensor
    real: Tensor
    noise: Tensor | None


@dataclass(frozen=True, eq=False)
class _Crops:
    """Patches of a source."""

    pictures: PictureSource
    size: int
    source: torch.Generator
    scales: Scales
    flips: str

    def __call__(self, count: int) -> Tensor:
        return self.pictures.crops(
            count, self.size, self.source, scales=self.scales, flips=self.flips
        )


def _on(levels: Tensor, device: torch.device) -> Tensor:
    """uint8 to float32 in [-1, 1], on a device."""
    return levels.to(device).float() / 127.5 - 1.0


def _fingerprint(sources: Sequence[PictureSource]) -> str:
    return hashlib.sha256(" ".join(s.fingerprint() for s in sources).encode()).hexdigest()


def _check(
    sources: Sequence[PictureSource],
    contents: PictureSource | None,
    settings: MosaicSettings,
    training: MosaicTraining,
) -> None:
    if not sources:
        raise ValueError("There are no templates to learn from.")
    if (contents is not None) != settings.guided:
        raise ValueError(
            "A guided mosaic needs contents to follow."
            if settings.guided
            else "An unguided mosaic takes no contents: train with guided=True to use them."
        )
    if training.patch % settings.multiple:
        raise ValueError(
            f"patch must be a multiple of {settings.multiple} at depth {settings.depth}, got "
            f"{training.patch}."
        )
    if settings.style == "fixed_memory" and len(sources) > 1:
        raise ValueError(f"A fixed memory has one source of templates, got {len(sources)}.")
