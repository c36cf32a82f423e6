"""How an operation is described: plain data that every front end reads and none repeats.

An operation is declared once, beside its function in ``intarsia_daemon.operations``. The Krita
panel, the GIMP procedures, the command line, batch recipes and the documentation are all made from
the objects in this module. The set of parameter kinds is closed: a new kind is the one change that
touches every front end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Mapping, Sequence

from intarsia_client import parameters
from intarsia_client.errors import InvalidRequest
from intarsia_client.names import ClassBinding, ClassName, Folder, ModelRef, Text
from intarsia_client.parameters import Choice, Option, Parameter, Scalar, Toggle, Whole, applies

__all__ = [
    "COLOR_LABELS",
    "GROUPS",
    "ITEM_BYTES",
    "MAX_SEED",
    "ROLES",
    "Choice",
    "ClassBinding",
    "ClassName",
    "Folder",
    "Input",
    "ModelRef",
    "Operation",
    "Option",
    "Parameter",
    "Pixels",
    "Progress",
    "Result",
    "ResultLayer",
    "Scalar",
    "Text",
    "Toggle",
    "Whole",
    "applies",
]

ROLES = ("picture", "area", "element", "reference", "templates")
"""What an input is for. It tells a front end where to look for it:

``picture``
    what is edited: the given layer, or everything visible below the element;
``area``
    where the edit may happen: the selection, a mask, a channel;
``element``
    what was pasted: the active layer with its transparency;
``reference``
    another picture to take something from: a chosen layer;
``templates``
    several pictures, back to front, each at its place: a group's visible layers (a group in it is
    one picture), the chosen layers or a folder. A layer's opacity is in its alpha.
"""

COLOR_LABELS = ("blue", "green", "yellow", "orange", "brown", "red", "purple", "grey")
"""Names of the colour labels that editors put on layers, for areas that a label marks."""

GROUPS = (
    "Pasted things",
    "Change a picture",
    "Collages",
    "New pictures",
    "Look closer",
    "Folders",
    "Models",
)
"""What operations are for, in the order to be shown; one without a group comes last."""

MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Input:
    """One thing with pixels that an operation reads."""

    name: str
    """The function's argument and the ``ROLE`` in ``--input ROLE=FILE``."""
    role: str
    """One of `ROLES`."""
    label: str
    help: str
    required: bool = True
    several: bool = False
    """Whether it may be given several times; the operation then gets a list, empty for none.

    Templates always may. Several areas are told apart by the ``name`` of each: an editor's colour
    label (`COLOR_LABELS`) or any other.
    """

    def __post_init__(self) -> None:
        if self.role == "templates":
            object.__setattr__(self, "several", True)


