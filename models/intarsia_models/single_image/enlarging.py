"""Super-resolution of a picture from the picture itself."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.single_image.critic import Tick
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.pyramid import Size

STEP = 2 ** (1 / 3)
"""Enlargement per repetition of the last stage."""
LARGEST_FACTOR = 8.0
CORRECTIONS = 10


@torch.no_grad()
def enlarge(
    model: TrainedModel, factor: float = 2.0, *, faithful: bool = True, tick: Tick | None = None
) -> Tensor:
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
        tick: Called between repetitions; may wait, or raise to stop.

    Returns:
        (1, 3, round(factor * H), round(factor * W)) in [-1, 1], H x W being ``model.sizes[-1]``.

    Raises:
        ValueError: ``factor`` is out of range.

    Source: the paper (arXiv:2003.11512, section 5) only says that it is possible; the way is
    SinGAN's (arXiv:1905.01164, section 4), repeated small enlargements by 2^(1/3) through the
    last stage, on features, as the author of the public code suggests. ``faithful`` is the
    back-projection of Irani and Peleg 1991.
    """
    if not 1.0 < factor <= LARGEST_FACTOR:
        raise ValueError(f"factor must lie in (1, {LARGEST_FACTOR:g}], got {factor}.")
    sizes = list(model.sizes)
    steps = max(1, round(math.log(factor, STEP)))
    height, width = sizes[-1]
    larger = [_scaled((height, width), factor ** (k / steps)) for k in range(1, steps + 1)]
    made = _repeated(model, larger, tick)
    return _corrected(made, model.real) if faithful else made


def _repeated(model: TrainedModel, larger: list[Size], tick: Tick | None) -> Tensor:
    """Features of the rebuilt picture, sent through the last stage once per size.

    Without noise: it would draw new texture each time, which `_corrected` could not take back.
    """
    generator, last = model.generator, len(model.sizes) - 1
    features = generator.last_features(model.fixed_noises, model.sizes, batch_statistics=True)
    for size in larger:
        if tick is not None:
            tick()
        quiet = features.new_zeros(1, *generator.noise_shapes([*model.sizes[:-1], size])[last])
        features = generator.next_features(features, last, quiet, size, batch_statistics=True)
    return model.in_own_colours(generator.to_image(features))


def _corrected(made: Tensor, real: Tensor) -> Tensor:
    """Bring the shrunk result back to the picture: what is missing is enlarged and added."""
    small = real.shape[-2:]
    for _ in range(CORRECTIONS):
        shrunk = F.interpolate(made, small, mode="bicubic", antialias=True)
        missing = F.interpolate(real - shrunk, made.shape[-2:], mode="bicubic")
        made = made + missing
    return made.clamp(-1, 1)


def _scaled(size: Size, factor: float) -> Size:
    return round(size[0] * factor), round(size[1] * factor)
