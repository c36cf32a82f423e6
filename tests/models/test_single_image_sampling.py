"""What painters ask of a trained model: variations, another size, edits, enlargement, paintings."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.single_image.enlarging import enlarge
from intarsia_models.single_image.harmonization import entered, harmonize
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.painting import paint_to_picture, with_palette_of
from intarsia_models.single_image.retouching import retouch
from intarsia_models.single_image.sampling import (
    fixed_noises,
    fresh_noises,
    retarget,
    sizes_for,
    variations,
)
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.training import train

FROM_NOISE = ["generation", "retarget", "animation"]


def stripes(height: int = 24, width: int = 32) -> torch.Tensor:
    """A bright upper half and a dark lower one, with stripes."""
    x = torch.linspace(0, 15, width).sin().expand(1, 1, height, width) * 0.3
    level = torch.where(torch.arange(height) < height // 2, 0.5, -0.5).view(1, 1, height, 1)
    return torch.cat([x + level, 0.5 * x + level, level - 0.3 + 0 * x], dim=1).clamp(-1, 1)


def trained(task: str, picture: torch.Tensor | None = None, **changes: Any) -> TrainedModel:
    torch.set_num_threads(1)
    own = {"stages": 3, "min_size": 12, "max_size": 32, "iterations": 3, "channels": 6}
    settings = task_settings(task, **{**own, **changes})
    return train(stripes() if picture is None else picture, settings, seed=1)


@pytest.fixture(scope="module")
def models() -> dict[str, TrainedModel]:
    return {task: trained(task) for task in (*FROM_NOISE, "harmonization", "editing")}


@pytest.fixture(scope="module")
def learnt() -> TrainedModel:
    """One that can rebuild its picture."""
    changes = {"critic_steps": 1, "generator_steps": 1, "learning_rate": 4e-3, "lr_scale": 0.5}
    return trained("generation", iterations=80, channels=12, **changes)


@pytest.mark.parametrize("task", FROM_NOISE)
@pytest.mark.parametrize("size", [None, (24, 64), (48, 32), (11, 40)])
def test_variations_have_any_size(
    models: dict[str, TrainedModel], task: str, size: tuple[int, int] | None
) -> None:
    made = variations(models[task], 3, size=size, seed=4)
    assert made.shape == (3, 3, *(size or (24, 32)))
    assert made.abs().max() <= 1
    assert not torch.allclose(made[0], made[1])


def test_a_variation_depends_on_its_seed_alone(
    models: dict[str, TrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models["generation"]
    together = variations(model, 4, seed=10)
    monkeypatch.setattr("intarsia_models.single_image.sampling.BATCH_BYTES", 1)
    one_by_one = variations(model, 4, seed=10)
    torch.testing.assert_close(one_by_one, together, rtol=0, atol=1e-5)
    torch.testing.assert_close(variations(model, seed=12)[0], together[2], rtol=0, atol=1e-5)


def test_a_variation_is_what_the_generator_makes_of_the_drawn_noise(
    models: dict[str, TrainedModel],
) -> None:
    model = models["retarget"]
    expected = model.generator.synthesize(fresh_noises(model, model.sizes, 3), model.sizes)
    assert torch.equal(variations(model, seed=3), expected)


def test_stages_below_the_start_keep_the_picture(learnt: TrainedModel) -> None:
    rebuilt = learnt.reconstruct()
    apart = [
        float((variations(learnt, 4, start_stage=start) - rebuilt).abs().mean())
        for start in range(3)
    ]
    assert apart[0] > 2 * apart[1] > 2 * apart[2] > 0


def test_stage_sizes_are_in_proportion_and_rounded_down(models: dict[str, TrainedModel]) -> None:
    model = models["generation"]
    assert model.sizes == [(13, 17), (17, 23), (24, 32)]
    assert sizes_for(model, (48, 32)) == [(26, 17), (34, 23), (48, 32)]
    assert sizes_for(model, (25, 49)) == [(13, 26), (17, 35), (25, 49)]
    assert sizes_for(model, (24, 32)) == model.sizes


@pytest.mark.parametrize("task", FROM_NOISE)
def test_fixed_noise_is_continued_to_other_sizes(
    models: dict[str, TrainedModel], task: str
) -> None:
    model = models[task]
    wide = fixed_noises(model, sizes_for(model, (24, 70)))
    shapes = model.generator.noise_shapes(sizes_for(model, (24, 70)))
    assert [tuple(noise.shape[1:]) for noise in wide] == shapes
    own = model.fixed_noises[2]
    assert torch.equal(wide[2][..., : own.shape[-1]], own)
    assert fixed_noises(model, model.sizes)[1] is model.fixed_noises[1]


def test_retargeting_keeps_the_layout_or_arranges_anew(learnt: TrainedModel) -> None:
    wide = retarget(learnt, (24, 64))
    assert wide.shape == (1, 3, 24, 64)
    stretched = F.interpolate(stripes(), (24, 64), mode="bilinear")
    anew = retarget(learnt, (24, 64), keep_layout=False)
    near, far = ((made - stretched).square().mean() for made in (wide, anew))
    assert near < 0.5 * far
    assert torch.equal(anew, variations(learnt, size=(24, 64)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: variations(m["editing"]), "task generation or retarget or animation, got one"),
        (lambda m: variations(m["generation"], 0), "count must be at least 1, got 0"),
        (lambda m: variations(m["generation"], size=(10, 30)), "at least 11 px a side, got 30 x"),
        (lambda m: variations(m["generation"], start_stage=3), r"must lie in \[0, 2\], got 3"),
        (lambda m: enlarge(m["generation"], 9.0), r"factor must lie in \(1, 8\], got 9.0"),
        (lambda m: paint_to_picture(m["animation"], stripes()), "or editing, got one of the"),
        (lambda m: paint_to_picture(m["editing"], stripes(), colours=-1), "colours must not be"),
        (
            lambda m: retouch(m["animation"], stripes(), torch.zeros(1, 1, 24, 32)),
            "Edits need a model of the task generation or",
        ),
        (
            lambda m: retouch(m["editing"], stripes(), torch.zeros(1, 1, 9, 9)),
            r"edit_mask must be \(1, 1, 24, 32\)",
        ),
    ],
)
def test_wrong_wishes_are_named(models: dict[str, TrainedModel], call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(models)


def test_a_grey_picture_gives_grey_pictures() -> None:
    grey = stripes()[:, :1].expand(-1, 3, -1, -1)
    model = trained("generation", grey)
    assert model.is_grey
    for made in (variations(model, 2), model.reconstruct(), model.apply(stripes()), enlarge(model)):
        assert torch.equal(made[:, 0], made[:, 1]) and torch.equal(made[:, 1], made[:, 2])
    assert not trained("generation", iterations=1).is_grey


# --- edits ----------------------------------------------------------------------------------------


def moved() -> tuple[torch.Tensor, torch.Tensor]:
    """A piece of the upper half copied into the lower one, at twice the model's size."""
    naive = stripes(48, 64)
    edit_mask = torch.zeros(1, 1, 48, 64)
    edit_mask[..., 30:40, 20:36] = 1
    naive[..., 30:40, 20:36] = naive[..., 4:14, 8:24]
    return naive, edit_mask


