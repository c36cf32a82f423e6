"""As much of GIMP 3 as the plug-in's canvas code touches, in plain Python.

Behaves as measured in GIMP 3.0.4: numbers and tattoos, groups, offsets, layer masks, opacity,
selection, parasites, undo groups and frozen undo, duplicates (with tattoos of their own). Where the real one kills the plug-in (writing to
a layer that is gone), this one raises. Compositing is plain "over" in the given numbers.
"""

from __future__ import annotations

from typing import Any

from gi.repository import Gegl, GLib

PARASITE_PERSISTENT, PARASITE_UNDOABLE = 1, 2
_images: dict[int, Image] = {}
_count = [0]
messages: list[str] = []
files: dict[str, Any] = {}
"""Functions that make an image, by the path that `file_load` is to open."""


def reset() -> None:
    """No images, no messages."""
    _images.clear()
    messages.clear()
    files.clear()


def _next() -> int:
    _count[0] += 1
    return _count[0]


class _Nick:
    def __init__(self, nick: str) -> None:
        self.value_nick = nick


class Precision:
    U8_NON_LINEAR = _Nick("u8-non-linear")
    U16_NON_LINEAR = _Nick("u16-non-linear")
    HALF_LINEAR = _Nick("half-linear")
    FLOAT_NON_LINEAR = _Nick("float-non-linear")
    U32_LINEAR = _Nick("u32-linear")


class ImageBaseType:
    RGB, GRAY = "rgb", "gray"


class ImageType:
    RGBA_IMAGE, GRAYA_IMAGE = "rgba", "graya"


class LayerMode:
    NORMAL, MULTIPLY = "normal", "multiply"


class LayerColorSpace:
    RGB_PERCEPTUAL = "rgb-perceptual"


class MaskApplyMode:
    APPLY, DISCARD = "apply", "discard"


class ColorTag:
    NONE, BLUE, GREEN, YELLOW, ORANGE, BROWN, RED, VIOLET, GRAY = range(9)


class PixbufTransparency:
    SMALL_CHECKS = 1


class AddMaskType:
    BLACK = "black"


class PDBStatusType:
    SUCCESS, CANCEL, EXECUTION_ERROR = "success", "cancel", "execution-error"


class PDBProcType:
    PLUGIN = "plugin"


class RunMode:
    INTERACTIVE, NONINTERACTIVE, WITH_LAST_VALS = "interactive", "noninteractive", "with-last-vals"


class ProcedureSensitivityMask:
    DRAWABLE, DRAWABLES, NO_DRAWABLES, NO_IMAGE = 1, 4, 8, 16


class Parasite:
    def __init__(self, name: str, flags: int, data: bytes) -> None:
        self.name, self.flags, self.data = name, flags, bytes(data)

    @classmethod
    def new(cls, name: str, flags: int, data: bytes) -> Parasite:
        return cls(name, flags, data)

    def get_data(self) -> list[int]:
        return list(self.data)


class _Bearer:
    """What parasites can be attached to."""

    def __init__(self) -> None:
        self._parasites: dict[str, Parasite] = {}

    def get_parasite(self, name: str) -> Parasite | None:
        return self._parasites.get(name)

    def attach_parasite(self, parasite: Parasite) -> None:
        before = self._parasites.get(parasite.name)
        self._parasites[parasite.name] = parasite
        if parasite.flags & PARASITE_UNDOABLE:
            self._record(lambda: self._restore(parasite.name, before))
        elif parasite.flags & PARASITE_PERSISTENT:
            raise AssertionError("GIMP would push an undo step that cannot be undone")

    def detach_parasite(self, name: str) -> None:
        del self._parasites[name]

    def _restore(self, name: str, before: Parasite | None) -> None:
        self._parasites.pop(name)
        if before is not None:
            self._parasites[name] = before

    def _record(self, step: Any) -> None:
        raise NotImplementedError


class Drawable(_Bearer):
    def __init__(self, image: Image, name: str, width: int, height: int, channels: int) -> None:
        super().__init__()
        self.image, self.name, self.removed = image, name, False
        self.offsets, self.buffer = (0, 0), Gegl.Buffer(width, height, channels)
        self.number = _next()
        self.filters: list[Any] = []

    def get_buffer(self) -> Gegl.Buffer:
        if not self.is_valid():
            raise AssertionError("GIMP would have killed the plug-in: invalid drawable")
        return self.buffer

    def get_width(self) -> int:
        return self.buffer.width

    def get_height(self) -> int:
        return self.buffer.height

    def get_offsets(self) -> tuple[bool, int, int]:
        return True, self.offsets[0], self.offsets[1]

    def get_id(self) -> int:
        return self.number

    def get_name(self) -> str:
        return self.name

    def is_valid(self) -> bool:
        return not self.removed and self.image.is_valid()

    def is_layer(self) -> bool:
        return isinstance(self, Layer)

    def is_layer_mask(self) -> bool:
        return isinstance(self, LayerMask)

    def is_group(self) -> bool:
        return isinstance(self, GroupLayer)

    def update(self, x: int, y: int, width: int, height: int) -> None:
        if not self.is_valid():
            raise AssertionError("GIMP would have killed the plug-in: invalid drawable")

    def get_filters(self) -> list[Any]:
        return self.filters

    def delete(self) -> None:
        self.removed = True

    def _record(self, step: Any) -> None:
        self.image._record(step)


