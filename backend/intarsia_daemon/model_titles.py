"""What models are called in lists: where several have one name, what tells them apart follows it.

A picture is learnt for several operations, in several qualities and fitted to several elements; a
list of models of which each says "Starry Night" is of no use.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from intarsia_client import catalog
from intarsia_client.errors import InvalidRequest


def tell_apart(entries: Sequence[dict[str, Any]]) -> None:
    """Set each entry's ``title`` from its ``name``: the same, or with what tells it apart.

    Of what the models are for, what they are (draft, 160 px) and whether they ship, that follows in
    which those of one name differ; the date where that is not enough, and then part of the id.

    Args:
        entries: Of `ModelStore.list`: ``id``, ``name``, ``task``, ``operation``, ``detail``,
            ``resolution``, ``shipped`` and ``created`` are read.
    """
    often = Counter(entry["name"] for entry in entries)
    for name, count in often.items():
        alike = [entry for entry in entries if entry["name"] == name]
        told = _differences(alike) if count > 1 else [[]]
        for entry, words in zip(alike, told, strict=True):
            entry["title"] = f"{name} ({', '.join(words)})" if words else name


def _differences(alike: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Words for each of the entries, by which no two of them are the same."""
    columns = [
        [_purpose(entry) for entry in alike],
        [_kind(entry) for entry in alike],
        ["shipped" if entry["shipped"] else "" for entry in alike],
    ]
    columns = [column for column in columns if len(set(column)) > 1]
    for last in (
        [time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["created"])) for entry in alike],
        [entry["id"][-4:] for entry in alike],
        [entry["id"] for entry in alike],
    ):
        told = [[word for word in words if word] for words in zip(*columns, strict=True)]
        if len({tuple(words) for words in told}) == len(alike):
            return told
        columns.append(last)
    return [list(words) for words in zip(*columns, strict=True)]


def _purpose(entry: dict[str, Any]) -> str:
    """What it was made for, as the menus call it."""
    try:
        return catalog.operation(entry["operation"]).title
    except InvalidRequest:
        return entry["task"].replace("_", " ").replace("-", " ")


def _kind(entry: dict[str, Any]) -> str:
    return entry["detail"] or (f"{entry['resolution']} px" if entry["resolution"] else "")
