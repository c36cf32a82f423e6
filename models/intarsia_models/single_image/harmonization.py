"""From a model and a composite to the picture that a painter gets.

`composite` is shared with `retouching`; `harmonize` and `harmonize_several` are the task itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.region_masks import soft_edit_mask
from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.sampling import (
    fixed_noises,
    own_scale,
    resized_picture,
    sizes_for,
    synthesized,
)
from intarsia_models.single_image.training import check_picture

_BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)
"""Standard deviations in pixels that a model's blur is looked for among."""

SEAM = 4
"""Pixels at the model's size."""
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Composite:
    """A changed picture that has taken on the style of the model's picture where it was changed."""

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
    elsewhere: bool = False,
) -> Composite:
    """Give something that was pasted into a picture the style of the picture.

    Args:
        model: Trained on the picture (task "harmonization" or "editing").
        naive: (1, 3, H, W) in [-1, 1]: the picture with the thing pasted in; any size of the
            picture's aspect.
        edit_mask: (1, 1, H, W) in [0, 1]; above 0 where something was pasted.
        strength: How much of the change is made, in [0, 1].
        radius: Pixels (at the model's size) by which the area grows beyond ``edit_mask``; by
            default the task's.
        sigma: Softness of the area's edge in pixels (at the model's size). With 0 for both, the
            area is ``edit_mask`` itself, at full size.
        elsewhere: ``naive`` is another picture than the model learnt, of any aspect: the thing
            takes on the manner of the model's picture.

    Returns:
        The composite over the *naive* picture.

    Raises:
        ValueError: A shape or number is wrong.

    Source: arXiv:2003.11512, section 4.2; dilation and softening as in the public code.
    Deviation: the public code's evaluation composites over the training picture, which would lose
    what the user changed elsewhere. Pictures larger than the model get the model's change, not
    its output: see `apply_difference`. And what the model would get wrong in rebuilding its own
    picture (blur, after a short training) is not handed on; a model that rebuilds it well gives
    its output unchanged.
    """
    return harmonize_several(
        model,
        naive,
        [edit_mask],
        strengths=[strength],
        radius=radius,
        sigma=sigma,
        elsewhere=elsewhere,
    )[0]


def harmonize_several(
    model: TrainedModel,
    naive: Tensor,
    edit_masks: Sequence[Tensor],
    *,
    strengths: Sequence[float] | None = None,
    radius: int | None = None,
    sigma: float = 5.0,
    elsewhere: bool = False,
) -> list[Composite]:
    """Harmonize several things that were pasted into one picture.

    The model sees them all at once, so that each is judged beside the others.

    Args:
        model: See `harmonize`.
        naive: (1, 3, H, W) in [-1, 1]: the picture with all things pasted in.
        edit_masks: (1, 1, H, W) in [0, 1] per thing.
        strengths: Per thing, see `harmonize`; by default 1 for all.
        radius: See `harmonize`.
        sigma: See `harmonize`.
        elsewhere: See `harmonize`.

    Returns:
        Per thing a composite that changes the surroundings of that thing only.

    Raises:
        ValueError: A shape or number is wrong, or there are not as many strengths as areas.

    Source: see `harmonize`.
    """
    chosen = [1.0] * len(edit_masks) if strengths is None else list(strengths)
    if len(chosen) != len(edit_masks):
        raise ValueError(f"There are {len(edit_masks)} areas and {len(chosen)} strengths.")
    check_picture(naive)
    naive = naive.to(model.real)
    for area, strength in zip(edit_masks, chosen, strict=True):
        check_area(naive, area, strength)
    generated = entered(model, naive, 0, elsewhere=elsewhere)
    grown = model.settings.mask_radius if radius is None else radius
    return [
        composite(
            model,
            naive,
            area,
            generated,
            strength=strength,
            radius=grown,
            sigma=sigma,
            elsewhere=elsewhere,
        )
        for area, strength in zip(edit_masks, chosen, strict=True)
    ]


