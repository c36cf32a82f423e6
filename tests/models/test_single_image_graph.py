"""An iteration as one CUDA graph: what goes in, when it is captured anew, when it is given up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from intarsia_models.single_image import stage_graph
from intarsia_models.single_image.model import build_networks
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.stage_graph import WARM_UP, Graph, GraphedStage
from intarsia_models.single_image.stage_training import Losses, StageTraining
from intarsia_models.single_image.training import SingleImageTrainer

SIZES = [(12, 15), (15, 19), (20, 26)]
ITERATIONS = 12


def training_of(task: str, device: str = "cpu") -> StageTraining:
    settings = task_settings(task, channels=6, stages=3, train_depth=2, learning_rate=1e-3)
    torch.manual_seed(0)
    generator, discriminator = build_networks(settings, 3)
    generator.noise_amplitudes = [1.0, 0.1, 0.1]
    source = torch.Generator().manual_seed(1)
    shapes = generator.noise_shapes(SIZES)
    fixed = [torch.randn(1, *shape, generator=source).to(device) for shape in shapes]
    real = (torch.rand(1, 3, 20, 26, generator=source) * 2 - 1).to(device)
    return StageTraining(
        generator.to(device),
        discriminator.to(device),
        real,
        fixed,
        SIZES,
        iterations=ITERATIONS,
        train_depth=2,
        tick=lambda: None,
    )


def run(
    step: StageTraining | GraphedStage, training: StageTraining
) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    source = torch.Generator().manual_seed(2)
    device, losses = training.real.device, []
    for iteration in range(ITERATIONS):
        shapes = training.generator.noise_shapes(SIZES)
        noises = [torch.randn(1, *shape, generator=source).to(device) for shape in shapes]
        epsilons = torch.rand(3, generator=source).to(device)
        losses.append(step.iterate(iteration, noises, epsilons).read())
    return losses, {key: value.cpu() for key, value in training.generator.state_dict().items()}


@dataclass
class Recorded(Graph):
    """Does on the CPU what a graph does: the same work on the same memory."""

    work: Callable[[], Losses]
    losses: Losses

    def replay(self) -> None:
        fresh = self.work()
        for name in Losses.__dataclass_fields__:
            getattr(self.losses, name).copy_(getattr(fresh, name))


def recording(captures: list[int]) -> stage_graph.Capture:
    def capture(work: Callable[[], Losses]) -> tuple[Graph, Losses]:
        captures.append(1)
        zero = [torch.zeros(()) for _ in Losses.__dataclass_fields__]
        recorded = Recorded(work, Losses(*zero))
        return recorded, recorded.losses

    return capture


def equal(one: Any, other: Any) -> None:
    for mine, theirs in zip(one[0], other[0], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    for key, value in one[1].items():
        torch.testing.assert_close(value, other[1][key], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("task", ["generation", "harmonization"])
def test_replayed_iterations_equal_plain_ones_and_rates_are_captured_anew(task: str) -> None:
    plain, graphed = training_of(task), training_of(task)
    captures: list[int] = []
    expected = run(plain, plain)
    found = run(GraphedStage(graphed, pytest.fail, recording(captures)), graphed)
    equal(found, expected)
    assert round(0.8 * ITERATIONS) + WARM_UP > ITERATIONS - 1  # no capture after the drop
    assert len(captures) == 1


def test_a_graph_that_cannot_be_captured_is_given_up_and_nothing_is_lost() -> None:
    def refuse(work: Callable[[], Losses]) -> tuple[Graph, Losses]:
        work()  # a failing capture may leave anything behind
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    plain, graphed = training_of("generation"), training_of("generation")
    notices: list[str] = []
    equal(run(GraphedStage(graphed, notices.append, refuse), graphed), run(plain, plain))
    assert len(notices) == 1
    assert notices[0].endswith("operation not permitted when stream is capturing.")


def test_a_graph_that_does_something_else_is_given_up() -> None:
    class Idle(Graph):
        def replay(self) -> None:
            """Nothing."""

    def idle(work: Callable[[], Losses]) -> tuple[Graph, Losses]:
        return Idle(), Losses(*[torch.zeros(())] * 5)

    plain, graphed = training_of("generation"), training_of("generation")
    notices: list[str] = []
    equal(run(GraphedStage(graphed, notices.append, idle), graphed), run(plain, plain))
    assert len(notices) == 1 and "did not repeat the plain iteration" in notices[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("task", ["generation", "harmonization"])
def test_a_cuda_graph_equals_plain_iterations(task: str) -> None:
    plain, graphed = training_of(task, "cuda"), training_of(task, "cuda")
    expected = run(plain, plain)
    step = GraphedStage(graphed, pytest.fail)
    found = run(step, graphed)
    assert not step.given_up
    for mine, theirs in zip(found[0], expected[0], strict=True):
        assert mine == pytest.approx(theirs, rel=0.02, abs=2e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_whole_training_on_cuda_uses_graphs_and_tells_nothing() -> None:
    settings = task_settings(
        "generation", stages=3, min_size=12, max_size=26, iterations=12, channels=6
    )
    notices: list[str] = []
    trainer = SingleImageTrainer(torch.rand(1, 3, 20, 26) * 2 - 1, settings, device="cuda")
    model = trainer.run(on_notice=notices.append)
    assert notices == []
    assert torch.isfinite(model.reconstruct()).all()
