"""The engine's numbers and errors in the artist's words; the same in every front end."""

from __future__ import annotations

import math
from typing import Any

from intarsia_client.errors import EngineMissing, EngineRefused, EngineUnreachable, IntarsiaError
from intarsia_client.schema import Progress

_SEPARATOR = " – "


def duration(seconds: float) -> str:
    """A time to come, rounded as one says it: ``"about 4 min"``.

    Args:
        seconds: Not negative.
    """
    if seconds < 1:
        return "a moment"
    return f"about {_rounded(seconds)}"


def progress_line(progress: Progress) -> str:
    """One line: ``"Training, stage 2 of 3 – 62 % – 9 s left"``, without what is unknown."""
    parts = [progress.stage or "Working"]
    if progress.total > 0:
        parts.append(f"{math.floor(progress.fraction * 100)} %")
    if progress.seconds_left is not None and progress.seconds_left >= 0.5:
        parts.append(f"{_rounded(progress.seconds_left)} left")
    return _SEPARATOR.join(parts)


def error_text(error: BaseException) -> tuple[str, str, dict[str, Any] | None]:
    """An error as a message with a button.

    Args:
        error: Anything; what is not an `IntarsiaError` is a fault of ours and said so.

    Returns:
        The sentence, the remedy (may be empty), and what a button does: ``{"label": …, "set": …}``,
        ``{"label": …, "do": "retry" | "start" | "release" | "log" | "remove"}`` or None.
    """
    if not isinstance(error, IntarsiaError):
        return (
            f"Something went wrong that should not ({type(error).__name__}: {error}).",
            "The document is unchanged. The log may tell more.",
            {"label": "Show the log", "do": "log"},
        )
    return error.what, error.remedy, error.action or _usual_action(error)


def _usual_action(error: IntarsiaError) -> dict[str, Any] | None:
    if error.code == "OUT_OF_MEMORY":
        return {"label": "Free memory", "do": "release"}
    if error.report or error.code == "INTERNAL":
        return {"label": "Show the log", "do": "log"}
    if isinstance(error, EngineMissing):
        return None
    if error.retryable or isinstance(error, (EngineUnreachable, EngineRefused)):
        return {"label": "Try again", "do": "retry"}
    return None


def _rounded(seconds: float) -> str:
    """Two figures are enough: 9 s, 45 s, 80 s, 2 min 30 s, 4 min, 1 h 20 min, 3 days."""
    whole = max(1, round(seconds))
    if whole < 20:
        return f"{whole} s"
    if whole < 58:
        return f"{5 * round(whole / 5)} s"
    if whole < 65:
        return "1 min"
    if whole < 105:
        return f"{10 * round(whole / 10)} s"
    if whole < 210:
        minutes, rest = divmod(30 * round(seconds / 30), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 20:
        return f"{minutes} min"
    if minutes < 58:
        return f"{5 * round(minutes / 5)} min"
    hours, rest = divmod(10 * round(seconds / 600), 60)
    if hours < 10:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    if hours < 48:
        return f"{round(seconds / 3600)} h"
    days, rest = divmod(12 * round(seconds / 43200), 24)
    if days < 4:
        return f"{days} days {rest} h" if rest else f"{days} days"
    return f"{round(seconds / 86400)} days"
