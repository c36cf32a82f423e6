"""Generate, interpolate and translate, run directly on a small generator."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly
from small_generators import LABELS, install_small_generator, small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.contact_sheets import CAPTION, GAP, contact_sheet
from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Layer, Picture

LEVEL = 1.01


def _levels(picture: torch.Tensor) -> np.ndarray:
    return ((picture[0].permute(1, 2, 0) + 1) * 127.5).numpy()


# --- generate -------------------------------------------------------------------------------------


def test_pictures_are_the_generators_own(context: Context) -> None:
    layers = run_directly(context, "generate", count=3, class_name="Apple").layers
    generator = small_generator()
    z = generator.sample_z(16, 0)
    assert [layer.name for layer in layers] == ["1 apple", "2 apple", "3 apple"]
    for index, layer in enumerate(layers):
        expected = generator.synthesize(z[index : index + 1], torch.tensor([2]))
        np.testing.assert_allclose(layer.array[..., :3], _levels(expected), atol=0.51)
        assert (layer.array[..., 3] == 255).all()


def test_a_number_is_the_same_picture_however_many_are_made(context: Context) -> None:
    many = run_directly(context, "generate", count=7).layers
    one = run_directly(context, "generate", layout="one", number=6).layers
    assert len(one) == 1 and one[0].name == many[5].name
    np.testing.assert_array_equal(one[0].array, many[5].array)


def test_another_seed_gives_other_pictures_and_classes(home: Path) -> None:
    names = [
        [x.name for x in run_directly(direct_context(home, seed=s), "generate", count=8).layers]
        for s in (1, 2)
    ]
    assert names[0] != names[1]
    assert {name.split()[1] for name in names[0]} <= set(LABELS)


def test_a_sheet_shows_all_and_lies_above_the_single_layers(context: Context) -> None:
    canvas = painting(60, 80, x=10, y=20)
    layers = run_directly(context, "generate", {"picture": canvas}, count=5, layout="both").layers
    assert len(layers) == 6 and layers[-1].name == "Sheet, seed 0"
    assert (layers[-1].x, layers[-1].y) == (10, 20)
    only = run_directly(context, "generate", count=5, layout="grid").layers
    assert len(only) == 1
    np.testing.assert_array_equal(only[0].array, layers[-1].array)


def test_the_canvas_gives_place_and_sample_type(context: Context) -> None:
    canvas = painting(60, 80, x=10, y=20, dtype="u16")
    layer = run_directly(context, "generate", {"picture": canvas}, count=1).layers[0]
    assert (layer.x, layer.y, layer.array.shape) == (10 + 24, 20 + 14, (32, 32, 4))
    assert layer.array.dtype == np.uint16


def test_an_enlarged_picture_is_still_known_by_its_pixels(context: Context) -> None:
    canvas = painting(75, 110)
    layer = run_directly(
        context, "generate", {"picture": canvas}, count=1, size="canvas", class_name="lime"
    ).layers[0]
    assert layer.array.shape == (75, 75, 4)
    result = run_directly(context, "relabel", {"picture": as_picture(layer)}, class_name="plum")
    assert "project" not in context.seconds and result.metrics["fit"] == 1.0


@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_what_colour_conversions_round_away_does_not_matter(context: Context, dtype: str) -> None:
    canvas = painting(60, 80, dtype=dtype)
    layer = run_directly(context, "generate", {"picture": canvas}, count=1).layers[0]
    random, back = np.random.default_rng(2), as_picture(layer)
    noise = random.uniform(-1, 1, (32, 32, 3)) * (40 if dtype == "u16" else 6e-4)
    rgb = back.array[..., :3].astype(np.float64) + noise
    full = 65535 if dtype == "u16" else 1.0
    back.array[..., :3] = rgb.clip(0, full).round() if dtype == "u16" else rgb.clip(0, full)
    run_directly(context, "relabel", {"picture": back}, class_name="lime")
    assert "project" not in context.seconds


def test_without_variety_all_pictures_are_alike(context: Context) -> None:
    layers = run_directly(context, "generate", count=2, class_name="lime", truncation=0.0).layers
    apart = layers[0].array.astype(int) - layers[1].array
    assert np.abs(apart).max() <= 1
    some = run_directly(context, "generate", count=2, class_name="lime", truncation=0.3).layers
    full = run_directly(context, "generate", count=2, class_name="lime").layers

    def unlike(pair: list[Layer]) -> float:
        return float(np.abs(pair[0].array.astype(int) - pair[1].array).mean())

    assert unlike(some) < unlike(full)


def test_a_model_without_classes_generates_too(tmp_path: Path) -> None:
    install_small_generator(tmp_path, classes=False, companions=False)
    context = direct_context(tmp_path)
    layers = run_directly(context, "generate", count=2).layers
    assert [layer.name for layer in layers] == ["1", "2"]
    with pytest.raises(InvalidRequest, match="has no classes, yet the class 'lime'"):
        run_directly(context, "generate", class_name="lime")


# --- interpolate ----------------------------------------------------------------------------------


@pytest.fixture(name="ends", scope="module")
def _ends(home: Path) -> tuple[Picture, Picture]:
    layers = [
        run_directly(direct_context(home), "generate", layout="one", number=n, class_name=c).layers
        for n, c in ((1, "apple"), (2, "lemon"))
    ]
    one, other = (as_picture(found[0]) for found in layers)
    return one, other


@pytest.mark.parametrize("path", ["arc", "straight"])
def test_the_way_begins_and_ends_at_the_given_pictures(
    context: Context, ends: tuple[Picture, Picture], path: str
) -> None:
    given = {"picture": ends[0], "reference": ends[1]}
    layers = run_directly(context, "interpolate", given, count=5, path=path).layers
    assert "project" not in context.seconds
    assert len(layers) == 5
    for layer, end in ((layers[0], ends[0]), (layers[-1], ends[1])):
        np.testing.assert_allclose(layer.array.astype(int), end.array.astype(int), atol=1)
    steps = [np.abs(a.array.astype(int) - b.array).mean() for a, b in itertools.pairwise(layers)]
    whole = np.abs(layers[0].array.astype(int) - layers[-1].array).mean()
    assert min(steps) > 0 and max(steps) < whole


def test_between_two_classes_stand_their_mixtures(
    context: Context, ends: tuple[Picture, Picture]
) -> None:
    given = {"picture": ends[0], "reference": ends[1]}
    middle = run_directly(context, "interpolate", given, count=3, path="straight").layers[1]
    generator = small_generator()
    z = generator.sample_z(16, 0)
    expected = generator.synthesize(
        torch.lerp(z[:1], z[1:2], 0.5), torch.tensor([[0.5, 0.0, 0.5, 0.0]])
    )
    np.testing.assert_allclose(middle.array[..., :3], _levels(expected), atol=0.51)


def test_a_step_on_the_way_is_known_again(context: Context, ends: tuple[Picture, Picture]) -> None:
    given = {"picture": ends[0], "reference": ends[1]}
    middle = run_directly(context, "interpolate", given, count=3).layers[1]
    run_directly(context, "relabel", {"picture": as_picture(middle)}, class_name="lime")
    assert "project" not in context.seconds


def test_one_layer_with_a_slider_has_the_others_as_frames(
    context: Context, ends: tuple[Picture, Picture]
) -> None:
    given = {"picture": ends[0], "reference": ends[1]}
    result = run_directly(context, "interpolate", given, count=3, output="slider", amount=0.25)
    assert [layer.amount for layer in result.layers] == [0.25]
    assert [frame.amount for frame in result.frames] == [0.0, 0.5, 1.0]
    assert len({frame.array.shape for frame in (*result.layers, *result.frames)}) == 1


def test_seeds_can_be_ends_too(context: Context) -> None:
    result = run_directly(
        context, "interpolate", count=2, class_name="lime", other_class="lime", other_seed=5
    )
    first = run_directly(context, "generate", count=1, class_name="lime").layers[0]
    np.testing.assert_array_equal(result.layers[0].array, first.array)
    assert result.layers[0].name == "seed 0 to seed 5, 0%"


# --- translate ------------------------------------------------------------------------------------


def test_a_sheet_holds_every_class_with_its_name(
    context: Context, ends: tuple[Picture, Picture]
) -> None:
    layer = run_directly(context, "translate", {"picture": ends[0]}).layers[0]
    generator = small_generator()
    z = generator.sample_z(16, 0)[:1]
    pictures = [generator.synthesize(z, torch.tensor([index])) for index in range(4)]
    expected = contact_sheet("", pictures, LABELS)
    np.testing.assert_allclose(layer.array.astype(int), expected.array.astype(int), atol=1)
    without = contact_sheet("", pictures, [""] * 4)
    below = slice(GAP + 96, GAP + 96 + CAPTION)
    assert (expected.array[below] != without.array[below]).any()


def test_single_layers_for_the_named_classes(
    context: Context, ends: tuple[Picture, Picture]
) -> None:
    layers = run_directly(
        context, "translate", {"picture": ends[0]}, classes="lime, apple, 1", output="layers"
    ).layers
    assert [layer.name for layer in layers] == ["1 apple as lime", "1 apple as apple"]
    np.testing.assert_array_equal(layers[1].array, ends[0].array)  # its own class: no difference
    assert np.abs(layers[0].array.astype(int) - ends[0].array).mean() > 5


def test_an_area_is_translated_alone(context: Context, ends: tuple[Picture, Picture]) -> None:
    area = box_area(ends[0], 0, 0, 16, 16)
    layer = run_directly(
        context,
        "translate",
        {"picture": ends[0], "area": area},
        classes="lime",
        output="layers",
        softness=0.0,
    ).layers[0]
    assert layer.array.shape == (16, 16, 4)


def test_an_unknown_class_is_refused_and_so_are_too_many_layers(
    context: Context, ends: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="has no class 'pear'"):
        run_directly(context, "translate", {"picture": ends[0]}, classes="lime, pear")
    monkeypatch.setattr("intarsia_daemon.operations.translate.MOST_LAYERS", 3)
    with pytest.raises(InvalidRequest, match="each of 4 classes is too many") as caught:
        run_directly(context, "translate", {"picture": ends[0]}, output="layers")
    assert "contact sheet" in caught.value.remedy


# --- sheets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (16, 4, 4)])
def test_a_sheet_is_as_square_as_it_can_be(count: int, columns: int, rows: int) -> None:
    layer = contact_sheet("Sheet", [torch.zeros(1, 3, 100, 100)] * count, ["name"] * count)
    height = rows * (100 + GAP + CAPTION) + GAP
    assert layer.array.shape == (height, columns * (100 + GAP) + GAP, 4)
    assert (layer.array[..., 3] == 255).all()


def test_long_and_odd_captions_stay_in_their_tile() -> None:
    pictures = [torch.zeros(1, 3, 100, 100)] * 2
    sheet = contact_sheet("", pictures, ["W" * 500, "two\nlines\x00 日本"]).array
    gap = sheet[GAP + 100 : GAP + 100 + CAPTION, GAP + 100 : GAP + 100 + GAP]
    assert (gap == 250).sum() + (gap == 255).sum() == gap.size
