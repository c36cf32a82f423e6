"""From a model and a composite to the picture that a painter gets."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.region_masks import soft_edit_mask
from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.training import check_picture


@dataclass(frozen=True)
class Harmonized:
    """A composite that has taken on the style of its surroundings."""

    picture: Tensor
    """(1, 3, H, W) in [-1, 1] at the size of the composite; outside ``edit_mask`` it is the
    composite, untouched."""
    edit_mask: Tensor
    """(1, 1, H, W) in [0, 1]: where it was changed, and how much."""
    generated: Tensor
    """(1, 3, h, w) in [-1, 1]: the whole output of the model, at its own size."""


def harmonize(
    model: TrainedModel,
    naive: Tensor,
    edit_mask: Tensor,
    *,
    strength: float = 1.0,
    radius: int | None = None,
    sigma: float = 5.0,
) -> Harmonized:
    """Give something that was pasted into a picture the style of the picture.

    Args:
        model: Trained on the picture (task "harmonization" or "editing").
        naive: (1, 3, H, W) in [-1, 1]: the picture with the thing pasted in; any size of the
            picture's aspect.
        edit_mask: (1, 1, H, W) in [0, 1]; above 0 where something was pasted.
        strength: How much of the change is made, in [0, 1].
        radius: Pixels (at the model's size) by which the area grows beyond ``edit_mask``; by
            default the task's.
        sigma: Softness of the area's edge in pixels (at the model's size).

    Returns:
        The composite over the *naive* picture.

    Raises:
        ValueError: A shape or number is wrong.

    Source: arXiv:2003.11512, section 4.2; dilation and softening as in the public code.
    Deviation: the public code's evaluation composites over the training picture, which would lose
    what the user changed elsewhere. Pictures larger than the model get the model's change, not
    its output: see `apply_difference`.
    """
    check_picture(naive)
    if edit_mask.shape != (1, 1, *naive.shape[-2:]):
        raise ValueError(
            f"edit_mask must be (1, 1, {naive.shape[-2]}, {naive.shape[-1]}) like the picture, "
            f"got {tuple(edit_mask.shape)}."
        )
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie in [0, 1], got {strength}.")
    naive = naive.to(model.real)
    size = model.sizes[-1]
    generated = model.apply(naive)
    small = naive if naive.shape[-2:] == size else resize_tensor(naive, *size, through_8_bits=False)
    grown = model.settings.mask_radius if radius is None else radius
    inside = F.adaptive_max_pool2d(edit_mask.to(model.real), size)
    area = soft_edit_mask(inside, radius=grown, sigma=sigma)
    area = F.interpolate(area, naive.shape[-2:], mode="bilinear").to(model.real)
    changed = apply_difference(naive, small, generated)
    picture = torch.lerp(naive, changed, area * strength)
    return Harmonized(picture, area * strength, generated)


def apply_difference(original: Tensor, reconstructed: Tensor, edited: Tensor) -> Tensor:
    """Carry a change that was made at a model's size over to a picture of any size, keeping its
    detail.

    Args:
        original: (1, 3, H, W) in [-1, 1].
        reconstructed: (1, 3, h, w) in [-1, 1]: the original at the model's size, before the change.
        edited: (1, 3, h, w) in [-1, 1]: after the change.

    Returns:
        (1, 3, H, W) in [-1, 1]: the original plus the enlarged difference; at equal sizes
        ``edited`` itself.

    Raises:
        ValueError: ``reconstructed`` and ``edited`` differ in shape.
    """
    if reconstructed.shape != edited.shape:
        raise ValueError(
            f"reconstructed and edited must have one shape, got {tuple(reconstructed.shape)} and "
            f"{tuple(edited.shape)}."
        )
    if original.shape == edited.shape:
        return edited
    difference = F.interpolate(
        edited - reconstructed, original.shape[-2:], mode="bicubic", align_corners=False
    )
    return (original + difference).clamp(-1, 1)
