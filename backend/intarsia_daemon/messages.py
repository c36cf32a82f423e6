"""What the router and a worker say to each other over their pipe.

Both ends belong to one release, so this is not a protocol for others: docs/wire.md is. Every
message is one `msgspec.Struct`, sent with ``connection.send_bytes(encode(message))``. Pixels never
pass through the pipe; they lie as raw files in the job's folder and a `BufferFile` names them.

To the worker:   Run Cancel Pause Resume Yield Go Release Estimate Stop
From the worker: Ready Beat Working NeedsTraining Paused Resumed Finished Failed Stopped Estimated
                 Released ModelsChanged
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Lane = Literal["edit", "training"]


class BufferFile(msgspec.Struct, frozen=True, kw_only=True):
    """Pixels in a file: rows from the top without padding, little endian, never deflated."""

    width: int
    height: int
    channels: Literal[1, 4]
    """4: RGBA, straight alpha, sRGB; 1: coverage."""
    dtype: Literal["u8", "u16", "f32"]
    nbytes: int
    """The file's length."""
    path: str
    """Absolute, inside the job's folder."""
    x: int = 0
    y: int = 0
    name: str = ""
    input: str = ""
    """The operation's input that this fills; empty for results and previews."""
    amount: float | None = None
    """This and what follows: as in `intarsia_client.schema.ResultLayer`."""
    frame_of: int | None = None
    mask_of: int | None = None
    group: str = ""
    duration_ms: float | None = None


class InputSize(msgspec.Struct, frozen=True, kw_only=True):
    """An input without its pixels, for an estimate."""

    input: str
    width: int
    height: int
    x: int = 0
    y: int = 0


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=str.lower, tag_field="kind"):
    """Base of every message; ``kind`` on the pipe is the class's name in lower case."""


# --- to the worker --------------------------------------------------------------------------------


class Run(_Message, frozen=True):
    """Do this job now; the worker is idle when it gets one."""

    job: str
    operation: str
    parameters: dict[str, Any]
    """Checked and complete: every parameter's value by name."""
    seed: int
    folder: str
    """The job's folder, absolute; checkpoints live in it and survive a restart."""
    inputs: tuple[BufferFile, ...]
    lane: Lane
    attempt: int = 1
    """1 for the first try; more after a worker died or the engine was restarted."""
    label: str = ""


class Cancel(_Message, frozen=True):
    """Stop the job and answer `Stopped` (or a final message that was already under way)."""

    job: str


class Pause(_Message, frozen=True):
    """Stop at the next step, write a checkpoint if there is one to write, answer `Paused`."""

    job: str


class Resume(_Message, frozen=True):
    """Go on after `Pause`; answer `Resumed`."""

    job: str


class Yield(_Message, frozen=True):
    """An edit needs the machine: block in the next step until `Go`. There is no answer."""


class Go(_Message, frozen=True):
    """The edit is done: go on. There is no answer."""


class Release(_Message, frozen=True):
    """Unload every idle model; answer `Released`."""

    re: int


class Estimate(_Message, frozen=True):
    """How long would this take? Answer `Estimated` or `Failed` with ``re``."""

    re: int
    operation: str
    parameters: dict[str, Any]
    inputs: tuple[InputSize, ...]


class Stop(_Message, frozen=True):
    """The engine is leaving: write a checkpoint, end the process."""


# --- from the worker ------------------------------------------------------------------------------


class Ready(_Message, frozen=True):
    """The worker is up and waits for work."""

    pid: int
    device: str
    """As shown to people: ``"CPU, 2 cores"``, ``"NVIDIA H100"``."""


class Beat(_Message, frozen=True):
    """Sent every second by the thread that reads the pipe."""

    steps: int = 0
    """Counts `Context.tick` and `Context.progress` calls; stands still when an operation hangs."""


class Working(_Message, frozen=True):
    """How far the job is; at most ten a second."""

    job: str
    stage: str
    step: int
    total: int
    seconds_left: float | None = None
    numbers: dict[str, float] = {}
    preview: BufferFile | None = None


class NeedsTraining(_Message, frozen=True):
    """The edit lane's worker found that a model must be trained first; it is idle again."""

    job: str
    seconds_expected: float


class Paused(_Message, frozen=True):
    """The job stands still after `Pause`."""

    job: str


class Resumed(_Message, frozen=True):
    """The job goes on after `Resume`."""

    job: str


class Finished(_Message, frozen=True):
    """The job is done and its layers are in its folder."""

    job: str
    layers: tuple[BufferFile, ...]
    recipe: dict[str, Any]
    metrics: dict[str, float] = {}
    seconds: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    frames: tuple[BufferFile, ...] = ()


class Failed(_Message, frozen=True):
    """The job (or, with ``re``, the estimate) ended without a result."""

    code: str
    what: str
    job: str = ""
    re: int = 0
    value: Any = None
    remedy: str = ""
    action: dict[str, Any] | None = None
    retryable: bool = False
    report: str = ""
    """Names the traceback in the log; empty where there is none."""
    replace: bool = False
    """Whether this process is not to be trusted any more (a broken CUDA context)."""


class Stopped(_Message, frozen=True):
    """The job was cancelled."""

    job: str


class Estimated(_Message, frozen=True):
    """The answer to `Estimate`."""

    re: int
    seconds: float
    trains: bool
    text: str


class Released(_Message, frozen=True):
    """The answer to `Release`."""

    re: int
    freed_bytes: int


class ModelsChanged(_Message, frozen=True):
    """A model was added to the store."""


ToWorker = Run | Cancel | Pause | Resume | Yield | Go | Release | Estimate | Stop
FromWorker = (
    Ready
    | Beat
    | Working
    | NeedsTraining
    | Paused
    | Resumed
    | Finished
    | Failed
    | Stopped
    | Estimated
    | Released
    | ModelsChanged
)

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """The bytes of a message, for ``Connection.send_bytes``."""
    return _encoder.encode(message)


def decode_to_worker(data: bytes) -> ToWorker:
    """The message that the router sent.

    Raises:
        msgspec.DecodeError: The bytes are no such message.
    """
    return _to_worker.decode(data)


def decode_from_worker(data: bytes) -> FromWorker:
    """The message that a worker sent.

    Raises:
        msgspec.DecodeError: The bytes are no such message.
    """
    return _from_worker.decode(data)
