"""From result layers to files: the picture's colours and layers stay, the recipe travels along."""

from __future__ import annotations

import io
import zipfile
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
    png_bytes,
    save_png,
    wide_profile,
)

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation, Result, ResultLayer
from intarsia_daemon import recipes
from intarsia_daemon.cli.outputs import Written, check_target, write_output
from intarsia_daemon.cli.sources import Source, SourceReader
from intarsia_daemon.cli.wishes import Wish
from intarsia_daemon.documents import formats, openraster, pictures
from intarsia_daemon.documents.document import Document, Layer
from intarsia_daemon.output_manifest import write_whole

OPERATION = Operation(
    "test",
    "Test",
    "Test",
    "For tests.",
    (
        Input("picture", "picture", "Picture", "A picture."),
        Input("element", "element", "Element", "An element."),
        Input("piece", "element", "Piece", "Says where something goes.", required=False),
    ),
    (),
)
RECIPE = {"operation": "test", "version": 1, "parameters": {"größe": 1.5}, "seed": 7}


def result_of(array: np.ndarray, x: int = 0, y: int = 0, name: str = "Result") -> Result:
    kind = {"uint8": "u8", "uint16": "u16", "float32": "f32"}[array.dtype.name]
    channels = 1 if array.ndim == 2 else 4
    height, width = array.shape[:2]
    layer = ResultLayer(name, width, height, channels, array.tobytes(), kind, x, y)
    return Result((layer,), RECIPE)


def source(path: Path, layer: str = "", name: str = "picture") -> Source:
    return SourceReader().read(Wish(name, path, layer))


def written(path: Path, sources: list[Source], result: Result, **more: bool) -> Written:
    return write_output(path, OPERATION, sources, result, **more)


def test_a_png_is_the_picture_with_the_result_over_it(tmp_path: Path) -> None:
    picture = opaque(6, 8)
    patch = opaque(2, 3, 1)

    written(
        tmp_path / "o.png", [source(save_png(tmp_path / "p.png", picture))], result_of(patch, 4, 1)
    )

    expected = picture.copy()
    expected[1:3, 4:7] = patch
    assert np.array_equal(pictures.decode((tmp_path / "o.png").read_bytes()).array, expected)


def test_the_element_lies_between_picture_and_result(tmp_path: Path) -> None:
    picture, element = opaque(4, 4), np.zeros((4, 4, 4), np.uint8)
    element[0] = [9, 9, 9, 255]
    result = np.zeros((4, 4, 4), np.uint8)
    result[0, 0] = [1, 2, 3, 255]
    sources = [
        source(save_png(tmp_path / "p.png", picture)),
        source(save_png(tmp_path / "e.png", element), name="element"),
    ]

    written(tmp_path / "o.png", sources, result_of(result))

    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert out[0, 0].tolist() == [1, 2, 3, 255]
    assert out[0, 1].tolist() == [9, 9, 9, 255]
    assert np.array_equal(out[1:], picture[1:])


def test_masks_become_the_alpha_of_layers_in_a_group_and_colours_stay_below(tmp_path: Path) -> None:
    picture, red, blue = opaque(4, 4), opaque(2, 2, 1), opaque(2, 2, 2)
    shown = np.array([[0, 255], [128, 255]], np.uint8)
    layers = (
        ResultLayer("Map", 4, 4, 4, opaque(4, 4, 3).tobytes()),
        ResultLayer("Red", 2, 2, 4, red.tobytes(), x=1, y=1, group="Mosaic"),
        ResultLayer("Blue", 2, 2, 4, blue.tobytes(), x=1, y=1, group="Mosaic"),
        ResultLayer("Blue", 2, 2, 1, shown.tobytes(), x=1, y=1, mask_of=2),
    )
    sources = [source(save_png(tmp_path / "p.png", picture))]

    written(tmp_path / "o.ora", sources, Result(layers, RECIPE))
    written(tmp_path / "o.png", sources, Result(layers, RECIPE))

    document = formats.parse((tmp_path / "o.ora").read_bytes(), "o.ora")
    assert [path for path, _ in document.walk()][:4] == [
        *("Mosaic", "Mosaic/Blue", "Mosaic/Red", "Map")
    ]
    top = document.find("Mosaic/Blue")
    assert top.array is not None
    assert np.array_equal(top.array[..., 3], shown)
    assert np.array_equal(top.array[..., :3], blue[..., :3])
    flat = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert np.array_equal(flat[1, 1], red[0, 0]) and np.array_equal(flat[1, 2], blue[0, 1])
    half = np.rint(blue[1, 0] * (128 / 255.0) + red[1, 0] * (127 / 255.0))
    assert np.allclose(flat[2, 1], half, atol=1)


