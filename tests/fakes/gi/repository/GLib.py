"""A main loop that the test turns by hand: `iterate` runs what `idle_add` has collected."""

from __future__ import annotations

import collections
from typing import Any, Callable

_timers: dict[int, list[Any]] = {}
"""By number: when it is due, how often in milliseconds, what to call."""
_clock = [0, 0]
"""The time in milliseconds, and the newest timer's number."""
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


def timeout_add(interval: int, function: Callable[[], Any]) -> int:
    _clock[1] += 1
    _timers[_clock[1]] = [_clock[0] + interval, interval, function]
    return _clock[1]


def source_remove(number: int) -> None:
    del _timers[number]


def pass_time(milliseconds: int) -> None:
    """Let timers run as they would in so much time, and what they leave to the loop."""
    end = _clock[0] + milliseconds
    while True:
        iterate()
        due = [(timer[0], number) for number, timer in _timers.items() if timer[0] <= end]
        if not due:
            break
        _clock[0], number = min(due)
        timer = _timers[number]
        timer[0] += timer[1]
        if not timer[2]():
            _timers.pop(number, None)
    _clock[0] = end


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
