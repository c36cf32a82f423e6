"""Pictures that a model made, as layers that keep their latent.

Whoever sends such a layer's pixels back, in whatever editor, gets the very same latent again.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel, latents_of
from intarsia_daemon.latent_store import Latent, pixels_hash
from intarsia_daemon.pixels import DTYPES, Layer, Picture, dtype_name, layer_from_tensors
from intarsia_daemon.real_pictures import Crop, whole_crop


def generated_place(model: LoadedModel, picture: Picture | None, *, enlarge: bool) -> Crop:
    """The square that a new picture fills.

    Args:
        model: Loaded.
        picture: Gives the canvas: the new one lies in its middle; None: at the origin, 8 bits.
        enlarge: Whether it fills the canvas as far as a square can, instead of its own size.
    """
    size = model.generator.resolution
    if picture is None:
        return Crop(blank_canvas(size, size, 0, 0, np.dtype(np.uint8)), 0, 0, size, size)
    height, width = picture.array.shape[:2]
    side = min(height, width) if enlarge else size
    left, top = (width - side) // 2, (height - side) // 2
    dtype = DTYPES[dtype_name(picture.array)]
    canvas = blank_canvas(side, side, picture.x + left, picture.y + top, dtype)
    return Crop(canvas, 0, 0, side, size)


def generated_layer(
    model: LoadedModel, context: Context, name: str, made: Tensor, latent: Latent, place: Crop
) -> tuple[Layer, str]:
    """A layer of a picture that a model made.

    Args:
        model: What made it.
        context: The running operation's.
        name: The layer's name.
        made: (1, 3, R, R) in [-1, 1]; shown with 8 bits in every sample type, so that what an
            editor's colour conversions round away does not make it another picture.
        latent: What it was made from; kept by the layer's pixels.
        place: See `generated_place`.

    Returns:
        The layer, and the key of its latent.
    """
    eight_bit = ((made.float().cpu() + 1) * 127.5).round() / 127.5 - 1
    shown = place.enlarged(eight_bit, place.window)
    layer = layer_from_tensors(name, shown, like=place.picture)
    delivered = Picture(layer.array, layer.x, layer.y, name)
    target = whole_crop(delivered, model.generator.resolution).target()
    store = latents_of(context)
    key = store.key(model.fingerprint, pixels_hash(target))
    store.put(key, latent)
    return layer, key


@torch.inference_mode()
def made_from(model: LoadedModel, latent: Latent) -> Tensor:
    """(1, 3, R, R): the picture of a latent."""
    generator = model.generator
    return generator.render(generator.trace(**latent.arguments(str(model.device))))


def blank_canvas(height: int, width: int, x: int, y: int, dtype: np.dtype) -> Picture:
    """A picture of nothing that stands for a canvas: size, place and sample type; no memory."""
    return Picture(np.broadcast_to(np.zeros(1, dtype), (height, width, 4)), x, y)
