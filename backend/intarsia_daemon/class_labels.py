"""Files with the names of a model's classes: a name per line, or JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from intarsia_client.errors import InvalidRequest

LIMIT = 4 << 20
"""Bytes; a thousand names take 30 thousand."""
LONGEST = 300
"""Characters of one name."""
_SYNSET = re.compile(r"n\d{8}\s+")
"""ImageNet's own lists begin each line with WordNet's number."""


def read_labels(path: Path) -> list[str]:
    """The names, in the order of the classes' numbers.

    Args:
        path: A text with one name per line (WordNet numbers in front of them are left out), or a
            JSON list, or a JSON object from numbers to names or to lists that end in a name.

    Raises:
        InvalidRequest: It cannot be read, or is neither.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise ValueError(f"it has more than {LIMIT} bytes")
        text = path.read_text("utf-8-sig").strip()
        names = _from_json(json.loads(text)) if text[:1] in ("[", "{") else _from_lines(text)
    except OSError as error:
        raise _wrong(path, error.strerror or str(error)) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise _wrong(path, str(error)) from None
    if not names:
        raise _wrong(path, "it is empty")
    for number, name in enumerate(names):
        if not name or len(name) > LONGEST or not name.isprintable():
            raise _wrong(path, f"the name of class {number} is {name[:40]!r}")
    return names


def _from_lines(text: str) -> list[str]:
    return [_SYNSET.sub("", line.strip(), count=1) for line in text.splitlines()]


def _from_json(data: Any) -> list[str]:
    if isinstance(data, dict):
        numbers = sorted(data, key=int)
        if [int(number) for number in numbers] != list(range(len(numbers))):
            raise ValueError("its numbers do not go from 0 on without gaps")
        data = [data[number] for number in numbers]
    return [_name(item) for item in data]


def _name(item: Any) -> str:
    if isinstance(item, list) and item:
        item = item[-1]
    if not isinstance(item, str):
        raise ValueError(f"{item!r} is no name")
    return item.strip()


def _wrong(path: Path, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The class names in {path} cannot be read: {reason}.",
        value=str(path),
        remedy="Give a text file with one name per line, in the order of the classes' numbers.",
    )