def test_an_optional_element_is_no_part_of_the_picture(tmp_path: Path) -> None:
    picture, nothing = opaque(4, 4), np.zeros((4, 4, 4), np.uint8)
    sources = [
        source(save_png(tmp_path / "p.png", picture)),
        source(save_png(tmp_path / "e.png", opaque(2, 2, 9)), name="piece"),
    ]

    written(tmp_path / "o.png", sources, result_of(nothing))

    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert np.array_equal(out, picture)


def test_a_contact_sheet_beside_the_picture_is_not_cut_off(tmp_path: Path) -> None:
    sheet = opaque(9, 20, 3)
    picture = source(save_png(tmp_path / "p.png", opaque(6, 8)))

    written(tmp_path / "o.png", [picture], result_of(sheet), layers_only=True)

    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert np.array_equal(out, sheet)


def test_16_bit_pictures_stay_16_bit_and_exact(tmp_path: Path) -> None:
    picture = opaque(4, 4, dtype="uint16")
    (tmp_path / "p.png").write_bytes(pictures.encode_png(picture))
    nothing = np.zeros((4, 4, 4), np.uint16)

    written(tmp_path / "o.png", [source(tmp_path / "p.png")], result_of(nothing))

    assert np.array_equal(pictures.decode((tmp_path / "o.png").read_bytes()).array, picture)


def test_the_profile_is_kept_and_untouched_pixels_are_exact(tmp_path: Path) -> None:
    icc, picture = wide_profile(), opaque(8, 8)
    (tmp_path / "p.png").write_bytes(pictures.encode_png(picture, icc))
    wide = source(tmp_path / "p.png")
    assert wide.profile is not None
    sent = np.frombuffer(wide.pixels(OPERATION.inputs[0]).data, np.uint8).reshape(8, 8, 4)
    patch = np.zeros((8, 8, 4), np.uint8)
    patch[:4] = [90, 120, 100, 255]  # as the engine sees it: sRGB

    written(tmp_path / "o.png", [wide], result_of(patch))

    out = pictures.decode((tmp_path / "o.png").read_bytes())
    assert out.icc == icc
    assert np.array_equal(out.array[4:], picture[4:])
    back = wide.profile.to_srgb(out.array)
    assert np.abs(back[:4].astype(int) - patch[:4]).max() <= 2
    assert not np.array_equal(out.array[:4], patch[:4])
    assert not np.array_equal(sent, picture)


def test_an_element_with_another_profile_is_converted_to_the_pictures(tmp_path: Path) -> None:
    element = np.full((4, 4, 4), (200, 60, 60, 255), np.uint8)
    (tmp_path / "e.png").write_bytes(pictures.encode_png(element, wide_profile()))
    wide = source(tmp_path / "e.png", name="element")
    sources = [source(save_png(tmp_path / "p.png", opaque(4, 4))), wide]
    nothing = np.zeros((4, 4, 4), np.uint8)

    written(tmp_path / "o.png", sources, result_of(nothing))

    assert wide.profile is not None
    out = pictures.decode((tmp_path / "o.png").read_bytes()).array
    assert np.array_equal(out, wide.profile.to_srgb(element))


def test_layers_only_leaves_the_rest_transparent(tmp_path: Path) -> None:
    sources = [source(save_png(tmp_path / "p.png", opaque(4, 4)))]

    written(tmp_path / "o.png", sources, result_of(opaque(2, 2), 1, 1), layers_only=True)

    alpha = pictures.decode((tmp_path / "o.png").read_bytes()).array[..., 3]
    assert alpha.sum() == 4 * 255


def layered_document() -> Document:
    inner = Layer("Cat", 2, 3, noise(3, 3, 1), opacity=0.5, blend="multiply")
    layers = [
        Layer("Frame", array=noise(6, 8, 2), visible=False),
        Layer("Zoo", children=[inner], pass_through=True),
        Layer("Sky", array=opaque(6, 8)),
    ]
    return Document(8, 6, layers)