class Channel(Drawable):
    @classmethod
    def new(
        cls, image: Image, name: str, width: int, height: int, opacity: float, color: Any
    ) -> Channel:
        return cls(image, name, width, height, 1)

    def set_visible(self, visible: bool) -> None:
        pass


class LayerMask(Channel):
    layer: Layer


class Layer(Drawable):
    __gtype__ = "GimpLayer"

    def __init__(self, image: Image, name: str, width: int, height: int) -> None:
        super().__init__(image, name, width, height, 4)
        self.parent: GroupLayer | None = None
        self.mask: LayerMask | None = None
        self.opacity, self.mode, self.visible, self.apply_mask = 100.0, "normal", True, True
        self.color_tag = ColorTag.NONE
        self.tattoo = self.number

    @classmethod
    def new(
        cls, image: Image, name: str, width: int, height: int, kind: str, opacity: float, mode: str
    ) -> Layer:
        return cls(image, name, width, height)

    @classmethod
    def new_from_visible(cls, image: Image, destination: Image, name: str) -> Layer:
        flat = cls(destination, name, image.width, image.height)
        flat.buffer.pixels = _composite(image.layers, image.width, image.height)
        return flat

    @classmethod
    def from_mask(cls, mask: LayerMask) -> Layer:
        return mask.layer

    def set_offsets(self, x: int, y: int) -> None:
        self.offsets = (x, y)

    def get_tattoo(self) -> int:
        return self.tattoo

    def get_parent(self) -> GroupLayer | None:
        return self.parent

    def get_children(self) -> list[Layer]:
        return []

    def get_visible(self) -> bool:
        return self.visible

    def set_visible(self, visible: bool) -> None:
        before, self.visible = self.visible, visible
        self._record(lambda: setattr(self, "visible", before))

    def get_opacity(self) -> float:
        return self.opacity

    def set_opacity(self, opacity: float) -> None:
        before, self.opacity = self.opacity, opacity
        self._record(lambda: setattr(self, "opacity", before))

    def get_color_tag(self) -> int:
        return self.color_tag

    def set_mode(self, mode: str) -> None:
        self.mode = mode

    def set_blend_space(self, space: str) -> None:
        self.blend_space = space

    def set_composite_space(self, space: str) -> None:
        self.composite_space = space

    def get_mask(self) -> LayerMask | None:
        return self.mask

    def get_apply_mask(self) -> bool:
        return self.apply_mask

    def create_mask(self, kind: str) -> LayerMask:
        mask = LayerMask(self.image, self.name + " mask", self.get_width(), self.get_height(), 1)
        mask.layer = self
        return mask

    def add_mask(self, mask: LayerMask) -> None:
        self.mask = mask

    def remove_mask(self, mode: str) -> None:
        assert self.mask is not None
        if self.is_group():
            raise AssertionError("GIMP cannot apply a mask to a group")
        if mode == MaskApplyMode.APPLY:
            self.buffer.pixels = _masked(self)
        self.mask = None

    def _copy(self, image: Image) -> Layer:
        twin = type(self)(image, self.name, self.get_width(), self.get_height())
        for name in ("offsets", "opacity", "mode", "visible", "apply_mask", "filters", "color_tag"):
            setattr(twin, name, getattr(self, name))
        twin.buffer.pixels = [list(row) for row in self.buffer.pixels]
        if self.mask is not None:
            twin.mask = twin.create_mask(AddMaskType.BLACK)
            twin.mask.buffer.pixels = [list(row) for row in self.mask.buffer.pixels]
        return twin


class GroupLayer(Layer):
    def __init__(self, image: Image, name: str, width: int = 0, height: int = 0) -> None:
        super().__init__(image, name, width, height)
        self.children: list[Layer] = []

    @classmethod
    def new(cls, image: Image, name: str) -> GroupLayer:
        return cls(image, name)

    def get_children(self) -> list[Layer]:
        return self.children

    def get_width(self) -> int:
        return self.image.width

    def get_height(self) -> int:
        return self.image.height

    def get_buffer(self) -> Gegl.Buffer:
        flat = Gegl.Buffer(self.image.width, self.image.height, 4)
        flat.pixels = _composite(self.children, flat.width, flat.height)
        return flat

    def _copy(self, image: Image) -> Layer:
        twin = super()._copy(image)
        assert isinstance(twin, GroupLayer)
        for child in self.children:
            copy = child._copy(image)
            copy.parent = twin
            twin.children.append(copy)
        return twin


