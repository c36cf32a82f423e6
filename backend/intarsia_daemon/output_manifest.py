"""What a run over many files has done, kept in its output folder to be taken up again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia_daemon.model_card import file_hash

MANIFEST = "intarsia-batch.json"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, flush it to the disk, and move it there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Manifest:
    """What a batch has done, in the output folder; written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / MANIFEST
        self._lock = threading.Lock()
        self._files: dict[str, dict[str, Any]] = {}

    def load(self) -> None:
        """Read what an earlier batch left; a missing or broken manifest is an empty one."""
        try:
            data = json.loads(self._path.read_text("utf-8"))
            files = data["files"]
            self._files = {str(k): v for k, v in files.items() if isinstance(v, dict)}
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            self._files = {}

    def is_done(self, output: Path, input_hash: str, recipe_hash: str) -> bool:
        """Whether this output stands there whole, made from this input by this recipe."""
        entry = self._files.get(self._key(output))
        if entry is None or entry.get("state") != "done":
            return False
        if (entry.get("input_sha256"), entry.get("recipe_sha256")) != (input_hash, recipe_hash):
            return False
        try:
            return file_hash(output) == entry.get("output_sha256")
        except OSError:
            return False

    def attempts(self, output: Path) -> int:
        """How often this output was tried."""
        return int(self._files.get(self._key(output), {}).get("attempt", 0))

    def entry(self, output: Path) -> dict[str, Any]:
        """What is recorded of this output; empty for none."""
        return dict(self._files.get(self._key(output), {}))

    def set(self, output: Path, entry: Mapping[str, Any]) -> None:
        """Record one output's state and save the manifest."""
        with self._lock:
            self._files[self._key(output)] = dict(entry)
            data = {"format": 1, "files": self._files}
            write_whole(self._path, json.dumps(data, indent=1, ensure_ascii=False).encode("utf-8"))

    def _key(self, output: Path) -> str:
        """The output's path below the folder."""
        return output.relative_to(self._folder).as_posix()
