"""Sizes and conventions of masked regressors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks per stage by depth (He et al. 2016, arXiv:1512.03385, table 1)."""
SMALL_BELOW = 150
"""Pictures below this side are not halved a second time before the first stage, as in the public
code."""
STYLE_SIDE = 256
"""Side at which regressors of styles look at pictures, as in the public code."""


@dataclass(frozen=True)
class RegressorSettings:
    """Of a `MaskedRegressor`; plain JSON values."""

    dims: int
    """Numbers of one latent: z_dim or w_dim."""
    latent: Literal["z", "w_plus"] = "z"
    vectors: int = 1
    """Styles of ``w_plus``; 1 for z."""
    depth: int = 18
    """Layers of the trunk: 18 or 34."""
    width: int = 64
    """Channels of the first stage; torchvision's have 64."""
    input_size: int | None = None
    """Side to which pictures are resized by area; None: as they are given."""
    small_input: bool = False
    """Leave out the second halving, for pictures below `SMALL_BELOW` pixels."""
    mask_encoding: Literal["centred", "unit"] = "centred"
    """What the network sees of the known area m in [0, 1]: m - 0.5, or m itself."""
    sees_known: bool = True
    """False: three channels, colours alone (the public code's RGB variants)."""
    grid: int = 1
    """Rows and columns that features are averaged to before the linear layer of z: 1 as in the
    paper; more tell it where things are, which it then need not learn to say in channels."""
    typical_length: bool = False
    """Give latents the length that random ones of so many numbers have, the root of ``dims``. For
    generators whose pictures of shorter latents are unlike those of random ones, while a regressor
    that is in doubt finds short ones."""
    num_classes: int = 0
    """Classes that it also tells apart; 0: none."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name, choices in (
            ("depth", tuple(BLOCKS)),
            ("latent", ("z", "w_plus")),
            ("mask_encoding", ("centred", "unit")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name, least in (
            ("dims", 1),
            ("vectors", 1),
            ("width", 1),
            ("grid", 1),
            ("num_classes", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.input_size is not None and self.input_size < 8:
            raise ValueError(f"input_size must be at least 8, got {self.input_size}.")
        if self.latent == "w_plus" and self.grid != 1:
            raise ValueError(f"Styles are means of all places: grid must be 1, got {self.grid}.")
        if self.latent == "z" and self.vectors != 1:
            raise ValueError(f"A regressor of z finds one vector, got vectors={self.vectors}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegressorSettings:
        """What `to_dict` gave.

        Raises:
            TypeError: It is something else.
            ValueError: A value cannot be built.
        """
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
