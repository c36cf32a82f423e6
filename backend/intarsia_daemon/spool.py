"""The jobs' folders: pixels come in as files, workers read and write files, results go out mapped.

Large writes happen in a thread of their own, so that the router keeps answering while a layer of
hundreds of megabytes is stored. Files keep their pixels raw: row by row, never deflated.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from intarsia_client import wire
from intarsia_client.errors import IntarsiaError, ProtocolError
from intarsia_daemon.messages import BufferFile

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PIECE = 8 << 20
"""Bytes written at once."""
_JOB = re.compile(r"[0-9a-f]{32}\Z")

log = logging.getLogger(__name__)


class DiskFull(IntarsiaError):
    """There is no room for the pixels."""

    code = "DISK_FULL"


class Spool:
    """The folder ``<home>/jobs``.

    Args:
        folder: Where the jobs' folders lie.
        reserve_bytes: Free disk space that must be left.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._writer = ThreadPoolExecutor(1, "spool")
        self._cleaner = ThreadPoolExecutor(1, "cleaner")

    def folder(self, job: str) -> Path:
        """A job's folder (which need not exist).

        Raises:
            ValueError: The id is not 32 hex digits.
        """
        if not _JOB.match(job):
            raise ValueError(f"{job!r} is no job id")
        return self._folder / job

    def plan(
        self, job: str, descriptions: Sequence[Any], frames: Sequence[Any], *, total_bytes: int
    ) -> list[BufferFile]:
        """Check buffers against their descriptions and name their files; writes nothing.

        Raises:
            ProtocolError: A description does not fit its frame, or all are too large together.
        """
        if len(descriptions) != len(frames):
            raise ProtocolError(
                f"{len(descriptions)} buffers are described, {len(frames)} came.",
                value=len(frames),
                code="BAD_REQUEST",
            )
        files, folder = [], self.folder(job)
        for index, (description, frame) in enumerate(zip(descriptions, frames, strict=True)):
            item = wire.check_buffer(description, frame)
            files.append(
                BufferFile(
                    input=item.get("input", ""),
                    name=item.get("name", ""),
                    width=item["width"],
                    height=item["height"],
                    channels=item["channels"],
                    dtype=item["dtype"],
                    x=item["x"],
                    y=item["y"],
                    nbytes=item["nbytes"],
                    path=str(folder / f"in-{index}.raw"),
                )
            )
        asked = sum(file.nbytes for file in files)
        if asked > total_bytes:
            raise ProtocolError(
                f"A request may bring {total_bytes >> 20} MiB of pixels, this one has"
                f" {asked >> 20} MiB.",
                value=asked,
                remedy="Crop the layers or scale the picture down.",
                code="TOO_LARGE",
            )
        return files

    def store(
        self,
        job: str,
        files: Sequence[BufferFile],
        descriptions: Sequence[Any],
        frames: Sequence[Any],
        *,
        durable: bool,
    ) -> Future[None]:
        """Write a new job's inputs, in the background.

        Returns:
            Done when they are on disk (``durable``: also after a power failure). It fails with
            `DiskFull` or `ProtocolError` and then leaves nothing behind.
        """
        return self._writer.submit(self._store, job, files, descriptions, frames, durable)

    def _store(
        self,
        job: str,
        files: Sequence[BufferFile],
        descriptions: Sequence[Any],
        frames: Sequence[Any],
        durable: bool,
    ) -> None:
        folder = self.folder(job)
        try:
            self._ask_for_room(sum(file.nbytes for file in files))
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(mode=0o700)
            for file, description, frame in zip(files, descriptions, frames, strict=True):
                _write(file.path, wire.inflate(description, frame), durable)
            if durable:
                _sync_folder(folder)
                _sync_folder(self._folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.errno in NO_ROOM:
                raise _no_room(self._folder, sum(file.nbytes for file in files)) from None
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _ask_for_room(self, nbytes: int) -> None:
        if shutil.disk_usage(self._folder).free < nbytes + self._reserve_bytes:
            raise _no_room(self._folder, nbytes)

    def holds_same(
        self, files: Sequence[BufferFile], descriptions: Sequence[Any], frames: Sequence[Any]
    ) -> Future[bool]:
        """Whether the files, as far as they still exist, hold these pixels; in the background."""
        return self._writer.submit(_same, files, descriptions, frames)

    def finish(self, job: str, keep: Sequence[BufferFile]) -> None:
        """Remove everything of an ended job but its result, in the background."""
        names = {Path(file.path).name for file in keep}
        self._cleaner.submit(_logged, self._clear, self.folder(job), names)

    def remove(self, job: str) -> None:
        """Remove a job's folder, in the background."""
        self._cleaner.submit(_logged, self._clear, self.folder(job), set())

    @staticmethod
    def _clear(folder: Path, keep: set[str]) -> None:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for entry in os.scandir(folder) if folder.is_dir() else ():
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name not in keep:
                os.unlink(entry.path)

    def sweep(self, known: set[str], *, older_s: float) -> None:
        """Remove folders of unknown jobs that are old; what else lies there is left alone."""
        limit = time.time() - older_s
        for entry in os.scandir(self._folder):
            unknown = _JOB.match(entry.name) and entry.name not in known
            if unknown and entry.stat(follow_symlinks=False).st_mtime < limit:
                log.info("Removing the folder of the unknown job %s.", entry.name)
                self.remove(entry.name)

    def close(self) -> None:
        """Finish what was begun."""
        self._writer.shutdown(wait=True, cancel_futures=True)
        self._cleaner.shutdown(wait=True, cancel_futures=True)


def map_file(file: BufferFile) -> memoryview:
    """A result's pixels, mapped read-only: no copy is made, and none is held in memory.

    Raises:
        IntarsiaError: The file is gone or has another length than the worker said.
    """
    try:
        with open(file.path, "rb") as opened:
            if os.fstat(opened.fileno()).st_size == file.nbytes:
                return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        log.error("A result cannot be read: %s.", error)
    raise IntarsiaError(
        f"The layer {file.name!r} of this result is not on disk any more.",
        value=file.name,
        remedy="Run the job again.",
        action={"label": "Run again", "do": "retry"},
        code="NOT_FOUND",
    )


def _write(path: str, data: Any, durable: bool) -> None:
    view = memoryview(data).cast("B")
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600
    )
    try:
        done = 0
        while done < len(view):
            done += os.write(descriptor, view[done : done + PIECE])
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same(files: Sequence[BufferFile], descriptions: Sequence[Any], frames: Sequence[Any]) -> bool:
    for file, description, frame in zip(files, descriptions, frames, strict=True):
        if not os.path.exists(file.path):
            continue
        with map_file(file) as stored:
            if stored != memoryview(wire.inflate(description, frame)).cast("B"):
                return False
    return True


def _no_room(folder: Path, nbytes: int) -> DiskFull:
    free = shutil.disk_usage(folder).free
    return DiskFull(
        f"The disk has no room for this job: it brings {nbytes >> 20} MiB,"
        f" {free >> 20} MiB are free.",
        value=nbytes,
        remedy=f"Free some space on the disk that holds {folder} and run again.",
        action={"label": "Try again", "do": "retry"},
        retryable=True,
    )


def _logged(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except Exception:
        log.exception("Cleaning up failed.")
