"""Sizes of the networks that make wholes of parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

RESOLUTIONS = (64, 128, 256)
KERNELS = (4, 5)
"""The supplement's table 2 has 4; the public code has 5."""
Structure = Literal["full", "no_mask", "conditional_gan", "auto_encoder"]
STRUCTURES: tuple[Structure, ...] = ("full", "no_mask", "conditional_gan", "auto_encoder")
"""The whole, and the three baselines of the supplement's section 6."""
MOST_PARTS = 16
MOST_WIDTH, MOST_NUMBERS = 512, 4096
"""Bounds that keep a strange file from asking for the whole memory."""


@dataclass(frozen=True)
class KeyPatchSettings:
    """Of a `KeyPatchModel`; plain JSON values."""

    resolution: int = 64
    """Side of pictures and of parts as the networks see them: 64, 128 or 256."""
    width: int = 64
    """Channels of the first layer; they double up to eight times as many (table 2)."""
    critic_width: int = 64
    """Likewise, of the critic."""
    embedding: int = 256
    """Numbers that a part becomes; table 2: 256, the public code: 128."""
    z_dim: int = 0
    """Random numbers beside the embedding; table 2 has none, the public code 128."""
    kernel: int = 4
    """Of `KERNELS`."""
    parts: int = 3
    """How many the networks were trained with."""
    variable_parts: bool = False
    """Whether they were also trained with fewer different ones (section 7)."""
    structure: Structure = "full"
    """Of `STRUCTURES`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name, choices in (
            ("resolution", RESOLUTIONS),
            ("kernel", KERNELS),
            ("structure", STRUCTURES),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {list(choices)}, got {getattr(self, name)!r}."
                )
        for name, least, most in (
            ("width", 1, MOST_WIDTH),
            ("critic_width", 1, MOST_WIDTH),
            ("embedding", 1, MOST_NUMBERS),
            ("z_dim", 0, MOST_NUMBERS),
            ("parts", 1, MOST_PARTS),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"{name} must lie in [{least}, {most}], got {getattr(self, name)}."
                )
        if self.structure == "conditional_gan" and not self.z_dim:
            raise ValueError("A conditional GAN needs random numbers: z_dim must be at least 1.")
        if self.structure == "auto_encoder" and self.z_dim:
            raise ValueError(f"An auto-encoder takes none: z_dim must be 0, got {self.z_dim}.")

    @property
    def has_placement(self) -> bool:
        """Whether a mask network says where the parts go."""
        return self.structure == "full"

    @property
    def has_skips(self) -> bool:
        """Whether the decoders see the encoder's features and not the embedding alone."""
        return self.structure in ("full", "no_mask")

    @property
    def has_critic(self) -> bool:
        """Whether a critic takes part in the training."""
        return self.structure != "auto_encoder"

    def channels(self, width: int) -> tuple[int, ...]:
        """Channels after each layer that halves; table 2: 64, 128, 256, 512, 512, 512."""
        halvings = self.resolution.bit_length() - 3  # from the resolution down to 4
        return tuple(width << min(3, level) for level in range(halvings))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KeyPatchSettings:
        """What `to_dict` gave.

        Raises:
            TypeError: It is something else.
            ValueError: A value cannot be built.
        """
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
