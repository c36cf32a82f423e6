"""A Markdown page whose sections are written one at a time, each by its own measurement."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

_SECTION = re.compile(r"^## .*$", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """A page's sections by their headings, in order; what is before the first one under ``""``.

    Args:
        text: Markdown; only lines that begin with ``## `` begin a section.
    """
    starts = [match.start() for match in _SECTION.finditer(text)]
    parts = [text[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]
    found = {part.partition("\n")[0].removeprefix("## ").strip(): part for part in parts[1:]}
    return {"": parts[0], **found}


def put_section(page: Path, text: str) -> None:
    """Write a section in its place, or as the last one; the rest of the page is kept.

    Args:
        page: The Markdown file; made where it is missing.
        text: The section, which begins with its heading.
    """
    heading = text.strip().partition("\n")[0].removeprefix("## ").strip()
    found = sections(_text(page))
    found[heading] = text
    _write(page, found.values())


def put_beginning(page: Path, text: str, earlier: Collection[str] = ()) -> None:
    """Write the page's head and first sections; the other sections stay behind them.

    Args:
        page: The Markdown file; made where it is missing.
        text: Head and sections.
        earlier: Headings that a page of an earlier run may have besides, to be dropped.
    """
    fresh = sections(text)
    kept = {
        heading: part
        for heading, part in sections(_text(page)).items()
        if heading not in fresh and heading not in earlier
    }
    _write(page, [*fresh.values(), *kept.values()])


def section(page: Path, heading: str) -> str:
    """A section with its heading; empty where there is none."""
    return sections(_text(page)).get(heading, "")


def _text(page: Path) -> str:
    return page.read_text("utf-8") if page.is_file() else ""


def _write(page: Path, parts: Collection[str]) -> None:
    shown = [part.strip() for part in parts if part.strip()]
    page.write_text("\n\n\n".join(shown) + "\n", encoding="utf-8")
