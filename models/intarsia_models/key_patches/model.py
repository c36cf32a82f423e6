"""What a training leaves: networks that make wholes of parts, which can be saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia_models.checkpoints import Bundle, read_bundle, write_bundle
from intarsia_models.errors import ModelsError, UnreadableModel
from intarsia_models.key_patches.networks import PartCritic, PartGenerator
from intarsia_models.key_patches.patches import (
    Degradation,
    Part,
    degraded,
    filled_up,
    resized,
    stacked,
)
from intarsia_models.key_patches.settings import KeyPatchSettings

FAMILY = "key-patches"
TASK = "key_patches"
CAPABILITY = "key_patches"
"""What a card says of every such model, so that operations find it."""
FORMAT = 1
CRITIC = "critic"
"""The part of a bundle that holds the critic."""
BATCH = 64
"""Pictures at once."""


@dataclass(frozen=True, eq=False)
class Assembled:
    """A whole."""

    picture: Tensor
    """(1, 3, R, R) in [-1, 1]."""
    placement: Tensor | None
    """(1, 1, R, R) in [0, 1]: where the parts went; None of a model without a mask network."""
    patches: Tensor
    """(N, 3, R, R) in [-1, 1]: what the networks saw, repeated parts included."""
    notes: list[str] = field(default_factory=list)
    """What one should know of this result, in sentences."""


class KeyPatchModel:
    """Networks that make wholes of parts, ready for use."""

    def __init__(
        self,
        generator: PartGenerator,
        critic: PartCritic | None,
        *,
        labels: Sequence[str] = (),
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Put networks together.

        Args:
            generator: Parts to wholes.
            critic: Of the same training; None where there is none.
            labels: Names of what it learnt, where its pictures had classes.
            facts: More plain JSON values for the card, for example of the training.
        """
        self.generator = generator.eval().requires_grad_(False)
        self.critic = None if critic is None else critic.eval().requires_grad_(False)
        self.labels = tuple(labels)
        self.facts = dict(facts or {})

    @property
    def settings(self) -> KeyPatchSettings:
        """All sizes."""
        return self.generator.settings

    @property
    def resolution(self) -> int:
        """Side of what it makes."""
        return self.settings.resolution

    @property
    def parts(self) -> int:
        """Most parts of one whole."""
        return self.settings.parts

    @property
    def capabilities(self) -> tuple[str, ...]:
        """`CAPABILITY`, and "features" where there is a critic."""
        return (CAPABILITY,) if self.critic is None else (CAPABILITY, "features")

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.generator.parameters()).device

    def to(self, device: str | torch.device) -> KeyPatchModel:
        """Move everything to a device, in place."""
        self.generator.to(device)
        if self.critic is not None:
            self.critic.to(device)
        return self

    def assemble(
        self, parts: Sequence[Part], *, seed: int = 0, degradation: Degradation | None = None
    ) -> Assembled:
        """One whole of some parts.

        Args:
            parts: From 1 to `parts`, in any order. Where there are fewer, random ones of them count
                more than once (supplement, section 7).
            seed: Which ones do, the random numbers of the model, and the noise.
            degradation: What is done to the parts before; None: nothing.

        Raises:
            UnsuitablePicture: A part is empty.
            ValueError: There are none or too many parts, or a shape or a range does not fit.
        """
        if not 1 <= len(parts) <= self.parts:
            raise ValueError(
                f"The model takes at most {self.parts} parts and at least one, got {len(parts)}."
            )
        source = torch.Generator().manual_seed(seed)
        notes = []
        if len(parts) < self.parts and not self.settings.variable_parts:
            notes.append(
                f"The model learnt from {self.parts} different parts and got {len(parts)}; some "
                "count more than once, which it has not seen before."
            )
        patches = stacked(parts, self.resolution)
        patches = patches[:, filled_up(len(parts), self.parts, source)]
        if degradation is not None:
            patches = degraded(patches, degradation, source)
        pictures, placements = self.generate(patches, self.sample_z(1, seed))
        return Assembled(pictures, placements, patches[0], notes)

    @torch.no_grad()
    def generate(self, patches: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Many wholes.

        Args:
            patches: (B, N, 3, R, R) in [-1, 1].
            z: (B, z_dim) in [-1, 1] of `sample_z`; None where the model takes none.

        Returns:
            (B, 3, R, R) in [-1, 1] and (B, 1, R, R) in [0, 1] or None, both on the CPU.

        Raises:
            ValueError: A shape is another one.
        """
        pictures, placements = [], []
        for start in range(0, len(patches), BATCH):
            numbers = None if z is None else z[start : start + BATCH].to(self.device)
            made = self.generator(patches[start : start + BATCH].to(self.device), numbers)
            pictures.append(made[0].cpu())
            if made[1] is not None:
                placements.append(made[1].cpu())
        return torch.cat(pictures), torch.cat(placements) if placements else None

    def sample_z(self, count: int, seed: int) -> Tensor | None:
        """(count, z_dim) from U(-1, 1); None where the model takes no random numbers."""
        if not self.settings.z_dim:
            return None
        source = torch.Generator().manual_seed(seed)
        return torch.rand(count, self.settings.z_dim, generator=source) * 2 - 1

    def features(self, pictures: Tensor) -> Tensor:
        """What the critic's last layer sees, as numbers that tell pictures apart.

        Args:
            pictures: (B, 3, H, W) in [-1, 1]; resized to the model's side.

        Returns:
            (B, 16 C) float32 on the CPU: C channels at 4 x 4 places (supplement, section 4).

        Raises:
            ModelsError: The model has no critic.
        """
        return self._looked(pictures, lambda critic, x: critic.features(x).flatten(1))

    def scores(self, pictures: Tensor) -> Tensor:
        """(B,): the critic's probabilities that pictures are real; arguments as `features`."""
        return self._looked(pictures, lambda critic, x: torch.sigmoid(critic(x)[:, 0]))

    @torch.no_grad()
    def _looked(self, pictures: Tensor, look: Any) -> Tensor:
        if self.critic is None:
            raise ModelsError(
                "The model has no critic, which features are taken from.",
                "Take a model that was trained with one.",
            )
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(f"pictures must be (B, 3, H, W), got {tuple(pictures.shape)}.")
        found = [
            look(self.critic, resized(part.float(), self.resolution).to(self.device)).float().cpu()
            for part in pictures.split(BATCH)
        ]
        return torch.cat(found)

    def card(self, software_version: str = "") -> dict[str, Any]:
        """What the model is, as plain JSON values."""
        return {
            **self.facts,
            "family": FAMILY,
            "format": FORMAT,
            "task": TASK,
            "settings": self.settings.to_dict(),
            "resolution": self.resolution,
            "parts": self.parts,
            "variable_parts": self.settings.variable_parts,
            "subjects": list(self.labels),
            "capabilities": list(self.capabilities),
            "software_version": software_version,
            "torch_version": torch.__version__,
        }

    def save(
        self,
        folder: str | Path,
        *,
        software_version: str = "",
        extra: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Write ``weights.safetensors``, ``critic.safetensors``, ``card.json`` and
        ``manifest.json``, all or nothing.

        Args:
            folder: Its folder; what was there is replaced.
            software_version: Stored in the card.
            extra: More plain JSON values for the card, for example a title.
            dtype: Of the stored weights.

        Raises:
            OSError: The disk is full or the folder cannot be written.
        """
        parts = {}
        if self.critic is not None:
            parts[CRITIC] = _stored(self.critic, f"{CRITIC}.", dtype)
        card = {**(extra or {}), **self.card(software_version)}
        write_bundle(Path(folder), _stored(self.generator, "generator.", dtype), card, parts=parts)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> KeyPatchModel:
        """Read a saved model.

        Args:
            folder: What `save` wrote.
            device: Where to put it.

        Raises:
            UnreadableModel: It is no such model, or was written by a newer version.
            DamagedCheckpoint: Its bytes have changed.
        """
        return _from_bundle(read_bundle(Path(folder)), Path(folder)).to(device)


def load_key_patches(path: str | Path, *, device: str | torch.device = "cpu") -> KeyPatchModel:
    """Read a model of ours, or the files of the public KeyPatchGan.

    Args:
        path: A folder that `KeyPatchModel.save` wrote; or one of the public code's
            ``epoch_*_net_*.pth``, or a folder of them (the last epoch counts).
        device: Where to put it.

    Raises:
        UnreadableModel: It is neither.
        DamagedCheckpoint: Its bytes have changed.
    """
    path = Path(path)
    if path.suffix == ".pth" or (path.is_dir() and any(path.glob("epoch_*_net_*.pth"))):
        from intarsia_models.key_patches.public_files import read_public_model

        return read_public_model(path).to(device)
    return KeyPatchModel.load(path, device=device)


def _stored(network: torch.nn.Module, prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        f"{prefix}{name}": tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }


def _from_bundle(bundle: Bundle, folder: Path) -> KeyPatchModel:
    card = bundle.card
    if card.get("family") != FAMILY:
        raise UnreadableModel(
            f"{folder} holds a model of family {card.get('family')!r}, not {FAMILY!r}."
        )
    try:
        if int(card.get("format", 0)) > FORMAT:
            raise UnreadableModel(
                f"{folder} was written by a newer version: format {card['format']}, and this one "
                f"reads up to {FORMAT}.",
                "Update this software.",
            )
        settings = KeyPatchSettings.from_dict(card["settings"])
        generator = PartGenerator(settings, seed=None)
        generator.load_state_dict(_loaded(bundle, "generator."))
        critic = None
        held = _loaded(bundle, f"{CRITIC}.")
        if held:
            critic = PartCritic(settings, seed=None)
            critic.load_state_dict(held)
        own = {key: card[key] for key in card if key in ("title", "trainings", "licence", "notes")}
        return KeyPatchModel(generator, critic, labels=card.get("subjects", ()), facts=own)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise UnreadableModel(f"{folder} is not a whole model of parts: {error}") from error


def _loaded(bundle: Bundle, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in bundle.tensors.items()
        if name.startswith(prefix)
    }
