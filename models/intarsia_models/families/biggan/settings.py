"""The sizes of a BigGAN or BigGAN-deep generator and of its discriminator, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Conditioning = Literal["hierarchical", "class", "latent"]
"""What the blocks see: the class and a part of z of their own; the class alone; the class and all
of z (then the first layer sees both, too)."""
BlockKind = Literal["basic", "bottleneck"]
StatisticsWeighting = Literal["public", "linear"]
"""How statistics between two stored truncations are mixed; see `BigGANGenerator`."""


@dataclass(frozen=True)
class BlockSettings:
    """One residual block of the generator."""

    name: str
    """Of its edit point, as in the public file."""
    norms: tuple[str, ...]
    """Of its conditional norms, as in the public file, in the order they run."""
    inputs: int
    hidden: int
    outputs: int
    upsample: bool
    attention: bool
    """Followed by self-attention, which belongs to the same level."""


@dataclass(frozen=True)
class BigGANSettings:
    """All from which a generator can be built again."""

    family: str
    kind: BlockKind
    conditioning: Conditioning
    z_dim: int
    num_classes: int
    embedding_dim: int
    """0: every norm has its own table over the classes."""
    first_name: str
    """Of level 0."""
    bottom_width: int
    blocks: tuple[BlockSettings, ...]
    norm_eps: float = 1e-5
    """Not stored in ajbrock files; 1e-5 is the code's default and that of its published runs."""
    statistics: int = 1
    """Stored statistics per norm: 1, or one per step of truncation from 0 to 1."""
    statistics_weighting: StatisticsWeighting = "public"
    gain_is_added: bool = False
    """Norms compute x^ + gamma + beta in place of gamma x^ + beta; see `BigGANGenerator`."""

    @property
    def resolution(self) -> int:
        """Rows and columns of the picture."""
        return self.bottom_width * 2 ** sum(block.upsample for block in self.blocks)

    @property
    def z_part(self) -> int:
        """How many numbers of z each block sees."""
        if self.conditioning == "hierarchical":
            return self.z_dim // (len(self.blocks) + 1)
        return self.z_dim if self.conditioning == "latent" else 0

    @property
    def class_part(self) -> int:
        """How many numbers tell a norm its class."""
        return self.embedding_dim or self.num_classes

    @property
    def condition(self) -> int:
        """What a conditional norm sees."""
        return self.class_part + self.z_part

    @property
    def first_inputs(self) -> int:
        """What the first layer sees."""
        if self.conditioning == "hierarchical":
            return self.z_part
        return self.z_dim + (self.class_part if self.conditioning == "latent" else 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BigGANSettings:
        """From `to_json`, after a way through JSON.

        Raises:
            TypeError: A value is missing.
        """
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        blocks = tuple(
            BlockSettings(**{**block, "norms": tuple(block["norms"])}) for block in values["blocks"]
        )
        return cls(**{**known, "blocks": blocks})


@dataclass(frozen=True)
class JudgeBlockSettings:
    """One residual block of a discriminator."""

    inputs: int
    hidden: int
    outputs: int
    downsample: bool
    skip: bool
    """With a convolution on the way around."""
    attention: bool


@dataclass(frozen=True)
class DiscriminatorSettings:
    """All from which a discriminator can be built again."""

    kind: BlockKind
    num_classes: int
    blocks: tuple[JudgeBlockSettings, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DiscriminatorSettings:
        """From `to_json`, after a way through JSON."""
        blocks = tuple(JudgeBlockSettings(**block) for block in values["blocks"])
        return cls(values["kind"], values["num_classes"], blocks)
