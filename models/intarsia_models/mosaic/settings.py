"""Sizes of a mosaic's networks.

Source: Jetchev, Bergmann and Yildirim 2019, arXiv:1910.07236 (MAGIC), appendix I; what it leaves
open follows Jetchev et al. 2018, arXiv:1811.09236 (FAMOS), by the same authors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Style = Literal["magic", "parametric", "fixed_memory"]
STYLES: tuple[Style, ...] = ("magic", "parametric", "fixed_memory")
Warp = Literal["none", "affine", "flow"]
WARPS: tuple[Warp, ...] = ("none", "affine", "flow")
THETA_CHANNELS = {"none": 0, "affine": 6, "flow": 2}
"""Numbers per template and pixel that a warp is made of."""
DEEPEST = 8


@dataclass(frozen=True)
class MosaicSettings:
    """Of the generator: which kind, how wide and how deep."""

    style: Style = "magic"
    """"magic": weights of any templates; for comparison "parametric" (the network paints by
    itself) and "fixed_memory" (weights of one fixed list of templates), the modes of FAMOS."""
    guided: bool = True
    """Whether it follows a content picture."""
    width: int = 48
    """Channels at half size, doubled at each further halving."""
    depth: int = 5
    """How often the size is halved."""
    kernel: int = 5
    norm: Literal["instance", "none"] = "instance"
    activation: Literal["relu", "leaky"] = "relu"
    """Of the encoders: "leaky" is that of FAMOS; decoders always have "relu"."""
    set_levels: tuple[int, ...] = ()
    """Levels with attention over the templates, from 1 (half size) to ``depth``; (): all."""
    heads: int = 4
    feed_forward: float = 1.0
    """Width of the layer after the attention over the number of channels."""
    norm_first: bool = True
    """Layer normalisation before the attention; False: after it, as the Set Transformer prints."""
    induced: int = 0
    """Induced points of the attention; 0: every template attends to every other one."""
    logit_bound: float = 0.0
    """Bounds the logits of the weights by ``bound * tanh(logit / bound)``; 0: not."""
    warp: Warp = "none"
    """What is done to every template before it is mixed in."""
    warp_reach: float = 16.0
    """Pixels that a warp moves a template's pixel at most, per axis."""
    refine: bool = True
    """Whether a second network refines the collage."""
    refinement: Literal["residual", "direct"] = "residual"
    """"direct": the second network paints the result, as in the paper; "residual": it changes the
    collage, and begins by changing nothing."""
    refine_width: int = 0
    """Like ``width``; 0: the same."""
    slots: int = 0
    """How many templates a "fixed_memory" has."""
    noise_channels: int = 0
    """Of the noise picture that a "parametric" generator takes."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name, choices in (
            ("style", STYLES),
            ("norm", ("instance", "none")),
            ("activation", ("relu", "leaky")),
            ("warp", WARPS),
            ("refinement", ("residual", "direct")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name, least in (("width", 1), ("kernel", 3), ("heads", 1), ("induced", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not 1 <= self.depth <= DEEPEST:
            raise ValueError(f"depth must lie in [1, {DEEPEST}], got {self.depth}.")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, got {self.width} and {self.heads}."
            )
        if wrong := [level for level in self.set_levels if not 1 <= level <= self.depth]:
            raise ValueError(f"set_levels must lie in [1, {self.depth}], got {wrong[0]}.")
        if self.logit_bound < 0 or self.warp_reach <= 0 or self.feed_forward <= 0:
            raise ValueError("logit_bound must not be negative, warp_reach, feed_forward positive.")
        if (self.style == "fixed_memory") != (self.slots > 0):
            raise ValueError(
                f'slots belong to the style "fixed_memory", got {self.slots} with {self.style!r}.'
            )

    @property
    def multiple(self) -> int:
        """Heights and widths that the networks take are multiples of this."""
        return 2**self.depth

    @property
    def levels_with_sets(self) -> tuple[int, ...]:
        """``set_levels``, spelt out."""
        return self.set_levels or tuple(range(1, self.depth + 1))

    @property
    def reach(self) -> int:
        """Pixels to each side that one network's result at a pixel depends on at most, with the
        statistics of the norms given."""
        half, total = self.kernel // 2, 0
        for level in range(self.depth):
            total += half * 2**level  # an encoder's convolution at the size above it
        # a decoder's convolution sees the enlarged picture, nearest neighbours
        return total + sum(half * 2**level + 2**level for level in range(self.depth))

    def channels(self, level: int, width: int = 0) -> int:
        """Of an encoder's level from 1."""
        return (width or self.width) << (level - 1)

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "set_levels": list(self.set_levels)}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> MosaicSettings:
        """Back from `to_card`.

        Raises:
            ValueError: A value is out of range, or there is an unknown setting.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(card) - known):
            raise ValueError(f"There is no setting {unknown[0]!r} of a mosaic.")
        return cls(**{**card, "set_levels": tuple(card.get("set_levels", ()))})
