"""How fast this machine composes and learns mosaics, also before it ever did.

What it learned from earlier mosaics counts. Without that a few convolutions are timed: they tell
how many cores there are, how fast these are, and how busy others keep them just now.
"""

from __future__ import annotations

import threading
import time

import torch
from torch.nn.functional import conv2d

from intarsia_daemon.context import Context

COMPOSING, TRAINING = "mosaic", "mosaic_training"
"""Under which the machine learns how fast it is."""
REFERENCE_S = 0.0115
"""Seconds of `_probe` on one core of an AMD EPYC 9004 that nobody else uses (processor time)."""
VALID_S = 60.0
"""How long a measurement counts."""
RUNS, LEAST_S = 3, 0.06
"""A measurement lasts so many probes and so long, at least: slices of a busy core are a few ms."""
_CHANNELS, _SIDE, _BATCH = 32, 64, 4

_lock = threading.Lock()
_measured: tuple[float, float] | None = None
"""(when, factor)."""


def speed_factor(context: Context, kind: str) -> float:
    """By what a formula's seconds are divided on this machine.

    Args:
        context: The running operation's, or an estimate's.
        kind: `COMPOSING` or `TRAINING`.
    """
    if context.machine.knows(kind) or context.device.split(":")[0] != "cpu":
        return context.machine.factor(kind)
    return _measured_factor()


def _measured_factor() -> float:
    global _measured
    with _lock:
        now = time.monotonic()
        if _measured is None or now - _measured[0] > VALID_S:
            _measured = (now, REFERENCE_S / _seconds_of_probe())
        return _measured[1]


def _seconds_of_probe() -> float:
    """Mean wall time; the mean, as a busy machine is what is asked for."""
    pictures = torch.ones(_BATCH, _CHANNELS, _SIDE, _SIDE)
    weights = torch.ones(_CHANNELS, _CHANNELS, 5, 5)
    _probe(pictures, weights)  # the first one prepares
    began, runs = time.perf_counter(), 0
    while runs < RUNS or time.perf_counter() - began < LEAST_S:
        _probe(pictures, weights)
        runs += 1
    return (time.perf_counter() - began) / runs


@torch.no_grad()
def _probe(pictures: torch.Tensor, weights: torch.Tensor) -> None:
    conv2d(pictures, weights, padding=2)
