"""Paint to picture: a rough painting takes on the look of the picture that a model learnt."""

import numpy as np
import torch
from scipy import ndimage
from scipy.cluster.vq import vq
from torch import Tensor

from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.sampling import (
    check_start_stage,
    mixed_noises,
    require_task,
    resized_picture,
    sizes_for,
    synthesized,
)
from intarsia_models.single_image.settings import FROM_PAINTINGS
from intarsia_models.single_image.training import check_picture

SAMPLED_PIXELS = 4096
"""Of the training picture, for its palette."""
ROUNDS = 20
_LUMA = np.array([0.299, 0.587, 0.114])


def paint_to_picture(
    model: TrainedModel,
    painting: Tensor,
    *,
    start_stage: int = 0,
    colours: int = 8,
    seed: int = 0,
    size: Size | None = None,
) -> Tensor:
    """A picture with the layout of a painting and the look of the training picture.

    Good for landscapes and other scenes of a few large areas that the training picture also
    has: areas painted in roughly the colours of those in the picture become those. It cannot draw
    what the picture does not show.

    Args:
        model: Of the task "generation", "retarget" or "editing".
        painting: (1, 3, h, w) in [-1, 1]: flat areas of colour.
        start_stage: Where the painting enters; the higher, the closer its outlines are followed
            and the less is drawn. The first one or two stages are of use.
        colours: The painting's colours are moved to this many of the training picture; 0 leaves
            them alone.
        seed: Of the noise; another seed draws another picture of the same layout.
        size: (height, width) of the result; by default the painting's aspect at the area of the
            training picture.

    Returns:
        (1, 3, H, W) in [-1, 1].

    Raises:
        UnsuitablePicture: ``painting`` is not a picture.
        ValueError: Wrong task, stage, size or number of colours.

    Source: the paper (arXiv:2003.11512, section 5) only says that it is possible; the way is
    SinGAN's (arXiv:1905.01164, section 4): a painting enters at a coarse scale, its colours
    quantised to those of the picture. Deviation: ``start_stage`` as in `retouching.entered`.
    """
    require_task(model, FROM_PAINTINGS, "Paintings")
    check_start_stage(model, start_stage)
    check_picture(painting)
    if colours < 0:
        raise ValueError(f"colours must not be negative, got {colours}.")
    painting = painting.to(model.real)
    sizes = sizes_for(model, size or _own_aspect(model, painting))
    begin = sizes[start_stage]
    sizes = [begin] * start_stage + sizes[start_stage:]
    if colours > 0:
        painting = with_palette_of(painting, model.real, colours)
    entering = resized_picture(painting, begin)
    return synthesized(model, [entering, *mixed_noises(model, sizes, seed, 0)[1:]], sizes)


def with_palette_of(painting: Tensor, picture: Tensor, colours: int) -> Tensor:
    """A painting whose every colour is moved to the nearest of a picture's main colours.

    Args:
        painting: (1, 3, h, w) in [-1, 1].
        picture: (1, 3, H, W) in [-1, 1].
        colours: How many main colours the picture has.

    Returns:
        (1, 3, h, w) in [-1, 1]; outlines stay soft where the painting's were.

    Source: k-means in RGB, as SinGAN's. The same result every time.
    """
    palette = _main_colours(picture, colours)
    points = _points(painting)
    nearest, _ = vq(points, palette)
    moved = palette[nearest].reshape(*painting.shape[-2:], 3)
    moved = ndimage.gaussian_filter(moved, (0.7, 0.7, 0))  # nearest colours leave jagged outlines
    return torch.from_numpy(moved).permute(2, 0, 1)[None].to(painting)


def _main_colours(picture: Tensor, colours: int) -> np.ndarray:
    """k-means from evenly spaced ranks of brightness, so that chance plays no part."""
    points = _points(picture)
    points = points[:: max(1, len(points) // SAMPLED_PIXELS)]
    by_brightness = points[np.argsort(points @ _LUMA, kind="stable")]
    ranks = (np.arange(colours) + 0.5) / colours * len(points)
    centres = np.unique(by_brightness[ranks.astype(int)], axis=0)
    for _ in range(ROUNDS):
        nearest, _ = vq(points, centres)
        counts = np.bincount(nearest, minlength=len(centres))
        sums = [np.bincount(nearest, points[:, k], len(centres)) for k in range(3)]
        centres = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None])[counts > 0]
    return centres


def _points(picture: Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).reshape(-1, 3).double().cpu().numpy()


def _own_aspect(model: TrainedModel, painting: Tensor) -> Size:
    height, width = model.sizes[-1]
    h, w = painting.shape[-2:]
    scale = (height * width / (h * w)) ** 0.5
    return max(1, round(h * scale)), max(1, round(w * scale))
