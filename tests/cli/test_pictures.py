"""Flat pictures: every depth and colour type arrives as it was written."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from tests.cli.sample_files import noise, opaque, png_bytes

from intarsia_daemon.documents import pictures
from intarsia_daemon.documents.deep_pictures import PNG_MAGIC
from intarsia_daemon.documents.limits import FileRejected


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    output = io.BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def test_8_bit_png_with_alpha_is_exact() -> None:
    array = noise(5, 7)

    assert np.array_equal(pictures.decode(png_bytes(array)).array, array)


def test_8_bit_webp_lossless_is_exact() -> None:
    array = opaque(5, 7)
    data = encoded(Image.fromarray(array), "WEBP", lossless=True)

    assert np.array_equal(pictures.decode(data).array, array)


def test_jpeg_is_what_pillow_decodes() -> None:
    data = encoded(Image.fromarray(opaque(16, 24)[..., :3]), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))

    assert np.array_equal(pictures.decode(data).array, expected)


def test_16_bit_png_keeps_its_depth() -> None:
    array = noise(5, 7, dtype="uint16")
    data = cv2.imencode(".png", array[..., [2, 1, 0, 3]])[1].tobytes()

    decoded = pictures.decode(data).array

    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, array)


def test_16_bit_gray_png_becomes_equal_channels() -> None:
    gray = noise(5, 7, dtype="uint16")[..., 0]
    data = cv2.imencode(".png", gray)[1].tobytes()

    decoded = pictures.decode(data).array

    assert np.array_equal(decoded[..., 0], gray)
    assert np.array_equal(decoded[..., 2], gray)
    assert (decoded[..., 3] == 65535).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_tiff_keeps_its_depth(tmp_path: Path, dtype: str, compression: str | None) -> None:
    array = noise(6, 9, dtype=dtype)
    path = tmp_path / "deep.tif"
    tifffile.imwrite(
        path, array, photometric="rgb", extrasamples=["unassalpha"], compression=compression
    )

    decoded = pictures.decode(path.read_bytes()).array

    assert decoded.dtype == dtype
    assert np.allclose(decoded, array, atol=0 if dtype == "uint16" else 1e-6)


def test_premultiplied_16_bit_tiff_becomes_straight(tmp_path: Path) -> None:
    path = tmp_path / "associated.tif"
    premultiplied = np.full((2, 2, 4), [10000, 20000, 30000, 32768], np.uint16)
    tifffile.imwrite(path, premultiplied, photometric="rgb", extrasamples=["assocalpha"])

    decoded = pictures.decode(path.read_bytes()).array

    expected = [round(v * 65535 / 32768) for v in (10000, 20000, 30000)]
    assert decoded[0, 0].tolist() == [*expected, 32768]


def test_gray_with_alpha_and_palette_with_transparency_are_read() -> None:
    gray = Image.fromarray(noise(4, 4)[..., :2].copy(), "LA")
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])

    from_gray = pictures.decode(encoded(gray, "PNG")).array
    from_palette = pictures.decode(encoded(palette, "PNG", transparency=0)).array

    assert np.array_equal(from_gray, np.asarray(gray.convert("RGBA")))
    assert from_palette[0].tolist() == [[255, 0, 0, 0], [0, 0, 255, 255]]


def test_1_bit_pictures_are_black_and_white() -> None:
    image = Image.fromarray(np.array([[True, False]]))

    assert pictures.decode(encoded(image, "PNG")).array[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_turned_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    array = np.zeros((8, 16, 3), np.uint8)
    array[:4, :8] = [255, 0, 0]
    array[4:, 8:] = [0, 0, 255]
    image = Image.fromarray(array)
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(image, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))

    decoded = pictures.decode(data).array[..., :3]

    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= 2
    assert expected.shape[0] == (16 if orientation > 4 else 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_16_bit_tiffs_are_turned_like_8_bit_ones(orientation: int) -> None:
    deep = opaque(4, 6, dtype="uint16")[..., :3]
    extra = [(274, 3, 1, orientation, True)]
    files = []
    for array in (deep, (deep >> 8).astype(np.uint8)):
        output = io.BytesIO()
        tifffile.imwrite(output, array, photometric="rgb", extratags=extra)
        files.append(pictures.decode(output.getvalue()).array)

    assert np.array_equal(files[0][..., :3] >> 8, files[1][..., :3])
    assert files[0].shape[0] == (6 if orientation > 4 else 4)


def test_cmyk_is_converted_and_said() -> None:
    data = encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG")

    picture = pictures.decode(data)

    assert picture.array[0, 0, 0] > 200 > 60 > picture.array[0, 0, 1]
    assert "CMYK" in picture.notes[0]


def test_only_the_first_page_of_a_tiff_is_read_and_said() -> None:
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    data = encoded(first, "TIFF", save_all=True, append_images=[second])

    picture = pictures.decode(data)

    assert picture.array[0, 0].tolist() == [255, 0, 0, 255]
    assert "first" in picture.notes[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_written_pngs_are_read_back_exactly_with_profile_and_text(dtype: str) -> None:
    array = noise(5, 7, dtype=dtype)

    data = pictures.encode_png(array, b"a profile", {"intarsia:recipe": '{"größe": 1}'})
    picture = pictures.decode(data)

    assert np.array_equal(picture.array, array)
    assert picture.icc == b"a profile"
    assert picture.text["intarsia:recipe"] == '{"größe": 1}'


def test_float_arrays_are_no_png() -> None:
    with pytest.raises(ValueError, match="uint8 or uint16, got float32"):
        pictures.encode_png(np.zeros((2, 2, 4), np.float32))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_cut_off_pictures_are_refused(kind: str, share: float) -> None:
    data = encoded(Image.fromarray(opaque(40, 40)[..., :3]), kind)

    with pytest.raises(FileRejected):
        pictures.decode(data[: int(len(data) * share)])


def test_a_png_that_claims_a_huge_size_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    data = (
        PNG_MAGIC
        + pictures.png_chunk(b"IHDR", header)
        + pictures.png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        + pictures.png_chunk(b"IEND", b"")
    )

    with pytest.raises(FileRejected, match="megapixels"):
        pictures.decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a" + bytes(20)]
)
def test_other_formats_are_refused_with_the_formats_there_are(data: bytes) -> None:
    with pytest.raises(FileRejected, match="Use PNG, JPEG, TIFF"):
        pictures.decode(data)
