"""Batches of real pictures: every class equally often, flipped and cropped at random."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.gan_training.pictures import PictureSet


@dataclass(frozen=True)
class Batch:
    """Real pictures with their classes."""

    x: Tensor
    """(B, 3, R, R) in [-1, 1], channels last."""
    y: Tensor | None
    """(B,) class ids; None without classes."""


class Batches:
    """Draws batches; all randomness is that of the generator given to `draw`."""

    def __init__(
        self, pictures: PictureSet, resolution: int, *, flips: str, device: torch.device | str
    ) -> None:
        """Prepare to draw.

        Args:
            pictures: At least as large as ``resolution``; larger ones are cropped at random.
            resolution: Side of what is drawn.
            flips: "none", "horizontal" or "both".
            device: Where the batches go; the pictures are kept there.
        """
        self.pixels = pictures.pixels.to(device)
        self.y = pictures.y
        self.num_classes = pictures.num_classes
        self.resolution = resolution
        self.flips = flips
        self.device = torch.device(device)
        kinds = range(max(1, pictures.num_classes))
        self._members = [(pictures.y == kind).nonzero().flatten() for kind in kinds]
        self._counts = torch.tensor([len(members) for members in self._members])
        self._starts = self._counts.cumsum(0) - self._counts
        self._order = torch.cat(self._members)

    def classes(self, count: int, source: torch.Generator) -> Tensor | None:
        """(count,) random class ids on the device, all equally likely; None without classes."""
        if not self.num_classes:
            return None
        return torch.randint(self.num_classes, (count,), generator=source).to(self.device)

    def choose(self, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Numbers (count,) of random pictures and their classes (count,), on the CPU.

        Args:
            count: How many.
            source: Random numbers, on the CPU.
        """
        kinds = torch.randint(len(self._members), (count,), generator=source)
        places = (torch.rand(count, generator=source) * self._counts[kinds]).long()
        places = torch.minimum(places, self._counts[kinds] - 1)
        return self._order[self._starts[kinds] + places], kinds

    def draw(self, count: int, source: torch.Generator) -> Batch:
        """Random pictures, the classes equally often on average.

        Args:
            count: How many.
            source: Random numbers, on the CPU.
        """
        index, kinds = self.choose(count, source)
        margin = self.pixels.shape[-1] - self.resolution
        corner = torch.randint(margin + 1, (count, 2), generator=source)
        turned = torch.rand(count, 2, generator=source) < 0.5
        x = self._cut(index.to(self.device), corner.to(self.device), turned.to(self.device))
        return Batch(x, kinds.to(self.device) if self.num_classes else None)

    def _cut(self, index: Tensor, corner: Tensor, turned: Tensor) -> Tensor:
        size = torch.arange(self.resolution, device=self.device)
        backwards = self.resolution - 1 - size
        rows = torch.where(turned[:, 1:] & (self.flips == "both"), backwards, size) + corner[:, 1:]
        across = turned[:, :1] & (self.flips != "none")
        columns = torch.where(across, backwards, size) + corner[:, :1]
        x = self.pixels[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return (x.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous(
            memory_format=torch.channels_last
        )


def stored_size(resolution: int, crop: float) -> int:
    """Side that pictures are kept at so that random crops leave ``crop`` of it away."""
    return round(resolution / (1.0 - crop))
