"""Many small pictures on one layer, each with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from intarsia_daemon.pixels import Layer

SMALLEST_TILE, LARGEST_TILE = 96, 256
"""Pixels a side; smaller pictures are enlarged, larger ones reduced."""
MANY, LARGEST_OF_MANY = 64, 128
"""Of more pictures than this each is at most so large."""
GAP, CAPTION, FONT_SIZE = 6, 18, 12
PAPER, INK = (250, 250, 250, 255), (20, 20, 20, 255)


def contact_sheet(
    name: str,
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    *,
    x: int = 0,
    y: int = 0,
    columns: int = 0,
) -> Layer:
    """Put pictures in rows.

    Args:
        name: The layer's name.
        pictures: (1, 3, R, R) in [-1, 1] each, all of one size; at least one.
        captions: One per picture; cut where they are too long.
        x: Left edge in canvas coordinates.
        y: Top edge in canvas coordinates.
        columns: How many pictures a row has; 0: as square a sheet as can be.

    Returns:
        An opaque u8 layer.
    """
    side = tile_side(pictures[0].shape[-1], len(pictures))
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    step = side + GAP
    size = (columns * step + GAP, rows * (step + CAPTION) + GAP)
    sheet = Image.new("RGBA", size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = GAP + index % columns * step, GAP + index // columns * (step + CAPTION)
        sheet.paste(Image.fromarray(_tile(picture, side)), (left, top))
        text = _fitting(draw, font, caption, side)
        draw.text((left + 1, top + side + 2), text, fill=INK, font=font)
    return Layer(name, np.array(sheet), x, y)


def tile_side(resolution: int, count: int) -> int:
    """Side of a tile: the picture's own where that is neither too small nor too large."""
    largest = LARGEST_TILE if count <= MANY else LARGEST_OF_MANY
    if resolution >= SMALLEST_TILE:
        return min(resolution, largest)
    return resolution * math.ceil(SMALLEST_TILE / resolution)


def _tile(picture: Tensor, side: int) -> np.ndarray:
    """(side, side, 3) u8."""
    levels = ((picture[0].detach().float().cpu() + 1) * 127.5).clamp(0, 255)
    array = np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
    if array.shape[0] != side:
        method = cv2.INTER_AREA if array.shape[0] > side else cv2.INTER_CUBIC
        array = cv2.resize(array, (side, side), interpolation=method)
    return array.round().clip(0, 255).astype(np.uint8)


def _fitting(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    caption: str,
    width: int,
) -> str:
    """As much of the caption as fits, with an ellipsis where it was cut."""
    text = "".join(letter if letter.isprintable() else " " for letter in caption)[:200]
    shown = text
    while text and draw.textlength(shown, font=font) > width - 2:  # edges of letters are soft
        text = text[:-1]
        shown = text.rstrip() + "..."
    return shown
