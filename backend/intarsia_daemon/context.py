"""What an operation sees of the engine: progress, cancelling, pausing, models, checkpoints.

An operation calls `Context.tick` at least every 100 ms and `Context.progress` when there is news;
all else follows. `Control` is the other side: the thread that reads the router's commands sets it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from intarsia_daemon.machine import Machine
from intarsia_daemon.messages import BufferFile, Lane, Paused, Resumed, Working
from intarsia_daemon.model_cache import ModelCache
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.pixels import Layer, shrink, write_file

PREVIEW_SIDE = 256
"""Longest side of a preview in pixels."""
INTERVAL_S = 0.1
"""Least time between two progress messages."""
SETTLE_S = 0.5
"""Time a stage must have run before its rest is estimated."""


class Cancelled(BaseException):
    """Somebody asked to stop. Not an `Exception`: no broad ``except`` in an algorithm eats it."""


class TrainingRequired(BaseException):
    """A model must be trained first, and this is the edit lane: the job moves to the other one."""

    def __init__(self, seconds_expected: float) -> None:
        super().__init__(seconds_expected)
        self.seconds_expected = seconds_expected


@dataclass(frozen=True)
class Estimate:
    """How long a run will take on this machine."""

    seconds: float
    trains: bool
    """Whether a model is trained first (so that it is quick the next time)."""
    text: str
    """One sentence for the artist."""


class Control:
    """What the router wants of the running job; set by one thread, read by `Context.tick`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._cancelled = self._paused = self._yielded = False

    def reset(self) -> None:
        """Forget cancel and pause before a new job. A yield belongs to the machine and stays."""
        with self._changed:
            self._cancelled = self._paused = False

    def cancel(self) -> None:
        """Make the next tick raise `Cancelled`, also while it blocks."""
        self._set(cancelled=True)

    def pause(self, paused: bool) -> None:
        """Make ticks block, or go on, because the artist said so."""
        self._set(paused=paused)

    def give_way(self, yielded: bool) -> None:
        """Make ticks block, or go on, because an edit needs the machine."""
        self._set(yielded=yielded)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called for this job."""
        return self._cancelled

    @property
    def paused(self) -> bool:
        """Whether the artist paused the job."""
        return self._paused

    @property
    def blocked(self) -> bool:
        """Whether a tick would block or raise."""
        return self._cancelled or self._paused or self._yielded

    def wait(self, told_paused: bool) -> None:
        """Block while ticks should block and ``paused`` is what was told already."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._cancelled or self._paused != told_paused or not self.blocked
            )

    def _set(self, **flags: bool) -> None:
        with self._changed:
            for name, value in flags.items():
                setattr(self, f"_{name}", value)
            self._changed.notify_all()


@dataclass
class _Stage:
    """The stage that runs now, for the estimate of its rest."""

    name: str
    first_step: int
    began: float


