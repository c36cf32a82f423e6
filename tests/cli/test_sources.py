"""From ``ROLE=FILE[#LAYER]`` to the pixels that are sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.cli.sample_files import (
    kra_bytes,
    kra_layer,
    kra_stored,
    kra_tiles,
    noise,
    opaque,
    save_png,
    wide_profile,
)

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation
from intarsia_daemon.cli.sources import SourceReader, coverage
from intarsia_daemon.cli.wishes import Wish, parse_wish
from intarsia_daemon.documents import openraster, pictures
from intarsia_daemon.documents.document import Document, Layer

PICTURE = Input("picture", "picture", "Picture", "A picture.")
AREA = Input("area", "area", "Area", "Where.")
OPERATION = Operation(
    "test",
    "Test",
    "Test",
    "For tests.",
    (PICTURE, AREA, Input("templates", "templates", "Templates", "Several.", required=False)),
    (),
)


def layered(path: Path) -> Path:
    """An .ora with Sky below a group with Cat and Dog."""
    group = Layer(
        "Zoo", children=[Layer("Cat", 3, -2, noise(4, 5, 1)), Layer("Dog", array=noise(6, 8, 2))]
    )
    document = Document(8, 6, [group, Layer("Sky", array=opaque(6, 8))])
    path.write_bytes(openraster.write(document))
    return path


def read(path: Path, layer: str = "") -> np.ndarray:
    pixels = SourceReader().read(Wish("picture", path, layer)).pixels(PICTURE)
    dtype = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}[pixels.dtype]
    shape = (pixels.height, pixels.width, pixels.channels)
    return np.frombuffer(pixels.data, dtype).reshape(shape)


def test_a_wish_is_taken_apart(tmp_path: Path) -> None:
    odd = save_png(tmp_path / "a#b.png", opaque(2, 2))

    assert parse_wish("picture=some.ora#Group/Layer") == Wish(
        "picture", Path("some.ora"), "Group/Layer"
    )
    assert parse_wish(f"picture={odd}") == Wish("picture", odd, "")
    assert parse_wish(f"picture={odd}#L#1") == Wish("picture", odd, "L#1")


@pytest.mark.parametrize("text", ["picture", "=file.png", "picture="])
def test_a_wish_without_its_parts_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="ROLE=FILE"):
        parse_wish(text)


def test_a_picture_is_sent_exactly(tmp_path: Path) -> None:
    array = noise(5, 7)

    assert np.array_equal(read(save_png(tmp_path / "a.png", array)), array)


def test_16_bit_pictures_are_sent_with_16_bits(tmp_path: Path) -> None:
    array = opaque(5, 7, dtype="uint16")
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode_png(array))

    assert np.array_equal(read(path), array)


def test_a_layer_is_sent_with_its_place_and_name(tmp_path: Path) -> None:
    source = SourceReader().read(Wish("picture", layered(tmp_path / "a.ora"), "Zoo/Cat"))

    pixels = source.pixels(PICTURE)

    assert (pixels.x, pixels.y, pixels.width, pixels.height, pixels.name) == (3, -2, 5, 4, "Cat")


def test_a_group_is_sent_as_drawn_on_the_canvas(tmp_path: Path) -> None:
    sent = read(layered(tmp_path / "a.ora"), "Zoo")

    assert sent.shape == (6, 8, 4)


def test_what_lies_below_a_layer_is_sent_without_it(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.ora")

    assert np.array_equal(read(path, "below:Zoo"), opaque(6, 8))
    assert not np.array_equal(read(path), opaque(6, 8))


def test_unknown_layers_are_answered_with_the_names_there_are(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.ora")

    for name in ("Bird", "below:Bird"):
        with pytest.raises(InvalidRequest, match="The layers are: Zoo, Zoo/Cat, Zoo/Dog, Sky"):
            read(path, name)


def test_a_layer_that_only_krita_draws_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.kra"
    path.write_bytes(kra_bytes(kra_layer("Text", "layer2", nodetype="shapelayer"), {}))

    with pytest.raises(InvalidRequest, match="'Text' is a vector layer, which has no pixels"):
        read(path, "Text")


def test_colours_are_converted_to_srgb_and_said(tmp_path: Path) -> None:
    array = opaque(4, 4)
    path = tmp_path / "wide.png"
    path.write_bytes(pictures.encode_png(array, wide_profile()))

    source = SourceReader().read(Wish("picture", path))
    sent = np.frombuffer(source.pixels(PICTURE).data, np.uint8).reshape(4, 4, 4)

    assert source.profile is not None
    assert np.array_equal(sent, source.profile.to_srgb(array))
    assert np.array_equal(source.array, array), "the file's own colours stay for writing"
    assert source.notes[0].startswith("wide.png: The colours were converted from")


def test_a_broken_profile_is_said_and_the_pixels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode_png(opaque(4, 4), b"nonsense"))

    source = SourceReader().read(Wish("picture", path))

    assert np.array_equal(source.array, opaque(4, 4))
    assert "Read as sRGB" in source.notes[0]


def test_krita_documents_with_linear_light_are_sent_as_srgb(tmp_path: Path) -> None:
    icc = linear_profile()
    half = np.full((64, 64, 4), 1.0, np.float32)
    half[..., :3] = 0.5
    files = {
        "layers/layer2": kra_tiles(kra_stored(half, "f4"), "f4"),
        "layers/layer2.icc": icc,
        "annotations/icc": icc,
    }
    path = tmp_path / "linear.kra"
    path.write_bytes(
        kra_bytes(kra_layer("L", "layer2", colorspacename="RGBAF32"), files, size=(64, 64))
    )

    sent = read(path)

    assert sent.dtype == np.float32
    assert sent[0, 0, 0] == pytest.approx(0.7354, abs=2e-3)  # IEC 61966-2-1 of linear 0.5


def linear_profile() -> bytes:
    """sRGB's primaries with a straight curve, as Krita gives its float documents."""
    icc = bytearray(wide_profile())
    srgb = {
        b"rXYZ": (0.43607, 0.22249, 0.01392),
        b"gXYZ": (0.38515, 0.71687, 0.09708),
        b"bXYZ": (0.14307, 0.06061, 0.71410),
    }
    for index in range(int.from_bytes(icc[128:132], "big")):
        entry = 132 + 12 * index
        name, offset = (
            bytes(icc[entry : entry + 4]),
            int.from_bytes(icc[entry + 4 : entry + 8], "big"),
        )
        for number, value in enumerate(srgb.get(name, ())):
            place = offset + 8 + 4 * number
            icc[place : place + 4] = round(value * 65536).to_bytes(4, "big")
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            icc[offset + 12 : offset + 14] = (256).to_bytes(2, "big")  # gamma 1.0
    return bytes(icc)


