"""Continuing a picture beyond its borders."""

import pytest
import torch

from intarsia_models.single_image.extension import extend
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.training import train


@pytest.fixture(scope="module", params=["generation", "retarget"])
def model(request: pytest.FixtureRequest) -> TrainedModel:
    torch.set_num_threads(1)
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 5, 6, generator=source) * 2 - 1
    picture = torch.nn.functional.interpolate(coarse, (24, 32), mode="bilinear")
    settings = task_settings(
        request.param,
        stages=3,
        min_size=12,
        max_size=32,
        iterations=30,
        channels=8,
        critic_steps=1,
        generator_steps=1,
        learning_rate=4e-3,
    )
    return train(picture, settings)


@pytest.mark.parametrize(("size", "position"), [((24, 64), (0, 0)), ((40, 50), (10, 18))])
def test_the_picture_lies_where_it_was_put(
    model: TrainedModel, size: tuple[int, int], position: tuple[int, int]
) -> None:
    made = extend(model, size, position, seed=1)
    assert made.shape == (1, 3, *size)
    top, left = position
    inner = made[..., top + 4 : top + 20, left + 4 : left + 28]
    rebuilt = model.reconstruct()[..., 4:20, 4:28]
    torch.testing.assert_close(inner, rebuilt, rtol=0, atol=1e-4)


def test_what_is_new_depends_on_the_seed(model: TrainedModel) -> None:
    one, other = (extend(model, (24, 64), (0, 0), seed=seed) for seed in (1, 2))
    assert torch.equal(one, extend(model, (24, 64), (0, 0), seed=1))
    assert (one - other)[..., 40:].abs().mean() > 1e-3
    assert (one - other)[..., :28].abs().max() < 1e-4


def test_the_own_size_gives_the_rebuilt_picture(model: TrainedModel) -> None:
    torch.testing.assert_close(
        extend(model, (24, 32), (0, 0)), model.reconstruct(), rtol=0, atol=1e-4
    )


def test_a_place_outside_is_refused(model: TrainedModel) -> None:
    with pytest.raises(ValueError, match="width is 32 px at the model's size and does not lie wit"):
        extend(model, (24, 40), (0, 9))
