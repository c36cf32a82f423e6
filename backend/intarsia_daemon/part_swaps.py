"""Parts of pictures exchanged with those of others, in one pass, to choose the best from.

Source: Chai et al. 2021, arXiv:2103.10426, dataset rebalancing: of 16 candidate swaps the one with
the strongest score is kept. The public code does not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.pixels import Picture, layer_from_tensors
from intarsia_daemon.real_pictures import whole_crop
from intarsia_daemon.rough_pieces import small_piece
from intarsia_daemon.scorers import class_shares
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.latent_composition.latents import (
    Latent,
    decode,
    encode,
    likeliest,
    read,
    regressor_of,
)

Classes = Literal["keep", "read", "by_piece"]
"""What a swapped picture shows: what it showed, what is read from it, or each part its own."""
LEAST_KNOWN = 0.5
"""Share of the part that a picture must show to give it away."""
BATCH = 8


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """A picture as the model sees it, kept small: folders are large."""

    levels: Tensor
    """(3, R, R) uint8."""
    known: Tensor
    """(1, R, R) uint8; 255 = known."""
    class_id: int | None

    @property
    def image(self) -> Tensor:
        """(1, 3, R, R) in [-1, 1]."""
        return self.levels[None].float() / 127.5 - 1

    @property
    def known_share(self) -> Tensor:
        """(1, 1, R, R) in [0, 1]."""
        return self.known[None].float() / 255

    @property
    def whole(self) -> Tensor:
        """(1, 3, R, R): with mid-grey where nothing is known, for scorers."""
        return self.image * self.known_share

    def as_picture(self, area: Tensor | None = None) -> Picture:
        """At the model's size, 8 bits; only the part of it in an area, (1, 1, R, R) in [0, 1]."""
        alpha = self.known_share if area is None else self.known_share * area
        canvas = Picture(np.zeros((1, 1, 4), np.uint8))
        return Picture(layer_from_tensors("", self.image, alpha, like=canvas).array)


def small_picture(model: LoadedModel, picture: Picture) -> SmallPicture:
    """A picture at the model's size, with the class that the model reads."""
    piece = small_piece(whole_crop(picture, model.generator.resolution), picture)
    levels = ((piece.colours[0] + 1) * 127.5).round().to(torch.uint8)
    known = (piece.alpha[0] * 255).round().to(torch.uint8)
    small = SmallPicture(levels, known, None)
    if not model.generator.num_classes:
        return small
    return SmallPicture(levels, known, _class_of(model, small))


def can_give(donor: SmallPicture, area: Tensor) -> bool:
    """Whether a picture shows enough of the part, (1, 1, R, R) in [0, 1], to give it away."""
    shown = (donor.known_share * area).sum()
    return bool(shown >= LEAST_KNOWN * area.sum())


@torch.inference_mode()
def swapped(
    model: LoadedModel,
    target: SmallPicture,
    donors: list[SmallPicture],
    area: Tensor,
    classes: Classes,
) -> Tensor:
    """The picture with the part of each donor, made coherent.

    Args:
        model: With a regressor.
        target: Gets the part.
        donors: At least one.
        area: (1, 1, R, R) in [0, 1], 1 = the part.
        classes: See `Classes`.

    Returns:
        (n, 3, R, R).
    """
    image, known, area = (
        item.to(model.device) for item in (target.image, target.known_share, area)
    )
    made = []
    for first in range(0, len(donors), BATCH):
        some = donors[first : first + BATCH]
        alpha = torch.cat([donor.known_share for donor in some]).to(model.device) * area
        pasted = image + alpha * (torch.cat([d.image for d in some]).to(model.device) - image)
        seen = known + alpha * (1 - known)
        y = label_of_swap(model, target, classes, len(some))
        latent = encode(model.generator, pasted, seen, y)
        maps = None
        if classes == "by_piece":
            maps = _maps(target, some, alpha)
        made.append(decode(model.generator, latent, class_weights=maps))
    return torch.cat(made)


@torch.inference_mode()
def alone(model: LoadedModel, target: SmallPicture) -> tuple[Latent, Tensor]:
    """The picture as the model holds it by itself: latent and (1, 3, R, R)."""
    y = class_rows(model, target.class_id, 1)
    latent = encode(
        model.generator, target.image.to(model.device), target.known_share.to(model.device), y
    )
    return latent, decode(model.generator, latent)


def label_of_swap(
    model: LoadedModel, target: SmallPicture, classes: Classes, count: int
) -> Tensor | None:
    """(count,) class ids that swaps are encoded with; None: as read, or without classes."""
    if classes == "read" and regressor_of(model.generator).settings.num_classes:
        return None
    return class_rows(model, target.class_id, count)


def class_rows(model: LoadedModel, class_id: int | None, count: int) -> Tensor | None:
    """(count,) of one class; None without classes."""
    if class_id is None:
        return None
    return torch.full((count,), class_id, dtype=torch.int64, device=model.device)


def donor_piece(target: Picture, donor: Picture, coverage: Tensor) -> Picture:
    """A donor's part at the target's own size, on the target's rectangle.

    Args:
        target: Gets the part.
        donor: Laid over it square on square, around the middle.
        coverage: (1, 1, H, W) in [0, 1] on the target: the part.
    """
    square = whole_crop(target, 1)
    height, width = target.array.shape[:2]
    theirs = whole_crop(donor, square.side)
    piece = small_piece(theirs, donor)
    rows = slice(-square.top, -square.top + height)
    columns = slice(-square.left, -square.left + width)
    colours = piece.colours[..., rows, columns]
    alpha = piece.alpha[..., rows, columns] * coverage
    layer = layer_from_tensors(donor.name, colours, alpha, like=target)
    return Picture(layer.array, target.x, target.y, donor.name)


def _class_of(model: LoadedModel, small: SmallPicture) -> int:
    if regressor_of(model.generator).settings.num_classes:
        image, known = small.image.to(model.device), small.known_share.to(model.device)
        found = likeliest(read(model.generator, image, known))
        assert found is not None
        return int(found[0])
    return int(class_shares(model, small.whole).argmax(1)[0])


def _maps(target: SmallPicture, donors: list[SmallPicture], alpha: Tensor) -> ClassMaps | None:
    """Each donor's class in the part, the target's elsewhere."""
    if target.class_id is None:
        return None
    own = target.class_id
    others = sorted({donor.class_id for donor in donors if donor.class_id is not None} - {own})
    weights = alpha.new_zeros(len(donors), 1 + len(others), *alpha.shape[2:])
    for row, (donor, part) in enumerate(zip(donors, alpha, strict=True)):
        if donor.class_id in others:
            weights[row, 1 + others.index(donor.class_id)] = part[0]
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    return ClassMaps((own, *others), weights)
