"""Pixels on disk."""

from __future__ import annotations

import errno
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_runs import job_id, picture

from intarsia_client.errors import IntarsiaError, ProtocolError
from intarsia_daemon.spool import DiskFull, Spool, map_file

LIMIT = 1 << 20


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path, reserve_bytes=0)
    yield one
    one.close()


def store(spool: Spool, descriptions: list[Any], frames: list[bytes], durable: bool = False) -> Any:
    job = job_id()
    files = spool.plan(job, descriptions, frames, total_bytes=LIMIT)
    spool.store(job, files, descriptions, frames, durable=durable).result(10)
    return job, files


@pytest.mark.parametrize("durable", [False, True])
def test_pixels_lie_raw_in_the_jobs_folder(spool: Spool, tmp_path: Path, durable: bool) -> None:
    pixels, selection = os.urandom(4 * 3 * 4), bytes(range(200)) * 3
    descriptions = [
        picture(4, 3, x=-5, y=7),
        picture(20, 30, channels=1, input="area", encoding="zlib"),
    ]
    job, files = store(spool, descriptions, [pixels, zlib.compress(selection)], durable)
    assert [file.input for file in files] == ["picture", "area"]
    assert (files[0].x, files[0].y, files[0].name) == (-5, 7, "Layer 1")
    assert Path(files[0].path) == tmp_path / job / "in-0.raw"
    assert Path(files[0].path).read_bytes() == pixels
    assert Path(files[1].path).read_bytes() == selection and files[1].nbytes == 600
    if os.name != "nt":
        assert (tmp_path / job).stat().st_mode & 0o777 == 0o700
        assert Path(files[0].path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changes", "frame", "match"),
    [
        ({}, b"x" * 15, "needs 16 bytes"),
        ({"nbytes": 15}, b"x" * 16, "needs 16 bytes"),
        ({"width": 0}, b"", "1 to 65535"),
        ({"width": 2**40}, b"", "1 to 65535"),
        ({"width": True}, b"x" * 16, "whole number"),
        ({"channels": 3}, b"x" * 16, "Channels"),
        ({"dtype": "f64"}, b"x" * 16, "u8/u16/f32"),
        ({"name": 5}, b"x" * 16, "must be a text"),
        ({"width": 1000, "height": 1000, "nbytes": 4000000}, b"x" * 4000000, "1 MiB of pixels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_written(
    spool: Spool, tmp_path: Path, changes: dict[str, Any], frame: bytes, match: str
) -> None:
    with pytest.raises(ProtocolError, match=match):
        spool.plan(job_id(), [{**picture(2, 2), **changes}], [frame], total_bytes=LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_descriptions_and_frames_must_be_as_many(spool: Spool) -> None:
    with pytest.raises(ProtocolError, match="1 buffers are described, 2 came"):
        spool.plan(job_id(), [picture(2, 2)], [b"x" * 16, b""], total_bytes=LIMIT)


@pytest.mark.parametrize(
    "frame", [b"nonsense", zlib.compress(b"x" * 99), zlib.compress(b"x" * 101)]
)
def test_a_broken_deflated_buffer_leaves_nothing_behind(
    spool: Spool, tmp_path: Path, frame: bytes
) -> None:
    with pytest.raises(ProtocolError, match="deflated"):
        store(spool, [picture(10, 10, channels=1, encoding="zlib")], [frame])
    assert list(tmp_path.iterdir()) == []


def test_a_deflate_bomb_is_refused_by_what_it_claims(spool: Spool) -> None:
    bomb = zlib.compress(bytes(10000))
    with pytest.raises(ProtocolError, match="MiB of pixels") as caught:
        claims = picture(60000, 60000, channels=1, encoding="zlib")
        spool.plan(job_id(), [claims], [bomb], total_bytes=LIMIT)
    assert caught.value.code == "TOO_LARGE"


def test_too_little_disk_space_is_refused_before_writing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, reserve_bytes=1 << 60)
    with pytest.raises(DiskFull, match="no room") as caught:
        store(spool, [picture(2, 2)], [b"x" * 16])
    assert caught.value.code == "DISK_FULL" and caught.value.remedy
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_a_disk_that_fills_up_while_writing_leaves_nothing_behind(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, written = os.write, []

    def write(descriptor: int, data: Any) -> int:
        if len(data) == 16:
            written.append(len(data))
            if len(written) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(DiskFull):
        store(spool, [picture(2, 2), picture(2, 2)], [b"x" * 16, b"y" * 16])
    assert len(written) == 2 and list(tmp_path.iterdir()) == []


def test_a_result_is_mapped_not_read(tmp_path: Path, spool: Spool) -> None:
    _, files = store(spool, [picture(2, 2)], [b"0123456789abcdef"])
    with map_file(files[0]) as pixels:
        assert pixels.readonly and bytes(pixels) == b"0123456789abcdef"
    Path(files[0].path).write_bytes(b"short")
    with pytest.raises(IntarsiaError, match="not on disk any more"):
        map_file(files[0])
    Path(files[0].path).unlink()
    with pytest.raises(IntarsiaError, match="not on disk any more"):
        map_file(files[0])


def test_only_a_result_stays_of_a_job_that_ended(tmp_path: Path, spool: Spool) -> None:
    job, files = store(spool, [picture(2, 2), picture(2, 2)], [b"x" * 16, b"y" * 16])
    (tmp_path / job / "checkpoints").mkdir()
    spool.finish(job, files[1:])
    spool.close()
    assert [item.name for item in (tmp_path / job).iterdir()] == ["in-1.raw"]


def test_same_pixels_are_recognized(spool: Spool) -> None:
    _, files = store(spool, [picture(2, 2)], [b"x" * 16])
    assert spool.holds_same(files, [picture(2, 2)], [b"x" * 16]).result(10)
    assert not spool.holds_same(files, [picture(2, 2)], [b"x" * 15 + b"y"]).result(10)
    Path(files[0].path).unlink()
    assert spool.holds_same(files, [picture(2, 2)], [b"z" * 16]).result(10)


@pytest.mark.parametrize("name", ["../x", "", "a" * 31, "A" * 32, "a" * 32 + "\n", "/" + "a" * 31])
def test_only_job_ids_name_folders(spool: Spool, name: str) -> None:
    with pytest.raises(ValueError, match="no job id"):
        spool.folder(name)


def test_old_folders_of_unknown_jobs_are_swept_and_nothing_else(
    tmp_path: Path, spool: Spool
) -> None:
    old, known, young = job_id(), job_id(), job_id()
    for name in (old, known, young, "somebody-elses"):
        (tmp_path / name).mkdir()
    for name in (old, known, "somebody-elses"):
        os.utime(tmp_path / name, (time.time() - 1000, time.time() - 1000))
    spool.sweep({known}, older_s=500)
    spool.close()
    assert {item.name for item in tmp_path.iterdir()} == {known, young, "somebody-elses"}
