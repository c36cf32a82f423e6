"""OpenRaster, Krita and Photoshop files: what was put in comes out."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import BlendMode
from tests.cli.sample_files import (
    kra_bytes,
    kra_layer,
    kra_stored,
    kra_tiles,
    noise,
    opaque,
    ora_bytes,
    wide_profile,
    zip_of,
)

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.documents import formats, openraster, transfer
from intarsia_daemon.documents.blend_modes import MODES, OPENRASTER
from intarsia_daemon.documents.compositing import flatten
from intarsia_daemon.documents.document import Document, Layer, LayerMask
from intarsia_daemon.documents.limits import FileRejected
from intarsia_daemon.documents.reading import read_document


def parse(data: bytes) -> Document:
    return formats.parse(data, "name")


def same(one: Layer, other: Layer) -> bool:
    """Whether two layers agree in everything but the array's object."""
    arrays = [layer.array for layer in (one, other) if layer.array is not None]
    if len(arrays) == 1:
        return False
    if arrays and (arrays[0].dtype != arrays[1].dtype or (arrays[0] != arrays[1]).any()):
        return False
    plain = {"array": None, "children": None, "layer_mask": None}
    if replace(one, **plain) != replace(other, **plain):
        return False
    pairs = zip(one.children or [], other.children or [], strict=True)
    return all(same(a, b) for a, b in pairs)


# --- OpenRaster -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_openraster_keeps_layers_groups_and_pixels(dtype: str) -> None:
    group = Layer("Gruppe", children=[Layer("in", 2, -3, noise(4, 5, 1, dtype), blend="multiply")])
    document = Document(
        20,
        10,
        [
            Layer("top", -4, 1, noise(3, 3, 2, dtype), opacity=0.25, visible=False),
            replace(group, opacity=0.5, pass_through=True),
            Layer("Hintergrund & <mehr>", array=opaque(10, 20, 3, dtype)),
        ],
        icc=wide_profile(),
    )

    read = parse(openraster.write(document))

    assert (read.width, read.height, read.icc) == (20, 10, document.icc)
    assert all(same(a, b) for a, b in zip(read.layers, document.layers, strict=True))


@pytest.mark.parametrize("mode", sorted(OPENRASTER))
def test_openraster_keeps_blend_modes(mode: str) -> None:
    document = Document(2, 2, [Layer("a", array=noise(2, 2), blend=mode)])

    assert parse(openraster.write(document)).layers[0].blend == mode
    assert mode in MODES


def test_openraster_files_are_as_the_specification_wants_them() -> None:
    document = Document(300, 200, [Layer("a", array=opaque(200, 300))])

    with zipfile.ZipFile(io.BytesIO(openraster.write(document, {"x/y.json": b"{}"}))) as container:
        first = container.infolist()[0]
        merged = Image.open(io.BytesIO(container.read("mergedimage.png")))
        small = Image.open(io.BytesIO(container.read("Thumbnails/thumbnail.png")))
        stack = ElementTree.fromstring(container.read("stack.xml"))
        extra = container.read("x/y.json")

    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert np.array_equal(np.asarray(merged), opaque(200, 300))
    assert small.size == (256, 171)
    assert (stack.tag, stack.get("w"), stack.get("h")) == ("image", "300", "200")
    assert extra == b"{}"


def test_writing_the_same_document_twice_gives_the_same_bytes() -> None:
    document = Document(4, 4, [Layer("a", array=noise(4, 4))])

    assert openraster.write(document) == openraster.write(document)


def test_layer_masks_become_alpha_in_openraster() -> None:
    hidden = LayerMask(np.zeros((4, 2), np.uint8), 0, 0)
    document = Document(4, 4, [Layer("a", array=opaque(4, 4), layer_mask=hidden)])

    alpha = parse(openraster.write(document)).merged

    assert alpha is not None
    assert alpha[..., 3].tolist() == [[0, 0, 255, 255]] * 4


def test_openraster_of_other_programs_with_few_attributes_is_read() -> None:
    array = noise(3, 2)
    data = ora_bytes(
        '<stack><layer src="data/a.png" x="1" y="2"/>'
        '<stack><layer src="data/a.png"/></stack></stack>',
        {"data/a.png": array},
    )

    document = parse(data)

    first, group = document.layers
    assert (first.name, first.x, first.y, first.opacity, first.visible) == (
        "layer 1",
        1,
        2,
        1.0,
        True,
    )
    assert np.array_equal(first.array, array)  # type: ignore[arg-type]
    assert group.children is not None
    assert [path for path, _ in document.walk()] == ["layer 1", "layer 2", "layer 2/layer 1"]


