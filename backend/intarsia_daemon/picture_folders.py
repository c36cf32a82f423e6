"""Pictures of a folder, read at their own size and written back as they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.documents import limits, pictures
from intarsia_daemon.documents.color_profile import ColorProfile, ProfileError
from intarsia_daemon.documents.limits import FileRejected, reject
from intarsia_daemon.pixels import Picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, eq=False)
class ReadPicture:
    """A picture and what is needed to write it back in its own colours."""

    picture: Picture
    """sRGB."""
    icc: bytes | None = None
    """The profile of its file, kept in what is written."""
    profile: ColorProfile | None = None
    """Converts back; None where that changes nothing."""

    def png(self, array: np.ndarray) -> bytes:
        """A PNG of (H, W, 4) sRGB pixels in the file's own colours; floats get 16 bits."""
        if self.profile is not None:
            array = self.profile.from_srgb(array)
        if array.dtype == np.float32:
            array = np.rint(array.clip(0, 1) * 65535).astype(np.uint16)
        return pictures.encode_png(array, self.icc)


def files_of(folder: str, what: str) -> tuple[Path, list[str]]:
    """The pictures of a folder and of the folders in it.

    Args:
        folder: A path.
        what: What the artist calls the parameter.

    Returns:
        The folder, and the files' paths below it with ``/``, sorted; hidden ones are left out.

    Raises:
        InvalidRequest: None was named, it is not there, or it holds no pictures.
    """
    place = Path(folder)
    if not folder or not place.is_dir():
        raise InvalidRequest(
            f"{what}: {place} is no folder." if folder else f"{what}: no folder was named.",
            value=folder,
            remedy="Choose a folder with pictures.",
        )
    found = [path.relative_to(place) for path in place.rglob("*") if path.is_file()]
    names = [
        path.as_posix()
        for path in found
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)
    ]
    if not names:
        raise InvalidRequest(
            f"{what}: the folder {place} holds no pictures.",
            value=folder,
            remedy=f"Choose a folder with pictures ({', '.join(sorted(SUFFIXES))}).",
        )
    return place, sorted(names)


def read_picture(path: Path) -> ReadPicture:
    """Read one file.

    Raises:
        FileRejected: It is broken, or too large; the sentence begins with its name.
    """
    try:
        size = path.stat().st_size
        if size > limits.FILE_BYTES:
            raise reject(f"The file has {size // 2**20} MiB; that is too much.", value=size)
        decoded = pictures.decode(path.read_bytes())
    except OSError as error:
        raise FileRejected(
            f"{path.name}: It cannot be opened ({error.strerror or error}).",
            value=str(path),
            remedy="Check its permissions.",
        ) from None
    except FileRejected as error:
        raise FileRejected(
            f"{path.name}: {error.what}", value=error.value, remedy=error.remedy
        ) from None
    return _in_srgb(decoded, path.stem)


def _in_srgb(decoded: pictures.Picture, name: str) -> ReadPicture:
    found = ReadPicture(Picture(decoded.array, name=name), decoded.icc)
    if decoded.icc is None:
        return found
    try:
        profile = ColorProfile(decoded.icc)
    except ProfileError:  # read as sRGB, as everywhere
        return replace(found, icc=None)
    if profile.is_srgb:
        return found
    converted = Picture(profile.to_srgb(decoded.array), name=name)
    if profile.space == "GRAY":
        return ReadPicture(converted)
    return ReadPicture(converted, decoded.icc, profile)


def results_folder(folder: str, inputs: Path | None, what: str) -> Path:
    """Where results go; made where it is missing.

    Args:
        folder: A path.
        inputs: The folder that is read; None: none is.
        what: What the artist calls the parameter.

    Raises:
        InvalidRequest: None was named, it cannot be made, or is the folder that is read, or in it.
    """
    place = Path(folder)
    if not folder:
        raise InvalidRequest(
            f"{what}: no folder was named.", value="", remedy="Choose a folder for the results."
        )
    if inputs is not None and place.resolve().is_relative_to(inputs.resolve()):
        raise InvalidRequest(
            f"{what}: {place} lies in the folder that is read.",
            value=folder,
            remedy="Choose a folder elsewhere: no picture of yours is ever overwritten.",
        )
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidRequest(
            f"{what}: {place} cannot be made ({error.strerror or error}).",
            value=folder,
            remedy="Choose a folder that you may write to.",
        ) from None
    return place


def check_free(place: Path, names: Sequence[str], what: str) -> None:
    """Refuse to write where files are.

    Args:
        place: The results' folder.
        names: What would be written there.
        what: What the artist calls the parameter.

    Raises:
        InvalidRequest: Some of them are there.
    """
    there = [name for name in names if (place / name).exists()]
    if there:
        shown = ", ".join(there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
        raise InvalidRequest(
            f"{what}: {place} already holds {shown}, made otherwise or by somebody else.",
            value=there[0],
            remedy="Choose an empty folder, or the same settings to go on where they stopped: "
            "files that are there are never overwritten.",
        )
