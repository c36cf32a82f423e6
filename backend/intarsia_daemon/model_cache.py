"""Loaded models in a worker's memory, under a budget.

What was not used for long and is quick to load again leaves first. What does not fit is refused
before it is loaded, with numbers. Knows nothing of torch; one thread uses it.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from intarsia_client.errors import IntarsiaError

T = TypeVar("T")


@dataclass
class _Entry:
    value: Any
    size: int
    load_s: float
    used: float
    pins: int = 0


class ModelCache:
    """Keeps models loaded as long as there is room."""

    def __init__(
        self,
        budget_bytes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_free: Callable[[], object] = gc.collect,
    ) -> None:
        """Start empty.

        Args:
            budget_bytes: The sizes of all models together stay within it.
            clock: Seconds; for tests.
            on_free: Called after models left, to give the memory back to the system.
        """
        self.budget_bytes = budget_bytes
        self._clock = clock
        self._on_free = on_free
        self._entries: dict[Hashable, _Entry] = {}

    @property
    def used_bytes(self) -> int:
        """Size of everything that is loaded."""
        return sum(entry.size for entry in self._entries.values())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    @contextlib.contextmanager
    def get(
        self,
        key: Hashable,
        load: Callable[[], T],
        size: Callable[[T], int],
        *,
        expected_bytes: int = 0,
    ) -> Iterator[T]:
        """The loaded model, pinned inside the ``with`` block.

        Args:
            key: The model's hash with all that changes what ``load`` gives (dtype, device).
            load: Called when it is not there.
            size: Bytes of what was loaded.
            expected_bytes: Its size as far as known beforehand, e.g. that of its file; room is made
                for it before it is loaded, and what cannot fit is not loaded.

        Raises:
            IntarsiaError: OUT_OF_MEMORY, if it does not fit beside the models in use.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._load(key, load, size, expected_bytes)
        entry.pins += 1
        entry.used = self._clock()
        try:
            yield entry.value
        finally:
            entry.pins -= 1
            entry.used = self._clock()

    def release(self) -> int:
        """Unload everything that is not in use; returns the bytes freed."""
        return self._drop([key for key, entry in self._entries.items() if not entry.pins])

    def release_idle(self, idle_s: float) -> int:
        """Unload what was not used for that long; returns the bytes freed."""
        limit = self._clock() - idle_s
        return self._drop(
            [key for key, entry in self._entries.items() if not entry.pins and entry.used <= limit]
        )

    def discard(self, key: Hashable) -> int:
        """Unload this one, if it is there and not in use; returns the bytes freed."""
        entry = self._entries.get(key)
        return self._drop([key]) if entry is not None and not entry.pins else 0

    def _load(
        self, key: Hashable, load: Callable[[], T], size: Callable[[T], int], expected_bytes: int
    ) -> _Entry:
        self._make_room(expected_bytes)
        began = self._clock()
        value = load()
        load_s = self._clock() - began
        real = size(value)
        try:
            self._make_room(real)
        except IntarsiaError:
            del value
            self._on_free()
            raise
        entry = self._entries[key] = _Entry(value, real, load_s, self._clock())
        return entry

    def _make_room(self, wanted: int) -> None:
        pinned = sum(entry.size for entry in self._entries.values() if entry.pins)
        if pinned + wanted > self.budget_bytes:
            raise IntarsiaError(
                f"The model needs {_mebibytes(wanted)} of memory; of "
                f"{_mebibytes(self.budget_bytes)} for models {_mebibytes(pinned)} are in use.",
                value=wanted,
                remedy="Choose a smaller quality, or close other programs and raise model_bytes in "
                "the settings.",
                code="OUT_OF_MEMORY",
            )
        now = self._clock()

        def staleness(key: Hashable) -> float:
            entry = self._entries[key]
            return (now - entry.used + 1.0) / (entry.load_s + 0.01)

        idle = [key for key, entry in self._entries.items() if not entry.pins]
        leaving, left = [], self.used_bytes + wanted - self.budget_bytes
        for key in sorted(idle, key=staleness, reverse=True):
            if left <= 0:
                break
            leaving.append(key)
            left -= self._entries[key].size
        self._drop(leaving)

    def _drop(self, keys: list[Hashable]) -> int:
        freed = sum(self._entries.pop(key).size for key in keys)
        if keys:
            self._on_free()
        return freed


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
