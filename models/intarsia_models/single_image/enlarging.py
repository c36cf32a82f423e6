"""Super-resolution of a picture from the picture itself."""

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.sampling import synthesized

LARGEST_FACTOR = 8.0
CORRECTIONS = 10


@torch.no_grad()
def enlarge(model: TrainedModel, factor: float = 2.0, *, faithful: bool = True) -> Tensor:
    """The training picture, larger, with detail that its own patches suggest.

    Good for textures that recur at several sizes: foliage, masonry, water, brush strokes. It
    knows nothing but this picture, so it invents no faces, no letters and nothing else that
    the picture does not show larger somewhere.

    Args:
        model: Of any task; the picture must have been learnt at its full size for the result to
            be larger than the picture.
        factor: How much longer the sides become, in (1, 8].
        faithful: Make the result come out as the training picture again when it is shrunk; without
            it, what the model fails to rebuild is missing in the result as well.

    Returns:
        (1, 3, round(factor * H), round(factor * W)) in [-1, 1], H x W being ``model.sizes[-1]``.

    Raises:
        ValueError: ``factor`` is out of range.

    Source: the paper (arXiv:2003.11512, section 5) only says that it is possible. Here the last
    stage draws at the larger size what it learnt to draw at its own. SinGAN (arXiv:1905.01164,
    section 4) and the author of the public code repeat a last stage in steps of 2^(1/3); on
    features that multiplied the contrast with every repetition. ``faithful`` is the
    back-projection of Irani and Peleg 1991, and most of the sharpness is its work.
    """
    if not 1.0 < factor <= LARGEST_FACTOR:
        raise ValueError(f"factor must lie in (1, {LARGEST_FACTOR:g}], got {factor}.")
    height, width = model.sizes[-1]
    sizes = [*model.sizes[:-1], (round(height * factor), round(width * factor))]
    # no noise in the last stage: it would draw other texture each time
    quiet = model.real.new_zeros(1, *model.generator.noise_shapes(sizes)[-1])
    made = synthesized(model, [*model.fixed_noises[:-1], quiet], sizes)
    return _corrected(made, model.real) if faithful else made


def _corrected(made: Tensor, real: Tensor) -> Tensor:
    """Bring the shrunk result back to the picture: what is missing is enlarged and added."""
    small = real.shape[-2:]
    for _ in range(CORRECTIONS):
        shrunk = F.interpolate(made, small, mode="bicubic", antialias=True)
        missing = F.interpolate(real - shrunk, made.shape[-2:], mode="bicubic")
        made = made + missing
    return made.clamp(-1, 1)
