"""What a generator family declares, and which families there are.

A family is one module or package of ``intarsia_models.families`` that ends in
``FAMILY = Family(...)``; nothing else has to know it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from torch import Tensor

from intarsia_models import families as families_package
from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.generators.generator import Generator

Role = Literal["discriminator", "encoder", "auxiliary", "regressor"]
ROLES: tuple[Role, ...] = ("discriminator", "encoder", "auxiliary", "regressor")
"""Networks that belong to a generator; each one's tensors are named ``<role>.…``. Families read and
build the first three; a regressor is the same for all of them."""


@dataclass(frozen=True)
class Converted:
    """A foreign file in our form."""

    settings: dict[str, Any]
    """Plain JSON values, all that `Family.build` needs beside the tensors."""
    tensors: dict[str, Tensor]
    """By our names: ``generator.…`` and, where the file holds them, the other roles."""
    labels: tuple[str, ...] = ()
    licence: str = ""
    """What the user should know about the weights' licence."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Companion:
    """A discriminator, encoder or auxiliary network from a file of its own."""

    settings: dict[str, Any]
    """What `Family.build` needs for it, put under the role's name into the settings."""
    tensors: dict[str, Tensor]
    """By our names, ``<role>.…``."""
    notes: tuple[str, ...] = ()
    """What the user should know of it."""


@dataclass(frozen=True)
class Family:
    """One kind of generator."""

    name: str
    paper: str
    """Authors, year, arXiv number."""
    formats: tuple[str, ...]
    """For people: the public files it reads."""
    recognises: Callable[[ForeignFile], bool]
    """Looks at kinds, names and shapes only."""
    read: Callable[[ForeignFile], Converted]
    """Raises `UnreadableModel` where something is missing or does not fit."""
    build: Callable[[dict[str, Any], Mapping[str, Tensor]], Generator]
    """From our own form; raises `UnreadableModel` where tensors do not fit the settings."""
    read_companion: Callable[[ForeignFile, Role, Converted], Companion] | None = field(default=None)
    """Reads a role's own file, or None where there are no such files."""


@cache
def known_families() -> dict[str, Family]:
    """Every family by name, in the order of their modules."""
    found = {}
    for module in pkgutil.iter_modules(families_package.__path__):
        family = importlib.import_module(f"{families_package.__name__}.{module.name}").FAMILY
        found[family.name] = family
    return found


def family_of(name: str) -> Family:
    """The family of that name.

    Raises:
        UnreadableModel: This release knows no such family.
    """
    known = known_families()
    if name not in known:
        raise UnreadableModel(
            f"There is no generator family {name!r}.", f"There are: {', '.join(known)}."
        )
    return known[name]


def recognise(file: ForeignFile) -> Family:
    """The family whose public format this is.

    Raises:
        UnreadableModel: None knows it; the message lists the formats there are.
    """
    for family in known_families().values():
        if family.recognises(file):
            return family
    formats = "; ".join(text for family in known_families().values() for text in family.formats)
    raise UnreadableModel(
        f"{file.path} is no generator that can be read.", f"Known are: {formats}."
    )
