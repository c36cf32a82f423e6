"""A document on its way from the parser child to the program that asked: a folder of plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from intarsia_daemon.documents.document import FULL, Document, Layer, LayerMask

_PLAIN = (
    *("name", "x", "y", "opacity", "visible", "blend", "pass_through", "clip"),
    *("color_label", "foreign"),
)


def save(document: Document, folder: Path) -> None:
    """Write a document into an empty folder."""
    writer = _Writer(folder)
    head = {
        "width": document.width,
        "height": document.height,
        "layers": [writer.layer(layer) for layer in document.layers],
        "icc": writer.blob(document.icc),
        "merged": writer.array(document.merged),
        "merged_icc": writer.blob(document.merged_icc),
        "notes": document.notes,
    }
    (folder / "document.json").write_text(json.dumps(head), "utf-8")


def load(folder: Path) -> Document:
    """Read a document that `save` wrote.

    Raises:
        ValueError, OSError, KeyError: The folder does not hold one.
    """
    head = json.loads((folder / "document.json").read_text("utf-8"))
    return Document(
        head["width"],
        head["height"],
        [_layer(item, folder) for item in head["layers"]],
        icc=_blob(head["icc"], folder),
        merged=_array(head["merged"], folder),
        merged_icc=_blob(head["merged_icc"], folder),
        notes=head["notes"],
    )


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[bytes, str] = {}
        self._count = 0

    def blob(self, data: bytes | None) -> str | None:
        if data is None:
            return None
        if data not in self._written:
            self._written[data] = self._next()
            (self._folder / self._written[data]).write_bytes(data)
        return self._written[data]

    def array(self, array: np.ndarray | None) -> dict[str, Any] | None:
        if array is None:
            return None
        name = self._next()
        np.ascontiguousarray(array).tofile(self._folder / name)
        return {"file": name, "dtype": array.dtype.name, "shape": array.shape}

    def layer(self, layer: Layer) -> dict[str, Any]:
        shown = layer.layer_mask
        return {
            **{key: getattr(layer, key) for key in _PLAIN},
            "array": self.array(layer.array),
            "icc": self.blob(layer.icc),
            "children": None
            if layer.children is None
            else [self.layer(child) for child in layer.children],
            "layer_mask": None
            if shown is None
            else {
                "array": self.array(shown.array),
                "x": shown.x,
                "y": shown.y,
                "outside": shown.outside,
            },
        }

    def _next(self) -> str:
        self._count += 1
        return f"part-{self._count}"


def _blob(name: str | None, folder: Path) -> bytes | None:
    return None if name is None else (folder / Path(name).name).read_bytes()


def _array(entry: dict[str, Any] | None, folder: Path) -> np.ndarray | None:
    if entry is None:
        return None
    if entry["dtype"] not in FULL:
        raise ValueError(f"unexpected dtype {entry['dtype']}")
    return np.fromfile(folder / Path(entry["file"]).name, entry["dtype"]).reshape(entry["shape"])


def _layer(entry: dict[str, Any], folder: Path) -> Layer:
    children, shown = entry["children"], entry["layer_mask"]
    layer_mask = None
    if shown is not None:
        array = _array(shown["array"], folder)
        if array is not None:
            layer_mask = LayerMask(array, shown["x"], shown["y"], shown["outside"])
    return Layer(
        **{key: entry[key] for key in _PLAIN},
        array=_array(entry["array"], folder),
        icc=_blob(entry["icc"], folder),
        children=None if children is None else [_layer(child, folder) for child in children],
        layer_mask=layer_mask,
    )
