"""Small images in the fake GIMP, and declarations like the ones that ship."""

from __future__ import annotations

from typing import Any

from gi.repository import Gegl, Gimp, GObject

from intarsia_client.schema import (
    Choice,
    ClassBinding,
    ClassName,
    Folder,
    Input,
    ModelRef,
    Operation,
    Option,
    Result,
    ResultLayer,
    Scalar,
    Text,
    Toggle,
    Whole,
)

FIT = Operation(
    "fit_in",
    "Fit in",
    "Fit the element in",
    "Fit an element into a picture.",
    inputs=(
        Input("picture", "picture", "Picture", "What is below."),
        Input("element", "element", "Element", "What was pasted."),
        Input("area", "area", "Area", "Where.", required=False),
    ),
    parameters=(
        Choice(
            "edge",
            "Edge",
            "How.",
            (Option("soft", "Soft", "Fades."), Option("hard", "Hard")),
            "soft",
        ),
        Scalar("width", "Width", "How wide.", 0.0, 50.0, 8.0, unit="px"),
        Whole("passes", "Passes", "How often.", 1, 9, 3, advanced=True),
        Toggle("fine_tune", "Fine-tune", "Longer.", False, advanced=True),
    ),
    version=2,
    trains=True,
)


def image(width: int = 6, height: int = 4, precision: Any = Gimp.Precision.U8_NON_LINEAR) -> Any:
    """An image without layers."""
    return Gimp.Image(width, height, Gimp.ImageBaseType.RGB, precision)


def layer(
    on: Any,
    name: str,
    colour: tuple[int, int, int, int],
    size: tuple[int, int],
    at: Any = (0, 0),
    parent: Any = None,
) -> Any:
    """A layer of one u8 colour, inserted on top of the image or a group, without an undo step."""
    made = Gimp.Layer(on, name, *size)
    everything = Gegl.Rectangle(0, 0, *size)
    made.buffer.set(everything, "R'G'B'A u8", bytes(colour) * size[0] * size[1])
    made.set_offsets(*at)
    on.undo_freeze()
    on.insert_layer(made, parent, 0)
    on.undo_thaw()
    return made


def group(on: Any, name: str) -> Any:
    """An empty group on top of the image."""
    made = Gimp.GroupLayer(on, name)
    on.undo_freeze()
    on.insert_layer(made, None, 0)
    on.undo_thaw()
    return made


def select(on: Any, x: int, y: int, width: int, height: int, value: int = 255) -> None:
    """Select a rectangle, softly if ``value`` is below 255."""
    rectangle = Gegl.Rectangle(x, y, width, height)
    on.selection.buffer.set(rectangle, "Y u8", bytes((value,)) * (width * height))


def mask(on: Any, value: int) -> None:
    """Give a layer a mask of one value."""
    made = on.create_mask(Gimp.AddMaskType.BLACK)
    size = (on.get_width(), on.get_height())
    made.buffer.set(Gegl.Rectangle(0, 0, *size), "Y u8", bytes((value,)) * (size[0] * size[1]))
    on.add_mask(made)


def names(on: Any) -> list[str]:
    """Names of the image's top layers, topmost first."""
    return [item.get_name() for item in on.get_layers()]


def result(**changes: Any) -> Result:
    """A result of one 2 × 1 layer at (3, 2)."""
    values: dict[str, Any] = {
        "name": "Fitted",
        "width": 2,
        "height": 1,
        "channels": 4,
        "data": bytes(range(1, 9)),
        "x": 3,
        "y": 2,
    }
    return Result((ResultLayer(**{**values, **changes}),), {"operation": "fit_in", "seed": 7})


CLASSES = ClassBinding("classes", "Becomes, by area", "Which.")
COLLAGE = Operation(
    "patch",
    "Patch",
    "Patch",
    "Patches areas of a picture.",
    inputs=(
        Input("picture", "picture", "Picture", "What is edited."),
        Input("area", "area", "Area", "Where.", required=False),
        Input("areas", "area", "Areas", "Where what.", required=False, several=True),
        Input("references", "reference", "From", "Whence.", required=False, several=True),
        Input("piece", "element", "Piece", "Moved.", required=False),
    ),
    parameters=(
        ModelRef("model", "Model", "Which.", capability="classes"),
        ClassName("class_name", "Becomes", "What."),
        CLASSES,
        Scalar("amount", "Amount", "How much.", 0.0, 1.0, 1.0, recompute=False),
        Text("layer_names", "Layers", "By name.", advanced=True),
    ),
)
MAKE = Operation(
    "make",
    "Make",
    "Make",
    "Makes pictures.",
    inputs=(Input("picture", "picture", "Canvas", "How large.", required=False),),
    parameters=(ModelRef("model", "Model", "Which."),),
)
LEARN = Operation(
    "learn",
    "Learn",
    "Learn",
    "Learns from a folder.",
    inputs=(),
    parameters=(Folder("folder", "Folder", "Which."),),
    trains=True,
)


class Config(GObject.Object):
    """Settings of a procedure: values by argument name, changes told as GIMP does."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values

    def get_property(self, name: str) -> Any:
        return self.values[name]

    def set_property(self, name: str, value: Any) -> None:
        assert name in self.values
        if value != self.values[name]:
            self.values[name] = value
            self.emit("notify::" + name, name)


def collage_config(**values: Any) -> Config:
    """The settings of `COLLAGE` as they begin."""
    config = {
        "model": "",
        "class-name": "",
        "classes": "",
        "amount": 1.0,
        "layer-names": "",
        "seed": 0,
        "area": "selection",
        "references": "",
        "piece": "",
    }
    return Config(**{**config, **values})


def channel(on: Any, name: str, value: int) -> Any:
    """A channel of one value."""
    made = Gimp.Channel.new(on, name, on.get_width(), on.get_height(), 50.0, None)
    size = (on.get_width(), on.get_height())
    made.buffer.set(Gegl.Rectangle(0, 0, *size), "Y u8", bytes((value,)) * (size[0] * size[1]))
    on.undo_freeze()
    on.insert_channel(made, None, 0)
    on.undo_thaw()
    return made
