"""The sizes of a StyleGAN2, all that is needed to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
"""The filter of every published network."""


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Sizes of a discriminator."""

    channels: tuple[int, ...]
    """Of the features at each size, from the picture's down to 4."""
    hidden: int
    """Width of the last hidden layer."""
    architecture: str = "resnet"
    """"resnet" or "orig" (without the short cuts)."""
    class_width: int = 0
    """Length of the class vector it projects on; 0 without classes."""
    class_layers: int = 0
    """Layers of its mapping network of classes."""
    group: int = 4
    """Pictures over which the last layers compare."""
    clamp: float | None = None
    """Largest activation; None: no bound."""


@dataclass(frozen=True)
class GeneratorSettings:
    """Sizes of a generator."""

    channels: tuple[int, ...]
    """Of the features at 4, 8, 16, … pixels."""
    z_dim: int
    w_dim: int
    mapping_layers: int
    num_classes: int = 0
    taps: tuple[float, ...] = BINOMIAL
    """Of the resampling filter."""
    clamp: float | None = None
    """Largest activation; None: no bound."""
    discriminator: DiscriminatorSettings | None = None

    @property
    def resolution(self) -> int:
        """Side of the picture, in pixels."""
        return 4 << (len(self.channels) - 1)

    @property
    def convolutions(self) -> int:
        """How many styled convolutions there are."""
        return 2 * len(self.channels) - 1

    @property
    def styles(self) -> int:
        """How many styles W+ has: one for each convolution, one for the last colours."""
        return self.convolutions + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        if self.discriminator is None:
            del values["discriminator"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorSettings:
        """What `to_dict` gave.

        Raises:
            TypeError, KeyError: It is something else.
        """
        values = dict(values)
        judge = values.pop("discriminator", None)
        if judge is not None:
            judge = DiscriminatorSettings(**{**judge, "channels": tuple(judge["channels"])})
        return cls(
            **{
                **values,
                "channels": tuple(values["channels"]),
                "taps": tuple(values.get("taps", BINOMIAL)),
            },
            discriminator=judge,
        )


def convolution_size(index: int) -> int:
    """Rows of the output of a styled convolution: 4, 8, 8, 16, 16, …"""
    return 4 << ((index + 1) // 2)


def convolution_name(index: int) -> str:
    """Name of a styled convolution by its place: b4.conv1, b8.conv0, b8.conv1, …"""
    return f"b{convolution_size(index)}.conv{1 if index % 2 == 0 else 0}"


def size_name(size: int) -> str:
    """Name of the block of a size."""
    return f"b{size}"
