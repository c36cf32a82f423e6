"""One engine per home folder: private folders, the lock, and the endpoint file for clients."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import IO, Any

from intarsia_client.errors import EngineRefused
from intarsia_client.version import __version__
from intarsia_client.wire import PROTOCOL

ALREADY_RUNNING = 75
"""Exit code of a second engine (EX_TEMPFAIL)."""
FOLDERS = ("", "run", "log", "jobs", "models")


class AlreadyRunning(Exception):
    """Another engine holds the lock."""


def prepare_home(home: Path) -> None:
    """Make the home folder and its sub-folders, for their user alone.

    Raises:
        EngineRefused: A folder belongs to another user, or is a link or a file.
    """
    for name in FOLDERS:
        folder = home / name if name else home
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "nt":
            continue
        facts = os.stat(folder) if folder == home else os.lstat(folder)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise EngineRefused(
                f"{folder} is not a folder of this user.",
                value=str(folder),
                remedy="Remove it, or set INTARSIA_HOME to a folder of your own.",
            )
        if stat.S_IMODE(facts.st_mode) & 0o077:
            folder.chmod(0o700)


class InstanceLock:
    """The lock on ``<home>/run/lock``; the system frees it however the process ends."""

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / "lock"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> InstanceLock:
        """Take the lock.

        Raises:
            AlreadyRunning: Another process holds it.
        """
        file = open(self._path, "a+b")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise AlreadyRunning(str(self._path)) from None
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class EndpointFile:
    """``<home>/run/endpoint.json``: where this engine listens, readable by its user alone."""

    def __init__(self, home: Path) -> None:
        self.path = home / "run" / "endpoint.json"
        self._boot = ""

    def write(self, *, control: int, bulk: int, token: str, boot: str) -> None:
        """Publish the ports and the token; readers see the whole file or none."""
        self._boot = boot
        fields: dict[str, Any] = {
            "protocol": list(PROTOCOL),
            "host": "127.0.0.1",
            "control": control,
            "bulk": bulk,
            "pid": os.getpid(),
            "boot": boot,
            "token": token,
            "version": __version__,
        }
        draft = self.path.with_name("endpoint.json.tmp")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(fields, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self.path)

    def remove(self) -> None:
        """Take the file away, if it is still the one that this engine wrote."""
        with contextlib.suppress(OSError, ValueError):
            if json.loads(self.path.read_text("utf-8")).get("boot") == self._boot:
                self.path.unlink()
