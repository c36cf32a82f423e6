"""Collages, what is made of them in one pass, and the public code's values for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_generators import small_generator, small_regressor
from tests.support import reference_data
from torch import Tensor

from intarsia_models.errors import ModelsError
from intarsia_models.families.sngan.networks import SNGANGenerator
from intarsia_models.generators.loading import load_generator
from intarsia_models.latent_composition.collages import (
    Piece,
    filled,
    paste,
    visible_shares,
)
from intarsia_models.latent_composition.composition import class_maps, compose
from intarsia_models.latent_composition.latents import Latent, decode, encode
from intarsia_models.latent_composition.random_collages import random_pieces
from intarsia_models.latent_composition.saliency import saliency_map, salient_area

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
SIDE = 32


def golden() -> tuple[Path, dict[str, Tensor]]:
    assert REFERENCE is not None
    folder = REFERENCE / "golden/04_proggan_latentcomposition"
    arrays = np.load(folder / "io.npz")
    return folder, {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def generator() -> SNGANGenerator:
    made = small_generator()
    made.attach_regressor(small_regressor(made))
    return made


def flat(*colour: float, alpha: Tensor | None = None) -> Piece:
    colours = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
    return Piece(colours, torch.ones(1, 1, SIDE, SIDE) if alpha is None else alpha)


def left(share: float = 0.5, value: float = 1.0) -> Tensor:
    area = torch.zeros(1, 1, SIDE, SIDE)
    area[..., : round(SIDE * share)] = value
    return area


# --- the public code's values


@NEEDS_REFERENCE
def test_a_collage_and_its_composite_are_the_public_code_s() -> None:
    folder, stored = golden()
    parts, a, b = stored["comp.parts"], stored["comp.maskA"], stored["comp.maskB"]
    pieces = [Piece(parts[:1], a), Piece(parts[1:], b)]
    collage = paste(pieces)
    assert torch.equal(collage.known, stored["comp.mask"])
    torch.testing.assert_close(collage.image * collage.known, stored["comp.image"])
    generator = load_generator(
        folder / "proggan_tiny-d8a89ff1.pth",
        regressor=folder / "pgan_encoder_RGBM_model_final.pth",
    )
    made = compose(generator, pieces)
    encoded = stored["comp.encoded"].flatten(1)
    torch.testing.assert_close(made.latent.z, encoded, atol=1e-4, rtol=0)
    torch.testing.assert_close(made.picture, stored["comp.inverted"], atol=2e-4, rtol=0)
    blind = encode(generator, collage.image * collage.known)
    wanted = stored["comp.encoded_without_mask"].flatten(1)
    torch.testing.assert_close(blind.z, wanted, atol=1e-4, rtol=0)


# --- collages


def test_a_later_piece_hides_an_earlier_one_and_holes_stay() -> None:
    collage = paste([flat(0.5, 0, 0, alpha=left(0.75)), flat(0, 0.5, 0, alpha=left(0.5))])
    row = collage.image[0, :, 0]
    assert row[:, 0].tolist() == [0.0, 0.5, 0.0]
    assert row[:, 20].tolist() == [0.5, 0.0, 0.0]
    assert row[:, -1].tolist() == [0.0, 0.0, 0.0]
    assert collage.known[0, 0, 0].tolist() == [1.0] * 24 + [0.0] * 8


def test_soft_edges_mix_premultiplied_colours() -> None:
    soft = left(1.0, 0.5)
    over = paste([flat(-1, -1, -1), flat(1, 1, 1, alpha=soft)])
    assert float(over.image.abs().max()) < 1e-6 and bool((over.known == 1).all())
    alone = paste([flat(1, 1, 1, alpha=soft)])
    assert bool((alone.image == 1).all()) and bool((alone.known == 0.5).all())
    both = paste([flat(0.4, 0, 0, alpha=soft), flat(0, 0.4, 0, alpha=soft)])
    assert torch.allclose(both.known, torch.full_like(soft, 0.75))
    assert torch.allclose(both.image[0, :, 0, 0] * 0.75, torch.tensor([0.1, 0.2, 0.0]))


def test_what_is_seen_of_the_pieces_sums_to_what_is_known() -> None:
    alphas = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    shares = visible_shares(alphas)
    assert torch.allclose(shares.sum(0), 1 - (1 - alphas).prod(0), atol=1e-6)
    assert torch.equal(shares[-1], alphas[-1])


def test_holes_are_filled_with_the_backmost_piece_or_the_nearest_colour() -> None:
    collage = paste([flat(0.5, 0, 0, alpha=left(0.5)), flat(0, 0.5, 0, alpha=left(0.25))])
    by_mean, nearest = filled(collage, "mean"), filled(collage, "nearest")
    assert torch.allclose(by_mean[0, :, 0, -1], torch.tensor([0.5, 0.0, 0.0]))
    assert torch.equal(nearest[0, :, 0, -1], torch.tensor([0.5, 0.0, 0.0]))
    for result in (by_mean, nearest):
        assert torch.equal(result[..., :16], collage.image[..., :16])


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "at least one piece"),
        ([flat(0, 0, 0, alpha=left(1, 1.5))], r"lie in \[0, 1\]"),
        ([flat(0, 0, 0), Piece(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8))], "Piece 1"),
        ([flat(float("nan"), 0, 0)], "finite"),
        ([flat(0, 0, 0, alpha=torch.ones(1, 1, 8, 8))], "alpha of piece 0"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(pieces: list[Piece], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paste(pieces)


def test_an_empty_collage_cannot_be_filled() -> None:
    with pytest.raises(ValueError, match="no place"):
        filled(paste([flat(1, 0, 0, alpha=left(0))]))


# --- composing


def test_one_pass_each_way_makes_the_composite(generator: SNGANGenerator) -> None:
    pieces = [flat(0.5, 0, 0, alpha=left(0.75)), flat(0, 0.5, 0, alpha=left(0.4))]
    made = compose(generator, pieces)
    again = encode(generator, made.collage.image, made.collage.known)
    assert torch.allclose(made.latent.values, again.values, atol=1e-5)
    assert torch.allclose(made.picture, decode(generator, again), atol=1e-5)
    assert made.picture.shape == (1, 3, SIDE, SIDE)


def test_what_lies_in_holes_does_not_matter(generator: SNGANGenerator) -> None:
    noise = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    x, known = flat(0.5, 0, 0).colours, left()
    a = encode(generator, x, known)
    b = encode(generator, known * x + (1 - known) * noise, known)
    assert torch.allclose(a.values, b.values, atol=1e-6)


def test_every_piece_may_keep_its_own_class(generator: SNGANGenerator) -> None:
    pieces = [flat(0.5, 0, 0, alpha=left(1)), flat(0, 0.5, 0, alpha=left())]
    y = torch.tensor([2])
    one = compose(generator, pieces, y=y)
    both = compose(generator, pieces, y=y, classes="by_piece", piece_classes=(2, 0))
    same = compose(generator, pieces, y=y, classes="by_piece", piece_classes=(2, 2))
    assert torch.allclose(one.picture, same.picture, atol=1e-4)
    assert both.class_weights is not None and set(both.class_weights.classes) == {0, 2}
    change = (both.picture - one.picture).abs().mean((0, 1, 2))
    assert float(change[:8].mean()) > 4 * float(change[-4:].mean())
    read = compose(generator, pieces, classes="by_piece")
    assert read.piece_classes is not None and len(read.piece_classes) == 2


def test_class_maps_follow_what_is_seen() -> None:
    collage = paste([flat(0, 0, 0, alpha=left(0.75)), flat(0, 0, 0, alpha=left(0.5))])
    maps = class_maps(collage, (1, 3), torch.tensor([2]))
    weights = dict(zip(maps.classes, maps.at("", (SIDE, SIDE))[0, :, 0], strict=True))
    assert weights[3].tolist() == [1.0] * 16 + [0.0] * 16
    assert weights[1].tolist() == [0.0] * 16 + [1.0] * 8 + [0.0] * 8
    assert weights[2].tolist() == [0.0] * 24 + [1.0] * 8


def test_without_a_regressor_the_error_says_what_to_do() -> None:
    with pytest.raises(ModelsError, match=r"has no regressor.*Train one"):
        compose(small_generator(), [flat(0, 0, 0)])


def test_a_latent_is_either_z_or_styles() -> None:
    with pytest.raises(ValueError, match="either z or w_plus"):
        Latent(None, None)


def test_pictures_of_another_size_are_refused(generator: SNGANGenerator) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, 32, 32\)"):
        encode(generator, torch.zeros(1, 3, 16, 16))


# --- random collages and saliency


def disk(centre: tuple[float, float], colour: tuple[float, float, float]) -> Tensor:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    inside = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 15**2).float()
    ground = torch.tensor([-0.3, -0.1, 0.2]).view(3, 1, 1) + 0.1 * torch.sin(x / 5)
    subject = torch.tensor(colour).view(3, 1, 1)
    return (ground + inside * (subject - ground))[None].clamp(-1, 1)


@pytest.mark.parametrize("centre", [(32, 32), (24, 40), (12, 32)])
def test_a_subject_before_an_even_ground_is_found(centre: tuple[float, float]) -> None:
    picture = disk(centre, (0.8, 0.3, -0.6))
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wanted = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 15**2)[None, None]
    found = salient_area(picture) > 0.5
    overlap = float((found & wanted).sum()) / float((found | wanted).sum())
    assert overlap > 0.8


def test_a_flat_picture_has_no_subject() -> None:
    picture = torch.full((1, 3, 32, 32), 0.25)
    assert float(saliency_map(picture).max()) == 0.0
    assert float(salient_area(picture).sum()) == 0.0


def test_a_random_collage_is_the_same_every_time() -> None:
    pictures = torch.cat([disk((32, 32), (0.8, 0.3, -0.6)), disk((20, 40), (-0.9, 0.9, 0.1))])
    for parts in ("rectangles", "saliency"):
        first, second = (random_pieces(pictures, 5, parts=parts) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a.colours, b.colours) and torch.equal(a.alpha, b.alpha)
    third = random_pieces(pictures, 6)
    assert not torch.equal(paste(third).known, paste(random_pieces(pictures, 5)).known)


def test_rectangles_leave_holes_more_often_than_not() -> None:
    pictures = torch.zeros(6, 3, 64, 64)
    shares = [float(paste(random_pieces(pictures, i)).known.mean()) for i in range(40)]
    assert 0.6 < sum(shares) / len(shares) < 0.95
    assert sum(share < 0.999 for share in shares) > 30


def test_given_areas_come_in_their_order_from_pictures_that_have_them() -> None:
    pictures = torch.stack([torch.full((3, 32, 32), i / 4) for i in range(4)])
    ground, thing = torch.ones(4, 1, 32, 32), torch.zeros(4, 1, 32, 32)
    thing[2, :, 8:24, 8:24] = 1
    pieces = random_pieces(pictures, 0, parts="areas", areas={"ground": ground, "thing": thing})
    assert torch.equal(pieces[1].colours, pictures[2][None])
    assert float(pieces[1].alpha.sum()) == 256
    with pytest.raises(ValueError, match="No picture shows"):
        random_pieces(pictures, 0, parts="areas", areas={"thing": 0 * thing})


def test_a_collage_needs_two_pictures() -> None:
    with pytest.raises(ValueError, match="two pictures"):
        random_pieces(torch.zeros(1, 3, 32, 32), 0)
