"""A regressor fitted to one picture, so that edits of that picture start from a near copy of it.

Source: Chai et al. 2021, arXiv:2103.10426, appendix A.2.4 ("improving compositions on real
images"), with the values of its public notebook: 30 steps of Adam, step size 5e-5, betas (0.5,
0.999), batch norms fixed, a random known area at every step, squared difference and perceptual
distance at weight 1; a latent to stay near at weight 10.

Deviations: the perceptual distance is the discriminator's, or pixels over scales, where LPIPS has
no backbone; the network sees its known area as it was trained to, which the notebook's does not;
if the steps made the reconstruction worse, the network is returned as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import TrainingDiverged, UnreadableModel
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.known_areas import noise_areas
from intarsia_models.latent_composition.latents import (
    Latent,
    check_area,
    check_picture,
    decode,
    encode,
    regressor_of,
)
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection.descent import HALF_SCALE
from intarsia_models.projection.distances import DiscriminatorDistance
from intarsia_models.projection.perceptual import PerceptualMetric, best_distance
from intarsia_models.projection.projection import OnStep, Step, Tick

STEPS = 30
RATE = 5e-5
BETAS = (0.5, 0.999)
IDENTITY_WEIGHT = 0.1
LATENT_WEIGHT = 10.0
Identity = Callable[[Tensor, Tensor], Tensor]
"""``identity(made, picture) -> (B,)``: any further distance, such as one between faces."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A regressor for one picture."""

    regressor: MaskedRegressor
    """A copy; the generator's own is as it was."""
    losses: list[float]
    """By step, of the random known area of that step."""
    before: float
    """Loss of the reconstruction with everything known, by the generator's own regressor."""
    after: float
    """The same by this one; never more than before."""
    before_picture: Tensor
    """(1, 3, R, R): the reconstructions that these are the losses of."""
    after_picture: Tensor
    distance: str
    """Which perceptual distance was used."""

    def tensors(self, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The network's tensors on the CPU, to be stored."""
        return {
            name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).cpu().contiguous()
            for name, tensor in self.regressor.state_dict().items()
        }


def from_tensors(generator: Generator, tensors: Mapping[str, Tensor]) -> MaskedRegressor:
    """The regressor that `Adapted.tensors` were taken from.

    Args:
        generator: With the regressor that was adapted.
        tensors: By the network's names.

    Raises:
        ModelsError: The generator has no regressor.
        UnreadableModel: They are those of another network.
    """
    network = _copied(regressor_of(generator))
    with torch.inference_mode(False), torch.no_grad():
        try:
            network.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise UnreadableModel(
                f"These tensors are not of this model's regressor: {error}", "Adapt it again."
            ) from error
    return network.requires_grad_(False)


def adapt(
    generator: Generator,
    picture: Tensor,
    *,
    known: Tensor | None = None,
    y: Tensor | None = None,
    steps: int = STEPS,
    rate: float = RATE,
    masks: int = 1,
    seed: int = 0,
    near: Latent | None = None,
    identity: Identity | None = None,
    metric: PerceptualMetric | Literal["auto"] | None = "auto",
    on_step: OnStep | None = None,
    tick: Tick | None = None,
) -> Adapted:
    """Fit a copy of the regressor to a picture.

    Args:
        generator: With a regressor, in eval mode; neither it nor its regressor is changed.
        picture: (1, 3, R, R) in [-1, 1].
        known: (1, 1, R, R) in [0, 1]: where there is a picture; None: everywhere.
        y: (1,) or (1, K): its class; None: as the regressor reads it.
        steps: 30 to 50 suffice.
        rate: Step size.
        masks: Random known areas per step.
        seed: Of those areas.
        near: A latent whose values the network should also find, such as one of
            `refinement.refine`.
        identity: A further distance, at weight 0.1.
        metric: LPIPS; "auto": loaded where a backbone of it lies on this machine; None: not used.
        on_step: Told at every step.
        tick: Called at every step; may raise to cancel.

    Raises:
        ModelsError: There is no regressor.
        TrainingDiverged: A loss is no finite number.
        ValueError: A shape, a range or an option does not fit.
    """
    if steps < 0 or masks < 1 or not rate > 0:
        raise ValueError(
            "steps must be 0 or more, masks 1 or more and rate above 0, "
            f"got {steps}, {masks} and {rate}."
        )
    check_picture(generator, picture)
    if known is not None:
        check_area(known, picture)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller's mode is
        run = _Adaptation(generator, picture, known, y, near, identity, metric)
        return run.run(steps, rate, masks, seed, on_step, tick)


