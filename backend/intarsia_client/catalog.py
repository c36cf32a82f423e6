"""The operations this release shipped with, readable with no engine running.

GIMP asks for procedures and Krita draws its list before any engine runs. ``catalog.json`` beside
this file is generated from the declarations: ``{"operations": [Operation.to_dict(), …]}``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation

EXTRA = "INTARSIA_EXTRA_CATALOG"
"""Environment variable naming one more such file, for operations outside the release."""


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


def _read(path: Path) -> dict[str, Operation]:
    try:
        declared = json.loads(path.read_text("utf-8"))["operations"]
        found = [Operation.from_dict(item) for item in declared]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidRequest):
            raise
        raise InvalidRequest(
            f"The list of operations in {path} cannot be read ({error!r}).",
            value=str(path),
            remedy='Install this plug-in again: run "intarsia plugins install".',
        ) from None
    return {item.id: item for item in found}