@dataclass
class Context:
    """Handed to every operation as ``context``."""

    seed: int
    """For local generators: ``torch.Generator(device).manual_seed(context.seed)``."""
    device: str
    """A torch device: ``"cpu"``, ``"cuda"``, ``"mps"``."""
    lane: Lane
    folder: Path
    """The job's own folder for checkpoints; survives a restart of worker and engine."""
    models: ModelStore
    cache: ModelCache
    machine: Machine
    job: str = ""
    send: Callable[[Working | Paused | Resumed], None] = lambda message: None
    """Where progress goes; the worker's pipe."""
    control: Control = field(default_factory=Control)
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds per phase without pauses; goes into the result."""
    steps: int = 0
    """Ticks and progress calls so far; stands still when the operation hangs."""

    _blocked_s: float = 0.0
    _stage: _Stage | None = None
    _sent: float = float("-inf")
    _waiting: Callable[[], Working] | None = None
    _preview: Layer | None = None
    _previews: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tick(self) -> None:
        """Give others their turn; call at least every 100 ms.

        Blocks while the job is paused or an edit has the machine.

        Raises:
            Cancelled: Somebody asked to stop. Let it pass; put files right with ``finally``.
        """
        self.steps += 1
        if self.lane == "training" and self.device.startswith("cuda"):
            torch.cuda.synchronize()  # launches run ahead: a yield would come seconds late
        if self.control.blocked:
            self._block()

    def progress(
        self,
        stage: str,
        step: int,
        total: int,
        *,
        numbers: Mapping[str, float] | None = None,
        preview: Layer | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Tell how far the job is; as often as convenient, at most ten a second are sent.

        Args:
            stage: In the artist's words: ``"Training, stage 2 of 3"``.
            step: Steps done in this stage.
            total: Steps of this stage.
            numbers: Losses and the like, for who looks closely.
            preview: A picture of the present state; made smaller here. Do not change it afterwards.
            seconds_left: Time to the job's end; None estimates the rest of this stage.

        Raises:
            Cancelled: As `tick`, which this calls.
        """
        self.tick()
        now = self.clock()
        if self._stage is None or self._stage.name != stage:
            self._stage = _Stage(stage, step, now)
        if seconds_left is None:
            seconds_left = self._rest(step, total, now)

        def message() -> Working:
            return Working(
                job=self.job,
                stage=stage,
                step=step,
                total=total,
                seconds_left=seconds_left,
                numbers={key: float(value) for key, value in (numbers or {}).items()},
                preview=None if self._preview is None else self._preview_file(self._preview),
            )

        with self._lock:
            if preview is not None:  # held back, it goes with what is sent next
                self._preview = preview
            self._waiting = message
        self.flush()

    def flush(self) -> None:
        """Send the newest progress that was held back, if it may be sent by now.

        The worker's pipe thread calls this, so that the last news before a long step arrives.
        """
        with self._lock:
            if self._waiting is None or time.monotonic() - self._sent < INTERVAL_S:
                return
            message, self._waiting, self._preview = self._waiting(), None, None
            self._sent = time.monotonic()
            self.send(message)

    @property
    def has_news(self) -> bool:
        """Whether `flush` has something to send sooner or later."""
        return self._waiting is not None

    def finish(self) -> None:
        """Drop what is still held back: the final message says it all."""
        with self._lock:
            self._waiting = self._preview = None

    def require_training(self, seconds_expected: float) -> None:
        """Say that a model must be trained now; call it before the training.

        Raises:
            TrainingRequired: In the edit lane; the job is run again in the training lane.
        """
        if self.lane == "edit":
            raise TrainingRequired(seconds_expected)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside, without pauses, to the result's ``seconds``; can be repeated."""
        began = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - began

    def clock(self) -> float:
        """Seconds on a clock that stands still while the job is paused or gives way."""
        return time.monotonic() - self._blocked_s

    def _block(self) -> None:
        began, told = time.monotonic(), False
        try:
            while self.control.blocked:
                if self.control.cancelled:
                    raise Cancelled
                if self.control.paused != told:
                    told = not told
                    self.send(Paused(job=self.job) if told else Resumed(job=self.job))
                self.control.wait(told)
        finally:
            self._blocked_s += time.monotonic() - began
        if told:
            self.send(Resumed(job=self.job))

    def _rest(self, step: int, total: int, now: float) -> float | None:
        assert self._stage is not None
        done, elapsed = step - self._stage.first_step, now - self._stage.began
        if done <= 0 or elapsed < SETTLE_S:
            return None
        return max(0.0, (total - step) * elapsed / done)

    def _preview_file(self, layer: Layer) -> BufferFile | None:
        self._previews += 1  # two names, so that one is whole while the next is written
        path = self.folder / f"preview-{self._previews % 2}.raw"
        try:
            return write_file(shrink(layer, PREVIEW_SIDE), path)
        except (OSError, ValueError):  # a full disk or a nan must not end the job over a preview
            return None
