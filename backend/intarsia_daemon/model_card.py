"""What a stored model is: its card, checked as strictly as a message from a stranger.

Cards may come from anywhere: a copied folder, a broken disk, somebody's download.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from intarsia_client.errors import InvalidRequest

CARD = "card.json"
CARD_LIMIT = 1 << 20
"""Bytes of a card; larger ones are refused unread."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")

_Text = Annotated[str, msgspec.Meta(max_length=300)]
_Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9_-]{0,60}[a-z0-9])?$")]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_Licence = Annotated[str, msgspec.Meta(max_length=2000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class FileEntry(msgspec.Struct, frozen=True):
    """One file below ``model/``."""

    bytes: _Size
    sha256: _Hash


class GeneratorFacts(msgspec.Struct, frozen=True):
    """What is read here of a generator's own card, ``model/card.json``."""

    labels: Annotated[list[_Text], msgspec.Meta(max_length=1 << 20)] = []
    capabilities: Annotated[tuple[_Word, ...], msgspec.Meta(max_length=32)] = ()
    resolution: _Count = 0
    num_classes: _Count = 0
    licence: _Licence = ""
    companions: Annotated[tuple[_Word, ...], msgspec.Meta(max_length=32)] = ()
    """Its further networks: ``"discriminator"``, ``"regressor"``, …"""
    settings: dict[str, Any] = {}
    """What it is built from; ``settings["regressor"]`` is that of its masked regressor."""
    sample: dict[str, Any] = {}
    """What `intarsia_models.generators.loading.verify_generator` recomputes."""

    @property
    def regressor(self) -> str:
        """Its masked regressor in a line; empty without one."""
        about = self.settings.get("regressor")
        if not isinstance(about, dict):
            return ""
        size = f"ResNet-{about.get('depth')}, width {about.get('width')}"
        found = "z" if about.get("latent") == "z" else f"{about.get('vectors')} styles"
        sees = f"known area {about.get('mask_encoding')}" if about.get("sees_known") else "no holes"
        return f"{size}, finds {found} of {about.get('dims')} numbers, {sees}"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored model is."""

    family: _Word
    """Which code can load it: ``"single-image"``."""
    task: _Word
    """What it was trained for: ``"harmonization"``."""
    title: _Text
    """For people: the source layer's or file's name."""
    detail: _Text = ""
    """For people: what it is among others of its name: ``"draft, 160 px"``."""
    operation: _Text = ""
    source_hash: _Text = ""
    """SHA-256 of what it was trained on."""
    settings_hash: _Text = ""
    """SHA-256 of the settings (and seed) it was trained with."""
    fingerprint: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    """What nearly the same source can be recognised by; its meaning belongs to the operation."""
    seconds: _Seconds = 0.0
    """How long the training took."""
    capabilities: Annotated[tuple[_Word, ...], msgspec.Meta(max_length=32)] = ()
    """Of a generator: what it can be asked for, e.g. ``"classes"``, ``"w_plus"``."""
    resolution: _Count = 0
    """Of a generator: pixels a side of its pictures; 0 for other models."""
    num_classes: _Count = 0
    """Of a generator: how many classes it knows; their names lie in ``model/card.json``."""
    label_count: _Count = 0
    """How many of the classes have a name: all or none."""
    licence: _Licence = ""
    """What the user should know about the licence of the weights; empty for models trained here."""
    created: _Seconds = 0.0
    """Seconds since 1970."""
    bytes: _Size = 0
    files: dict[str, FileEntry] = {}
    """By path below ``model/``, with ``/``."""

    @property
    def hash(self) -> str:
        """SHA-256 over all files' names and hashes; goes into recipes."""
        lines = [f"{name}\0{entry.sha256}\n" for name, entry in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def identity(source_hash: str, family: str, task: str, settings_hash: str) -> str:
    """The id of the model that was made from this source with these settings."""
    text = "\0".join((source_hash, family, task, settings_hash))
    return f"{family.replace('_', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def checked_card(card: Card | Mapping[str, Any]) -> Card:
    """A card of ours from its fields; the title is made printable.

    Raises:
        InvalidRequest: A field is missing, has the wrong type or is too long.
    """
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


def read_card(folder: Path) -> Card:
    """The card of the model in this folder of a store.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not one of ours, or belongs to another model.
    """
    card = any_card(folder)
    if identity(card.source_hash, card.family, card.task, card.settings_hash) != folder.name:
        raise ValueError("the card belongs to another model")
    return card


def any_card(folder: Path) -> Card:
    """The card of a model's folder of whatever name.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not one of ours.
    """
    path = folder / CARD
    if path.is_symlink() or path.lstat().st_size > CARD_LIMIT:
        raise ValueError(f"{CARD} is a link or has more than {CARD_LIMIT} bytes")
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card)
    except RecursionError:
        raise ValueError(f"{CARD} is nested too deeply") from None
    for name in card.files:
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise ValueError(f"the file name {name[:100]!r} is not allowed")
    return card


def generator_facts(content: Path) -> GeneratorFacts:
    """What a generator's own card says; nothing for models that are no generators.

    Args:
        content: The model's folder, ``<id>/model``.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not one of ours.
    """
    path = content / CARD
    if not path.exists():
        return GeneratorFacts()
    if path.is_symlink() or path.lstat().st_size > CARD_LIMIT:
        raise ValueError(f"it is a link or has more than {CARD_LIMIT} bytes")
    try:
        return msgspec.json.decode(path.read_bytes(), type=GeneratorFacts)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def plain_files(content: Path) -> Iterator[tuple[str, Path]]:
    """Every file below, by name with ``/``.

    Raises:
        ValueError: There is a link or a device, or a name with odd letters.
    """
    if content.is_symlink():
        raise ValueError("the folder is a link")
    for path in sorted(content.rglob("*")):
        name = path.relative_to(content).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{name!r} is not a plain file")
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise ValueError(f"the file name {name[:100]!r} is not allowed")
        if path.is_file():
            yield name, path


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
