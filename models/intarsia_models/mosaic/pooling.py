"""From logits to weights, and from weights to the collage.

Source: Jetchev et al. 2019, arXiv:1910.07236, appendix I: A is the softmax of the logits over the
templates, and the collage I_M is the sum of all templates, each times its weights. Warps are those
of Jaderberg et al. 2015, arXiv:1506.02025, in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.mosaic.networks import at_least_float32
from intarsia_models.mosaic.settings import Warp


def normalized(logits: Tensor) -> Tensor:
    """Weights (B, K, H, W), float32 or more, that sum to 1 over K; those of logits -inf are 0."""
    return at_least_float32(logits).softmax(1)


def pooled(weights: Tensor, templates: Tensor) -> Tensor:
    """The collage.

    Args:
        weights: (B, K, H, W), summing to 1 over K.
        templates: (B, K, 3, H, W).

    Returns:
        (B, 3, H, W), between the darkest and the brightest template everywhere.
    """
    return torch.einsum("bkhw,bkchw->bchw", weights, templates.to(weights.dtype))


class RunningPool:
    """`normalized` and `pooled` for templates that come in parts, in the memory of one part.

    Keeps the largest logit, the sum of the exponentials below it, and the collage so far times that
    sum; a larger logit rescales both.
    """

    def __init__(self) -> None:
        self._top: Tensor | None = None
        self._total = torch.zeros(())
        self._sum = torch.zeros(())

    def add(self, logits: Tensor, templates: Tensor) -> None:
        """Take some templates in.

        Args:
            logits: (B, k, H, W).
            templates: (B, k, 3, H, W), warped where they are to be.
        """
        logits = logits.float()
        top = logits.amax(1, keepdim=True)  # (B, 1, H, W)
        # a part with nothing in it must not make -inf - -inf
        top = top.clamp_min(torch.finfo(torch.float32).min)
        if self._top is not None:
            top = torch.maximum(top, self._top)
            shrunk = torch.exp(self._top - top)
            self._total, self._sum = self._total * shrunk, self._sum * shrunk
        weights = torch.exp(logits - top)
        self._total = self._total + weights.sum(1, keepdim=True)
        self._sum = self._sum + pooled(weights, templates)
        self._top = top

    def collage(self) -> Tensor:
        """(B, 3, H, W) of all templates so far.

        Raises:
            ValueError: There were none.
        """
        return self._sum / self._checked()

    def weights_of(self, logits: Tensor) -> Tensor:
        """(B, k, H, W): the weights of some of the templates, once all were added."""
        total = self._checked()
        assert self._top is not None
        return torch.exp(logits.float() - self._top) / total

    def _checked(self) -> Tensor:
        if self._top is None:
            raise ValueError("There is no collage of no templates: add some first.")
        return self._total


def warped(
    templates: Tensor,
    theta: Tensor | None,
    warp: Warp,
    *,
    corner: tuple[int, int] = (0, 0),
    whole: tuple[int, int] | None = None,
) -> Tensor:
    """Templates as their warps move them; beyond a border they are mirrored.

    Args:
        templates: (B, K, 3, H, W).
        theta: See `SetOutput.theta`; None changes nothing.
        warp: Which kind it is.
        corner: See `warp_positions`.
        whole: See `warp_positions`.
    """
    if theta is None or warp == "none":
        return templates
    height, width = templates.shape[-2:]
    at = warp_positions(theta, warp, (height, width), corner=corner, whole=whole)
    at = at.flatten(0, 1)  # (B K, H, W, 2)
    size = at.new_tensor([width, height])
    grid = (2.0 * at + 1.0) / size - 1.0  # align_corners=False
    flat = templates.flatten(0, 1).float()
    moved = F.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
    return moved.unflatten(0, templates.shape[:2])


def warp_positions(
    theta: Tensor,
    warp: Warp,
    size: tuple[int, int],
    *,
    corner: tuple[int, int] = (0, 0),
    whole: tuple[int, int] | None = None,
) -> Tensor:
    """Where in its template each pixel comes from.

    Args:
        theta: (B, K, 2, H, W): how far in pixels (x, y); or (B, K, 6): of an affine map, how far it
            moves the middle (x, y), the right border and the bottom border, the latter two on top
            of the first.
        warp: Which kind it is.
        size: (height, width) of the area.
        corner: (top, left) of the area in its picture.
        whole: (height, width) of that picture; None: the area is all of it.

    Returns:
        (B, K, H, W, 2) float32: (x, y) in pixels of the area, whose corner pixel is (0, 0).
    """
    height, width = size
    rows = torch.arange(height, device=theta.device, dtype=torch.float32)
    columns = torch.arange(width, device=theta.device, dtype=torch.float32)
    own = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)  # (H, W, 2)
    if warp == "flow":
        return own + theta.float().permute(0, 1, 3, 4, 2)
    full = size if whole is None else whole
    x = (columns + corner[1] + 0.5) / full[1] * 2.0 - 1.0
    y = (rows + corner[0] + 0.5) / full[0] * 2.0 - 1.0
    middle, right, bottom = theta.float()[:, :, None, None].split(2, dim=-1)  # (B, K, 1, 1, 2)
    return own + middle + right * x[:, None] + bottom * y[:, None, None]
