"""A 3x3 convolution next to a change of size by 2, as one convolution.

Repeating every value 2 x 2 before a 3x3 convolution, and averaging 2 x 2 after one, are both linear
with a stride of 2: with a 4x4 kernel that holds sums of the 3x3 one, the same numbers need 16
multiplications where there were 36, and the large intermediate is never made. On two CPU cores the
training of a 64 px network does this part two to three times faster.

Source: our own derivation; equal to the two steps up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.families.sngan.layers import Kept

_SPREAD = ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0))
"""Row r: the rows of a 3x3 kernel that meet the r-th of four rows."""


def upsampled_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, kept: Kept | None = None
) -> Tensor:
    """A 3x3 convolution of the input with every value repeated 2 x 2.

    Args:
        x: (B, C, H, W).
        weight: (C', C, 3, 3).
        bias: (C',) or None.
        kept: Keeps the 4x4 kernel of a weight without gradients.

    Returns:
        (B, C', 2H, 2W).
    """

    def kernel() -> Tensor:
        spread = _spread(weight).flip(2, 3).transpose(0, 1)
        return spread.contiguous(memory_format=_format_of(weight))

    made = kernel() if kept is None else kept.of((weight,), kernel)
    return F.conv_transpose2d(x, made, bias, stride=2, padding=1)


def halved_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, kept: Kept | None = None
) -> Tensor:
    """A 3x3 convolution that keeps the size, and averages of 2 x 2 of its result.

    Args:
        x: (B, C, H, W), H and W even.
        weight: (C', C, 3, 3).
        bias: (C',) or None.
        kept: Keeps the 4x4 kernel of a weight without gradients.

    Returns:
        (B, C', H / 2, W / 2).
    """

    def kernel() -> Tensor:
        return (_spread(weight) / 4).contiguous(memory_format=_format_of(weight))

    made = kernel() if kept is None else kept.of((weight,), kernel)
    return F.conv2d(x, made, bias, stride=2, padding=1)


def _spread(weight: Tensor) -> Tensor:
    """(C', C, 3, 3) -> (C', C, 4, 4), in the precision of the weight."""
    with torch.autocast(weight.device.type, enabled=False):
        spread = torch.tensor(_SPREAD, dtype=weight.dtype, device=weight.device)
        return spread @ weight @ spread.t()


def _format_of(weight: Tensor) -> torch.memory_format:
    """Channels last where the weight lies so: the kernel then meets the pictures as they lie."""
    last = torch.channels_last
    return last if weight.is_contiguous(memory_format=last) else torch.contiguous_format
