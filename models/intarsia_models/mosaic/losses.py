"""What the training of a mosaic makes small, in float32.

Source: Jetchev et al. 2019, arXiv:1910.07236, eq. 1 to 4 and appendix II. Normalisations, which the
paper leaves open: the entropy is summed over the templates and averaged over the pixels; the total
variation is averaged over templates and pixels; the area of the largest template is a share of the
picture (the printed sum over pixels grows with the patch and overflows half precision).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.mosaic.training_settings import PHIS, Phi
from intarsia_models.projection.perceptual import PerceptualMetric, load_metric

SMALLEST = 1e-8
"""Keeps the logarithm of a weight of 0 finite."""
BLUR_SIGMA = 1.0
BLUR_TAPS = 61
"""Of FAMOS's public code; taps beyond `BLUR_REACH` are below what float32 can tell."""
BLUR_REACH = 6
POOL = 16
"""Side of the squares that "average_pool" compares."""
HIDDEN = 16
TINT_SIDE = 8
"""Side of the squares whose mean colour a refinement should leave alone."""


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """Cross-entropy of telling patches of templates from mosaics (eq. 1), a scalar.

    Args:
        real: Scores of patches, any shape.
        made: Scores of mosaics.
    """
    return F.softplus(-real.float()).mean() + F.softplus(made.float()).mean()


def adversarial_loss(made: Tensor) -> Tensor:
    """-log D of mosaics: the form of eq. 1 whose gradient does not vanish (Goodfellow et al. 2014,
    arXiv:1406.2661, section 3), a scalar."""
    return F.softplus(-made.float()).mean()


def entropy_loss(weights: Tensor) -> Tensor:
    """Mean over the pixels of -sum_k A log A, in nats, from 0 to log K.

    Args:
        weights: (B, K, H, W).
    """
    weights = weights.float()
    return -(weights * torch.log(weights + SMALLEST)).sum(1).mean()


def tv_loss(weights: Tensor) -> Tensor:
    """Mean of |A(x + 1) - A(x)| plus the same of y, over templates and pixels; ``weights`` as in
    `entropy_loss`."""
    weights = weights.float()
    across = (weights[..., 1:] - weights[..., :-1]).abs().mean()
    return across + (weights[..., 1:, :] - weights[..., :-1, :]).abs().mean()


def max_loss(weights: Tensor) -> Tensor:
    """Share of the picture that its largest template takes, in [1 / K, 1], averaged over the batch;
    ``weights`` as in `entropy_loss`."""
    return weights.float().mean((-2, -1)).amax(1).mean()


def tint_loss(picture: Tensor, collage: Tensor, *, guided: bool) -> Tensor:
    """Mean square of what a refinement changes over areas of some pixels, a scalar.

    Our own: eq. 2 compares greys only, so that nothing but the critic keeps a refinement from
    tinting the collage, and a short training's critic does not.

    Args:
        picture: (B, 3, H, W) in [-1, 1], refined.
        collage: (B, 3, H, W), before that.
        guided: Whether a content says how light it has to be; then only the change of the colours
            beside the grey counts.
    """
    change = picture.float() - collage.float()
    if guided:
        change = change - change.mean(1, keepdim=True)
    return F.avg_pool2d(change, min(TINT_SIDE, *change.shape[-2:])).square().mean()


class ContentDistance(nn.Module):
    """|phi(content) - phi(mosaic)|^2 as a mean (eq. 2), for one of several phi.

    The paper names no phi; these are those of FAMOS: "blurred_grey", the mean of the colours after
    a small blur; "average_pool", the grey mean of squares of 16 pixels; "learned", a small network
    of 1x1 convolutions, trained along with the generator, that may map the colours of the mosaic to
    those of the content (only the mosaic goes through it, so that it cannot make both equal by
    telling nothing); and "lpips" in place of its VGG features (Zhang et al. 2018,
    arXiv:1801.03924).
    """

    def __init__(
        self, phi: Phi = "blurred_grey", *, metric: PerceptualMetric | None = None
    ) -> None:
        """Prepare a distance.

        Args:
            phi: Which.
            metric: For "lpips"; None: the one whose backbone lies on this machine.

        Raises:
            ValueError: There is no such phi.
            UnreadableModel: LPIPS has no backbone here; the message says what to do.
        """
        super().__init__()
        if phi not in PHIS:
            raise ValueError(f"phi must be one of {list(PHIS)}, got {phi!r}.")
        self.phi: Phi = phi
        self.colours: nn.Module | None = None
        self._metric: list[PerceptualMetric] = []  # no part of the state that checkpoints keep
        if phi == "lpips":
            self._metric.append(metric or load_metric())
        elif phi == "learned":
            self.colours = nn.Sequential(
                nn.Conv2d(3, HIDDEN, 1), nn.ReLU(), nn.Conv2d(HIDDEN, 3, 1), nn.Tanh()
            )

    def forward(self, made: Tensor, content: Tensor) -> Tensor:
        """A scalar; both (B, 3, H, W) in [-1, 1]."""
        made, content = made.float(), content.float()
        if self._metric:
            return self._metric[0].to(made.device)(made, content).mean()
        if self.colours is not None:
            return F.mse_loss(self.colours(made), content)
        return F.mse_loss(self.seen(made), self.seen(content))

    def seen(self, pictures: Tensor) -> Tensor:
        """What is compared of (B, 3, H, W), for the two grey kinds: (B, 1, h, w)."""
        grey = pictures.float().mean(1, keepdim=True)
        if self.phi == "average_pool":
            return F.avg_pool2d(grey, min(POOL, *grey.shape[-2:]))
        return blurred(grey)


def blurred(grey: Tensor, sigma: float = BLUR_SIGMA) -> Tensor:
    """(B, 1, H, W) after a Gaussian blur; the border's pixels go on beyond it."""
    reach = min(BLUR_TAPS // 2, math.ceil(BLUR_REACH * sigma))
    at = torch.arange(-reach, reach + 1, device=grey.device, dtype=torch.float32)
    taps = torch.exp(-0.5 * (at / sigma).square())
    taps = taps / taps.sum()
    wide = F.pad(grey.float(), (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, taps[None, None, None]), taps[None, None, :, None])
