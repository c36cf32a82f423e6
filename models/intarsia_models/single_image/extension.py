"""Continuing a picture beyond its borders."""

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.sampling import (
    fresh_noises,
    require_task,
    resized_picture,
    sizes_for,
)

TASKS = ("generation", "retarget")
SEAM = 2
"""Pixels of every stage over which the continuation passes into the picture."""


@torch.no_grad()
def extend(model: TrainedModel, size: Size, position: Size, *, seed: int = 0) -> Tensor:
    """A larger picture that holds the training picture at a place and continues it around.

    Args:
        model: Of the task "generation" or "retarget".
        size: (height, width) of the result at the scale of the model, at least the model's own.
        position: (top, left) of the training picture in it.
        seed: Of what is new.

    Returns:
        (1, 3, *size) in [-1, 1]. The training picture in it is as the model rebuilds it: lay the
        real one over it.

    Raises:
        ValueError: Wrong task, or the picture does not lie within the result.

    Source: ours. At every stage the features of the rebuilt picture take the place of what was
    made there, so that the next stage continues them.
    """
    require_task(model, TASKS, "Extensions")
    own = model.sizes[-1]
    for name, axis in (("height", 0), ("width", 1)):
        if not 0 <= position[axis] <= size[axis] - own[axis]:
            raise ValueError(
                f"The picture's {name} is {own[axis]} px at the model's size and does not lie "
                f"within {size[axis]} px at {position[axis]}."
            )
    sizes, generator = sizes_for(model, size), model.generator.eval()
    made = rebuilt = torch.empty(0)
    fresh = fresh_noises(model, sizes, seed)
    for n, (z, own_z) in enumerate(zip(fresh, model.fixed_noises, strict=True)):
        if n == 0:
            inner = _Place(model, sizes, position, 0)
            z = inner.pasted(z, resized_picture(own_z, inner.size))
            made = generator.first_features(z, batch_statistics=True)
            rebuilt = generator.first_features(own_z, batch_statistics=True)
        else:
            made = generator.next_features(made, n, z, sizes[n], batch_statistics=True)
            own_size = model.sizes[n]
            rebuilt = generator.next_features(rebuilt, n, own_z, own_size, batch_statistics=True)
        made = _Place(model, sizes, position, n).pasted(made, rebuilt)
    return model.in_own_colours(generator.to_image(made))


class _Place:
    """Where the training picture lies at a stage."""

    def __init__(self, model: TrainedModel, sizes: list[Size], position: Size, n: int) -> None:
        whole, own = sizes[n], model.sizes[n]
        self.size = (min(own[0], whole[0]), min(own[1], whole[1]))
        full = model.sizes[-1]
        self.top, self.left = (
            min(round(position[axis] * own[axis] / full[axis]), whole[axis] - self.size[axis])
            for axis in (0, 1)
        )
        self.beyond = (
            self.left,
            whole[1] - self.left - self.size[1],
            self.top,
            whole[0] - self.top - self.size[0],
        )

    def pasted(self, canvas: Tensor, patch: Tensor) -> Tensor:
        """(1, C, H, W): the patch in its place, with a soft edge where the canvas goes on."""
        patch = patch[..., : self.size[0], : self.size[1]]
        return torch.lerp(
            canvas, F.pad(patch, self.beyond), F.pad(self._weight(patch), self.beyond)
        )

    def _weight(self, patch: Tensor) -> Tensor:
        """(1, 1, h, w) in [0, 1], rising from the edges that the canvas goes on beyond."""
        height, width = self.size
        left, right, top, bottom = self.beyond
        rows = _ramp(height, top > 0, bottom > 0).to(patch)
        columns = _ramp(width, left > 0, right > 0).to(patch)
        return torch.minimum(rows[:, None], columns[None])[None, None]


def _ramp(length: int, soft_start: bool, soft_end: bool) -> Tensor:
    place = torch.arange(length) + 1.0
    weight = torch.ones(length)
    if soft_start:
        weight = torch.minimum(weight, place / (SEAM + 1))
    if soft_end:
        weight = torch.minimum(weight, place.flip(0) / (SEAM + 1))
    return weight
