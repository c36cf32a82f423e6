"""Flat pictures (PNG, JPEG, TIFF, WebP) to arrays and back, 8 and 16 bit."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from intarsia_daemon.documents import limits
from intarsia_daemon.documents.document import FULL
from intarsia_daemon.documents.limits import check_size, reject

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "MPO")
"""What Pillow may try; MPO is how many phones store a JPEG."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 274
_BITS, _SAMPLE_FORMAT, _EXTRA_SAMPLES = 258, 339, 338


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
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, KeyError) as error:
        raise reject(f"The picture is broken or cut off ({error}).") from None


def _decode(image: Image.Image, data: bytes) -> Picture:
    picture = Picture(np.empty(0), icc=image.info.get("icc_profile") or None)
    if picture.icc is not None and len(picture.icc) > limits.PROFILE_BYTES:
        picture.icc = None
        picture.notes.append("The colour profile is too large and was left out.")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        picture.notes.append("Only the first of several pictures in the file is read.")
    orientation = int(image.getexif().get(_ORIENTATION, 1))
    if _is_deep(image, data):
        array, orientation = _decode_deep(data, image), 1 if image.format == "TIFF" else orientation
    else:
        if image.format == "TIFF":
            orientation = 1  # Pillow turns TIFFs itself while it loads them
        array = _decode_8_bit(image, picture)
    picture.array = np.ascontiguousarray(turn_upright(array, orientation))
    if orientation not in (0, 1):
        picture.notes.append("The picture was turned upright, as the camera noted.")
    picture.text = {k: v for k, v in getattr(image, "text", {}).items() if isinstance(v, str)}
    return picture


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether the file has more than 8 bits per sample."""
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        return max(np.atleast_1d(tags.get(_BITS, 8))) > 8
    return False


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


def _decode_deep(data: bytes, image: Image.Image) -> np.ndarray:
    """16-bit integer or 32-bit float samples; Pillow would cut them to 8 bit."""
    import cv2

    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16, np.float32):
        kind = "" if decoded is None else f" ({decoded.dtype} samples)"
        raise reject(
            f"The picture's sample format is not supported{kind}.",
            remedy="Save it with 8 or 16 bits, or 32-bit float, per channel.",
        )
    array = to_rgba(decoded[..., None] if decoded.ndim == 2 else decoded, bgr=True)
    extra = getattr(image, "tag_v2", {}).get(_EXTRA_SAMPLES, (2,))
    if decoded.ndim == 3 and decoded.shape[2] == 4 and tuple(np.atleast_1d(extra))[:1] == (1,):
        array = straight_alpha(array)
    return array


def to_rgba(array: np.ndarray, *, bgr: bool = False) -> np.ndarray:
    """(H, W, 1…4) gray, gray + alpha, RGB or RGBA to (H, W, 4)."""
    height, width, channels = array.shape
    full = FULL[array.dtype.name]
    result = np.empty((height, width, 4), array.dtype)
    if channels <= 2:
        result[..., :3] = array[..., :1]
    else:
        result[..., :3] = array[..., 2::-1] if bgr else array[..., :3]
    result[..., 3] = array[..., -1] if channels in (2, 4) else full
    return result


def straight_alpha(array: np.ndarray) -> np.ndarray:
    """Premultiplied (H, W, 4) to straight alpha, same dtype."""
    full = FULL[array.dtype.name]
    alpha = array[..., 3:].astype(np.float64) / full
    color = array[..., :3] / np.where(alpha > 0, alpha, 1)
    result = array.copy()
    result[..., :3] = color if array.dtype == np.float32 else np.rint(np.clip(color, 0, full))
    return result


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
    small = np.rint(np.clip(array / FULL[array.dtype.name], 0, 1) * 255).astype(np.uint8)
    image = ImageOps.contain(Image.fromarray(small, "RGBA"), (side, side))
    return np.asarray(image)