def test_openraster_keeps_the_original_layers_and_adds_the_result_above_the_element(
    tmp_path: Path,
) -> None:
    document = layered_document()
    (tmp_path / "d.ora").write_bytes(openraster.write(document))
    reader = SourceReader()
    sources = [
        reader.read(Wish("picture", tmp_path / "d.ora", "below:Cat")),
        reader.read(Wish("element", tmp_path / "d.ora", "Cat")),
    ]

    written(tmp_path / "o.ora", sources, result_of(opaque(2, 2), 1, 1))

    out = formats.parse((tmp_path / "o.ora").read_bytes(), "o")
    assert [path for path, _ in out.walk()] == ["Frame", "Zoo", "Zoo/Result", "Zoo/Cat", "Sky"]
    for path, layer in document.walk():
        kept = out.find(path)
        assert (kept.x, kept.y, kept.opacity, kept.visible) == (
            layer.x,
            layer.y,
            layer.opacity,
            layer.visible,
        )
        assert (kept.blend, kept.pass_through) == (layer.blend, layer.pass_through)
        assert layer.array is None or np.array_equal(kept.array, layer.array)  # type: ignore[arg-type]


def test_openraster_from_flat_files_has_picture_element_and_result(tmp_path: Path) -> None:
    sources = [
        source(save_png(tmp_path / "p.png", opaque(4, 4))),
        source(save_png(tmp_path / "e.png", noise(4, 4)), name="element"),
    ]

    written(tmp_path / "o.ora", sources, result_of(opaque(2, 2)))

    out = formats.parse((tmp_path / "o.ora").read_bytes(), "o")
    assert [layer.name for layer in out.layers] == ["Result", "e", "p"]


def test_layers_that_openraster_cannot_hold_are_replaced_by_the_flat_picture(
    tmp_path: Path,
) -> None:
    tiles = kra_tiles(kra_stored(opaque(64, 64), "u1"), "u1")
    layers = kra_layer("Text", "layer3", nodetype="shapelayer") + kra_layer("Paint", "layer2")
    with zipfile.ZipFile(
        io.BytesIO(kra_bytes(layers, {"layers/layer2": tiles}, size=(64, 64)))
    ) as container:
        members = {name: container.read(name) for name in container.namelist()}
    with zipfile.ZipFile(tmp_path / "d.kra", "w") as container:
        for name, data in {**members, "mergedimage.png": png_bytes(opaque(64, 64, 5))}.items():
            container.writestr(name, data)

    result = written(tmp_path / "o.ora", [source(tmp_path / "d.kra")], result_of(opaque(2, 2)))

    out = formats.parse((tmp_path / "o.ora").read_bytes(), "o")
    assert [layer.name for layer in out.layers] == ["Result", "Flat picture", "Paint"]
    assert np.array_equal(out.layers[1].array, opaque(64, 64, 5))  # type: ignore[arg-type]
    assert "cannot hold Text" in result.notes[0]


def test_a_mask_result_becomes_a_gray_layer(tmp_path: Path) -> None:
    gray = noise(4, 4)[..., 0].copy()
    sources = [source(save_png(tmp_path / "p.png", opaque(4, 4)))]

    written(tmp_path / "o.ora", sources, result_of(gray), layers_only=True)

    out = formats.parse((tmp_path / "o.ora").read_bytes(), "o").layers[0].array
    assert out is not None
    assert np.array_equal(out[..., 1], gray)


@pytest.mark.parametrize("name", ["o.png", "o.ora"])
def test_the_recipe_comes_back_from_the_output(tmp_path: Path, name: str) -> None:
    sources = [source(save_png(tmp_path / "p.png", opaque(4, 4)))]

    written(tmp_path / name, sources, result_of(opaque(2, 2)))

    assert recipes.read_recipe(tmp_path / name) == RECIPE


def test_the_recipes_hash_is_of_what_was_asked() -> None:
    other = {**RECIPE, "device": "cuda", "inputs": [1]}

    assert recipes.recipe_hash(RECIPE) == recipes.recipe_hash(other)
    assert recipes.recipe_hash(RECIPE) != recipes.recipe_hash({**RECIPE, "seed": 8})


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", png_bytes(opaque(2, 2)), b"PK\3\4", b"\xff\xfe"]
)
def test_files_without_a_recipe_say_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r"
    path.write_bytes(data)

    with pytest.raises(InvalidRequest, match="recipe"):
        recipes.read_recipe(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("o.jpg", "must be a .png or an .ora"),
        ("no/o.png", "there is no folder"),
        ("in.png", "is also an input"),
        ("folder.png", "cannot be written"),
    ],
)
def test_targets_are_checked_beforehand(tmp_path: Path, name: str, said: str) -> None:
    save_png(tmp_path / "in.png", opaque(2, 2))
    (tmp_path / "folder.png").mkdir()

    with pytest.raises(InvalidRequest, match=said):
        check_target(tmp_path / name, [tmp_path / "in.png"])


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "o.png"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")

    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["o.png"]
