"""The kinds of parameters an operation may have: what a front end draws, checks and reads.

Every kind checks values that come as data (`check`) and reads them from texts of a command line
(`parse`); both say what would be right. `intarsia_client.schema` exports them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Union

from intarsia_client.errors import InvalidRequest
from intarsia_client.names import ClassBinding, ClassName, Folder, ModelRef, Text


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
    """Whether changing it needs a new run (front ends say where it does not)."""
    advanced: bool = False
    only_with: str = ""
    """``"gives=file,both"``: it counts only where that `Choice` has one of these values, and front
    ends may hide it elsewhere (`applies`); empty: always. The same in every kind."""
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
    only_with: str = ""
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
    only_with: str = ""
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
    only_with: str = ""
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


Parameter = Union[Scalar, Whole, Choice, Toggle, ModelRef, ClassName, ClassBinding, Text, Folder]
KINDS = {
    cls.kind: cls
    for cls in (Scalar, Whole, Choice, Toggle, ModelRef, ClassName, ClassBinding, Text, Folder)
}


def applies(parameter: Parameter, values: Mapping[str, Any]) -> bool:
    """Whether a parameter counts at all beside the values that the others have (``only_with``)."""
    name, condition, wanted = parameter.only_with.partition("=")
    return not condition or values.get(name) in wanted.split(",")


def from_dict(data: Mapping[str, Any]) -> Parameter:
    """A parameter from plain data; `InvalidRequest` for a kind of a newer release."""
    kind = data["kind"]
    if kind not in KINDS:
        raise InvalidRequest(
            f"This release does not know the parameter kind {kind!r}.",
            value=kind,
            remedy='Update the plug-in: run "intarsia plugins install" again.',
        )
    if kind == "choice":
        data = dict(data, options=tuple(build(Option, item) for item in data["options"]))
    return build(KINDS[kind], data)


def build(cls: Any, data: Mapping[str, Any]) -> Any:
    """An object of a dataclass; fields it does not know are left out."""
    known = {f.name for f in cls.__dataclass_fields__.values() if f.init}
    return cls(**{key: value for key, value in data.items() if key in known})
