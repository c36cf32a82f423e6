"""Exceptions out of operations, told to the artist.

The artist gets a sentence, what to do and perhaps a button; the traceback goes to the log under the
report's id.
"""

from __future__ import annotations

import errno
import logging
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Choice, Operation
from intarsia_daemon.device import free_memory
from intarsia_daemon.messages import Failed
from intarsia_models.errors import ModelsError, TrainingDiverged, UnreadableModel

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM_TEXT = re.compile(r"no space left on device|disk quota exceeded|os error 28\b", re.I)
_NO_MEMORY_TEXT = re.compile(
    r"out of memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED", re.I
)
_WANTED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|KiB|MiB|GiB)?", re.I)
_UNITS = {"": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DEVICE_TEXT = re.compile(r"CUDA error|CUDNN_STATUS|cuDNN error|CUBLAS_STATUS|MPS backend", re.I)

log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: main memory, or the device's."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_NO_MEMORY_TEXT.search(str(error)))


def is_disk_full(error: BaseException) -> bool:
    """Whether the disk is full; libraries hide it in a text now and then."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in NO_ROOM
    return isinstance(error, Exception) and bool(_NO_ROOM_TEXT.search(str(error)))


def is_broken_device(error: BaseException) -> bool:
    """Whether the process's device context can no longer be trusted."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and bool(_DEVICE_TEXT.search(str(error)))


def failed(
    error: BaseException,
    *,
    job: str = "",
    re: int = 0,
    operation: Operation | None = None,
    parameters: Mapping[str, Any] | None = None,
    device: str = "cpu",
    folder: Path | None = None,
) -> Failed:
    """What a job that raised this is told to have failed of; logs what people do not see.

    Args:
        error: What came out of the operation.
        job: The job, or empty for an estimate.
        re: The estimate's number, or 0.
        operation: Its declaration, as far as known.
        parameters: The values it ran with.
        device: Where it computed.
        folder: A folder on the disk it writes to.
    """
    told = _told(error, operation, parameters or {}, device, folder)
    report = told.report
    if not isinstance(error, IntarsiaError):
        report = secrets.token_hex(4)
        log.error("Report %s: job %s failed.", report, job or re, exc_info=error)
    return Failed(
        job=job,
        re=re,
        code=told.code,
        what=told.what,
        value=_plain(told.value),
        remedy=told.remedy,
        action=_plain(told.action),
        retryable=told.retryable,
        report=report,
        replace=is_broken_device(error),
    )


def _told(
    error: BaseException,
    operation: Operation | None,
    parameters: Mapping[str, Any],
    device: str,
    folder: Path | None,
) -> IntarsiaError:
    title = operation.title if operation else "The operation"
    if isinstance(error, IntarsiaError):
        return error
    if is_out_of_memory(error):
        return _out_of_memory(error, title, _smaller(operation, parameters), device)
    if is_disk_full(error):
        return _disk_full(title, folder)
    if is_broken_device(error):
        return IntarsiaError(
            f"{title} ended because the graphics device reported an error.",
            value=type(error).__name__,
            remedy="Run it again; the engine has started afresh. If it happens again, update the "
            "graphics driver.",
            action={"label": "Run again", "do": "retry"},
            retryable=True,
            code="WORKER_CRASHED",
        )
    if isinstance(error, ModelsError):
        return IntarsiaError(error.what, remedy=error.remedy, code=_models_code(error))
    return IntarsiaError(
        f"{title} failed because of a fault in the program ({type(error).__name__}).",
        value=type(error).__name__,
        remedy="The log has the details under the report's number; please report it.",
        action={"label": "Show the log", "do": "log"},
        code="OPERATION_FAILED",
    )


def _models_code(error: ModelsError) -> str:
    if isinstance(error, UnreadableModel):
        return "MODEL_LOAD_FAILED"
    return "OPERATION_FAILED" if isinstance(error, TrainingDiverged) else "BAD_REQUEST"


def _out_of_memory(
    error: BaseException, title: str, smaller: dict[str, Any] | None, device: str
) -> IntarsiaError:
    try:
        free, total = free_memory(device)
    except RuntimeError:  # the device does not answer any more
        free = total = 0
    wanted = _wanted_bytes(str(error))
    place = "memory" if device == "cpu" else "graphics memory"
    numbers = f"{_gibibytes(free)} of {_gibibytes(total)} are free now"
    if wanted:
        numbers = f"{_gibibytes(wanted)} more were needed; {numbers}"
    advice = "Choose a smaller quality" if smaller else "Use a smaller picture or area"
    return IntarsiaError(
        f"{title} ran out of {place}: {numbers}.",
        value=wanted or None,
        remedy=f"{advice}, or close other programs, and run it again.",
        action=smaller or {"label": "Unload models", "do": "release"},
        retryable=True,
        code="OUT_OF_MEMORY",
    )


def _disk_full(title: str, folder: Path | None) -> IntarsiaError:
    free = shutil.disk_usage(folder).free if folder is not None and folder.exists() else None
    left = "" if free is None else f": {free / 2**20:,.0f} MiB are left"
    place = "" if folder is None else f" on the disk of {folder}"
    return IntarsiaError(
        f"{title} found no room{place}{left}.",
        value=free,
        remedy="Free some disk space (models that are not needed can be removed) and run it again.",
        action={"label": "Run again", "do": "retry"},
        retryable=True,
        code="DISK_FULL",
    )


def _smaller(operation: Operation | None, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The button that chooses the next smaller quality, where the operation has qualities."""
    for parameter in operation.parameters if operation else ():
        if isinstance(parameter, Choice) and parameter.name == "quality":
            values = parameter.values()
            now = parameters.get("quality", parameter.default)
            index = values.index(now) if now in values else 0
            if index > 0:  # from small to large
                option = parameter.options[index - 1]
                label = f"Use {parameter.label.lower()} {option.label}"
                return {"label": label, "set": {"quality": option.value}}
    return None


def _wanted_bytes(text: str) -> int:
    match = _WANTED.search(text)
    if match is None:
        return 0
    return int(float(match[1].rstrip(".")) * _UNITS[(match[2] or "").lower()])


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _plain(value: Any) -> Any:
    """The value if it can be sent, else its text."""
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    except (TypeError, ValueError, OverflowError):
        return repr(value)[:300]
