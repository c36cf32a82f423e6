"""When a stage's training fails: noticing it, and beginning the stage again more gently.

What goes wrong in the field: losses that are no longer numbers, pictures that are black or of one
colour, pictures burnt out to the corners of the colour cube.
"""

import torch
from torch import Tensor, nn

TRIES = 3
"""Of a stage, the first one included."""
RATE_PER_TRY = 0.5
"""Of the learning rates, in a further try."""
ITERATIONS_TO_DRAW = 100
"""Before so many iterations of a stage, a picture without contrast is no sign of failure."""
FLAT = 0.05
"""Contrast of the rebuilt picture over that of the picture, below which it counts as flat."""
BURNT = 0.98
"""Distance from 0 beyond which a value counts as burnt out."""
BURNT_SHARE = 0.9


class StageStart:
    """The networks as they were when a stage began."""

    def __init__(self, **networks: nn.Module) -> None:
        """Copy their state.

        Args:
            **networks: By name.
        """
        self.states = {
            name: {key: value.detach().clone() for key, value in network.state_dict().items()}
            for name, network in networks.items()
        }

    def restore(self, **networks: nn.Module) -> None:
        """Put the state back."""
        for name, network in networks.items():
            network.load_state_dict(self.states[name])

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint: ``start.<network>.<key>``."""
        return {
            f"start.{name}.{key}": value
            for name, state in self.states.items()
            for key, value in state.items()
        }

    def read(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`; names that are not there keep what was copied."""
        for name, state in self.states.items():
            for key, value in state.items():
                stored = tensors.get(f"start.{name}.{key}")
                state[key] = value if stored is None else stored.to(value)


@torch.no_grad()
def what_is_wrong(rebuilt: Tensor, real: Tensor, iterations: int) -> str | None:
    """Why a rebuilt picture cannot be used, or None.

    Args:
        rebuilt: (1, 3, h, w): the training picture as the stage rebuilds it.
        real: (1, 3, h, w) in [-1, 1]: the training picture.
        iterations: How long the stage has been trained.

    Returns:
        In words that follow on "the picture is ".
    """
    if not torch.isfinite(rebuilt).all():
        return "not made of numbers"
    if iterations < ITERATIONS_TO_DRAW:
        return None
    contrast, made = float(real.std()), float(rebuilt.std())
    if made < FLAT * contrast:
        return "black" if float(rebuilt.mean()) < -0.9 else "of one colour"
    burnt, own = (float((x.abs() > BURNT).float().mean()) for x in (rebuilt, real))
    if burnt > BURNT_SHARE and own < BURNT_SHARE / 2:
        return "burnt out"
    return None