class Selection:
    @staticmethod
    def is_empty(image: Image) -> bool:
        return not any(v[0] for row in image.selection.buffer.pixels for v in row)

    @staticmethod
    def bounds(image: Image) -> tuple[bool, bool, int, int, int, int]:
        rows = image.selection.buffer.pixels
        ys = [y for y, row in enumerate(rows) if any(v[0] for v in row)]
        xs = [x for row in rows for x, v in enumerate(row) if v[0]]
        if not ys:
            return True, False, 0, 0, image.width, image.height
        return True, True, min(xs), min(ys), max(xs) + 1, max(ys) + 1


class Image(_Bearer):
    def __init__(self, width: int, height: int, base: str, precision: Any) -> None:
        super().__init__()
        self.width, self.height, self.base, self.precision = width, height, base, precision
        self.number, self.name, self.layers = _next(), "street.xcf", []
        self.channels: list[Channel] = []
        self.selection = Channel(self, "selection", width, height, 1)
        self.steps: list[list[Any]] = []
        self.depth = self.frozen = 0
        _images[self.number] = self

    layers: list[Layer]
    profile: Any = "sRGB"

    @classmethod
    def new_with_precision(cls, width: int, height: int, base: str, precision: Any) -> Image:
        return cls(width, height, base, precision)

    @staticmethod
    def id_is_valid(number: int) -> bool:
        return number in _images

    @staticmethod
    def get_by_id(number: int) -> Image:
        return _images[number]

    def is_valid(self) -> bool:
        return self.number in _images

    def delete(self) -> None:
        del _images[self.number]

    def get_id(self) -> int:
        return self.number

    def get_name(self) -> str:
        return self.name

    def get_width(self) -> int:
        return self.width

    def get_height(self) -> int:
        return self.height

    def get_base_type(self) -> str:
        return self.base

    def get_precision(self) -> Any:
        return self.precision

    def get_effective_color_profile(self) -> Any:
        return self.profile

    def set_color_profile(self, profile: Any) -> None:
        self.profile = profile

    def undo_disable(self) -> None:
        self.frozen += 1

    def undo_enable(self) -> None:
        self.frozen -= 1

    def get_layers(self) -> list[Layer]:
        return list(self.layers)

    def get_selection(self) -> Channel:
        return self.selection

    def get_floating_sel(self) -> Layer | None:
        return None

    def get_layer_by_tattoo(self, tattoo: int) -> Layer | None:
        return next((layer for layer in _walk(self.layers) if layer.tattoo == tattoo), None)

    def get_item_position(self, layer: Layer) -> int:
        return (layer.parent.children if layer.parent else self.layers).index(layer)

    def insert_layer(self, layer: Layer, parent: GroupLayer | None, position: int) -> None:
        assert layer.image is self and layer.is_valid()
        siblings = parent.children if parent is not None else self.layers
        layer.parent = parent
        siblings.insert(position, layer)
        self._record(lambda: siblings.remove(layer))

    def insert_channel(self, channel: Channel, parent: None, position: int) -> None:
        self.channels.insert(position, channel)
        self._record(lambda: self.channels.remove(channel))

    def get_channels(self) -> list[Channel]:
        return list(self.channels)

    def get_channel_by_name(self, name: str) -> Channel | None:
        return next((c for c in self.channels if c.name == name), None)

    def remove_channel(self, channel: Channel) -> None:
        self.channels.remove(channel)
        channel.removed = True
        self._record(lambda: self.channels.append(channel))

    def reorder_item(self, layer: Layer, parent: GroupLayer | None, position: int) -> bool:
        (layer.parent.children if layer.parent else self.layers).remove(layer)
        layer.parent = parent
        (parent.children if parent is not None else self.layers).insert(position, layer)
        return True

    def resize(self, width: int, height: int, x: int, y: int) -> bool:
        """Another canvas; the layers' own sizes stay. Masks of groups move with what they hide."""
        for layer in _walk(self.layers):
            if layer.is_group() and layer.mask is not None:
                old = layer.mask.buffer
                layer.mask.buffer = Gegl.Buffer(width, height, 1)
                layer.mask.buffer.pixels = [
                    [old._at(i - x, j - y) for i in range(width)] for j in range(height)
                ]
            elif not layer.is_group():
                layer.offsets = (layer.offsets[0] + x, layer.offsets[1] + y)
        self.width, self.height = width, height
        return True

    def remove_layer(self, layer: Layer) -> None:
        siblings = layer.parent.children if layer.parent else self.layers
        position = siblings.index(layer)
        siblings.remove(layer)
        layer.removed = True
        self._record(lambda: siblings.insert(position, layer))

    def duplicate(self) -> Image:
        twin = Image(self.width, self.height, self.base, self.precision)
        twin.layers = [layer._copy(twin) for layer in self.layers]
        return twin

    # undo

    def undo_group_start(self) -> None:
        if not self.depth:
            self.steps.append([])
        self.depth += 1

    def undo_group_end(self) -> None:
        self.depth -= 1

    def undo_freeze(self) -> None:
        self.frozen += 1

    def undo_thaw(self) -> None:
        self.frozen -= 1

    def undo(self) -> None:
        """What Ctrl+Z does."""
        for step in reversed(self.steps.pop()):
            self.frozen += 1
            step()
            self.frozen -= 1

    def _record(self, step: Any) -> None:
        if self.frozen:
            return
        if not self.depth:
            self.steps.append([])
        self.steps[-1].append(step)


