"""Real files of Krita, Photoshop, MyPaint and Affinity, drawn as those programs drew them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import reference_data

from intarsia_daemon.cli.sources import SourceReader
from intarsia_daemon.cli.wishes import Wish
from intarsia_daemon.documents import formats
from intarsia_daemon.documents.compositing import flatten
from intarsia_daemon.documents.document import FULL, Document
from intarsia_daemon.documents.limits import FileRejected

DATA = reference_data()
FOLDER = DATA / "data" / "layered" if DATA is not None else Path("absent")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the layered sample files are absent")

DRAWN = [  # drawn by us from the layers alone; the largest difference of a channel, premultiplied
    ("krita5_flower_scene.kra", 1),
    ("kimageformats_src.kra", 0),
    ("kimageformats_src.ora", 0),
    ("ps_clipping_mask.psd", 1),
    ("ps_hidden_groups.psd", 0),
    ("ps_mask_disabled.psd", 0),
    ("affinity_argb16.psd", 1),
]
STORED = ["ps_layer_masks.psd", "ps_smiley_unicode_names.psd"]
"""Feathered masks and layer effects: the flat picture in the file is used."""


def parse(name: str) -> Document:
    return formats.parse((FOLDER / name).read_bytes(), name)


def premultiplied(array: np.ndarray) -> np.ndarray:
    values = array / FULL[array.dtype.name] * 255
    values[..., :3] *= values[..., 3:] / 255
    return values


def reference(name: str) -> np.ndarray:
    path = next((FOLDER / "reference").glob(f"{name}*.png"))
    return np.asarray(Image.open(path).convert("RGBA"))


@pytest.mark.parametrize(("name", "tolerance"), DRAWN)
def test_our_drawing_is_the_programs_own(name: str, tolerance: float) -> None:
    drawn = flatten(parse(name))

    difference = np.abs(premultiplied(drawn) - premultiplied(reference(name)))
    assert difference.max() <= tolerance + 0.5
    assert difference.mean() < 0.05


@pytest.mark.parametrize("name", [name for name, _ in DRAWN] + STORED)
def test_a_whole_file_is_read_as_its_program_shows_it_in_srgb(name: str) -> None:
    source = SourceReader().read(Wish("picture", FOLDER / name))
    array = source.array if source.profile is None else source.profile.to_srgb(source.array)

    difference = np.abs(premultiplied(array) - premultiplied(reference(name)))
    assert difference.max() <= 1.5
    if name in STORED:
        assert any("stored in the file" in note for note in source.notes)


def test_every_layer_of_the_list_is_found_by_its_name() -> None:
    read = 0
    with (FOLDER / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["file"].endswith(".xcf"):
                continue
            names = [layer.name for _, layer in parse(row["file"]).walk()]
            wanted = {name.strip() for name in row["layer_names"].split("|")} - {"", "Root", "root"}
            for name in wanted:  # the list cuts its last one off
                assert any(found.startswith(name) for found in names), (row["file"], name)
            read += 1
    assert read >= 10


def test_gimps_own_documents_are_refused_with_the_way_out() -> None:
    for path in FOLDER.glob("*.xcf"):
        with pytest.raises(FileRejected, match="Export it from GIMP"):
            parse(path.name)


def test_krita_layers_have_their_place_and_pixels() -> None:
    document = parse("krita5_flower_scene.kra")

    ground, sun = document.find("ground"), document.find("sun")
    assert ground.array is not None
    assert sun.array is not None
    assert 0 < ground.y < 128 <= ground.y + ground.array.shape[0], "the ground lies at the bottom"
    assert sun.array[..., 3].max() > 200
    assert document.find("flower").is_group
    assert [path for path, _ in document.walk()][1] == "flower/pistil"
