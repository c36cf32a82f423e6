"""Attention over the templates at each pixel, and none across pixels.

Source: Jetchev et al. 2019, arXiv:1910.07236, appendix I, figure 4, with the blocks of Lee et al.
2019, arXiv:1810.00825 (Set Transformer): SAB(X) = MAB(X, X) and, with induced points I,
ISAB(X) = MAB(X, MAB(I, X)), where MAB(X, Y) = LN(H + rFF(H)), H = LN(X + Multihead(X, Y, Y)).

Deviations: as in today's transformers every head scales by its own width, the residual is X itself
and the layer normalisation may come first (`SetAttention.norm_first`). rFF is one linear layer with
a ReLU and one back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.mosaic import set_layers
from intarsia_models.mosaic.fused_attention import fused_attention, usable

NUMBERS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Without gradients, so many numbers of the activations go through a layer at once: what a
processor's cache holds, and what a GPU has the memory for."""
SEQUENCES_AT_ONCE = 16_384
"""Pixels whose attention is computed at once; a GPU's kernels take at most 65,535."""


class SetAttention(nn.Module):
    """Lets the templates of a set look at each other, pixel by pixel."""

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        feed_forward: float = 1.0,
        induced: int = 0,
        norm_first: bool = True,
    ) -> None:
        """Make a layer.

        Args:
            channels: Of the activations; a multiple of ``heads``.
            heads: How many.
            feed_forward: Width of the inner layer over ``channels``.
            induced: Points that stand between the templates, for large sets; 0: none.
            norm_first: See the module's text.
        """
        super().__init__()
        self.norm_first = norm_first
        settings = (channels, heads, max(1, round(channels * feed_forward)), norm_first)
        self.block = AttentionBlock(*settings)
        self.points: nn.Parameter | None = None
        if induced:
            self.points = nn.Parameter(torch.randn(induced, channels) / channels**0.5)
            self.gather = AttentionBlock(*settings)

    def forward(self, x: Tensor, count: int, present: Tensor | None = None) -> Tensor:
        """Mix the elements of every set.

        Args:
            x: (B K, C, H, W); element k of set b is row b K + k.
            count: K.
            present: (B, K) bool: elements that are there; the others are looked at by nobody. At
                least one per set.

        Returns:
            (B K, C, H, W). Permuting the elements of ``x`` permutes it likewise.
        """
        if present is None and set_layers.computable(self, x):
            return set_layers.mixed(self, x, count)
        rows, channels, height, width = x.shape
        sets, pixels = rows // count, height * width
        # (B, K, P, C) with P pixels
        seen = x.permute(0, 2, 3, 1).reshape(sets, count, pixels, channels)
        at_once = NUMBERS_AT_ONCE.get(x.device.type, 1 << 19) // (sets * count * channels)
        if torch.is_grad_enabled() or at_once >= pixels:
            mixed = self._mixed(seen, present)
        else:
            mixed = torch.empty_like(seen)
            for start in range(0, pixels, max(1, at_once)):
                part = slice(start, start + max(1, at_once))
                mixed[:, :, part] = self._mixed(seen[:, :, part].contiguous(), present)
        return mixed.reshape(rows, height, width, channels).permute(0, 3, 1, 2)

    def _mixed(self, seen: Tensor, present: Tensor | None) -> Tensor:
        if self.points is None:
            return self.block(seen, None, present)
        sets, _, pixels, _ = seen.shape
        points = self.points[None, :, None].expand(sets, -1, pixels, -1)
        return self.block(seen, self.gather(points, seen, present), None)


class AttentionBlock(nn.Module):
    """MAB: queries look at keys, then a small network at each element."""

    def __init__(self, channels: int, heads: int, inner: int, norm_first: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm_first = norm_first
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.expand = nn.Linear(channels, inner)
        self.contract = nn.Linear(inner, channels)
        self.norm_seen = nn.LayerNorm(channels)
        self.norm_inner = nn.LayerNorm(channels)

    def forward(self, x: Tensor, others: Tensor | None, present: Tensor | None) -> Tensor:
        """(B, K, P, C) that look at (B, L, P, C), themselves where ``others`` is None."""
        if not self.norm_first:
            x = self.norm_seen(x + self._attended(x, x if others is None else others, present))
            return self.norm_inner(x + self._fed_forward(x))
        seen = self.norm_seen(x)
        x = x + self._attended(seen, seen if others is None else others, present)
        return x + self._fed_forward(self.norm_inner(x))

    def _fed_forward(self, x: Tensor) -> Tensor:
        return self.contract(F.relu(self.expand(x)))

    def _attended(self, x: Tensor, others: Tensor, present: Tensor | None) -> Tensor:
        queries, keys, values = self.query(x), self.key(others), self.value(others)
        return self.out(attended(queries, keys, values, self.heads, present))


def attended(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, present: Tensor | None = None
) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V over the elements of every pixel's set, head by head.

    Args:
        queries: (B, K, P, C) of P pixels.
        keys: (B, L, P, C).
        values: (B, L, P, C).
        heads: C is a multiple of them; d = C / heads.
        present: (B, L) bool, see `SetAttention.forward`.

    Returns:
        (B, K, P, C). No tensor of K x L numbers per pixel is kept: on a CPU see `fused_attention`,
        elsewhere PyTorch's own.
    """
    if usable(queries, keys, values):
        return fused_attention(queries, keys, values, heads, present)
    sets, _, pixels, _ = queries.shape
    made = []
    for index in range(sets):
        there = None if present is None else present[index]
        for start in range(0, pixels, SEQUENCES_AT_ONCE):
            part = slice(start, start + SEQUENCES_AT_ONCE)
            # (P, heads, K, d)
            q, k, v = (
                t[index, :, part].unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
                for t in (queries, keys, values)
            )
            mask = None if there is None else there[None, None, None]
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            made.append(mixed.permute(2, 0, 1, 3).flatten(2))  # (K, P, C)
    parts = -(-pixels // SEQUENCES_AT_ONCE)
    rows = [torch.cat(made[n * parts : (n + 1) * parts], 1) for n in range(sets)]
    return torch.stack(rows)