def test_unknown_operators_are_drawn_as_normal_and_said() -> None:
    data = ora_bytes(
        '<stack><layer name="Öl" composite-op="my:oil" src="a.png"/></stack>',
        {"a.png": noise(2, 2)},
    )

    document = parse(data)

    assert document.layers[0].blend == "normal"
    assert document.notes == ["'Öl' uses 'my:oil', which is drawn as normal."]


def test_a_broken_stored_picture_is_left_out_and_said() -> None:
    data = openraster.write(Document(4, 4, [Layer("a", array=noise(4, 4))]))
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        members = {name: container.read(name) for name in container.namelist()}

    document = parse(zip_of({**members, "mergedimage.png": b"broken"}))

    assert document.merged is None
    assert np.array_equal(document.layers[0].array, noise(4, 4))  # type: ignore[arg-type]
    assert document.notes == ["The flat picture stored in the file is broken and was left out."]


# --- Krita ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("space", "stored", "dtype"),
    [("RGBA", "u1", "uint8"), ("RGBA16", "u2", "uint16"), ("RGBAF32", "f4", "float32")],
)
def test_krita_pixels_are_exact(space: str, stored: str, dtype: str, packed: bool) -> None:
    array = opaque(70, 90, dtype=dtype)  # two tiles a side
    tiles = kra_tiles(kra_stored(array, stored), stored, x=5, y=-3, packed=packed)
    data = kra_bytes(kra_layer("L", "layer2", colorspacename=space), {"layers/layer2": tiles})

    layer = parse(data).layers[0]

    assert layer.array is not None
    assert (layer.x, layer.y, layer.array.dtype.name) == (5, -3, dtype)
    assert np.array_equal(layer.array, array)


def test_krita_half_floats_become_floats() -> None:
    array = opaque(4, 4, dtype="float32").astype(np.float16)
    tiles = kra_tiles(array, "f2")
    data = kra_bytes(kra_layer("L", "layer2", colorspacename="RGBAF16"), {"layers/layer2": tiles})

    layer = parse(data).layers[0]

    assert layer.array is not None
    assert np.array_equal(layer.array, array.astype(np.float32))


@pytest.mark.parametrize(
    ("space", "stored", "full"), [("GRAYA", "u1", 255), ("GRAYA16", "u2", 65535)]
)
def test_krita_gray_becomes_equal_channels(space: str, stored: str, full: int) -> None:
    values = np.full((3, 3, 2), (full // 3, full), f"<{stored}")
    tiles = kra_tiles(values, stored)
    data = kra_bytes(kra_layer("L", "layer2", colorspacename=space), {"layers/layer2": tiles})

    layer = parse(data).layers[0]

    assert layer.array is not None
    assert layer.array[0, 0].tolist() == [full // 3] * 3 + [full]


def test_a_krita_layer_that_is_filled_covers_the_canvas() -> None:
    tiles = kra_tiles(kra_stored(np.full((64, 64, 4), 9, np.uint8), "u1"), "u1")
    files = {"layers/layer2": tiles, "layers/layer2.defaultpixel": bytes([3, 2, 1, 255])}

    flat = flatten(parse(kra_bytes(kra_layer("L", "layer2"), files)))

    assert flat.shape == (80, 100, 4)
    assert flat[79, 99].tolist() == [1, 2, 3, 255]


def test_krita_groups_offsets_and_settings() -> None:
    tiles = kra_tiles(kra_stored(opaque(10, 10), "u1"), "u1")
    inner = kra_layer(
        "in", "layer3", x="7", y="-2", opacity="51", compositeop="multiply", visible="0"
    )
    group = (
        '<layer name="G" nodetype="grouplayer" filename="layer2" opacity="255" visible="1" '
        f'compositeop="normal" passthrough="1"><layers>{inner}</layers></layer>'
    )

    document = parse(kra_bytes(group, {"layers/layer3": tiles}))

    found = document.layers[0]
    assert found.children is not None
    layer = found.children[0]
    assert found.pass_through
    assert (layer.x, layer.y, layer.opacity, layer.blend, layer.visible) == (
        7,
        -2,
        0.2,
        "multiply",
        False,
    )


def test_krita_transparency_masks_are_applied() -> None:
    tiles = kra_tiles(kra_stored(opaque(64, 64), "u1"), "u1")
    shown = np.zeros((64, 64, 1), np.uint8)
    shown[:, :20] = 255
    layer = kra_layer("L", "layer2").replace(
        "/>",
        '><masks><mask nodetype="transparencymask" filename="mask3" x="0" y="0" visible="1"/>'
        "</masks></layer>",
    )
    files = {"layers/layer2": tiles, "layers/mask3.pixelselection": kra_tiles(shown, "u1")}

    alpha = flatten(parse(kra_bytes(layer, files)))[..., 3]

    assert (alpha[:64, :20] == 255).all()
    assert (alpha[:, 20:] == 0).all()


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"nodetype": "shapelayer"}, "a vector layer"),
        ({"nodetype": "adjustmentlayer"}, "a filter layer"),
        ({"colorspacename": "CMYK"}, "a layer in the colour space CMYK"),
        ({"compositeop": "greater"}, "a layer with the blending mode 'greater'"),
    ],
)
def test_what_only_krita_draws_is_named(attributes: dict[str, str], said: str) -> None:
    tiles = kra_tiles(kra_stored(opaque(4, 4), "u1"), "u1")
    data = kra_bytes(kra_layer("L", "layer2", **attributes), {"layers/layer2": tiles})

    assert parse(data).foreign() == [f"L ({said})"]