@dataclass(frozen=True)
class Operation:
    """What an operation is called, reads, can be set to and does; the same for every front end."""

    id: str
    title: str
    """The artist's name for it, as in the operation list: ``"Harmonize"``."""
    verb: str
    """The Run button: ``"Harmonize the object"``."""
    summary: str
    """One sentence; the first line of the function's docstring."""
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    version: int = 1
    """Grows when the same recipe would give another picture."""
    trains: bool = False
    """Whether it may work long, as those do that train a model (stages, pause, resume)."""
    live: bool = False
    """Whether it is quick enough to be repeated while the artist works: a front end may show what
    it would give as a preview that follows (`intarsia_client.latest`), beside the Run button."""
    group: str = ""
    """One of `GROUPS`: what it stands beside in a list."""

    def input(self, name: str) -> Input:
        """The input of that name; `InvalidRequest` lists the names there are."""
        return self._named(self.inputs, name, "input")

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; `InvalidRequest` lists the names there are."""
        return self._named(self.parameters, name, "parameter")

    def check(self, inputs: Sequence[str], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Check a request and fill in the defaults.

        Args:
            inputs: Names of the inputs that are given (one with ``several`` may repeat).
            parameters: Values by name; what is absent takes its default.

        Returns:
            Every parameter's value, by name, in the declared order.

        Raises:
            InvalidRequest: A name is unknown, a value out of range, a required input missing.
        """
        for name in inputs:
            self.input(name)
        for name in parameters:
            self.parameter(name)
        for wanted in self.inputs:
            if not wanted.several and list(inputs).count(wanted.name) > 1:
                raise InvalidRequest(
                    f"{self.title} takes one {wanted.name!r} ({wanted.label}), got several.",
                    value=list(inputs).count(wanted.name),
                    remedy="Give only one.",
                )
            if wanted.required and wanted.name not in inputs:
                raise InvalidRequest(
                    f"{self.title} needs the input {wanted.name!r} ({wanted.label}).",
                    value=None,
                    remedy=wanted.help,
                )
        return {p.name: p.check(parameters.get(p.name, p.default)) for p in self.parameters}

    def _named(self, items: Sequence[Any], name: str, what: str) -> Any:
        for item in items:
            if item.name == name:
                return item
        names = ", ".join(item.name for item in items) or "none"
        raise InvalidRequest(
            f"{self.title} has no {what} named {name!r}.",
            value=name,
            remedy=f"It has: {names}.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and for the wire."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Operation:
        """Rebuild from `to_dict`; unknown fields of newer releases are ignored."""
        return cls(
            inputs=tuple(parameters.build(Input, item) for item in data["inputs"]),
            parameters=tuple(parameters.from_dict(item) for item in data["parameters"]),
            live=bool(data.get("live", False)),
            group=str(data.get("group", "")),
            **{k: data[k] for k in ("id", "title", "verb", "summary", "version", "trains")},
        )


# --- pixels ---------------------------------------------------------------------------------------

ITEM_BYTES = {"u8": 1, "u16": 2, "f32": 4}
"""Sample types and their size. u8 and u16 cover [0, 255] and [0, 65535]; f32 covers [0, 1]."""


@dataclass(frozen=True)
class Pixels:
    """A rectangle of pixels on its way to the engine.

    RGBA (4 channels, straight alpha, sRGB) or coverage (1 channel, full = selected), rows from the
    top, native byte order, without padding: ``len(data) == width * height * channels * item size``.
    """

    input: str
    """The operation's input that this fills."""
    width: int
    height: int
    channels: int
    data: Any
    """Any bytes-like object."""
    dtype: str = "u8"
    x: int = 0
    """Left edge in canvas coordinates; may be negative."""
    y: int = 0
    name: str = ""
    """What the artist calls it (the layer's name)."""


@dataclass(frozen=True)
class ResultLayer:
    """A new layer for the artist: RGBA, or one channel for a mask; never a change to a layer."""

    name: str
    width: int
    height: int
    channels: int
    data: Any
    dtype: str = "u8"
    x: int = 0
    y: int = 0
    amount: float | None = None
    """Of a frame, and of a layer that has frames: which amount in [0, 1] it shows."""
    frame_of: int | None = None
    """Of a frame: index in `Result.layers` of the layer it is another amount of."""
    mask_of: int | None = None
    """Of a one-channel layer that belongs to another one: index in `Result.layers` of the RGBA
    layer whose transparency mask it is. It has that layer's rectangle and comes after it."""
    group: str = ""
    """The name of the new group it goes into; empty for none. A mask goes where its layer goes."""
    duration_ms: float | None = None
    """Of a picture of an animation: how long it shows; layers that have it and follow one another
    are one animation, the first one first."""


@dataclass(frozen=True)
class Result:
    """What a finished job gives back."""

    layers: tuple[ResultLayer, ...]
    """The layers that are new in the picture, the lowest first. Those of one ``group`` follow one
    another (masks apart) and go into one new group, at the place of the first of them."""
    recipe: dict[str, Any]
    """Operation, version, parameters, seed, input and model hashes, software: repeats the edit."""
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per phase."""
    notes: tuple[str, ...] = ()
    """Sentences for the artist, e.g. what was made smaller to fit."""
    frames: tuple[ResultLayer, ...] = ()
    """Layers at other amounts, computed in the same run: each has the rectangle and the sample type
    of the layer ``frame_of``. A front end may swap them in while a slider moves; one that does not
    know them shows `layers` alone."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    stage: str
    """In the artist's words: ``"Training, stage 2 of 3"``."""
    step: int
    total: int
    seconds_left: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    preview: ResultLayer | None = None
    """A picture of the present state, at most 256 px a side."""

    @property
    def fraction(self) -> float:
        """Share done, in [0, 1]."""
        return min(1.0, self.step / self.total) if self.total > 0 else 0.0