@torch.no_grad()
def entered(
    model: TrainedModel, picture: Tensor, start_stage: int, *, elsewhere: bool = False
) -> Tensor:
    """A picture sent through a model, from the size of a stage on.

    Args:
        model: Of a task that rebuilds its picture from a picture.
        picture: (1, 3, h, w) in [-1, 1].
        start_stage: All stages up to it work at its size.
        elsewhere: It is another picture than the model learnt: the stages take its aspect, the
            longer side of the last one stays.

    Returns:
        (1, 3, H, W) in [-1, 1] at the model's size.

    Raises:
        ValueError: The picture is so narrow that a stage would have no room.

    Source: ours. A stage passes features on, not pictures, so a picture can only enter at the
    first one; the stages are similar enough in scale to do their work one or two sizes above their
    own.
    """
    if start_stage == 0 and not elsewhere:
        return model.apply(picture)
    size = own_scale(model, picture.shape[-2], picture.shape[-1]) if elsewhere else None
    sizes = sizes_for(model, size)
    sizes = [sizes[start_stage]] * start_stage + sizes[start_stage:]
    noises = [resized_picture(picture, sizes[0]), *fixed_noises(model, sizes)[1:]]
    return synthesized(model, noises, sizes)


def check_area(naive: Tensor, edit_mask: Tensor, strength: float) -> None:
    """Refuse an area that does not fit its picture.

    Raises:
        ValueError: Naming the shape or range that would fit.
    """
    if edit_mask.shape != (1, 1, *naive.shape[-2:]):
        raise ValueError(
            f"edit_mask must be (1, 1, {naive.shape[-2]}, {naive.shape[-1]}) like the picture, "
            f"got {tuple(edit_mask.shape)}."
        )
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie in [0, 1], got {strength}.")


def composite(
    model: TrainedModel,
    naive: Tensor,
    edit_mask: Tensor,
    generated: Tensor,
    *,
    strength: float,
    radius: int,
    sigma: float,
    mend_seam: bool = False,
    detail: Tensor | None = None,
    elsewhere: bool = False,
) -> Composite:
    """Bring what a model made of a changed picture into that picture.

    Args:
        model: The model.
        naive: (1, 3, H, W) in [-1, 1], on the model's device.
        edit_mask: (1, 1, H, W) in [0, 1].
        generated: (1, 3, h, w) in [-1, 1]: what the model made of ``naive``.
        strength: See `harmonize`.
        radius: See `harmonize`.
        sigma: See `harmonize`.
        mend_seam: Keep detail of ``naive`` away from the outline of ``edit_mask``, where it is the
            outline itself.
        detail: (1, 3, H, W) in [-1, 1]: whose detail the result keeps; None: that of ``naive``.
        elsewhere: See `harmonize`.
    """
    keeps = naive if detail is None else detail.to(naive)
    size = generated.shape[-2], generated.shape[-1]
    inside = F.adaptive_max_pool2d(edit_mask.to(model.real), size)
    small = _at_size_of(generated, keeps)
    if radius == 0 and sigma == 0:
        area = edit_mask.to(model.real) * strength
    else:
        area = soft_edit_mask(inside, radius=radius, sigma=sigma)
        area = F.interpolate(area, naive.shape[-2:], mode="bilinear").to(model.real) * strength
    detailed = _with_own_detail(model, small, generated, None if elsewhere else inside)
    if mend_seam:
        detailed = torch.lerp(detailed, generated, _seam(inside))
    changed = apply_difference(keeps, small, detailed)
    return Composite(torch.lerp(naive, changed, area), area, generated)


def _seam(inside: Tensor) -> Tensor:
    """(1, 1, h, w) in [0, 1]: 1 on the outline of an area, falling to 0 over `SEAM` pixels."""
    area = (inside > 0).cpu().numpy()[0, 0]
    if area.all() or not area.any():
        return torch.zeros_like(inside)
    away = sum(np.asarray(ndimage.distance_transform_edt(part)) for part in (area, ~area))
    return torch.from_numpy(np.clip(1 - (away - 1) / SEAM, 0, 1))[None, None].to(inside)


def _with_own_detail(
    model: TrainedModel, small: Tensor, generated: Tensor, inside: Tensor | None
) -> Tensor:
    """What the model made, without what it merely failed to draw.

    A model that was trained briefly rebuilds even its own picture a little blurred. The Gaussian
    blur that comes nearest to that is measured, and the brightness detail that it takes away is put
    back; colours are the model's.
    Outside the pasted thing the remaining error of the rebuilt picture is taken off as well, if it
    is the model's own (``inside`` is given).
    """
    rebuilt = model.reconstruct()
    blurs = [(lambda x, s=sigma: _gaussian_blurred(x, s)) for sigma in _BLURS]
    blur = min(blurs, key=lambda blur: float(F.mse_loss(blur(model.real), rebuilt)))
    detail = (small - blur(small)).mul(_LUMA.to(small)).sum(dim=1, keepdim=True)
    if inside is None:
        return generated + detail
    return generated + detail - (1 - inside) * (rebuilt - blur(model.real))


