"""Figures about a mosaic: how hard and how large its segments are, how near it is to the content
and to the pictures it is made of.

Source: entropy and total variation of the weights are the losses of Jetchev et al. 2019
(arXiv:1910.07236) as `losses` normalises them. The distance to the nearest patch of the templates
is the coherence term of Simakov et al. 2008 ("Summarizing visual data using bidirectional
similarity") on patches of one size; the content's is `losses.ContentDistance`'s default in grey
levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from intarsia_models.mosaic.losses import blurred, entropy_loss, max_loss, tv_loss

PATCH = 16
QUERIES = 400
AT_ONCE = 64
"""Patches that are looked for at a time."""
LEVELS = 127.5
"""Grey levels of 255 in 1 of [-1, 1]."""


class WeightFigures(NamedTuple):
    """Of weights A."""

    entropy: float
    """Mean over the pixels, in nats, from 0 (hard) to log K."""
    variation: float
    """Summed over the templates, mean over the pixels: 2 for every pixel of a hard border."""
    largest: float
    """Share of the picture that the largest template takes."""
    used: float
    """How many templates there are in effect: the exponential of the entropy of their shares."""


@torch.no_grad()
def weight_figures(weights: Tensor | NDArray[Any]) -> WeightFigures:
    """Entropy, total variation and shares of (K, H, W) weights that sum to 1 over K."""
    a = torch.as_tensor(np.asarray(weights, np.float32))[None]
    shares = a.mean((0, 2, 3)).double()
    used = torch.exp(-(shares * torch.log(shares.clamp_min(1e-12))).sum())
    return WeightFigures(
        float(entropy_loss(a)),
        float(tv_loss(a)) * a.shape[1],  # the loss is a mean over the templates
        float(max_loss(a)),
        float(used),
    )


@torch.no_grad()
def content_distance(picture: Tensor, content: Tensor) -> float:
    """Root of the mean squared difference of blurred greys, in grey levels of 255.

    Args:
        picture: (1, 3, H, W) in [-1, 1].
        content: The same.
    """
    made, wanted = (blurred(p.float().mean(1, keepdim=True)) for p in (picture, content))
    return float((made - wanted).square().mean().sqrt()) * LEVELS


@torch.no_grad()
def content_correlation(picture: Tensor, content: Tensor) -> float:
    """Correlation of blurred greys, in [-1, 1]: whether light and dark are in the same places,
    whatever the contrast; arguments as of `content_distance`."""
    both = torch.stack(
        [blurred(p.float().mean(1, keepdim=True)).flatten() for p in (picture, content)]
    )
    found = float(torch.corrcoef(both)[0, 1])
    return found if found == found else 0.0


@torch.no_grad()
def nearest_patch_distance(
    picture: Tensor,
    templates: Sequence[Tensor],
    *,
    patch: int = PATCH,
    queries: int = QUERIES,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> float:
    """How far patches of a mosaic are from the nearest one in the templates.

    Args:
        picture: (1, 3, H, W) in [-1, 1].
        templates: (3, h, w) in [-1, 1] each, at the size at which they are used; every patch of
            them at every place is compared, and its mirror image.
        patch: Side of the patches.
        queries: How many patches of the mosaic are looked for, at random places.
        seed: Of the places.
        tick: May raise to stop.

    Returns:
        The mean over the patches of the root mean squared difference to the nearest one, in grey
        levels of 255; 0 for a picture that is copied as it is.

    Raises:
        ValueError: A picture is smaller than a patch.
    """
    if min(*picture.shape[-2:], *(side for t in templates for side in t.shape[-2:])) < patch:
        raise ValueError(f"All pictures must be at least as large as a patch, {patch} pixels.")
    sought = _random_patches(picture[0].float(), patch, queries, seed)
    nearest = torch.full((len(sought),), torch.inf, device=sought.device)
    for template in templates:
        for seen in (template.float(), template.float().flip(-1)):
            if tick is not None:
                tick()
            nearest = torch.minimum(nearest, _squared_distances(sought, seen.to(sought.device)))
    mean_squares = nearest.clamp_min(0) / sought[0].numel()
    return float(mean_squares.sqrt().mean()) * LEVELS


def _squared_distances(sought: Tensor, template: Tensor) -> Tensor:
    """(Q,): to the nearest patch of (3, h, w), as |p|^2 + |q|^2 - 2 p q of every place."""
    patch = sought.shape[-1]
    area = float(patch * patch)
    own = avg_pool2d(template.square().sum(0)[None, None], patch, 1) * area  # (1, 1, y, x)
    found = [
        (own[0] - 2 * conv2d(template[None], part)[0]).amin((1, 2))
        for part in sought.split(AT_ONCE)
    ]
    return torch.cat(found) + sought.square().sum((1, 2, 3))


def _random_patches(picture: Tensor, patch: int, count: int, seed: int) -> Tensor:
    """(count, 3, patch, patch) of (3, H, W)."""
    source = torch.Generator().manual_seed(seed)
    rooms = [side - patch + 1 for side in picture.shape[-2:]]
    corners = [torch.randint(room, (count,), generator=source).tolist() for room in rooms]
    return torch.stack(
        [picture[:, y : y + patch, x : x + patch] for y, x in zip(*corners, strict=True)]
    )
