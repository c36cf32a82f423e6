"""PNG and TIFF with more than 8 bits a sample, which Pillow would cut down to 8."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from intarsia_daemon.documents.document import FULL
from intarsia_daemon.documents.limits import check_size, reject

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ICC, _ORIENTATION = 34675, 274
_GRAY_IS_DARK, _GRAY, _RGB = 0, 1, 2
_ASSOCIATED = 1


@dataclass
class Deep:
    """Pixels of a deep picture: (H, W, 4) uint16 or float32, not yet turned upright."""

    array: np.ndarray
    icc: bytes | None = None
    orientation: int = 1
    pages: int = 1


def is_deep_png(data: bytes) -> bool:
    """Whether a file is a PNG with 16 bits a sample."""
    return data[:8] == PNG_MAGIC and len(data) > 24 and data[24] == 16


def decode_png(data: bytes) -> np.ndarray:
    """The (H, W, 4) uint16 pixels of a 16-bit PNG whose size was checked."""
    return _from_opencv(data)


def decode_tiff(data: bytes) -> Deep | None:
    """A TIFF with 16-bit integer or float samples; None for anything else.

    Raises:
        FileRejected: It is too large, broken, or of a kind that is not read.
    """
    if data[:4] not in _TIFF_MAGIC:
        return None
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        if page.dtype is None or page.dtype.itemsize == 1:
            return None
        check_size(page.imagewidth, page.imagelength)
        if page.dtype.name not in ("uint16", "float16", "float32"):
            raise reject(
                f"The TIFF has {page.dtype.name} samples, which are not read.",
                remedy="Save it with 8 or 16 bits, or as float, per channel.",
            )
        if int(page.photometric) not in (_GRAY_IS_DARK, _GRAY, _RGB):
            raise reject(
                f"The TIFF has {page.bitspersample} bits of {page.photometric.name} colour.",
                remedy="Save it as RGB or gray.",
            )
        array = _tiff_array(page, data)
        icc = page.tags.get(_ICC)
        turned = page.tags.get(_ORIENTATION)
        return Deep(
            array,
            bytes(icc.value) if icc is not None else None,
            int(turned.value) if turned is not None else 1,
            len(tiff.pages),
        )


def _tiff_array(page: object, data: bytes) -> np.ndarray:
    from tifffile import TiffPage

    assert isinstance(page, TiffPage)
    try:
        values = np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return _from_opencv(data)  # e.g. LZW, which OpenCV's libtiff unpacks
    if values.ndim == 3 and int(page.planarconfig) == 2:
        values = values.transpose(1, 2, 0)
    if values.ndim == 2:
        values = values[..., None]
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float32))
    values = values[..., :4] if int(page.photometric) == _RGB else values[..., :2]
    if int(page.photometric) == _GRAY_IS_DARK:
        values[..., 0] = FULL[values.dtype.name] - values[..., 0]
    array = to_rgba(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
    associated = [int(sample) for sample in page.extrasamples or ()][:1] == [_ASSOCIATED]
    return straight_alpha(array) if associated else array


def _from_opencv(data: bytes) -> np.ndarray:
    import cv2

    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype not in (np.uint16, np.float32):
        raise reject("The picture is broken, or packed in a way that is not read.")
    return to_rgba(decoded[..., None] if decoded.ndim == 2 else decoded, bgr=True)


def to_rgba(array: np.ndarray, *, bgr: bool = False) -> np.ndarray:
    """(H, W, 1…4) gray, gray + alpha, RGB or RGBA to (H, W, 4)."""
    height, width, channels = array.shape
    result = np.empty((height, width, 4), array.dtype)
    if channels <= 2:
        result[..., :3] = array[..., :1]
    else:
        result[..., :3] = array[..., 2::-1] if bgr else array[..., :3]
    result[..., 3] = array[..., -1] if channels in (2, 4) else FULL[array.dtype.name]
    return result


def straight_alpha(array: np.ndarray) -> np.ndarray:
    """Premultiplied (H, W, 4) to straight alpha, same dtype."""
    full = FULL[array.dtype.name]
    alpha = array[..., 3:].astype(np.float64) / full
    color = array[..., :3] / np.where(alpha > 0, alpha, 1)
    result = array.copy()
    result[..., :3] = color if array.dtype == np.float32 else np.rint(np.clip(color, 0, full))
    return result
