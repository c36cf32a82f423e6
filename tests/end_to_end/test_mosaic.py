"""A mosaic through the command line and a real engine: layers with masks in one file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small_mosaics
from operation_runs import painting
from PIL import Image
from tests.support import engine_environment, running_engine

from intarsia_daemon.documents import openraster
from intarsia_daemon.documents.document import Document, Layer
from intarsia_daemon.documents.reading import read_document

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(name="environment", scope="module")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    small_mosaics.install_small_mosaic(Path(environment["INTARSIA_HOME"]))
    with running_engine(environment):
        yield environment


@pytest.fixture(name="document")
def _document(tmp_path: Path) -> Path:
    """A guide with a group of templates above it."""
    random = np.random.default_rng(2)
    templates = []
    for name, base in (("Leaf", (30, 120, 40)), ("Brick", (160, 60, 40)), ("Sky", (90, 140, 220))):
        array = np.full((16, 20, 4), 255, np.uint8)
        array[..., :3] = np.clip(base + random.integers(-20, 20, (16, 20, 1)), 0, 255)
        templates.append(Layer(name, 20 * len(templates), 0, array))
    layers = [Layer("Templates", children=templates), Layer("Guide", array=painting(40, 60).array)]
    path = tmp_path / "work.ora"
    path.write_bytes(openraster.write(Document(60, 40, layers)))
    return path


def _intarsia(environment: dict[str, str], *words: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "intarsia_daemon", *words, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_group_of_layers_with_masks_is_the_collage(
    environment: dict[str, str], document: Path, tmp_path: Path
) -> None:
    words = ("run", "mosaic", "--input", f"picture={document}#Guide", "--set", "count=3")
    words += ("--input", f"templates={document}#Templates", "--seed", "5")
    layered, flat = tmp_path / "layered.ora", tmp_path / "flat.png"
    _intarsia(environment, *words, "--set", "gives=layers", "--out", str(layered))
    _intarsia(environment, *words, "--out", str(flat), "--layers-only")
    found = read_document(layered)
    group = found.find("Mosaic of Guide")
    assert group.children is not None and len(group.children) >= 2
    assert {"Leaf", "Brick", "Sky"} >= {layer.name for layer in group.children}
    assert {"Templates", "Guide"} <= {layer.name for layer in found.layers}, "the artist's own"
    shown = np.zeros((40, 60, 3))
    for layer in reversed(group.children):
        assert layer.array is not None
        height, width = layer.array.shape[:2]
        part = shown[layer.y : layer.y + height, layer.x : layer.x + width]
        part += layer.array[..., 3:] / 255 * (layer.array[..., :3] - part)
    collage = np.asarray(Image.open(flat).convert("RGB")).astype(float)
    assert np.abs(shown - collage).max() <= 2
    recipe = tmp_path / "again.png"
    _intarsia(environment, "run", "--recipe", str(flat), *words[2:8], "--out", str(recipe))
    np.testing.assert_array_equal(np.asarray(Image.open(recipe)), np.asarray(Image.open(flat)))
