"""Every sentence of the panel passes through `tr`, so that one table can translate them all."""

from __future__ import annotations

from typing import Any

TRANSLATIONS: dict[str, str] = {}
"""English to the artist's language; empty means English."""


def tr(text: str, *values: Any) -> str:
    """The text in the artist's language, with ``%`` values filled in."""
    translated = TRANSLATIONS.get(text, text)
    return translated % values if values else translated


def quoted(name: str) -> str:
    """A layer's or document's name as it stands in a sentence, shortened to 40 characters."""
    return "“%s”" % (name if len(name) <= 40 else name[:39] + "…")
