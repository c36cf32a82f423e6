"""A folder of safetensors files that stays small: what was not used for longest leaves first.

What lies in it can always be made anew, so nothing here raises over a full disk or a damaged file.
Several processes may use it at the same time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

T = TypeVar("T")

ABANDONED_S = 3600.0
"""Unfinished files older than this are swept away."""
SUFFIX = ".safetensors"
_ALLOWED = set("0123456789abcdef-")


class TensorFolder:
    """See the module's text."""

    def __init__(
        self, folder: Path, *, limit_bytes: int, limit_count: int, entry_bytes: int
    ) -> None:
        """Use a folder; it is made when the first file is put in.

        Args:
            folder: Where.
            limit_bytes: The files together stay within it.
            limit_count: At most so many files.
            entry_bytes: A file larger than this is none of ours.
        """
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._limit_count = limit_count
        self._entry_bytes = entry_bytes

    def read(self, name: str, reader: Callable[[Path], T]) -> T | None:
        """What ``reader`` makes of the file of that name, now the most recently used.

        Args:
            name: Hexadecimal digits and hyphens.
            reader: May raise ValueError, KeyError, TypeError or what safetensors raises: the file
                is damaged then, and removed.

        Returns:
            None where there is no such file, or a damaged one.
        """
        path = self.path(name)
        try:
            if path.is_symlink() or path.stat().st_size > self._entry_bytes:
                return None
            found = reader(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
            with contextlib.suppress(OSError):  # damaged: it is as good as not there
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return found

    def write(self, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Keep tensors; they are whole on the disk after this, or not there at all.

        A full or read-only disk is no error: they are then not kept.

        Args:
            name: Hexadecimal digits and hyphens.
            tensors: By name.
            metadata: Texts by name.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._folder / f".{secrets.token_hex(8)}.part"
            try:
                whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
                save_file(whole, fresh, dict(metadata))
                with open(fresh, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(fresh, self.path(name))
            finally:
                fresh.unlink(missing_ok=True)
            self._trim(name)
        except (OSError, SafetensorError):
            return

    def clear(self) -> int:
        """Remove every file; returns the bytes that are free now."""
        freed = 0
        for path, size, _ in self._entries():
            with contextlib.suppress(OSError):
                path.unlink()
                freed += size
        return freed

    @property
    def used_bytes(self) -> int:
        """Size of all files together."""
        return sum(size for _, size, _ in self._entries())

    def names(self) -> dict[str, float]:
        """When each was last used, as seconds since the epoch."""
        return {path.name[: -len(SUFFIX)]: used for path, _, used in self._entries()}

    def path(self, name: str) -> Path:
        """Where the file of that name lies.

        Raises:
            ValueError: It is no name.
        """
        if not name or len(name) > 200 or not set(name) <= _ALLOWED:
            raise ValueError(f"A name is hexadecimal, as of a SHA-256, got {name[:80]!r}.")
        return self._folder / (name + SUFFIX)

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use."""
        found = []
        absent = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with absent, os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed by somebody else just now
                    info = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(SUFFIX):
                        found.append((Path(entry.path), info.st_size, info.st_mtime))
                    elif time.time() - info.st_mtime > ABANDONED_S:
                        os.unlink(entry.path)
        return found

    def _trim(self, newest: str) -> None:
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total, count = sum(size for _, size, _ in entries), len(entries)
        for path, size, _ in entries:
            if total <= self._limit_bytes and count <= self._limit_count:
                return
            if path.name == newest + SUFFIX:
                continue  # what was just made is about to be used
            with contextlib.suppress(OSError):
                path.unlink()
            total, count = total - size, count - 1