def _gaussian_blurred(picture: Tensor, sigma: float) -> Tensor:
    """(1, 3, h, w); borders are mirrored."""
    if sigma == 0:
        return picture
    blurred = ndimage.gaussian_filter(picture.cpu().numpy(), (0, 0, sigma, sigma), mode="reflect")
    return torch.from_numpy(blurred).to(picture)


def _at_size_of(model_picture: Tensor, naive: Tensor) -> Tensor:
    size = model_picture.shape[-2:]
    if naive.shape[-2:] == size:
        return naive
    return resize_tensor(naive, *size, through_8_bits=False)


def apply_difference(
    original: Tensor,
    reconstructed: Tensor,
    edited: Tensor,
    *,
    window: int = 7,
    tolerance: float = 0.02,
) -> Tensor:
    """Carry a change that was made at a model's size over to a picture of any size.

    The difference is described, around every pixel, as a linear function of the colours there, and
    that function is applied to the large picture: so the change follows the large picture's edges
    and keeps its detail. What no such function describes is enlarged and added.

    Args:
        original: (1, 3, H, W) in [-1, 1].
        reconstructed: (1, 3, h, w) in [-1, 1]: the original at the model's size, before the change.
        edited: (1, 3, h, w): after the change.
        window: Side of the neighbourhood in pixels at the model's size, odd.
        tolerance: Variance of colours below which a neighbourhood counts as plain; there the
            difference is simply added.

    Returns:
        (1, 3, H, W) in [-1, 1]; at equal sizes ``edited`` itself, clipped.

    Raises:
        ValueError: ``reconstructed`` and ``edited`` differ in shape.

    Source: the local linear model of He & Sun 2015, "Fast guided filter", arXiv:1505.00996, fitted
    to the difference, so that regularisation keeps the original's detail instead of losing it.
    """
    if reconstructed.shape != edited.shape:
        raise ValueError(
            f"reconstructed and edited must have one shape, got {tuple(reconstructed.shape)} and "
            f"{tuple(edited.shape)}."
        )
    if original.shape == edited.shape:
        return edited.clamp(-1, 1)
    difference = edited - reconstructed
    slopes, offset = _local_lines(reconstructed, difference, window, tolerance)
    residual = difference - _through_lines(slopes, offset, reconstructed)
    size = original.shape[-2:]
    slopes = F.interpolate(slopes, size, mode="bilinear")
    offset = F.interpolate(offset, size, mode="bilinear")
    residual = F.interpolate(residual, size, mode="bicubic")
    return (original + _through_lines(slopes, offset, original) + residual).clamp(-1, 1)


def _local_lines(
    guide: Tensor, target: Tensor, window: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Least squares of ``target`` on the colours of ``guide``: slopes (1, 9, h, w), offsets."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, 1, window // 2, count_include_pad=False)

    def covariance(a: Tensor, b: Tensor) -> Tensor:
        products = (a[:, :, None] * b[:, None]).flatten(1, 2)  # (1, 9, h, w)
        means = (mean(a)[:, :, None] * mean(b)[:, None]).flatten(1, 2)
        pixels = (mean(products) - means).movedim(1, -1)
        return pixels.unflatten(-1, (3, 3))  # (1, h, w, 3, 3)

    own = covariance(guide, guide) + tolerance * torch.eye(3).to(guide)
    slopes = torch.linalg.solve(own, covariance(guide, target)).mT  # (target, guide)
    slopes = slopes.flatten(-2).movedim(-1, 1)
    offset = mean(target) - _through_lines(slopes, torch.zeros_like(target), mean(guide))
    return mean(slopes), mean(offset)


def _through_lines(slopes: Tensor, offset: Tensor, colours: Tensor) -> Tensor:
    return torch.einsum("boghw,bghw->bohw", slopes.unflatten(1, (3, 3)), colours) + offset
