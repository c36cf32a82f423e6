"""Resampling with a short low-pass filter, as StyleGAN does wherever a size changes.

Written from the definition: zeros between samples (when enlarging), a filter along rows and
columns, every second sample kept (when reducing). Source: Karras et al. 2019, arXiv:1812.04948,
section 2 (binomial filters); Karras et al. 2020, arXiv:1912.04958.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d


class FIRFilter(nn.Module):
    """A separable low-pass filter of even length.

    Args:
        taps: One value per tap; they are divided by their sum.

    Raises:
        ValueError: The number of taps is odd, or they sum to 0.
    """

    taps: Tensor

    def __init__(self, taps: tuple[float, ...]) -> None:
        super().__init__()
        if len(taps) % 2 or not sum(taps):
            raise ValueError(f"A resampling filter has an even number of taps, got {taps}.")
        values = torch.tensor(taps, dtype=torch.float32, device="cpu")
        self.register_buffer("taps", values / values.sum(), persistent=False)

    @property
    def length(self) -> int:
        """Number of taps."""
        return self.taps.shape[0]

    def blur(self, x: Tensor, padding: int, *, gain: float = 1.0, step: int = 1) -> Tensor:
        """Filter (B, C, H, W), with zeros around it.

        Args:
            x: The features.
            padding: Zeros on each side.
            gain: Factor on the result.
            step: Every how many-th sample is kept.

        Returns:
            (B, C, h, w) with h = (H + 2 padding - length) // step + 1.
        """
        channels = x.shape[1]
        taps = self.taps.flip(0).to(x.dtype)
        # One pass in two dimensions is faster than two in one each.
        kernel = (torch.outer(taps, taps) * gain).expand(channels, 1, -1, -1)
        return conv2d(x, kernel, stride=step, padding=padding, groups=channels)

    def enlarge(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 2H, 2W)."""
        channels, cut = x.shape[1], self.length // 2 - 1
        taps = (2.0 * self.taps).to(x.dtype)
        kernel = torch.outer(taps, taps).expand(channels, 1, -1, -1)
        return conv_transpose2d(x, kernel, stride=2, padding=cut, groups=channels)

    def reduce(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H/2, W/2)."""
        return self.blur(x, self.length // 2 - 1, step=2)


def smooth_enlarging_convolution(x: Tensor, weight: Tensor, fir: FIRFilter) -> Tensor:
    """A 3x3 convolution on an enlarged map: transposed with step 2, then smoothed.

    Args:
        x: (B, C, H, W).
        weight: (O, C, 3, 3), laid out as for `conv2d` of the transposed operation.
        fir: The filter.

    Returns:
        (B, O, 2H, 2W).
    """
    wide = conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # (B, O, 2H + 1, 2W + 1)
    return fir.blur(wide, fir.length // 2 - 1, gain=4.0)


def smooth_reducing_convolution(x: Tensor, weight: Tensor, fir: FIRFilter) -> Tensor:
    """A convolution with step 2 on a smoothed map: (B, C, H, W) to (B, O, H/2, W/2)."""
    if weight.shape[-1] == 1:
        return conv2d(fir.reduce(x), weight)
    return conv2d(fir.blur(x, fir.length // 2), weight, stride=2)
