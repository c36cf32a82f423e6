"""Batches of pictures with their parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.gan_training.batches import Batches
from intarsia_models.gan_training.loop import Tick
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.boxes import flipped, random_boxes, union_mask
from intarsia_models.key_patches.objectness import key_boxes
from intarsia_models.key_patches.patches import Degradation, cut_patches, degraded
from intarsia_models.key_patches.training_settings import KeyPatchTraining


@dataclass(frozen=True, eq=False)
class PartBatch:
    """Pictures with their parts."""

    real: Tensor
    """y, (B, 3, R, R) in [-1, 1]."""
    patches: Tensor
    """(B, N, 3, R, R) in [-1, 1]."""
    boxes: Tensor
    """M, (B, 1, R, R) of 0 and 1."""
    z: Tensor | None
    """(B, z_dim) in [-1, 1]."""


class PartBatches:
    """Draws pictures and their parts; all randomness is that of the generator given."""

    def __init__(
        self,
        pictures: PictureSet,
        settings: KeyPatchTraining,
        *,
        device: torch.device | str,
        tick: Tick | None = None,
    ) -> None:
        """Find the key patches of all pictures.

        Args:
            pictures: Of ``settings.resolution``.
            settings: Which parts.
            device: Where the batches go.
            tick: Called now and then; may raise to stop.
        """
        self.settings = settings
        self.pictures = Batches(pictures, settings.resolution, flips="none", device=device)
        self.candidates: Tensor | None = None
        if settings.patches == "key":
            kinds = settings.candidates or settings.parts
            self.candidates = key_boxes(pictures.pixels, kinds, rule=settings.rule(), tick=tick)

    def draw(self, count: int, source: torch.Generator) -> PartBatch:
        """Random pictures.

        Args:
            count: How many.
            source: Random numbers, on the CPU.
        """
        settings, size = self.settings, self.settings.resolution
        index, _ = self.pictures.choose(count, source)
        device = self.pictures.device
        real = self.pictures.pixels[index.to(device)].float() / 127.5 - 1.0
        boxes = self._boxes(index, source)
        turned = torch.rand(2, generator=source) < 0.5
        for axis, kinds in enumerate((("horizontal", "both"), ("both",))):
            if settings.flips in kinds and bool(turned[axis]):
                real = real.flip(3 - axis)
                boxes = flipped(boxes, size, axis)
        patches = cut_patches(real, boxes, size)
        if settings.noise:
            patches = degraded(patches, Degradation(noise=settings.noise), source)
        z = None
        if settings.z_dim:
            z = (torch.rand(count, settings.z_dim, generator=source) * 2 - 1).to(device)
        real = real.contiguous(memory_format=torch.channels_last)
        return PartBatch(real, patches, union_mask(boxes.to(device), size), z)

    def _boxes(self, index: Tensor, source: torch.Generator) -> Tensor:
        """(B, N, 4) of the pictures with these numbers."""
        settings = self.settings
        count, parts = len(index), settings.parts
        kinds = settings.candidates or parts
        if self.candidates is None:
            size, rule = settings.resolution, settings.rule()
            boxes = random_boxes(count, kinds, size, source, rule=rule)
        else:
            boxes = self.candidates[index]
        if settings.variable_parts:
            chosen = torch.randint(kinds, (count, parts), generator=source)
        elif kinds > parts:
            chosen = torch.rand(count, kinds, generator=source).argsort(1)[:, :parts]
        else:
            return boxes
        return boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