@pytest.mark.parametrize("task", ["generation", "retarget", "harmonization", "editing"])
def test_retouching_changes_the_area_and_nothing_else(
    models: dict[str, TrainedModel], task: str
) -> None:
    naive, edit_mask = moved()
    done = retouch(models[task], naive, edit_mask)
    outside = (done.edit_mask == 0).expand_as(naive)
    assert done.picture.shape == naive.shape
    assert outside.float().mean() > 0.2
    assert torch.equal(done.picture[outside], naive[outside])
    assert (done.picture - naive)[edit_mask.expand_as(naive) > 0].abs().mean() > 1e-3
    assert torch.equal(retouch(models[task], naive, edit_mask).picture, done.picture)


def test_the_area_grows_in_proportion_to_the_published_twenty_pixels(
    models: dict[str, TrainedModel],
) -> None:
    naive, edit_mask = moved()
    grown = retouch(models["editing"], naive, edit_mask, sigma=0).edit_mask > 0.5
    columns = grown[0, 0].any(0).nonzero()
    assert abs(int(columns.min()) - (20 - 2 * round(20 * 32 / 250))) <= 2  # 3 px at half size
    none = retouch(models["editing"], naive, edit_mask, radius=0, sigma=0).edit_mask
    assert torch.equal(none, edit_mask)


def test_strength_scales_a_retouch(models: dict[str, TrainedModel]) -> None:
    naive, edit_mask = moved()
    none, half, full = (
        retouch(models["editing"], naive, edit_mask, strength=s).picture for s in (0, 0.5, 1)
    )
    assert torch.equal(none, naive)
    torch.testing.assert_close(half, (naive + full) / 2)


