"""Adam on a latent, with the best iterate kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.projection.projection import OnStep, Step, Tick

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""(B, n) latents to (B,) losses and (B, 3, R, R) pictures."""
HALF_SCALE = 1024.0
"""Losses are this much larger in the backward pass where the generator computes in float16."""


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a descent came to; the best of each of its starts."""

    best: Tensor
    """(B, n)."""
    best_losses: Tensor
    """(B,)."""
    pictures: Tensor
    """(B, 3, R, R) of the best ones."""
    losses: list[float]
    """By step, the start first: the lowest among the B."""


@dataclass(frozen=True)
class Count:
    """Numbers a descent's steps within a larger whole, for those who watch."""

    done: int = 0
    steps: int = 0


def descend(
    start: Tensor,
    evaluate: Evaluate,
    *,
    steps: int,
    lr: float,
    scale: float = 1.0,
    schedule: Callable[[float], float] | None = None,
    count: Count | None = None,
    on_step: OnStep | None = None,
    tick: Tick | None = None,
) -> Descent:
    """Minimize a loss over latents, each of the batch by itself.

    Adam with its usual moments (0.9, 0.999), as in the public Neural Collage code; that code
    returns the last iterate, this returns the best. Weights of networks are neither changed nor
    given gradients, and no global state of torch is touched.

    Args:
        start: (B, n).
        evaluate: Losses and pictures of latents.
        steps: Updates; one picture more is made than that, the start's included.
        lr: Of Adam.
        scale: Losses are multiplied by it for the backward pass, against underflow in float16.
        schedule: Factor on ``lr`` by the share of the steps that are done, in (0, 1]; None: 1.
        count: Where these steps lie in the whole.
        on_step: Told at every picture.
        tick: Called at every picture; may raise to cancel.

    Raises:
        ValueError: All losses of the start are not finite.
    """
    count = count or Count(0, steps)
    variable = start.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([variable], lr=lr)
    best = Descent(start, torch.full(start.shape[:1], torch.inf).to(start), start, [])
    for step in range(steps + 1):
        if tick is not None:
            tick()
        losses, pictures = evaluate(variable)
        best = _better(best, variable, losses, pictures)
        if step == 0 and not bool(best.best_losses.isfinite().any()):
            raise ValueError("The start of the projection has no finite loss.")
        if on_step is not None:
            on_step(_told(best, step + count.done, count.steps))
        if step < steps:
            (gradient,) = torch.autograd.grad(losses.sum() * scale, [variable])
            variable.grad = torch.nan_to_num(gradient / scale)
            if schedule is not None:
                adam.param_groups[0]["lr"] = lr * schedule((step + 0.5) / steps)
            adam.step()
    return best


def _better(best: Descent, latents: Tensor, losses: Tensor, pictures: Tensor) -> Descent:
    """The best of each so far, with one more round."""
    losses, pictures, latents = losses.detach(), pictures.detach(), latents.detach()
    wins = losses < best.best_losses
    before = best.pictures if best.losses else pictures
    return Descent(
        torch.where(wins[:, None], latents, best.best),
        torch.where(wins, losses, best.best_losses),
        torch.where(wins[:, None, None, None], pictures, before),
        [*best.losses, float(torch.nan_to_num(losses, nan=torch.inf).min())],
    )


def _told(best: Descent, step: int, steps: int) -> Step:
    index = int(best.best_losses.argmin())

    def picture() -> Tensor:
        return best.pictures[index : index + 1]

    return Step(step, steps, best.losses[-1], float(best.best_losses[index]), picture)
