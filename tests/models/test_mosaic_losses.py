"""What a mosaic's training makes small, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.testing import assert_close

from intarsia_models.errors import UnreadableModel
from intarsia_models.mosaic.losses import (
    ContentDistance,
    adversarial_loss,
    blurred,
    critic_loss,
    entropy_loss,
    max_loss,
    tint_loss,
    tv_loss,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_entropy_is_summed_over_templates_and_averaged_over_pixels() -> None:
    even = torch.full((2, 4, 3, 5), 0.25)
    assert float(entropy_loss(even)) == pytest.approx(math.log(4), abs=1e-5)
    hard = torch.zeros(2, 4, 3, 5)
    hard[:, 1] = 1.0
    assert float(entropy_loss(hard)) == pytest.approx(0.0, abs=1e-6)
    half = torch.cat([even, hard], -1)
    assert float(entropy_loss(half)) == pytest.approx(math.log(4) / 2, abs=1e-5)


def test_an_entropy_can_be_derived_where_weights_are_zero() -> None:
    weights = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).requires_grad_()
    entropy_loss(weights).backward()
    assert weights.grad is not None and bool(weights.grad.isfinite().all())


def test_the_total_variation_of_a_cut_is_its_length() -> None:
    weights = torch.zeros(1, 2, 4, 6)
    weights[:, 0, :, :3] = 1.0
    weights[:, 1, :, 3:] = 1.0
    # one of five steps in x is 1 in every row of both templates; nothing changes in y
    assert float(tv_loss(weights)) == pytest.approx(1 / 5)
    assert float(tv_loss(weights.transpose(-1, -2))) == pytest.approx(1 / 5)


def test_the_largest_template_counts_by_its_share_of_the_picture() -> None:
    weights = torch.zeros(2, 3, 256, 256)
    weights[0, 0, :64] = 1.0
    weights[0, 1, 64:] = 1.0
    weights[1, 2] = 1.0
    assert float(max_loss(weights)) == pytest.approx((0.75 + 1.0) / 2)
    assert float(max_loss(weights.half())) == pytest.approx(0.875)  # the printed sum overflows


def test_the_adversarial_losses_are_cross_entropies() -> None:
    real, made = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    wanted = -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(made)).mean()
    assert_close(critic_loss(real, made), wanted)
    assert_close(adversarial_loss(made), -torch.log(torch.sigmoid(made)).mean())


def test_the_blur_is_a_gaussian_of_sigma_1() -> None:
    grey = _random(1, 1, 20, 33).double()
    wanted = gaussian_filter(grey[0, 0].numpy(), 1.0, mode="nearest", truncate=30.0)
    assert np.abs(blurred(grey)[0, 0].numpy() - wanted).max() < 1e-6


def test_grey_contents_are_compared_whatever_their_colours() -> None:
    distance = ContentDistance("blurred_grey")
    picture = _random(2, 3, 16, 16)
    assert float(distance(picture[:, [1, 2, 0]], picture)) == pytest.approx(0.0, abs=1e-12)
    assert float(distance(picture * 0 + 0.25, picture * 0 - 0.25)) == pytest.approx(0.25)


def test_average_pooling_ignores_what_is_smaller_than_its_squares() -> None:
    distance = ContentDistance("average_pool")
    board = torch.ones(1, 3, 32, 32)
    board[..., ::2] = -1.0
    assert float(distance(board, torch.zeros_like(board))) == pytest.approx(0.0, abs=1e-12)
    assert float(distance(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))) == pytest.approx(1.0)


def test_a_learned_distance_may_change_the_mosaic_but_not_the_content() -> None:
    distance = ContentDistance("learned")
    made, content = _random(1, 3, 8, 8).requires_grad_(), _random(1, 3, 8, 8, seed=1)
    distance(made, content).backward()
    assert made.grad is not None and float(made.grad.abs().sum()) > 0
    assert distance.colours is not None
    assert_close(distance(made, content), (distance.colours(made) - content).square().mean())


def test_an_unknown_distance_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    with pytest.raises(ValueError, match="phi must be one of"):
        ContentDistance("sharp")  # type: ignore[arg-type]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UnreadableModel, match="save it as"):
        ContentDistance("lpips")


def test_a_tint_is_what_changes_over_wide_areas() -> None:
    collage = _random(1, 3, 32, 48)
    red = torch.tensor([0.3, 0.0, 0.0]).view(1, 3, 1, 1)
    assert float(tint_loss(collage + red, collage, guided=False)) == pytest.approx(0.03, rel=1e-4)
    assert float(tint_loss(collage + 0.3, collage, guided=False)) == pytest.approx(0.09, rel=1e-4)
    # with a content only colour counts: red less its own grey
    assert float(tint_loss(collage + 0.3, collage, guided=True)) == pytest.approx(0.0, abs=1e-9)
    assert float(tint_loss(collage + red, collage, guided=True)) == pytest.approx(0.02, rel=1e-4)
    seams = torch.ones(1, 1, 32, 48)
    seams[..., ::2] = -1.0
    assert float(tint_loss(collage + 0.3 * seams, collage, guided=False)) < 1e-6
