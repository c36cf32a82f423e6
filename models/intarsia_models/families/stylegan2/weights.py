"""From stored weights to those that compute: the equalized learning rate's factors included.

Source: Karras et al. 2018, arXiv:1710.10196, section 4.1: a weight is stored with variance 1 and
divided by the root of its fan in when used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intarsia_models.errors import UnreadableModel
from intarsia_models.families.stylegan2.settings import BINOMIAL
from intarsia_models.foreign_files.tensor_group import TensorGroup

LICENCE = (
    "NVIDIA's own networks are under the NVIDIA Source Code License (research or evaluation only, "
    "not commercial); networks that others trained are under their own terms."
)
MAPPING_RATE = 0.01
"""Learning rate's factor of mapping networks."""
MEAN_SAMPLES = 8192
"""Latents over which a missing mean style is taken."""


def scaled(weight: Tensor, rate: float = 1.0) -> Tensor:
    """A weight (O, I, ...) divided by the root of its fan in, times a rate."""
    return weight * (rate / math.sqrt(math.prod(weight.shape[1:])))


def linear(source: TensorGroup, place: str, ours: str, rate: float = 1.0) -> dict[str, Tensor]:
    """A fully connected layer's tensors by our names.

    Args:
        source: The file's network.
        place: The layer's name there.
        ours: Our name.
        rate: Learning rate's factor, of the bias too.

    Raises:
        UnreadableModel: A tensor is missing.
    """
    return {
        f"{ours}.weight": scaled(source(f"{place}.weight"), rate),
        f"{ours}.bias": source(f"{place}.bias") * rate,
    }


def taps_of(kernel: Tensor) -> tuple[float, ...]:
    """Taps from a stored two-dimensional filter, as whole numbers where the usual ones are meant.

    Raises:
        UnreadableModel: It is not the product of one filter along rows and columns.
    """
    kernel = kernel.float() / kernel.float().sum()
    taps = kernel.sum(0)
    if not (torch.outer(taps, taps) - kernel).abs().max() < 1e-5:
        raise UnreadableModel("Its resampling filter is not separable.")
    eighths = taps * sum(BINOMIAL)
    if tuple(eighths.shape) == (4,) and (eighths.round() - eighths).abs().max() < 1e-4:
        return tuple(float(value) for value in eighths.round())
    return tuple(float(value) for value in taps)


@torch.no_grad()
def mean_style(
    mapping: nn.Module, tensors: dict[str, Tensor], z_dim: int, num_classes: int = 0
) -> Tensor:
    """(w_dim,): the mean style of a mapping network, over seeded latents.

    Args:
        mapping: ``mapping(z)``, or ``mapping(z, c)`` with classes, which are taken in turn; it
            takes its weights from ``tensors``.
        tensors: By our names, ``generator.mapping.…`` among them.
        z_dim: Length of a latent.
        num_classes: 0 without classes.
    """
    prefix = "generator.mapping."
    own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    mapping.load_state_dict(own)
    source = torch.Generator().manual_seed(0)
    z = torch.randn(MEAN_SAMPLES, z_dim, generator=source)
    if not num_classes:
        return mapping(z).mean(0)
    turns = torch.arange(MEAN_SAMPLES) % num_classes
    return mapping(z, nn.functional.one_hot(turns, num_classes).float()).mean(0)
