"""What can be set about the engine: ``<home>/settings.toml``, then ``INTARSIA_<NAME>``.

Every setting has a default that is right for nearly everybody. An environment variable
beats the file: ``INTARSIA_IDLE_S=60`` sets ``idle_s``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from intarsia_client.errors import InvalidRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine's settings; times in seconds, sizes in bytes."""

    home: str
    """The folder of everything the engine keeps."""

    # what the engine offers
    device: str = "auto"
    """Where models run: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    model_bytes: Bytes = 0
    """Memory for loaded models; 0 takes a share of what the machine has."""
    idle_s: Seconds = 1800.0
    """Without work and requests for so long, the engine leaves."""
    keep_s: Seconds = 86400.0
    """How long a result that nobody fetched is kept, unless its request says otherwise."""
    queue_limit: Count = 64
    """Jobs that may wait; more are refused as ``BUSY``."""
    frame_bytes: Count = 1 << 30
    """Largest single buffer."""
    total_bytes: Count = 2 << 30
    """Largest sum of a request's buffers, once inflated."""
    disk_reserve_bytes: Bytes = 256 << 20
    """Free disk space that jobs must leave."""

    # clients
    ping_s: Seconds = 2.0
    credit_bytes: Count = 64 << 20
    """Bytes under way to one client that does not read; further ones wait on disk."""
    adopt_s: Seconds = 10.0
    """After a restart, how long jobs with ``on_disconnect: cancel`` wait for their client."""

    # workers
    worker: str = "intarsia_daemon.worker:main"
    """The entry point of worker processes, ``module:function``."""
    attempts: Count = 3
    """How often a job that kills its worker is tried in all."""
    cancel_s: Seconds = 3.0
    """A worker that does not stop within this time is replaced."""
    beat_limit_s: Seconds = 20.0
    """A worker that gives no sign of life for so long is replaced."""
    stall_limit_s: Seconds = 300.0
    """A job that makes no step for so long is ended."""
    start_limit_s: Seconds = 180.0
    stop_s: Seconds = 10.0
    """How long workers may write checkpoints when the engine leaves."""
    storm_deaths: Count = 5
    storm_s: Seconds = 60.0
    """More than ``storm_deaths`` dead workers within this time slow the restarts down."""
    backoff_s: Seconds = 2.0
    """First pause before a restart in a storm; it doubles up to 30 s."""
    training_idle_s: Seconds = 10.0
    """The training worker leaves after so long without work and gives its memory back."""
    parked_limit: Count = 2
    """Paused jobs whose processes are kept at the same time."""

    # edits beside a training
    linger_s: Seconds = 0.3
    """How long a training stays back after an edit."""
    training_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.2
    """Least share of the time that a training gets."""
    gate_window_s: Seconds = 5.0
    """The time over which that share is counted."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a worker process gets it."""
        return msgspec.to_builtins(self)


def load_settings(home: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of an engine that lives in ``home``.

    Raises:
        InvalidRequest: The file is no TOML, or a name or a value in it or in the environment is
            wrong; says which and what would be right.
    """
    path = home / "settings.toml"
    values: dict[str, Any] = {}
    if path.exists():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise InvalidRequest(
                f"The settings in {path} cannot be read: {error}.",
                value=str(path),
                remedy="Correct the file, or remove it to use the defaults.",
            ) from None
    names = [name for name in Settings.__struct_fields__ if name != "home"]
    for name in names:
        text = environment.get(f"INTARSIA_{name.upper()}")
        if text is not None:
            values[name] = text
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise InvalidRequest(
            f"There is no setting named {unknown[0]!r} (in {path}).",
            value=unknown[0],
            remedy=f"There are: {', '.join(names)}.",
        )
    try:
        return msgspec.convert({**values, "home": str(home)}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"A setting in {path} or in an INTARSIA_ variable is wrong: {error}.",
            value=str(error),
            remedy="Correct the value, or remove it to use the default.",
        ) from None
