"""Attribute, mix, influence, random collages, rebalancing and the training of a regressor through a
real engine, on a small generator."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from engine_pictures import area_of, array_of, photograph, sent_back
from PIL import Image
from small_generators import install_small_generator
from tests.support import engine_environment, running_engine

from intarsia_client.client import Client
from intarsia_client.errors import InvalidRequest, JobCancelled
from intarsia_client.schema import Pixels, Progress, Result, ResultLayer
from intarsia_daemon.cli.application import application
from intarsia_daemon.rebalance_run import BALANCE, TABLE

pytestmark = pytest.mark.timeout(900)  # on a machine that has other things to do


@pytest.fixture(name="environment", scope="module")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    install_small_generator(Path(environment["INTARSIA_HOME"]), regressor=True)
    return environment


@pytest.fixture(name="client", scope="module")
def _client(environment: dict[str, str]) -> Iterator[Client]:
    home = Path(environment["INTARSIA_HOME"])
    with (
        running_engine(environment),
        Client.connect(app="test", start=False, home_folder=home) as client,
    ):
        yield client


@pytest.fixture(name="model", scope="module")
def _model(client: Client) -> str:
    """The small generator; a shipped one would come first."""
    found = next(m for m in client.models() if m["title"] == "Small fruit")
    assert "regressor" in found["capabilities"]
    return str(found["id"])


@pytest.fixture(name="run", scope="module")
def _run(client: Client, model: str):
    def run(operation: str, *inputs: Pixels, seed: int = 0, **settings: object) -> Result:
        job = client.submit(operation, inputs, {"model": model, **settings}, seed=seed)
        return job.wait(timeout_s=600)

    return run


@pytest.fixture(name="fruit", scope="module")
def _fruit(run) -> tuple[ResultLayer, ...]:
    return run("generate", count=3, class_name="apple").layers


def _photograph(role: str, seed: int) -> Pixels:
    return replace(photograph(40, 60, seed), input=role, name=f"Photograph {seed}")


def test_a_change_is_carried_over_with_frames_for_its_amount(
    run, fruit: tuple[ResultLayer, ...]
) -> None:
    inputs = (
        _photograph("picture", 1),
        sent_back(fruit[1], "before", x=200),
        sent_back(fruit[2], "after", x=200),
    )
    result = run("attribute", *inputs, frames=3)
    assert [frame.amount for frame in result.frames] == [0.0, 0.5]
    layer = result.layers[0]
    assert (layer.width, layer.height, layer.amount) == (60, 40, 1.0)
    still = array_of(result.frames[0])
    np.testing.assert_array_equal(still, np.frombuffer(inputs[0].data, np.uint8).reshape(40, 60, 4))
    assert (array_of(layer) != still).any()
    assert result.recipe["operation"] == "attribute" and result.metrics["change"] > 0
    with pytest.raises(InvalidRequest, match="needs the input 'after'"):
        run("attribute", *inputs[:2])


def test_mixes_and_influence_come_as_layers_over_the_picture(
    run, fruit: tuple[ResultLayer, ...]
) -> None:
    picture, other = _photograph("picture", 2), sent_back(fruit[0], "reference", x=90)
    mixed = run("mix", picture, other, area_of(0, 0, 30, 40), output="layers")
    assert len(mixed.layers) == 3 and mixed.metrics["alpha"] == pytest.approx(0.5, abs=0.02)
    heat = run(
        "influence",
        picture,
        area_of(0, 0, 20, 40, role="areas", name="blue"),
        area_of(40, 0, 20, 40, role="areas", name="red"),
        replacements=3,
    )
    assert [layer.name for layer in heat.layers] == [
        "Parts of Photograph 2",
        "Influence of blue on Photograph 2",
        "Influence of red on Photograph 2",
    ]
    assert all((layer.width, layer.height) == (60, 40) for layer in heat.layers)
    assert any(note.startswith("blue: 33% of the picture") for note in heat.notes)


def test_a_random_collage_can_be_moved_and_composited_again(run) -> None:
    pictures = [_photograph("pictures", seed) for seed in range(3)]
    made = run("collage_random", *pictures, count=3, seed=4)
    assert [layer.name[:5] for layer in made.layers] == ["Piece"] * 3 + ["Compo"]
    pieces = [sent_back(layer, "pieces", x=layer.x, y=layer.y) for layer in made.layers[:3]]
    again = run("composite", *pieces)
    assert len(again.layers) == 1


def _fill(folder: Path, fruit: tuple[ResultLayer, ...]) -> None:
    folder.mkdir(parents=True)
    for number, layer in enumerate(fruit * 2):
        array = array_of(layer)[..., :3] * (1.0 - 0.15 * number)
        Image.fromarray(array.round().astype(np.uint8)).save(folder / f"{number}.png")


def test_a_folder_is_rebalanced_from_the_command_line(
    environment: dict[str, str],
    client: Client,
    model: str,
    fruit: tuple[ResultLayer, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fill(tmp_path / "pictures", fruit)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    words = ["run", "rebalance", "--set", "pictures=pictures", "--set", "results=results"]
    words += ["--set", f"model={model}", "--set", "goal=more", "--set", "candidates=3"]
    words += ["--out", "sheet.png"]
    done = CliRunner().invoke(application, words)
    assert done.exit_code == 0, done.output
    with open(tmp_path / "results" / TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == [f"{number}.png" for number in range(6)]
    assert {path.name for path in (tmp_path / "results").glob("*.png")} == {
        row["output"] for row in rows
    }
    assert (tmp_path / "results" / BALANCE).is_file() and (tmp_path / "sheet.png").is_file()
    again = CliRunner().invoke(application, [*words[:-1], "again.png"])
    assert again.exit_code == 0 and "by an earlier run" in again.output


def test_a_change_is_carried_over_to_a_whole_batch(
    environment: dict[str, str],
    client: Client,
    model: str,
    fruit: tuple[ResultLayer, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fill(tmp_path / "pictures", fruit)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'operation = "attribute"\neach = "picture"\n'
        f'[parameters]\nmodel = "{model}"\nstrength = 1.5\n'
        '[inputs]\nbefore = "pictures/4.png"\nafter = "pictures/5.png"\n'
    )
    files = [str(tmp_path / "pictures" / f"{number}.png") for number in range(2)]
    done = CliRunner().invoke(
        application, ["batch", str(recipe), *files, "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    made = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert made == ["0-attribute.png", "1-attribute.png"]
    assert (tmp_path / "out" / made[0]).read_bytes() != Path(files[0]).read_bytes()


def test_a_rebalancing_that_is_stopped_leaves_whole_files(
    client: Client, model: str, fruit: tuple[ResultLayer, ...], tmp_path: Path
) -> None:
    _fill(tmp_path / "pictures", fruit)
    settings = {
        "model": model,
        "pictures": str(tmp_path / "pictures"),
        "results": str(tmp_path / "results"),
        "goal": "more",
        "candidates": 64,
    }
    stop = threading.Event()

    def follow(progress: Progress) -> None:
        if progress.stage.startswith("Trying"):
            stop.set()

    job = client.submit("rebalance", (), settings)
    with pytest.raises(JobCancelled):
        job.wait(on_progress=follow, should_cancel=stop.is_set, timeout_s=600)
    for path in (tmp_path / "results").glob("*.png"):
        with Image.open(path) as image:
            image.load()


def test_a_regressor_is_trained_and_used_at_once(client: Client, model: str) -> None:
    seen: list[str] = []
    job = client.submit("train_regressor", (), {"model": model, "iterations": 2, "title": "Reads"})
    result = job.wait(on_progress=lambda p: seen.append(p.stage), timeout_s=600)
    found = result.recipe["model"]["id"]
    entry = next(m for m in client.models() if m["id"] == found)
    assert entry["title"] == "Reads" and "regressor" in entry["capabilities"]
    assert "Training the regressor" in seen
    used = client.submit(
        "mix", (_photograph("picture", 3), _photograph("reference", 4)), {"model": found}
    ).wait(timeout_s=600)
    assert used.layers
