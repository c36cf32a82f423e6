"""A main loop that the test turns by hand: `iterate` runs what `idle_add` has collected."""

from __future__ import annotations

import collections
from typing import Any, Callable

_pending: collections.deque[Callable[[], Any]] = collections.deque()


def idle_add(function: Callable[..., Any], *args: Any) -> int:
    _pending.append(lambda: function(*args))
    return len(_pending)


def iterate() -> int:
    """Run everything collected so far; returns how many there were."""
    done = 0
    while _pending:
        _pending.popleft()()
        done += 1
    return done


class Error(Exception):
    @property
    def message(self) -> str:
        return str(self)

    @classmethod
    def new_literal(cls, domain: Any, message: str, code: int) -> Error:
        return cls(message)


class Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def new(cls, data: bytes) -> Bytes:
        return cls(data)

    def get_data(self) -> bytes:
        return self._data


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError("the fake GLib has no %s" % name)
