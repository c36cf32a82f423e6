"""Models on disk, trained, imported or shipped: whole or absent, hashed, and never programs.

``<home>/models/<id>/``
    ``card.json``      what the model is, and size and SHA-256 of every file of it (`Card`)
    ``thumbnail.png``  a small picture to recognise it by, if there is one
    ``model/``         what its family wrote: ``weights.safetensors`` and the like

Models that come with the release (`intarsia_daemon.packs`) are laid out the same, listed after the
user's own, and read-only. Nothing here needs torch, so that the router can list models.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.model_card import (
    CARD,
    Card,
    FileEntry,
    any_card,
    checked_card,
    file_hash,
    generator_facts,
    identity,
    plain_files,
    read_card,
)
from intarsia_daemon.model_titles import tell_apart

THUMBNAIL, CONTENT = "thumbnail.png", "model"
THUMBNAIL_LIMIT = 40 << 10
PNG = b"\x89PNG\r\n\x1a\n"
LIST_LIMIT = 128 << 10
"""Bytes of thumbnails in one list, newest models first; a reply header has little room."""
ABANDONED_S = 86400.0
"""Unfinished folders older than this are swept away."""
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,95}")


class ModelStore:
    """The folder of models. Several processes may use it at the same time."""

    def __init__(
        self,
        folder: Path,
        *,
        packs: Path | None = None,
        on_change: Callable[[], object] | None = None,
    ) -> None:
        """Use a folder; it is made when the first model is added.

        Args:
            folder: ``<home>/models``.
            packs: The folder of the models that ship (`intarsia_daemon.packs.packs_folder`); None
                leaves them out.
            on_change: Called after this object added or removed a model.
        """
        self._folder = folder
        self._packs = packs
        self._on_change = on_change or (lambda: None)
        self._verified: dict[str, tuple[int, ...]] = {}

    @property
    def folder(self) -> Path:
        """Where the models are: ``<home>/models``."""
        return self._folder

    def find(self, source_hash: str, family: str, task: str, settings_hash: str) -> Path | None:
        """The folder to load a model from, or None if there is none.

        Raises:
            IntarsiaError: MODEL_LOAD_FAILED, if it is there but damaged; names the file.
        """
        model_id = identity(source_hash, family, task, settings_hash)
        if not any((place / model_id).exists() for place in self._places()):
            return None
        return self.path(model_id)

    def path(self, model_id: str) -> Path:
        """The folder to load this model from, its bytes verified once per process.

        Raises:
            InvalidRequest: There is no such model.
            IntarsiaError: MODEL_LOAD_FAILED, if it is damaged; names the file.
        """
        folder = self._existing(model_id)
        stamp = _stamp(folder)
        if self._verified.get(model_id) != stamp:
            self.verify(model_id)
            self._verified[model_id] = stamp
        return folder / CONTENT

    def card(self, model_id: str) -> Card:
        """What the model is.

        Raises:
            InvalidRequest: There is no such model.
            IntarsiaError: MODEL_LOAD_FAILED, if its card is not one.
        """
        folder = self._existing(model_id)
        try:
            return _card(folder, self._is_shipped(folder))
        except (OSError, ValueError) as error:
            raise self._damaged(model_id, CARD, str(error)) from None

    def cards(self) -> Iterator[tuple[str, Card]]:
        """Id and card of every model whose card can be read."""
        for entry in self.list():
            with contextlib.suppress(IntarsiaError):  # broken, or removed by somebody else just now
                yield entry["id"], self.card(entry["id"])

    def labels(self, model_id: str = "") -> list[str]:
        """The names of a generator's classes, by their numbers; empty for a model without.

        Args:
            model_id: Its id; empty means the best model with classes: one that ships, or else the
                newest.

        Raises:
            InvalidRequest: There is no such model.
            IntarsiaError: MODEL_LOAD_FAILED, if its card is not one.
        """
        if not model_id:
            able = [e for e in self.list() if e["num_classes"] and "problem" not in e]
            able.sort(key=lambda entry: not entry["shipped"])  # stable: newest first within
            if not able:
                return []
            model_id = able[0]["id"]
        if not self.card(model_id).num_classes:
            return []
        try:
            return generator_facts(self._existing(model_id) / CONTENT).labels
        except (OSError, ValueError) as error:
            raise self._damaged(model_id, f"{CONTENT}/{CARD}", str(error)) from None

    def reference(self, model_id: str) -> dict[str, Any]:
        """``{family, id, hash}`` for `Outcome.model`, and so for the recipe."""
        card = self.card(model_id)
        return {"family": card.family, "id": model_id, "hash": card.hash}

    def verify(self, model_id: str) -> Card:
        """Compare every byte of a model with its card.

        Raises:
            InvalidRequest: There is no such model.
            IntarsiaError: MODEL_LOAD_FAILED, if a file is missing, changed, or not of the model.
        """
        card, folder = self.card(model_id), self._existing(model_id)
        problem = _difference(card, folder)
        if problem is not None:
            raise self._damaged(model_id, *problem)
        return card

    def add(
        self,
        source: Path | Callable[[Path], object],
        card: Card | Mapping[str, Any],
        *,
        thumbnail: bytes | None = None,
    ) -> str:
        """Add a model; after this it is whole on the disk, before it is not there at all.

        Args:
            source: A folder to copy, or a function that writes into the folder it is given.
            card: `Card` or its fields; size, hashes and date are filled in, and what a generator's
                own card says of its size, classes, capabilities and licence.
            thumbnail: A small PNG.

        Returns:
            The model's id: the same for the same source hash, family, task and settings hash. A
            model with that id is replaced.

        Raises:
            InvalidRequest: A field of the card has the wrong type, or a file a name not of ours.
            OSError: The disk is full, or the folder cannot be written.
        """
        checked = checked_card(card)
        model_id = identity(
            checked.source_hash, checked.family, checked.task, checked.settings_hash
        )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._folder / f".adding-{secrets.token_hex(8)}"
        fresh.mkdir(mode=0o700)
        try:
            content = fresh / CONTENT
            if isinstance(source, Path):
                shutil.copytree(source, content, symlinks=True)
            else:
                content.mkdir()
                source(content)
            _complete(fresh, checked, thumbnail)
            self._put_in_place(fresh, model_id)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._on_change()
        return model_id

    def list(self, *, thumbnails: bool = False) -> list[dict[str, Any]]:
        """Every model as docs/wire.md lists them, newest first, those that ship last.

        A broken one has a ``problem``. ``title`` differs from ``name``, the card's title, where
        several models have that name.

        Args:
            thumbnails: Whether to put in ``thumbnail``, PNG bytes, as far as `LIST_LIMIT` allows.
        """
        found, room = [], LIST_LIMIT if thumbnails else 0
        own: set[str] = set()
        for place in self._places():
            shipped = place == self._packs
            entries = [
                (folder, _describe(folder, shipped))
                for folder in (place.iterdir() if place.is_dir() else ())
                if _ID.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink()
                if folder.name not in own
            ]
            entries.sort(key=lambda item: item[1]["created"], reverse=True)
            own.update(folder.name for folder, _ in entries)
            found += entries
        tell_apart([entry for _, entry in found])
        for folder, entry in found:
            picture = _thumbnail(folder, room)
            if picture:
                entry["thumbnail"] = picture
                room -= len(picture)
        return [entry for _, entry in found]

    def remove(self, model_id: str) -> int:
        """Remove a model, damaged or not; returns the bytes that are free now.

        Raises:
            InvalidRequest: There is no such model, or it ships with the release.
        """
        folder = self._existing(model_id)
        if self._is_shipped(folder):
            raise InvalidRequest(
                f"The model {model_id} comes with the release and cannot be removed.",
                value=model_id,
                remedy="Choose another model instead of it, where one is asked for.",
            )
        freed = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
        gone = self._folder / f".removed-{secrets.token_hex(8)}"
        os.rename(folder, gone)  # at once for everybody else
        shutil.rmtree(gone, ignore_errors=True)
        self._verified.pop(model_id, None)
        self._on_change()
        return freed

    def export(self, model_id: str, target: Path) -> None:
        """Copy a model into a new folder, to be taken over on another machine.

        Args:
            model_id: Its id.
            target: The folder to make: ``card.json``, ``model/`` and the thumbnail, as
                `intarsia_daemon.model_import.import_model` takes it.

        Raises:
            InvalidRequest: There is no such model, or ``target`` is there already.
            IntarsiaError: MODEL_LOAD_FAILED, if it is damaged.
            OSError: It cannot be written.
        """
        self.verify(model_id)
        if target.exists():
            raise InvalidRequest(
                f"{target} is there already.", value=str(target), remedy="Name a new folder."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.parent / f".exporting-{secrets.token_hex(8)}"
        try:
            shutil.copytree(self._existing(model_id), fresh)
            os.rename(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what additions and removals that were killed left behind."""
        for folder in self._folder.glob(".*-*") if self._folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if time.time() - folder.lstat().st_mtime > ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def _existing(self, model_id: str) -> Path:
        for place in self._places() if _ID.fullmatch(model_id) else ():
            folder = place / model_id
            if folder.is_dir() and not folder.is_symlink():
                return folder
        known = [entry["id"] for entry in self.list()]
        raise InvalidRequest(
            f"There is no model {model_id[:100]!r}.",
            value=model_id[:100],
            remedy=f"There are: {', '.join(known[:20]) or 'none'}.",
            code="NOT_FOUND",
        )

    def _places(self) -> tuple[Path, ...]:
        """Where models lie; the user's own come first."""
        return (self._folder,) if self._packs is None else (self._folder, self._packs)

    def _is_shipped(self, folder: Path) -> bool:
        return folder.parent == self._packs

    def _damaged(self, model_id: str, name: str, reason: str) -> IntarsiaError:
        what = f"The model {model_id} is damaged: {name} {reason}."
        if self._is_shipped(self._existing(model_id)):
            return IntarsiaError(
                what,
                value=model_id,
                remedy="It comes with the release: install Intarsia again.",
                code="MODEL_LOAD_FAILED",
            )
        return IntarsiaError(
            what,
            value=model_id,
            remedy="Remove the model; it is made anew when it is needed again.",
            action={"label": "Remove the damaged model", "do": "remove", "model": model_id},
            code="MODEL_LOAD_FAILED",
        )

    def _put_in_place(self, fresh: Path, model_id: str) -> None:
        place, old = self._folder / model_id, self._folder / f".removed-{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(place, old)
        os.rename(fresh, place)
        _sync(self._folder)
        shutil.rmtree(old, ignore_errors=True)
        self._verified[model_id] = _stamp(place)


