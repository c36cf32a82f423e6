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

    def copy(self) -> Pixbuf:
        return Pixbuf(self.data, self.width, self.height)

    def get_pixels(self) -> bytes:
        return self.data

    def composite(
        self,
        to: Pixbuf,
        left: int,
        top: int,
        width: int,
        height: int,
        x: float,
        y: float,
        scale_x: float,
        scale_y: float,
        interpolation: int,
        alpha: int,
    ) -> None:
        """The nearest pixel of each place, laid over what is there."""
        assert alpha == 255 and 0 <= left and 0 <= top
        assert left + width <= to.width and top + height <= to.height
        data = bytearray(to.data)
        for j in range(top, top + height):
            for i in range(left, left + width):
                column = min(self.width - 1, max(0, int((i + 0.5 - x) / scale_x)))
                row = min(self.height - 1, max(0, int((j + 0.5 - y) / scale_y)))
                at, there = 4 * (row * self.width + column), 4 * (j * to.width + i)
                cover = self.data[at + 3] / 255
                for c in range(3):
                    old = data[there + c]
                    data[there + c] = round(self.data[at + c] * cover + old * (1 - cover))
                data[there + 3] = max(data[there + 3], self.data[at + 3])
        to.data = bytes(data)
