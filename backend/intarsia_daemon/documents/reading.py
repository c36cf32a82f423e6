"""Reading any picture or layered document, safely: a child process parses, this one only looks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from intarsia_daemon.documents import limits, transfer
from intarsia_daemon.documents.document import Document
from intarsia_daemon.documents.limits import FileRejected, reject

WALL_S = 180.0


def read_document(path: Path, *, wall_s: float = WALL_S) -> Document:
    """Read a PNG, JPEG, TIFF, WebP, OpenRaster, Krita or Photoshop file.

    Raises:
        FileRejected: The file is absent, broken, of another format, or asks for too much; the
            sentence begins with the file's name.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise reject("This is a folder.", remedy="Name a picture.")
        if size > limits.FILE_BYTES:
            raise reject(f"The file has {size // 2**20} MiB; that is too much.", value=size)
        with tempfile.TemporaryDirectory(prefix="intarsia-parse-") as folder:
            return _read_in_child(path, Path(folder), wall_s)
    except FileNotFoundError:
        error = reject("There is no such file.", remedy="Check its name.")
    except OSError as problem:
        error = reject(
            f"It cannot be opened ({problem.strerror}).", remedy="Check its permissions."
        )
    except FileRejected as refused:
        error = refused
    raise FileRejected(
        f"{path}: {error.what}", value=error.value, remedy=error.remedy, code=error.code
    ) from None


def _read_in_child(path: Path, folder: Path, wall_s: float) -> Document:
    command = [sys.executable, "-m", "intarsia_daemon.documents.parser_child"]
    try:
        done = subprocess.run(
            [*command, str(path.resolve()), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=wall_s,
        )
    except subprocess.TimeoutExpired:
        raise reject(f"Reading it took longer than {wall_s:.0f} s.") from None
    if done.returncode == 0:
        try:
            return transfer.load(folder)
        except (OSError, ValueError, KeyError, TypeError):
            raise reject("The reader left no whole document.") from None
    try:
        told = json.loads((folder / "error.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise reject(f"The reader ended unexpectedly ({_ending(done)}).") from None
    raise FileRejected(told["what"], value=told["value"], remedy=told["remedy"])


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    """How the child ended, in a few words."""
    if done.returncode < 0:
        number = -done.returncode
        if number == getattr(signal, "SIGXCPU", -1):
            return "it took too much time"
        return f"signal {number}; it may have taken too much memory or time"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"