def _complete(fresh: Path, card: Card, thumbnail: bytes | None) -> None:
    """Hash what was written, write card and thumbnail, and bring all of it onto the disk."""
    try:
        files = {
            name: FileEntry(path.stat().st_size, file_hash(path))
            for name, path in plain_files(fresh / CONTENT)
        }
    except ValueError as error:
        raise InvalidRequest(
            f"The model cannot be stored: {error}.",
            value=str(error),
            remedy="A model is a folder of plain files with simple names.",
        ) from None
    if not files:
        raise InvalidRequest(
            "The model has no files.", value=0, remedy="Name the folder with the model in it."
        )
    size = sum(entry.bytes for entry in files.values())
    whole = msgspec.structs.replace(
        card, created=time.time(), bytes=size, files=files, **_facts(fresh / CONTENT)
    )
    (fresh / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1))
    if thumbnail is not None and len(thumbnail) <= THUMBNAIL_LIMIT:
        (fresh / THUMBNAIL).write_bytes(thumbnail)
    for path in [*fresh.rglob("*"), fresh]:
        _sync(path)


def _facts(content: Path) -> dict[str, Any]:
    """The card's fields that a generator's own card knows; none for other models."""
    try:
        found = generator_facts(content)
    except (OSError, ValueError):
        return {}
    facts = {
        "capabilities": tuple(sorted(found.capabilities)),
        "resolution": found.resolution,
        "num_classes": found.num_classes,
        "label_count": len(found.labels),
        "licence": found.licence,
    }
    return {name: value for name, value in facts.items() if value}


