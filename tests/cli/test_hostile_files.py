"""Files made to harm: refused in a sentence, with little memory, and nothing written anywhere."""

from __future__ import annotations

import resource
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from tests.cli.sample_files import (
    kra_bytes,
    kra_layer,
    kra_stored,
    kra_tiles,
    lzf,
    noise,
    opaque,
    ora_bytes,
    png_bytes,
    zip_of,
)

from intarsia_daemon.documents import formats, limits, parser_child
from intarsia_daemon.documents.containers import Container
from intarsia_daemon.documents.document import Document
from intarsia_daemon.documents.krita_tiles import unpack_lzf
from intarsia_daemon.documents.limits import FileRejected
from intarsia_daemon.documents.reading import read_document


def parse(data: bytes) -> Document:
    return formats.parse(data, "name")


def huge_png(width: int, height: int) -> bytes:
    """A PNG header that claims a size, with next to nothing behind it."""
    data = png_bytes(opaque(1, 1))
    header = struct.pack(">II", width, height) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ora"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr("mimetype", "image/openraster")
        with container.open("stack.xml", "w") as member:
            for _ in range(200):
                member.write(bytes(1 << 20))
    assert path.stat().st_size < 300_000

    with pytest.raises(FileRejected, match=r"bomb\.ora: 'stack\.xml' grows \d+-fold"):
        read_document(path)


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(zip_of({"mimetype": b"image/openraster", "stack.xml": bytes(100_000)}))
    place = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    data[place + 24 : place + 28] = (100).to_bytes(4, "little")

    with pytest.raises(FileRejected, match="broken"):
        parse(bytes(data))


@pytest.mark.parametrize(
    "name",
    ["../escape", "data/../../escape", "/etc/passwd", "C:/x", "a\\b", "x" * 2000],
)
def test_names_that_point_outside_are_refused(name: str) -> None:
    data = zip_of({"mimetype": b"image/openraster", "stack.xml": b"<image/>", name: b"x"})

    with pytest.raises(FileRejected, match="forbidden file name"):
        Container(data)


def test_a_layer_source_that_points_outside_is_refused() -> None:
    data = ora_bytes('<stack><layer src="../../etc/passwd"/></stack>', {})

    with pytest.raises(FileRejected, match="forbidden file name"):
        parse(data)


def test_too_many_members_are_refused() -> None:
    data = zip_of({f"f{i}": b"" for i in range(limits.MEMBERS + 1)})

    with pytest.raises(FileRejected, match="5001 files"):
        parse(data)


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><image w="4" h="4">&a;</image>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><image w="4" h="4">&a;</image>',
        b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://x/"> %a;]><image w="4" h="4"/>',
    ],
)
def test_xml_entities_are_refused(xml: bytes) -> None:
    data = zip_of({"mimetype": b"image/openraster", "stack.xml": xml})

    with pytest.raises(FileRejected, match="XML entities"):
        parse(data)


@pytest.mark.parametrize("xml", [b"", b"<image", b"\xff\xfe", b"<other/>", b'<image w="4"/>'])
def test_broken_layer_lists_are_refused(xml: bytes) -> None:
    with pytest.raises(FileRejected):
        parse(zip_of({"mimetype": b"image/openraster", "stack.xml": xml}))


@pytest.mark.parametrize("text", ["nan", "inf", "1e400", "99999999999", "x"])
def test_offsets_that_are_no_numbers_are_refused(text: str) -> None:
    data = ora_bytes(f'<stack><layer src="a.png" x="{text}"/></stack>', {"a.png": noise(2, 2)})

    with pytest.raises(FileRejected, match="which is no number"):
        parse(data)


@pytest.mark.parametrize("size", [(0, 4), (-5, 5), (70000, 4), (60000, 60000)])
def test_canvases_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(FileRejected, match="The canvas"):
        parse(ora_bytes("<stack/>", {}, size))
    with pytest.raises(FileRejected, match="The canvas"):
        parse(kra_bytes("", {}, size))


def test_layers_are_counted_before_they_are_decoded() -> None:
    many = '<layer src="a.png"/>' * (limits.LAYERS + 1)

    with pytest.raises(FileRejected, match="more than 1000 layers"):
        parse(ora_bytes(f"<stack>{many}</stack>", {"a.png": noise(1, 1)}))


def test_the_layers_pixels_are_summed() -> None:
    big = huge_png(11000, 11000)  # one alone would be allowed
    stack = b'<image w="4" h="4"><stack>' + b'<layer src="a.png"/>' * 3 + b"</stack></image>"
    data = zip_of({"mimetype": b"image/openraster", "stack.xml": stack, "a.png": big})

    # the first layer's missing pixels are met first, so the sum is counted on whole ones
    with pytest.raises(FileRejected):
        parse(data)
    budget = limits.Budget()
    budget.pixels(11000, 11000, "One")
    budget.pixels(11000, 11000, "Two")
    with pytest.raises(FileRejected, match="more than 268 megapixels together"):
        budget.pixels(11000, 11000, "Three")