class _Adaptation:
    """One run: the target, the copy, and what is made small."""

    def __init__(
        self,
        generator: Generator,
        picture: Tensor,
        known: Tensor | None,
        y: Tensor | None,
        near: Latent | None,
        identity: Identity | None,
        metric: PerceptualMetric | Literal["auto"] | None,
    ) -> None:
        self.generator, self.identity = generator, identity
        self.network = _copied(regressor_of(generator))
        target = picture.detach().clone(memory_format=torch.channels_last)
        self.known = target.new_ones(1, 1, *target.shape[2:]) if known is None else known.clone()
        self.target = target * self.known
        self.area = self.known.mean().clamp_min(1e-6)
        self.y = None if y is None else y.clone()
        if generator.num_classes and y is None:
            with torch.no_grad():
                self.y = encode(generator, self.target, self.known).y
        self.near = None if near is None else near.values.detach().clone()
        self.distance = best_distance(self.target, generator, 0.0, metric)
        self.offset = 1.0 if isinstance(self.distance, DiscriminatorDistance) else 0.0

    def run(
        self,
        steps: int,
        rate: float,
        masks: int,
        seed: int,
        on_step: OnStep | None,
        tick: Tick | None,
    ) -> Adapted:
        """Adam, then the better of the two networks."""
        network, side = self.network, self.generator.resolution
        before, before_picture = self._whole()
        first = copy.deepcopy(network.state_dict())
        source = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)
        half = self.generator.half_precision and self.target.is_cuda
        scale = HALF_SCALE if half else 1.0
        losses: list[float] = []
        for step in range(steps):
            if tick is not None:
                tick()
            areas = noise_areas(masks, (side, side), source).to(self.target) * self.known
            loss, made = self._loss(areas)
            losses.append(float(loss.detach()))
            if not torch.isfinite(loss):
                raise TrainingDiverged(
                    f"Adapting the regressor failed at step {step}: the loss is {losses[-1]}.",
                    "Take a smaller rate.",
                )
            optimizer.zero_grad(set_to_none=True)
            (loss * scale).backward()
            if scale != 1.0:
                for parameter in network.parameters():
                    if parameter.grad is not None:
                        parameter.grad.div_(scale)
            optimizer.step()
            if on_step is not None:
                shown = made.detach()[:1]
                on_step(Step(step + 1, steps, losses[-1], min(losses), lambda p=shown: p))
        network.requires_grad_(False)
        after, after_picture = self._whole()
        if after > before:
            network.load_state_dict(first)
            after, after_picture = before, before_picture
        return Adapted(
            regressor=network,
            losses=losses,
            before=before,
            after=after,
            before_picture=before_picture,
            after_picture=after_picture,
            distance=self.distance.name,
        )

    @torch.no_grad()
    def _whole(self) -> tuple[float, Tensor]:
        loss, picture = self._loss(self.known)
        return float(loss), picture

    def _loss(self, areas: Tensor) -> tuple[Tensor, Tensor]:
        """The loss over the whole picture, whatever part of it the network sees."""
        count = len(areas)
        label = None if self.y is None else self.y.expand(count, *self.y.shape[1:])
        x = self.target.expand(count, -1, -1, -1)
        latent = encode(self.generator, x, areas, label, regressor=self.network)
        made = decode(self.generator, latent)
        seen = made * self.known
        loss = (seen - self.target).square().mean((1, 2, 3)) / self.area
        loss = loss + self.distance(seen) + self.offset
        if self.near is not None:
            away = F.mse_loss(latent.values, self.near.expand_as(latent.values))
            loss = loss + LATENT_WEIGHT * away
        if self.identity is not None:
            loss = loss + IDENTITY_WEIGHT * self.identity(made, x)
        return loss.mean(), made


@torch.no_grad()
def _copied(network: MaskedRegressor) -> MaskedRegressor:
    """A copy in eval mode with ordinary tensors, whatever mode the first was made in."""
    with torch.inference_mode(False):
        twin = copy.deepcopy(network).eval()
        return twin.requires_grad_(True)
