"""The operations through a real engine: what a front end sends and what it gets back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import engine_environment, running_engine

from intarsia_client.client import Client
from intarsia_client.errors import JobFailed
from intarsia_client.schema import Pixels, Progress, Result, ResultLayer
from intarsia_models.blending import poisson_blend

pytestmark = pytest.mark.timeout(900)  # trainings on a machine that has other things to do

HEIGHT, WIDTH = 40, 52


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    home = Path(environment["INTARSIA_HOME"])
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


def _painting(dtype: str = "u8") -> Pixels:
    """Blue and yellow stripes with grain."""
    noise = np.random.default_rng(1).normal(0, 12, (HEIGHT, WIDTH, 1))
    x = np.arange(WIDTH)[None, :, None]
    wave = 0.5 + 0.5 * np.sin(x / 5 + np.arange(HEIGHT)[:, None, None] / 9)
    rgb = wave * (40, 60, 180) + (1 - wave) * (220, 190, 60) + noise
    full = {"u8": 255, "u16": 65535}[dtype]
    array = np.full((HEIGHT, WIDTH, 4), full, {"u8": np.uint8, "u16": np.uint16}[dtype])
    array[..., :3] = (rgb.clip(0, 255) / 255 * full).round()
    return Pixels("picture", WIDTH, HEIGHT, 4, array.tobytes(), dtype=dtype, name="Stripes")


def _ball(x: int = 20, y: int = 12, name: str = "Ball") -> Pixels:
    """A red disc of 14 pixels with a soft edge."""
    rows, columns = np.mgrid[:14, :14] - 6.5
    distance = np.hypot(rows, columns)
    array = np.zeros((14, 14, 4), np.uint8)
    array[..., 0], array[..., 1] = 230, (120 + 8 * rows).clip(0, 255)
    array[..., 3] = (255 * (7 - distance).clip(0, 1)).round()
    return Pixels("element", 14, 14, 4, array.tobytes(), x=x, y=y, name=name)


def _array(item: Pixels | ResultLayer) -> np.ndarray:
    kind = {"u8": np.uint8, "u16": np.uint16}[item.dtype]
    return np.frombuffer(item.data, kind).reshape(item.height, item.width, item.channels)


def _composite(*items: Pixels | ResultLayer) -> np.ndarray:
    """(H, W, 3) float in [0, 255]: the layers over each other, bottom first."""
    canvas = np.zeros((HEIGHT, WIDTH, 3))
    for item in items:
        array = _array(item).astype(float)
        rows, columns = slice(item.y, item.y + item.height), slice(item.x, item.x + item.width)
        alpha = array[..., 3:] / 255
        canvas[rows, columns] = (1 - alpha) * canvas[rows, columns] + alpha * array[..., :3]
    return canvas


def _run(
    client: Client, operation: str, *inputs: Pixels, seed: int = 0, **settings: object
) -> Result:
    return client.submit(operation, inputs, settings, seed=seed).wait(timeout_s=800)


# --- blend ----------------------------------------------------------------------------------------


def test_blend_over_picture_and_element_shows_the_librarys_solution(client: Client) -> None:
    picture, element = _painting(), _ball()
    tile = _array(element).copy()
    tile[..., 3] = 255  # a square: what lies nearest to each pixel beyond its edge is one pixel
    element = replace(element, data=tile.tobytes())
    layer = _run(client, "blend", picture, element).layers[0]
    shown = _composite(picture, element, layer)

    target, colours = (
        torch.from_numpy(_array(p)[..., :3].astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        for p in (picture, element)
    )
    source, inside = target.clone(), torch.zeros(1, 1, HEIGHT, WIDTH)
    source[..., 11:27, 19:35] = torch.nn.functional.pad(colours, (1, 1, 1, 1), mode="replicate")
    inside[..., 12:26, 20:34] = 1.0
    expected = poisson_blend(source, target, inside).clamp(-1, 1)[0].permute(1, 2, 0)
    np.testing.assert_allclose(shown, (expected.numpy() + 1) * 127.5, atol=1.01)


@pytest.mark.parametrize("method", ["poisson", "feather", "hard"])
def test_blend_changes_nothing_outside_the_element(client: Client, method: str) -> None:
    picture, element = _painting(), _ball()
    layer = _run(client, "blend", picture, element, method=method, feather=3.0).layers[0]
    before, after = _composite(picture, element), _composite(picture, element, layer)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[12:26, 20:34] = _array(element)[..., 3] == 0
    np.testing.assert_array_equal(after[outside], before[outside])
    assert np.abs(after - before)[~outside].max() > 3


def test_blend_with_amount_zero_shows_the_plain_paste(client: Client) -> None:
    picture, element = _painting(), _ball()
    layer = _run(client, "blend", picture, element, amount=0.0).layers[0]
    difference = _composite(picture, element, layer) - _composite(picture, element)
    assert np.abs(difference).max() <= 0.51


def test_an_area_limits_the_element(client: Client) -> None:
    area = Pixels("area", 5, HEIGHT, 1, bytes([255]) * 5 * HEIGHT, x=20)
    layer = _run(client, "blend", _painting(), _ball(), area).layers[0]
    assert layer.x >= 19 and layer.x + layer.width <= 26
    assert not _array(layer)[:, 25 - layer.x :, 3].any()


def test_sixteen_bits_come_back_as_sixteen_bits(client: Client) -> None:
    picture = _painting("u16")
    layer = _run(client, "blend", picture, _ball()).layers[0]
    assert layer.dtype == "u16"
    assert np.unique(_array(layer)[..., 0] % 257).size > 10  # finer than 8 bits


def test_an_element_outside_the_picture_is_a_sentence_not_a_result(client: Client) -> None:
    with pytest.raises(
        JobFailed, match="'Ball' has no visible pixels inside the picture"
    ) as caught:
        _run(client, "blend", _painting(), _ball(x=400))
    assert caught.value.code == "BAD_REQUEST" and caught.value.remedy


# --- harmonize ------------------------------------------------------------------------------------


@pytest.fixture(name="harmonized", scope="module")
def _harmonized(client: Client) -> tuple[Result, list[Progress]]:
    seen: list[Progress] = []
    job = client.submit("harmonize", [_painting(), _ball()], {})
    return job.wait(on_progress=seen.append, timeout_s=800), seen


def test_harmonize_trains_stage_by_stage_with_previews(
    harmonized: tuple[Result, list[Progress]],
) -> None:
    result, seen = harmonized
    stages = [p.stage for p in seen if p.stage.startswith("Training")]
    assert {"Training, stage 1 of 3", "Training, stage 3 of 3"} <= set(stages)
    fractions = [p.fraction for p in seen if p.stage.startswith("Training")]
    assert fractions == sorted(fractions)
    previews = [p.preview for p in seen if p.preview is not None]
    assert previews and max(previews[-1].width, previews[-1].height) <= 256
    assert result.seconds["train"] > 0


def test_harmonize_moves_the_element_towards_the_pictures_colours(
    harmonized: tuple[Result, list[Progress]],
) -> None:
    layer = harmonized[0].layers[0]
    picture, element = _painting(), _ball()
    before, after = (_composite(picture, element, *extra) for extra in ((), (layer,)))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[12:26, 20:34] = _array(element)[..., 3] == 255
    palette = _array(picture)[..., :3].reshape(-1, 3).astype(float)

    def strangeness(colours: np.ndarray) -> float:
        distance = np.linalg.norm(colours[:, None] - palette[None], axis=2)
        return float(distance.min(axis=1).mean())

    assert strangeness(after[inside]) < 0.8 * strangeness(before[inside])


def test_the_next_element_on_the_same_picture_needs_no_training(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    result = _run(client, "harmonize", _painting(), _ball(x=4, y=20, name="Other"))
    assert "train" not in result.seconds
    assert result.recipe["model"] == harmonized[0].recipe["model"]


def test_the_same_recipe_gives_the_same_bits(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    again = _run(client, "harmonize", _painting(), _ball())
    assert bytes(again.layers[0].data) == bytes(harmonized[0].layers[0].data)
    assert again.recipe == harmonized[0].recipe


def test_a_picture_with_something_added_uses_its_model_and_says_so(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    array = _array(_painting()).copy()
    array[:8, :8, :3] = 20
    changed = replace(_painting(), data=array.tobytes())
    result = _run(client, "harmonize", changed, _ball())
    assert "train" not in result.seconds
    assert any("nearly this picture" in note for note in result.notes)


def test_strength_zero_shows_the_plain_paste(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    picture, element = _painting(), _ball()
    layer = _run(client, "harmonize", picture, element, strength=0.0).layers[0]
    difference = _composite(picture, element, layer) - _composite(picture, element)
    assert np.abs(difference).max() <= 0.51


def test_fitting_to_the_element_trains_further_and_is_kept(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    first = _run(client, "harmonize", _painting(), _ball(), fine_tune=True)
    assert first.seconds["fine-tune"] > 0
    assert bytes(first.layers[0].data) != bytes(harmonized[0].layers[0].data)
    again = _run(client, "harmonize", _painting(), _ball(), fine_tune=True)
    assert "fine-tune" not in again.seconds
    assert bytes(again.layers[0].data) == bytes(first.layers[0].data)


def test_the_models_are_listed_and_can_be_removed(
    client: Client, harmonized: tuple[Result, list[Progress]]
) -> None:
    used = harmonized[0].recipe["model"]["id"]
    listed = {card["id"]: card for card in client.models()}
    assert listed[used]["title"] == "Stripes" and listed[used]["task"] == "harmonization"
    own = [card["id"] for card in listed.values() if not card["shipped"]]
    for model in own:
        if model != used:
            client.remove_model(model)
    assert [card["id"] for card in client.models() if not card["shipped"]] == [used]


def test_an_estimate_says_that_it_trains(client: Client) -> None:
    sizes = [
        {"input": "picture", "width": 640, "height": 480, "x": 0, "y": 0},
        {"input": "element", "width": 100, "height": 100, "x": 0, "y": 0},
    ]
    draft = client.estimate("harmonize", {"quality": "draft"}, sizes)
    normal = client.estimate("harmonize", {"quality": "normal"}, sizes)
    assert draft["trains"] and normal["seconds"] > 5 * draft["seconds"] > 0
