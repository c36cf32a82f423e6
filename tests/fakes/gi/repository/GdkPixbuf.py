"""A picture that keeps its bytes and its size."""

from __future__ import annotations

from typing import Any


class Colorspace:
    RGB = 0


class InterpType:
    BILINEAR = 2


class Pixbuf:
    def __init__(self, data: bytes, width: int, height: int) -> None:
        if len(data) != 4 * width * height:
            raise AssertionError("%d bytes for %dx%d" % (len(data), width, height))
        self.data, self.width, self.height = data, width, height

    @classmethod
    def new(cls, space: int, alpha: bool, bits: int, width: int, height: int) -> Pixbuf:
        assert alpha and bits == 8
        return cls(bytes(4 * width * height), width, height)

    def fill(self, colour: int) -> None:
        self.data = colour.to_bytes(4, "big") * (self.width * self.height)

    @classmethod
    def new_from_bytes(
        cls, data: Any, space: int, alpha: bool, bits: int, width: int, height: int, stride: int
    ) -> Pixbuf:
        assert alpha and bits == 8 and stride == 4 * width
        return cls(data.get_data(), width, height)

    def get_width(self) -> int:
        return self.width

    def get_height(self) -> int:
        return self.height

    def composite_color_simple(self, width: int, height: int, *rest: Any) -> Pixbuf:
        return Pixbuf(bytes(4 * width * height), width, height)
