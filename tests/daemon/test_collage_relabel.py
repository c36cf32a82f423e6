"""Relabel, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly, shown
from small_generators import install_small_generator, small_generator
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_models.families.sngan.networks import SNGANGenerator
from intarsia_models.generators.class_maps import ClassMaps

LEMON, LIME, APPLE, PLUM = range(4)
LEVEL = 1.01 / 255
"""A layer is rounded twice: what it was made from, and itself."""


@pytest.fixture(name="apple", scope="module")
def _apple(home: Path) -> Picture:
    """A layer that the model made, at an odd place."""
    made = run_directly(direct_context(home), "generate", count=1, class_name="apple")
    array = made.layers[0].array
    return Picture(array, 7, -3, "Apple")


@pytest.fixture(name="generator", scope="module")
def _generator() -> SNGANGenerator:
    return small_generator()


def _z(generator: SNGANGenerator) -> Tensor:
    return generator.sample_z(16, 0)[:1]


def _unit(picture: Tensor) -> np.ndarray:
    return ((picture[0].permute(1, 2, 0) + 1) / 2).numpy()


def _hard(*boxes: tuple[int, tuple[int, int, int, int]], base: int = APPLE) -> ClassMaps:
    areas = {}
    for index, (left, top, right, bottom) in boxes:
        area = torch.zeros(1, 1, 32, 32)
        area[..., top:bottom, left:right] = 1
        areas[index] = area
    return ClassMaps.from_areas(areas, base)


def test_a_generated_picture_becomes_exactly_the_other_class(
    context: Context, apple: Picture, generator: SNGANGenerator
) -> None:
    result = run_directly(context, "relabel", {"picture": apple}, class_name="lime")
    expected = generator.synthesize(_z(generator), torch.tensor([LIME]))
    np.testing.assert_allclose(shown(apple, result.layers[0]), _unit(expected), atol=LEVEL)
    assert "project" not in context.seconds
    assert result.metrics["fit"] == 1.0 and result.notes == []


def test_an_area_is_relabelled_as_by_the_spatial_norm_and_the_rest_stays(
    context: Context, apple: Picture, generator: SNGANGenerator
) -> None:
    area = box_area(apple, 8, 4, 24, 20)
    result = run_directly(
        context, "relabel", {"picture": apple, "area": area}, class_name="plum", softness=0.0
    )
    maps = _hard((PLUM, (8, 4, 24, 20)))
    expected = generator.synthesize(_z(generator), torch.tensor([APPLE]), class_weights=maps)
    after = shown(apple, result.layers[0])
    np.testing.assert_allclose(after[4:20, 8:24], _unit(expected)[4:20, 8:24], atol=LEVEL)
    before = apple.array[..., :3] / 255
    outside = np.ones((32, 32), bool)
    outside[4:20, 8:24] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    assert np.abs(after - before)[4:20, 8:24].mean() > 0.02


def test_several_named_areas_are_one_edit(
    context: Context, apple: Picture, generator: SNGANGenerator
) -> None:
    areas = [
        box_area(apple, 0, 0, 16, 16, "blue"),
        box_area(apple, 16, 16, 32, 32, "Green"),
        box_area(apple, 0, 24, 8, 32, "red"),
    ]
    result = run_directly(
        context,
        "relabel",
        {"picture": apple, "areas": areas},
        classes={"Blue": "lemon", "green": "1"},
        softness=0.0,
    )
    maps = _hard((LEMON, (0, 0, 16, 16)), (LIME, (16, 16, 32, 32)))
    expected = generator.synthesize(_z(generator), torch.tensor([APPLE]), class_weights=maps)
    after = shown(apple, result.layers[0])
    for part in (slice(0, 16), slice(16, 32)):
        np.testing.assert_allclose(after[part, part], _unit(expected)[part, part], atol=LEVEL)
    assert result.notes == ["Areas without a class were left alone: red."]


def test_the_selection_limits_named_areas_or_has_its_own_class(
    context: Context, apple: Picture
) -> None:
    areas = [box_area(apple, 0, 0, 16, 32, "blue")]
    selection = box_area(apple, 0, 0, 32, 8)
    limited = run_directly(
        context,
        "relabel",
        {"picture": apple, "area": selection, "areas": areas},
        classes={"blue": "lime"},
        softness=0.0,
    ).layers[0]
    assert (limited.x, limited.y, limited.array.shape) == (7, -3, (8, 16, 4))
    both = run_directly(
        context,
        "relabel",
        {"picture": apple, "area": selection, "areas": areas},
        classes={"blue": "lime"},
        class_name="plum",
        softness=0.0,
    ).layers[0]
    assert both.array.shape == (32, 32, 4)
    assert not both.array[8:, 16:, 3].any() and both.array[:8, 16:, 3].all()


def test_frames_lead_from_the_picture_to_the_edit(context: Context, apple: Picture) -> None:
    area = box_area(apple, 4, 4, 20, 20)
    given = {"picture": apple, "area": area}
    result = run_directly(context, "relabel", given, class_name="lime", amount=0.3, frames=5)
    main, frames = result.layers[0], result.frames
    assert main.amount == 0.3
    assert [frame.amount for frame in frames] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert {frame.frame_of for frame in frames} == {0}
    before = apple.array[..., :3] / 255
    np.testing.assert_array_equal(shown(apple, frames[0]), before)
    changes = [np.abs(shown(apple, frame) - before).mean() for frame in (*frames[:2], main)]
    assert changes[0] < changes[1] < changes[2]
    alone = run_directly(context, "relabel", given, class_name="lime", amount=0.3, frames=0)
    assert alone.frames == [] and alone.layers[0].amount is None
    np.testing.assert_allclose(
        alone.layers[0].array.astype(int), main.array.astype(int), atol=1
    )  # in another batch


def test_a_large_picture_gets_fewer_frames_and_says_so(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.amount_frames.LIMIT_BYTES", 48 * 48 * 4 * 3)
    result = run_directly(
        context, "relabel", {"picture": painting()}, class_name="lime", steps=1, frames=9
    )
    assert [frame.amount for frame in result.frames] == [0.0, 0.5]
    assert "The area is large: the amount has 3 steps to choose from, not 9." in result.notes


@pytest.mark.parametrize(
    ("settings", "layers"),
    [
        ({"layers": "layout"}, ["block2.b1"]),
        (
            {"layers": "not_layout"},
            ["block2.b2", "block3.b1", "block3.b2", "block4.b1", "block4.b2"],
        ),
        ({"layer_names": "block4.b1, block4.b2", "layers": "layout"}, ["block4.b1", "block4.b2"]),
    ],
)
def test_only_the_chosen_layers_change_their_class(
    context: Context, apple: Picture, generator: SNGANGenerator, settings, layers: list[str]
) -> None:
    result = run_directly(context, "relabel", {"picture": apple}, class_name="lemon", **settings)
    ones = ClassMaps.from_areas({LEMON: torch.ones(1, 1, 32, 32)}, APPLE)
    expected = generator.synthesize(
        _z(generator), torch.tensor([APPLE]), class_weights=ones, class_layers=layers
    )
    np.testing.assert_allclose(shown(apple, result.layers[0]), _unit(expected), atol=LEVEL)


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
@pytest.mark.parametrize("edge", ["soft", "poisson"])
def test_a_painting_keeps_its_sample_type_and_everything_outside(
    context: Context, dtype: str, edge: str
) -> None:
    picture = painting(60, 90, x=-5, y=11, dtype=dtype)
    area = box_area(picture, 50, 0, 90, 20)  # at the border
    result = run_directly(
        context,
        "relabel",
        {"picture": picture, "area": area},
        class_name="lime",
        source_class="plum",
        steps=3,
        softness=2.0,
        edge=edge,
    )
    layer = result.layers[0]
    assert layer.array.dtype == picture.array.dtype
    after, full = shown(picture, layer), {"u8": 255, "u16": 65535, "f32": 1}[dtype]
    before = picture.array[..., :3] / full
    np.testing.assert_array_equal(after[26:], before[26:])
    np.testing.assert_array_equal(after[:, :44], before[:, :44])
    assert np.abs(after - before)[:20, 50:].max() > 0.02


def test_a_known_picture_is_not_searched_again(home: Path) -> None:
    picture, given = painting(seed=8), {"class_name": "lime", "steps": 4}
    first, second = direct_context(home), direct_context(home)
    one = run_directly(first, "relabel", {"picture": picture}, **given)
    again = run_directly(second, "relabel", {"picture": picture}, **given)
    assert "project" in first.seconds and "project" not in second.seconds
    np.testing.assert_array_equal(one.layers[0].array, again.layers[0].array)
    assert one.notes == again.notes and one.model == again.model
    more = direct_context(home)
    run_directly(more, "relabel", {"picture": picture}, class_name="lime", steps=5)
    assert "project" in more.seconds


def test_the_same_recipe_gives_the_same_bits_elsewhere(home: Path, tmp_path: Path) -> None:
    install_small_generator(tmp_path)
    picture = painting(seed=9)
    results: list[Outcome] = [
        run_directly(
            direct_context(place, seed=3),
            "relabel",
            {"picture": picture},
            class_name="lime",
            steps=3,
        )
        for place in (home, tmp_path)
    ]
    np.testing.assert_array_equal(results[0].layers[0].array, results[1].layers[0].array)


def test_a_layer_that_an_editor_made_sixteen_bits_is_still_known(
    context: Context, apple: Picture
) -> None:
    wide = Picture(apple.array.astype(np.uint16) * 257, apple.x, apple.y, apple.name)
    result = run_directly(context, "relabel", {"picture": wide}, class_name="lime")
    assert "project" not in context.seconds and result.metrics["fit"] == 1.0


def test_a_generated_layer_on_a_larger_canvas_is_still_known(
    context: Context, apple: Picture
) -> None:
    canvas = np.zeros((80, 100, 4), np.uint8)
    canvas[20:52, 30:62] = apple.array
    result = run_directly(context, "relabel", {"picture": Picture(canvas)}, class_name="lime")
    assert "project" not in context.seconds
    assert (result.layers[0].x, result.layers[0].y) == (30, 20)


# --- what is refused ------------------------------------------------------------------------------


def _empty(picture: Picture) -> Area:
    return Area(np.zeros((8, 8), np.uint8), picture.x, picture.y, "blue")


@pytest.mark.parametrize(
    ("settings", "message", "remedy"),
    [
        ({}, "No class was chosen", "colour label"),
        ({"class_name": "lemom"}, "has no class 'lemom'", "nearest are: lemon"),
        ({"class_name": "zzz"}, "has no class 'zzz'", "lemon, lime, apple, plum"),
        ({"class_name": "4"}, "has no class '4'", "It has"),
        ({"class_name": "l"}, "may mean 2 classes", "lemon, lime"),
        ({"class_name": "lime", "source_class": "pear"}, "has no class 'pear'", ""),
        ({"class_name": "lime", "layer_names": "block9"}, "no layer 'block9'", "block2.b1"),
        ({"class_name": "lime", "space": "w_plus"}, "no styles", "By model"),
        ({"classes": {"purple": "lime"}}, "the area 'purple', which is not there", "none"),
        ({"class_name": "lime", "model": "nothing"}, "no model 'nothing'", "sngan"),
        ({"class_name": "lime", "amount": 2}, "amount must lie in", "0 to 1"),
    ],
)
def test_bad_values_are_refused_with_what_to_do(
    context: Context, apple: Picture, settings, message: str, remedy: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        run_directly(context, "relabel", {"picture": apple}, **settings)
    assert remedy in caught.value.remedy and caught.value.remedy


def test_an_empty_area_is_refused(context: Context, apple: Picture) -> None:
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        run_directly(
            context, "relabel", {"picture": apple, "area": _empty(apple)}, class_name="lime"
        )
    with pytest.raises(InvalidRequest, match="The area 'blue' covers nothing"):
        run_directly(
            context,
            "relabel",
            {"picture": apple, "areas": [_empty(apple)]},
            classes={"blue": "lime"},
        )


def test_a_transparent_or_broken_picture_is_refused(context: Context, apple: Picture) -> None:
    nothing = Picture(np.zeros((32, 32, 4), np.uint8), name="Empty")
    with pytest.raises(InvalidRequest, match="'Empty' has no visible pixels"):
        run_directly(context, "relabel", {"picture": nothing}, class_name="lime")
    broken = painting(dtype="f32")
    broken.array[3, 3, 0] = np.inf
    with pytest.raises(InvalidRequest, match="not numbers"):
        run_directly(context, "relabel", {"picture": broken}, class_name="lime")


def test_without_a_model_the_artist_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No generator model is installed") as caught:
        run_directly(direct_context(tmp_path), "relabel", {"picture": painting()}, class_name="x")
    assert "intarsia models import" in caught.value.remedy


def test_a_model_without_classes_is_refused(tmp_path: Path) -> None:
    model = install_small_generator(tmp_path, classes=False)
    context = direct_context(tmp_path)
    for settings in ({}, {"model": model}):
        with pytest.raises(InvalidRequest, match="mix classes by position"):
            run_directly(context, "relabel", {"picture": painting()}, class_name="lime", **settings)


def test_the_result_can_be_sent_back_and_edited_again(context: Context, apple: Picture) -> None:
    first = run_directly(context, "relabel", {"picture": apple}, class_name="lime")
    again = run_directly(
        context,
        "relabel",
        {"picture": as_picture(first.layers[0])},
        class_name="plum",
        steps=2,
    )
    assert again.layers[0].array.shape == (32, 32, 4)
