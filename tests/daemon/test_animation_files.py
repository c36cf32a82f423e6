"""Animations as files: what Pillow and ffmpeg read back is what was written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.animation_files import (
    SUFFIX,
    Format,
    check_folder,
    check_format,
    free_place,
    write_animation,
)
from intarsia_daemon.context import Cancelled

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")


def _frames(count: int = 4, height: int = 21, width: int = 33) -> list[np.ndarray]:
    """A bright bar that wanders over a gradient."""
    frames = []
    for index in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[..., 0] = np.linspace(0, 200, width)
        frame[:, index * 8 : index * 8 + 4] = 250
        frames.append(frame)
    return frames


@pytest.mark.parametrize(("kind", "off_by"), [("gif", 12), ("apng", 0), ("webp", 40)])
def test_the_frames_come_back_in_order_and_the_loop_is_endless(
    tmp_path: Path, kind: Format, off_by: int
) -> None:
    frames = _frames()
    place = write_animation(frames, tmp_path, "Sea", kind, fps=10)
    assert place == tmp_path / f"Sea.{SUFFIX.get(kind, kind)}"
    with Image.open(place) as file:
        assert getattr(file, "n_frames", 1) == len(frames)
        assert file.info.get("loop") == 0
        for index, frame in enumerate(frames):
            file.seek(index)
            seen = np.asarray(file.convert("RGB")).astype(int)
            assert np.abs(seen - frame).mean() <= off_by
            assert file.info["duration"] == 100
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


@pytest.mark.parametrize(("fps", "milliseconds"), [(10, 100), (15, 70), (30, 30), (60, 20)])
def test_a_gif_has_times_that_players_keep(tmp_path: Path, fps: float, milliseconds: int) -> None:
    with Image.open(write_animation(_frames(), tmp_path, "Sea", "gif", fps=fps)) as file:
        assert file.info["duration"] == milliseconds


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    written = [write_animation(_frames(), tmp_path, "Sea", "gif", fps=10) for _ in range(3)]
    assert [place.name for place in written] == ["Sea.gif", "Sea 2.gif", "Sea 3.gif"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../etc/Sea: <1>", "etc Sea 1.gif"),
        ("", "Animation.gif"),
        ("...", "Animation.gif"),
        ("Größe 1.5 (blau)", "Größe 1.5 (blau).gif"),
        ("x" * 200, "x" * 80 + ".gif"),
    ],
)
def test_a_name_becomes_one_that_every_file_system_holds(
    tmp_path: Path, name: str, file: str
) -> None:
    place = free_place(tmp_path, name, "gif")
    assert place.parent == tmp_path and " ".join(place.name.split()) == file


def test_a_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(InvalidRequest, match=r"could not be written to .*: Permission") as caught:
        write_animation(_frames(), tmp_path, "Sea", "gif", fps=10)
    assert "enough room" in (caught.value.remedy or "")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Image.Image.save

    def to_full(picture: Image.Image, _place: Path, *more: object, **options: object) -> None:
        real(picture, "/dev/full", *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", to_full)
    with pytest.raises(InvalidRequest, match="No space left"):
        write_animation(_frames(), tmp_path, "Sea", "gif", fps=10)


@pytest.mark.parametrize("folder", ["", "/no/such/folder"])
def test_a_missing_folder_is_refused_before_work_is_done(folder: str) -> None:
    with pytest.raises(InvalidRequest, match="is no folder"):
        check_folder(folder)


def test_without_ffmpeg_a_video_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for kind in ("gif", "apng", "webp"):
        check_format(kind)
    for kind in ("mp4", "webm"):
        with pytest.raises(InvalidRequest, match=rf"{kind.upper()}.*ffmpeg.*not installed") as told:
            check_format(kind)
        assert told.value.remedy == "Install ffmpeg, or choose GIF, APNG or WebP."


def test_what_ffmpeg_says_reaches_the_artist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InvalidRequest, match="Unknown encoder libx264"):
        write_animation(_frames(), tmp_path, "Sea", "mp4", fps=10)
    assert [p.name for p in tmp_path.iterdir()] == ["tools"]


def test_a_video_gets_every_frame_at_an_even_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" >&2\ncat > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    place = write_animation(_frames(), tmp_path, "Sea", "mp4", fps=10)
    raw = np.frombuffer(place.read_bytes(), np.uint8).reshape(4, 20, 32, 3)
    np.testing.assert_array_equal(raw, np.stack(_frames())[:, :20, :32])


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_video_has_its_frames_and_its_rate(tmp_path: Path, kind: Format) -> None:
    place = write_animation(_frames(12, 64, 112), tmp_path, "Sea", kind, fps=10)
    command = ["ffmpeg", "-i", str(place), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert len(done.stdout) == 12 * 64 * 112 * 3 and b"10 fps" in done.stderr


def test_cancelling_leaves_no_file(tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        write_animation(_frames(), tmp_path, "Sea", "gif", fps=10, tick=stop)
    assert not list(tmp_path.iterdir())
