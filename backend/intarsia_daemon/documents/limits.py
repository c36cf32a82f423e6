"""What a file may ask for before it is refused, and how it is refused."""

from __future__ import annotations

from typing import Any

from intarsia_client.errors import IntarsiaError

FILE_BYTES = 4 * 1024**3
"""Largest file that is opened at all."""
SIDE = 65535
"""Pixels a side; also the wire's limit."""
CANVAS_PIXELS = 2**27
"""Pixels of a canvas or of one layer (134 megapixels)."""
TOTAL_PIXELS = 2**28
"""Pixels of all layers of a document together."""
LAYERS = 1000
DEPTH = 32
"""Groups within groups."""
NAME_LENGTH = 500
MEMBERS = 5000
"""Files in a zip container."""
MEMBER_BYTES = 2**30
CONTAINER_BYTES = 2 * 2**30
RATIO = 250
"""Unpacked : packed of a zip member; only looked at from `RATIO_FROM` bytes on."""
RATIO_FROM = 4 * 2**20
XML_BYTES = 8 * 2**20
PROFILE_BYTES = 8 * 2**20


class FileRejected(IntarsiaError):
    """A file cannot be read, or asks for more than is sane."""

    code = "FILE_REJECTED"


def reject(what: str, *, value: Any = None, remedy: str = "") -> FileRejected:
    """The error for a file that is refused; the reading side adds the file's name."""
    return FileRejected(
        what, value=value, remedy=remedy or "Save it again, or choose another file."
    )


def check_size(width: int, height: int, what: str = "The picture") -> None:
    """Check one rectangle of pixels before it is allocated.

    Raises:
        FileRejected: A side is not in [1, `SIDE`], or there are more than `CANVAS_PIXELS`.
    """
    if not (1 <= width <= SIDE and 1 <= height <= SIDE):
        raise reject(
            f"{what} says it has {width}x{height} pixels; a side may have 1 to {SIDE}.",
            value=[width, height],
        )
    if width * height > CANVAS_PIXELS:
        raise reject(
            f"{what} has {width}x{height} pixels; "
            f"at most {CANVAS_PIXELS // 10**6} megapixels are read.",
            value=[width, height],
            remedy="Make it smaller first.",
        )


class Budget:
    """Counts what a document asks for while it is read."""

    def __init__(self) -> None:
        self._layers = 0
        self._pixels = 0

    def layer(self, depth: int) -> None:
        """Count one layer or group.

        Raises:
            FileRejected: There are more than `LAYERS`, or groups nest deeper than `DEPTH`.
        """
        self._layers += 1
        if self._layers > LAYERS:
            raise reject(f"The document has more than {LAYERS} layers.", value=self._layers)
        if depth > DEPTH:
            raise reject(f"The document nests groups more than {DEPTH} deep.", value=depth)

    def pixels(self, width: int, height: int, what: str) -> None:
        """Count one layer's rectangle before it is allocated.

        Raises:
            FileRejected: The rectangle, or the sum of all, is too large.
        """
        check_size(width, height, what)
        self._pixels += width * height
        if self._pixels > TOTAL_PIXELS:
            raise reject(
                f"The layers have more than {TOTAL_PIXELS // 10**6} megapixels together.",
                value=self._pixels,
                remedy="Crop the layers to the canvas, or merge some of them.",
            )


def clean_name(name: str) -> str:
    """A layer's name without control characters, at most `NAME_LENGTH` long."""
    return "".join(c for c in name if c.isprintable())[:NAME_LENGTH]
