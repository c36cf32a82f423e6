"""What every layered format is read into: a canvas, a tree of layers, a colour profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from intarsia_client.errors import InvalidRequest

FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The value of full intensity, by dtype."""
WIRE_DTYPE = {"uint8": "u8", "uint16": "u16", "float32": "f32"}


@dataclass
class LayerMask:
    """What hides parts of a layer: (H, W) in the dtypes of `FULL`, full = shown."""

    array: np.ndarray
    x: int
    y: int
    outside: float = 1.0
    """What counts beyond its rectangle, in [0, 1]."""


@dataclass
class Layer:
    """A layer of pixels, or a group of layers."""

    name: str
    x: int = 0
    """Left edge on the canvas; may be negative."""
    y: int = 0
    array: np.ndarray | None = None
    """(H, W, 4) straight alpha in the document's colour space, uint8, uint16 or float32."""
    children: list[Layer] | None = None
    """Top first; None for a layer that is no group."""
    opacity: float = 1.0
    visible: bool = True
    blend: str = "normal"
    """A name of `intarsia_daemon.documents.blend_modes.MODES`."""
    pass_through: bool = False
    """A group whose layers see what lies below the group."""
    clip: str = ""
    """``"base"``: shown only where the next unclipped layer is; ``"below"``: where anything is."""
    layer_mask: LayerMask | None = None
    icc: bytes | None = None
    """The layer's own profile where it differs from the document's."""
    color_label: str = ""
    """The mark in the layer list, of `intarsia_client.schema.COLOR_LABELS`; empty for none."""
    foreign: str = ""
    """Why only the program that wrote it draws it right (``"a filter layer"``); empty for the rest.

    Such a layer may still have pixels of its own, e.g. one with layer effects.
    """

    @property
    def is_group(self) -> bool:
        """Whether it holds layers instead of pixels."""
        return self.children is not None


@dataclass
class Document:
    """A picture as a painter sees it: layers on a canvas."""

    width: int
    height: int
    layers: list[Layer]
    """Top first, as a layer list shows them."""
    icc: bytes | None = None
    """Profile of the pixels' colour space; None is sRGB."""
    merged: np.ndarray | None = None
    """The flat picture (H, W, 4) that the writing program stored, where it did."""
    merged_icc: bytes | None = None
    notes: list[str] = field(default_factory=list)
    """Sentences about what was converted or left out while reading."""

    @property
    def is_flat(self) -> bool:
        """Whether it is one layer of pixels that fills the canvas, as a flat picture is."""
        if len(self.layers) != 1 or self.layers[0].array is None:
            return False
        lone, shape = self.layers[0], self.layers[0].array.shape
        return (lone.x, lone.y, *shape[:2]) == (0, 0, self.height, self.width)

    def walk(self) -> Iterator[tuple[str, Layer]]:
        """Every layer and group with its path (``"Group/Layer"``), top first.

        Layers that share a path are told apart as ``Layer``, ``Layer[2]``, ``Layer[3]``.
        """
        seen: dict[str, int] = {}

        def visit(layers: list[Layer], prefix: str) -> Iterator[tuple[str, Layer]]:
            for layer in layers:
                path = prefix + layer.name
                seen[path] = seen.get(path, 0) + 1
                if seen[path] > 1:
                    path = f"{path}[{seen[path]}]"
                yield path, layer
                if layer.children is not None:
                    yield from visit(layer.children, path + "/")

        return visit(self.layers, "")

    def find(self, name: str) -> Layer:
        """The layer of that path, or of that name where only one has it.

        Raises:
            InvalidRequest: None or several are meant; the message lists the names there are.
        """
        paths = dict(self.walk())
        if name in paths and f"{name}[2]" not in paths:
            return paths[name]
        if name.endswith("[1]") and f"{name[:-3]}[2]" in paths:
            return paths[name[:-3]]
        hits = [path for path, layer in paths.items() if layer.name == name]
        if len(hits) == 1:
            return paths[hits[0]]
        if hits:
            hits = [f"{hit}[1]" if f"{hit}[2]" in paths else hit for hit in hits]
            raise InvalidRequest(
                f"{len(hits)} layers are named {name!r}.",
                value=name,
                remedy="Say which one: " + ", ".join(hits) + ".",
            )
        raise InvalidRequest(
            f"There is no layer named {name!r}.",
            value=name,
            remedy="The layers are: " + (", ".join(paths) or "none") + ".",
        )

    def siblings(self, layer: Layer) -> list[Layer]:
        """The list that holds that layer (the canvas's or a group's).

        Raises:
            ValueError: The layer is not in this document.
        """
        lists = [self.layers] + [found.children or [] for _, found in self.walk()]
        for layers in lists:
            if any(item is layer for item in layers):
                return layers
        raise ValueError(f"{layer.name!r} is not a layer of this document.")

    def foreign(self) -> list[str]:
        """What in it only the writing program can draw, as ``"Title (a text layer)"``."""
        return [f"{path} ({layer.foreign})" for path, layer in self.walk() if layer.foreign]


def single_layer(name: str, array: np.ndarray, icc: bytes | None = None) -> Document:
    """A document of one layer that fills the canvas."""
    height, width = array.shape[:2]
    return Document(width, height, [Layer(name, array=array)], icc=icc)