# --- Photoshop ------------------------------------------------------------------------------------


def psd_file() -> bytes:
    psd = PSDImage.new("RGB", (30, 20))
    psd.create_pixel_layer(Image.fromarray(opaque(20, 30, 1)), name="below")
    group = psd.create_group(name="Gruppe")
    layer = psd.create_pixel_layer(Image.fromarray(opaque(5, 6, 2)), name="in", top=4, left=-2)
    layer.opacity = 128
    layer.blend_mode = BlendMode.SCREEN
    group.append(layer)
    output = io.BytesIO()
    psd.save(output)
    return output.getvalue()


def test_photoshop_layers_groups_and_pixels() -> None:
    document = parse(psd_file())

    assert [path for path, _ in document.walk()] == ["Gruppe", "Gruppe/in", "below"]
    inner, lowest = document.find("in"), document.find("below")
    assert (inner.x, inner.y, inner.blend) == (-2, 4, "screen")
    assert inner.opacity == pytest.approx(128 / 255)
    assert np.array_equal(inner.array, opaque(5, 6, 2))  # type: ignore[arg-type]
    assert np.array_equal(lowest.array, opaque(20, 30, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_photoshop_files_are_refused_or_read_without_what_is_lost(share: float) -> None:
    data = psd_file()

    try:
        document = parse(data[: int(len(data) * share)])
    except FileRejected as error:
        assert "Photoshop" in error.what
    else:
        assert (document.width, document.height) == (30, 20)


# --- all formats ----------------------------------------------------------------------------------


def test_layers_are_found_by_name_path_and_number() -> None:
    first, second, inner = (Layer(n, array=noise(2, 2)) for n in ("a", "a", "b"))
    group = Layer("g", children=[inner])
    document = Document(2, 2, [first, second, group])

    assert document.find("a[1]") is first
    assert document.find("a[2]") is second
    assert document.find("b") is inner
    assert document.find("g/b") is inner
    with pytest.raises(
        InvalidRequest, match=r"2 layers are named 'a'\. Say which one: a\[1\], a\[2\]"
    ):
        document.find("a")
    with pytest.raises(
        InvalidRequest, match=r"no layer named 'x'\. The layers are: a, a\[2\], g, g/b"
    ):
        document.find("x")


def test_a_document_comes_whole_out_of_the_child_process(tmp_path: Path) -> None:
    document = Document(
        9,
        8,
        [
            Layer("m", 1, 2, noise(3, 3), layer_mask=LayerMask(noise(2, 2)[..., 0], 1, 1, 0.5)),
            Layer("g", children=[Layer("f", array=noise(2, 2, dtype="float32"), icc=b"own")]),
            Layer("v", foreign="a vector layer"),
        ],
        icc=b"icc",
        merged=noise(8, 9, dtype="uint16"),
        notes=["a note"],
    )

    transfer.save(document, tmp_path)
    loaded = transfer.load(tmp_path)

    assert all(same(a, b) for a, b in zip(loaded.layers, document.layers, strict=True))
    assert loaded.layers[0].layer_mask is not None
    assert loaded.layers[0].layer_mask.outside == 0.5
    assert np.array_equal(loaded.merged, document.merged)  # type: ignore[arg-type]
    assert (loaded.icc, loaded.notes, loaded.foreign()) == (
        b"icc",
        ["a note"],
        ["v (a vector layer)"],
    )


def test_the_format_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "really_an_openraster.png"
    path.write_bytes(openraster.write(Document(4, 4, [Layer("a", array=noise(4, 4))])))

    assert read_document(path).layers[0].name == "a"
