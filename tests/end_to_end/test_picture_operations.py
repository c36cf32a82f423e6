"""What is done with a model of one picture, through a real engine with short trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from operation_runs import painting
from PIL import Image
from tests.support import TEST_OPERATIONS, engine_environment, running_engine

from intarsia_client.client import Client
from intarsia_client.errors import JobFailed
from intarsia_client.schema import Pixels, Progress, Result, ResultLayer

pytestmark = pytest.mark.timeout(600)  # on a machine that has other things to do

HEIGHT, WIDTH = 36, 48


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    environment["INTARSIA_EXTRA_OPERATIONS"] = f"{TEST_OPERATIONS},short_picture_trainings_engine"
    home = Path(environment["INTARSIA_HOME"])
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


def _painting(name: str = "picture") -> Pixels:
    array = painting(HEIGHT, WIDTH).array
    return Pixels(name, WIDTH, HEIGHT, 4, array.tobytes(), name="Painting")


def _clone() -> Pixels:
    piece = np.ascontiguousarray(painting(HEIGHT, WIDTH).array[8:20, 6:18])
    return Pixels("element", 12, 12, 4, piece.tobytes(), x=24, y=10, name="Piece")


def _array(layer: ResultLayer) -> np.ndarray:
    return np.frombuffer(layer.data, np.uint8).reshape(layer.height, layer.width, layer.channels)


def _run(
    client: Client, operation: str, *inputs: Pixels, seed: int = 0, **settings: object
) -> Result:
    return client.submit(operation, inputs, settings, seed=seed).wait(timeout_s=500)


def test_variations_learn_once_with_progress_and_come_back_from_their_recipe(
    client: Client,
) -> None:
    seen: list[Progress] = []
    job = client.submit("variations", [_painting()], {"count": 3})
    first = job.wait(on_progress=seen.append, timeout_s=500)
    assert {"Training, stage 1 of 3"} <= {p.stage for p in seen}
    assert [(layer.width, layer.height) for layer in first.layers] == [(WIDTH, HEIGHT)] * 3
    assert first.seconds["train"] > 0 and first.recipe["model"]["id"]
    other = _run(client, "variations", _painting(), count=3, seed=100)
    assert "train" not in other.seconds and other.recipe["model"] == first.recipe["model"]
    assert bytes(other.layers[0].data) != bytes(first.layers[0].data)
    again = _run(client, "variations", _painting(), count=3)
    assert [bytes(layer.data) for layer in again.layers] == [
        bytes(layer.data) for layer in first.layers
    ]
    [card] = [card for card in client.models() if card["id"] == first.recipe["model"]["id"]]
    assert (card["title"], card["task"]) == ("Painting", "generation")


def test_a_clone_is_retouched_where_it_lies(client: Client) -> None:
    result = _run(client, "retouch", _painting(), _clone())
    [layer] = result.layers
    assert layer.name == "Retouched Piece" and "fine-tune" not in result.seconds
    assert layer.x <= 24 and layer.y <= 10
    assert layer.x + layer.width >= 36 and layer.y + layer.height >= 22
    assert layer.width < WIDTH and layer.height < HEIGHT
    fitted = _run(client, "retouch", _painting(), _clone(), fine_tune=True)
    assert fitted.seconds["fine-tune"] > 0 and "train" not in fitted.seconds


def test_a_picture_is_extended_into_canvas_that_was_selected(client: Client) -> None:
    area = Pixels("area", 20, HEIGHT, 1, bytes([255]) * 20 * HEIGHT, x=WIDTH)
    [layer] = _run(client, "retarget", _painting(), area).layers
    assert (layer.width, layer.height, layer.x, layer.y) == (WIDTH + 20, HEIGHT, 0, 0)
    np.testing.assert_array_equal(_array(layer)[:, :WIDTH], painting(HEIGHT, WIDTH).array)


def test_an_animation_is_layers_and_a_file(client: Client, tmp_path: Path) -> None:
    result = _run(
        client,
        "animate",
        _painting(),
        frames=4,
        output="both",
        format="apng",
        folder=str(tmp_path),
    )
    assert [layer.name[-9:] for layer in result.layers] == [f"frame 00{n}" for n in (1, 2, 3, 4)]
    with Image.open(tmp_path / "Painting animated.png") as file:
        assert getattr(file, "n_frames", 1) == 4


def test_enlarging_and_painting_to_picture_give_one_layer(client: Client) -> None:
    [larger] = _run(client, "enlarge", _painting(), factor=1.5).layers
    assert (larger.width, larger.height) == (WIDTH * 3 // 2, HEIGHT * 3 // 2)
    sketch = replace(_painting(), name="Sketch")
    [picture] = _run(client, "repaint", sketch, _painting("reference")).layers
    assert picture.name == "Sketch as Painting" and picture.width == WIDTH


def test_what_cannot_be_done_is_a_sentence(client: Client) -> None:
    with pytest.raises(JobFailed, match="is no folder that a file can be written to") as told:
        _run(client, "animate", _painting(), output="file", folder="/no/such/place")
    assert told.value.code == "BAD_REQUEST" and told.value.remedy
