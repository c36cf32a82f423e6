"""Relabelling, transplanting and reusing features, whatever the family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_generator import CLASSES, LEVELS, ToyGenerator

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.transplants import Transplant, shifted


@pytest.fixture(name="toy")
def _toy() -> ToyGenerator:
    return ToyGenerator()


def label(index: int, count: int = 1) -> Tensor:
    return torch.full((count,), index)


def one_hot(index: int, side: int = 32) -> Tensor:
    weights = torch.zeros(1, CLASSES, side, side)
    weights[:, index] = 1.0
    return weights


def left_half(index: int, base: int, side: int = 32) -> Tensor:
    weights = one_hot(base, side)
    weights[:, :, :, : side // 2] = 0.0
    weights[:, index, :, : side // 2] = 1.0
    return weights


def test_a_map_of_the_pictures_own_class_changes_nothing(toy: ToyGenerator) -> None:
    z = toy.sample_z(2, 1)
    assert_close(
        toy.synthesize(z, label(3, 2), class_weights=one_hot(3)), toy.synthesize(z, label(3, 2))
    )


def test_a_map_of_one_other_class_is_that_class(toy: ToyGenerator) -> None:
    z = toy.sample_z(1, 2)
    assert_close(toy.synthesize(z, label(0), class_weights=one_hot(4)), toy.synthesize(z, label(4)))


def test_a_uniform_mixture_is_the_soft_label(toy: ToyGenerator) -> None:
    z, soft = toy.sample_z(1, 3), torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]])
    mixed = soft.view(1, CLASSES, 1, 1).expand(-1, -1, 7, 7)
    assert_close(toy.synthesize(z, label(0), class_weights=mixed), toy.synthesize(z, soft))


def test_layers_that_are_not_chosen_keep_their_class(toy: ToyGenerator) -> None:
    z = toy.sample_z(1, 4)
    trace = toy.trace(z, label(0))
    toy.advanced.clear()
    edited = toy.edit(trace, class_weights=one_hot(2), class_layers=["norm3"])
    assert toy.advanced == [3]
    assert (edited - toy.render(trace)).abs().max() > 0.01
    untouched = toy.edit(trace, class_weights=one_hot(2), class_layers=[])
    assert_close(untouched, toy.render(trace))


@pytest.mark.parametrize("layers", [None, ["norm2", "norm3"], ["norm1"]])
def test_an_edit_from_a_trace_equals_one_from_the_latent(
    toy: ToyGenerator, layers: list[str] | None
) -> None:
    z, weights = toy.sample_z(1, 5), left_half(1, 0)
    graft = Transplant(left_half(1, 0)[:, 1:2], z=toy.sample_z(1, 6), y=label(2))
    for transplants in ((), (graft,)):
        edit = {"class_weights": weights, "class_layers": layers, "transplants": transplants}
        assert_close(toy.edit(toy.trace(z, label(0)), **edit), toy.synthesize(z, label(0), **edit))


def test_only_what_follows_the_first_edited_level_is_computed(toy: ToyGenerator) -> None:
    trace = toy.trace(toy.sample_z(1, 7), label(0))
    toy.advanced.clear()
    list(toy.frames(trace, [0.0, 0.5, 1.0], class_weights=one_hot(1), class_layers=["norm2"]))
    assert toy.advanced == [2, 3]  # once for the whole batch of frames
    toy.advanced.clear()
    toy.render(trace)
    assert toy.advanced == []


def test_frames_go_from_the_picture_to_the_edit(toy: ToyGenerator) -> None:
    z = toy.sample_z(1, 8)
    trace = toy.trace(z, label(0))
    graft = Transplant(torch.full((1, 1, 8, 8), 0.8), z=toy.sample_z(1, 9), y=label(3))
    edit = {"class_weights": left_half(4, 0), "transplants": (graft,)}
    frames = list(toy.frames(trace, [0.0, 0.3, 1.0], batch=2, **edit))
    assert [tuple(frame.shape) for frame in frames] == [(1, 3, 32, 32)] * 3
    assert_close(frames[0], toy.synthesize(z, label(0)))
    assert_close(frames[2], toy.synthesize(z, label(0), **edit))
    half = 0.7 * one_hot(0) + 0.3 * left_half(4, 0)
    weaker = Transplant(torch.full((1, 1, 8, 8), 0.24), z=toy.sample_z(1, 9), y=label(3))
    expected = toy.synthesize(z, label(0), class_weights=half, transplants=(weaker,))
    assert_close(frames[1], expected)


def test_frames_of_a_soft_label_start_at_it(toy: ToyGenerator) -> None:
    z, soft = toy.sample_z(1, 8), torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.0]])
    frames = list(toy.frames(toy.trace(z, soft), [0.0, 1.0], class_weights=one_hot(4)))
    assert_close(frames[0], toy.synthesize(z, soft))
    assert_close(frames[1], toy.synthesize(z, label(4)))


def test_a_cancelled_scrub_stops_between_frames(toy: ToyGenerator) -> None:
    def cancel() -> None:
        raise KeyboardInterrupt

    frames = toy.frames(
        toy.trace(toy.sample_z(1, 1), label(0)), [1.0], class_weights=one_hot(1), tick=cancel
    )
    with pytest.raises(KeyboardInterrupt):
        next(frames)


def test_a_whole_transplant_at_the_last_level_is_the_reference(toy: ToyGenerator) -> None:
    z, other = toy.sample_z(1, 10), toy.sample_z(1, 11)
    graft = Transplant(
        torch.ones(1, 1, 1, 1), z=other, y=label(2), strengths={f"level{LEVELS - 1}": 1.0}
    )
    assert_close(toy.synthesize(z, label(0), transplants=(graft,)), toy.synthesize(other, label(2)))


def test_a_transplant_of_the_picture_itself_changes_nothing(toy: ToyGenerator) -> None:
    z = toy.sample_z(1, 12)
    graft = Transplant(torch.rand(1, 1, 16, 16), z=z)
    weights = left_half(3, 1)
    for maps in (None, weights):
        assert_close(
            toy.synthesize(z, label(1), class_weights=maps, transplants=(graft,)),
            toy.synthesize(z, label(1), class_weights=maps),
            atol=1e-5,
            rtol=0,
        )


def test_a_reference_is_not_blended_itself(toy: ToyGenerator) -> None:
    z, first, second = (toy.sample_z(1, seed) for seed in (13, 14, 15))
    everywhere = torch.ones(1, 1, 1, 1)
    one = Transplant(everywhere, z=first, y=label(1), strengths={"level0": 1.0})
    two = Transplant(everywhere, z=second, y=label(2), strengths={"level3": 1.0})
    assert_close(
        toy.synthesize(z, label(0), transplants=(one, two)), toy.synthesize(second, label(2))
    )


def test_weights_above_one_are_shared(toy: ToyGenerator) -> None:
    z = toy.sample_z(1, 16)
    traces = [toy.trace(toy.sample_z(1, seed), label(0)) for seed in (17, 18)]
    grafts = [
        Transplant(torch.ones(1, 1, 1, 1), trace=trace, strengths={"level3": 1.0})
        for trace in traces
    ]
    mixed = toy.edit(toy.trace(z, label(0)), transplants=grafts)
    halves = (traces[0].states[3][0] + traces[1].states[3][0]) / 2
    assert_close(mixed, toy.finish((halves,), traces[0].codes, None))


def test_a_shift_moves_content_right_and_down() -> None:
    features = torch.zeros(1, 1, 8, 8)
    features[..., 2, 3] = 1.0
    moved = shifted(features, 2, 1)
    assert moved[0, 0, 3, 5] == 1 and moved.sum() == 1
    half = shifted(features, 0.5, 0.0)
    assert_close(half[0, 0, 2], torch.tensor([0, 0, 0, 0.5, 0.5, 0, 0, 0]))


def test_a_shift_is_in_output_pixels_at_every_level(toy: ToyGenerator) -> None:
    z, other = toy.sample_z(1, 19), toy.sample_z(1, 20)
    everywhere = torch.ones(1, 1, 1, 1)
    graft = Transplant(
        everywhere, z=other, y=label(0), strengths={"level2": 1.0}, shift=(8.0, -4.0)
    )
    mixed = toy.synthesize(z, label(0), transplants=(graft,))
    trace = toy.trace(other, label(0))
    state = (shifted(trace.states[2][0], 4, -2),)  # level 2 has half the output's size
    expected = toy.finish(toy.advance(3, state, trace.codes, None), trace.codes, None)
    assert_close(mixed, expected)


def test_areas_leave_the_rest_to_the_base_class() -> None:
    area = torch.zeros(1, 1, 4, 4)
    area[..., :2] = 0.75
    maps = ClassMaps.from_areas({2: area, 4: area}, base=1)
    assert maps.classes == (1, 2, 4)
    weights = maps.at("any", (4, 4))
    assert_close(weights.sum(1), torch.ones(1, 4, 4))
    assert_close(weights[0, :, 0, 0], torch.tensor([0.0, 0.5, 0.5]))
    assert_close(weights[0, :, 0, 3], torch.tensor([1.0, 0.0, 0.0]))


def test_only_used_classes_are_kept() -> None:
    maps = ClassMaps.from_dense(left_half(3, 1))
    assert maps.classes == (1, 3)
    assert maps.at("any", (4, 4)).shape == (1, 2, 4, 4)


def test_maps_of_every_size_sum_to_one() -> None:
    weights = torch.rand(1, CLASSES, 24, 24).softmax(1)
    for resize in ("area", "bilinear", "nearest"):
        maps = ClassMaps.from_dense(weights, resize=resize)
        for side in (3, 4, 8, 16, 24, 48):
            total = maps.at("any", (side, side)).sum(1)
            assert_close(total, torch.ones_like(total))


def _three_classes() -> Tensor:
    return torch.full((1, 3, 4, 4), 1 / 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda toy, z: toy.synthesize(z), "y is needed"),
        (lambda toy, z: toy.synthesize(z, label(9)), "classes from 0 to 4, got"),
        (lambda toy, z: toy.synthesize(z[:, :2], label(0)), "z must be"),
        (lambda toy, z: toy.synthesize(None, label(0), w_plus=z[None]), "has no styles"),
        (lambda toy, z: toy.synthesize(z, label(0), class_weights=_three_classes()), "must be"),
        (lambda toy, z: toy.synthesize(z, label(0), class_weights=one_hot(1) * 0.5), "sum to 1"),
        (lambda toy, z: toy.synthesize(z, label(0), class_weights=one_hot(1) - 0.5), "negative"),
        (
            lambda toy, z: toy.synthesize(
                z, label(0), class_weights=one_hot(1), class_layers=["nrm1"]
            ),
            "no conditional layer 'nrm1'",
        ),
        (
            lambda toy, z: toy.synthesize(
                z,
                label(0),
                transplants=[Transplant(torch.ones(1, 1, 1, 1), z=z, strengths={"x": 1.0})],
            ),
            "no edit point 'x'",
        ),
        (lambda toy, z: Transplant(torch.ones(1, 1, 1, 1)), "one of z"),
        (lambda toy, z: Transplant(torch.ones(1, 1, 1, 1), z=z, strengths=1.5), r"\[0, 1\]"),
        (lambda toy, z: list(toy.frames(toy.trace(z, label(0)), [1.5])), r"\[0, 1\]"),
        (lambda toy, z: toy.sample_z(1, 0, truncation=0.0), "above 0"),
    ],
)
def test_what_does_not_fit_is_said(
    toy: ToyGenerator, call: Callable[[ToyGenerator, Tensor], object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        call(toy, toy.sample_z(1, 0))


def test_a_seed_gives_the_same_latents_and_truncation_bounds_them(toy: ToyGenerator) -> None:
    assert_close(toy.sample_z(4, 7), toy.sample_z(4, 7))
    assert not torch.equal(toy.sample_z(4, 7), toy.sample_z(4, 8))
    assert toy.sample_z(500, 7, truncation=0.5).abs().max() <= 0.5


def test_words_for_layers_cover_every_layer_once(toy: ToyGenerator) -> None:
    names = [name for group in toy.layer_groups().values() for name in group]
    assert names == [norm.name for norm in toy.norm_layers]
    points = toy.point_groups()
    assert points["layout"] == ("level0",) and points["texture"][-1] == "level3"
