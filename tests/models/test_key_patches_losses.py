"""What models of parts minimise, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from intarsia_models.key_patches.losses import (
    appearance_error,
    appearance_loss,
    critic_loss,
    fakes,
    generator_loss,
    loss_weight,
    reconstruction_loss,
    spatial_entropy,
    spatial_loss,
    whole_loss,
)


def _flat(value: float, count: int = 2) -> Tensor:
    return torch.full((count, 3, 4, 4), value)


def _left(count: int = 2) -> Tensor:
    boxes = torch.zeros(count, 1, 4, 4)
    boxes[..., :2] = 1
    return boxes


def _halves(picture: Tensor) -> tuple[float, float]:
    left, right = picture[..., :2].unique(), picture[..., 2:].unique()
    assert len(left) == len(right) == 1
    return float(left), float(right)


def test_three_fakes_swap_parts_of_real_pictures() -> None:
    made = fakes("composites", _flat(0.1), _flat(0.2), _flat(0.3), _left())
    assert made.weight == 1.0
    found = [_halves(kind) for kind in made.pictures]
    expected = [(0.1, 0.1), (0.3, 0.2), (0.2, 0.3)]
    assert_close(torch.tensor(found), torch.tensor(expected))


def test_five_fakes_also_mix_made_and_real_and_count_a_fifth_each() -> None:
    made = fakes("five_fakes", _flat(0.1), _flat(0.2), _flat(0.3), _left())
    assert made.weight == pytest.approx(0.2)
    found = sorted(_halves(kind) for kind in made.pictures)
    expected = sorted([(0.1, 0.1), (0.1, 0.2), (0.2, 0.1), (0.3, 0.2), (0.2, 0.3)])
    assert_close(torch.tensor(found), torch.tensor(expected))


def test_the_alternative_objective_has_one_fake() -> None:
    made = fakes("plain", _flat(0.1), _flat(0.2), _flat(0.3), _left())
    assert made.weight == 1.0 and len(made.pictures) == 1
    assert torch.equal(made.pictures[0], _flat(0.1))


def test_another_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective must be one of"):
        fakes("four", _flat(0), _flat(0), _flat(0), _left())  # pyright: ignore[reportArgumentType]


def test_the_critics_loss_is_the_cross_entropy_of_every_kind() -> None:
    on_real, on_fakes = torch.tensor([[0.3], [-1.2]]), torch.tensor([[[0.5], [2.0]], [[-3.0], [0]]])

    def entropy(logits: Tensor, label: float) -> Tensor:
        return F.binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, label))

    expected = entropy(on_real, 1) + 0.2 * sum(entropy(kind, 0) for kind in on_fakes)
    assert_close(critic_loss(on_real, on_fakes, 0.2), expected)
    assert_close(generator_loss(on_fakes[0]), entropy(on_fakes[0], 1))


def test_logits_far_from_zero_give_finite_losses() -> None:
    far = torch.tensor([[-500.0]])
    assert float(generator_loss(far)) == 500.0
    assert math.isfinite(float(critic_loss(far, -far[None], 1.0)))


def test_the_spatial_loss_sums_over_pixels_and_pictures() -> None:
    placement, boxes = torch.full((2, 1, 4, 4), 0.25), _left()
    # by hand: per picture 8 pixels off by 0.75 and 8 off by 0.25
    assert float(spatial_loss(placement, boxes)) == pytest.approx(2 * (8 * 0.75 + 8 * 0.25))
    assert_close(spatial_loss(placement[:1], boxes[:1]) * 2, spatial_loss(placement, boxes))


def test_in_doubt_differences_empty_the_placement_and_cross_entropy_keeps_the_probability() -> None:
    """One picture in four has the part there: the median is 0, the probability 1/4."""
    boxes = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(4, 1, 1, 1)
    tried = torch.linspace(0.0, 1.0, 21)
    placements = tried[:, None, None, None, None].expand(-1, 4, 1, 1, 1)
    differences = [float(spatial_loss(placement, boxes)) for placement in placements]
    entropies = [float(spatial_entropy(placement, boxes)) for placement in placements]
    assert float(tried[differences.index(min(differences))]) == 0.0
    assert float(tried[entropies.index(min(entropies))]) == pytest.approx(0.25)


def test_the_spatial_cross_entropy_sums_and_stays_finite() -> None:
    placement, boxes = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), _left()
    expected = F.binary_cross_entropy(placement, boxes, reduction="sum")
    assert_close(spatial_entropy(placement, boxes), expected, rtol=1e-4, atol=0)
    assert math.isfinite(float(spatial_entropy(1 - boxes, boxes)))


def test_the_appearance_loss_takes_the_predicted_place_of_what_is_made() -> None:
    placement = torch.full((1, 1, 4, 4), 0.5)
    made, real, boxes = _flat(0.4, 1), _flat(-0.6, 1), _left(1)
    # by hand: 3 colours, 8 pixels of |0.4 * 0.5 + 0.6| and 8 of |0.4 * 0.5|
    expected = 3 * (8 * 0.8 + 8 * 0.2)
    assert float(appearance_loss(made, placement, real, boxes)) == pytest.approx(expected)
    error = appearance_error(made, placement, real, boxes)
    assert_close(error, torch.tensor([expected / 48]))


def test_a_part_that_moved_with_its_placement_still_differs() -> None:
    """The comparison is made pixel by pixel, not part by part."""
    real = torch.zeros(1, 3, 4, 4)
    real[..., :2] = 1
    boxes = _left(1)
    assert float(appearance_loss(real, boxes, real, boxes)) == 0
    assert float(appearance_loss(real.flip(3), boxes.flip(3), real, boxes)) == 48


def test_the_auto_encoders_loss_is_the_mean_difference() -> None:
    assert float(reconstruction_loss(_flat(0.1), _flat(0.4))) == pytest.approx(0.3)


def test_the_whole_loss_sums_over_all_pixels() -> None:
    assert float(whole_loss(_flat(0.1), _flat(0.4))) == pytest.approx(0.3 * 2 * 3 * 16)


def test_the_weight_falls_evenly_on_a_logarithmic_scale() -> None:
    found = [loss_weight(fraction) for fraction in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([1e-2, 1e-3, 1e-4])
    assert loss_weight(0.25, 4.0, 1.0) == pytest.approx(4**0.75)
    assert loss_weight(1.5) == loss_weight(1.0)
