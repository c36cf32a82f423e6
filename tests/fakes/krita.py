"""A Krita for tests: documents with layers whose pixels can be read, written, composed and undone.

It behaves as the real one was seen to: bytes in the order B, G, R, A (floats R, G, B, A), zeros outside
a layer, a change of pixels that cannot be undone and the arrival of a layer that can, selection masks
among the top nodes, a docker whose import failed is not there. With PyQt installed the docker is real.
"""

from __future__ import annotations

import os
import struct
import uuid
import zipfile
from typing import Any
from xml.etree import ElementTree

try:
    from PyQt5.QtWidgets import QDockWidget as _Dock
except ImportError:
    try:
        from PyQt6.QtWidgets import QDockWidget as _Dock
    except ImportError:
        _Dock = object

SRGB, LINEAR = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"
_FORMATS = {"U8": ("B", 255), "U16": ("H", 65535), "F32": ("f", 1.0)}


class _Id:
    def __init__(self, text: str) -> None:
        self._text = text

    def toString(self) -> str:
        return self._text


class _Rect:
    def __init__(self, x: int, y: int, width: int, height: int) -> None:
        self._values = (x, y, width, height)

    def x(self) -> int:
        return self._values[0]

    def y(self) -> int:
        return self._values[1]

    def width(self) -> int:
        return self._values[2]

    def height(self) -> int:
        return self._values[3]


def _to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _to_srgb(value: float) -> float:
    return value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _decode(data: bytes, depth: str) -> list[tuple[float, ...]]:
    """Bytes to (r, g, b, a) in [0, 1]."""
    letter, full = _FORMATS[depth]
    samples = struct.unpack(f"<{len(data) // struct.calcsize(letter)}{letter}", data)
    pixels = [tuple(s / full for s in samples[i : i + 4]) for i in range(0, len(samples), 4)]
    return pixels if depth == "F32" else [(p[2], p[1], p[0], p[3]) for p in pixels]


def _encode(pixels: list[tuple[float, ...]], depth: str) -> bytes:
    letter, full = _FORMATS[depth]
    samples = []
    for r, g, b, a in pixels:
        ordered = (r, g, b, a) if depth == "F32" else (b, g, r, a)
        samples += ordered if depth == "F32" else [round(full * min(1, max(0, v))) for v in ordered]
    return struct.pack(f"<{len(samples)}{letter}", *samples)


class _Thumbnail:
    """Krita keeps a layer's thumbnail until the layer changes."""

    made = 0

    def __init__(self, pixels: dict[Any, tuple[float, ...]]) -> None:
        self.pixels = pixels
        _Thumbnail.made += 1
        self._key = _Thumbnail.made

    def cacheKey(self) -> int:
        return self._key