class Choice:
    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str, str]] = []

    @classmethod
    def new(cls) -> Choice:
        return cls()

    def add(self, nick: str, number: int, label: str, help_text: str) -> None:
        self.rows.append((nick, number, label, help_text))


class Display:
    made: list[Image] = []

    @classmethod
    def new(cls, image: Image) -> Display:
        cls.made.append(image)
        return cls()


class _Arguments:
    """Collects what ``add_…_argument`` was called with."""

    def __init__(self) -> None:
        self.arguments: dict[str, tuple[Any, ...]] = {}
        self.facts: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("add_") and name.endswith(("_argument", "_return_value")):
            kind = name[4:]
            return lambda arg, *rest: self.arguments.__setitem__(arg, (kind, *rest))
        if name.startswith(("set_", "add_")):
            return lambda *args: self.facts.setdefault(name[4:], []).append(args)
        raise AttributeError(name)


class ImageProcedure(_Arguments):
    @classmethod
    def new(cls, plug_in: Any, name: str, kind: str, run: Any, data: Any) -> ImageProcedure:
        procedure = cls()
        procedure.name, procedure.run, procedure.data = name, run, data
        return procedure

    name: str
    run: Any
    data: Any

    def get_name(self) -> str:
        return self.name

    def new_return_values(self, status: str, error: Any) -> tuple[str, Any]:
        return status, error


class PlugIn:
    __gtype__ = "GimpPlugIn"

    @staticmethod
    def error_quark() -> int:
        return 1


def main(kind: Any, arguments: list[str]) -> None:
    raise NotImplementedError("the fake GIMP has no loop")


def file_load(mode: str, file: Any) -> Image:
    assert mode == RunMode.NONINTERACTIVE
    if file.path not in files:
        raise GLib.Error("Unknown file type")
    return files[file.path]()


def get_images() -> list[Image]:
    return list(_images.values())


def default_display() -> Display | None:
    return None


def displays_flush() -> None:
    pass


def message(text: str) -> None:
    messages.append(text)


def progress_init(text: str) -> None:
    pass


def progress_set_text(text: str) -> None:
    pass


def progress_update(fraction: float) -> None:
    pass


def progress_end() -> None:
    pass


def _walk(layers: list[Layer]) -> list[Layer]:
    return [item for layer in layers for item in (layer, *_walk(layer.get_children()))]


def _masked(layer: Layer) -> list[list[tuple[float, ...]]]:
    assert layer.mask is not None
    rows = zip(layer.get_buffer().pixels, layer.mask.buffer.pixels)
    return [[(*p[:3], p[3] * m[0]) for p, m in zip(row, masks)] for row, masks in rows]


def _composite(layers: list[Layer], width: int, height: int) -> list[list[tuple[float, ...]]]:
    """Lowest first, plain over with straight alpha."""
    result: list[list[tuple[float, ...]]] = [[(0.0,) * 4] * width for _ in range(height)]
    for layer in reversed(layers):
        if not layer.visible:
            continue
        pixels = layer.get_buffer().pixels
        if layer.mask is not None and layer.apply_mask:
            pixels = _masked(layer)
        for j, row in enumerate(pixels):
            for i, pixel in enumerate(row):
                x, y = i + layer.offsets[0], j + layer.offsets[1]
                if 0 <= x < width and 0 <= y < height:
                    result[y][x] = _over(pixel, result[y][x], layer.opacity / 100)
    return result


def _over(top: tuple[float, ...], below: tuple[float, ...], opacity: float) -> tuple[float, ...]:
    alpha = top[3] * opacity
    total = alpha + below[3] * (1 - alpha)
    if total == 0:
        return (0.0,) * 4
    colours = [(t * alpha + b * below[3] * (1 - alpha)) / total for t, b in zip(top, below)]
    return (*colours[:3], total)
