"""Looping animations."""

from typing import Any, get_args

import pytest
import torch

from intarsia_models.single_image.animation import LoopingWalk, Strength, animate
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.training import train


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.set_num_threads(1)
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 4, 5, generator=source) * 2 - 1
    picture = torch.nn.functional.interpolate(coarse, (20, 26), mode="bilinear")
    settings = task_settings(
        "animation",
        stages=3,
        min_size=12,
        max_size=26,
        iterations=30,
        channels=5,
        critic_steps=1,
        learning_rate=5e-3,
        lr_scale=0.5,
    )
    return train(picture, settings, seed=2)


def walk(frames: int, inertia: float = 0.9, size: int = 40) -> LoopingWalk:
    return LoopingWalk(torch.zeros(1, 2, size, size), frames, inertia, seed=3, stage=0)


@pytest.mark.parametrize("frames", [2, 7, 60])
def test_a_walk_comes_back_to_where_it_started(frames: int) -> None:
    steps = walk(frames)
    first = [steps.next().clone() for _ in range(frames)]
    second = [steps.next().clone() for _ in range(frames)]
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("inertia", [0.8, 0.9, 0.95])
def test_a_long_walk_strays_as_far_as_the_published_recursion(inertia: float) -> None:
    """Against the recursion as published, run for long from the picture."""
    source = torch.Generator().manual_seed(1)
    fixed = torch.randn(1, 2, 40, 40, generator=source)
    z1, z2, squares = fixed, fixed, []
    for t in range(300):
        n = torch.randn(fixed.shape, generator=source)
        step = z1 + inertia * (z1 - z2) + (1 - inertia) * n
        z1, z2 = 0.1 * fixed + 0.9 * step, z1
        if t > 100:
            squares.append(float((z1 - fixed).square().mean()))
    published = (sum(squares) / len(squares)) ** 0.5
    steps = walk(200, inertia)
    ours = torch.stack([steps.next() for _ in range(200)]).square().mean().sqrt()
    assert float(ours) == pytest.approx(published, rel=0.03)


def test_the_last_frame_is_as_near_to_the_first_as_any_two_neighbours(
    model: TrainedModel,
) -> None:
    frames = list(animate(model, 12))
    assert len(frames) == 12 and all(frame.shape == (1, 3, 20, 26) for frame in frames)
    apart = [float((frames[t] - frames[t - 1]).abs().mean()) for t in range(12)]
    assert 0 < apart[0] < 1.5 * max(apart[1:])


def test_stronger_means_further_from_the_picture(model: TrainedModel) -> None:
    rebuilt = model.reconstruct()
    apart = [
        float(torch.cat([frame - rebuilt for frame in animate(model, 20, strength=s)]).abs().mean())
        for s in get_args(Strength)
    ]
    assert 0 < apart[0] < apart[1] < apart[2]


def test_stages_below_the_start_stand_still(model: TrainedModel) -> None:
    spread = [
        float(torch.cat(list(animate(model, 8, start_stage=start))).std(dim=0).mean())
        for start in range(3)
    ]
    assert spread[0] > spread[1] > spread[2] > 0


def test_a_loop_can_begin_at_the_picture(model: TrainedModel) -> None:
    frames = list(animate(model, 8, begin_at_picture=True))
    torch.testing.assert_close(frames[0], model.reconstruct(), rtol=0, atol=1e-5)
    assert (frames[4] - frames[0]).abs().mean() > 1e-4


def test_the_same_seed_moves_the_same_way_at_any_size(model: TrainedModel) -> None:
    one, other = (torch.cat(list(animate(model, 3, seed=5, size=(24, 40)))) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == (3, 3, 24, 40)
    assert not torch.equal(one, torch.cat(list(animate(model, 3, seed=6, size=(24, 40)))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 1}, "frames must be at least 2, got 1"),
        ({"strength": "wild"}, "strength must be one of weak, medium, strong, got 'wild'"),
        ({"start_stage": -1}, r"start_stage must lie in \[0, 2\], got -1"),
    ],
)
def test_wrong_wishes_are_named(model: TrainedModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        animate(model, **changes)
