"""Styles and noise as a StyleGAN's levels read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class StyleCodes:
    """Styles and noise of pictures, and from what they were made."""

    w_plus: Tensor
    """(B, styles, w_dim), truncated."""
    noise: tuple[Tensor | None, ...]
    """By noise input."""
    y: Tensor | None
    z: Tensor | None
    """(B, z_dim), or None where styles were given."""
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None

    @property
    def batch(self) -> int:
        """Number of pictures."""
        return self.w_plus.shape[0]

    def expand(self, count: int) -> StyleCodes:
        """The same for copies of one picture."""
        return replace(
            self,
            w_plus=self.w_plus.expand(count, -1, -1),
            y=None if self.y is None else self.y.expand(count, *self.y.shape[1:]),
            z=None if self.z is None else self.z.expand(count, -1),
        )


def checked_styles(w_plus: Tensor, styles: int, w_dim: int) -> Tensor:
    """Styles for every layer.

    Args:
        w_plus: (B, styles, w_dim), or (B, 1, w_dim) for one style everywhere.
        styles: How many layers take one.
        w_dim: Length of a style.

    Raises:
        ValueError: The shape is another one.
    """
    if w_plus.ndim != 3 or w_plus.shape[1] not in (1, styles) or w_plus.shape[2] != w_dim:
        raise ValueError(f"w_plus must be (B, {styles}, {w_dim}), got {tuple(w_plus.shape)}.")
    return w_plus.expand(-1, styles, -1)


def truncated(w_plus: Tensor, mean: Tensor, psi: float, cutoff: int | None) -> Tensor:
    """Styles nearer to the mean style: mean + psi (w - mean).

    Args:
        w_plus: (B, styles, w_dim).
        mean: (w_dim,).
        psi: In [0, 1]; 1 leaves them.
        cutoff: Only the first so many styles; None: all.

    Raises:
        ValueError: ``psi`` is outside [0, 1].

    Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
    """
    if not 0.0 <= psi <= 1.0:
        raise ValueError(f"truncation_psi must lie in [0, 1], got {psi}.")
    if psi == 1.0:
        return w_plus
    near = mean + psi * (w_plus - mean)
    return near if cutoff is None else torch.cat((near[:, :cutoff], w_plus[:, cutoff:]), 1)


def noise_maps(
    noise: str | Sequence[Tensor], stored: Sequence[Tensor], batch: int
) -> tuple[Tensor | None, ...]:
    """The noise of every input.

    Args:
        noise: "const" (the stored maps), "none", "random", or one (1 or B, 1, h, h) per input.
        stored: (1, 1, h, h) per input.
        batch: Number of pictures.

    Raises:
        ValueError: It is something else, or a map has another size.
    """
    if not isinstance(noise, str):
        wanted = [tuple(part.shape[1:]) for part in stored]
        given = [tuple(part.shape[1:]) for part in noise]
        if given != wanted:
            raise ValueError(f"noise must be maps of the sizes {wanted}, got {given}.")
        return tuple(part.to(own) for part, own in zip(noise, stored, strict=True))
    if noise == "const":
        return tuple(stored)
    if noise == "none":
        return (None,) * len(stored)
    if noise == "random":
        source = torch.Generator()
        source.seed()
        shapes = [(batch, *own.shape[1:]) for own in stored]
        return tuple(
            torch.randn(shape, generator=source).to(own)
            for shape, own in zip(shapes, stored, strict=True)
        )
    raise ValueError(f'noise must be "const", "none", "random" or maps, got {noise!r}.')
