"""What else moves when a part changes, run directly on a small generator; heat as layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly
from small_generators import small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Cancelled, Context
from intarsia_daemon.heat_layers import STRONGEST, heat_layer, part_colour, parts_layer
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import whole_crop
from intarsia_models.latent_composition.influence import influence_map

REGRESSOR = True
"""See conftest."""
QUICK = {"replacements": 4, "superpixels": 8}


@pytest.fixture(name="apple", scope="module")
def _apple(home: Path) -> Picture:
    result = run_directly(direct_context(home), "generate", count=1, class_name="apple")
    return as_picture(result.layers[0])


def _small(area: tuple[int, int, int, int]) -> torch.Tensor:
    left, top, right, bottom = area
    found = torch.zeros(1, 1, 32, 32)
    found[..., top:bottom, left:right] = 1
    return found


def test_heat_is_the_models_deviation_over_the_picture(context: Context, apple: Picture) -> None:
    area = box_area(apple, 4, 8, 20, 24)
    result = run_directly(context, "influence", {"picture": apple, "area": area}, **QUICK)
    [layer] = result.layers
    assert layer.name == "Influence of selection on 1 apple"
    assert (layer.x, layer.y, layer.array.shape) == (apple.x, apple.y, (32, 32, 4))
    image = torch.from_numpy(apple.array[..., :3].astype(np.float32) / 127.5 - 1)
    generator, box = small_generator(regressor=True), (4, 8, 20, 24)
    moved = influence_map(
        generator,
        image.permute(2, 0, 1)[None],
        _small(box),
        replacements=4,
        y=torch.tensor([2]),
    )
    assert result.metrics["hottest"] == pytest.approx(float(moved.max()), rel=1e-3)
    inside = float(moved[..., 8:24, 4:20].mean())
    assert result.metrics["deviation_inside"] == pytest.approx(inside, rel=1e-3)
    crop = whole_crop(apple, 32)
    expected = heat_layer("", moved / moved.max(), crop, area=_small(box))
    np.testing.assert_allclose(layer.array.astype(int), expected.array.astype(int), atol=2)
    assert "moves" in result.notes[-1] and "%" in result.notes[-1]


def test_the_seed_chooses_the_replacements(home: Path, apple: Picture) -> None:
    area = box_area(apple, 4, 8, 20, 24)
    layers = [
        run_directly(
            direct_context(home, seed=seed), "influence", {"picture": apple, "area": area}, **QUICK
        ).layers[0]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(layers[0].array, layers[1].array)
    assert (layers[0].array != layers[2].array).any()


def test_several_parts_are_compared(context: Context) -> None:
    picture = painting(60, 90, x=11, y=5, dtype="u16")
    areas = [box_area(picture, 0, 0, 30, 60, "red"), box_area(picture, 60, 0, 90, 60, "blue")]
    result = run_directly(context, "influence", {"picture": picture, "areas": areas}, **QUICK)
    assert [layer.name for layer in result.layers] == [
        "Parts of Painting",
        "Influence of red on Painting",
        "Influence of blue on Painting",
    ]
    for layer in result.layers:
        assert (layer.x, layer.y, layer.array.shape) == (11, 5, (60, 90, 4))
        assert layer.array.dtype == np.uint16
    scores = [result.metrics[f"independence {name}"] for name in ("red", "blue")]
    assert result.metrics["independence"] == pytest.approx(np.mean(scores))
    assert all(0 < score < 1 for score in scores)
    assert any(note.startswith("red: 33% of the picture, independence") for note in result.notes)
    only = run_directly(
        context, "influence", {"picture": picture, "areas": areas}, output="heat", **QUICK
    )
    assert len(only.layers) == 2


def test_without_parts_the_picture_is_taken_apart(context: Context) -> None:
    picture = painting(48, 48)
    result = run_directly(
        context, "influence", {"picture": picture}, output="parts", parts=3, **QUICK
    )
    [layer] = result.layers
    count = int(result.metrics["parts"])
    assert 2 <= count <= 3 and layer.name == "Parts of Painting"
    assert sum(note.startswith("part ") for note in result.notes) == count
    shares = [int(note.split("%")[0].split()[-1]) for note in result.notes if "part 1:" in note]
    assert shares[0] >= 100 // 3
    assert (layer.array[..., 3] > 100).mean() > 0.95


def test_an_empty_part_too_many_parts_and_a_dead_model_are_refused(
    context: Context, apple: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = box_area(apple, 100, 100, 120, 120)
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        run_directly(context, "influence", {"picture": apple, "area": beside})
    many = [box_area(apple, 0, 0, 8, 8, f"part {number}") for number in range(17)]
    with pytest.raises(InvalidRequest, match="17 parts are too many"):
        run_directly(context, "influence", {"picture": apple, "areas": many})
    monkeypatch.setattr(
        "intarsia_daemon.operations.influence.influence_map",
        lambda generator, image, area, **more: torch.zeros_like(area),
    )
    with pytest.raises(InvalidRequest, match="Nothing moves") as caught:
        run_directly(
            context, "influence", {"picture": apple, "area": box_area(apple, 0, 0, 9, 9)}, **QUICK
        )
    assert "another model" in caught.value.remedy


def test_it_tells_how_far_it_is_and_can_be_cancelled(home: Path, apple: Picture) -> None:
    context = direct_context(home)
    told: list[str] = []

    def stop(message: object) -> None:
        told.append(getattr(message, "stage", ""))
        context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        run_directly(
            context,
            "influence",
            {"picture": apple, "area": box_area(apple, 4, 8, 20, 24)},
            replacements=50,
        )
    assert told and told[0] == "Replacing the part"


# --- layers ---------------------------------------------------------------------------------------


def test_what_is_cold_is_clear_and_what_is_hot_is_bright() -> None:
    heat = torch.zeros(1, 1, 32, 32)
    heat[..., 16:, :] = 1.0
    layer = heat_layer("Heat", heat, whole_crop(painting(32, 32), 32))
    assert (layer.array[:16, :, 3] == 0).all()
    assert (layer.array[16:, :, 3] == round(255 * STRONGEST)).all()
    assert layer.array[20, 5, :3].mean() > 180


def test_the_part_is_outlined_around_not_inside() -> None:
    area = torch.zeros(1, 1, 32, 32)
    area[..., 8:16, 8:16] = 1
    layer = heat_layer(
        "Heat", torch.zeros(1, 1, 32, 32), whole_crop(painting(32, 32), 32), area=area
    )
    assert tuple(layer.array[7, 10]) == (255, 255, 255, 255)
    assert (layer.array[8:16, 8:16, 3] == 0).all() and layer.array[5, 5, 3] == 0


def test_parts_have_colours_of_their_own() -> None:
    left, right = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    left[..., :16], right[..., 16:] = 1, 1
    layer = parts_layer("Parts", [left, right], whole_crop(painting(32, 32), 32))
    for column, index in ((4, 0), (28, 1)):
        expected = np.array(part_colour(index)) * 255
        np.testing.assert_allclose(layer.array[10, column, :3], expected, atol=1)
    colours = [part_colour(index) for index in range(12)]
    apart = [np.abs(np.subtract(a, b)).sum() for a in colours for b in colours if a != b]
    assert min(apart) > 0.2
