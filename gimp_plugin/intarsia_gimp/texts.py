"""Every sentence the artist sees goes through `tr`, so that it can be translated."""

from __future__ import annotations

import gettext
from pathlib import Path

_translations = gettext.translation(
    "intarsia", localedir=str(Path(__file__).resolve().parent / "locale"), fallback=True
)


def tr(text: str) -> str:
    """The text in the artist's language, or as it is."""
    return _translations.gettext(text)


def size_text(width: int, height: int) -> str:
    """A size as shown: ``"640 × 507"``."""
    return f"{width} × {height}"


def with_mnemonic(label: str, taken: str) -> str:
    """The label with an underscore before its first letter that is not in ``taken``.

    GTK underlines that letter and Alt + letter goes there. Labels whose letters are all taken stay
    as they are.
    """
    for index, letter in enumerate(label):
        if letter.isascii() and letter.isalpha() and letter.lower() not in taken.lower():
            return label[:index] + "_" + label[index:]
    return label


def mnemonic_of(label: str) -> str:
    """The letter after the underscore, or nothing."""
    _, found, rest = label.partition("_")
    return rest[0].lower() if found and rest else ""
