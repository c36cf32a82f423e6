"""Small layered files, made byte by byte, so that what a reader finds is known beforehand."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image, ImageCms

KRITA_ORDER = {"u1": [2, 1, 0, 3], "u2": [2, 1, 0, 3], "f2": [0, 1, 2, 3], "f4": [0, 1, 2, 3]}


def noise(height: int, width: int, seed: int = 0, dtype: str = "uint8") -> np.ndarray:
    """(height, width, 4) of random straight-alpha pixels."""
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.random((height, width, 4), np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, (height, width, 4), dtype=dtype)


def opaque(height: int, width: int, seed: int = 0, dtype: str = "uint8") -> np.ndarray:
    """As `noise`, with full alpha."""
    array = noise(height, width, seed, dtype)
    array[..., 3] = 1 if dtype == "float32" else np.iinfo(dtype).max
    return array


def save_png(path: Path, array: np.ndarray) -> Path:
    """Write (H, W, 4) uint8 with Pillow, which is not what we write with."""
    Image.fromarray(array, "RGBA").save(path)
    return path


def zip_of(members: dict[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file's bytes."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as container:
        for name, data in members.items():
            container.writestr(zipfile.ZipInfo(name), data, packed)
    return output.getvalue()


def png_bytes(array: np.ndarray) -> bytes:
    """A PNG of (H, W, 4) uint8."""
    output = io.BytesIO()
    Image.fromarray(array, "RGBA").save(output, "PNG")
    return output.getvalue()


def ora_bytes(stack: str, layers: dict[str, np.ndarray], size: tuple[int, int] = (8, 6)) -> bytes:
    """An OpenRaster file with that layer stack and those PNGs."""
    width, height = size
    members = {
        "mimetype": b"image/openraster",
        "stack.xml": f'<image w="{width}" h="{height}">{stack}</image>'.encode(),
    }
    members.update({name: png_bytes(array) for name, array in layers.items()})
    return zip_of(members)


def lzf(data: bytes) -> bytes:
    """Compress with LZF: literals, and a back reference for each long run of one byte."""
    output, literals, position = bytearray(), bytearray(), 0

    def flush() -> None:
        for start in range(0, len(literals), 32):
            part = literals[start : start + 32]
            output.append(len(part) - 1)
            output.extend(part)
        literals.clear()

    while position < len(data):
        run = 1
        while position + run < len(data) and data[position + run] == data[position] and run < 200:
            run += 1
        if run < 10:
            literals.append(data[position])
            position += 1
            continue
        literals.append(data[position])
        flush()
        length = run - 1  # repeats the byte before: distance 1, which overlaps itself
        output.extend([7 << 5, length - 9, 0])
        position += run
    flush()
    return bytes(output)


def kra_tiles(
    array: np.ndarray, dtype: str, x: int = 0, y: int = 0, *, packed: bool = True
) -> bytes:
    """Krita's tiles for (H, W, channels) as stored (already in Krita's channel order)."""
    height, width, channels = array.shape
    item = np.dtype(f"<{dtype}")
    left, top = x // 64 * 64, y // 64 * 64
    columns, rows = -(-(x + width - left) // 64), -(-(y + height - top) // 64)
    canvas = np.zeros((rows * 64, columns * 64, channels), item)
    canvas[y - top : y - top + height, x - left : x - left + width] = array
    pixel = channels * item.itemsize
    head = f"VERSION 2\nTILEWIDTH 64\nTILEHEIGHT 64\nPIXELSIZE {pixel}\nDATA {rows * columns}\n"
    output = bytearray(head.encode())
    for row in range(rows):
        for column in range(columns):
            tile = canvas[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
            raw = np.frombuffer(np.ascontiguousarray(tile).tobytes(), np.uint8)
            if packed:
                body = b"\1" + lzf(raw.reshape(-1, pixel).T.tobytes())
            else:
                body = b"\0" + raw.tobytes()
            output += f"{left + column * 64},{top + row * 64},LZF,{len(body)}\n".encode() + body
    return bytes(output)


def kra_bytes(layers: str, files: dict[str, bytes], size: tuple[int, int] = (100, 80)) -> bytes:
    """A Krita document named "Doc" with that layer list; files lie in Doc/."""
    document = (
        '<?xml version="1.0"?><!DOCTYPE DOC PUBLIC "-//KDE//DTD krita 2.0//EN" "x.dtd">'
        '<DOC xmlns="http://www.calligra.org/DTD/krita">'
        f'<IMAGE name="Doc" width="{size[0]}" height="{size[1]}" colorspacename="RGBA">'
        f"<layers>{layers}</layers></IMAGE></DOC>"
    )
    members = {"mimetype": b"application/x-krita", "maindoc.xml": document.encode()}
    members.update({f"Doc/{name}": data for name, data in files.items()})
    return zip_of(members)


def kra_layer(name: str, filename: str, **attributes: str) -> str:
    """A paint layer's element."""
    given = {
        "nodetype": "paintlayer",
        "colorspacename": "RGBA",
        "opacity": "255",
        "visible": "1",
        "compositeop": "normal",
        "x": "0",
        "y": "0",
        **attributes,
        "name": name,
        "filename": filename,
    }
    return "<layer " + " ".join(f"{k}={quoteattr(v)}" for k, v in given.items()) + "/>"


def kra_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """RGBA to Krita's channel order."""
    return array[..., KRITA_ORDER[dtype]]


def wide_profile() -> bytes:
    """A matrix profile with other primaries and another curve than sRGB: those of Adobe RGB.

    Made from sRGB's own profile by exchanging its tags' contents.
    """
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = bytes(12)  # the date: the same profile every time
    count = int.from_bytes(icc[128:132], "big")
    colorants = {  # Adobe RGB (1998) under D50
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + (563).to_bytes(2, "big")  # 563 / 256 = 2.2
    for index in range(count):
        entry = 132 + 12 * index
        name = bytes(icc[entry : entry + 4])
        offset = int.from_bytes(icc[entry + 4 : entry + 8], "big")
        if name in colorants:
            for number, value in enumerate(colorants[name]):
                place = offset + 8 + 4 * number
                icc[place : place + 4] = round(value * 65536).to_bytes(4, "big")
        elif name in (b"rTRC", b"gTRC", b"bTRC"):
            icc[offset : offset + len(curve)] = curve
            icc[entry + 8 : entry + 12] = len(curve).to_bytes(4, "big")
    return bytes(icc)
