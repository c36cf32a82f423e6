"""Whole pictures that an operation looks at: given as layers or files, or lying in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Folder, Input
from intarsia_daemon.picture_folders import files_of, read_picture
from intarsia_daemon.pixels import Picture

PICTURES = Input(
    "pictures",
    "templates",
    "Pictures",
    "Whole pictures: the layers of a group, or files; without them those of the folder below.",
    required=False,
)
FOLDER = Folder("folder", "From a folder", "A folder with pictures, where none are given above.")


@dataclass(frozen=True)
class PictureSources:
    """Pictures by number, read when they are needed."""

    names: list[str]
    """For people; of files, their paths below the folder."""
    folder: Path | None
    """None: they were given."""
    _given: Sequence[Picture]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def corner(self) -> tuple[int, int]:
        """(x, y) of the upper left corner of all that were given; the canvas's of a folder."""
        left, top = (min((getattr(p, axis) for p in self._given), default=0) for axis in ("x", "y"))
        return left, top

    def read(self, index: int) -> Picture:
        """The picture of that number.

        Raises:
            FileRejected: It cannot be read.
        """
        if self.folder is None:
            return self._given[index]
        return read_picture(self.folder / self.names[index]).picture


def picture_sources(pictures: Sequence[Picture], folder: str) -> PictureSources:
    """What an operation with `PICTURES` and `FOLDER` was given.

    Raises:
        InvalidRequest: Neither pictures nor a folder of them.
    """
    if pictures:
        names = [p.name or f"picture {number}" for number, p in enumerate(pictures, 1)]
        return PictureSources(names, None, pictures)
    if not folder:
        raise InvalidRequest(
            "No pictures were given.",
            value="",
            remedy="Choose a group of layers with a picture each, or a folder with pictures.",
        )
    place, names = files_of(folder, FOLDER.label)
    return PictureSources(names, place, ())
