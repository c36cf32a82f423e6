"""A stage's iteration as one CUDA graph.

The networks are so small that a graphics card waits for launches most of the time; a graph
launches the critic's steps, the generator's and all optimizer steps at once. It is the same
arithmetic in the same order. A graph that cannot be captured, or that does not do what the plain
iteration did, is given up for the rest of the stage.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from intarsia_models.single_image.stage_training import Losses, StageTraining

WARM_UP = 3
"""Iterations before a capture: libraries choose their algorithms, optimizers make their state."""
TOLERANCE = 0.1
"""Mean difference of the weights after the checked iteration, in units of the learning rate.
Kernels may add in another order; a wrong graph is off by about 1."""


class Graph(Protocol):
    """What can be replayed."""

    def replay(self) -> None:
        """Do again what was captured, on the same memory."""


Capture = Callable[[Callable[[], Losses]], tuple[Graph, Losses]]


class GraphedStage:
    """Iterates a `StageTraining`, by a graph where that works."""

    def __init__(
        self,
        training: StageTraining,
        on_notice: Callable[[str], None],
        capture: Capture | None = None,
    ) -> None:
        """Prepare; the first iterations are plain ones.

        Args:
            training: On a CUDA device.
            on_notice: Told in a sentence when the graph is given up.
            capture: How to capture; by default with CUDA.
        """
        self.training = training
        self.on_notice = on_notice
        self.capture = capture or _captured
        self.factor = float("nan")
        self.warm_up = WARM_UP
        self.graph: Graph | None = None
        self.losses: Losses | None = None
        self.inputs: list[Tensor] = []
        self.given_up = False

    def iterate(self, iteration: int, noises: Sequence[Tensor], epsilons: Tensor) -> Losses:
        """As `StageTraining.iterate`; the losses are overwritten by the next iteration."""
        factor = self.training.rate_factor(iteration)
        if factor != self.factor:  # rates are part of a graph
            self.factor, self.warm_up, self.graph = factor, WARM_UP, None
        if self.given_up or self.warm_up > 0:
            self.warm_up -= 1
            return self.training.iterate(iteration, noises, epsilons)
        if self.graph is None:
            return self._captured_and_checked(iteration, noises, epsilons)
        self.training.tick()
        for place, value in zip(self.inputs, [*noises, epsilons], strict=True):
            place.copy_(value)
        self.graph.replay()
        assert self.losses is not None
        return self.losses

    def _captured_and_checked(
        self, iteration: int, noises: Sequence[Tensor], epsilons: Tensor
    ) -> Losses:
        """One plain iteration; then the same one by a fresh graph, and a comparison."""
        training = self.training
        before = [tensor.clone() for tensor in training.state()]
        plain = training.iterate(iteration, noises, epsilons)
        after = [tensor.clone() for tensor in training.state()]
        self._put(before)
        self.inputs = [value.clone() for value in (*noises, epsilons)]
        try:
            self.graph, self.losses = self.capture(
                lambda: training.step(self.inputs[:-1], self.inputs[-1])
            )
            self.graph.replay()
            wrong = None if self._agrees(after) else "it did not repeat the plain iteration"
        except RuntimeError as error:
            wrong = str(error).splitlines()[0]
        if wrong is not None:
            self.graph, self.losses, self.given_up = None, None, True
            training.forget_gradients()
            self.on_notice(
                f"Training goes on without a CUDA graph, which is slower and otherwise the same: "
                f"{wrong}."
            )
        self._put(after)
        return plain

    def _agrees(self, after: list[Tensor]) -> bool:
        rate = self.training.learning_rate * self.factor
        for mine, theirs in zip(self.training.weights(), after, strict=False):
            difference = float((mine - theirs).abs().mean())
            if not difference <= TOLERANCE * rate:
                return False
        return True

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for tensor, value in zip(self.training.state(), values, strict=True):
            tensor.copy_(value)


def _captured(run: Callable[[], Losses]) -> tuple[Graph, Losses]:
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        losses = run()
    return graph, losses
