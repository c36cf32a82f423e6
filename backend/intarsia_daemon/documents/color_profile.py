"""Colour profiles: a document's colours to sRGB and back, at 8 bit, 16 bit and float.

8-bit pixels go through LittleCMS (Pillow). It takes no deeper ones there, so 16-bit and float
pixels are computed here for matrix profiles, which nearly every painting program writes.
Source: ICC.1:2022 (Profile version 4.4), 8.3.3 (matrix/TRC model), 10.6 and 10.18 (curves);
IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from intarsia_daemon.documents.document import FULL

SRGB_MATRIX = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
"""Linear sRGB to XYZ under D50 (the ICC's connection space), from the profile of IEC 61966-2-1."""
STRIP = 512
_SAMPLES = 65536

Curve = Callable[[np.ndarray], np.ndarray]


class ProfileError(ValueError):
    """A profile cannot be used."""


class ColorProfile:
    """A profile of RGB or gray pixels.

    Attributes:
        space: ``"RGB"`` or ``"GRAY"``.
        name: Its description, for notes.
        exact: Whether 16-bit and float pixels keep their depth (a matrix profile).
        is_srgb: Whether converting would change nothing that can be seen.
    """

    def __init__(self, icc: bytes) -> None:
        """Read a profile.

        Raises:
            ProfileError: It is broken, or of another colour space.
        """
        try:
            self._profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            self.name = ImageCms.getProfileDescription(self._profile).strip()
            self.space = icc[16:20].decode("ascii", "replace").strip()
            tags = _tags(icc)
        except (ImageCms.PyCMSError, OSError, struct.error, ValueError, IndexError) as error:
            raise ProfileError(f"the colour profile is broken ({error})") from None
        if self.space not in ("RGB", "GRAY"):
            raise ProfileError(f"the colour profile is of the space {self.space}, not RGB")
        self._icc = icc
        self._curves, self._matrix = self._model(tags)
        self.exact = self._curves is not None
        self.is_srgb = self._changes_nothing()

    def to_srgb(self, array: np.ndarray) -> np.ndarray:
        """(H, W, 4) in this profile's colours to sRGB, same dtype; alpha stays."""
        return self._convert(array, forward=True)

    def from_srgb(self, array: np.ndarray) -> np.ndarray:
        """(H, W, 4) sRGB to this profile's colours, same dtype; alpha stays."""
        return self._convert(array, forward=False)

    def _convert(self, array: np.ndarray, *, forward: bool) -> np.ndarray:
        if self.is_srgb:
            return array
        if array.dtype == np.uint8 and self.space == "RGB":
            return self._by_lcms(array, forward)
        if not self.exact:
            return self._by_lcms_at_8_bit(array, forward)
        result = array.copy()
        full = FULL[array.dtype.name]
        for top in range(0, len(array), STRIP):
            color = array[top : top + STRIP, :, :3] / full
            color = self._forward(color) if forward else self._backward(color)
            if array.dtype != np.float32:
                color = np.rint(np.clip(color, 0, 1) * full)
            result[top : top + STRIP, :, :3] = color
        return result

    def _by_lcms(self, array: np.ndarray, forward: bool) -> np.ndarray:
        srgb = ImageCms.createProfile("sRGB")
        pair = (self._profile, srgb) if forward else (srgb, self._profile)
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        result = array.copy()
        image = Image.fromarray(np.ascontiguousarray(array[..., :3]), "RGB")
        converted = ImageCms.profileToProfile(image, *pair, renderingIntent=intent)
        if converted is None:
            raise ProfileError("the colour profile could not be applied")
        result[..., :3] = np.asarray(converted)
        return result

    def _by_lcms_at_8_bit(self, array: np.ndarray, forward: bool) -> np.ndarray:
        full = FULL[array.dtype.name]
        small = np.rint(np.clip(array / full, 0, 1) * 255).astype(np.uint8)
        result = (self._by_lcms(small, forward) / 255.0 * full).astype(array.dtype)
        result[..., 3] = array[..., 3]
        return result

    def _model(self, tags: dict[str, bytes]) -> tuple[list[Curve] | None, np.ndarray]:
        """The tone curves and the matrix to linear sRGB, or None for a table profile."""
        if self.space == "GRAY":
            curve = _curve(tags["kTRC"]) if "kTRC" in tags else None
            return ([curve] * 3 if curve else None), np.eye(3)
        names = ("r", "g", "b")
        if "A2B0" in tags or any(f"{n}XYZ" not in tags or f"{n}TRC" not in tags for n in names):
            return None, np.eye(3)
        curves = [_curve(tags[f"{n}TRC"]) for n in names]
        columns = [struct.unpack(">3i", tags[f"{n}XYZ"][8:20]) for n in names]
        matrix = np.array(columns).T / 65536.0
        if any(curve is None for curve in curves) or abs(np.linalg.det(matrix)) < 1e-6:
            return None, np.eye(3)
        return [curve for curve in curves if curve], np.linalg.solve(SRGB_MATRIX, matrix)

    def _forward(self, color: np.ndarray) -> np.ndarray:
        assert self._curves is not None
        linear = np.stack([c(color[..., i]) for i, c in enumerate(self._curves)], -1)
        return encode_srgb(linear @ self._matrix.T)

    def _backward(self, color: np.ndarray) -> np.ndarray:
        assert self._curves is not None
        linear = np.clip(decode_srgb(color) @ np.linalg.inv(self._matrix).T, 0, 1)
        samples = np.linspace(0, 1, _SAMPLES)
        channels = []
        for index, curve in enumerate(self._curves):
            values = np.maximum.accumulate(curve(samples))
            channels.append(np.interp(linear[..., index], values, samples))
        return np.stack(channels, -1)

    def _changes_nothing(self) -> bool:
        steps = np.linspace(0, 1, 9)
        lattice = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        if self.space == "GRAY":
            lattice = np.repeat(np.linspace(0, 1, 256)[None, :, None], 3, -1)
        if self.exact:
            return float(np.abs(self._forward(lattice) - lattice).max()) < 1 / 255
        if self.space == "GRAY":
            return True
        small = np.rint(np.concatenate([lattice, lattice[..., :1]], -1) * 255).astype(np.uint8)
        return int(np.abs(self._by_lcms(small, True).astype(int) - small)[..., :3].max()) <= 1


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB's curve; values outside [0, 1] are clipped."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(color: np.ndarray) -> np.ndarray:
    """sRGB's curve to linear light, on [0, 1]."""
    color = np.clip(color, 0, 1)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _tags(icc: bytes) -> dict[str, bytes]:
    count = struct.unpack(">I", icc[128:132])[0]
    tags = {}
    for index in range(min(count, 200)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        name, offset, size = struct.unpack(">4sII", entry)
        tags[name.decode("ascii", "replace")] = icc[offset : offset + size]
    return tags


def _curve(tag: bytes) -> Curve | None:
    """A ``curv`` or ``para`` tag as a function on [0, 1]; None for anything else."""
    if tag[:4] == b"curv":
        count = struct.unpack(">I", tag[8:12])[0]
        if count == 0:
            return lambda x: x
        if count == 1:
            gamma = struct.unpack(">H", tag[12:14])[0] / 256
            return lambda x: np.clip(x, 0, None) ** gamma
        table = np.frombuffer(tag[12 : 12 + 2 * count], ">u2") / 65535.0
        return lambda x: np.interp(x, np.linspace(0, 1, len(table)), table)
    if tag[:4] == b"para":
        kind = struct.unpack(">H", tag[8:10])[0]
        if kind > 4:
            return None
        needed = (1, 3, 4, 5, 7)[kind]
        values = [v / 65536 for v in struct.unpack(f">{needed}i", tag[12 : 12 + 4 * needed])]
        return _parametric(kind, values)
    return None


def _parametric(kind: int, values: list[float]) -> Curve:
    """ICC.1:2022 table 68: Y = (aX + b)^g + c from d on, cX + f below."""
    g = values[0]
    a, b = (values[1], values[2]) if kind else (1.0, 0.0)
    low, add_high, add_low = 0.0, 0.0, 0.0
    start = -b / a if kind in (1, 2) and a else 0.0
    if kind == 2:
        add_high = add_low = values[3]
    if kind >= 3:
        low, start = values[3], values[4]
    if kind == 4:
        add_high, add_low = values[5], values[6]

    def apply(x: np.ndarray) -> np.ndarray:
        high = np.clip(a * x + b, 0, None) ** g + add_high
        return np.where(x >= start, high, low * x + add_low)

    return apply
