"""Refining, adapting, mixing and carrying edits over: what must hold for any weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_generators import small_generator, small_regressor
from torch import Tensor

from intarsia_models.errors import ModelsError, UnreadableModel
from intarsia_models.families.sngan.networks import SNGANGenerator
from intarsia_models.latent_composition.adaptation import adapt, from_tensors
from intarsia_models.latent_composition.attributes import shifted, transfer
from intarsia_models.latent_composition.latents import Latent, decode, encode
from intarsia_models.latent_composition.mixing import (
    blended,
    composed,
    context_share,
    latent_blend,
    pixel_blend,
)
from intarsia_models.latent_composition.refinement import Method, best_random, noisy, refine
from intarsia_models.projection import Step, perceptual

SIDE = 32
Y = torch.tensor([1])


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where nobody has put one."""
    monkeypatch.setattr(perceptual, "find_backbone", lambda *_, **__: None)


@pytest.fixture(scope="module")
def generator() -> SNGANGenerator:
    made = small_generator()
    made.attach_regressor(small_regressor(made))
    return made


def pictures(generator: SNGANGenerator, count: int = 1, seed: int = 3) -> Tensor:
    with torch.no_grad():
        y = torch.arange(count) % generator.num_classes
        return generator.synthesize(generator.sample_z(count, seed), y).clamp(-1, 1)


