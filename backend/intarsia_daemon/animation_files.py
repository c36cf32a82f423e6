"""Frames as a file that moves: GIF, APNG, WebP, and MP4 or WebM where ffmpeg is installed."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from intarsia_client.errors import InvalidRequest

Format = Literal["gif", "apng", "webp", "mp4", "webm"]
SUFFIX: dict[str, str] = {"apng": "png"}
"""Where it is not the format's name."""
_PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "gif": ("GIF", {"optimize": True}),
    "apng": ("PNG", {"default_image": False}),
    "webp": ("WEBP", {"quality": 90, "method": 4}),
}
_FFMPEG: dict[str, list[str]] = {
    "mp4": ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
    "webm": ["-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-pix_fmt", "yuv420p"],
}
LONGEST_S = 600.0
"""Time that ffmpeg may take."""


def needs_ffmpeg(kind: str) -> bool:
    """Whether this format is written by ffmpeg."""
    return kind in _FFMPEG


def check_format(kind: str) -> None:
    """Refuse a format that this machine cannot write, before work is done for it.

    Raises:
        InvalidRequest: ffmpeg is needed and not there.
    """
    if needs_ffmpeg(kind) and shutil.which("ffmpeg") is None:
        raise InvalidRequest(
            f"{kind.upper()} files are written with ffmpeg, which is not installed.",
            value=kind,
            remedy="Install ffmpeg, or choose GIF, APNG or WebP.",
        )


def check_folder(folder: str) -> Path:
    """The folder that a file is to be written to.

    Raises:
        InvalidRequest: It is not there, or none was named.
    """
    place = Path(folder)
    if not folder or not place.is_dir():
        raise InvalidRequest(
            f"{folder or 'An unnamed folder'} is no folder that a file can be written to.",
            value=folder,
            remedy="Choose a folder that exists, or choose no file.",
        )
    return place


def write_animation(
    frames: Sequence[np.ndarray],
    folder: Path,
    name: str,
    kind: Format,
    *,
    fps: float,
    tick: Callable[[], None] | None = None,
) -> Path:
    """Write frames as a looping file; no file that is there is overwritten.

    Args:
        frames: (H, W, 3) u8 each, all of one size; at least one.
        folder: Where.
        name: Of the file, without its ending; what a file system cannot hold is replaced.
        kind: See `check_format`.
        fps: Frames per second.
        tick: May raise to stop.

    Raises:
        InvalidRequest: The folder cannot be written, the disk is full, or ffmpeg failed.
    """
    place = free_place(folder, name, SUFFIX.get(kind, kind))
    partial = place.with_name(f".{place.name}.part")
    try:
        if needs_ffmpeg(kind):
            _write_video(frames, partial, kind, fps, tick)
        else:
            _write_picture(frames, partial, kind, fps)
        if tick is not None:
            tick()
        partial.replace(place)
    except OSError as error:
        raise InvalidRequest(
            f"The animation could not be written to {folder}: {error.strerror or error}.",
            value=str(folder),
            remedy="Choose a folder that you may write to, with enough room.",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return place


def free_place(folder: Path, name: str, suffix: str) -> Path:
    """A path that no file has yet: ``name.gif``, ``name 2.gif``, …"""
    stem = re.sub(r"[^\w .()-]+", " ", name).strip(" .")[:80] or "Animation"
    place, number = folder / f"{stem}.{suffix}", 1
    while place.exists():
        number += 1
        place = folder / f"{stem} {number}.{suffix}"
    return place


def _write_picture(frames: Sequence[np.ndarray], place: Path, kind: str, fps: float) -> None:
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    form, options = _PILLOW[kind]
    pictures[0].save(
        place,
        form,
        save_all=True,
        append_images=pictures[1:],
        duration=_milliseconds(kind, fps),
        loop=0,
        **options,
    )


def _milliseconds(kind: str, fps: float) -> int:
    """Of a frame. GIF counts hundredths of a second, and players slow a single one down to ten."""
    return 10 * max(2, round(100 / fps)) if kind == "gif" else round(1000 / fps)


def _write_video(
    frames: Sequence[np.ndarray],
    place: Path,
    kind: str,
    fps: float,
    tick: Callable[[], None] | None,
) -> None:
    height, width = (side - side % 2 for side in frames[0].shape[:2])  # the codecs want even sides
    command = [
        *("ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-", "-an"),
        *_FFMPEG[kind],
        *("-f", kind, str(place)),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # ffmpeg says below why it left
                for frame in frames:
                    if tick is not None:
                        tick()
                    process.stdin.write(np.ascontiguousarray(frame[:height, :width]).tobytes())
            _, told = process.communicate(timeout=LONGEST_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = told.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise InvalidRequest(
            f"ffmpeg could not write the animation: {lines[-1][:200]}",
            value=kind,
            remedy="Choose GIF, APNG or WebP, or check your ffmpeg.",
        )
