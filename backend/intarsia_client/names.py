"""Kinds of parameters that hold names: models, classes, folders and short texts.

What may be chosen depends on what is installed, so that only the form is checked here; whether a
model or a class exists is known to the engine alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Mapping

from intarsia_client.errors import InvalidRequest

MAX_NAME = 200
"""Characters of a model's id, of a class name and of an area's name."""
MAX_BINDINGS = 64
"""Areas that one binding may name."""
MAX_PATH = 4096

_NEXT_BINDING = re.compile(r"[,;\n]\s*(?=[^,;=\n]+=)")
"""Where a binding ends: a class name may hold commas, but no comma followed by ``name=``."""


@dataclass(frozen=True)
class ModelRef:
    """A model by its id, drawn as a list of the models there are."""

    name: str
    label: str
    help: str
    capability: str = ""
    """What the model must be able to do, as in its card's ``capabilities``: ``"classes"``,
    ``"w_plus"``; empty: any generator. See `intarsia_client.catalog.able`."""
    default: str = ""
    """Empty: the best there is, at least one that ships with the release."""
    empty: str = "Best there is"
    """What lists call the empty value."""
    recompute: bool = True
    advanced: bool = False
    only_with: str = ""
    kind: str = field(default="model", init=False)

    def check(self, value: Any) -> str:
        """Return the id, or raise `InvalidRequest`."""
        return _line(self.name, value, "a model's id", MAX_NAME)

    def parse(self, text: str) -> str:
        """Read the value from a command line or a recipe."""
        return self.check(text)


@dataclass(frozen=True)
class ClassName:
    """A class of a model, by its label or its number, drawn as a list with a search field."""

    name: str
    label: str
    help: str
    model: str = "model"
    """The `ModelRef` parameter whose classes are meant."""
    default: str = ""
    """Empty: no class is named."""
    empty: str = "Automatic"
    """What lists call the empty value."""
    recompute: bool = True
    advanced: bool = False
    only_with: str = ""
    kind: str = field(default="class", init=False)

    def check(self, value: Any) -> str:
        """Return the label or the number as a text, or raise `InvalidRequest`."""
        return _class_name(self.name, value)

    def parse(self, text: str) -> str:
        """Read the value from a command line or a recipe."""
        return self.check(text)


@dataclass(frozen=True)
class ClassBinding:
    """Which class each named area gets, drawn as one class list per area.

    The value maps an area's name, e.g. a colour label, to a class label or number. As a text:
    ``blue=lemon, green=lime``.
    """

    name: str
    label: str
    help: str
    input: str = "areas"
    """The input whose coverages are named."""
    model: str = "model"
    """The `ModelRef` parameter whose classes are meant."""
    default: Mapping[str, str] = field(default_factory=dict, hash=False)
    recompute: bool = True
    advanced: bool = False
    only_with: str = ""
    kind: str = field(default="classes", init=False)

    def check(self, value: Any) -> dict[str, str]:
        """Return the classes by area as texts, or raise `InvalidRequest`."""
        if not isinstance(value, Mapping):
            raise InvalidRequest(
                f"{self.name} must give a class for each area's name, got {value!r}.",
                value=value,
                remedy=self._remedy(),
            )
        if len(value) > MAX_BINDINGS:
            raise InvalidRequest(
                f"{self.name} may name {MAX_BINDINGS} areas, got {len(value)}.",
                value=len(value),
                remedy="Use fewer areas.",
            )
        found: dict[str, str] = {}
        for area, wanted in value.items():
            key = _line(f"An area's name in {self.name}", area, "a text", MAX_NAME)
            found[key] = _class_name(f"{self.name} for the area {key!r}", wanted)
            if not key or not found[key]:
                raise InvalidRequest(
                    f"{self.name} needs a name and a class for each area, got {area!r}={wanted!r}.",
                    value=str(area),
                    remedy=self._remedy(),
                )
        return found

    def parse(self, text: str) -> dict[str, str]:
        """Read ``area=class, area=class`` from a command line or a recipe."""
        found: dict[str, str] = {}
        for part in filter(None, (p.strip(" ,;\t\r\n") for p in _NEXT_BINDING.split(text))):
            area, equals, wanted = (piece.strip().strip("\"'") for piece in part.partition("="))
            if not equals or area in found:
                trouble = "names an area twice" if equals else "is no area=class"
                raise InvalidRequest(
                    f"{self.name}: {part!r} {trouble}.", value=text, remedy=self._remedy()
                )
            found[area] = wanted
        return self.check(found)

    def _remedy(self) -> str:
        return "Write area=class for each, e.g. blue=lemon, green=lime."


@dataclass(frozen=True)
class Text:
    """A short text, drawn as a line to type in."""

    name: str
    label: str
    help: str
    default: str = ""
    max_length: int = 200
    recompute: bool = True
    advanced: bool = False
    only_with: str = ""
    kind: str = field(default="text", init=False)

    def check(self, value: Any) -> str:
        """Return the text, or raise `InvalidRequest`."""
        return _line(self.name, value, "a text", self.max_length)

    def parse(self, text: str) -> str:
        """Read the value from a command line or a recipe."""
        return self.check(text)


@dataclass(frozen=True)
class Folder:
    """A folder on this computer, drawn as a line with a Browse button.

    The value is an absolute path: the engine works in another folder than who asks.
    """

    name: str
    label: str
    help: str
    default: str = ""
    """Empty: none."""
    required: bool = False
    """Whether the operation refuses to run without one: a front end can say so beforehand."""
    recompute: bool = True
    advanced: bool = False
    only_with: str = ""
    kind: str = field(default="folder", init=False)

    def check(self, value: Any) -> str:
        """Return the path, or raise `InvalidRequest`; whether it is there is not looked at."""
        path = _line(self.name, value, "a folder", MAX_PATH)
        if path and not os.path.isabs(path):
            raise InvalidRequest(
                f"{self.name} must be a whole path, got {path!r}.",
                value=path,
                remedy=f"Give it from the root on, e.g. {os.path.abspath(path)}.",
            )
        return path

    def parse(self, text: str) -> str:
        """Read a path from a command line or a recipe; it may start here or with ``~``."""
        path = _line(self.name, text, "a folder", MAX_PATH)
        return self.check(os.path.abspath(os.path.expanduser(path)) if path else "")


def _line(name: str, value: Any, what: str, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(
            f"{name} must be {what}, got {value!r}.", value=value, remedy="Give it as a text."
        )
    if len(value) > longest:
        raise InvalidRequest(
            f"{name} may have {longest} characters, got {len(value)}.",
            value=value[:longest],
            remedy="Use a shorter one.",
        )
    if not value.isprintable():
        raise InvalidRequest(
            f"{name} must be one line of plain text, got {value!r}.",
            value=value,
            remedy="Leave out line breaks and control characters.",
        )
    return value.strip()


def _class_name(name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**31:
            raise InvalidRequest(
                f"{name} must be a class's label or number, got {value}.",
                value=str(value),
                remedy="Numbers start at 0.",
            )
        return str(value)
    return _line(name, value, "a class's label or number", MAX_NAME)
