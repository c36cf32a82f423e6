"""The training of one stage: which weights learn at which rate, and one iteration."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.single_image import critic, reference_step
from intarsia_models.single_image.networks import ConvBlock, Discriminator, SingleImageGenerator
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.settings import TaskSettings

BETAS = (0.5, 0.999)
LR_DROP = 0.1


@dataclass(frozen=True)
class Losses:
    """Of one iteration; 0-dimensional tensors, so that nothing waits for the device before they
    are read."""

    critic_real: Tensor
    critic_fake: Tensor
    penalty: Tensor
    adversarial: Tensor
    reconstruction: Tensor
    """Weighted mean squared error of the reconstruction."""

    def read(self) -> dict[str, float]:
        """As numbers; waits for the device."""
        names = list(self.__dataclass_fields__)
        values = torch.stack([getattr(self, name).double() for name in names]).tolist()
        return dict(zip(names, values, strict=True))


class StageTraining:
    """Trains the newest stage of a generator, the ones below it slower, and its critic."""

    def __init__(
        self,
        generator: SingleImageGenerator,
        discriminator: Discriminator,
        real: Tensor,
        fixed_noises: Sequence[Tensor],
        sizes: Sequence[Size],
        *,
        iterations: int,
        train_depth: int,
        tick: Callable[[], None],
        rate: float = 1.0,
        arithmetic: torch.dtype | None = None,
        plain: bool = False,
    ) -> None:
        """Prepare the optimizers.

        Args:
            generator: Grown to the stage that is to be trained.
            discriminator: Its critic.
            real: (1, 3, h, w) in [-1, 1], the picture at this stage.
            fixed_noises: Noise of every stage that ``real`` is rebuilt from.
            sizes: Size of every stage.
            iterations: How many there will be (for the drop of the learning rate).
            train_depth: How many of the newest stages learn.
            tick: Called many times per iteration; may wait, or raise to stop.
            rate: Factor of all learning rates.
            arithmetic: What convolutions are computed in; by default in the weights' own type.
                Weights, losses and pictures keep theirs.
            plain: Use automatic differentiation also where the closed form applies, and PyTorch's
                convolutions only.
        """
        self.generator = generator.to(memory_format=torch.channels_last).train()
        generator.arithmetic = arithmetic
        generator.derived_once = not plain
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.real = real.contiguous(memory_format=torch.channels_last)
        self.fixed_noises = list(fixed_noises)
        self.sizes = list(sizes)[: generator.stages]
        self.iterations = iterations
        self.tick = tick
        closed = critic.has_closed_form(discriminator) and not plain
        self.critic_gradients: Callable[..., critic.CriticLosses] = (
            partial(critic.critic_gradients, arithmetic=arithmetic)
            if closed
            else reference_step.critic_gradients
        )
        self.score_gradient: Callable[..., tuple[Tensor, Tensor]] = (
            partial(critic.score_gradient, arithmetic=arithmetic)
            if closed
            else reference_step.score_gradient
        )
        self.first_trained = max(0, generator.stages - train_depth)
        self._frozen_reconstruction: Tensor | None = None
        settings = generator.settings
        self.learning_rate = rate * settings.learning_rate
        self.generator_groups = self._learning_rates(settings, train_depth)
        self.generator_optimizer = _adam(self.generator_groups)
        self.discriminator_optimizer = _adam(
            [(list(discriminator.parameters()), self.learning_rate)]
        )

    def iterate(self, iteration: int, noises: Sequence[Tensor], epsilons: Tensor) -> Losses:
        """One iteration: the critic's steps on one fake, then the generator's.

        Args:
            iteration: Counted from 0 in this stage.
            noises: One draw of the adversarial input of every stage.
            epsilons: (critic_steps,) in [0, 1].

        Source: arXiv:2003.11512, section 3.2; the generator makes several Adam steps with one
        gradient, as in the public code. Deviation: the fake is made once, not once per critic
        step (it is the same one; running statistics of batch norm move once instead of once per
        critic step).
        """
        self._set_learning_rates(iteration)
        with self._hooked():
            return self.step(noises, epsilons)

    def step(self, noises: Sequence[Tensor], epsilons: Tensor) -> Losses:
        """`iterate` at the learning rates that are set; nothing in it waits for the device."""
        settings = self.generator.settings
        fake = self._generated(noises)
        real, weight = self.real, settings.penalty_weight
        losses = None
        for epsilon in epsilons.unbind():
            losses = self.critic_gradients(
                self.discriminator,
                real,
                fake.detach(),
                epsilon,
                penalty_weight=weight,
                tick=self.tick,
            )
            self.discriminator_optimizer.step()
        assert losses is not None
        score, slope = self.score_gradient(self.discriminator, fake.detach(), tick=self.tick)
        error = self._backward(fake, slope, settings)
        for _ in range(settings.generator_steps):
            self.generator_optimizer.step()
        return Losses(losses.real, losses.fake, losses.penalty, -score, error)

    def rate_factor(self, iteration: int) -> float:
        """By which all learning rates are multiplied at an iteration.

        Deviation: the public code never drops them where the fraction of the iterations after which
        it should is not a whole number; here it is rounded.
        """
        first_slow = round(self.generator.settings.lr_drop_at * self.iterations)
        return LR_DROP if iteration >= first_slow else 1.0

    def weights(self) -> list[Tensor]:
        """Weights that learn, as tensors without a history."""
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        return [parameter.detach() for group in groups for parameter in group["params"]]

    def state(self) -> list[Tensor]:
        """All tensors that an iteration changes: the weights first, then running statistics and
        what the optimizers keep; always in the same order once an iteration was made."""
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        kept = [
            optimizer.state[parameter]
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]
        moments = [v for values in kept for v in values.values() if isinstance(v, Tensor)]
        return [*self.weights(), *self.generator.buffers(), *moments]

    def forget_gradients(self) -> None:
        """Let go of the memory that gradients lie in."""
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.discriminator_optimizer.zero_grad(set_to_none=True)

    def reconstruction(self) -> Tensor:
        """(1, 3, h, w): what the generator makes of the fixed noise."""
        if self.first_trained == 0 or self.generator.settings.batch_norm:
            return self._generated(self.fixed_noises)
        if self._frozen_reconstruction is None:
            self._frozen_reconstruction = self._frozen_features(self.fixed_noises)
        return self._finished(self._frozen_reconstruction, self.fixed_noises)

    def forget_frozen(self) -> None:
        """To be called when a noise amplitude has changed."""
        self._frozen_reconstruction = None

    def _backward(self, fake: Tensor, slope: Tensor, settings: TaskSettings) -> Tensor:
        """Gradients of -score + weight * MSE(reconstruction) for the weights that learn."""
        self.generator_optimizer.zero_grad(set_to_none=True)
        rebuilt = self.reconstruction()
        error = settings.reconstruction_weight * F.mse_loss(rebuilt.detach(), self.real)
        difference = (rebuilt.detach() - self.real).mul_(
            2 * settings.reconstruction_weight / rebuilt.numel()
        )
        fake.backward(-slope)
        rebuilt.backward(difference)
        return error

    def _generated(self, noises: Sequence[Tensor]) -> Tensor:
        if self.first_trained == 0:
            return self.generator(noises, self.sizes)
        return self._finished(self._frozen_features(noises), noises)

    @torch.no_grad()
    def _frozen_features(self, noises: Sequence[Tensor]) -> Tensor:
        """Through the head and the stages that no longer learn."""
        features = self.generator.first_features(noises[0])
        for n in range(1, self.first_trained):
            features = self.generator.next_features(features, n, noises[n], self.sizes[n])
        return features

    def _finished(self, features: Tensor, noises: Sequence[Tensor]) -> Tensor:
        for n in range(self.first_trained, self.generator.stages):
            features = self.generator.next_features(features, n, noises[n], self.sizes[n])
        return self.generator.to_image(features)

    def _learning_rates(
        self, settings: TaskSettings, depth: int
    ) -> list[tuple[list[nn.Parameter], float]]:
        generator, newest = self.generator, self.generator.stages - 1
        groups = [
            (list(stage.parameters()), self.learning_rate * settings.lr_scale ** (newest - n))
            for n, stage in enumerate(generator.body)
            if n >= self.first_trained
        ]
        if newest < depth:
            rate = self.learning_rate * settings.lr_scale**newest
            groups.append((list(generator.head.parameters()), rate))
        groups.append((list(generator.tail.parameters()), self.learning_rate))
        learning = {id(parameter) for group, _ in groups for parameter in group}
        for parameter in generator.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        return groups

    def _set_learning_rates(self, iteration: int) -> None:
        factor = self.rate_factor(iteration)
        rates = [rate for _, rate in self.generator_groups]
        for group, rate in zip(self.generator_optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        for group in self.discriminator_optimizer.param_groups:
            group["lr"] = self.learning_rate * factor

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Call tick at every block of the generator, forward and backward."""

        def on_backward(_: Tensor) -> None:
            self.tick()

        def on_forward(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.tick()
            if output.requires_grad:
                output.register_hook(on_backward)

        blocks = [part for part in self.generator.modules() if isinstance(part, ConvBlock)]
        handles = [block.register_forward_hook(on_forward) for block in blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _adam(groups: list[tuple[list[nn.Parameter], float]]) -> torch.optim.Adam:
    kind = groups[0][0][0].device.type
    return torch.optim.Adam(
        [{"params": parameters, "lr": rate} for parameters, rate in groups],
        betas=BETAS,
        fused=kind in ("cpu", "cuda"),
        capturable=kind == "cuda",  # so that a graph can hold its steps
    )
