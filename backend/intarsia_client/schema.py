"""How an operation is described: plain data that every front end reads and none repeats.

An operation is declared once, beside its function in ``intarsia_daemon.operations``. The Krita
panel, the GIMP procedures, the command line, batch recipes and the documentation are all made from
the objects in this module. The set of parameter kinds is closed: a new kind is the one change that
touches every front end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Mapping, Sequence, Union

from intarsia_client.errors import InvalidRequest

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
    several pictures: a group's layers, the chosen layers or a folder.
"""

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


@dataclass(frozen=True)
class Scalar:
    """A number with a range, drawn as a slider."""

    name: str
    label: str
    help: str
    minimum: float
    maximum: float
    default: float
    unit: str = ""
    """As shown behind the number: ``"px"``, ``"%"``, ``"°"``; empty for a bare number."""
    step: float = 0.01
    recompute: bool = True
    """Whether changing it needs a new run (front ends mark it so)."""
    advanced: bool = False
    kind: str = field(default="scalar", init=False)

    def check(self, value: Any) -> float:
        """Return the value as a float, or raise `InvalidRequest` naming the range."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidRequest(
                f"{self.name} must be a number, got {value!r}.", value=value, remedy=self._range()
            )
        if not self.minimum <= value <= self.maximum:  # also refuses nan
            raise InvalidRequest(
                f"{self.name} must lie in {self._interval()}, got {value}.",
                value=value,
                remedy=self._range(),
            )
        return float(value)

    def parse(self, text: str) -> float:
        """Read the value from a command line or a recipe."""
        try:
            number = float(text)
        except ValueError:
            raise InvalidRequest(
                f"{self.name} must be a number, got {text!r}.", value=text, remedy=self._range()
            ) from None
        return self.check(number)

    def _range(self) -> str:
        span = f"Use a number from {self.minimum:g} to {self.maximum:g}"
        return f"{span}; the usual value is {self.default:g}."

    def _interval(self) -> str:
        return f"[{self.minimum:g}, {self.maximum:g}] {self.unit}".rstrip()


@dataclass(frozen=True)
class Whole:
    """A whole number with a range, drawn as a spin box."""

    name: str
    label: str
    help: str
    minimum: int
    maximum: int
    default: int
    unit: str = ""
    recompute: bool = True
    advanced: bool = False
    kind: str = field(default="whole", init=False)

    def check(self, value: Any) -> int:
        """Return the value as an int, or raise `InvalidRequest` naming the range."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidRequest(
                f"{self.name} must be a whole number, got {value!r}.",
                value=value,
                remedy=self._range(),
            )
        if not self.minimum <= value <= self.maximum:
            raise InvalidRequest(
                f"{self.name} must lie in {self._interval()}, got {value}.",
                value=value,
                remedy=self._range(),
            )
        return value

    def parse(self, text: str) -> int:
        """Read the value from a command line or a recipe."""
        try:
            number = int(text)
        except ValueError:
            raise InvalidRequest(
                f"{self.name} must be a whole number, got {text!r}.",
                value=text,
                remedy=self._range(),
            ) from None
        return self.check(number)

    def _range(self) -> str:
        span = f"Use a whole number from {self.minimum} to {self.maximum}"
        return f"{span}; the usual value is {self.default}."

    def _interval(self) -> str:
        return f"[{self.minimum}, {self.maximum}] {self.unit}".rstrip()


@dataclass(frozen=True)
class Option:
    """One value of a `Choice`, with the artist's word for it."""

    value: str
    label: str
    help: str = ""


