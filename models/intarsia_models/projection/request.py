"""What a projection is asked for, checked and settled before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.projection.projection import OnStep, Projection, Space, Start, Tick

RATES: dict[Space, float] = {"z": 0.075, "extended": 0.015}
"""Adam's step sizes of the public Neural Collage code."""
SPACES = ("auto", "z", "extended", "w_plus")
STARTS = ("auto", "encoder", "random")


@dataclass(frozen=True, eq=False)
class Request:
    """How to look for a latent."""

    steps: int
    restarts: int
    lr: float
    seed: int
    space: Space
    start: Start
    latent: Projection | Tensor | None
    on_step: OnStep | None
    tick: Tick | None


def settled(
    generator: Generator,
    *,
    steps: int,
    space: str,
    start: str,
    restarts: int,
    lr: float | None,
    seed: int,
    latent: Projection | Tensor | None,
    on_step: OnStep | None,
    tick: Tick | None,
) -> Request:
    """The request with every "auto" decided.

    Raises:
        ValueError: An option is unknown, out of range, or needs a network that is not there.
    """
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}.")
    if restarts < 1:
        raise ValueError(f"restarts must be 1 or more, got {restarts}.")
    if lr is not None and not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}.")
    chosen = space_of(generator, space)
    first = _start_of(generator, start, latent)
    rate = lr if lr is not None else RATES.get(chosen, 0.0)
    return Request(steps, restarts, rate, seed, chosen, first, latent, on_step, tick)


def space_of(generator: Generator, space: str) -> Space:
    """Where to look: the model's own choice, else styles where there are any, else the extended
    space where there is one.

    Raises:
        ValueError: The space is unknown, or the generator does not have it.
    """
    styles = "w_plus" in generator.capabilities
    extended = generator.auxiliary is not None
    if space not in SPACES:
        raise ValueError(f"space must be one of {', '.join(SPACES)}, got {space!r}.")
    own = generator.projection_space
    if space == "auto" and (own == "z" or (own == "extended" and extended)):
        space = own
    if space == "w_plus" and not styles:
        raise ValueError(f'{generator.family} has no styles: take space="z".')
    if space == "extended" and not extended:
        raise ValueError('This generator has no auxiliary networks: take space="z".')
    if space == "w_plus" or (space == "auto" and styles):
        return "w_plus"
    return "extended" if space == "extended" or (space == "auto" and extended) else "z"


def inputs_of(
    generator: Generator, picture: Tensor, y: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The picture and the label as ordinary tensors on the generator's device.

    Raises:
        ValueError: The picture's shape or range is wrong, the generator is in training mode, or its
            weights were made under inference mode.
    """
    side = generator.resolution
    if tuple(picture.shape) != (1, 3, side, side):
        raise ValueError(f"picture must be (1, 3, {side}, {side}), got {tuple(picture.shape)}.")
    if not bool(((picture >= -1.001) & (picture <= 1.001)).all()):  # also refuses nan
        raise ValueError("The picture's values must lie in [-1, 1].")
    if generator.training:
        raise ValueError("The generator must be in eval mode: call generator.eval().")
    weight = next(generator.parameters())
    if weight.is_inference():
        raise ValueError("The generator was loaded under inference mode; load it outside of it.")
    target = picture.detach().to(weight.device, torch.float32)
    target = target.clone(memory_format=torch.channels_last)
    return target, None if y is None else y.detach().to(weight.device).clone()


def _start_of(generator: Generator, start: str, latent: Projection | Tensor | None) -> Start:
    if start not in STARTS:
        raise ValueError(f"start must be one of {', '.join(STARTS)}, got {start!r}.")
    if start == "encoder" and generator.encoder is None:
        raise ValueError('This generator has no encoder: take start="random".')
    if latent is not None:
        _check_latent(generator, latent)
        return "earlier"
    return "random" if start == "random" or generator.encoder is None else "encoder"


def _check_latent(generator: Generator, latent: Projection | Tensor) -> None:
    z = latent.z if isinstance(latent, Projection) else latent
    if z is None:
        return  # styles; whoever looks for styles checks them
    if tuple(z.shape) != (1, generator.z_dim):
        raise ValueError(f"latent must be (1, {generator.z_dim}), got {tuple(z.shape)}.")


StartOption = Literal["auto", "encoder", "random"]
SpaceOption = Literal["auto", "z", "extended", "w_plus"]
