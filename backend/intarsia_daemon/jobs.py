"""A job as the engine knows it: what is written down, and what only matters while it lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from intarsia_client.wire import FINAL, Message, layer_keys
from intarsia_daemon.messages import BufferFile, Lane, Run

State = Literal["queued", "running", "paused", "finished", "failed", "cancelled"]


class JobRecord(msgspec.Struct, kw_only=True):
    """Everything about a job that survives the engine; the journal has a column for each field."""

    job: str
    """32 hex digits, made by the client."""
    session: str
    client: str
    operation: str
    version: int
    parameters: dict[str, Any]
    """Checked and complete."""
    seed: int
    inputs: list[BufferFile]
    label: str = ""
    priority: str = "interactive"
    on_disconnect: str = "keep"
    keep_s: float = 86400.0
    state: State = "queued"
    lane: Lane = "edit"
    attempt: int = 1
    seq: int = 0
    """Number of the newest event."""
    submitted: float = 0.0
    """Seconds since 1970."""
    ended: float | None = None
    layers: list[BufferFile] = []
    """The result's files, its frames last; empty until it finished and after it was
    acknowledged."""
    error: dict[str, Any] | None = None
    acknowledged: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, one way or another."""
        return self.state in FINAL

    def same_request(self, other: JobRecord) -> bool:
        """Whether the other record asks for the same, pixels aside."""
        return (
            (self.operation, self.version, self.parameters, self.seed)
            == (other.operation, other.version, other.parameters, other.seed)
        ) and [_shape(item) for item in self.inputs] == [_shape(item) for item in other.inputs]


def _shape(item: BufferFile) -> tuple[Any, ...]:
    place = (item.width, item.height, item.channels, item.dtype, item.x, item.y)
    return (item.input, item.name, *place)


@dataclass(eq=False)
class Job:
    """A job that lives (or whose end was just told)."""

    record: JobRecord
    folder: str
    watchers: set[str] = field(default_factory=set)
    """Sessions that hear its events."""
    progress: Message | None = None
    """The newest, for whoever begins to watch."""
    worker: int | None = None
    """Number of the worker process that has it."""
    cancel_asked: float | None = None
    """When it was asked to stop (monotonic clock)."""
    pause_asked: bool = False
    seconds_expected: float | None = None
    adopt_until: float | None = None
    """After a restart: when it is cancelled unless somebody watches it."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.record.job

    def run_message(self) -> Run:
        """What a worker is told to do."""
        record = self.record
        return Run(
            job=record.job,
            operation=record.operation,
            parameters=record.parameters,
            seed=record.seed,
            folder=self.folder,
            inputs=tuple(record.inputs),
            lane=record.lane,
            attempt=record.attempt,
            label=record.label,
        )

    def summary(self) -> dict[str, Any]:
        """One entry of ``list``."""
        record, progress = self.record, self.progress.header if self.progress else {}
        entry = {
            "job": record.job,
            "operation": record.operation,
            "label": record.label,
            "state": record.state,
            "stage": progress.get("stage", ""),
            "step": progress.get("step", 0),
            "total": progress.get("total", 0),
            "seconds_left": progress.get("seconds_left"),
            "submitted": record.submitted,
            "client": record.client,
            "lane": record.lane,
            "attempt": record.attempt,
            "acknowledged": record.acknowledged,
        }
        if record.error is not None:
            entry["error"] = {key: record.error.get(key) for key in ("code", "what", "remedy")}
        return entry


def describe_layer(layer: BufferFile) -> dict[str, Any]:
    """A result layer as clients see it, without its path."""
    return {
        "name": layer.name,
        "input": layer.input,
        "width": layer.width,
        "height": layer.height,
        "channels": layer.channels,
        "dtype": layer.dtype,
        "x": layer.x,
        "y": layer.y,
        "nbytes": layer.nbytes,
        "encoding": "raw",
        **layer_keys(layer),
    }