@dataclass(frozen=True)
class Choice:
    """One of a few named values, drawn as a drop-down list."""

    name: str
    label: str
    help: str
    options: tuple[Option, ...]
    default: str
    recompute: bool = True
    advanced: bool = False
    kind: str = field(default="choice", init=False)

    def __post_init__(self) -> None:
        if self.default not in self.values():
            raise ValueError(
                f"{self.name}: the default {self.default!r} is none of {self.values()}."
            )

    def values(self) -> list[str]:
        """The values as sent, in the order shown."""
        return [option.value for option in self.options]

    def check(self, value: Any) -> str:
        """Return the value, or raise `InvalidRequest` naming the choices."""
        if value not in self.values():
            names = ", ".join(self.values())
            raise InvalidRequest(
                f"{self.name} must be one of {names}, got {value!r}.",
                value=value,
                remedy=f"Choose one of: {names}.",
            )
        return value

    def parse(self, text: str) -> str:
        """Read the value from a command line or a recipe."""
        return self.check(text)


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Toggle:
    """Yes or no, drawn as a check box."""

    name: str
    label: str
    help: str
    default: bool
    recompute: bool = True
    advanced: bool = False
    kind: str = field(default="toggle", init=False)

    def check(self, value: Any) -> bool:
        """Return the value, or raise `InvalidRequest`."""
        if not isinstance(value, bool):
            raise InvalidRequest(
                f"{self.name} must be yes or no, got {value!r}.",
                value=value,
                remedy="Use true or false.",
            )
        return value

    def parse(self, text: str) -> bool:
        """Read the value from a command line or a recipe."""
        word = text.strip().lower()
        if word not in _TRUE + _FALSE:
            return self.check(text)
        return word in _TRUE


Parameter = Union[Scalar, Whole, Choice, Toggle]
_KINDS = {"scalar": Scalar, "whole": Whole, "choice": Choice, "toggle": Toggle}


@dataclass(frozen=True)
class Operation:
    """What an operation is called, reads, can be set to and does; the same for every front end."""

    id: str
    title: str
    """The artist's name for it, as in the operation list: ``"Harmonize"``."""
    verb: str
    """The Run button: ``"Harmonize the element"``."""
    summary: str
    """One sentence; the first line of the function's docstring."""
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    version: int = 1
    """Grows when the same recipe would give another picture."""
    trains: bool = False
    """Whether it may train a model first (progress by stages, pause, resume)."""

    def input(self, name: str) -> Input:
        """The input of that name; `InvalidRequest` lists the names there are."""
        return self._named(self.inputs, name, "input")

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; `InvalidRequest` lists the names there are."""
        return self._named(self.parameters, name, "parameter")

    def check(self, inputs: Sequence[str], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Check a request and fill in the defaults.

        Args:
            inputs: Names of the inputs that are given (a templates input may repeat).
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
            if wanted.role != "templates" and list(inputs).count(wanted.name) > 1:
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
            inputs=tuple(_build(Input, item) for item in data["inputs"]),
            parameters=tuple(_parameter(item) for item in data["parameters"]),
            **{k: data[k] for k in ("id", "title", "verb", "summary", "version", "trains")},
        )


def _parameter(data: Mapping[str, Any]) -> Parameter:
    kind = data["kind"]
    if kind not in _KINDS:
        raise InvalidRequest(
            f"This release does not know the parameter kind {kind!r}.",
            value=kind,
            remedy='Update the plug-in: run "intarsia plugins install" again.',
        )
    if kind == "choice":
        data = dict(data, options=tuple(_build(Option, item) for item in data["options"]))
    return _build(_KINDS[kind], data)


def _build(cls: Any, data: Mapping[str, Any]) -> Any:
    known = {f.name for f in cls.__dataclass_fields__.values() if f.init}
    return cls(**{key: value for key, value in data.items() if key in known})


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


@dataclass(frozen=True)
class Result:
    """What a finished job gives back."""

    layers: tuple[ResultLayer, ...]
    recipe: dict[str, Any]
    """Operation, version, parameters, seed, input and model hashes, software: repeats the edit."""
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per phase."""
    notes: tuple[str, ...] = ()
    """Sentences for the artist, e.g. what was made smaller to fit."""


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
