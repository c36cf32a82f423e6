"""Numbers and errors in the artist's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intarsia_client.errors import (
    EngineMissing,
    EngineNotRunning,
    EngineUnreachable,
    InvalidRequest,
    JobFailed,
)
from intarsia_client.schema import Progress
from intarsia_client.wording import duration, error_text, progress_line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a moment"),
        (0.9, "a moment"),
        (1.2, "about 1 s"),
        (9, "about 9 s"),
        (47, "about 45 s"),
        (59, "about 1 min"),
        (71, "about 70 s"),
        (149, "about 2 min 30 s"),
        (240, "about 4 min"),
        (40 * 60, "about 40 min"),
        (59 * 60, "about 1 h"),
        (80 * 60, "about 1 h 20 min"),
        (9.99 * 3600, "about 10 h"),
        (26.2 * 3600, "about 26 h"),
        (60 * 3600, "about 2 days 12 h"),
        (72 * 3600, "about 3 days"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str):
    assert duration(seconds) == words


@given(st.floats(0, 1e7))
def test_a_time_is_never_off_by_more_than_a_seventh(seconds: float):
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}
    words = duration(seconds).replace("about ", "").split()
    if words == ["a", "moment"]:
        assert seconds < 1
        return
    said = sum(float(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))
    assert abs(said - seconds) <= max(seconds / 7, 0.5)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (
            Progress("Training, stage 2 of 3", 62, 100, 9.2),
            "Training, stage 2 of 3 – 62 % – 9 s left",
        ),
        (Progress("Blending", 1, 3), "Blending – 33 %"),
        (Progress("Loading", 0, 0, 0.1), "Loading"),
        (Progress("Training", 999, 1000, 250), "Training – 99 % – 4 min left"),
        (Progress("", 1, 1), "Working – 100 %"),
    ],
)
def test_progress_is_one_line_of_what_is_known(progress: Progress, line: str):
    assert progress_line(progress) == line


@pytest.mark.parametrize(
    ("error", "do"),
    [
        (EngineNotRunning("The engine is not running."), "start"),
        (EngineUnreachable("It does not answer."), "retry"),
        (JobFailed("Out of memory.", code="OUT_OF_MEMORY"), "release"),
        (JobFailed("It broke.", report="r-1"), "log"),
        (JobFailed("It broke.", code="INTERNAL"), "log"),
        (JobFailed("The worker crashed.", retryable=True), "retry"),
        (InvalidRequest("rounds must lie in [1, 9], got 12."), None),
        (EngineMissing("It is not installed."), None),
        (ZeroDivisionError("division by zero"), "log"),
    ],
)
def test_every_error_has_a_sentence_and_the_button_that_helps(error: Exception, do: str | None):
    sentence, _, action = error_text(error)
    assert sentence.endswith((".", ")."))
    assert (action and action["do"]) == do


def test_the_engines_own_button_wins():
    action = {"label": "Use draft", "set": {"quality": "draft"}}
    error = JobFailed("Out of memory.", code="OUT_OF_MEMORY", action=action, remedy="Use draft.")
    assert error_text(error) == ("Out of memory.", "Use draft.", action)
