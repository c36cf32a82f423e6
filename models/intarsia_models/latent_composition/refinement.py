"""Bringing a latent's picture nearer to what is known, by descent; variants by a noisy start.

Sources: Chai et al. 2021, arXiv:2103.10426, eq. 1 and table 4 (a regressor, then L-BFGS), with the
weights of its public code: 0.5 of the masked L1, 0.5 of a masked perceptual distance, 0.25 of the
squared difference between the latents that the regressor reads from the two pictures.

Deviations: the best iterate is returned, not the last; the line search is torch's, with at most 25
evaluations where the public code allows 10; Adam is offered beside L-BFGS; the perceptual distance
sees both pictures with the unknown places grey, where the public code weights a map of distances;
without a backbone of LPIPS it is the discriminator's, else pixels over scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import (
    Latent,
    check_area,
    check_picture,
    decode,
    read,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection.descent import HALF_SCALE, Descent, descend
from intarsia_models.projection.distances import DiscriminatorDistance
from intarsia_models.projection.perceptual import PerceptualMetric, best_distance
from intarsia_models.projection.projection import OnStep, Step, Tick

Method = Literal["adam", "lbfgs"]
RATES = {"z": 0.2, "w_plus": 0.05}
"""Adam's step size by the kind of latent."""
HISTORY = 10
RANDOM_STARTS = 500
"""Latents that are looked at where there is no regressor, as in the paper's table 4."""
BATCH = 16


@dataclass(frozen=True)
class RefinementWeights:
    """What counts how much; the defaults are the public code's."""

    pixels: float = 0.5
    """Mean absolute difference over what is known."""
    perceptual: float = 0.5
    latent: float = 0.25
    """Squared difference of the latents read from both pictures; 0 where there is no regressor."""


@dataclass(frozen=True, eq=False)
class Refined:
    """The best of all latents that were tried."""

    latent: Latent
    picture: Tensor
    """(B, 3, R, R)."""
    losses: list[float]
    """By evaluation, the start first: of the newest picture, the lowest of a batch."""
    best_losses: tuple[float, ...]
    """By start."""
    distance: str
    """Which perceptual distance: "perceptual", "discriminator" or "multi-scale pixels"."""


def refine(
    generator: Generator,
    image: Tensor,
    known: Tensor | None,
    start: Latent,
    *,
    method: Method = "adam",
    steps: int = 50,
    weights: RefinementWeights | None = None,
    rate: float | None = None,
    spread: float = 0.0,
    seed: int | Sequence[int] = 0,
    class_weights: Tensor | ClassMaps | None = None,
    regressor: MaskedRegressor | None = None,
    metric: PerceptualMetric | Literal["auto"] | None = "auto",
    on_step: OnStep | None = None,
    tick: Tick | None = None,
) -> Refined:
    """Make the latent's picture agree with what is known.

    Args:
        generator: In eval mode; its weights are neither changed nor given gradients.
        image: (1, 3, R, R) in [-1, 1]; unknown places may hold anything.
        known: (1, 1, R, R) in [0, 1], 1 = known; None: everything.
        start: Of `latents.encode`, B = 1.
        method: "adam", or "lbfgs" (full batch, history of 10, strong Wolfe line search).
        steps: Updates; 0 takes the start as it is.
        weights: Of the parts of the objective.
        rate: Adam's step size; None: by the kind of latent.
        spread: Standard deviation of noise on the start, in units of the start's own; above 0 every
            seed leads to another completion of what is unknown.
        seed: Of that noise; several make a batch of variants (with Adam).
        class_weights: Which class rules where; see `Generator.synthesize`.
        regressor: An adapted one; None: the generator's own, if it has one.
        metric: LPIPS; "auto": loaded where a backbone of it lies on this machine; None: not used.
        on_step: Told at every picture that is made.
        tick: Called at every picture; may raise to cancel.

    Returns:
        The best latent by the objective, never a worse one than the (noisy) start.

    Raises:
        ValueError: A shape, a range or an option does not fit.
    """
    if method not in ("adam", "lbfgs"):
        raise ValueError(f'method must be "adam" or "lbfgs", got {method!r}.')
    if steps < 0 or not spread >= 0 or (rate is not None and not rate > 0):
        raise ValueError(
            "steps and spread must be 0 or more and rate above 0, "
            f"got {steps}, {spread} and {rate}."
        )
    seeds = [seed] if isinstance(seed, int) else list(seed)
    if start.batch != 1 or not seeds or (method == "lbfgs" and len(seeds) > 1):
        raise ValueError(
            "One start is refined at a time, several seeds only with Adam; "
            f"got {start.batch} starts, {len(seeds)} seeds and {method}."
        )
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller's mode is
        first = noisy(start.detached(), spread, seeds)
        objective = Objective(
            generator,
            image,
            known,
            first,
            weights or RefinementWeights(),
            class_weights=class_weights,
            regressor=regressor,
            metric=metric,
        )
        scale = HALF_SCALE if generator.half_precision and image.is_cuda else 1.0
        rows = first.values.flatten(1)
        if method == "adam":
            found = descend(
                rows,
                objective,
                steps=steps,
                lr=rate or RATES["z" if first.z is not None else "w_plus"],
                scale=scale,
                on_step=on_step,
                tick=tick,
            )
        else:
            found = _descend_lbfgs(
                rows, objective, steps=steps, scale=scale, on_step=on_step, tick=tick
            )
        return Refined(
            latent=first.replaced(found.best.view_as(first.values).clone()),
            picture=found.pictures.clone(),
            losses=found.losses,
            best_losses=tuple(found.best_losses.tolist()),
            distance=objective.distance.name,
        )


