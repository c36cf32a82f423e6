"""``ROLE[:NAME]=FILE[#LAYER]``: what is wished on the command line or in a batch's recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.documents.formats import SUFFIXES

BELOW = "below:"
"""``FILE#below:LAYER`` is everything visible under that layer."""


@dataclass(frozen=True)
class Wish:
    """One ``--input``: which input, which file, which layer of it."""

    input: str
    path: Path
    layer: str = ""
    place: tuple[int, int] | None = None
    """Where its left upper corner goes on the canvas; None leaves it where it is."""
    name: str = ""
    """What it is called, e.g. the name of one of several areas; empty takes the layer's."""

    @property
    def key(self) -> str:
        """``ROLE`` or ``ROLE:NAME``, as written on the command line."""
        return f"{self.input}:{self.name}" if self.name else self.input


def parse_wish(text: str) -> Wish:
    """Read ``ROLE[:NAME]=FILE[#LAYER]``; a ``#`` of an existing file's own name is left alone.

    Raises:
        InvalidRequest: There is no ``=``, no role or no file.
    """
    name, equals, rest = text.partition("=")
    if not (equals and name.strip() and rest):
        raise InvalidRequest(
            f"--input {text!r} is not of the form ROLE=FILE[#LAYER].",
            value=text,
            remedy='For example: --input picture=photo.png --input "element=drawing.ora#Cat".',
        )
    path, layer = split_layer(rest)
    return wish_of(name, path, layer)


def wish_of(key: str, path: Path, layer: str) -> Wish:
    """A wish for ``ROLE`` or ``ROLE:NAME``."""
    role, _, name = key.partition(":")
    return Wish(role.strip(), path, layer, name=name.strip())


def split_layer(text: str) -> tuple[Path, str]:
    """``FILE#LAYER`` as a path and a layer's name (empty: none)."""
    path, layer = text, ""
    while not Path(path).exists() and "#" in path:
        path, _, last = path.rpartition("#")
        layer = f"{last}#{layer}" if layer else last
    if not Path(path).exists():  # the file is missing: name the likelier part of the text
        path, _, layer = text.partition("#")
    return Path(path), layer


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name.

    Raises:
        InvalidRequest: There are none.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InvalidRequest(
            f"The folder {folder} holds no pictures.",
            value=str(folder),
            remedy="Name a folder with PNG, JPEG, TIFF, WebP or layered files.",
        )
    return files
