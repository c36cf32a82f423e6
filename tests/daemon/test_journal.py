"""What the engine remembers."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from intarsia_daemon.jobs import JobRecord
from intarsia_daemon.journal import Journal, JournalFull
from intarsia_daemon.messages import BufferFile


def record(number: int = 1, **changes: object) -> JobRecord:
    fields: dict[str, object] = {
        "job": f"{number:032x}",
        "session": "s",
        "client": "test",
        "operation": "identity",
        "version": 1,
        "parameters": {"amount": 0.5, "name": "Grüße"},
        "seed": 3,
        "inputs": [
            BufferFile(width=1, height=2, channels=4, dtype="u8", nbytes=8, path="/x", input="p")
        ],
        "submitted": float(number),
    }
    return JobRecord(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_a_job_comes_back_as_it_was_written(path: Path) -> None:
    journal = Journal(path)
    journal.add(record(1), durable=True)
    journal.close()
    again = Journal(path)
    assert again.get(record(1).job) == record(1)
    assert again.get("0" * 32) is None
    again.close()


def test_events_are_numbered_without_gaps_and_kept(path: Path) -> None:
    journal = Journal(path)
    job = record(1)
    journal.add(job)
    for kind in ("started", "paused", "resumed", "finished"):
        journal.append(job, kind, {"x": kind})
    journal.close()
    again = Journal(path)
    events = again.events(job.job)
    assert [header["seq"] for _, header in events] == [1, 2, 3, 4]
    assert [kind for kind, _ in again.events(job.job, since=2)] == ["resumed", "finished"]
    assert all(header["job"] == job.job and header["x"] == kind for kind, header in events)
    found = again.get(job.job)
    assert found is not None and found.seq == 4
    again.close()


def test_only_unfinished_jobs_are_live_in_the_order_in_which_they_came(path: Path) -> None:
    journal = Journal(path)
    for number, state in ((3, "queued"), (1, "running"), (2, "finished"), (4, "paused")):
        journal.add(record(number, state=state))
    assert [job.submitted for job in journal.live()] == [1.0, 3.0, 4.0]
    assert [job.submitted for job in journal.recent(2)] == [4.0, 3.0]
    journal.close()


def test_a_job_expires_its_own_time_after_it_ended(path: Path) -> None:
    journal = Journal(path)
    journal.add(record(1, state="finished", ended=100.0, keep_s=10.0))
    journal.add(record(2, state="finished", ended=100.0, keep_s=50.0))
    journal.add(record(3))
    assert journal.expired(109.0) == []
    assert journal.expired(111.0) == [record(1).job]
    journal.append(record(1), "finished", {})
    journal.forget(record(1).job)
    assert journal.ids() == {record(2).job, record(3).job}
    assert journal.events(record(1).job) == []
    journal.close()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "other format", "unreadable job"])
def test_a_damaged_journal_is_moved_aside_and_the_engine_goes_on(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(path)
    for number in range(200):
        journal.add(record(number))
    journal.close()
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"no data base at all" * 100)
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    else:
        base = sqlite3.connect(path)
        if damage == "other format":
            base.execute("PRAGMA user_version = 99")
        else:
            base.execute("UPDATE jobs SET record = x'00' WHERE rowid = 7")
        base.commit()
        base.close()
    with caplog.at_level(logging.ERROR):
        fresh = Journal(path)
    assert fresh.ids() == set()
    fresh.add(record(1))
    fresh.close()
    aside = [item for item in path.parent.iterdir() if ".broken-" in item.name]
    assert len(aside) >= 1
    assert "was moved to" in caplog.text and str(aside[0].name)[:20] in caplog.text


def test_what_cannot_be_written_is_refused_and_later_writes_catch_up(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(path)
    job = record(1)
    journal.add(job)
    other = sqlite3.connect(path, isolation_level=None)
    journal._base.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")  # nobody else can write now
    with pytest.raises(JournalFull, match="takes no new job") as caught:
        journal.add(record(2))
    assert caught.value.code == "DISK_FULL" and caught.value.retryable
    header = journal.append(job, "started", {})
    assert header["seq"] == 1
    other.execute("ROLLBACK")
    other.close()
    journal.append(job, "finished", {})
    assert [kind for kind, _ in journal.events(job.job)] == ["started", "finished"]
    assert journal.get(record(2).job) is None
    journal.close()
    assert "could not be written" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    program = """
import sys
from pathlib import Path
from intarsia_daemon.journal import Journal
from intarsia_daemon.jobs import JobRecord
journal = Journal(Path(sys.argv[1]))
for number in range(10**6):
    job = JobRecord(job="%032x" % number, session="", client="", operation="o", version=1,
                    parameters={}, seed=0, inputs=[])
    journal.add(job)
    journal.append(job, "started", {})
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line)
        if last == 150:
            process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    journal = Journal(path)
    assert len(journal.ids()) >= last + 1
    for number in range(last + 1):
        assert [kind for kind, _ in journal.events(f"{number:032x}")] == ["started"]
    journal.close()
