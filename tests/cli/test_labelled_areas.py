"""Several named areas, and areas from colour labels, as they are read from files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import SheetColorType, Tag
from psd_tools.psd.tagged_blocks import SheetColorSetting
from tests.cli.sample_files import (
    kra_bytes,
    kra_layer,
    kra_stored,
    kra_tiles,
    opaque,
    save_png,
)

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import COLOR_LABELS, ClassBinding, Input, ModelRef, Operation
from intarsia_daemon.cli.sources import Source, SourceReader
from intarsia_daemon.cli.wishes import Wish, parse_wish
from intarsia_daemon.documents import formats

PICTURE = Input("picture", "picture", "Picture", "A picture.")
AREAS = Input("areas", "area", "Areas", "Where.", required=False, several=True)
SAMPLES = Input("samples", "reference", "Samples", "Any.", required=False, several=True)
PLAIN = Operation("test", "Test", "Test", "For tests.", (PICTURE, AREAS, SAMPLES), ())
BINDING = Operation(
    "test",
    "Test",
    "Test",
    "For tests.",
    (PICTURE, AREAS),
    (ModelRef("model", "M", "M."), ClassBinding("classes", "C", "C.")),
)
SKY = opaque(64, 64, 1)


def solid(height: int, width: int, value: int = 40) -> np.ndarray:
    """Opaque and dark: by its brightness it would hardly count."""
    array = np.full((height, width, 4), value, np.uint8)
    array[..., 3] = 255
    return array


def krita_file(path: Path) -> Path:
    """Sky, and over it Hat (blue), Coat (green), Hidden (red), and a labelled vector layer."""
    pieces = {"hat": (solid(10, 12), 5, 7), "coat": (solid(8, 8), 30, 30), "sky": (SKY, 0, 0)}
    files = {
        f"layers/{name}": kra_tiles(kra_stored(array, "u1"), "u1", x, y)
        for name, (array, x, y) in pieces.items()
    }
    layers = [
        kra_layer("Note", "note", nodetype="shapelayer", colorlabel="3"),
        kra_layer("Hidden", "hat", colorlabel="6", visible="0"),
        kra_layer("Hat", "hat", colorlabel="1"),
        kra_layer("Coat", "coat", colorlabel="2"),
        kra_layer("Sky", "sky", colorlabel="0"),
    ]
    path.write_bytes(kra_bytes("".join(layers), files, size=(64, 64)))
    return path


def sent(sources: list[Source], operation: Operation = PLAIN) -> list[tuple[Any, ...]]:
    found = [source.pixels(operation.input(source.wish.input)) for source in sources]
    return [(p.input, p.name, p.width, p.height, p.x, p.y, p.channels) for p in found]


def test_kritas_labels_are_read_in_its_order(tmp_path: Path) -> None:
    layers = "".join(
        kra_layer(str(number), "sky", colorlabel=str(number)) for number in (*range(9), 99, -1)
    )
    tiles = kra_tiles(kra_stored(opaque(4, 4), "u1"), "u1")
    document = formats.parse(kra_bytes(layers, {"layers/sky": tiles}), "a.kra")

    assert [layer.color_label for layer in document.layers] == ["", *COLOR_LABELS, "", ""]


def test_photoshops_labels_are_read_by_their_names() -> None:
    psd = PSDImage.new("RGB", (30, 20))
    for kind in (SheetColorType.VIOLET, SheetColorType.GRAY, SheetColorType.NO_COLOR):
        layer = psd.create_pixel_layer(Image.fromarray(opaque(5, 6)), name=kind.name)
        blocks = layer._record.tagged_blocks
        blocks.set_data(Tag.SHEET_COLOR_SETTING, kind)
        assert isinstance(blocks[Tag.SHEET_COLOR_SETTING].data, SheetColorSetting)
    output = io.BytesIO()
    psd.save(output)

    document = formats.parse(output.getvalue(), "a.psd")

    found = {layer.name: layer.color_label for layer in document.layers}
    assert found == {"VIOLET": "purple", "GRAY": "grey", "NO_COLOR": ""}


def test_labelled_layers_are_the_areas_where_none_is_given(tmp_path: Path) -> None:
    path = krita_file(tmp_path / "a.kra")

    sources = SourceReader().read_all(PLAIN, [Wish("picture", path)])

    assert sent(sources) == [
        ("picture", "a", 64, 64, 0, 0, 4),
        ("areas", "blue", 12, 10, 5, 7, 1),
        ("areas", "green", 8, 8, 30, 30, 1),
    ]
    notes = [note for source in sources for note in source.notes]
    assert "a.kra: Areas by colour label: blue (Hat), green (Coat)." in notes


def test_an_areas_coverage_is_its_alpha_however_dark_it_is(tmp_path: Path) -> None:
    path = krita_file(tmp_path / "a.kra")

    _, hat, _ = SourceReader().read_all(PLAIN, [Wish("picture", path)])
    named = SourceReader().read_all(PLAIN, [Wish("picture", path), Wish("areas", path, "Hat")])[1]

    for source in (hat, named):
        assert set(bytes(source.pixels(AREAS).data)) == {255}


def test_labelled_layers_are_not_part_of_the_picture(tmp_path: Path) -> None:
    picture = SourceReader().read_all(PLAIN, [Wish("picture", krita_file(tmp_path / "a.kra"))])[0]

    assert np.array_equal(picture.array, SKY)


def test_one_layer_as_the_picture_is_no_area(tmp_path: Path) -> None:
    path = krita_file(tmp_path / "a.kra")

    sources = SourceReader().read_all(PLAIN, [Wish("picture", path, "Hat")])

    assert [row[:2] for row in sent(sources)] == [("picture", "Hat"), ("areas", "green")]


def test_only_labels_that_have_a_class_count_where_classes_are_given(tmp_path: Path) -> None:
    path, reader = krita_file(tmp_path / "a.kra"), SourceReader()
    picture = [Wish("picture", path)]

    bound = reader.read_all(BINDING, picture, {"classes": {"green": "lime", "purple": "plum"}})
    unbound = reader.read_all(BINDING, picture, {"classes": {}})

    assert [row[1] for row in sent(bound, BINDING)] == ["a", "green"]
    assert [row[1] for row in sent(unbound, BINDING)] == ["a"]
    assert not np.array_equal(unbound[0].array, SKY), "then the labels mean nothing"


def test_areas_that_are_given_are_the_only_ones(tmp_path: Path) -> None:
    path = krita_file(tmp_path / "a.kra")
    given = [
        parse_wish(text)
        for text in (f"picture={path}", f"areas:blue={path}#Coat", f"areas:my hat={path}#Hat")
    ]

    sources = SourceReader().read_all(PLAIN, given)

    assert [row[:2] for row in sent(sources)] == [
        ("picture", "a"),
        ("areas", "blue"),
        ("areas", "my hat"),
    ]


def test_a_folder_of_areas_gives_each_its_files_name(tmp_path: Path) -> None:
    (tmp_path / "areas").mkdir()
    for name in ("green", "blue"):
        save_png(tmp_path / "areas" / f"{name}.png", opaque(4, 4))
    picture = save_png(tmp_path / "p.png", opaque(4, 4))

    wishes = [Wish("picture", picture), Wish("areas", tmp_path / "areas")]
    references = [Wish("samples", picture), Wish("samples", tmp_path / "areas")]
    sources = SourceReader().read_all(PLAIN, [*wishes, *references])

    names = [row[:2] for row in sent(sources)]
    assert names[1:3] == [("areas", "blue"), ("areas", "green")]
    assert names[3:] == [("samples", "p"), ("samples", "blue"), ("samples", "green")]


def test_what_may_be_several_is_named_where_something_else_is_given_twice(tmp_path: Path) -> None:
    wish = Wish("picture", save_png(tmp_path / "p.png", opaque(4, 4)))

    with pytest.raises(InvalidRequest, match=r"given twice.*may be several: areas, samples"):
        SourceReader().read_all(PLAIN, [wish, wish])
