"""What this machine turned out to be able to do: learned speed factors, so that estimates fit it.

Kept in ``<home>/machine.json``: ``{device: {kind: factor}}``. A lost or broken file costs nothing
but worse estimates until the next run, so nothing here raises over it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

WEIGHT = 0.4
"""Share of the newest run in the average; earlier runs fade."""
LIMIT = 1000.0
"""Factors outside [1 / LIMIT, LIMIT] are measuring mistakes and are not kept."""


class Machine:
    """Learned speed factors of one device."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Use the file at ``path``; it need not exist.

        Args:
            path: ``<home>/machine.json``.
            device: Factors are kept apart by device.
        """
        self._path = path
        self._device = device

    def factor(self, kind: str) -> float:
        """How fast this machine is at ``kind``: 1 as the formula says, 2 twice as fast, 0.5 half.

        Divide the formula's seconds by it. 1 as long as nothing was learned.
        """
        return _valid(self._read().get(self._device, {}).get(kind)) or 1.0

    def knows(self, kind: str) -> bool:
        """Whether a factor was learned."""
        return _valid(self._read().get(self._device, {}).get(kind)) is not None

    def learn(self, kind: str, expected_s: float, actual_s: float) -> None:
        """Take one run into account.

        Args:
            kind: What ran, e.g. ``"single_image"``.
            expected_s: Seconds by the formula alone, *before* `factor` was applied.
            actual_s: Seconds it took, without pauses (`Context.clock`).
        """
        if not (expected_s > 0 and actual_s > 0):
            return
        measured = _valid(expected_s / actual_s)
        if measured is None:
            return
        data = self._read()  # again: the other worker may have written meanwhile
        factors = data.setdefault(self._device, {})
        known = _valid(factors.get(kind))
        # factors are ratios, so they are averaged as such (geometrically)
        factors[kind] = measured if known is None else known ** (1 - WEIGHT) * measured**WEIGHT
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(data, indent=2, sort_keys=True), "utf-8")
            os.replace(temporary, self._path)
        except OSError:
            temporary.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            data = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(data, dict):
            return {}
        return {key: value for key, value in data.items() if isinstance(value, dict)}


def _valid(factor: Any) -> float | None:
    if isinstance(factor, bool) or not isinstance(factor, (int, float)):
        return None
    return float(factor) if 1 / LIMIT <= factor <= LIMIT else None  # refuses nan as well
