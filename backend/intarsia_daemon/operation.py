"""Declaring operations: one decorator, checked when the module is imported.

A module in ``intarsia_daemon.operations`` holds a function and its declaration, and nothing else
is needed for it to appear in Krita, in GIMP, on the command line, in batches and in the docs::

    @operation(title="Blend", verb="Blend the object in", inputs=(...), parameters=(...))
    def blend(picture: Picture, element: Picture, method: str, context: Context) -> Outcome:
        "Fit a pasted element into the picture by solving Poisson's equation."

The function's name is the operation's id and the first line of its docstring its summary.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import (
    GROUPS,
    ROLES,
    Choice,
    ClassBinding,
    ClassName,
    Input,
    ModelRef,
    Operation,
    Parameter,
)


@dataclass(frozen=True)
class Registered:
    """A declaration with the functions behind it."""

    declaration: Operation
    run: Callable[..., Any]
    estimate: Callable[..., Any] | None
    """``estimate(parameters, sizes, context) -> Estimate``, or None: done in a moment."""


_registry: dict[str, Registered] = {}


def operation(
    *,
    title: str,
    verb: str,
    inputs: Sequence[Input],
    parameters: Sequence[Parameter],
    version: int = 1,
    trains: bool = False,
    live: bool = False,
    group: str = "",
    estimate: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as an operation.

    The function takes one argument per input and parameter, by name, and ``context``; it returns
    an `intarsia_daemon.pixels.Outcome`.

    Raises:
        TypeError: The function's arguments are not exactly inputs + parameters + ``context``, it
            has no docstring, a role or group is unknown, a parameter names another or an input that
            is not there, or it is ``live`` and may train.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        declared = [i.name for i in inputs] + [p.name for p in parameters] + ["context"]
        taken = list(inspect.signature(function).parameters)
        if sorted(declared) != sorted(taken):
            raise TypeError(f"{name}: declared are {declared}, the function takes {taken}.")
        for item in inputs:
            if item.role not in ROLES:
                raise TypeError(f"{name}: {item.name} has the role {item.role!r}, not of {ROLES}.")
        _check_references(name, inputs, parameters)
        if group and group not in GROUPS:
            raise TypeError(f"{name}: the group is {group!r}, not of {GROUPS}.")
        if live and trains:
            raise TypeError(f"{name}: what may work long cannot be shown live.")
        summary = (inspect.getdoc(function) or "").split("\n", 1)[0]
        if not summary:
            raise TypeError(f"{name}: artists read its docstring's first line; it has none.")
        if name in _registry:
            raise TypeError(f"{name} is declared twice.")
        declaration = Operation(
            id=name,
            title=title,
            verb=verb,
            summary=summary,
            inputs=tuple(inputs),
            parameters=tuple(parameters),
            version=version,
            trains=trains,
            live=live,
            group=group,
        )
        _registry[name] = Registered(declaration, function, estimate)
        return function

    return register


def _check_references(name: str, inputs: Sequence[Input], parameters: Sequence[Parameter]) -> None:
    """Class parameters name the model whose classes they mean, bindings also their areas.

    What counts only with some values of a choice names that choice and those values.
    """
    choices = {p.name: p.values() for p in parameters if isinstance(p, Choice)}
    models = [p.name for p in parameters if isinstance(p, ModelRef)]
    areas = [i.name for i in inputs if i.role == "area" and i.several]
    for item in parameters:
        if isinstance(item, (ClassName, ClassBinding)) and item.model not in models:
            raise TypeError(f"{name}: {item.name} names the model {item.model!r}, not of {models}.")
        if isinstance(item, ClassBinding) and item.input not in areas:
            raise TypeError(f"{name}: {item.name} names the areas {item.input!r}, not of {areas}.")
        choice, _, wanted = item.only_with.partition("=")
        if item.only_with and not {*wanted.split(",")} <= {*choices.get(choice, ())}:
            raise TypeError(f"{name}: {item.name} counts with {item.only_with!r}, of {choices}.")


def known_operations() -> Mapping[str, Registered]:
    """Every operation by id, in the order to be shown: by group, then by title.

    Imports all modules of ``intarsia_daemon.operations``.
    """
    from intarsia_daemon import operations

    for module in pkgutil.iter_modules(operations.__path__):
        importlib.import_module(f"{operations.__name__}.{module.name}")
    return dict(sorted(_registry.items(), key=lambda item: _place(item[1].declaration)))


def _place(declaration: Operation) -> tuple[int, str]:
    """Where it stands in a list."""
    group = declaration.group
    return (GROUPS.index(group) if group else len(GROUPS), declaration.title)


def find_operation(name: str) -> Registered:
    """The operation of that id.

    Raises:
        InvalidRequest: There is none; the message lists those there are.
    """
    known = known_operations()
    if name not in known:
        raise InvalidRequest(
            f"There is no operation named {name!r}.",
            value=name,
            remedy=f"There are: {', '.join(known)}.",
            code="UNSUPPORTED_OPERATION",
        )
    return known[name]
