"""Looping animations of a picture: a walk through the noise around its own."""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.sampling import (
    check_start_stage,
    fixed_noises,
    require_task,
    sizes_for,
    synthesized,
)
from intarsia_models.single_image.settings import FROM_NOISE

Strength = Literal["weak", "medium", "strong"]
_INERTIA: dict[str, float] = {"weak": 0.95, "medium": 0.9, "strong": 0.8}
"""beta of the walk: how far a step goes on in the direction of the one before. The lower, the
further from the picture the walk strays."""
_PULL = 0.1
"""alpha of the walk: how strongly it is drawn back to the picture."""
LEAST_FRAMES = 2


def animate(
    model: TrainedModel,
    frames: int = 40,
    *,
    strength: Strength = "medium",
    start_stage: int = 0,
    seed: int = 0,
    size: Size | None = None,
    begin_at_picture: bool = False,
) -> Iterator[Tensor]:
    """Frames of an endless loop: after the last comes the first.

    Args:
        model: Of the task "animation" (trained for this), "generation" or "retarget".
        frames: How many, at least 2. The published animations run at 10 per second.
        strength: How far the frames stray from the picture.
        start_stage: Stages below it stand still: 0 moves everything, 1 keeps large forms in
            place, higher ones move ever finer detail only.
        seed: Of the walk.
        size: (height, width), see `sampling.variations`.
        begin_at_picture: Let the movement grow from the picture itself and die away to it, once per
            loop; otherwise it is equally lively everywhere.

    Returns:
        One (1, 3, H, W) in [-1, 1] per frame, made as they are asked for.

    Raises:
        ValueError: Wrong task, count, strength, stage or size.

    Source: the walk of the public code (alpha 0.1; beta 0.95, 0.9, 0.8), after SinGAN
    (arXiv:1905.01164, supplement): ``z1 + beta * (z1 - z2) + (1 - beta) * n``, drawn back to the
    fixed noise by alpha. Deviation: theirs starts at the picture and ends anywhere; here the
    same recursion is driven by noise that repeats with the loop and starts in the one state that
    it returns to, so that the loop closes exactly.
    """
    require_task(model, FROM_NOISE, "Animations")
    check_start_stage(model, start_stage)
    if frames < LEAST_FRAMES:
        raise ValueError(f"frames must be at least {LEAST_FRAMES}, got {frames}.")
    if strength not in get_args(Strength):
        raise ValueError(
            f"strength must be one of {', '.join(get_args(Strength))}, got {strength!r}."
        )
    sizes = sizes_for(model, size)
    fixed = fixed_noises(model, sizes)
    walks = [
        LoopingWalk(noise, frames, _INERTIA[strength], seed=seed, stage=n)
        if n >= start_stage
        else None
        for n, noise in enumerate(fixed)
    ]
    return _frames(model, sizes, fixed, walks, frames, begin_at_picture)


def _frames(
    model: TrainedModel,
    sizes: list[Size],
    fixed: list[Tensor],
    walks: "list[LoopingWalk | None]",
    frames: int,
    begin_at_picture: bool,
) -> Iterator[Tensor]:
    for t in range(frames):
        # (1 - cos) / 2 has zero slope at both ends; its mean square is 3/8
        reach = 0.5 - 0.5 * torch.cos(torch.tensor(2 * torch.pi * t / frames)).item()
        amount = reach if begin_at_picture else 1.0
        noises = [
            z if walk is None else z + amount * walk.next()
            for z, walk in zip(fixed, walks, strict=True)
        ]
        yield synthesized(model, noises, sizes)


class LoopingWalk:
    """Deviations from a fixed noise that come back to where they started."""

    def __init__(
        self, fixed: Tensor, frames: int, inertia: float, *, seed: int, stage: int
    ) -> None:
        """Find the state that the loop starts in.

        Args:
            fixed: (1, c, h, w), the noise that it moves around.
            frames: Length of the loop.
            inertia: beta.
            seed: Of the walk.
            stage: Makes the walks of different stages different.

        With d the deviation, the recursion is linear: ``d[t+1] = (1 - alpha) * (d[t] + beta *
        (d[t] - d[t-1]) + (1 - beta) * n[t])``. One round from rest ends in e; the state s with s =
        A^frames s + e, A the 2 x 2 companion matrix, is the one that repeats.
        """
        self.fixed, self.frames, self.inertia = fixed, frames, inertia
        self.seed, self.stage = seed, stage
        self.restart(torch.zeros_like(fixed), torch.zeros_like(fixed))
        for _ in range(frames):
            self.next()
        keep = 1 - _PULL
        once = torch.tensor(
            [[keep * (1 + inertia), -keep * inertia], [1.0, 0.0]], dtype=torch.float64
        )
        around = torch.linalg.matrix_power(once, frames)
        closing = torch.linalg.inv(torch.eye(2, dtype=torch.float64) - around).tolist()
        (a, b), (c, d) = closing
        last, before = self.now, self.before
        self.restart(a * last + b * before, c * last + d * before)

    def restart(self, now: Tensor, before: Tensor) -> None:
        """Go on from a state; the driving noise starts anew."""
        self.now, self.before, self.t = now, before, 0
        self.source = torch.Generator().manual_seed(self.seed * 1_000_003 + self.stage)

    def next(self) -> Tensor:
        """The deviation at the next frame."""
        if self.t == self.frames:
            self.restart(self.now, self.before)
        n = torch.randn(self.fixed.shape, generator=self.source).to(self.fixed)
        step = self.now + self.inertia * (self.now - self.before) + (1 - self.inertia) * n
        self.before, self.now = self.now, (1 - _PULL) * step
        self.t += 1
        return self.now