def left_half() -> Tensor:
    area = torch.zeros(1, 1, SIDE, SIDE)
    area[..., : SIDE // 2] = 1
    return area


# --- refining


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
def test_refining_comes_nearer_to_what_is_known(generator: SNGANGenerator, method: Method) -> None:
    x, known = pictures(generator, 1), left_half()
    start = encode(generator, x, known, Y)
    found = refine(generator, x, known, start, method=method, steps=25)
    assert found.best_losses[0] == pytest.approx(min(found.losses))
    assert found.best_losses[0] < 0.8 * found.losses[0]
    before = ((decode(generator, start) - x) * known).abs().mean()
    assert float(((found.picture - x) * known).abs().mean()) < float(before)
    assert torch.allclose(decode(generator, found.latent), found.picture, atol=1e-5)
    assert found.distance == "discriminator"


def test_refining_is_never_worse_than_its_start(generator: SNGANGenerator) -> None:
    x = pictures(generator)
    start = encode(generator, x, None, Y)
    found = refine(generator, x, None, start, steps=8, rate=80.0)
    assert found.losses[-1] > found.losses[0]
    assert found.best_losses[0] <= found.losses[0]
    still = refine(generator, x, None, start, steps=0)
    assert torch.equal(still.latent.values, start.values)


def test_hidden_pixels_do_not_count(generator: SNGANGenerator) -> None:
    x, known = pictures(generator), left_half()
    other = known * x + (1 - known) * torch.rand_like(x)
    start = encode(generator, x, known, Y)
    found = [refine(generator, p, known, start, steps=4).losses for p in (x, other)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_variants_agree_on_what_is_known_rather_than_in_holes(generator: SNGANGenerator) -> None:
    x, known = generator.synthesize(generator.sample_z(1, 3), Y), left_half()
    start = encode(generator, x, known, Y)
    found = refine(generator, x, known, start, steps=80, spread=0.8, seed=range(6), rate=0.1)
    assert found.picture.shape == (6, 3, SIDE, SIDE) and len(found.best_losses) == 6
    assert max(found.best_losses) < 0.5 * found.losses[0]
    for by_place in (found.picture.std(0).mean(0), (found.picture - x).abs().mean((0, 1))):
        inside, outside = by_place[:, : SIDE // 2].mean(), by_place[:, SIDE // 2 :].mean()
        assert float(outside) > 1.2 * float(inside) > 0
    again = refine(generator, x, known, start, steps=80, spread=0.8, seed=2, rate=0.1)
    assert torch.allclose(again.picture[0], found.picture[2], atol=1e-2)


def test_a_batch_of_variants_keeps_the_label(generator: SNGANGenerator) -> None:
    start = Latent(generator.sample_z(1, 0), None, Y)
    variants = noisy(start, 0.5, [1, 2, 3])
    assert variants.batch == 3
    assert decode(generator, variants).shape[0] == 3


def test_a_perfect_start_has_no_loss_left(generator: SNGANGenerator) -> None:
    z = generator.sample_z(1, 5)
    x = generator.synthesize(z, Y)
    found = refine(generator, x, None, Latent(z, None, Y), steps=0)
    assert abs(found.losses[0]) < 1e-5


def test_random_starts_are_no_worse_than_the_first_of_them(generator: SNGANGenerator) -> None:
    x, known = pictures(generator), left_half()
    one = best_random(generator, x, known, Y, count=1, seed=4)
    many = best_random(generator, x, known, Y, count=40, seed=4)
    losses = [refine(generator, x, known, s, steps=0).losses[0] for s in (one, many)]
    assert losses[1] < losses[0]


def test_refining_tells_and_can_be_cancelled(generator: SNGANGenerator) -> None:
    x = pictures(generator)
    start = encode(generator, x, None, Y)
    methods: tuple[Method, ...] = ("adam", "lbfgs")
    for method in methods:
        told: list[Step] = []
        refine(generator, x, None, start, method=method, steps=5, on_step=told.append)
        assert [step.step for step in told] == sorted(step.step for step in told)
        assert told[0].step == 0 and all(step.steps == 5 for step in told)
        assert told[-1].picture().shape == (1, 3, SIDE, SIDE)

        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            refine(generator, x, None, start, method=method, steps=5, tick=stop)


def test_refining_works_inside_inference_mode_and_leaves_the_weights(
    generator: SNGANGenerator,
) -> None:
    x = pictures(generator)
    before = copy.deepcopy(generator.state_dict())
    with torch.inference_mode():
        start = encode(generator, x, None, None)
        found = refine(generator, x, None, start, steps=3)
    assert found.best_losses[0] <= found.losses[0]
    assert all(torch.equal(before[n], t) for n, t in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())


def test_options_that_do_not_fit_are_refused(generator: SNGANGenerator) -> None:
    x = pictures(generator)
    start = encode(generator, x, None, Y)
    wrong: list[dict[str, Any]] = [
        {"method": "sgd"},
        {"steps": -1},
        {"rate": 0.0},
        {"spread": -1.0},
    ]
    for options in wrong:
        with pytest.raises(ValueError):
            refine(generator, x, None, start, **options)
    with pytest.raises(ValueError, match="several seeds only with Adam"):
        refine(generator, x, None, start, method="lbfgs", seed=[1, 2], spread=1.0)


# --- adapting


def test_adapting_comes_nearer_and_leaves_the_original(generator: SNGANGenerator) -> None:
    x = pictures(generator, 1, seed=8)
    before = copy.deepcopy(generator.state_dict())
    told: list[Step] = []
    found = adapt(generator, x, y=Y, steps=30, rate=1e-3, on_step=told.append)
    assert found.after < 0.9 * found.before
    assert len(found.losses) == len(told) == 30
    assert all(torch.equal(before[n], t) for n, t in generator.state_dict().items())
    made = decode(generator, encode(generator, x, None, Y, regressor=found.regressor))
    assert torch.allclose(made, found.after_picture, atol=1e-5)
    own = decode(generator, encode(generator, x, None, Y))
    assert torch.allclose(own, found.before_picture, atol=1e-5)
    norms = [n for n in before if "regressor" in n and "running" in n]
    kept = found.regressor.state_dict()
    assert norms and all(torch.equal(before[n], kept[n.split(".", 1)[1]]) for n in norms)
    assert not any(p.requires_grad for p in found.regressor.parameters())


def test_steps_that_make_it_worse_are_taken_back(generator: SNGANGenerator) -> None:
    found = adapt(generator, pictures(generator), y=Y, steps=3, rate=0.3)
    assert found.after == found.before
    assert generator.regressor is not None
    own = generator.regressor.state_dict()
    assert all(torch.equal(own[n], t) for n, t in found.regressor.state_dict().items())


def test_an_adapted_regressor_survives_storing(generator: SNGANGenerator) -> None:
    x = pictures(generator)
    found = adapt(generator, x, steps=4, rate=1e-3)
    again = from_tensors(generator, found.tensors())
    first, second = (encode(generator, x, regressor=r).values for r in (found.regressor, again))
    assert torch.equal(first, second)
    with pytest.raises(UnreadableModel, match="Adapt it again"):
        from_tensors(generator, {"nothing": torch.zeros(1)})


def test_what_a_picture_shows_is_not_read_by_the_adapted_regressor(
    generator: SNGANGenerator,
) -> None:
    x = pictures(generator, 2)
    spoilt = copy.deepcopy(generator.regressor)
    assert spoilt is not None and spoilt.classes is not None
    with torch.no_grad():
        spoilt.classes.bias.add_(torch.tensor([0.0, 0.0, 0.0, 1e4]))
    own, adapted = encode(generator, x), encode(generator, x, regressor=spoilt)
    assert own.y is not None and adapted.y is not None
    assert torch.equal(adapted.y, own.y) and not torch.equal(own.y, torch.tensor([3, 3]))


def test_adapting_takes_further_distances_and_a_latent(generator: SNGANGenerator) -> None:
    x = pictures(generator)
    near = refine(generator, x, None, encode(generator, x, None, Y), steps=5).latent
    seen: list[tuple[int, ...]] = []

    def identity(made: Tensor, picture: Tensor) -> Tensor:
        seen.append(tuple(made.shape))
        return (made - picture).abs().mean((1, 2, 3))

    adapt(generator, x, y=Y, steps=2, masks=3, near=near, identity=identity)
    assert (3, 3, SIDE, SIDE) in seen


def test_adapting_needs_a_regressor() -> None:
    with pytest.raises(ModelsError, match="no regressor"):
        adapt(small_generator(), torch.zeros(1, 3, SIDE, SIDE))


# --- attributes


def test_examples_that_do_not_differ_change_nothing(generator: SNGANGenerator) -> None:
    x = pictures(generator, 3)
    made = transfer(generator, x[:2], x[2:], x[2:], 1.0, with_class=True)
    plain = decode(generator, encode(generator, x[:2]))
    assert torch.allclose(made, plain, atol=1e-5)


def test_an_edit_carried_over_to_its_own_example_is_the_edit(generator: SNGANGenerator) -> None:
    x = pictures(generator, 2)
    before, after = x[:1], x[1:]
    y = encode(generator, before).y
    made = transfer(generator, before, before, after, [0.0, 1.0], y=y)
    assert torch.allclose(made[:1], decode(generator, encode(generator, before)), atol=1e-5)
    wanted = decode(generator, encode(generator, after, None, y))
    assert torch.allclose(made[1:], wanted, atol=1e-4)


def test_the_class_is_carried_over_where_asked() -> None:
    latent = Latent(torch.zeros(1, 4), None, torch.tensor([2]))
    before = Latent(torch.zeros(1, 4), None, torch.tensor([0]))
    after = Latent(torch.ones(1, 4), None, torch.tensor([1]))
    kept = shifted(latent, before, after, [0.0, 2.0])
    assert kept.y is not None and kept.y.tolist() == [2, 2]
    assert kept.values[1].tolist() == [2.0] * 4
    moved = shifted(latent, before, after, [0.0, 1.0], num_classes=3)
    assert moved.y is not None
    assert moved.y.tolist() == [[0, 0, 1], [0, 0.5, 0.5]]


def test_latents_of_one_length_keep_it() -> None:
    source = torch.Generator().manual_seed(3)
    a, b, c = (Latent(torch.randn(1, 16, generator=source), None, None, True) for _ in range(3))
    moved = shifted(a, b, c, [0.0, 1.0, 3.0])
    assert torch.allclose(moved.values.norm(dim=1), a.values.norm(dim=1).expand(3))
    assert torch.allclose(moved.values[:1], a.values)
    mixed = blended(a, b, torch.tensor([0.0, 0.5, 1.0]))
    between = (a.values.norm() + b.values.norm()) / 2
    assert torch.allclose(mixed.values[1].norm(), between)
    assert torch.allclose(mixed.values[2], a.values[0])
    plain = blended(replace(a, one_length=False), b, torch.tensor([0.5]))
    assert torch.allclose(plain.values, (a.values + b.values) / 2)


# --- mixing


def test_the_ends_of_a_blend_are_the_pictures(generator: SNGANGenerator) -> None:
    x = pictures(generator, 2)
    context, target = x[:1], x[1:]
    ends = [decode(generator, encode(generator, picture)) for picture in (target, context)]
    steps = torch.tensor([0.0, 1.0])
    for blend in (latent_blend, pixel_blend):
        made = blend(generator, context, target, steps)
        assert torch.allclose(made, torch.cat(ends), atol=1e-4)
        between = blend(generator, context, target, 0.5)
        assert float((between - made).abs().mean(1).amax((1, 2)).min()) > 1e-3


def test_composing_nothing_and_everything(generator: SNGANGenerator) -> None:
    x = pictures(generator, 2)
    nothing, everything = torch.zeros(1, 1, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
    for area, end in ((nothing, x[:1]), (everything, x[1:])):
        made = composed(generator, x[:1], x[1:], area)
        assert torch.allclose(made, decode(generator, encode(generator, end)), atol=1e-5)
    assert context_share(nothing) == 1.0 and context_share(left_half()) == 0.5


def test_an_amount_outside_its_range_is_refused(generator: SNGANGenerator) -> None:
    x = pictures(generator, 2)
    with pytest.raises(ValueError, match="alpha lies"):
        latent_blend(generator, x[:1], x[1:], 1.5)
