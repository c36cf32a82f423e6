"""Taking over models that were made elsewhere: a stored model's folder, or public codes' files.

Foreign files are opened by a short-lived child process with limits
(`intarsia_daemon.model_families`); what it leaves is a model of ours, safetensors with a card.
Nothing is ever unpickled freely.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from intarsia_client.errors import IntarsiaError, InvalidRequest, from_dict
from intarsia_daemon.class_labels import read_labels
from intarsia_daemon.model_card import CARD
from intarsia_daemon.model_store import (
    CONTENT,
    THUMBNAIL,
    THUMBNAIL_LIMIT,
    ModelStore,
    verified_folder,
)

LONGEST_S = 600.0
"""Time that reading a foreign model may take."""


def import_model(
    path: Path,
    store_folder: Path,
    *,
    title: str = "",
    companions: Mapping[str, Path] | None = None,
    labels: Path | None = None,
) -> str:
    """Take a model over.

    Args:
        path: A stored model's folder (``card.json`` and ``model/``), a run folder of the public
            ConSinGAN code, or a generator's file, or a folder of such files with their companions.
        store_folder: ``<home>/models``.
        title: Its name for people; empty takes the one it has.
        companions: A generator's further files: ``discriminator``, ``encoder``, ``auxiliary``,
            ``regressor``.
        labels: A file with the names of a generator's classes (`intarsia_daemon.class_labels`).

    Returns:
        The model's id.

    Raises:
        InvalidRequest: Nobody knows such a file; the message lists what is known.
        IntarsiaError: MODEL_LOAD_FAILED, if it is damaged or holds more than plain tensors.
    """
    path = path.resolve()
    if not path.exists():
        raise InvalidRequest(
            f"{path} does not exist.", value=str(path), remedy="Name a model's file or folder."
        )
    further = {role: place.resolve() for role, place in (companions or {}).items()}
    names = [] if labels is None else read_labels(labels)
    if (path / CARD).is_file() and (path / CONTENT).is_dir():
        if further or names:
            raise InvalidRequest(
                f"{path} is a whole model and takes no further files.",
                value=str(path),
                remedy="Name its folder alone.",
            )
        return _import_stored(path, ModelStore(store_folder), title)
    foreign = {
        "path": str(path),
        "companions": {role: str(place) for role, place in further.items()},
        "labels": names,
        "title": title,
    }
    return _import_in_child(path, store_folder, json.dumps(foreign))


def _import_stored(folder: Path, store: ModelStore, title: str) -> str:
    card = verified_folder(folder)
    small = folder / THUMBNAIL
    thumbnail = None
    if small.is_file() and not small.is_symlink() and small.stat().st_size <= THUMBNAIL_LIMIT:
        thumbnail = small.read_bytes()
    fields = {name: getattr(card, name) for name in card.__struct_fields__}
    return store.add(
        folder / CONTENT, {**fields, "title": title or card.title}, thumbnail=thumbnail
    )


def _import_in_child(path: Path, store_folder: Path, foreign: str) -> str:
    store_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "intarsia_daemon.model_families"]
    try:
        done = subprocess.run(
            [*command, str(store_folder.resolve())],
            input=foreign,
            capture_output=True,
            cwd=store_folder,  # "-m" looks for modules in the working folder; this one is ours
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            timeout=LONGEST_S,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(path, f"reading it took more than {LONGEST_S:.0f} s") from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        if "error" in answer:
            raise from_dict(answer["error"], IntarsiaError)
        return str(answer["id"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise _unreadable(path, f"its reader ended with code {done.returncode}") from None


def _unreadable(path: Path, reason: str) -> IntarsiaError:
    return IntarsiaError(
        f"The model in {path} cannot be read: {reason}.",
        value=str(path),
        remedy="Check that it is whole and comes from somebody you trust.",
        code="MODEL_LOAD_FAILED",
    )
