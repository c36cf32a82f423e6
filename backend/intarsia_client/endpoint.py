"""Where the engine lives: the home folder, the endpoint file and the command that starts it.

See docs/wire.md, *Endpoint file*. What is read here decides whom we trust with the artist's layers
and which program we start, so files that others could have read or written are refused.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from intarsia_client import version, wire
from intarsia_client.errors import (
    EngineMissing,
    EngineNotRunning,
    EngineRefused,
    EngineUnreachable,
)


def home() -> Path:
    """The engine's folder; the same for every program of this user, sandboxed or not.

    The environment variable INTARSIA_HOME wins. The folder need not exist.
    """
    chosen = os.environ.get("INTARSIA_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    user = Path(os.environ.get("SNAP_REAL_HOME") or Path.home())  # a snap has a HOME of its own
    if sys.platform == "win32":
        return user / "AppData" / "Local" / "Intarsia"
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "Intarsia"
    return user / ".local" / "share" / "intarsia"


def sandboxed() -> bool:
    """Whether this program runs inside Flatpak, which hides the processes outside."""
    return os.path.exists("/.flatpak-info")


@dataclass(frozen=True)
class Endpoint:
    """A running engine: where it listens and the token it wants."""

    host: str
    control: int
    """TCP port for headers."""
    bulk: int
    """TCP port for pixels."""
    token: str
    boot: str
    """Id of this run of the engine."""
    pid: int
    """The engine's process; 0 where it runs on another machine."""
    protocol: tuple[int, int]
    version: str
    """The engine's release."""

    @classmethod
    def read(cls, home_folder: Path | None = None) -> Endpoint:
        """Read the endpoint file.

        Raises:
            EngineNotRunning: There is no such file, or its engine has ended.
            EngineRefused: Others can read the file, or the engine speaks another major version.
            EngineUnreachable: The file cannot be read or understood.
        """
        path = (home_folder or home()) / "run" / "endpoint.json"
        try:
            data = _read_private(path, 0o077)
        except FileNotFoundError:
            raise EngineNotRunning("The engine is not running.", value=str(path)) from None
        try:
            found = cls(
                host=str(data["host"]),
                control=int(data["control"]),
                bulk=int(data["bulk"]),
                token=str(data["token"]),
                boot=str(data["boot"]),
                pid=int(data["pid"]),
                protocol=(int(data["protocol"][0]), int(data["protocol"][1])),
                version=str(data.get("version", "")),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineUnreachable(
                f"The file {path} does not describe an engine ({error!r}).",
                value=str(path),
                remedy='End the engine with "intarsia stop" and start it anew.',
            ) from None
        if found.pid and not sandboxed() and not _is_alive(found.pid):
            raise EngineNotRunning(
                f"The engine ended unexpectedly (process {found.pid}).", value=found.pid
            )
        found._check_version()
        return found

    def _check_version(self) -> None:
        theirs, ours = self.protocol, wire.PROTOCOL
        if theirs[0] != ours[0]:
            raise EngineRefused(
                f"The engine {self.version} speaks protocol {theirs[0]}.{theirs[1]}, this program "
                f"{version.__version__} speaks {ours[0]}.{ours[1]}.",
                value=list(theirs),
                remedy='Update this plug-in or program: "intarsia plugins install".'
                if theirs[0] > ours[0]
                else "Update the engine and start it anew.",
                code="UNSUPPORTED_VERSION",
            )


def write_engine_file(command: Sequence[str], home_folder: Path | None = None) -> None:
    """Note the command that starts the engine, for editors that know nothing of its environment.

    Args:
        command: Program (absolute path) and arguments.
        home_folder: Another home than `home()`.
    """
    folder = home_folder or home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"command": list(command), "version": version.__version__}, indent=1)
    handle, name = tempfile.mkstemp(dir=str(folder), prefix="engine-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, str(folder / "engine.json"))
    except BaseException:
        os.unlink(name)
        raise


def read_engine_command(home_folder: Path | None = None) -> list[str]:
    """The command that starts the engine.

    Raises:
        EngineMissing: There is none, its program is gone, or the file is broken.
        EngineRefused: Others could have written the file.
    """
    path = (home_folder or home()) / "engine.json"
    try:
        command = _read_private(path, 0o022).get("command")
    except FileNotFoundError:
        raise _missing("The Intarsia engine is not installed for this user.", str(path)) from None
    except EngineUnreachable as error:
        raise _missing(error.what, error.value) from None
    if not isinstance(command, list) or not command or not all(map(_is_text, command)):
        raise _missing(f"The file {path} holds no command to start the engine.", str(path))
    if not os.path.isfile(command[0]):
        raise _missing(f"The Intarsia engine is no longer at {command[0]}.", command[0])
    return command


def _read_private(path: Path, forbidden: int) -> dict[str, Any]:
    """A JSON object from a file of ours that others must not read (0o044) or write (0o022)."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(64 * 1024)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise EngineUnreachable(
            f"The file {path} cannot be read ({error}).", value=str(path)
        ) from error
    if os.name == "posix" and (about.st_mode & forbidden or about.st_uid != os.getuid()):
        raise EngineRefused(
            f"The file {path} is open to others (mode {stat.S_IMODE(about.st_mode):o}, owner "
            f"{about.st_uid}), so it is not trusted.",
            value=str(path),
            remedy=f"Make it private again: chmod 600 {path}",
        )
    try:
        found = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise EngineUnreachable(f"The file {path} is broken ({error}).", value=str(path)) from None
    if not isinstance(found, dict):
        raise EngineUnreachable(f"The file {path} is broken (no object).", value=str(path))
    return found


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it exists and belongs to somebody else: not our engine
        return False
    return True


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    try:
        code = ctypes.c_ulong()
        return bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == 259
    finally:
        kernel.CloseHandle(handle)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _missing(what: str, value: Any) -> EngineMissing:
    return EngineMissing(
        what,
        value=value,
        remedy='Install it with "pip install intarsia", then run "intarsia doctor" once.',
    )
