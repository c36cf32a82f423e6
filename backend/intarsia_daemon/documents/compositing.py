"""Drawing a document: the layers over each other, as the painter sees them.

Source: W3C Compositing and Blending Level 1, sections 5.1 (simple alpha compositing), 9 (blending)
and 5.8 (groups); Photoshop's clipping groups and Krita's *inherit alpha* are drawn as source-atop.
Drawing happens in the document's own colour space, as Krita and Photoshop do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intarsia_daemon.documents.blend_modes import MODES
from intarsia_daemon.documents.document import FULL, Document, Layer, LayerMask

STRIP = 256
"""Rows drawn at a time, so that large canvases need little memory."""


@dataclass
class _Canvas:
    """A rectangle being drawn: straight colour (h, w, 3) and alpha (h, w, 1), float32."""

    x: int
    y: int
    color: np.ndarray
    alpha: np.ndarray

    @classmethod
    def empty(cls, x: int, y: int, width: int, height: int) -> _Canvas:
        color = np.zeros((height, width, 3), np.float32)
        return cls(x, y, color, np.zeros((height, width, 1), np.float32))

    @property
    def size(self) -> tuple[int, int]:
        return self.alpha.shape[1], self.alpha.shape[0]

    def copy(self) -> _Canvas:
        return _Canvas(self.x, self.y, self.color.copy(), self.alpha.copy())

    def overlap(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice] | None:
        """The part of this canvas that a rectangle covers, as rows and columns."""
        own_width, own_height = self.size
        left, top = max(0, x - self.x), max(0, y - self.y)
        right = min(own_width, x + width - self.x)
        bottom = min(own_height, y + height - self.y)
        if right <= left or bottom <= top:
            return None
        return slice(top, bottom), slice(left, right)


def flatten(document: Document) -> np.ndarray:
    """The whole document, (H, W, 4) straight alpha in its colour space.

    What only the writing program can draw is left out; `Document.foreign` lists it.
    """
    return render(document.layers, 0, 0, document.width, document.height)


def below(document: Document, layer: Layer) -> np.ndarray:
    """The document without a layer and what lies above it, (H, W, 4)."""

    def cut(layers: list[Layer]) -> list[Layer] | None:
        for index, item in enumerate(layers):
            if item is layer:
                return layers[index + 1 :]
            inner = cut(item.children) if item.children is not None else None
            if inner is not None:
                group = Layer(**{**vars(item), "children": inner})
                return [group, *layers[index + 1 :]]
        return None

    rest = cut(document.layers)
    if rest is None:
        raise ValueError(f"{layer.name!r} is not a layer of this document.")
    dtype = deepest_dtype(document.layers)
    return render(rest, 0, 0, document.width, document.height, dtype=dtype)


def deepest_dtype(layers: Sequence[Layer]) -> str:
    """The finest dtype of a tree's pixels, uint8 for an empty one."""
    found = {"uint8"}
    for layer in layers:
        if layer.array is not None:
            found.add(layer.array.dtype.name)
        found.add(deepest_dtype(layer.children or []))
    return next(name for name in ("float32", "uint16", "uint8") if name in found)


def render(
    layers: Sequence[Layer], x: int, y: int, width: int, height: int, *, dtype: str = ""
) -> np.ndarray:
    """A rectangle of the drawn layers (top first), (height, width, 4) straight alpha.

    Args:
        layers: Top first.
        x: Left edge on the canvas.
        y: Top edge on the canvas.
        width: Columns.
        height: Rows.
        dtype: uint8, uint16 or float32; the layers' finest one when empty.
    """
    dtype = dtype or deepest_dtype(layers)
    result = np.empty((height, width, 4), dtype)
    for top in range(0, height, STRIP):
        rows = min(STRIP, height - top)
        canvas = _Canvas.empty(x, y + top, width, rows)
        _draw_all(canvas, layers)
        drawn = np.concatenate([canvas.color, canvas.alpha], axis=-1)
        if dtype != "float32":
            drawn = np.rint(np.clip(drawn, 0, 1) * FULL[dtype])
        result[top : top + rows] = drawn
    return result


def apply_layer_mask(layer: Layer) -> np.ndarray:
    """A pixel layer's (H, W, 4) array with its layer mask multiplied into the alpha.

    Raises:
        ValueError: The layer has no pixels of its own.
    """
    if layer.array is None:
        raise ValueError(f"{layer.name!r} has no pixels of its own.")
    if layer.layer_mask is None:
        return layer.array
    height, width = layer.array.shape[:2]
    shown = _mask_values(layer.layer_mask, layer.x, layer.y, width, height)
    array = layer.array.copy()
    alpha = array[..., 3] * shown[..., 0]
    array[..., 3] = alpha if array.dtype == np.float32 else np.rint(alpha)
    return array