def verified_folder(folder: Path) -> Card:
    """The card of a model's folder, of any name, whose bytes are what the card says.

    Args:
        folder: As `ModelStore.export` makes it.

    Raises:
        IntarsiaError: MODEL_LOAD_FAILED, if it is damaged; names the file.
    """
    try:
        card = any_card(folder)
        problem = _difference(card, folder)
    except (OSError, ValueError) as error:
        problem = CARD, str(error)
    else:
        if problem is None:
            return card
    name, reason = problem
    raise IntarsiaError(
        f"The model in {folder} is damaged: {name} {reason}.",
        value=str(folder),
        remedy="Copy the folder again from where it came.",
        code="MODEL_LOAD_FAILED",
    )


def _difference(card: Card, folder: Path) -> tuple[str, str] | None:
    """The first file that is not what the card says, and what is wrong with it."""
    content = folder / CONTENT
    try:
        found = dict(plain_files(content))
    except (OSError, ValueError) as error:
        return CONTENT, str(error)
    for name in sorted(set(found) ^ set(card.files)):
        return name, "is missing" if name in card.files else "does not belong to the model"
    for name, entry in card.files.items():
        if found[name].stat().st_size != entry.bytes:
            return name, f"should have {entry.bytes} bytes"
        if file_hash(found[name]) != entry.sha256:
            return name, "has changed since it was written"
    return None


def _card(folder: Path, shipped: bool) -> Card:
    """A pack's folder may have any name; the user's models are named by what they are."""
    return any_card(folder) if shipped else read_card(folder)


def _describe(folder: Path, shipped: bool) -> dict[str, Any]:
    try:
        card = _card(folder, shipped)
    except (OSError, ValueError) as error:
        card = Card(family="", task="", title="Damaged model", created=folder.stat().st_mtime)
        problem = {"problem": f"{CARD}: {error}"}
    else:
        problem = {}
    fields = msgspec.structs.asdict(card)
    del fields["files"], fields["settings_hash"], fields["fingerprint"]
    fields["capabilities"] = list(card.capabilities)
    return {"id": folder.name, "name": card.title, **fields, "shipped": shipped, **problem}


def _thumbnail(folder: Path, room: int) -> bytes:
    """The model's PNG, or nothing if there is none, it is too large, or it is something else."""
    path = folder / THUMBNAIL
    try:
        if path.is_symlink() or path.stat().st_size > min(room, THUMBNAIL_LIMIT):
            return b""
        data = path.read_bytes()
    except OSError:
        return b""
    return data if data.startswith(PNG) else b""


def _stamp(folder: Path) -> tuple[int, ...]:
    """Changes when a file is written again."""
    times = [path.lstat() for path in sorted(folder.rglob("*"))]
    return tuple(value for info in times for value in (info.st_mtime_ns, info.st_size, info.st_ino))


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot, and renames are journalled there
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