def test_an_area_is_the_alpha_or_else_the_brightness() -> None:
    transparent = noise(4, 4)
    shades = np.full((1, 2, 4), 255, np.uint8)
    shades[0, 0, :3] = 100

    assert np.array_equal(coverage(transparent), transparent[..., 3])
    assert coverage(shades).tolist() == [[100, 255]]
    assert coverage(shades.astype(np.uint16) * 257).tolist() == [[25700, 65535]]


def test_an_area_is_sent_with_one_channel(tmp_path: Path) -> None:
    path = save_png(tmp_path / "a.png", noise(4, 4))

    pixels = SourceReader().read(Wish("area", path)).pixels(AREA)

    assert (pixels.channels, len(pixels.data)) == (1, 16)


def test_templates_may_be_a_folder_or_several_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.png", "a.png"):
        save_png(folder / name, opaque(2, 2))
    (folder / "notes.txt").write_text("no picture")
    reader = SourceReader()

    from_folder = reader.read_all(OPERATION, [Wish("templates", folder)])
    several = reader.read_all(
        OPERATION, [Wish("templates", folder / "b.png"), Wish("templates", folder / "a.png")]
    )

    assert [s.name for s in from_folder] == ["a", "b"]
    assert [s.name for s in several] == ["b", "a"]


def test_other_inputs_are_given_once(tmp_path: Path) -> None:
    wish = Wish("picture", save_png(tmp_path / "a.png", opaque(2, 2)))

    with pytest.raises(InvalidRequest, match="'picture' is given twice"):
        SourceReader().read_all(OPERATION, [wish, wish])


def test_an_empty_folder_holds_no_templates(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no pictures"):
        SourceReader().read_all(OPERATION, [Wish("templates", tmp_path)])
