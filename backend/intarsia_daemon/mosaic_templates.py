"""The artist's own pictures that a mosaic is made of: layers, or the pictures of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Folder, Input, Scalar
from intarsia_daemon.picture_folders import files_of, read_picture
from intarsia_daemon.pixels import FULL, Picture, dtype_name
from intarsia_models.mosaic.templates import OPAQUE, PictureSource

MOST_PICTURES = 1000
MOST_PIXELS = 100 << 20
"""Of all templates of a folder together; each gets an equal part of it."""
LEAST_SIDE = 8
NAMED = 4
"""Templates that a sentence names at most."""

LAYERS = Input(
    "templates",
    "templates",
    "Templates",
    "The pictures that the mosaic is made of: the layers of a group, or chosen layers; or name a "
    "folder below.",
    required=False,
)
FOLDER = Folder(
    "pictures",
    "Templates folder",
    "A folder with the pictures that the mosaic is made of, where no layers are chosen for it.",
)
SCALE = Scalar(
    "scale",
    "Template size",
    "At which size the templates are used.",
    10.0,
    400.0,
    100.0,
    unit="%",
    step=5.0,
)


@dataclass(frozen=True, eq=False)
class Templates:
    """What a mosaic is made of."""

    source: PictureSource
    notes: list[str] = field(default_factory=list)
    """Sentences for the artist."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pixels, at whatever size they are used."""
        return PictureSource(self.source.pictures, names=self.source.names).fingerprint()

    @property
    def title(self) -> str:
        """A few of their names."""
        names = list(dict.fromkeys(self.source.names))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more


def gathered_templates(
    layers: Sequence[Picture],
    folder: str,
    scale: float,
    *,
    most_pixels: int = MOST_PIXELS,
    tick: Callable[[], None] | None = None,
) -> Templates:
    """Bring the templates together.

    Args:
        layers: Chosen layers; they count where there are some.
        folder: A path, for where there are none.
        scale: Of `SCALE`, in percent.
        most_pixels: Of all pictures of the folder together; larger ones are reduced.
        tick: Called for every picture; may raise to stop.

    Raises:
        InvalidRequest: There are no templates, or none shows anything.
        FileRejected: A file of the folder cannot be read.
    """
    notes: list[str] = []
    if layers:
        named = [(item.name or f"Template {n}", item) for n, item in enumerate(layers, 1)]
        if folder:
            notes.append("The layers are the templates; the templates folder was not used.")
        read = [(name, _bytes_of(item)) for name, item in named]
        shown = [(name, array) for name, array in read if array is not None]
        left_out = [name for name, array in read if array is None]
    elif folder:
        shown, left_out = _read_folder(folder, notes, most_pixels, tick)
    else:
        raise InvalidRequest(
            "The mosaic has no templates: neither layers nor a folder with pictures.",
            value=0,
            remedy="Choose a group of layers, or name a templates folder.",
        )
    if not shown:
        raise InvalidRequest(
            f"No template shows anything: {_listed(left_out)}.",
            value=left_out[:NAMED],
            remedy=f"A template needs visible pixels, {LEAST_SIDE} a side at least.",
        )
    if left_out:
        notes.append(
            f"Left out, with fewer than {LEAST_SIDE} x {LEAST_SIDE} visible pixels: "
            f"{_listed(left_out)}."
        )
    names, arrays = zip(*shown, strict=True)
    return Templates(PictureSource.from_arrays(arrays, names=names, scale=scale / 100), notes)


def pictures_of_folder(
    folder: str, what: str, *, most: int, tick: Callable[[], None] | None = None
) -> PictureSource:
    """Some pictures of a folder, as contents to learn from.

    Args:
        folder: A path.
        what: What the artist calls the parameter.
        most: How many at most, spread evenly over all there are.
        tick: As for `gathered_templates`.

    Raises:
        InvalidRequest: There is no such folder, or no picture in it that shows anything.
        FileRejected: A file of the folder cannot be read.
    """
    place, names = files_of(folder, what)
    chosen = [names[round(i)] for i in np.linspace(0, len(names) - 1, min(most, len(names)))]
    found, _ = _read(place, chosen, [], MOST_PIXELS, tick)
    if not found:
        raise InvalidRequest(
            f"{what}: no picture in {place} shows anything.",
            value=folder,
            remedy=f"A picture needs visible pixels, {LEAST_SIDE} a side at least.",
        )
    shown_names, arrays = zip(*found, strict=True)
    return PictureSource.from_arrays(arrays, names=shown_names)


def byte_colours(picture: Picture) -> np.ndarray:
    """(H, W, 4) u8 of a picture of any sample type."""
    array = picture.array
    kind = dtype_name(array)
    if kind == "u8":
        return np.ascontiguousarray(array)
    if kind == "f32" and not np.isfinite(array).all():
        raise InvalidRequest(
            f"The layer {picture.name!r} holds values that are not numbers (nan or infinity).",
            value=picture.name,
            remedy="Convert the layer to 16-bit integer, or repair those pixels, and run again.",
        )
    unit = np.clip(np.asarray(array, np.float32) * np.float32(255 / FULL[kind]), 0, 255)
    return np.rint(unit).astype(np.uint8)


def _bytes_of(picture: Picture) -> np.ndarray | None:
    """As u8, cut to what is visible; None where that is nothing."""
    array = byte_colours(picture)
    there = array[..., 3] >= OPAQUE
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if not rows.size:
        return None
    array = array[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return array if min(array.shape[:2]) >= LEAST_SIDE else None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _read_folder(
    folder: str, notes: list[str], most_pixels: int, tick: Callable[[], None] | None
) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Names and arrays, and the names of those that show nothing."""
    place, names = files_of(folder, FOLDER.label)
    if len(names) > MOST_PICTURES:
        raise InvalidRequest(
            f"The templates folder holds {len(names)} pictures; {MOST_PICTURES} can be used.",
            value=len(names),
            remedy="Choose a folder with fewer pictures.",
        )
    return _read(place, names, notes, most_pixels, tick)


def _read(
    place: Path,
    names: Sequence[str],
    notes: list[str],
    most_pixels: int,
    tick: Callable[[], None] | None,
) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    most = max(LEAST_SIDE**2, most_pixels // len(names))
    found, left_out, reduced = [], [], 0
    for name in names:
        if tick is not None:
            tick()
        array = _bytes_of(read_picture(place / name).picture)
        if array is None:
            left_out.append(name)
            continue
        height, width = array.shape[:2]
        if height * width > most:
            factor = (most / (height * width)) ** 0.5
            size = max(LEAST_SIDE, round(width * factor)), max(LEAST_SIDE, round(height * factor))
            array = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
            reduced += 1
        found.append((Path(name).stem, array))
    if reduced:
        side = round(most**0.5)
        were = "picture was" if reduced == 1 else "pictures were"
        notes.append(
            f"{reduced} {were} reduced to about {side} x {side} pixels: the more templates, the "
            "less room each has."
        )
    return found, left_out
