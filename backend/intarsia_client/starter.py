"""Starts the engine on first use, apart from the program that asked for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping

from intarsia_client import endpoint
from intarsia_client.endpoint import Endpoint
from intarsia_client.errors import EngineMissing, EngineRefused, EngineUnreachable
from intarsia_client.session import Session

ANOTHER_RUNS = 75
"""Exit code of an engine that found another one running."""

HIDDEN = 0x08000000 | 0x00000200  # CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
"""Windows: a console nobody sees; the workers inherit it, without one each would open a window."""

_FOREIGN = (
    "APPDIR",
    "APPIMAGE",
    "ARGV0",
    "BABL_",
    "DYLD_",
    "GDK_",
    "GEGL_",
    "GI_TYPELIB_PATH",
    "GIMP",
    "GIO_",
    "GSETTINGS_",
    "GST_",
    "GTK_",
    "KRITA",
    "LD_",
    "PYTHON",
    "QML",
    "QT_",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)
"""Beginnings of variables that an editor sets for itself and that would break our interpreter."""

_started: list[subprocess.Popen[bytes]] = []


def start_engine(*, timeout_s: float = 60.0, home_folder: Path | None = None) -> Endpoint:
    """Start the engine and wait until it answers.

    The engine outlives this program. Two programs may do this at the same time: one engine stays.

    Raises:
        EngineMissing: It is not installed where this program looks.
        EngineUnreachable: It ended at once, did not answer in time, or this program may not start
            others (Flatpak).
        EngineRefused: It answers, but not to us.
    """
    folder = home_folder or endpoint.home()
    if endpoint.sandboxed():
        raise _not_from_here()
    command = endpoint.read_engine_command(folder)
    deadline = time.monotonic() + timeout_s
    process, log = _spawn(command, folder)
    last: EngineUnreachable | None = None
    while time.monotonic() < deadline:
        try:
            found = Endpoint.read(folder)
            Session.open(found, app="starter", timeout_s=5.0).close()
            return found
        except EngineUnreachable as error:
            last = error
        except EngineRefused as error:
            if error.code != "SHUTTING_DOWN":
                raise
        code = process.poll()
        if code == ANOTHER_RUNS:  # it may still be starting, or just be leaving
            time.sleep(1.0)
            process, log = _spawn(command, folder)
        elif code is not None:
            raise _ended(code, log)
        time.sleep(0.05)
    raise EngineUnreachable(
        f"The engine was started but did not answer within {timeout_s:g} s.",
        value=str(last) if last else None,
        remedy=f'Look into {log}, or run "intarsia doctor".',
        action={"label": "Show the log", "do": "log"},
        retryable=True,
    )


def clean_environment(variables: Mapping[str, str], home_folder: Path) -> dict[str, str]:
    """A copy without what an editor sets for its own libraries, for the engine of that home."""
    kept = {name: value for name, value in variables.items() if not name.startswith(_FOREIGN)}
    kept["INTARSIA_HOME"] = str(home_folder)
    kept["PYTHONSAFEPATH"] = "1"  # "-m" would put the working folder before the libraries
    return kept


def _spawn(command: list[str], folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    _started[:] = [child for child in _started if child.poll() is None]  # leave no zombies
    (folder / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / "log" / "start.log"
    with open(os.open(str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        try:
            process = subprocess.Popen(
                command,
                env=clean_environment(os.environ, folder),
                cwd=str(log.parent),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=sys.platform != "win32",
                creationflags=HIDDEN if sys.platform == "win32" else 0,
            )
        except OSError as error:
            raise EngineMissing(
                f"The Intarsia engine could not be started with {command[0]} ({error}).",
                value=command,
                remedy='Install it again with "pip install intarsia", then run "intarsia doctor".',
            ) from error
    _started.append(process)
    return process, log


def _ended(code: int, log: Path) -> EngineUnreachable:
    try:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return EngineUnreachable(
        f"The engine ended right after its start (exit code {code}).",
        value=lines[-1][:400] if lines else None,
        remedy=f'Look into {log}, or run "intarsia doctor".',
        action={"label": "Show the log", "do": "log"},
    )


def _not_from_here() -> EngineUnreachable:
    return EngineUnreachable(
        "This program runs in a Flatpak sandbox and may not start the engine itself.",
        value="intarsia serve",
        remedy='Open a terminal, type "intarsia serve" and try again.',
        action={"label": "Try again", "do": "retry"},
        retryable=True,
    )
