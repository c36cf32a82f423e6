"""Only what arguments of procedures and signals need."""

from __future__ import annotations

from typing import Any, Callable

TYPE_STRING = str
TYPE_NONE = type(None)


class ParamFlags:
    READWRITE = 3


class Value:
    def __init__(self, kind: Any, value: Any) -> None:
        self.kind, self.value = kind, value


class Object:
    """Something that tells of changes."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Callable[..., Any]]] = {}

    def connect(self, signal: str, function: Callable[..., Any]) -> None:
        self._handlers.setdefault(signal, []).append(function)

    def emit(self, signal: str, *arguments: Any) -> None:
        for function in list(self._handlers.get(signal, ())):
            function(self, *arguments)
