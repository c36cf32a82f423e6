"""Krita's documents (.kra), read: maindoc.xml and tiles of 64x64 pixels packed with LZF.

Source: Krita's file format as its own files show it (versions 2.9 to 5.3); LZF as described by
Marc Lehmann's liblzf: a byte below 32 starts a run of literals, any other a back reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from intarsia_client.schema import COLOR_LABELS
from intarsia_daemon.documents.blend_modes import KRITA
from intarsia_daemon.documents.containers import Container, number, parse_xml
from intarsia_daemon.documents.document import Document, Layer, LayerMask
from intarsia_daemon.documents.krita_tiles import read_tiles
from intarsia_daemon.documents.limits import Budget, check_size, clean_name, reject
from intarsia_daemon.documents.merged_picture import read_merged

MIMETYPE = b"application/x-krita"
_NAMESPACE = "{http://www.calligra.org/DTD/krita}"


@dataclass(frozen=True)
class _Space:
    """How a colour space of Krita's lies in memory."""

    channels: int
    dtype: str
    order: tuple[int, ...]
    """Which stored channel is red, green, blue and alpha."""


_SPACES = {
    "RGBA": _Space(4, "<u1", (2, 1, 0, 3)),
    "RGBA16": _Space(4, "<u2", (2, 1, 0, 3)),
    "RGBAF16": _Space(4, "<f2", (0, 1, 2, 3)),
    "RGBAF32": _Space(4, "<f4", (0, 1, 2, 3)),
    "GRAYA": _Space(2, "<u1", (0, 0, 0, 1)),
    "GRAYA16": _Space(2, "<u2", (0, 0, 0, 1)),
    "GRAYAF16": _Space(2, "<f2", (0, 0, 0, 1)),
    "GRAYAF32": _Space(2, "<f4", (0, 0, 0, 1)),
}
_FOREIGN = {
    "shapelayer": "a vector layer",
    "adjustmentlayer": "a filter layer",
    "generatorlayer": "a fill layer",
    "clonelayer": "a clone layer",
    "filelayer": "a file layer",
    "referenceimages": "reference images",
}


def read(container: Container) -> Document:
    """The document in a Krita container.

    Raises:
        FileRejected: Something in it is broken or too large.
    """
    root = parse_xml(container.read("maindoc.xml"))
    image = root.find(f"{_NAMESPACE}IMAGE")
    if image is None:
        raise reject("maindoc.xml holds no image.")
    width, height = int(number(image, "width", 0)), int(number(image, "height", 0))
    check_size(width, height, "The canvas")
    document = Document(width, height, [])
    folder = image.get("name") or ""
    if f"{folder}/annotations/icc" in container:
        document.icc = container.read(f"{folder}/annotations/icc")
    layers = image.find(f"{_NAMESPACE}layers")
    reader = _Reader(container, document, folder)
    if layers is not None:
        document.layers = reader.children(layers, 1)
    read_merged(container, document)
    return document


