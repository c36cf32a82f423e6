"""From a real picture to styles: one for every layer of a StyleGAN (W+).

Sources: Abdal et al. 2019, arXiv:1904.03189 (a style of its own for every layer, from the mean
style); Karras et al. 2020, arXiv:1912.04958, appendix D (learning rate over time, regularization
of noise maps, LPIPS). Deviations: the best iterate is returned, not the last; no noise is added to
the styles; noise maps stay as they are unless asked otherwise.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from intarsia_models.generators.generator import Generator
from intarsia_models.projection.class_guess import guess_class
from intarsia_models.projection.descent import HALF_SCALE, descend
from intarsia_models.projection.distances import PIXEL_WEIGHT, Distance
from intarsia_models.projection.fit import fit_of
from intarsia_models.projection.perceptual import PerceptualMetric, best_distance
from intarsia_models.projection.projection import OnStep, Projection, Start, Tick
from intarsia_models.projection.request import inputs_of
from intarsia_models.projection.starts import encoded, random_starts

STEPS = 200
RATE = 0.1
WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
COOL_DOWN = 0.25
"""Share of the steps in which it falls to 0."""
SMALLEST_NOISE = 8
"""Side of the coarsest scale at which noise is regularized."""
StyleStart = Literal["auto", "mean", "random", "encoder"]


@runtime_checkable
class HasStyles(Protocol):
    """What a generator with styles offers beyond `Generator`."""

    w_dim: int

    def styles(self, z: Tensor | None, y: Tensor | None) -> Tensor:
        """(B, 1, w_dim) of latents."""
        ...

    def mean_style(self, y: Tensor | None) -> Tensor:
        """(B, 1, w_dim) of classes, or of everything."""
        ...

    def stored_noise(self) -> list[Tensor]:
        """(1, 1, h, h) of every noise input."""
        ...


def project_w_plus(
    generator: Generator,
    picture: Tensor,
    y: Tensor | None = None,
    *,
    steps: int = STEPS,
    start: StyleStart = "auto",
    noise_weight: float = 0.0,
    lr: float | None = None,
    pixel_weight: float = PIXEL_WEIGHT,
    seed: int = 0,
    metric: PerceptualMetric | Literal["auto"] | None = "auto",
    on_step: OnStep | None = None,
    tick: Tick | None = None,
    latent: Projection | Tensor | None = None,
) -> Projection:
    """Find the styles whose picture is nearest to a given one.

    Near is by LPIPS where a backbone of it is on this machine (see `perceptual.how_to_add`), else
    by the discriminator's features, else by pixels and their gradients over scales; the result says
    which.

    Args:
        generator: One with styles, in eval mode; its weights are neither changed nor given
            gradients.
        picture: (1, 3, R, R) in [-1, 1], R the generator's resolution.
        y: (1,) class id or (1, K) soft label; None: the likeliest one of `guess_class`, where there
            are classes. It tells where the search begins and later edits what to start from.
        steps: Updates; 0 takes the start as it is.
        start: "mean": the mean style (of the class); "random": the best of some random latents;
            "encoder": the encoder's guess; "auto": the encoder where there is one, else the mean.
        noise_weight: Weight of the noise maps' regularization; above 0 the maps are optimized too
            and returned. 1e5 with LPIPS is the paper's value. 0: they stay as stored.
        lr: Adam's highest step size; None: 0.1.
        pixel_weight: Of the mean squared difference beside the other distance.
        seed: Of the random start.
        metric: LPIPS; "auto": loaded where there is a backbone; None: not used.
        on_step: Told at every picture that is made.
        tick: Called at every step; may raise to cancel.
        latent: Go on from here: an earlier projection, styles (1, layers, w_dim), or (1, z_dim).

    Returns:
        The best styles of all that were tried, with their picture and `fit_of`.

    Raises:
        ValueError: The picture, the label or an option does not fit, or there are no styles.
    """
    if "w_plus" not in generator.capabilities or not isinstance(generator, HasStyles):
        raise ValueError(f'{generator.family} has no styles: take space="z".')
    if steps < 0 or noise_weight < 0 or (lr is not None and not lr > 0):
        raise ValueError(
            "steps and noise_weight must be 0 or more and lr above 0, "
            f"got {steps}, {noise_weight} and {lr}."
        )
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller's mode is
        target, label = inputs_of(generator, picture, y)
        if label is None and generator.num_classes:
            ranked = guess_class(generator, target, tick=tick, seed=seed)
            label = torch.tensor([ranked[0][0]], device=target.device)
        distance = best_distance(target, generator, pixel_weight, metric)
        search = _Search(generator, target, label, distance, noise_weight)
        first, begun = search.begin(start, seed, latent, tick)
        half = generator.half_precision and target.device.type == "cuda"
        descent = descend(
            first,
            search.evaluate,
            steps=steps,
            lr=RATE if lr is None else lr,
            scale=HALF_SCALE if half else 1.0,
            schedule=schedule,
            on_step=on_step,
            tick=tick,
        )
        return search.result(descent.best, descent.pictures, descent.losses, begun)


def schedule(done: float) -> float:
    """Share of the highest learning rate at a point in time (appendix D).

    Args:
        done: In [0, 1].
    """
    fall = min(1.0, (1.0 - done) / COOL_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, done / WARM_UP)


class _Search:
    """What is looked for: styles and, where asked, noise maps, as one row of numbers."""

    def __init__(
        self,
        generator: Generator,
        target: Tensor,
        y: Tensor | None,
        distance: Distance,
        noise_weight: float,
    ) -> None:
        assert isinstance(generator, HasStyles)
        self.generator = generator
        self.styled: HasStyles = generator
        self.target = target
        self.y = y
        self.distance = distance
        self.noise_weight = noise_weight
        self.noise = generator.stored_noise()
        self.shape = generator.style_shape()

    def begin(
        self,
        start: StyleStart,
        seed: int,
        latent: Projection | Tensor | None,
        tick: Tick | None,
    ) -> tuple[Tensor, Start]:
        """The first row of numbers, and where it comes from."""
        with torch.no_grad():
            styles, begun = self._styles(start, seed, latent, tick)
            parts = [styles.expand(1, *self.shape).flatten(1)]
            if self.noise_weight:
                earlier = latent.noise if isinstance(latent, Projection) else None
                parts += [part.flatten(1) for part in earlier or self.noise]
            return torch.cat(parts, 1).float(), begun

    def evaluate(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and pictures of rows."""
        styles, noise = self._parts(row)
        pictures = self.generator.synthesize(
            None, None, w_plus=styles, noise="const" if noise is None else noise
        )
        losses = self.distance(pictures)
        if noise is not None:
            losses = losses + self.noise_weight * noise_correlation(noise)
        return losses, pictures

    def result(
        self, row: Tensor, pictures: Tensor, losses: list[float], begun: Start
    ) -> Projection:
        """The projection of the best row."""
        styles, noise = self._parts(row[:1])
        picture = pictures[:1].clone()
        found = Projection(
            z=None,
            y=self.y,
            loss=min(losses),
            losses=losses,
            reconstruction=picture,
            fit=fit_of(picture, self.target),
            space="w_plus",
            start=begun,
            distance=self.distance.name,
            w_plus=styles.detach().clone(),
        )
        if noise is None:
            return found
        return replace(found, noise=tuple(part.detach().clone() for part in noise))

    def _styles(
        self,
        start: StyleStart,
        seed: int,
        latent: Projection | Tensor | None,
        tick: Tick | None,
    ) -> tuple[Tensor, Start]:
        if latent is not None:
            return self._earlier(latent), "earlier"
        has_encoder = self.generator.encoder is not None
        if start == "encoder" or (start == "auto" and has_encoder):
            z = encoded(self.generator, self.target, self.y)
            return self.styled.styles(z, self.y), "encoder"
        if start == "random":
            z = random_starts(
                self.generator,
                lambda z: self.distance(self.generator.synthesize(z, self._labels(len(z)))),
                count=1,
                seed=seed,
                tick=tick,
            )
            return self.styled.styles(z, self.y), "random"
        if start not in ("auto", "mean"):
            raise ValueError(f'start must be "auto", "mean", "random" or "encoder", got {start!r}.')
        return self.styled.mean_style(self.y), "mean"

    def _labels(self, count: int) -> Tensor | None:
        return None if self.y is None else self.y.expand(count, *self.y.shape[1:])

    def _earlier(self, latent: Projection | Tensor) -> Tensor:
        if isinstance(latent, Projection):
            found = latent.z if latent.w_plus is None else latent.w_plus
        else:
            found = latent
        if found is not None:
            found = found.detach().to(self.target.device).clone()
            if tuple(found.shape) == (1, self.generator.z_dim):
                return self.styled.styles(found, self.y)
            if tuple(found.shape) in ((1, *self.shape), (1, 1, self.shape[1])):
                return found
        shape = None if found is None else tuple(found.shape)
        raise ValueError(f"latent must be (1, {self.shape[0]}, {self.shape[1]}), got {shape}.")

    def _parts(self, row: Tensor) -> tuple[Tensor, list[Tensor] | None]:
        """Styles, and noise maps with mean 0 and variance 1."""
        count = self.shape[0] * self.shape[1]
        styles = row[:, :count].unflatten(1, tuple(self.shape))
        if not self.noise_weight:
            return styles, None
        rest = row[:, count:].split([part.numel() for part in self.noise], 1)
        pairs = zip(rest, self.noise, strict=True)
        return styles, [
            _standardized(part).unflatten(1, tuple(own.shape[1:])) for part, own in pairs
        ]


def noise_correlation(maps: list[Tensor]) -> Tensor:
    """(B,): how much noise maps say about their neighbours, over halved sizes (appendix D).

    Args:
        maps: (B, 1, h, h) each, with mean 0 and variance 1.
    """
    total = maps[0].new_zeros(maps[0].shape[0])
    for part in maps:
        while True:
            for dim in (2, 3):
                product = part * part.roll(1, dim)
                total = total + product.mean((1, 2, 3)).square()
            if part.shape[-1] <= SMALLEST_NOISE:
                break
            part = 2.0 * avg_pool2d(part, 2)  # keeps the variance of white noise
    return total


def _standardized(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-8)
