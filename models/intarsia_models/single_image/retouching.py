"""Editing: pieces of a picture that were moved or cloned roughly are made to fit."""

from torch import Tensor

from intarsia_models.single_image.harmonization import (
    Composite,
    check_area,
    composite,
    entered,
)
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.sampling import (
    check_start_stage,
    require_task,
)
from intarsia_models.single_image.settings import FROM_PICTURES
from intarsia_models.single_image.training import check_picture

PUBLISHED_SIDE = 250
"""Pixels of the longer side that the published radius belongs to."""
PUBLISHED_RADIUS = 20


def retouch(
    model: TrainedModel,
    naive: Tensor,
    edit_mask: Tensor,
    *,
    start_stage: int = 0,
    strength: float = 1.0,
    radius: int | None = None,
    sigma: float | None = None,
    detail: Tensor | None = None,
    elsewhere: bool = False,
) -> Composite:
    """Make a rough edit of the training picture consistent.

    Args:
        model: Of the task "editing" (trained for this), or "generation", "retarget" or
            "harmonization". For one edit in particular: `fine_tuning.fine_tune` it on ``naive``
            first.
        naive: (1, 3, H, W) in [-1, 1]: the picture after pieces of it were moved, cloned or
            painted over; any size of the picture's aspect.
        edit_mask: (1, 1, H, W) in [0, 1]; above 0 where it was edited.
        start_stage: Where the edit enters: at 0 the model sees it at its coarsest size and may
            change most; at higher stages it sees more detail and changes less.
        strength: How much of the change is made, in [0, 1].
        radius: Pixels at the model's size by which the area grows; by default the published 20 at
            250 px, in proportion.
        sigma: Softness of the area's edge in pixels at the model's size; by default the published
            5 at 250 px, in proportion.
        detail: (1, 3, H, W) in [-1, 1]: the edit without the outlines of its pieces, for example
            blended by `intarsia_models.blending.poisson_blend`. What is finer than the model is
            taken from it; without it, from ``naive``, whose outlines then show in pictures larger
            than the model.
        elsewhere: See `harmonization.harmonize`.

    Returns:
        The composite over ``naive``: outside its ``edit_mask`` nothing is changed.

    Raises:
        UnsuitablePicture: ``naive`` is not a picture.
        ValueError: Wrong task, shape, stage or number.

    Source: arXiv:2003.11512, section 4.2 ("image editing"), dilation and softening as in the public
    code. Deviations: those of `harmonization.harmonize`; no fresh noise is added to the picture, so
    that the result is the same every time; along the outline of the edit the model's own drawing
    stands (unless ``detail`` is given), elsewhere the picture's detail is kept; ``start_stage``
    (0 in the paper) is ours.
    """
    require_task(model, FROM_PICTURES, "Edits")
    check_start_stage(model, start_stage)
    check_picture(naive)
    naive = naive.to(model.real)
    check_area(naive, edit_mask, strength)
    if detail is not None and detail.shape != naive.shape:
        raise ValueError(
            f"detail must have the shape of naive, {tuple(naive.shape)}, got {tuple(detail.shape)}."
        )
    scale = max(model.sizes[-1]) / PUBLISHED_SIDE
    return composite(
        model,
        naive,
        edit_mask,
        entered(model, naive, start_stage, elsewhere=elsewhere),
        strength=strength,
        radius=round(PUBLISHED_RADIUS * scale) if radius is None else radius,
        sigma=5.0 * scale if sigma is None else sigma,
        mend_seam=detail is None,
        detail=detail,
        elsewhere=elsewhere,
    )