class _Reader:
    def __init__(self, container: Container, document: Document, folder: str) -> None:
        self._container = container
        self._document = document
        self._folder = folder
        self._budget = Budget()

    def children(self, parent: Element, depth: int) -> list[Layer]:
        layers = []
        for element in parent.findall(f"{_NAMESPACE}layer"):
            kind = element.get("nodetype") or ""
            self._budget.layer(depth)
            layer = self._common(element, f"layer {len(layers) + 1}")
            if kind == "grouplayer":
                inner = element.find(f"{_NAMESPACE}layers")
                layer.children = self.children(inner, depth + 1) if inner is not None else []
                layer.pass_through = element.get("passthrough") == "1"
            elif kind == "paintlayer":
                self._pixels(layer, element)
            else:
                layer.foreign = _FOREIGN.get(kind, f"a layer of the kind {kind[:40]!r}")
            self._masks(layer, element)
            layers.append(layer)
        return layers

    def _common(self, element: Element, fallback: str) -> Layer:
        composite = element.get("compositeop") or "normal"
        flags = element.get("channelflags") or ""
        layer = Layer(
            clean_name(element.get("name") or "") or fallback,
            x=int(number(element, "x", 0)),
            y=int(number(element, "y", 0)),
            opacity=min(255.0, max(0.0, number(element, "opacity", 255))) / 255,
            visible=element.get("visible") != "0",
            clip="below" if flags.endswith("0") and "1" in flags else "",
            color_label=_color_label(int(number(element, "colorlabel", 0))),
        )
        if composite in KRITA:
            layer.blend = KRITA[composite]
        else:
            layer.foreign = f"a layer with the blending mode {composite[:40]!r}"
        return layer

    def _pixels(self, layer: Layer, element: Element) -> None:
        name = element.get("colorspacename") or "RGBA"
        space = _SPACES.get(name)
        if space is None:
            layer.foreign = f"a layer in the colour space {name[:40]}"
            return
        path = f"{self._folder}/layers/{element.get('filename') or ''}"
        item = np.dtype(space.dtype)
        data = self._container.read(path)
        default = self._default(path, space.channels * item.itemsize)
        filled = np.frombuffer(default, item, space.channels)[-1] > 0
        left, top = -layer.x, -layer.y
        canvas = (left, top, left + self._document.width, top + self._document.height)
        what = f"The layer {layer.name!r}"
        tiles = read_tiles(
            data,
            space.channels,
            item,
            default,
            self._budget,
            what,
            cover=canvas if filled else None,
        )
        values = tiles.array[..., list(space.order)]
        if item.kind == "f":
            values = np.nan_to_num(values.astype(np.float32))
        array, x, y = _trim(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
        layer.array = array
        layer.x, layer.y = layer.x + tiles.x + x, layer.y + tiles.y + y
        profile = f"{path}.icc"
        if profile in self._container:
            icc = self._container.read(profile)
            layer.icc = icc if icc != self._document.icc else None

    def _masks(self, layer: Layer, element: Element) -> None:
        found = element.find(f"{_NAMESPACE}masks")
        for mask in found if found is not None else []:
            if mask.get("visible") == "0" or mask.get("active") == "0":
                continue
            kind = mask.get("nodetype") or ""
            if kind == "transparencymask" and layer.layer_mask is None:
                self._transparency(layer, mask)
            elif kind not in ("selectionmask", "colorizemask"):
                layer.foreign = layer.foreign or f"a layer with a {kind[:40]}"

    def _transparency(self, layer: Layer, mask: Element) -> None:
        base = f"{self._folder}/layers/{mask.get('filename') or ''}"
        path = f"{base}.pixelselection"
        if path not in self._container:
            layer.foreign = "a layer with a vector mask"
            return
        default = self._default(path, 1)
        data = self._container.read(path)
        tiles = read_tiles(data, 1, np.dtype("u1"), default, self._budget, "A transparency mask")
        x, y = int(number(mask, "x", 0)) + tiles.x, int(number(mask, "y", 0)) + tiles.y
        layer.layer_mask = LayerMask(tiles.array[..., 0], x, y, outside=default[0] / 255)

    def _default(self, path: str, size: int) -> bytes:
        name = f"{path}.defaultpixel"
        data = self._container.read(name, 4096) if name in self._container else b""
        return data if len(data) >= size else bytes(size)


def _color_label(index: int) -> str:
    """Krita counts its labels from 1, in this order; 0 is none."""
    return COLOR_LABELS[index - 1] if 1 <= index <= len(COLOR_LABELS) else ""


def _trim(array: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Cut off transparent rows and columns at the rim (tiles are 64 pixels wide)."""
    rows, columns = array[..., 3].any(1).nonzero()[0], array[..., 3].any(0).nonzero()[0]
    if not len(rows):
        return array[:1, :1].copy(), 0, 0
    top, left = int(rows[0]), int(columns[0])
    return array[top : rows[-1] + 1, left : columns[-1] + 1].copy(), left, top
