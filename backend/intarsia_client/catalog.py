"""The operations and models this release shipped with, readable with no engine running.

GIMP asks for procedures and Krita draws its list before any engine runs. ``catalog.json`` beside
this file is generated from the declarations: ``{"operations": [Operation.to_dict(), …]}``, and
``packs.json`` from the models: ``{"packs": [{…}, …]}``, see `packs`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterable, Mapping

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation

EXTRA = "INTARSIA_EXTRA_CATALOG"
"""Environment variable naming one more such file, for operations outside the release."""
GENERATOR = "generator"
"""The task on a generator's card; models of other kinds have others."""


def operations() -> dict[str, Operation]:
    """Every operation by its id, in the order to be shown.

    Raises:
        InvalidRequest: A catalogue file is missing or broken.
    """
    found = _read(Path(__file__).with_name("catalog.json"))
    extra = os.environ.get(EXTRA)
    if extra:
        found.update(_read(Path(extra)))
    return found


def operation(name: str) -> Operation:
    """The operation of that id; `InvalidRequest` lists the ids there are."""
    known = operations()
    if name not in known:
        raise InvalidRequest(
            f"There is no operation named {name!r}.",
            value=name,
            remedy=f"There are: {', '.join(known) or 'none'}.",
            code="UNSUPPORTED_OPERATION",
        )
    return known[name]


def packs() -> list[dict[str, Any]]:
    """The models that ship, the best first, so that class lists show with no engine running.

    Returns:
        For each ``id, title, family, task, resolution, num_classes, capabilities, labels``, as in
        `Client.models` and `Client.labels`, which also know the user's own.

    Raises:
        InvalidRequest: The list is missing or broken.
    """
    path = Path(__file__).with_name("packs.json")
    try:
        return [dict(pack) for pack in json.loads(path.read_text("utf-8"))["packs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable("models", path, error) from None


def able(models: Iterable[Mapping[str, Any]], capability: str) -> list[dict[str, Any]]:
    """The models that a `ModelRef` of this capability may name, in the order given.

    Args:
        models: As in `Client.models` or `packs`.
        capability: Any model whose card has it; empty: generators.
    """
    if capability:
        return [dict(m) for m in models if capability in (m.get("capabilities") or ())]
    return [
        dict(m) for m in models if m.get("resolution") and m.get("task", GENERATOR) == GENERATOR
    ]


def _read(path: Path) -> dict[str, Operation]:
    try:
        declared = json.loads(path.read_text("utf-8"))["operations"]
        found = [Operation.from_dict(item) for item in declared]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidRequest):
            raise
        raise _unreadable("operations", path, error) from None
    return {item.id: item for item in found}


def _unreadable(what: str, path: Path, error: Exception) -> InvalidRequest:
    return InvalidRequest(
        f"The list of {what} in {path} cannot be read ({error!r}).",
        value=str(path),
        remedy='Install this plug-in again: run "intarsia plugins install".',
    )
