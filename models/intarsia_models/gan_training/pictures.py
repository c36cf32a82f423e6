"""Labelled pictures from a folder or a zip file, small and in memory.

A folder holds one sub-folder per class, or just pictures (then there are no classes). Where it has
a ``labels.csv`` with the columns ``path`` and ``label``, that table counts; its columns ``split``
and ``purity``, where there are any, choose among the pictures. In class names ``_`` is read as a
space.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from intarsia_models.errors import UnsuitablePicture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
TABLE = "labels.csv"
LEAST_PICTURES = 8
"""Fewer cannot teach a generator anything but themselves."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures of one size with their classes."""

    pixels: Tensor
    """(N, 3, S, S) uint8."""
    y: Tensor
    """(N,) int64 class ids; all 0 without classes."""
    labels: tuple[str, ...]
    """Class names by id; empty: no classes."""
    names: tuple[str, ...]
    """Where each picture was in its folder."""

    @property
    def num_classes(self) -> int:
        """0 without classes."""
        return len(self.labels)

    def __len__(self) -> int:
        return len(self.pixels)

    def fingerprint(self) -> str:
        """SHA-256 of pixels and classes: which data a checkpoint belongs to."""
        digest = hashlib.sha256("\n".join(self.labels).encode())
        digest.update(self.y.numpy().tobytes())
        digest.update(self.pixels.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Entry:
    name: str
    label: str


def read_pictures(
    place: str | Path,
    size: int,
    *,
    classes: Sequence[str] = (),
    split: str = "train",
    least_purity: float = 0.0,
    tick: Callable[[], None] | None = None,
) -> PictureSet:
    """Read pictures, cut to the middle square and resized (Lanczos).

    Args:
        place: A folder, or a zip file of one.
        size: Side in pixels.
        classes: Only these, in this order; empty: all, in alphabetical order.
        split: Rows of a ``labels.csv`` with another split are left out; "" takes all.
        least_purity: Rows with a lower purity are left out.
        tick: Called for every picture; may raise to stop.

    Raises:
        UnsuitablePicture: There is no folder, there are no or too few pictures, a class has none,
            or a picture cannot be read.
    """
    place = Path(place)
    with _opened(place) as (names, read):
        entries = _entries(place, names, read, split, least_purity)
        labels = _labels(place, entries, classes)
        chosen = [entry for entry in entries if not labels or entry.label in labels]
        if len(chosen) < LEAST_PICTURES:
            raise UnsuitablePicture(
                f"{place} holds {len(chosen)} picture{'s' * (len(chosen) != 1)} to learn from; at "
                f"least {LEAST_PICTURES} are needed.",
                "Add pictures; some hundred per class give good results.",
            )
        pixels = torch.empty(len(chosen), 3, size, size, dtype=torch.uint8)
        for index, entry in enumerate(chosen):
            if tick is not None:
                tick()
            pixels[index] = _picture(place, entry.name, read(entry.name), size)
    y = torch.tensor([labels.index(entry.label) if labels else 0 for entry in chosen])
    return PictureSet(pixels, y, labels, tuple(entry.name for entry in chosen))


@contextmanager
def _opened(place: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """Names of all files, with forward slashes, and a reader of one."""
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file())
        names = [path.relative_to(place).as_posix() for path in files]
        yield names, lambda name: (place / name).read_bytes()
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            yield sorted(archive.namelist()), archive.read
    else:
        raise UnsuitablePicture(
            f"There is no folder {place}.",
            "Name a folder with one sub-folder of pictures per class, or with pictures.",
        )


def _entries(
    place: Path,
    names: Sequence[str],
    read: Callable[[str], bytes],
    split: str,
    least_purity: float,
) -> list[_Entry]:
    pictures = [name for name in names if _is_picture(name)]
    if TABLE in names:
        table = io.StringIO(read(TABLE).decode("utf-8-sig"))
        return list(_listed(place, csv.DictReader(table), set(pictures), split, least_purity))
    if not pictures:
        raise UnsuitablePicture(
            f"{place} holds no pictures.",
            f"Put pictures into one sub-folder per class ({', '.join(sorted(SUFFIXES))}).",
        )
    parents = [PurePosixPath(name).parent.as_posix() for name in pictures]
    if set(parents) == {"."}:
        return [_Entry(name, "") for name in pictures]
    if "." in parents:
        loose = pictures[parents.index(".")]
        raise UnsuitablePicture(
            f"{place} holds sub-folders and pictures beside them, for example {loose}.",
            "Move every picture into the folder of its class.",
        )
    _check_empty_folders(place, parents)
    return [
        _Entry(n, _words(PurePosixPath(p).name)) for n, p in zip(pictures, parents, strict=True)
    ]


def _check_empty_folders(place: Path, parents: Sequence[str]) -> None:
    if not place.is_dir():
        return
    used = {PurePosixPath(parent).parts[0] for parent in parents}
    for folder in sorted(path for path in place.iterdir() if path.is_dir()):
        if folder.name not in used and not folder.name.startswith("."):
            raise UnsuitablePicture(
                f"The class folder {folder.name} in {place} holds no pictures.",
                "Put pictures into it, or remove it.",
            )


def _listed(
    place: Path,
    rows: csv.DictReader[str],
    pictures: set[str],
    split: str,
    least_purity: float,
) -> Iterator[_Entry]:
    if not {"path", "label"} <= set(rows.fieldnames or ()):
        raise UnsuitablePicture(
            f"{TABLE} in {place} has the columns {rows.fieldnames}.",
            "It needs the columns path and label.",
        )
    for row in rows:
        if split and row.get("split", split) != split:
            continue
        if float(row.get("purity") or 1.0) < least_purity:
            continue
        if row["path"] not in pictures:
            raise UnsuitablePicture(
                f"{TABLE} in {place} names {row['path']}, which is not there.",
                "Correct the table, or remove it to use the folders.",
            )
        yield _Entry(row["path"], _words(row["label"]))


def _labels(place: Path, entries: Sequence[_Entry], classes: Sequence[str]) -> tuple[str, ...]:
    found = sorted({entry.label for entry in entries} - {""})
    wanted = tuple(_words(name) for name in classes)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UnsuitablePicture(
            f"{place} has no pictures of the class {missing[0]!r}.",
            f"There are: {', '.join(found) or 'no classes'}.",
        )
    return wanted or tuple(found)


def _words(name: str) -> str:
    """A folder's name as people read it."""
    return " ".join(name.replace("_", " ").split())


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in path.parts)


def _picture(place: Path, name: str, data: bytes, size: int) -> Tensor:
    """(3, size, size) uint8."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnsuitablePicture(
            f"{place / name} cannot be read as a picture ({error}).",
            "Remove the file, or save it again as PNG or JPEG.",
        ) from error
    grey = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    picture = Image.alpha_composite(grey, picture).convert("RGB")
    picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def class_counts(pictures: PictureSet) -> Mapping[str, int]:
    """Pictures per class name."""
    counts = torch.bincount(pictures.y, minlength=max(1, pictures.num_classes)).tolist()
    return dict(zip(pictures.labels or ("",), counts, strict=True))
