"""How long a training still takes, from how fast it has been."""

from __future__ import annotations

from intarsia_daemon.context import Context

SETTLED = 0.03
"""Share of the work after which the pace counts more than what was expected."""


class Pace:
    """Watches one training, which may have been taken up in the middle."""

    def __init__(self, context: Context, expected_s: float) -> None:
        """Begin with what is expected.

        Args:
            context: Whose clock stands still in pauses.
            expected_s: Seconds of the whole training, as estimated beforehand.
        """
        self._context = context
        self._expected_s = expected_s
        self._began: tuple[float, float] | None = None

    def seconds_left(self, done: float) -> float:
        """Seconds to the end, when a share ``done`` in [0, 1] of the work is done."""
        now = self._context.clock()
        if self._began is None:
            self._began = (now, done)  # a training that goes on does not start at 0
        began, first = self._began
        whole = self._expected_s
        if done - first > SETTLED:
            whole = (now - began) / (done - first)
        return (1 - done) * whole
