"""Wholes of parts through a real engine: what a front end sends and gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from operation_runs import painting
from small_key_patches import install_small_key_patches
from tests.support import engine_environment, running_engine

from intarsia_client.catalog import able
from intarsia_client.client import Client
from intarsia_client.schema import Pixels, Result

pytestmark = pytest.mark.timeout(600)  # on a machine that has other things to do


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    home = Path(environment["INTARSIA_HOME"])
    install_small_key_patches(home)
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


def _pixels(name: str, seed: int, x: int = 0) -> Pixels:
    array = painting(48, 56, seed=seed).array
    return Pixels(name, 56, 48, 4, array.tobytes(), x=x, name=f"Picture {seed}")


def _run(client: Client, operation: str, *inputs: Pixels, **settings: object) -> Result:
    return client.submit(operation, inputs, settings).wait(timeout_s=500)


def test_three_layers_become_a_picture_and_its_placement(client: Client) -> None:
    (own,) = (m for m in able(client.models(), "key_patches") if not m["shipped"])
    parts = [_pixels("parts", seed, x=70 * seed) for seed in range(3)]
    result = _run(client, "assemble", *parts, model=own["id"])
    placement, picture = result.layers
    assert (placement.channels, picture.channels) == (1, 4)
    assert (picture.width, picture.height, picture.x) == (196, 196, 0)
    assert result.recipe["model"]["id"] == own["id"]
    again = _run(client, "assemble", *parts[::-1], model=own["id"], output="cut")
    assert [layer.mask_of for layer in again.layers] == [None, 0]
    one, other = (np.frombuffer(r.data, np.uint8) for r in (picture, again.layers[0]))
    assert np.abs(one.astype(int) - other).max() <= 1  # order does not count


def test_key_patches_arrive_as_a_group(client: Client) -> None:
    result = _run(client, "key_patches", _pixels("picture", 4), count=2)
    assert [layer.group for layer in result.layers] == ["Key patches of Picture 4"] * 2
