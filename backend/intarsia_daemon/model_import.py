"""Taking over models that were made elsewhere: a stored model's folder, or a public code's run.

Foreign files are opened by a short-lived child process with limits
(`intarsia_daemon.model_families`); what it leaves is a model of ours, safetensors with a card.
Nothing is ever unpickled freely.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from intarsia_client.errors import IntarsiaError, InvalidRequest, from_dict
from intarsia_daemon.model_card import CARD
from intarsia_daemon.model_store import CONTENT, THUMBNAIL, THUMBNAIL_LIMIT, ModelStore

LONGEST_S = 600.0
"""Time that reading a foreign model may take."""


def import_model(folder: Path, store_folder: Path, *, title: str = "") -> str:
    """Take a model over.

    Args:
        folder: A stored model's folder (``card.json`` and ``model/``), or a run folder that a
            family knows, e.g. one of the public ConSinGAN code.
        store_folder: ``<home>/models``.
        title: Its name for people; empty takes the one it has.

    Returns:
        The model's id.

    Raises:
        InvalidRequest: Nobody knows such a folder; the message lists who was asked.
        IntarsiaError: MODEL_LOAD_FAILED, if it is damaged or holds more than plain tensors.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise InvalidRequest(
            f"{folder} is not a folder.", value=str(folder), remedy="Name the folder of one model."
        )
    if (folder / CARD).is_file():
        return _import_stored(folder, ModelStore(store_folder), title)
    return _import_in_child(folder, store_folder, title)


def _import_stored(folder: Path, store: ModelStore, title: str) -> str:
    card = ModelStore(folder.parent).verify(folder.name)
    small = folder / THUMBNAIL
    thumbnail = None
    if small.is_file() and not small.is_symlink() and small.stat().st_size <= THUMBNAIL_LIMIT:
        thumbnail = small.read_bytes()
    fields = {name: getattr(card, name) for name in card.__struct_fields__}
    return store.add(
        folder / CONTENT, {**fields, "title": title or card.title}, thumbnail=thumbnail
    )


def _import_in_child(folder: Path, store_folder: Path, title: str) -> str:
    store_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "intarsia_daemon.model_families"]
    try:
        done = subprocess.run(
            [*command, str(folder), str(store_folder.resolve()), title],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=store_folder,  # "-m" looks for modules in the working folder; this one is ours
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            timeout=LONGEST_S,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(folder, f"reading it took more than {LONGEST_S:.0f} s") from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        if "error" in answer:
            raise from_dict(answer["error"], IntarsiaError)
        return str(answer["id"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise _unreadable(folder, f"its reader ended with code {done.returncode}") from None


def _unreadable(folder: Path, reason: str) -> IntarsiaError:
    return IntarsiaError(
        f"The model in {folder} cannot be read: {reason}.",
        value=str(folder),
        remedy="Check that the folder is whole and comes from somebody you trust.",
        code="MODEL_LOAD_FAILED",
    )
