"""Mix, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly
from small_generators import small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Layer, Picture
from intarsia_models.latent_composition.mixing import composed, latent_blend, pixel_blend

REGRESSOR = True
"""See conftest."""
LAYERS = {"output": "layers", "softness": 0.0}


@pytest.fixture(name="fruit", scope="module")
def _fruit(home: Path) -> dict[str, Picture]:
    """An apple and a lime."""
    context = direct_context(home)
    layers = [
        run_directly(context, "generate", layout="one", number=n, class_name=name).layers[0]
        for n, name in ((1, "apple"), (2, "lime"))
    ]
    return {"picture": as_picture(layers[0]), "reference": as_picture(layers[1])}


def _tensor(picture: Picture) -> torch.Tensor:
    unit = torch.from_numpy(picture.array[..., :3].astype(np.float32) / 127.5 - 1)
    return unit.permute(2, 0, 1)[None]


def _assert_shows(layer: Layer, picture: torch.Tensor) -> None:
    levels = (picture[0].clamp(-1, 1).permute(1, 2, 0) + 1) * 127.5
    np.testing.assert_allclose(layer.array[..., :3], levels.numpy(), atol=1.01)


def test_each_way_is_the_models(context: Context, fruit: dict[str, Picture]) -> None:
    area = box_area(fruit["picture"], 0, 0, 32, 16)
    result = run_directly(context, "mix", {**fruit, "area": area}, **LAYERS)
    one, other = (_tensor(item) for item in fruit.values())
    generator = small_generator(regressor=True)
    small = torch.zeros(1, 1, 32, 32)
    small[..., :16, :] = 1
    assert result.metrics["alpha"] == 0.5  # half of the picture lies outside the area
    names = [layer.name for layer in result.layers]
    assert names == [
        f"{way} of 1 apple and 2 lime" for way in ("Composition", "Latent mix", "Pixel mix")
    ]
    _assert_shows(result.layers[0], composed(generator, one, other, small))
    _assert_shows(result.layers[1], latent_blend(generator, one, other, 0.5))
    _assert_shows(result.layers[2], pixel_blend(generator, one, other, 0.5))


@pytest.mark.parametrize(("alpha", "shown"), [(1.0, "picture"), (0.0, "reference")])
def test_the_ends_are_the_models_two_pictures(
    context: Context, fruit: dict[str, Picture], alpha: float, shown: str
) -> None:
    result = run_directly(context, "mix", fruit, alpha=alpha, **LAYERS)
    generator = small_generator(regressor=True)
    assert generator.regressor is not None
    reading = generator.regressor.read(_tensor(fruit[shown]))
    assert reading.class_logits is not None
    expected = generator.synthesize(reading.latent, reading.class_logits.argmax(1))
    assert len(result.layers) == 2  # no area: no composition
    for layer in result.layers:
        _assert_shows(layer, expected)


def test_the_share_can_be_chosen_beside_an_area(
    context: Context, fruit: dict[str, Picture]
) -> None:
    area = box_area(fruit["picture"], 0, 0, 8, 8)
    given = {**fruit, "area": area}
    by_area = run_directly(context, "mix", given, alpha=0.25, **LAYERS)
    chosen = run_directly(context, "mix", given, alpha=0.25, by_area=False, **LAYERS)
    assert by_area.metrics["alpha"] == pytest.approx(1 - 1 / 16)
    assert chosen.metrics["alpha"] == 0.25
    np.testing.assert_array_equal(by_area.layers[0].array, chosen.layers[0].array)
    assert (by_area.layers[1].array != chosen.layers[1].array).any()


def test_a_class_for_all(context: Context, fruit: dict[str, Picture]) -> None:
    result = run_directly(context, "mix", fruit, class_name="plum", **LAYERS)
    one, other = (_tensor(item) for item in fruit.values())
    generator, plum = small_generator(regressor=True), torch.tensor([3])
    _assert_shows(result.layers[0], latent_blend(generator, one, other, 0.5, y=plum))
    assert not any("was taken for" in note for note in result.notes)


def test_a_sheet_shows_both_pictures_and_every_mix(
    context: Context, fruit: dict[str, Picture]
) -> None:
    area = box_area(fruit["picture"], 0, 0, 16, 16)
    [sheet] = run_directly(context, "mix", {**fruit, "area": area}).layers
    expected = contact_sheet("", [torch.zeros(1, 3, 32, 32)] * 7, [""] * 7)
    assert sheet.array.shape == expected.array.shape
    assert sheet.name == "1 apple mixed with 2 lime"
    tile = sheet.array[6:102, 6:102, :3]
    np.testing.assert_allclose(
        tile.mean((0, 1)), fruit["picture"].array[..., :3].mean((0, 1)), atol=2
    )


def test_a_photograph_of_any_size_is_mixed_over_its_own_rectangle(
    context: Context, fruit: dict[str, Picture]
) -> None:
    photograph = painting(50, 80, x=-9, y=4, dtype="f32")
    layers = run_directly(
        context, "mix", {"picture": photograph, "reference": fruit["reference"]}, **LAYERS
    ).layers
    for layer in layers:
        assert (layer.x, layer.y, layer.array.shape) == (-9, 4, (50, 80, 4))
        assert layer.array.dtype == np.float32 and (layer.array[..., 3] == 1).all()


def test_the_same_picture_twice_and_an_empty_area_are_refused(
    context: Context, fruit: dict[str, Picture]
) -> None:
    twin = Picture(fruit["picture"].array.copy(), 70, 0, "Copy")
    with pytest.raises(InvalidRequest, match="are the same") as caught:
        run_directly(context, "mix", {**fruit, "reference": twin})
    assert "another picture" in caught.value.remedy
    beside = box_area(fruit["picture"], 90, 90, 99, 99)
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        run_directly(context, "mix", {**fruit, "area": beside})
