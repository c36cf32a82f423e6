"""What the engine's messages become: layers, progress, failures."""

from __future__ import annotations

from typing import Any

from intarsia_client import wire
from intarsia_client.errors import IntarsiaError, JobFailed, ProtocolError
from intarsia_client.schema import Progress, ResultLayer
from intarsia_client.wire import Message


def layers(message: Message) -> tuple[ResultLayer, ...]:
    """The layers in a message's buffers.

    Raises:
        ProtocolError: The descriptions do not fit the buffers.
    """
    descriptions = message.header.get("buffers") or []
    if not isinstance(descriptions, list) or len(descriptions) != len(message.buffers):
        raise ProtocolError(
            f"A {message.kind} message with {len(message.buffers)} buffers describes others."
        )
    return tuple(_layer(*pair) for pair in zip(descriptions, message.buffers))


def _layer(description: Any, frame: Any) -> ResultLayer:
    checked = wire.check_buffer(description, frame)
    return ResultLayer(
        name=checked.get("name", ""),
        width=checked["width"],
        height=checked["height"],
        channels=checked["channels"],
        data=wire.inflate(checked, frame),
        dtype=checked["dtype"],
        x=checked["x"],
        y=checked["y"],
        amount=checked.get("amount"),
        frame_of=checked.get("frame_of"),
        mask_of=checked.get("mask_of"),
        group=checked.get("group", ""),
        duration_ms=checked.get("duration_ms"),
    )


def progress(message: Message) -> Progress:
    """How far a job is, from a ``progress`` message.

    Raises:
        ProtocolError: A field has the wrong type.
    """
    header = message.header
    previews = layers(message)
    left = header.get("seconds_left")
    try:
        return Progress(
            stage=str(header.get("stage") or ""),
            step=int(header.get("step") or 0),
            total=int(header.get("total") or 0),
            seconds_left=None if left is None else float(left),
            numbers={str(k): float(v) for k, v in (header.get("numbers") or {}).items()},
            preview=previews[0] if previews else None,
        )
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"A progress message is broken ({error}).") from None


def forgotten(job_id: str, error: IntarsiaError) -> JobFailed:
    """The failure of a job that a new engine does not have in its journal."""
    return JobFailed(
        "The engine was started anew and no longer knows this job.",
        value=job_id,
        remedy="Run it again.",
        action={"label": "Run again", "do": "retry"},
        retryable=True,
        code=error.code,
    )
