"""Flat pictures (PNG, JPEG, TIFF, WebP) to arrays and back, 8 and 16 bit."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from intarsia_daemon.documents import deep_pictures, limits
from intarsia_daemon.documents.document import FULL
from intarsia_daemon.documents.limits import check_size, reject

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")
"""What Pillow may try."""
_ORIENTATION = 274


@dataclass
class Picture:
    """A decoded flat picture: (H, W, 4) straight alpha, turned upright."""

    array: np.ndarray
    icc: bytes | None = None
    notes: list[str] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)


def decode(data: bytes) -> Picture:
    """Decode a picture's bytes.

    Raises:
        FileRejected: No whole picture of `FORMATS`, or too large.
    """
    Image.MAX_IMAGE_PIXELS = limits.CANVAS_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deep = deep_pictures.decode_tiff(data)
            if deep is not None:
                return _finish(Picture(deep.array, deep.icc), deep.orientation, deep.pages)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                check_size(*image.size)
                return _decode(image, data)
    except UnidentifiedImageError:
        raise reject(
            "The file is no picture that can be read.",
            remedy="Use PNG, JPEG, TIFF, WebP, .ora, .kra or .psd.",
        ) from None
    except Image.DecompressionBombError:
        raise reject(
            f"The picture has more than {limits.CANVAS_PIXELS // 10**6} megapixels."
        ) from None
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, LookupError) as error:
        raise reject(f"The picture is broken or cut off ({error}).") from None
    except (TypeError, AttributeError, OverflowError, ZeroDivisionError, EOFError) as error:
        raise reject(f"The picture is broken ({type(error).__name__}: {error}).") from None


def _decode(image: Image.Image, data: bytes) -> Picture:
    picture = Picture(np.empty(0), icc=image.info.get("icc_profile") or None)
    orientation = int(image.getexif().get(_ORIENTATION, 1))
    if image.format == "TIFF":
        orientation = 1  # Pillow turns TIFFs itself while it loads them
    picture.text = {k: v for k, v in getattr(image, "text", {}).items() if isinstance(v, str)}
    # an MPO is how many phones store a JPEG: its further pictures are previews
    pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if deep_pictures.is_deep_png(data):
        picture.array = deep_pictures.decode_png(data)
    else:
        picture.array = _decode_8_bit(image, picture)
    return _finish(picture, orientation, pages)


def _finish(picture: Picture, orientation: int, pages: int) -> Picture:
    picture.array = np.ascontiguousarray(turn_upright(picture.array, orientation))
    if orientation not in (0, 1):
        picture.notes.append("The picture was turned upright, as the camera noted.")
    if pages > 1:
        picture.notes.append("Only the first of several pictures in the file is read.")
    if picture.icc is not None and len(picture.icc) > limits.PROFILE_BYTES:
        picture.icc = None
        picture.notes.append("The colour profile is too large and was left out.")
    return picture


def _decode_8_bit(image: Image.Image, picture: Picture) -> np.ndarray:
    image.load()
    if image.mode == "CMYK":
        image, picture.icc = _from_cmyk(image, picture), None
    elif image.mode not in ("RGB", "RGBA", "RGBa", "L", "LA", "La", "P", "PA", "1"):
        picture.notes.append(f"The colours were converted from {image.mode} to RGB.")
        image, picture.icc = image.convert("RGB"), None
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    return np.array(image.convert("RGBA"))


def _from_cmyk(image: Image.Image, picture: Picture) -> Image.Image:
    picture.notes.append("The colours were converted from CMYK to RGB.")
    if picture.icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            picture.notes.append("The colour profile is broken and was left out.")
    return image.convert("RGB")


def turn_upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation 1…8 (Exif 2.32, tag 274); others leave the array alone."""
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def encode_png(
    array: np.ndarray, icc: bytes | None = None, text: dict[str, str] | None = None
) -> bytes:
    """A PNG of (H, W, 4) uint8 or uint16, with a colour profile and iTXt entries.

    Raises:
        ValueError: The dtype is another one.
    """
    import cv2

    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a PNG holds uint8 or uint16, got {array.dtype}")
    ok, encoded = cv2.imencode(".png", np.ascontiguousarray(array[..., [2, 1, 0, 3]]))
    if not ok:
        raise ValueError("the picture could not be encoded")
    data = encoded.tobytes()
    head, rest = data[:33], data[33:]  # magic (8) and the IHDR chunk (25)
    extra = b""
    if icc is not None:
        extra += png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    for key, value in (text or {}).items():
        entry = key.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8")
        extra += png_chunk(b"iTXt", entry)
    return head + extra + rest


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def thumbnail(array: np.ndarray, side: int = 256) -> np.ndarray:
    """(H, W, 4) shrunk to at most ``side`` pixels a side, uint8."""
    step = max(1, min(array.shape[:2]) // (4 * side))  # thin out first: large canvases stay quick
    thin = array[::step, ::step] / FULL[array.dtype.name]
    small = np.rint(np.clip(thin, 0, 1) * 255).astype(np.uint8)
    return np.asarray(ImageOps.contain(Image.fromarray(small, "RGBA"), (side, side)))
