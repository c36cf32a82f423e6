"""Folders of tensors on disk that are whole or absent, and whose bytes are checked when they are
read.

A bundle is a folder with ``weights.safetensors``, ``card.json`` and ``manifest.json`` (SHA-256 of
every other file); some of its tensors may lie in further files (``regressor.safetensors``). It is
written beside its place and moved there when everything has reached the disk, so that a crash
leaves either the old one or the new one. Nothing here is ever unpickled.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from intarsia_models.errors import DamagedCheckpoint, UnreadableModel

WEIGHTS = "weights.safetensors"
CARD = "card.json"
MANIFEST = "manifest.json"
_STEP = re.compile(r"step-(\d{9})")
_PART = re.compile(r"[a-z][a-z0-9_]{0,40}")
_TENSORS = ".safetensors"


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds."""

    tensors: dict[str, Tensor]
    card: dict[str, Any]


def write_bundle(
    folder: Path,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    *,
    parts: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write a bundle, replacing the one in its place.

    Args:
        folder: Where it is to be; its parent is made where it is missing.
        tensors: Any tensors by name; they are stored from the CPU.
        card: Plain JSON values.
        parts: Further tensors by the name of a file of their own: ``regressor`` is written as
            ``regressor.safetensors``. `read_bundle` gives all of them together.

    Raises:
        OSError: The disk is full or the place cannot be written. What was there before is still
        there.
        ValueError: A part's name is no plain word, or two files hold a tensor of the same name.
    """
    groups = {WEIGHTS: tensors, **{_part_file(name): part for name, part in (parts or {}).items()}}
    names = [name for group in groups.values() for name in group]
    if len(set(names)) != len(names):
        raise ValueError("Two files of a bundle cannot hold a tensor of the same name.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part"
    fresh.mkdir()
    try:
        for file, group in groups.items():
            stored = {name: tensor.detach().cpu().contiguous() for name, tensor in group.items()}
            save_file(stored, fresh / file)
        (fresh / CARD).write_text(json.dumps(dict(card), indent=1), encoding="utf-8")
        files = (*groups, CARD)
        manifest = {"files": {name: file_hash(fresh / name) for name in files}}
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for name in (*files, MANIFEST):
            _sync(fresh / name)
        _sync(fresh)
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle and check its bytes.

    Raises:
        UnreadableModel: There is no bundle in this folder.
        DamagedCheckpoint: A file is missing, cut off or changed.
    """
    if not (folder / MANIFEST).is_file():
        raise UnreadableModel(f"{folder} holds no model: it has no {MANIFEST}.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        listed = manifest["files"]
        parts = [name for name in listed if name not in (WEIGHTS, CARD)]
        for name in (WEIGHTS, CARD, *parts):
            if name in parts and name != _part_file(name.removesuffix(_TENSORS)):
                raise ValueError(f"{MANIFEST} names {name!r}, which is no file of tensors.")
            if file_hash(folder / name) != listed[name]:
                raise DamagedCheckpoint(
                    f"{folder / name} is damaged: its bytes have changed since it was written."
                )
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        for name in parts:
            tensors |= load_file(folder / name)
        return Bundle(tensors, card)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{folder} is damaged: {error}") from error


def write_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Write the checkpoint of a step and remove all but the newest ``keep``.

    Args:
        folder: The folder of all checkpoints of one training.
        step: Rising number of the checkpoint.
        tensors: See `write_bundle`.
        card: See `write_bundle`.
        keep: How many to keep, at least 1; two, so that a damaged one has a predecessor.

    Returns:
        The folder of this checkpoint.
    """
    place = folder / f"step-{step:09d}"
    write_bundle(place, tensors, card)
    for old in _steps(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def read_latest_checkpoint(
    folder: Path, *, on_damaged: Callable[[Path, str], None] | None = None
) -> Bundle | None:
    """The newest checkpoint whose bytes are whole, or None where there is none.

    Args:
        folder: See `write_checkpoint`.
        on_damaged: Told (folder, what is wrong) of every newer one that had to be passed over.
    """
    for place in _steps(folder):
        try:
            return read_bundle(place)
        except UnreadableModel as error:
            if on_damaged is not None:
                on_damaged(place, error.what)
    return None


def remove_checkpoints(folder: Path, *, above: int = -1) -> None:
    """Remove checkpoints of a training, and what a crash left half-written.

    Args:
        folder: See `write_checkpoint`.
        above: Only those of later steps; by default all.
    """
    later = [place for place in _steps(folder) if int(place.name.removeprefix("step-")) > above]
    for place in (*later, *folder.glob(".step-*")):
        shutil.rmtree(place, ignore_errors=True)


def file_hash(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _part_file(name: str) -> str:
    """The file of a part.

    Raises:
        ValueError: The name is no plain word.
    """
    if not _PART.fullmatch(name) or f"{name}{_TENSORS}" == WEIGHTS:
        raise ValueError(f"A part of a bundle is named by a plain word, got {name!r}.")
    return f"{name}{_TENSORS}"


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _STEP.fullmatch(path.name)), reverse=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
    else:
        old = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.old"
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder to flush it
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