class Node:
    """A layer, group or mask."""

    def __init__(self, document: Document, name: str, kind: str) -> None:
        self.document = document
        self._name, self._kind = name, kind
        self._id = "{%s}" % uuid.uuid4()
        self._space = document.space
        self.pixels: dict[tuple[int, int], tuple[float, ...]] = {}
        self.children: list[Node] = []
        self.parent: Node | None = None
        self._visible, self._opacity, self._label = True, 255, 0
        self._inherits_alpha, self.style = False, ""
        self._thumbnail: _Thumbnail | None = None
        self.writes = 0
        self.frames: dict[int, dict[tuple[int, int], tuple[float, ...]]] | None = None
        """Of an animated layer the pixels of each key frame."""

    def copy(self, document: Document) -> Node:
        twin = Node(document, self._name, self._kind)
        twin._id, twin._space, twin.pixels = self._id, self._space, dict(self.pixels)
        twin._visible, twin._opacity = self._visible, self._opacity
        twin._label = self._label
        twin._inherits_alpha, twin.style = self._inherits_alpha, self.style
        if self.frames is not None:
            twin.frames = {time: dict(pixels) for time, pixels in self.frames.items()}
        for child in self.children:
            one = child.copy(document)
            one.parent = twin
            twin.children.append(one)
        return twin

    def fill(self, color: tuple[float, ...], x: int, y: int, width: int, height: int) -> None:
        """For tests: a rectangle of one colour, (r, g, b, a) in [0, 1]."""
        for i in range(width * height):
            self.pixels[(x + i % width, y + i // width)] = color

    def name(self) -> str:
        return self._name

    def setName(self, name: str) -> None:
        self._name = name

    def type(self) -> str:
        return self._kind

    def animated(self) -> bool:
        return self.frames is not None

    def enableAnimation(self) -> None:
        self.frames = {}

    def hasKeyframeAtTime(self, time: int) -> bool:
        return time in (self.frames or {})

    def pixelDataAtTime(self, x: int, y: int, width: int, height: int, time: int) -> bytes:
        pixels = (self.frames or {}).get(time, {})
        return self._bytes(lambda at: pixels.get(at, (0.0,) * 4), x, y, width, height)

    def uniqueId(self) -> _Id:
        return _Id(self._id)

    def colorModel(self) -> str:
        return self._space[0]

    def colorDepth(self) -> str:
        return self._space[1]

    def colorProfile(self) -> str:
        return self._space[2]

    def setColorSpace(self, model: str, depth: str, profile: str) -> bool:
        if model != "RGBA" or depth not in _FORMATS:
            return False
        self.writes += bool(self.pixels)
        change = {(LINEAR, SRGB): _to_srgb, (SRGB, LINEAR): _to_linear}.get(
            (self._space[2], profile)
        )
        if change is not None:
            self.pixels = {
                at: (*(change(max(0.0, v)) for v in p[:3]), p[3]) for at, p in self.pixels.items()
            }
        self._space = (model, depth, profile)
        return True

    def visible(self) -> bool:
        return self._visible

    def setVisible(self, visible: bool) -> None:
        self._visible = visible

    def opacity(self) -> int:
        return self._opacity

    def setOpacity(self, opacity: int) -> None:
        self._opacity = opacity

    def inheritAlpha(self) -> bool:
        return self._inherits_alpha

    def setInheritAlpha(self, inherits: bool) -> None:
        self._inherits_alpha = inherits

    def layerStyleToAsl(self) -> str:
        return self.style

    def thumbnail(self, width: int, height: int) -> _Thumbnail:
        """A new picture only after its own pixels changed, whatever its masks do."""
        pixels = {(node._id, at): p for node in self._pictured() for at, p in node.pixels.items()}
        if self._thumbnail is None or self._thumbnail.pixels != pixels:
            self._thumbnail = _Thumbnail(pixels)
        return self._thumbnail

    def colorLabel(self) -> int:
        return self._label

    def setColorLabel(self, label: int) -> None:
        self._label = label

    def duplicate(self) -> Node:
        """A twin with ids of its own that is in no document yet, like the layers in it."""
        twin = self.copy(self.document)
        for node in twin._with_children():
            node._id = "{%s}" % uuid.uuid4()
        return twin

    def parentNode(self) -> Node | None:
        return self.parent

    def childNodes(self) -> list[Node]:
        return list(self.children)

    def addChildNode(self, child: Node, above: Node | None) -> bool:
        place = self.children.index(above) + 1 if above is not None else 0
        self.children.insert(place, child)
        child.parent = self
        for node in child._with_children():
            node.document = self.document
        self.document.undo_steps.append(lambda: self.children.remove(child))
        self.document.setActiveNode(child)
        return True

    def remove(self) -> bool:
        parent, place = self.parent, self.parent.children.index(self)
        parent.children.remove(self)
        self.document.undo_steps.append(lambda: parent.children.insert(place, self))
        return True

    def bounds(self) -> _Rect:
        if self._kind == "transparencymask" and self.parent is not None:
            return self.parent.bounds()
        places = {at: p for node in self._pictured() for at, p in node.pixels.items()}
        if self._kind == "grouplayer":  # as it shows
            places = {at: self.projection(at) for at in places}
        filled = [at for at, p in places.items() if p[3] > 0]
        if not filled:
            return _Rect(0, 0, 0, 0)
        xs, ys = [x for x, _ in filled], [y for _, y in filled]
        return _Rect(min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)

    def setPixelData(self, data: Any, x: int, y: int, width: int, height: int) -> None:
        if self._kind.endswith("mask"):
            pixels = [(0.0, 0.0, 0.0, level / 255) for level in bytes(data)]
        else:
            pixels = _decode(bytes(data), self._space[1])
        if len(pixels) < width * height:
            return  # the real one writes nothing and says so on stderr only
        self.writes += 1
        there = self.pixels
        if self.frames is not None:
            there = self.frames[self.document.time]
        for i in range(width * height):
            there[(x + i % width, y + i // width)] = pixels[i]

    def pixelData(self, x: int, y: int, width: int, height: int) -> bytes:
        colors = self._bytes(lambda at: self.pixels.get(at, (0.0,) * 4), x, y, width, height)
        if not self._kind.endswith("mask"):
            return colors
        return _encode(_decode(colors, self._space[1]), "U8")[3::4]  # one byte: how much it selects

    def projectionPixelData(self, x: int, y: int, width: int, height: int) -> bytes:
        return self._bytes(self.projection, x, y, width, height)

    def projection(self, at: tuple[int, int]) -> tuple[float, ...]:
        """What shows of this node itself: for a group its layers, elsewhere through its masks."""
        pixel = self.pixels.get(at, (0.0,) * 4)
        for child in self.children:
            if not child._visible:
                continue
            if child._kind == "transparencymask":
                pixel = (*pixel[:3], pixel[3] * child.pixels.get(at, (0.0,) * 4)[3])
            elif not child._kind.endswith("mask"):
                above, share = child.projection(at), child._opacity / 255
                if child._inherits_alpha:
                    pixel = (*_over(pixel, above, share)[:3], pixel[3])
                else:
                    pixel = _over(pixel, above, share)
        return pixel

    def _with_children(self) -> list[Node]:
        return [self, *(n for child in self.children for n in child._with_children())]

    def _pictured(self) -> list[Node]:
        """This node and the layers in it, without masks."""
        return [self, *(n for n in self._with_children()[1:] if not n._kind.endswith("mask"))]

    def _bytes(self, pixel: Any, x: int, y: int, width: int, height: int) -> bytes:
        places = [(x + i % width, y + i // width) for i in range(width * height)]
        return _encode([pixel(at) for at in places], self._space[1])


def _over(below: tuple[float, ...], above: tuple[float, ...], opacity: float) -> tuple[float, ...]:
    alpha = above[3] * opacity
    total = alpha + below[3] * (1 - alpha)
    if total == 0:
        return (0.0,) * 4
    mixed = [(a * alpha + b * below[3] * (1 - alpha)) / total for a, b in zip(above, below)]
    return (*mixed[:3], total)


class Selection:
    """A rectangle with one strength."""

    def __init__(self) -> None:
        self._rect, self._value = (0, 0, 0, 0), 0

    def select(self, x: int, y: int, width: int, height: int, value: int) -> None:
        self._rect, self._value = (x, y, width, height), value

    def x(self) -> int:
        return self._rect[0]

    def y(self) -> int:
        return self._rect[1]

    def width(self) -> int:
        return self._rect[2]

    def height(self) -> int:
        return self._rect[3]

    def pixelData(self, x: int, y: int, width: int, height: int) -> bytes:
        left, top, w, h = self._rect
        places = ((x + i % width, y + i // width) for i in range(width * height))
        inside = (left <= px < left + w and top <= py < top + h for px, py in places)
        return bytes(self._value if one else 0 for one in inside)


class Document:
    """A picture with its layers."""

    def __init__(self, width: int, height: int, space: tuple[str, str, str] | None = None) -> None:
        self.space = space or ("RGBA", "U8", SRGB)
        self._size = (width, height)
        self.root = Node(self, "root", "grouplayer")
        self.active: Node | None = None
        self._selection: Selection | None = None
        self.annotations: dict[str, bytes] = {}
        self.undo_steps: list[Any] = []
        self.path, self.title = "", "Unnamed"
        self.clones: list[Document] = []
        self.closed = self.modified = False
        self.time, self.fps, self.range, self.played = 0, 24, (0, 100), (0, 100)

    def clone(self) -> Document:
        twin = Document(*self._size, self.space)
        twin.root = self.root.copy(twin)
        self.clones.append(twin)
        return twin

    def close(self) -> bool:
        self.closed = True
        if self in Krita.open_documents:
            Krita.open_documents.remove(self)
        return True

    def layer(self, name: str, parent: Node | None = None, kind: str = "paintlayer") -> Node:
        """For tests: a new layer on top."""
        node = Node(self, name, kind)
        node.parent = parent or self.root
        node.parent.children.append(node)
        self.active = node
        return node

    def undo(self) -> None:
        """For tests: one Ctrl+Z."""
        self.undo_steps.pop()()

    def createNode(self, name: str, kind: str) -> Node:
        return Node(self, name, kind)

    def createTransparencyMask(self, name: str) -> Node:
        return Node(self, name, "transparencymask")

    def setBatchmode(self, quiet: bool) -> None:
        pass

    def currentTime(self) -> int:
        return self.time

    def setCurrentTime(self, time: int) -> None:
        self.time = time
        self.undo_steps.append(lambda: None)

    def framesPerSecond(self) -> int:
        return self.fps

    def setFramesPerSecond(self, fps: int) -> None:
        self.fps = fps

    def fullClipRangeEndTime(self) -> int:
        return self.range[1]

    def setFullClipRangeStartTime(self, time: int) -> None:
        self.range = (time, self.range[1])

    def setFullClipRangeEndTime(self, time: int) -> None:
        self.range = (self.range[0], time)

    def setPlayBackRange(self, start: int, end: int) -> None:
        self.played = (start, end)

    def exportImage(self, path: str, settings: InfoObject) -> bool:
        """As far as is looked at: which layer is animated, and what is in its files."""
        if not Krita.writes_files:
            return False
        rows = "".join(
            f'<layer name="{node._name}" filename="layer{i}"/>'
            for i, node in enumerate(self.root.children)
        )
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("maindoc.xml", f"<DOC>{self._size} {self.space}{rows}</DOC>")
            for i, node in enumerate(self.root.children):
                file.writestr(f"X/layers/layer{i}", "DATA 0")
                file.writestr(f"X/layers/layer{i}.defaultpixel", bytes(4))
                if node.frames is not None:
                    file.writestr(
                        f"X/layers/layer{i}.keyframes.xml", "<?xml?>\n<keyframes a='b'/>\n"
                    )
        Krita.files[path] = self.copy()
        return True

    def copy(self) -> Document:
        twin = Document(*self._size, self.space)
        twin.root = self.root.copy(twin)
        return twin

    def rootNode(self) -> Node:
        return self.root

    def topLevelNodes(self) -> list[Node]:
        return self.root.childNodes()

    def activeNode(self) -> Node | None:
        return self.active

    def setActiveNode(self, node: Node) -> None:
        self.active = node

    def width(self) -> int:
        return self._size[0]

    def height(self) -> int:
        return self._size[1]

    def colorModel(self) -> str:
        return self.space[0]

    def colorDepth(self) -> str:
        return self.space[1]

    def colorProfile(self) -> str:
        return self.space[2]

    def fileName(self) -> str:
        return self.path

    def name(self) -> str:
        return self.title

    def selection(self) -> Selection | None:
        return self._selection

    def setSelection(self, selection: Selection | None) -> None:
        self._selection = selection

    def pixelData(self, x: int, y: int, width: int, height: int) -> bytes:
        return self.root.projectionPixelData(x, y, width, height)

    def refreshProjection(self) -> None:
        pass

    def waitForDone(self) -> None:
        pass

    def setModified(self, modified: bool) -> None:
        self.modified = modified

    def setBackgroundColor(self, color: Any) -> None:
        pass

    def annotationTypes(self) -> list[str]:
        return list(self.annotations)

    def annotation(self, key: str) -> bytes:
        return self.annotations.get(key, b"")

    def setAnnotation(self, key: str, description: str, data: bytes) -> None:
        self.annotations[key] = bytes(data)


class View:
    """Where a document shows."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.selected: list[Node] = []

    def document(self) -> Document:
        return self._document

    def selectedNodes(self) -> list[Node]:
        active = [self._document.active] if self._document.active is not None else []
        return self.selected or active


class _Hidden:
    def isVisible(self) -> bool:
        return False


class Window:
    """The program's window with its active view."""

    def qwindow(self) -> Any:
        """As the toolkit knows it; here it never appears."""
        return _Hidden()

    def dockers(self) -> list[Any]:
        return []

    def activeView(self) -> View | None:
        if Krita.active is None:
            return None
        if Krita.view is None or Krita.view.document() is not Krita.active:
            Krita.view = View(Krita.active)
        return Krita.view


class DockWidget(_Dock):
    """The base of dockers."""

    def canvasChanged(self, canvas: Any) -> None:
        pass


class DockWidgetFactoryBase:
    """Where dockers go."""

    DockRight = 2


class DockWidgetFactory:
    """How Krita makes a docker."""

    def __init__(self, name: str, side: int, panel: Any) -> None:
        self.name, self.side, self.panel = name, side, panel


class InfoObject:
    """Settings of an export."""


class Krita:
    """The program."""

    writes_files = True
    """Whether documents can be written, as everywhere."""
    files: dict[str, Document] = {}
    """What was written, by path."""

    open_documents: list[Document] = []
    active: Document | None = None
    view: View | None = None
    scratch: list[Document] = []
    """Every document made by `createDocument`."""
    factories: list[DockWidgetFactory] = []
    settings: dict[tuple[str, str], str] = {}

    @staticmethod
    def instance() -> Krita:
        return Krita()

    def documents(self) -> list[Document]:
        return list(Krita.open_documents)

    def activeDocument(self) -> Document | None:
        return Krita.active

    def activeWindow(self) -> Window | None:
        return Window() if Krita.active is not None else None

    def createDocument(
        self, width: int, height: int, name: str, model: str, depth: str, profile: str, dpi: float
    ) -> Document:
        made = Document(width, height, (model, depth, profile))
        made.title = name
        Krita.scratch.append(made)
        return made

    def openDocument(self, path: str) -> Document | None:
        """A file that was written with key frames added to its animated layer."""
        folder = os.path.dirname(path)
        made = next(d for p, d in Krita.files.items() if os.path.dirname(p) == folder)
        with zipfile.ZipFile(path) as file:
            (table,) = [n for n in file.namelist() if n.endswith(".keyframes.xml")]
            rows = list(
                ElementTree.fromstring(file.read(table).split(b"\n", 1)[1]).iter("keyframe")
            )
            for row in rows:
                assert file.read(os.path.dirname(table) + "/" + row.attrib["frame"]) == b"DATA 0"
        (node,) = [n for n in made.root.children if n.frames is not None]
        node.frames = {int(row.attrib["time"]): {} for row in rows}
        Krita.scratch.append(made)
        return made

    def addDockWidgetFactory(self, factory: DockWidgetFactory) -> None:
        Krita.factories.append(factory)

    def readSetting(self, group: str, name: str, default: str) -> str:
        return Krita.settings.get((group, name), default)

    def writeSetting(self, group: str, name: str, value: str) -> None:
        Krita.settings[(group, name)] = value


BLUE, RED, GREEN = (0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)


def two_layers(space: tuple[str, str, str] | None = None) -> Document:
    """For tests: 8 x 6, blue "Paper" and on it a red "Thing" of 3 x 2 at (2, 1), which is active."""
    made = Document(8, 6, space)
    made.layer("Paper").fill(BLUE, 0, 0, 8, 6)
    made.layer("Thing").fill(RED, 2, 1, 3, 2)
    return made
