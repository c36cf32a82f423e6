"""What a training leaves: a model that can be saved, loaded, applied and trained further."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia_models.checkpoints import Bundle, read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.networks import Discriminator, SingleImageGenerator
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.settings import TaskSettings, capabilities

FAMILY = "single-image"
FORMAT = 1


@dataclass
class TrainedModel:
    """A single-image model after its last stage."""

    generator: SingleImageGenerator
    discriminator: Discriminator
    """Critic of the last stage; training goes on from it."""
    sizes: list[Size]
    """(height, width) of every stage."""
    fixed_noises: list[Tensor]
    """Per stage (1, c, h, w); the picture is rebuilt from them."""
    real: Tensor
    """(1, 3, H, W) in [-1, 1]: the training picture at the last stage."""
    image_hash: str
    """SHA-256 of the training picture, see `training.image_hash`."""
    seed: int
    training_seconds: float
    notes: list[str] = field(default_factory=list)
    """What happened on the way that a user should know, for example a damaged checkpoint."""

    @property
    def settings(self) -> TaskSettings:
        """Settings of the training."""
        return self.generator.settings

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.real.device

    def to(self, device: str | torch.device) -> "TrainedModel":
        """Move everything to a device, in place."""
        self.generator.to(device)
        self.discriminator.to(device)
        self.fixed_noises = [noise.to(device) for noise in self.fixed_noises]
        self.real = self.real.to(device)
        return self

    @property
    def is_grey(self) -> bool:
        """Whether its training picture has no colours."""
        red, green, blue = self.real[0]
        return torch.equal(red, green) and torch.equal(green, blue)

    def in_own_colours(self, made: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1]: without the tints that creep into what a model of a grey picture
        makes; of other models, what was given."""
        return made.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) if self.is_grey else made

    def reconstruct(self) -> Tensor:
        """(1, 3, H, W) in [-1, 1]: the training picture as the model rebuilds it."""
        made = self.generator.synthesize(self.fixed_noises, self.sizes, batch_statistics=True)
        return self.in_own_colours(made)

    def apply(self, picture: Tensor) -> Tensor:
        """Send a picture through the model in place of its own (harmonization, editing).

        Args:
            picture: (1, 3, h, w) in [-1, 1], any size of the same aspect.

        Returns:
            (1, 3, H, W) in [-1, 1] at the size of the last stage; the same every time.

        Source: arXiv:2003.11512, section 4.2. Deviation: editing adds no fresh noise to the
        picture here, so that the result is the same every time.
        """
        coarsest = resize_tensor(picture, *self.sizes[0]).to(self.real)
        noises = [coarsest, *self.fixed_noises[1:]]
        made = self.generator.synthesize(noises, self.sizes, batch_statistics=True)
        return self.in_own_colours(made)

    def card(self, software_version: str = "") -> dict[str, Any]:
        """What the model is, as plain JSON values."""
        return {
            "family": FAMILY,
            "format": FORMAT,
            "task": self.settings.task,
            "capabilities": capabilities(self.settings.task),
            "sizes": [list(size) for size in self.sizes],
            "settings": self.settings.to_card(),
            "noise_amplitudes": self.generator.noise_amplitudes,
            "image_hash": self.image_hash,
            "seed": self.seed,
            "training_seconds": self.training_seconds,
            "software_version": software_version,
            "torch_version": torch.__version__,
            "notes": self.notes,
        }

    def save(
        self, folder: str | Path, *, software_version: str = "", extra: dict[str, Any] | None = None
    ) -> None:
        """Write ``weights.safetensors``, ``card.json`` and ``manifest.json``, all or nothing.

        Args:
            folder: Its folder; what was there is replaced.
            software_version: Stored in the card.
            extra: More plain JSON values for the card, for example a title.

        Raises:
            OSError: The disk is full or the folder cannot be written.
        """
        card = {**(extra or {}), **self.card(software_version)}
        write_bundle(Path(folder), self.tensors(), card)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        named = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        named |= {f"discriminator.{k}": v for k, v in self.discriminator.state_dict().items()}
        named |= {f"fixed_noise.{n}": noise for n, noise in enumerate(self.fixed_noises)}
        return {**named, "real": self.real}

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> "TrainedModel":
        """Read a saved model.

        Args:
            folder: What `save` wrote.
            device: Where to put it.

        Raises:
            UnreadableModel: It is not a single-image model, or was written by a newer version.
            DamagedCheckpoint: Its bytes have changed.
        """
        return _from_bundle(read_bundle(Path(folder)), Path(folder)).to(device)


def build_networks(
    settings: TaskSettings, stages: int
) -> tuple[SingleImageGenerator, Discriminator]:
    """A generator grown to a number of stages, and a critic, with arbitrary weights."""
    generator = SingleImageGenerator(settings)
    for _ in range(stages - 1):
        generator.grow()
    return generator, Discriminator(settings)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _from_bundle(bundle: Bundle, folder: Path) -> TrainedModel:
    card = bundle.card
    if card.get("family") != FAMILY:
        raise UnreadableModel(
            f"{folder} holds a model of family {card.get('family')!r}, not {FAMILY!r}."
        )
    if card.get("format", 0) > FORMAT:
        raise UnreadableModel(
            f"{folder} was written by a newer version: format {card['format']}, and this one "
            f"reads up to {FORMAT}.",
            "Update this software.",
        )
    try:
        settings = TaskSettings.from_card(card["settings"])
        sizes = [(int(h), int(w)) for h, w in card["sizes"]]
        generator, discriminator = build_networks(settings, len(sizes))
        generator.load_state_dict(part(bundle.tensors, "generator."))
        discriminator.load_state_dict(part(bundle.tensors, "discriminator."))
        generator.noise_amplitudes = [float(value) for value in card["noise_amplitudes"]]
        return TrainedModel(
            generator=generator.to(memory_format=torch.channels_last).eval(),
            discriminator=discriminator.to(memory_format=torch.channels_last).eval(),
            sizes=sizes,
            fixed_noises=[bundle.tensors[f"fixed_noise.{n}"] for n in range(len(sizes))],
            real=bundle.tensors["real"],
            image_hash=card["image_hash"],
            seed=card["seed"],
            training_seconds=card["training_seconds"],
            notes=list(card.get("notes", [])),
        )
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise UnreadableModel(f"{folder} is not a whole single-image model: {error}") from error
