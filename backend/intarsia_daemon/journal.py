"""What the engine remembers through a kill: jobs and their numbered events, in one SQLite file.

Write-ahead logging: a committed transaction survives ``kill -9`` at any moment; with ``durable``
also a power failure. Only the router's thread uses it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

from intarsia_client.errors import IntarsiaError
from intarsia_daemon.jobs import JobRecord

FORMAT = 1
"""Grows when the tables change; a file of another format is moved aside."""

_TABLES = """
CREATE TABLE jobs (job TEXT PRIMARY KEY, state TEXT, submitted REAL, expires REAL, record BLOB);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_time ON jobs (submitted);
CREATE TABLE events (job TEXT, seq INTEGER, kind TEXT, header BLOB, PRIMARY KEY (job, seq));
"""
_LIVE = ("queued", "running", "paused")
_PUT = (
    "INSERT INTO jobs (job, state, submitted, expires, record) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (job) DO UPDATE SET state = excluded.state, expires = excluded.expires, "
    "record = excluded.record"
)

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(JobRecord).decode
_decode = msgspec.msgpack.decode


class JournalFull(IntarsiaError):
    """The journal could not be written, so nothing was promised."""

    code = "DISK_FULL"


class Journal:
    """Jobs and events on disk.

    A file that is damaged or of another format is moved aside (``journal.sqlite.broken-…``) and an
    empty one begun; the log says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._backlog: list[tuple[str, tuple[Any, ...]]] = []
        try:
            self._base = self._open()
        except sqlite3.DatabaseError as error:
            aside = self._move_aside()
            log.error(
                "The journal %s could not be read (%s). It was moved to %s; jobs that waited in it"
                " are lost, everything else goes on.",
                path,
                error,
                aside,
            )
            self._base = self._open()

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            found = base.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, FORMAT):
                raise sqlite3.DatabaseError(f"its format is {found}, this release writes {FORMAT}")
            check = base.execute("PRAGMA quick_check(1)").fetchone()[0]
            if check != "ok":
                raise sqlite3.DatabaseError(check)
            if found == 0:
                base.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
            self._check_records(base)
        except BaseException:
            base.close()
            raise
        return base

    @staticmethod
    def _check_records(base: sqlite3.Connection) -> None:
        try:
            for (record,) in base.execute("SELECT record FROM jobs"):
                _decode_record(record)
        except msgspec.MsgspecError as error:
            raise sqlite3.DatabaseError(f"a job in it is unreadable: {error}") from None

    def _move_aside(self) -> Path:
        aside = self._path.with_name(f"{self._path.name}.broken-{int(time.time())}-{os.getpid()}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        return aside

    # --- writing ----------------------------------------------------------------------------------

    def add(self, record: JobRecord, *, durable: bool = False) -> None:
        """Write a new job down; when this returns, it survives a kill.

        Raises:
            JournalFull: It could not be written; nothing of it is kept.
        """
        backlog = len(self._backlog)
        self._backlog.append(self._row(record))
        if not self._flush(durable=durable):
            del self._backlog[backlog:]
            raise JournalFull(
                "The engine cannot write to its journal, so it takes no new job.",
                value=str(self._path.parent),
                remedy="Free some disk space and run again.",
                action={"label": "Try again", "do": "retry"},
                retryable=True,
            )

    def update(self, record: JobRecord) -> None:
        """Write a job's present state down."""
        self._backlog.append(self._row(record))
        self._flush()

    def append(self, record: JobRecord, kind: str, header: dict[str, Any]) -> dict[str, Any]:
        """Give an event its number and write it down together with the job's new state.

        Returns:
            The header with ``job`` and ``seq``, as it is sent.
        """
        record.seq += 1
        header = {"job": record.job, "seq": record.seq, **header}
        self._backlog.append(
            (
                "INSERT OR REPLACE INTO events (job, seq, kind, header) VALUES (?, ?, ?, ?)",
                (record.job, record.seq, kind, _encode(header)),
            )
        )
        self._backlog.append(self._row(record))
        self._flush()
        return header

    def forget(self, job: str) -> None:
        """Remove a job and its events."""
        self._backlog.append(("DELETE FROM events WHERE job = ?", (job,)))
        self._backlog.append(("DELETE FROM jobs WHERE job = ?", (job,)))
        self._flush()

    @staticmethod
    def _row(record: JobRecord) -> tuple[str, tuple[Any, ...]]:
        expires = None if record.ended is None else record.ended + record.keep_s  # else it lives
        return _PUT, (record.job, record.state, record.submitted, expires, _encode(record))

    def _flush(self, *, durable: bool = False) -> bool:
        """Write what waits, in one transaction; what cannot be written now is tried again later."""
        try:
            if durable:
                self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("BEGIN IMMEDIATE")
            for statement, values in self._backlog:
                self._base.execute(statement, values)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            log.error("The journal could not be written: %s.", error)
            return False
        finally:
            if durable:
                self._base.execute("PRAGMA synchronous = NORMAL")
        self._backlog.clear()
        return True

    # --- reading ----------------------------------------------------------------------------------

    def get(self, job: str) -> JobRecord | None:
        """The job of that id, or None."""
        found = self._records("WHERE job = ?", job)
        return found[0] if found else None

    def live(self) -> list[JobRecord]:
        """Jobs that have not ended, in the order in which they came."""
        return self._records("WHERE state IN (?, ?, ?) ORDER BY submitted, rowid", *_LIVE)

    def recent(self, limit: int) -> list[JobRecord]:
        """The newest jobs, the newest first."""
        return self._records("ORDER BY submitted DESC, rowid DESC LIMIT ?", limit)

    def expired(self, now: float) -> list[str]:
        """Ids of the jobs whose time is up at ``now`` (seconds since 1970)."""
        rows = self._base.execute("SELECT job FROM jobs WHERE expires < ?", (now,))
        return [job for (job,) in rows]

    def events(self, job: str, since: int = 0) -> list[tuple[str, dict[str, Any]]]:
        """A job's events after number ``since``: kinds and headers, in order."""
        rows = self._base.execute(
            "SELECT kind, header FROM events WHERE job = ? AND seq > ? ORDER BY seq", (job, since)
        )
        return [(kind, _decode(header)) for kind, header in rows]

    def ids(self) -> set[str]:
        """Every job there is."""
        return {job for (job,) in self._base.execute("SELECT job FROM jobs")}

    def _records(self, condition: str, *values: Any) -> list[JobRecord]:
        rows = self._base.execute(f"SELECT record FROM jobs {condition}", values)
        return [_decode_record(record) for (record,) in rows]

    def close(self) -> None:
        """Write what waits and close the file."""
        if self._backlog:
            self._flush()
        self._base.close()