def test_groups_that_nest_too_deeply_are_refused() -> None:
    stack = "<stack>" * 2000 + "</stack>" * 2000

    with pytest.raises(FileRejected, match="32 deep"):
        parse(ora_bytes(stack, {}))


def test_names_are_cleaned() -> None:
    data = ora_bytes(
        '<stack><layer name="a&#9;b&#x202e;c" src="a.png"/></stack>', {"a.png": noise(1, 1)}
    )

    assert parse(data).layers[0].name == "abc"


# --- Krita's tiles --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"DATA 1\n", b"DATA 99999999\n"),
        (b"DATA 1\n", b"DATA 2\n"),
        (b"VERSION 2", b"VERSION 1"),
        (b"PIXELSIZE 4", b"PIXELSIZE 8"),
        (b"TILEWIDTH 64", b"TILEWIDTH 32"),
        (b"0,0,LZF,", b"0,0,XYZ,"),
        (b"0,0,LZF,", b"7,0,LZF,"),
        (b"0,0,LZF,", b"0,0,LZF,9"),
    ],
)
def test_broken_tiles_are_refused(old: bytes, new: bytes) -> None:
    tiles = kra_tiles(kra_stored(opaque(4, 4), "u1"), "u1")
    assert old in tiles
    data = kra_bytes(kra_layer("L", "layer2"), {"layers/layer2": tiles.replace(old, new, 1)})

    with pytest.raises(FileRejected, match="The layer 'L'"):
        parse(data)


def test_tiles_far_apart_are_refused_before_the_rectangle_is_allocated() -> None:
    one = kra_tiles(kra_stored(opaque(4, 4), "u1"), "u1")
    head, tile = one.split(b"DATA 1\n")
    far = tile.replace(b"0,0,LZF", b"640000,640000,LZF", 1)
    data = kra_bytes(kra_layer("L", "layer2"), {"layers/layer2": head + b"DATA 2\n" + tile + far})

    with pytest.raises(FileRejected, match="640064x640064"):
        parse(data)


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x05ab", b"\x20\x00", b"\xe0", b"\x00a\x20\x05", b"\x00a" + b"\xe0\xff\x00" * 500],
)
def test_broken_lzf_is_refused_without_growing(packed: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_lzf(packed, 1000)


def test_lzf_round_trips() -> None:
    data = bytes(500) + noise(8, 8).tobytes() + b"\7" * 33

    assert unpack_lzf(lzf(data), len(data)) == data


# --- random damage --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_are_read_or_refused_but_never_raise_anything_else(seed: int) -> None:
    random = np.random.default_rng(seed)
    tiles = kra_tiles(kra_stored(opaque(70, 70), "u1"), "u1")
    whole = [
        kra_bytes(kra_layer("L", "layer2"), {"layers/layer2": tiles}),
        ora_bytes('<stack><layer src="a.png"/></stack>', {"a.png": noise(9, 9)}),
        png_bytes(noise(20, 20)),
    ][seed % 3]
    data = bytearray(whole)
    for place in random.integers(0, len(data), 1 + seed % 7):
        data[place] = random.integers(0, 256)
    if seed % 4 == 0:
        del data[random.integers(1, len(data)) :]

    try:
        parse(bytes(data))
    except FileRejected as error:
        assert error.what and error.remedy


# --- the child process ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource limits")
def test_the_childs_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = tmp_path / "a.png", tmp_path / "out"
    path.write_bytes(png_bytes(opaque(4, 4)))
    folder.mkdir()
    asked: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: asked.update({kind: values}))

    assert parser_child.main([str(path), str(folder)]) == 0

    assert asked[resource.RLIMIT_AS][0] <= parser_child.MEMORY_BYTES
    assert asked[resource.RLIMIT_CPU][0] <= parser_child.CPU_S


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource limits")
def test_a_child_that_needs_too_much_memory_leaves_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(data: bytes, name: str) -> Document:
        raise MemoryError

    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    monkeypatch.setattr(formats, "parse", exhausted)
    monkeypatch.setattr(parser_child, "limit_resources", lambda: None)

    assert parser_child.main([str(path), str(tmp_path)]) == 1
    assert "more than 6 GiB of memory" in (tmp_path / "error.json").read_text()


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(opaque(4, 4)))

    with pytest.raises(FileRejected, match="took longer than 0 s"):
        read_document(path, wall_s=0.001)


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match=r"gone\.png: There is no such file"):
        read_document(tmp_path / "gone.png")
    with pytest.raises(FileRejected, match="This is a folder"):
        read_document(tmp_path)


def test_a_gimp_document_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.xcf"
    path.write_bytes(b"gimp xcf v011\0")

    with pytest.raises(FileRejected, match="Export it from GIMP as OpenRaster"):
        read_document(path)
