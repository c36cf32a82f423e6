"""What a front end asks for, checked and put into the words of the wire before anything is sent."""

from __future__ import annotations

import re
import uuid
from typing import Any, Mapping, Sequence

from intarsia_client import catalog, wire
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import MAX_SEED, Operation, Pixels

PRIORITIES = ("interactive", "batch")
ON_DISCONNECT = ("keep", "cancel")
MAX_LABEL = 200
"""Characters of a label; longer ones are cut."""


def declaration(operation: Operation | str) -> Operation:
    """The declaration itself, or the one of that id in the catalogue."""
    return catalog.operation(operation) if isinstance(operation, str) else operation


def submission(
    operation: Operation,
    inputs: Sequence[Pixels],
    parameters: Mapping[str, Any],
    *,
    seed: int,
    job: str | None,
    label: str,
    priority: str,
    on_disconnect: str,
) -> tuple[dict[str, Any], list[Any]]:
    """Header and buffers of a ``submit``.

    Raises:
        InvalidRequest: A name, a value, a size or an input is wrong.
    """
    _one_of("priority", priority, PRIORITIES)
    _one_of("on_disconnect", on_disconnect, ON_DISCONNECT)
    values = operation.check([item.input for item in inputs], parameters)
    descriptions, frames = wire.encode_buffers(inputs)
    header = {
        "job": _job_id(job),
        "operation": operation.id,
        "version": operation.version,
        "parameters": values,
        "seed": _seed(seed),
        "inputs": descriptions,
        "label": str(label or operation.title)[:MAX_LABEL],
        "priority": priority,
        "on_disconnect": on_disconnect,
    }
    return header, frames


def estimation(
    operation: Operation, parameters: Mapping[str, Any], sizes: Sequence[Pixels | Mapping[str, Any]]
) -> dict[str, Any]:
    """Header of an ``estimate``; ``sizes``: `Pixels` or maps with ``input, width, height, x, y``.

    Raises:
        InvalidRequest: A name or a value is wrong.
    """
    for name in parameters:
        operation.parameter(name)
    values = {p.name: p.check(parameters.get(p.name, p.default)) for p in operation.parameters}
    inputs = [_size(operation, size) for size in sizes]
    return {"operation": operation.id, "parameters": values, "inputs": inputs}


def check_fits(header: Mapping[str, Any], welcome: Mapping[str, Any]) -> None:
    """Refuse here what the engine would refuse after a long upload.

    Raises:
        InvalidRequest: It does not know the operation, or takes no layers of that size.
    """
    known = welcome.get("operations")
    if isinstance(known, dict) and header["operation"] not in known:
        raise InvalidRequest(
            f"The engine {welcome.get('version', '')} does not know {header['operation']!r}.",
            value=header["operation"],
            remedy="Update the engine, then start it anew.",
            code="UNSUPPORTED_OPERATION",
        )
    sizes = [item["nbytes"] for item in header["inputs"]]
    limits = welcome.get("limits")
    for name, size in (("frame", max(sizes, default=0)), ("total", sum(sizes))):
        most = limits.get(name) if isinstance(limits, dict) else None
        if isinstance(most, int) and size > most:
            raise InvalidRequest(
                f"The {'largest layer' if name == 'frame' else 'layers together'} would take "
                f"{size / 1e6:.0f} MB; the engine takes up to {most / 1e6:.0f} MB.",
                value=size,
                remedy="Work on a smaller part of the picture, or with 8 bits per channel.",
                code="TOO_LARGE",
            )


def _size(operation: Operation, size: Pixels | Mapping[str, Any]) -> dict[str, Any]:
    names = ("input", "width", "height", "x", "y")
    if isinstance(size, Pixels):
        found = {name: getattr(size, name) for name in names}
    else:
        found = {name: size.get(name, 0) for name in names}
    operation.input(found["input"])
    for name in ("width", "height"):
        if not isinstance(found[name], int) or not 1 <= found[name] <= wire.MAX_SIDE:
            raise InvalidRequest(
                f"The {name} of {found['input']} must be 1 to {wire.MAX_SIDE}, "
                f"got {found[name]!r}.",
                value=found[name],
                remedy="Give the layer's size in pixels.",
            )
    return found


def _job_id(job: str | None) -> str:
    if job is None:
        return uuid.uuid4().hex
    if not isinstance(job, str) or not re.fullmatch("[0-9a-f]{32}", job):
        raise InvalidRequest(
            f"A job's id has 32 hex digits in lower case, got {job!r}.",
            value=job,
            remedy="Use uuid.uuid4().hex.",
        )
    return job


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise InvalidRequest(
            f"The seed must be a whole number in [0, {MAX_SEED}], got {seed!r}.",
            value=seed,
            remedy="Use 0 if you do not care.",
        )
    return seed


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InvalidRequest(
            f"{name} must be one of {', '.join(choices)}, got {value!r}.",
            value=value,
            remedy=f"Choose one of: {', '.join(choices)}.",
        )
