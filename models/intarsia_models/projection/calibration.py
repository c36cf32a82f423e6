"""From a real picture to a latent: start, descent, and what came of it.

Source: Suzuki et al. 2018, arXiv:1811.10153 (Neural Collage), section 4 and eq. 4-5, with the step
sizes and the pixel term of its public code. Deviations: Adam, as in its experiments, where eq. 5 is
plain gradient descent; the best iterate is returned, not the last; without an encoder several
random starts are tried; without a discriminator another distance is taken.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.projection.class_guess import guess_class
from intarsia_models.projection.descent import HALF_SCALE, Count, Descent, descend
from intarsia_models.projection.distances import PIXEL_WEIGHT, Distance, distance_to
from intarsia_models.projection.fit import fit_of
from intarsia_models.projection.projection import OnStep, Projection, Tick
from intarsia_models.projection.request import (
    Request,
    SpaceOption,
    StartOption,
    inputs_of,
    settled,
)
from intarsia_models.projection.starts import encoded, random_starts

STEPS = 200
RESTARTS = 4
SEARCH_SHARE = 0.25
"""Of the steps, in which all random starts are followed; then only the best one is."""


class ExtendedSpace(Protocol):
    """Auxiliary networks: A and B of eq. 5."""

    def extend(self, z: Tensor) -> Tensor:
        """z to zeta."""
        ...

    def reduce(self, zeta: Tensor) -> Tensor:
        """zeta to z."""
        ...


def project(
    generator: Generator,
    picture: Tensor,
    y: Tensor | None = None,
    *,
    steps: int = STEPS,
    space: SpaceOption = "auto",
    start: StartOption = "auto",
    restarts: int = RESTARTS,
    pixel_weight: float = PIXEL_WEIGHT,
    lr: float | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
    tick: Tick | None = None,
    latent: Projection | Tensor | None = None,
) -> Projection:
    """Find the latent whose picture is nearest to a given one.

    With an encoder (or an earlier latent) one latent is followed for all steps. Without, 8 times
    ``restarts`` random latents are looked at, the best ``restarts`` are followed for a quarter of
    the steps and the best of those for the rest.

    Args:
        generator: In eval mode; its weights are neither changed nor given gradients.
        picture: (1, 3, R, R) in [-1, 1], R the generator's resolution.
        y: (1,) class id or (1, K) soft label; None: the likeliest one of `guess_class`, where there
            are classes.
        steps: Updates of the latent; 0 takes the start as it is.
        space: "z"; "extended" (zeta of the auxiliary networks, eq. 5); "w_plus" (styles, by
            `w_plus.project_w_plus`); "auto": styles where there are any, else the extended space
            where there is one, else z.
        start: "encoder" or "random"; "auto": the encoder where there is one.
        restarts: Random starts that are followed.
        pixel_weight: Of the mean squared difference beside the features' distance.
        lr: Adam's step size; None: 0.075 for z, 0.015 for the extended space, 0.1 for styles.
        seed: Of the random starts.
        on_step: Told at every picture that is made.
        tick: Called at every step; may raise to cancel.
        latent: Go on from here: an earlier projection, or (1, z_dim).

    Returns:
        The best latent of all that were tried, with its picture and `fit_of`. The same arguments
        give the same result on the same machine.

    Raises:
        ValueError: The picture, the label or an option does not fit the generator.
    """
    request = settled(
        generator,
        steps=steps,
        space=space,
        start=start,
        restarts=restarts,
        lr=lr,
        seed=seed,
        latent=latent,
        on_step=on_step,
        tick=tick,
    )
    if request.space == "w_plus":
        from intarsia_models.projection.w_plus import project_w_plus

        return project_w_plus(
            generator,
            picture,
            y,
            steps=steps,
            start=start,
            lr=lr,
            pixel_weight=pixel_weight,
            seed=seed,
            on_step=on_step,
            tick=tick,
            latent=latent,
        )
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller's mode is
        target, label = inputs_of(generator, picture, y)
        if label is None and generator.num_classes:
            label = most_likely(generator, target, tick=tick, seed=seed)
        distance = _measure(generator, target, pixel_weight)
        return _Calibration(generator, target, label, distance, request).run()


def most_likely(
    generator: Generator, picture: Tensor, *, tick: Tick | None = None, seed: int = 0
) -> Tensor:
    """(1,): the first class of `guess_class`; its arguments."""
    ranked = guess_class(generator, picture, tick=tick, seed=seed)
    return torch.tensor([ranked[0][0]], device=picture.device)


def _measure(generator: Generator, target: Tensor, pixel_weight: float) -> Distance:
    """The discriminator's features, else LPIPS where its backbone is on this machine, else pixels
    over scales."""
    if generator.discriminator is None:
        from intarsia_models.projection import perceptual  # imports torchvision, which takes long

        if perceptual.find_backbone() is not None:
            metric = perceptual.load_metric().to(target.device)
            return perceptual.PerceptualDistance(metric, target, pixel_weight)
    return distance_to(target, generator, pixel_weight)


class _Calibration:
    """One run in z or in the extended space."""

    def __init__(
        self,
        generator: Generator,
        target: Tensor,
        y: Tensor | None,
        distance: Distance,
        request: Request,
    ) -> None:
        self.generator = generator
        self.target = target
        self.y = y
        self.distance = distance
        self.request = request
        self.extended: ExtendedSpace | None = None
        if request.space == "extended":
            self.extended = cast(ExtendedSpace, generator.auxiliary)
        half = generator.half_precision and target.device.type == "cuda"
        self.scale = HALF_SCALE if half else 1.0

    def run(self) -> Projection:
        """Start, descend, and report."""
        request = self.request
        random = request.start == "random"
        descent = self._from_random() if random else self._descend(self._start(), request.steps)
        best = descent.best.clone()
        with torch.no_grad():
            z = self._z(best)
        picture = descent.pictures.clone()
        return Projection(
            z=z,
            y=self.y,
            loss=float(descent.best_losses[0]),
            losses=descent.losses,
            reconstruction=picture,
            fit=fit_of(picture, self.target),
            space=request.space,
            start=request.start,
            distance=self.distance.name,
            zeta=best if self.extended is not None else None,
        )

    def _start(self) -> Tensor:
        """The encoder's latent or the earlier one, in the space that is searched."""
        latent = self.request.latent
        if isinstance(latent, Projection):
            if self.extended is not None and latent.zeta is not None:
                return latent.zeta.clone()
            latent = latent.z
        if latent is None:
            return self._variable(encoded(self.generator, self.target, self.y))
        return self._variable(latent.detach().to(self.target.device, torch.float32).clone())

    def _from_random(self) -> Descent:
        request = self.request
        latents = random_starts(
            self.generator,
            lambda z: self._evaluate_z(z)[0],
            count=request.restarts,
            seed=request.seed,
            tick=request.tick,
        )
        search = round(request.steps * SEARCH_SHARE) if request.restarts > 1 else 0
        found = self._descend(self._variable(latents), search)
        first = int(found.best_losses.argmin())
        left = request.steps - search
        rest = self._descend(found.best[first : first + 1], left, done=search)
        losses = [*found.losses, *rest.losses[1:]]
        return Descent(rest.best, rest.best_losses, rest.pictures, losses)

    def _descend(self, start: Tensor, steps: int, done: int = 0) -> Descent:
        request = self.request
        return descend(
            start,
            self._evaluate,
            steps=steps,
            lr=request.lr,
            scale=self.scale,
            count=Count(done, request.steps),
            on_step=request.on_step,
            tick=request.tick,
        )

    def _evaluate(self, variable: Tensor) -> tuple[Tensor, Tensor]:
        return self._evaluate_z(self._z(variable))

    def _evaluate_z(self, z: Tensor) -> tuple[Tensor, Tensor]:
        y = None if self.y is None else self.y.expand(len(z), *self.y.shape[1:])
        pictures = self.generator.synthesize(z, y)
        return self.distance(pictures), pictures

    def _variable(self, z: Tensor) -> Tensor:
        """What is optimized: z, or A(z)."""
        if self.extended is None:
            return z
        with torch.no_grad():
            return self.extended.extend(z)

    def _z(self, variable: Tensor) -> Tensor:
        return variable if self.extended is None else self.extended.reduce(variable)