def _draw_all(canvas: _Canvas, layers: Sequence[Layer]) -> None:
    """Draw layers (top first) onto the canvas, from the bottom up."""
    stack = list(reversed(layers))
    index = 0
    while index < len(stack):
        layer, clipped = stack[index], []
        index += 1
        while index < len(stack) and stack[index].clip == "base":
            clipped.append(stack[index])
            index += 1
        if layer.visible:
            _draw(canvas, layer, clipped)


def _draw(canvas: _Canvas, layer: Layer, clipped: Sequence[Layer]) -> None:
    if layer.children is not None and layer.pass_through and not clipped:
        _draw_through(canvas, layer)
        return
    source = _source(canvas, layer)
    if source is None:
        return
    for item in clipped:
        upper = _source(source, item) if item.visible else None
        if upper is not None:
            _composite(source, upper, item, atop=True)
    _composite(canvas, source, layer, atop=layer.clip == "below")


def _source(canvas: _Canvas, layer: Layer) -> _Canvas | None:
    """What a layer or group puts onto the canvas, its layer mask applied, its opacity not."""
    if layer.children is not None:
        width, height = canvas.size
        source = _Canvas.empty(canvas.x, canvas.y, width, height)
        _draw_all(source, layer.children)
    elif layer.array is not None:
        height, width = layer.array.shape[:2]
        part = canvas.overlap(layer.x, layer.y, width, height)
        if part is None:
            return None
        x, y = canvas.x + part[1].start, canvas.y + part[0].start
        rows = slice(y - layer.y, y - layer.y + part[0].stop - part[0].start)
        columns = slice(x - layer.x, x - layer.x + part[1].stop - part[1].start)
        pixels = layer.array[rows, columns].astype(np.float32) / FULL[layer.array.dtype.name]
        source = _Canvas(x, y, pixels[..., :3], pixels[..., 3:])
    else:
        return None
    if layer.layer_mask is not None:
        source.alpha = source.alpha * _mask_values(
            layer.layer_mask, source.x, source.y, *source.size
        )
    return source


def _composite(canvas: _Canvas, source: _Canvas, layer: Layer, *, atop: bool) -> None:
    """Draw a source onto the canvas with a layer's blend mode and opacity."""
    part = canvas.overlap(source.x, source.y, *source.size)
    if part is None:
        return
    backdrop, below_alpha = canvas.color[part], canvas.alpha[part]
    offset = (canvas.y + part[0].start - source.y, canvas.x + part[1].start - source.x)
    rows = slice(offset[0], offset[0] + backdrop.shape[0])
    columns = slice(offset[1], offset[1] + backdrop.shape[1])
    color = source.color[rows, columns]
    alpha = source.alpha[rows, columns] * np.float32(layer.opacity)
    formula = MODES.get(layer.blend)
    if not alpha.any():
        return
    if formula is None and not atop and alpha.min() >= 1:
        canvas.color[part], canvas.alpha[part] = color, 1
        return
    if formula is not None:
        color = (1 - below_alpha) * color + below_alpha * formula(backdrop, color).astype(
            np.float32
        )
    if atop or below_alpha.min() >= 1:
        canvas.color[part] = backdrop + alpha * (color - backdrop)
        return
    total = alpha + below_alpha * (1 - alpha)
    mixed = alpha * color + below_alpha * backdrop * (1 - alpha)
    canvas.color[part] = mixed / np.where(total > 0, total, 1)
    canvas.alpha[part] = total


def _draw_through(canvas: _Canvas, group: Layer) -> None:
    """Draw a pass-through group: its layers blend with what lies below the group."""
    shown: np.ndarray | float = group.opacity
    if group.layer_mask is not None:
        shown = shown * _mask_values(group.layer_mask, canvas.x, canvas.y, *canvas.size)
    if isinstance(shown, float) and shown >= 1:
        _draw_all(canvas, group.children or [])
        return
    after = canvas.copy()
    _draw_all(after, group.children or [])
    alpha = canvas.alpha + shown * (after.alpha - canvas.alpha)
    before = canvas.color * canvas.alpha
    color = before + shown * (after.color * after.alpha - before)
    canvas.color = (color / np.where(alpha > 0, alpha, 1)).astype(np.float32)
    canvas.alpha = alpha.astype(np.float32)


def _mask_values(layer_mask: LayerMask, x: int, y: int, width: int, height: int) -> np.ndarray:
    """A layer mask's values on a rectangle, (height, width, 1) float32 in [0, 1]."""
    values = np.full((height, width, 1), layer_mask.outside, np.float32)
    own_height, own_width = layer_mask.array.shape
    part = _Canvas(x, y, values, values).overlap(layer_mask.x, layer_mask.y, own_width, own_height)
    if part is not None:
        top, left = y + part[0].start - layer_mask.y, x + part[1].start - layer_mask.x
        rows = slice(top, top + part[0].stop - part[0].start)
        columns = slice(left, left + part[1].stop - part[1].start)
        array = layer_mask.array
        values[(*part, 0)] = array[rows, columns].astype(np.float32) / FULL[array.dtype.name]
    return values
