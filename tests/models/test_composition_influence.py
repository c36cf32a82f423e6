"""What moves with what, on a generator whose parts are known to be independent."""

from __future__ import annotations

import pytest
import torch
from quadrant_generator import SIDE, QuadrantGenerator, quarters
from small_generators import small_generator, small_regressor
from torch import Tensor

from intarsia_models.latent_composition.influence import (
    drawn_donors,
    independence,
    influence_map,
    shares_of,
)
from intarsia_models.latent_composition.latents import decode, encode
from intarsia_models.latent_composition.superpixels import discover_parts, superpixel_labels


@pytest.fixture(scope="module")
def generator() -> QuadrantGenerator:
    return QuadrantGenerator()


@pytest.fixture(scope="module")
def picture(generator: QuadrantGenerator) -> Tensor:
    return generator.synthesize(generator.sample_z(1, 4))


def test_the_synthetic_regressor_finds_the_picture_again(
    generator: QuadrantGenerator, picture: Tensor
) -> None:
    assert torch.allclose(decode(generator, encode(generator, picture)), picture, atol=1e-2)


def test_nothing_replaced_moves_nothing(generator: QuadrantGenerator, picture: Tensor) -> None:
    nothing = torch.zeros(1, 1, SIDE, SIDE)
    assert float(influence_map(generator, picture, nothing).abs().max()) == 0.0
    fruit = small_generator()
    fruit.attach_regressor(small_regressor(fruit))
    x = fruit.synthesize(fruit.sample_z(1, 0), torch.tensor([1])).detach()
    assert float(influence_map(fruit, x, nothing).abs().max()) < 1e-5


def test_an_independent_part_moves_itself_alone(
    generator: QuadrantGenerator, picture: Tensor
) -> None:
    area = quarters()["top right"]
    found = influence_map(generator, picture, area)
    assert found.shape == (1, 1, SIDE, SIDE)
    assert float((found * (1 - area)).max()) == 0.0
    assert float(found[area > 0].min()) > 0.05


def test_the_deviation_is_that_of_the_replacements(
    generator: QuadrantGenerator, picture: Tensor
) -> None:
    area = quarters()["top left"]
    donors = drawn_donors(generator, 23, 6, None)  # more than one batch
    made = decode(generator, encode(generator, picture + area * (donors - picture)))
    wanted = made.var(0, correction=0).sqrt().mean(0)
    found = influence_map(generator, picture, area, donors=donors)[0, 0]
    assert torch.allclose(found, wanted, atol=1e-5)


def test_independent_parts_score_zero_and_leaking_ones_do_not(picture: Tensor) -> None:
    apart = independence(QuadrantGenerator(), picture, quarters())
    leaking = independence(QuadrantGenerator(leak=0.5), picture, quarters())
    assert all(score == 0.0 for score in apart.scores.values())
    assert all(score > 0.05 for score in leaking.scores.values())
    assert leaking.mean_score > apart.mean_score


def test_shares_sum_to_one_wherever_anything_moves(picture: Tensor) -> None:
    found = independence(QuadrantGenerator(leak=0.3), picture, quarters(), replacements=6)
    total = torch.stack(list(found.shares.values())).sum(0)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)
    still = {"a": torch.zeros(1, 1, 4, 4), "b": torch.zeros(1, 1, 4, 4)}
    assert all(float(share.abs().max()) == 0.0 for share in shares_of(still).values())


def test_one_part_alone_cannot_be_compared(generator: QuadrantGenerator, picture: Tensor) -> None:
    with pytest.raises(ValueError, match="two or more"):
        independence(generator, picture, {"all": torch.ones(1, 1, SIDE, SIDE)})
    with pytest.raises(ValueError, match="at least 2"):
        influence_map(generator, picture, torch.ones(1, 1, SIDE, SIDE), replacements=1)


@pytest.mark.parametrize("parts", [None, 4])
def test_superpixels_that_move_together_are_the_parts(
    generator: QuadrantGenerator, picture: Tensor, parts: int | None
) -> None:
    found = discover_parts(generator, picture, count=16, replacements=6, parts=parts)
    assert int(found.superpixels.max()) + 1 > 4
    areas = found.areas()
    assert len(areas) == 4
    for wanted in quarters().values():
        best = max(
            float((area * wanted).sum() / (area + wanted).clamp(max=1).sum()) for area in areas
        )
        assert best > 0.9


def test_superpixels_number_from_zero_and_cover_all() -> None:
    picture = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = superpixel_labels(picture, 20)
    assert labels.shape == (48, 48)
    assert sorted(labels.unique().tolist()) == list(range(int(labels.max()) + 1))
    with pytest.raises(ValueError, match="1 or more"):
        superpixel_labels(picture, 0)