def noisy(start: Latent, spread: float, seeds: Sequence[int]) -> Latent:
    """One latent per seed: the start plus noise of ``spread`` times its own standard deviation."""
    values = start.values
    if not spread:
        return start.replaced(values.expand(len(seeds), *values.shape[1:]).clone())
    deviation = values.std().clamp_min(1e-3)
    rows = []
    for seed in seeds:
        source = torch.Generator().manual_seed(seed)
        noise = torch.randn(values.shape, generator=source).to(values)
        rows.append(values + spread * deviation * noise)
    return start.replaced(torch.cat(rows))


@torch.no_grad()
def best_random(
    generator: Generator,
    image: Tensor,
    known: Tensor | None,
    y: Tensor | None = None,
    *,
    count: int = RANDOM_STARTS,
    seed: int = 0,
    weights: RefinementWeights | None = None,
    metric: PerceptualMetric | Literal["auto"] | None = "auto",
    tick: Tick | None = None,
) -> Latent:
    """The best of many random latents by the objective, for refining without a regressor.

    Args:
        generator: Draws them; with styles, one w per z on all layers.
        image: As `refine`.
        known: As `refine`.
        y: (1,) or (1, K); None only without classes.
        count: How many are looked at; the paper's table 4 takes 500.
        seed: Of the latents.
        weights: As `refine`; the regressor's part is left out.
        metric: As `refine`.
        tick: Called between batches; may raise to cancel.
    """
    with torch.inference_mode(False), torch.no_grad():
        z = generator.sample_z(count, seed)
        chosen = weights or RefinementWeights()
        chosen = RefinementWeights(chosen.pixels, chosen.perceptual, 0.0)
        objective = Objective(
            generator, image, known, Latent(z[:1], None, y), chosen, metric=metric
        )
        losses = []
        for part in z.split(BATCH):
            if tick is not None:
                tick()
            losses.append(objective(part)[0])
        best = z[int(torch.cat(losses).argmin())][None].clone()
        if "w_plus" in generator.capabilities:
            codes = generator.encode_latent(best, y)
            return Latent(None, codes.w_plus.clone(), y)
        return Latent(best, None, y)


class Objective:
    """How far pictures of latents are from what is known; for `descend`."""

    def __init__(
        self,
        generator: Generator,
        image: Tensor,
        known: Tensor | None,
        like: Latent,
        weights: RefinementWeights,
        *,
        class_weights: Tensor | ClassMaps | None = None,
        regressor: MaskedRegressor | None = None,
        metric: PerceptualMetric | Literal["auto"] | None = "auto",
    ) -> None:
        """Prepare what depends on the target alone; arguments as `refine`.

        Args:
            generator: See `refine`.
            image: See `refine`.
            known: See `refine`.
            like: Its kind and label are those of the latents to come.
            weights: See `refine`.
            class_weights: See `refine`.
            regressor: See `refine`.
            metric: See `refine`.
        """
        check_picture(generator, image)
        if known is not None:
            check_area(known, image)
        self.generator, self.like, self.weights = generator, like, weights
        self.class_weights = class_weights
        target = image.detach().clone(memory_format=torch.channels_last)
        self.known = target.new_ones(1, 1, *target.shape[2:]) if known is None else known.clone()
        self.area = self.known.mean().clamp_min(1e-6)
        self.target = target * self.known
        self.distance = best_distance(self.target, generator, 0.0, metric)
        self.offset = 1.0 if isinstance(self.distance, DiscriminatorDistance) else 0.0
        self.regressor = generator.regressor if regressor is None else regressor
        self.own: Tensor | None = None
        if self.regressor is not None and weights.latent:
            with torch.no_grad():
                self.own = self._read(self.target)

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) losses and (B, 3, R, R) pictures of latents (B, n)."""
        values = rows.view(len(rows), *self.like.values.shape[1:])
        label = None if self.like.y is None else self.like.y[:1]
        latent = self.like.replaced(values, label)
        pictures = decode(self.generator, latent, class_weights=self.class_weights)
        seen = pictures * self.known
        losses = self.weights.pixels * (seen - self.target).abs().mean((1, 2, 3)) / self.area
        if self.weights.perceptual:
            losses = losses + self.weights.perceptual * (self.distance(seen) + self.offset)
        if self.own is not None:
            read_again = (self._read(seen) - self.own).square().flatten(1).mean(1)
            losses = losses + self.weights.latent * read_again
        return losses, pictures

    def _read(self, x: Tensor) -> Tensor:
        return read(self.generator, x, self.known, regressor=self.regressor).latent


def _descend_lbfgs(
    start: Tensor,
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    *,
    steps: int,
    scale: float,
    on_step: OnStep | None,
    tick: Tick | None,
) -> Descent:
    """L-BFGS on one latent (1, n), with the best of all evaluations kept."""
    variable = start.detach().clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [variable],
        lr=1.0,
        max_iter=steps,
        max_eval=25 * max(steps, 1),
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )
    best: list[Tensor] = []
    losses: list[float] = []

    def closure() -> Tensor:
        if tick is not None:
            tick()
        loss, pictures = evaluate(variable)
        losses.append(float(loss.detach()))
        if not best or losses[-1] < float(best[1]):
            best[:] = variable.detach().clone(), loss.detach().clone(), pictures.detach()
        if on_step is not None:
            done = int(optimizer.state[variable].get("n_iter", 0))
            on_step(Step(done, steps, losses[-1], float(best[1]), lambda: best[2]))
        (gradient,) = torch.autograd.grad(loss.sum() * scale, [variable])
        variable.grad = torch.nan_to_num(gradient / scale)
        return torch.nan_to_num(loss.sum().detach(), nan=1e9, posinf=1e9)

    if steps:
        optimizer.step(closure)
    else:
        closure()
    return Descent(best[0], best[1], best[2], losses)