def test_a_picture_can_enter_at_every_stage(learnt: TrainedModel) -> None:
    naive = 0.5 * moved()[0]
    made = [entered(learnt, naive, k) for k in range(3)]
    assert torch.equal(made[0], learnt.apply(naive))
    assert not torch.allclose(made[0], made[1]) and not torch.allclose(made[1], made[2])
    assert torch.equal(entered(learnt, naive, 2), made[2])
    fine = torch.tensor([0.3, 0.3, -0.3, -0.3]).repeat(16)  # finer than the coarsest stage sees
    with_detail = naive + fine
    lost, kept = (float((entered(learnt, with_detail, k) - made[k]).abs().mean()) for k in (0, 2))
    assert kept > lost


def test_the_outline_of_an_edit_is_drawn_by_the_model(models: dict[str, TrainedModel]) -> None:
    """Detail of the rough picture is kept, but not the step along its pasted edge."""
    naive, edit_mask = stripes(24, 32), torch.zeros(1, 1, 24, 32)
    edit_mask[..., 8:20, 8:24] = 1
    naive[..., 8:20, 8:24] = 0.9
    whole = {"radius": 40, "sigma": 0.0}
    kept, mended = (
        change(models["editing"], naive, edit_mask, **whole).picture
        for change in (harmonize, retouch)
    )
    rows = slice(12, 16)
    step = [
        float((made[..., rows, 8] - made[..., rows, 7]).abs().mean()) for made in (kept, mended)
    ]
    generated = models["editing"].apply(naive)
    assert step[1] < step[0]
    torch.testing.assert_close(mended[..., rows, 7:9], generated[..., rows, 7:9])


# --- enlargement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [*FROM_NOISE, "harmonization"])
@pytest.mark.parametrize("factor", [1.3, 2.0, 4.0])
def test_an_enlarged_picture_shrinks_to_the_picture(
    models: dict[str, TrainedModel], task: str, factor: float
) -> None:
    model = models[task]
    large = enlarge(model, factor)
    assert large.shape == (1, 3, round(24 * factor), round(32 * factor))
    small = F.interpolate(large, model.real.shape[-2:], mode="bicubic", antialias=True)
    assert (small - model.real).abs().mean() < 0.02


def test_an_unfaithful_enlargement_is_the_models_own(learnt: TrainedModel) -> None:
    large = enlarge(learnt, 2.0, faithful=False)
    small = F.interpolate(large, (24, 32), mode="bicubic", antialias=True)
    assert (small - learnt.reconstruct()).abs().mean() < 0.15
    assert not torch.allclose(large, enlarge(learnt, 2.0))


# --- paintings ------------------------------------------------------------------------------------


def painting() -> torch.Tensor:
    """Dark above, bright below: the training picture upside down, in other colours."""
    return torch.cat([torch.full((1, 3, 16, 40), -0.9), torch.full((1, 3, 16, 40), 0.95)], dim=2)


def test_a_painting_decides_the_layout(learnt: TrainedModel) -> None:
    made = paint_to_picture(learnt, painting(), seed=1)
    assert made.shape == (1, 3, 25, 31)  # 24 x 32 px of area at 4 : 5
    upside_down = paint_to_picture(learnt, painting().flip(2), seed=1)
    brighter_below = [
        float(each[:, :, -10:].mean() - each[:, :, :10].mean()) for each in (made, upside_down)
    ]
    assert brighter_below[0] > brighter_below[1] + 0.3
    assert paint_to_picture(learnt, painting(), size=(20, 20), start_stage=1).shape[-2:] == (20, 20)


def test_a_palette_is_that_of_the_picture() -> None:
    found = with_palette_of(painting(), stripes(), 2)
    levels = found[0, :, (4, 28), 20]
    upper, lower = stripes()[:, :, :12].mean((0, 2, 3)), stripes()[:, :, 12:].mean((0, 2, 3))
    torch.testing.assert_close(levels, torch.stack([lower, upper], dim=1), rtol=0, atol=0.05)


def test_a_palette_of_more_colours_than_there_are_is_that_of_the_picture() -> None:
    plain = torch.zeros(1, 3, 8, 8)
    assert torch.equal(with_palette_of(painting(), plain, 8), torch.zeros_like(painting()))


def test_a_painting_that_is_no_picture_is_refused(models: dict[str, TrainedModel]) -> None:
    with pytest.raises(UnsuitablePicture, match=r"must be \(1, 3, height, width\)"):
        paint_to_picture(models["generation"], painting()[0])
