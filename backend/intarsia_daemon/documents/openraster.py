"""OpenRaster (.ora): reading and writing.

Source: OpenRaster file layout and layer stack specification 0.0.6.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from intarsia_daemon.documents import pictures
from intarsia_daemon.documents.blend_modes import OPENRASTER
from intarsia_daemon.documents.compositing import apply_layer_mask, flatten
from intarsia_daemon.documents.containers import Container, number, parse_xml
from intarsia_daemon.documents.deep_pictures import PNG_MAGIC
from intarsia_daemon.documents.document import Document, Layer
from intarsia_daemon.documents.limits import Budget, check_size, clean_name, reject
from intarsia_daemon.documents.merged_picture import NAME as MERGED
from intarsia_daemon.documents.merged_picture import read_merged

MIMETYPE = b"image/openraster"
_BLEND = {composite: name for name, composite in OPENRASTER.items()} | {"svg:add": "add"}


def read(container: Container) -> Document:
    """The document in an OpenRaster container.

    Raises:
        FileRejected: Something in it is broken or too large.
    """
    image = parse_xml(container.read("stack.xml"))
    if image.tag != "image":
        raise reject(f"stack.xml begins with {image.tag[:50]!r}, not with an image.")
    width, height = int(number(image, "w", 0)), int(number(image, "h", 0))
    check_size(width, height, "The canvas")
    document = Document(width, height, [])
    reader = _Reader(container, document)
    for stack in image.findall("stack"):
        document.layers.extend(reader.children(stack, 1))
    read_merged(container, document)
    reader.settle_profiles()
    return document


class _Reader:
    def __init__(self, container: Container, document: Document) -> None:
        self._container = container
        self._document = document
        self._budget = Budget()
        self._profiles: list[tuple[Layer, bytes | None]] = []

    def children(self, stack: Element, depth: int) -> list[Layer]:
        layers = []
        for element in stack:
            if element.tag not in ("stack", "layer"):
                continue
            self._budget.layer(depth)
            layer = self._common(element, f"layer {len(layers) + 1}")
            if element.tag == "stack":
                layer.children = self.children(element, depth + 1)
                layer.pass_through = element.get("isolation") == "auto"
            else:
                self._pixels(layer, element)
            layers.append(layer)
        return layers

    def settle_profiles(self) -> None:
        """The commonest profile becomes the document's; other layers keep their own."""
        found = [icc for _, icc in self._profiles]
        if not found:
            return
        self._document.icc = max(set(found), key=found.count)
        for layer, icc in self._profiles:
            if icc != self._document.icc:
                layer.icc = icc
                if icc is None:
                    self._document.notes.append(f"{layer.name!r} has no colour profile of its own.")

    def _common(self, element: Element, fallback: str) -> Layer:
        composite = element.get("composite-op") or "svg:src-over"
        layer = Layer(
            clean_name(element.get("name") or "") or fallback,
            x=int(number(element, "x", 0)),
            y=int(number(element, "y", 0)),
            opacity=min(1.0, max(0.0, number(element, "opacity", 1))),
            visible=element.get("visibility") != "hidden",
        )
        if composite == "svg:src-atop":
            layer.clip = "below"
        elif composite in _BLEND:
            layer.blend = _BLEND[composite]
        else:
            self._document.notes.append(
                f"{layer.name!r} uses {composite[:60]!r}, which is drawn as normal."
            )
        return layer

    def _pixels(self, layer: Layer, element: Element) -> None:
        source = element.get("src") or ""
        data = self._container.read(source)
        if data[:8] != PNG_MAGIC or len(data) < 33:
            layer.foreign = "a layer without a PNG"
            return
        width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
        self._budget.pixels(width, height, f"The layer {layer.name!r}")
        picture = pictures.decode(data)
        layer.array = picture.array
        self._profiles.append((layer, picture.icc))


def write(document: Document, extra: Mapping[str, bytes] | None = None) -> bytes:
    """An OpenRaster file of a document; layer masks are applied, float pixels become 16 bit.

    Args:
        document: With pixels in every layer that is no group.
        extra: More files for the container, by name.

    Raises:
        ValueError: A layer has no pixels and is no group (`Document.foreign`).
    """
    image = Element("image", version="0.0.6", w=str(document.width), h=str(document.height))
    stack = SubElement(image, "stack")
    members: dict[str, bytes] = {}
    _add_layers(stack, document.layers, members, document.icc)
    flat = flatten(document)
    members["stack.xml"] = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(image, "utf-8")
    members[MERGED] = pictures.encode_png(_storable(flat), document.icc)
    members["Thumbnails/thumbnail.png"] = pictures.encode_png(pictures.thumbnail(flat))
    members.update(extra or {})
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as container:
        container.writestr(_entry("mimetype"), MIMETYPE, zipfile.ZIP_STORED)
        for name, data in members.items():
            packed = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            container.writestr(_entry(name), data, packed)
    return output.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """A zip entry without the time of day, so that the same document is the same file."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _add_layers(
    stack: Element, layers: Sequence[Layer], members: dict[str, bytes], icc: bytes | None
) -> None:
    for layer in layers:
        if layer.children is None and layer.array is None:
            raise ValueError(f"{layer.name!r} has no pixels to write.")
        element = SubElement(stack, "stack" if layer.children is not None else "layer")
        element.set("name", layer.name)
        element.set("opacity", f"{layer.opacity:.6g}")
        element.set("visibility", "visible" if layer.visible else "hidden")
        clipped = layer.clip and layer.blend == "normal"
        composite = "svg:src-atop" if clipped else OPENRASTER.get(layer.blend, "svg:src-over")
        element.set("composite-op", composite)
        if layer.children is not None:
            element.set("isolation", "auto" if layer.pass_through else "isolate")
            _add_layers(element, layer.children, members, icc)
            continue
        name = f"data/layer{sum(n.startswith('data/') for n in members)}.png"
        element.set("x", str(layer.x))
        element.set("y", str(layer.y))
        element.set("src", name)
        members[name] = pictures.encode_png(_storable(apply_layer_mask(layer)), layer.icc or icc)


def _storable(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.float32:
        return np.rint(np.clip(array, 0, 1) * 65535).astype(np.uint16)
    return array
