"""Harmonizing a pasted element, and carrying a change over to a large picture."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.single_image.harmonization import apply_difference, harmonize
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.training import train


def background(height: int, width: int) -> torch.Tensor:
    """Blue stripes: what a model can learn in no time."""
    x = torch.linspace(0, 12, width).sin().expand(1, 1, height, width)
    return torch.cat([0.2 * x - 0.7, 0.2 * x - 0.5, 0.4 * x + 0.5], dim=1).clone()


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.set_num_threads(1)
    settings = task_settings(
        "harmonization",
        min_size=16,
        max_size=32,
        iterations=60,
        channels=8,
        learning_rate=3e-3,
        lr_scale=0.5,
        critic_steps=1,
        mask_radius=2,
    )
    return train(background(48, 64), settings, seed=1)


def composite(height: int = 48, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A red square on the stripes."""
    naive = background(height, width)
    edit_mask = torch.zeros(1, 1, height, width)
    edit_mask[:, :, height // 3 : height // 2, width // 3 : width // 2] = 1
    red = torch.tensor([0.9, -0.8, -0.8]).view(1, 3, 1, 1)
    return torch.where(edit_mask > 0, red, naive), edit_mask


def test_the_element_moves_towards_the_colours_of_the_picture(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    made = harmonize(model, naive, edit_mask, sigma=1.0)
    inside = (edit_mask > 0).expand_as(naive)
    before, after = (
        (picture - background(48, 64))[inside].square().mean() for picture in (naive, made.picture)
    )
    assert after < 0.5 * before


def test_outside_the_area_the_composite_is_untouched(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    naive[:, :, -3:, -3:] = 0.25  # a change of the user's that the model has not seen
    made = harmonize(model, naive, edit_mask, sigma=1.0)
    outside = (made.edit_mask == 0).expand_as(naive)
    assert outside.float().mean() > 0.5
    assert torch.equal(made.picture[outside], naive[outside])
    assert torch.equal(made.picture[:, :, -3:, -3:], naive[:, :, -3:, -3:])


def test_without_reach_and_softness_the_area_is_the_edit_mask(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    done = harmonize(model, naive, 0.5 * edit_mask, radius=0, sigma=0.0, strength=0.8)
    torch.testing.assert_close(done.edit_mask, 0.4 * edit_mask)


def test_strength_scales_the_change(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    none, half, full = (
        harmonize(model, naive, edit_mask, strength=strength).picture for strength in (0, 0.5, 1)
    )
    assert torch.equal(none, naive)
    torch.testing.assert_close(half, (naive + full) / 2)


def test_harmonizing_is_the_same_every_time(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    first, second = (harmonize(model, naive, edit_mask).picture for _ in range(2))
    assert torch.equal(first, second)


def test_an_empty_area_changes_nothing(model: TrainedModel) -> None:
    naive, edit_mask = composite()
    assert torch.equal(harmonize(model, naive, edit_mask * 0).picture, naive)


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (101, 133)])
def test_any_size_of_the_picture_is_kept(model: TrainedModel, size: tuple[int, int]) -> None:
    naive, edit_mask = composite(*size)
    made = harmonize(model, naive, edit_mask)
    assert made.picture.shape == naive.shape
    assert made.edit_mask.shape == edit_mask.shape
    assert made.generated.shape[-2:] == model.sizes[-1]
    assert made.picture.abs().max() <= 1


def test_a_pasted_pixel_is_not_lost_at_the_size_of_the_model(model: TrainedModel) -> None:
    naive, edit_mask = composite(192, 256)
    edit_mask[:] = 0
    edit_mask[0, 0, 100, 130] = 1
    made = harmonize(model, naive, edit_mask)
    assert made.edit_mask[0, 0, 100, 130] > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strength": 1.5}, r"strength must lie in \[0, 1\], got 1.5"),
        ({"edit_mask": torch.zeros(1, 1, 4, 4)}, r"must be \(1, 1, 48, 64\) .* got \(1, 1, 4, 4\)"),
    ],
)
def test_wrong_arguments_are_named(
    model: TrainedModel, changes: dict[str, Any], message: str
) -> None:
    naive, edit_mask = composite()
    arguments: dict[str, Any] = {"naive": naive, "edit_mask": edit_mask}
    with pytest.raises(ValueError, match=message):
        harmonize(model, **{**arguments, **changes})
    with pytest.raises(UnsuitablePicture, match="not numbers"):
        harmonize(model, naive * float("nan"), edit_mask)


def random_picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=source) * 1.6 - 0.8


def test_at_scale_one_the_edited_picture_itself_comes_back() -> None:
    original, edited = random_picture(20, 30), random_picture(20, 30, 1)
    assert torch.equal(apply_difference(original, original, edited), edited)


def test_no_difference_keeps_the_original() -> None:
    original, small = random_picture(80, 60), random_picture(20, 15, 1)
    made = apply_difference(original, small, small)
    torch.testing.assert_close(made, original, atol=1e-6, rtol=0)


def test_a_plain_shift_of_colour_is_carried_over_exactly() -> None:
    original = random_picture(80, 60) * 0.5
    small = F.avg_pool2d(original, 4)
    shift = torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1)
    made = apply_difference(original, small, small + shift)
    torch.testing.assert_close(made, original + shift, atol=1e-5, rtol=0)


def test_a_recolouring_follows_the_edges_of_the_large_picture() -> None:
    """Red becomes blue beside grey: enlarging the difference alone leaves a coloured fringe."""
    original = torch.zeros(1, 3, 64, 64)
    red, blue = (torch.tensor(c).view(1, 3, 1, 1) for c in ([0.8, -0.8, -0.8], [-0.8, -0.8, 0.8]))
    left = torch.arange(64).view(1, 1, 1, 64) < 30  # not at a border of the small pixels
    original, wanted = torch.where(left, red, original), torch.where(left, blue, original)
    small, edited = F.avg_pool2d(original, 4), F.avg_pool2d(wanted, 4)
    made = apply_difference(original, small, edited)
    enlarged = F.interpolate(edited - small, (64, 64), mode="bicubic")
    fringe = (made - wanted).abs().max()
    assert fringe < 0.25 * (original + enlarged - wanted).abs().max()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        apply_difference(random_picture(8, 8), random_picture(4, 4), random_picture(4, 5))
