"""Trained and imported models on disk: whole or absent, hashed, and never programs.

``<home>/models/<id>/``
    ``card.json``      what the model is, and size and SHA-256 of every file of it (`Card`)
    ``thumbnail.png``  a small picture to recognise it by, if there is one
    ``model/``         what its family wrote: ``weights.safetensors`` and the like

Cards may come from anywhere (a copied folder, a broken disk), so they are checked as strictly as a
message from a stranger. Nothing here needs torch, so that the router can list models.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from intarsia_client.errors import IntarsiaError, InvalidRequest

CARD, THUMBNAIL, CONTENT = "card.json", "thumbnail.png", "model"
CARD_LIMIT = 1 << 20
"""Bytes of a card; larger ones are refused unread."""
THUMBNAIL_LIMIT = 32 << 10
LIST_LIMIT = 128 << 10
"""Bytes of thumbnails in one list, newest models first; a reply header has little room."""
ABANDONED_S = 86400.0
"""Unfinished folders older than this are swept away."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,95}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")

_Text = Annotated[str, msgspec.Meta(max_length=300)]
_Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9_-]{0,60}[a-z0-9])?$")]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_Size = Annotated[int, msgspec.Meta(ge=0)]


class FileEntry(msgspec.Struct, frozen=True):
    """One file below ``model/``."""

    bytes: _Size
    sha256: _Hash


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored model is."""

    family: _Word
    """Which code can load it: ``"single-image"``."""
    task: _Word
    """What it was trained for: ``"harmonization"``."""
    title: _Text
    """For people: the source layer's or file's name."""
    operation: _Text = ""
    source_hash: _Text = ""
    """SHA-256 of what it was trained on."""
    settings_hash: _Text = ""
    """SHA-256 of the settings (and seed) it was trained with."""
    fingerprint: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    """What nearly the same source can be recognised by; its meaning belongs to the operation."""
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How long the training took."""
    created: float = 0.0
    """Seconds since 1970."""
    bytes: _Size = 0
    files: dict[str, FileEntry] = {}
    """By path below ``model/``, with ``/``."""

    @property
    def hash(self) -> str:
        """SHA-256 over all files' names and hashes; goes into recipes."""
        lines = [f"{name}\0{entry.sha256}\n" for name, entry in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class ModelStore:
    """The folder of models. Several processes may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``; it is made when the first model is added."""
        self._folder = folder
        self._verified: dict[str, tuple[int, ...]] = {}

    def find(self, source_hash: str, family: str, task: str, settings_hash: str) -> Path | None:
        """The folder to load a model from, or None if there is none.

        Raises:
            IntarsiaError: MODEL_LOAD_FAILED, if it is there but damaged; names the file.
        """
        model_id = identity(source_hash, family, task, settings_hash)
        if not (self._folder / model_id).exists():
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
            return _read_card(folder)
        except (OSError, ValueError) as error:
            raise _damaged(model_id, CARD, str(error)) from None

    def cards(self) -> Iterator[tuple[str, Card]]:
        """Id and card of every model whose card can be read."""
        for entry in self.list():
            if "problem" not in entry:
                yield entry["id"], self.card(entry["id"])

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
        card, content = self.card(model_id), self._existing(model_id) / CONTENT
        try:
            found = dict(_files(content))
        except (OSError, ValueError) as error:
            raise _damaged(model_id, CONTENT, str(error)) from None
        for name in sorted(set(found) ^ set(card.files)):
            reason = "is missing" if name in card.files else "does not belong to the model"
            raise _damaged(model_id, name, reason)
        for name, entry in card.files.items():
            if found[name].stat().st_size != entry.bytes:
                raise _damaged(model_id, name, f"should have {entry.bytes} bytes")
            if _sha256(found[name]) != entry.sha256:
                raise _damaged(model_id, name, "has changed since it was written")
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
            card: `Card` or its fields; size, hashes and date are filled in.
            thumbnail: A small PNG.

        Returns:
            The model's id: the same for the same source hash, family, task and settings hash. A
            model with that id is replaced.

        Raises:
            InvalidRequest: A field of the card has the wrong type, or a file a name not of ours.
            OSError: The disk is full, or the folder cannot be written.
        """
        checked = _checked(card)
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
        return model_id

    def list(self, *, thumbnails: bool = False) -> list[dict[str, Any]]:
        """Every model, newest first, as docs/wire.md lists them; a broken one has a ``problem``.

        Args:
            thumbnails: Whether to put in ``thumbnail``, PNG bytes, as far as `LIST_LIMIT` allows.
        """
        found, room = [], LIST_LIMIT if thumbnails else 0
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if _ID.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
                found.append((folder, _describe(folder)))
        found.sort(key=lambda item: item[1]["created"], reverse=True)
        for folder, entry in found:
            with contextlib.suppress(OSError):
                size = (folder / THUMBNAIL).lstat().st_size
                if size <= min(room, THUMBNAIL_LIMIT):
                    entry["thumbnail"] = (folder / THUMBNAIL).read_bytes()
                    room -= size
        return [entry for _, entry in found]

    def remove(self, model_id: str) -> int:
        """Remove a model, damaged or not; returns the bytes that are free now.

        Raises:
            InvalidRequest: There is no such model.
        """
        folder = self._existing(model_id)
        freed = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
        gone = self._folder / f".removed-{secrets.token_hex(8)}"
        os.rename(folder, gone)  # at once for everybody else
        shutil.rmtree(gone, ignore_errors=True)
        self._verified.pop(model_id, None)
        return freed

    def sweep(self) -> None:
        """Remove what additions and removals that were killed left behind."""
        for folder in self._folder.glob(".*-*") if self._folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if time.time() - folder.lstat().st_mtime > ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def _existing(self, model_id: str) -> Path:
        folder = self._folder / model_id
        if not _ID.fullmatch(model_id) or folder.is_symlink() or not folder.is_dir():
            known = [entry["id"] for entry in self.list()]
            raise InvalidRequest(
                f"There is no model {model_id[:100]!r}.",
                value=model_id[:100],
                remedy=f"There are: {', '.join(known[:20]) or 'none'}.",
                code="NOT_FOUND",
            )
        return folder

    def _put_in_place(self, fresh: Path, model_id: str) -> None:
        place, old = self._folder / model_id, self._folder / f".removed-{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(place, old)
        os.rename(fresh, place)
        _sync(self._folder)
        shutil.rmtree(old, ignore_errors=True)
        self._verified[model_id] = _stamp(place)


def identity(source_hash: str, family: str, task: str, settings_hash: str) -> str:
    """The id of the model that was made from this source with these settings."""
    text = "\0".join((source_hash, family, task, settings_hash))
    return f"{family.replace('_', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _checked(card: Card | Mapping[str, Any]) -> Card:
    fields = msgspec.structs.asdict(card) if isinstance(card, Card) else dict(card)
    title = "".join(letter for letter in str(fields.get("title", "")) if letter.isprintable())
    try:
        return msgspec.convert({**fields, "title": title[:200]}, Card)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"The model's card is wrong: {error}.",
            value=str(error),
            remedy=f"A card has: {', '.join(Card.__struct_fields__)}.",
        ) from None


def _complete(fresh: Path, card: Card, thumbnail: bytes | None) -> None:
    """Hash what was written, write card and thumbnail, and bring all of it onto the disk."""
    try:
        files = {
            name: FileEntry(path.stat().st_size, _sha256(path))
            for name, path in _files(fresh / CONTENT)
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
    whole = msgspec.structs.replace(card, created=time.time(), bytes=size, files=files)
    (fresh / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1))
    if thumbnail is not None and len(thumbnail) <= THUMBNAIL_LIMIT:
        (fresh / THUMBNAIL).write_bytes(thumbnail)
    for path in [*fresh.rglob("*"), fresh]:
        _sync(path)


def _describe(folder: Path) -> dict[str, Any]:
    try:
        card = _read_card(folder)
    except (OSError, ValueError) as error:
        card = Card(family="", task="", title="Damaged model", created=folder.stat().st_mtime)
        problem = {"problem": f"{CARD}: {error}"}
    else:
        problem = {}
    fields = msgspec.structs.asdict(card)
    del fields["files"], fields["settings_hash"], fields["fingerprint"]
    return {"id": folder.name, **fields, **problem}


def _read_card(folder: Path) -> Card:
    path = folder / CARD
    if path.is_symlink() or path.lstat().st_size > CARD_LIMIT:
        raise ValueError(f"{CARD} is a link or has more than {CARD_LIMIT} bytes")
    card = msgspec.json.decode(path.read_bytes(), type=Card)
    for name in card.files:
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise ValueError(f"the file name {name[:100]!r} is not allowed")
    if identity(card.source_hash, card.family, card.task, card.settings_hash) != folder.name:
        raise ValueError("the card belongs to another model")
    return card


def _files(content: Path) -> Iterator[tuple[str, Path]]:
    """Every file below, by name with ``/``; ValueError for links, devices and odd names."""
    for path in sorted(content.rglob("*")):
        name = path.relative_to(content).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{name!r} is not a plain file")
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise ValueError(f"the file name {name[:100]!r} is not allowed")
        if path.is_file():
            yield name, path


def _stamp(folder: Path) -> tuple[int, ...]:
    """Changes when a file is written again."""
    times = [path.lstat() for path in sorted(folder.rglob("*"))]
    return tuple(value for info in times for value in (info.st_mtime_ns, info.st_size, info.st_ino))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot, and renames are journalled there
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(model_id: str, name: str, reason: str) -> IntarsiaError:
    return IntarsiaError(
        f"The model {model_id} is damaged: {name} {reason}.",
        value=model_id,
        remedy="Remove the model; it is made anew when it is needed again.",
        action={"label": "Remove the damaged model", "do": "remove", "model": model_id},
        code="MODEL_LOAD_FAILED",
    )
