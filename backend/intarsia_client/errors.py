"""What can go wrong, in sentences an artist can act on.

IntarsiaError
├── InvalidRequest        a value, an input or a name is wrong; nothing was sent
├── EngineError           the engine cannot be talked to
│   ├── EngineMissing     it is not installed where this program looks
│   ├── EngineUnreachable it does not answer, or the connection broke
│   │   └── EngineNotRunning  there is none; starting one helps
│   ├── EngineRefused     it answered, but not to us (token, protocol version)
│   └── ProtocolError     it sent something that is not our protocol
└── JobError              one job ended without a result
    ├── JobFailed         with a code, what, value, remedy and perhaps a button
    └── JobCancelled      because somebody asked for it
"""

from __future__ import annotations

from typing import Any, Mapping

CODES = (
    "BAD_FRAME",
    "BAD_REQUEST",
    "UNSUPPORTED_VERSION",
    "UNSUPPORTED_OPERATION",
    "UNAUTHORIZED",
    "NOT_FOUND",
    "TOO_LARGE",
    "BUSY",
    "DEADLINE",
    "CANCELLED",
    "OUT_OF_MEMORY",
    "DISK_FULL",
    "MODEL_LOAD_FAILED",
    "MODEL_UNTRUSTED",
    "FILE_REJECTED",
    "OPERATION_FAILED",
    "WORKER_CRASHED",
    "WORKER_TIMEOUT",
    "POISONED",
    "SHUTTING_DOWN",
    "INTERNAL",
)
"""Every code a refusal or failure can carry (docs/wire.md says when)."""


class IntarsiaError(Exception):
    """Base of everything this project raises on purpose.

    Attributes:
        code: One of `CODES`.
        what: One sentence: what is wrong.
        value: The offending value, as plain data.
        remedy: One sentence: what would be right and what to do.
        action: What a button may do: ``{"label": …, "set": {parameter: value}}`` or
            ``{"label": …, "do": "retry" | "start" | "release" | "log" | "remove"}``; or None.
        retryable: Whether the same request may succeed when sent again.
        report: Id under which the engine's log has the rest; empty where there is none.
    """

    code = "INTERNAL"

    def __init__(
        self,
        what: str,
        *,
        value: Any = None,
        remedy: str = "",
        action: Mapping[str, Any] | None = None,
        retryable: bool = False,
        code: str | None = None,
        report: str = "",
    ) -> None:
        super().__init__(f"{what} {remedy}" if remedy else what)
        self.what = what
        self.value = value
        self.remedy = remedy
        self.action = dict(action) if action else None
        self.retryable = retryable
        self.report = report
        if code is not None:
            self.code = code

    def to_dict(self) -> dict[str, Any]:
        """The fields that ``failed`` and ``refused`` share (``report`` is only in ``failed``)."""
        return {
            "code": self.code,
            "what": self.what,
            "value": self.value,
            "remedy": self.remedy,
            "action": self.action,
            "retryable": self.retryable,
        }


class InvalidRequest(IntarsiaError, ValueError):
    """A value, an input or a name is wrong."""

    code = "BAD_REQUEST"


class EngineError(IntarsiaError):
    """The engine cannot be talked to."""


class EngineMissing(EngineError):
    """The engine is not installed where this program looks for it."""

    code = "NOT_FOUND"


class EngineUnreachable(EngineError):
    """The engine does not answer, or the connection broke."""

    code = "NOT_FOUND"


class EngineNotRunning(EngineUnreachable):
    """No engine is running; one can be started."""

    def __init__(self, what: str, *, value: Any = None) -> None:
        super().__init__(
            what,
            value=value,
            remedy='Start it with "intarsia serve".',
            action={"label": "Start the engine", "do": "start"},
            retryable=True,
        )


class EngineRefused(EngineError):
    """The engine answered, but does not take us or the request."""

    code = "UNAUTHORIZED"


class ProtocolError(EngineError):
    """Something arrived that is not our protocol."""

    code = "BAD_FRAME"


class JobError(IntarsiaError):
    """A job ended without a result."""


class JobFailed(JobError):
    """The job ended with a failure; see the attributes."""

    code = "OPERATION_FAILED"


class JobCancelled(JobError):
    """The job was cancelled."""

    code = "CANCELLED"


def from_dict(data: Mapping[str, Any], kind: Any = JobFailed) -> IntarsiaError:
    """Rebuild an error from its wire fields; missing ones take their defaults."""
    return kind(
        str(data.get("what") or "The engine reported a failure without a text."),
        value=data.get("value"),
        remedy=str(data.get("remedy") or ""),
        action=data.get("action"),
        retryable=bool(data.get("retryable")),
        code=str(data.get("code") or "INTERNAL"),
        report=str(data.get("report") or ""),
    )
