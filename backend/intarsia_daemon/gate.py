"""When a running training stays back so that an edit is quick.

Pure logic: it is told what happens and what time it is, and says ``yield`` or ``go``. While an edit
runs, and for a moment after it, the training is held at its next step; but within any window it is
never held for more than its share allows, so that steady painting does not starve it.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

TINY = 1e-6


class Gate:
    """Decides when the training worker is held.

    Args:
        linger_s: How long it stays held after the last edit ended.
        share: Least share of the time that the training gets, in (0, 1].
        window_s: The time over which the share is counted.
    """

    def __init__(self, *, linger_s: float, share: float, window_s: float) -> None:
        self._linger_s = linger_s
        self._window_s = window_s
        self._hold_limit_s = window_s * (1.0 - share)
        self._run_s = window_s * share
        self._editing = False
        self._training = False
        self._edit_ended = float("-inf")
        self._owed_until = float("-inf")
        self._held_since: float | None = None
        self._held: deque[tuple[float, float]] = deque()

    def edit_started(self, now: float) -> None:
        """An edit got the machine."""
        self._editing = True

    def edit_ended(self, now: float) -> None:
        """The edit lane is free (or its job is paused)."""
        if self._editing:
            self._editing, self._edit_ended = False, now

    def training_started(self) -> None:
        """A training runs; it is not held yet."""
        self._training, self._held_since = True, None
        self._held.clear()

    def training_ended(self) -> None:
        """No training runs."""
        self._training, self._held_since = False, None

    @property
    def holds(self) -> bool:
        """Whether the training is held now."""
        return self._held_since is not None

    def decide(self, now: float) -> Literal["yield", "go"] | None:
        """What to tell the training worker now, or None when nothing changes."""
        if not self._training:
            return None
        wanted = self._editing or now < self._edit_ended + self._linger_s - TINY
        if self._held_since is None:
            if wanted and now >= self._owed_until - TINY and self._hold_limit_s > TINY:
                self._held_since = now
                return "yield"
            return None
        exhausted = self._held_seconds(now) > self._hold_limit_s + TINY
        if wanted and not exhausted:
            return None
        self._held.append((self._held_since, now))
        self._held_since = None
        if exhausted:
            self._owed_until = now + self._run_s
        return "go"

    def next_change(self, now: float) -> float | None:
        """When `decide` may say something new although nothing happens; None for never."""
        if not self._training:
            return None
        linger_ends = self._edit_ended + self._linger_s
        if self._held_since is None:
            wanted = self._editing or now < linger_ends
            return self._owed_until if wanted and now < self._owed_until else None
        spent = now + max(0.02, self._hold_limit_s - self._held_seconds(now))
        return spent if self._editing else min(spent, max(now, linger_ends))

    def _held_seconds(self, now: float) -> float:
        """How long the training was held within the window that ends now."""
        start = now - self._window_s
        while self._held and self._held[0][1] <= start:
            self._held.popleft()
        total = sum(end - max(begin, start) for begin, end in self._held)
        if self._held_since is not None:
            total += now - max(self._held_since, start)
        return total
