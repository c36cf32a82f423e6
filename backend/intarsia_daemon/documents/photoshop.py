"""Photoshop's documents (.psd, .psb), read with psd-tools."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from psd_tools import PSDImage
from psd_tools.constants import BlendMode, ColorMode, Resource, SheetColorType, Tag

from intarsia_daemon.documents.deep_pictures import to_rgba
from intarsia_daemon.documents.document import FULL, Document, Layer, LayerMask
from intarsia_daemon.documents.limits import Budget, FileRejected, check_size, clean_name, reject

_DTYPES = {8: "uint8", 16: "uint16", 32: "float32"}
_RASTER = ("pixel", "shape", "type", "smartobject")
_EFFECTS = (Tag.OBJECT_BASED_EFFECTS_LAYER_INFO, Tag.EFFECTS_LAYER)
"""Photoshop may leave these behind without an effect; the stored picture is right in both cases."""
_LABELS = {
    SheetColorType.RED: "red",
    SheetColorType.ORANGE: "orange",
    SheetColorType.YELLOW: "yellow",
    SheetColorType.GREEN: "green",
    SheetColorType.BLUE: "blue",
    SheetColorType.VIOLET: "purple",
    SheetColorType.GRAY: "grey",
}
_BLEND = {
    BlendMode.PASS_THROUGH: "normal",
    BlendMode.NORMAL: "normal",
    BlendMode.DARKEN: "darken",
    BlendMode.MULTIPLY: "multiply",
    BlendMode.COLOR_BURN: "color-burn",
    BlendMode.LINEAR_BURN: "linear-burn",
    BlendMode.LIGHTEN: "lighten",
    BlendMode.SCREEN: "screen",
    BlendMode.COLOR_DODGE: "color-dodge",
    BlendMode.LINEAR_DODGE: "add",
    BlendMode.OVERLAY: "overlay",
    BlendMode.SOFT_LIGHT: "soft-light",
    BlendMode.HARD_LIGHT: "hard-light",
    BlendMode.DIFFERENCE: "difference",
    BlendMode.EXCLUSION: "exclusion",
    BlendMode.SUBTRACT: "subtract",
    BlendMode.HUE: "hue",
    BlendMode.SATURATION: "saturation",
    BlendMode.COLOR: "color",
    BlendMode.LUMINOSITY: "luminosity",
}


def read(data: bytes) -> Document:
    """The document in a Photoshop file.

    Raises:
        FileRejected: It is broken, too large, or of a depth that is not 8, 16 or 32 bits.
    """
    depth = _check_header(data)
    logging.getLogger("psd_tools").setLevel(logging.CRITICAL)
    try:
        psd = PSDImage.open(io.BytesIO(data))
        return _Reader(psd, _DTYPES[depth]).document()
    except FileRejected:
        raise
    except MemoryError:
        raise
    except Exception as error:  # psd-tools raises whatever its parsers meet in a broken file
        kind = type(error).__name__
        raise reject(f"The Photoshop file is broken or cut off ({kind}: {error}).") from None


def _check_header(data: bytes) -> int:
    """Check canvas and depth before anything is parsed; returns the bits per channel."""
    if len(data) < 26:
        raise reject("The Photoshop file is cut off.")
    height, width, depth = struct.unpack(">IIH", data[14:24])
    check_size(width, height, "The canvas")
    if depth not in _DTYPES:
        raise reject(
            f"The Photoshop file has {depth} bits per channel; 8, 16 and 32 are read.", value=depth
        )
    return depth


def _color_label(item: Any) -> str:
    setting = item.tagged_blocks.get_data(Tag.SHEET_COLOR_SETTING)
    return _LABELS.get(getattr(setting, "value", setting), "")


class _Reader:
    def __init__(self, psd: PSDImage, dtype: str) -> None:
        self._psd = psd
        self._dtype = dtype
        self._budget = Budget()
        self._plain = psd.color_mode in (ColorMode.RGB, ColorMode.GRAYSCALE)

    def document(self) -> Document:
        psd = self._psd
        layers = self._children(psd, 1)
        document = Document(psd.width, psd.height, layers)
        if self._plain:
            icc = psd.image_resources.get_data(Resource.ICC_PROFILE)
            document.icc = icc if isinstance(icc, bytes) and icc else None
        if psd.has_preview() or not layers:
            document.merged, document.merged_icc = self._merged(), document.icc
        if not layers and document.merged is not None:
            document.layers = [Layer("Background", array=document.merged)]
        return document

    def _merged(self) -> np.ndarray | None:
        if self._plain:
            values = self._psd.numpy()
            wanted = 3 if self._psd.color_mode == ColorMode.RGB else 1
            return self._pixels(values[..., : wanted + 1])
        image = self._psd.topil()
        return None if image is None else np.array(image.convert("RGB").convert("RGBA"))

    def _children(self, parent: Iterable[Any], depth: int) -> list[Layer]:
        layers = []
        for item in parent:
            self._budget.layer(depth)
            layers.append(self._layer(item, depth, f"layer {len(layers) + 1}"))
        return layers[::-1]

    def _layer(self, item: Any, depth: int, fallback: str) -> Layer:
        layer = Layer(
            clean_name(item.name) or fallback,
            opacity=item.opacity / 255 * item.fill_opacity / 255,
            visible=item.visible,
            clip="base" if item.clipping else "",
            color_label=_color_label(item),
        )
        layer.foreign = self._reason(item)
        layer.blend = _BLEND.get(item.blend_mode, "normal")
        if item.is_group():
            layer.children = self._children(item, depth + 1)
            layer.pass_through = item.blend_mode == BlendMode.PASS_THROUGH
        elif self._plain and item.kind in _RASTER and item.has_pixels():
            self._budget.pixels(item.width, item.height, f"The layer {layer.name!r}")
            values = item.numpy()
            if values is not None:
                layer.x, layer.y = item.offset
                layer.array = self._pixels(values)
        elif item.kind in _RASTER and self._plain:
            layer.array = np.zeros((1, 1, 4), self._dtype)
        if item.mask is not None and not item.mask.disabled:
            layer.layer_mask = self._mask(item)
        return layer

    def _reason(self, item: Any) -> str:
        """Why this layer is drawn right by Photoshop alone, or an empty string."""
        if not self._plain:
            return f"a {self._psd.color_mode.name} layer"
        if item.kind not in (*_RASTER, "group", "artboard"):
            return f"a {item.kind} layer"
        if item.blend_mode not in _BLEND:
            return f"a layer with the blending mode {item.blend_mode.name}"
        if item.effects.enabled and any(tag in item.tagged_blocks for tag in _EFFECTS):
            return "a layer with effects"
        if item.has_vector_mask() and item.kind != "shape":
            return "a layer with a vector mask"
        mask = item.mask
        parameters = mask.parameters if mask is not None and not mask.disabled else None
        if parameters is not None:
            soft = parameters.user_mask_feather or parameters.vector_mask_feather
            if soft or parameters.user_mask_density not in (None, 255):
                return "a layer with a feathered mask"
        return ""

    def _mask(self, item: Any) -> LayerMask | None:
        mask = item.mask
        outside = mask.background_color / 255
        if mask.width <= 0 or mask.height <= 0:
            return LayerMask(np.zeros((1, 1), self._dtype), -1, -1, outside)
        self._budget.pixels(mask.width, mask.height, f"The mask of {item.name!r}")
        values = item.numpy("mask")
        if values is None:
            return None
        return LayerMask(self._scaled(values[..., 0]), mask.left, mask.top, outside)

    def _pixels(self, values: np.ndarray) -> np.ndarray:
        return to_rgba(self._scaled(values))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """psd-tools' floats in [0, 1] back to the file's own samples."""
        values = np.nan_to_num(values)
        if self._dtype != "float32":
            values = np.rint(np.clip(values, 0, 1) * FULL[self._dtype])
        return np.ascontiguousarray(values.astype(self._dtype))
