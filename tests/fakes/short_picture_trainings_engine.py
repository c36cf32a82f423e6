"""Imported by an engine (INTARSIA_EXTRA_OPERATIONS): its trainings of one picture are short."""

from __future__ import annotations

from short_picture_trainings import shorten

shorten()
