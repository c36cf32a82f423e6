"""What ``intarsia`` leaves with; docs/command-line.md repeats this table."""

from __future__ import annotations

from intarsia_client.errors import EngineError, IntarsiaError, InvalidRequest, JobCancelled

OK = 0
FAILED = 1
USAGE = 2
ENGINE = 3
CANCELLED = 4
PARTLY = 5
SECOND_ENGINE = 75

MEANINGS = {
    OK: "done",
    FAILED: "the operation failed, or `doctor` found something broken",
    USAGE: "wrong use: an unknown name, a value out of range, a file that cannot be read",
    ENGINE: "the engine is missing, does not answer, or refuses us",
    CANCELLED: "cancelled (Ctrl+C)",
    PARTLY: "some files of a batch failed; the rest is done",
    SECOND_ENGINE: "`serve`: an engine is running already",
}

_WRONG_USE = ("BAD_REQUEST", "FILE_REJECTED", "UNSUPPORTED_OPERATION", "TOO_LARGE")


def of(error: IntarsiaError) -> int:
    """The exit code for an error."""
    if isinstance(error, JobCancelled):
        return CANCELLED
    if isinstance(error, EngineError):
        return ENGINE
    if isinstance(error, InvalidRequest) or error.code in _WRONG_USE:
        return USAGE
    return FAILED
