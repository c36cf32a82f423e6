"""The artist's pictures as templates: patches to train on, and endless canvases to compose from.

For a seamless mosaic of any size every template must cover all of it. A `TemplateCanvas` is a
picture that goes on for ever, mirrored or repeated, from a random offset (Jetchev et al. 2018,
arXiv:1811.09236, whose public code makes such canvases); only the picture itself is kept, and areas
of the canvas are made when they are asked for.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.gan_training.pictures import SUFFIXES
from intarsia_models.mosaic.training_settings import TILINGS, Tiling

SCALE_STEPS = 4
"""Scales between one and its double are rounded to so many, so that pictures are resized once."""
LEAST_SIDE = 4
LEAST_PART = 0.72
"""Of a picture's side, where only a part of it is repeated."""
OPAQUE = 128
"""Alpha from which a pixel belongs to a template."""
Scales = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class TemplateCanvas:
    """A picture without an end."""

    pixels: Tensor
    """(3, h, w) uint8, at the size at which it is used."""
    top: int
    left: int
    """The canvas's corner pixel in the picture."""
    flipped: bool
    tiling: Tiling
    index: int
    """Of the picture in its source."""
    name: str
    scale: float
    part: tuple[int, int] = (0, 0)
    """(top, left) of what is repeated, in the picture."""

    def area(self, top: int, left: int, height: int, width: int) -> Tensor:
        """(3, height, width) float32 in [-1, 1]; any place, also left of or above the corner."""
        return self.levels(top, left, height, width).float() / 127.5 - 1.0

    def levels(self, top: int, left: int, height: int, width: int) -> Tensor:
        """`area` as (3, height, width) uint8."""
        sides = self.pixels.shape[1:]
        first = (top + self.top, left + self.left)
        inside = all(
            0 <= at <= side - length
            for at, length, side in zip(first, (height, width), sides, strict=True)
        )
        if inside and not self.flipped:
            return self.pixels[:, first[0] : first[0] + height, first[1] : first[1] + width]
        rows, columns = self.places(top, left, height, width)
        return self.pixels[:, rows[:, None], columns]

    def places(self, top: int, left: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Rows (height,) and columns (width,) of the picture that are an area of the canvas."""
        rows = self._places(torch.arange(height) + top + self.top, self.pixels.shape[1])
        columns = self._places(torch.arange(width) + left + self.left, self.pixels.shape[2])
        return rows, self.pixels.shape[2] - 1 - columns if self.flipped else columns

    def to_card(self) -> dict[str, Any]:
        """Plain JSON values: which picture, from where."""
        return {
            "index": self.index,
            "name": self.name,
            "top": self.top,
            "left": self.left,
            "flipped": self.flipped,
            "tiling": self.tiling,
            "scale": self.scale,
            "part": list(self.part),
            "sides": list(self.pixels.shape[1:]),
        }

    def _places(self, at: Tensor, size: int) -> Tensor:
        if self.tiling == "wrap":
            return at.remainder(size)
        at = at.remainder(2 * size)
        return torch.minimum(at, 2 * size - 1 - at)


def stacked(
    canvases: Sequence[TemplateCanvas], top: int, left: int, height: int, width: int
) -> Tensor:
    """(1, K, 3, height, width) float32 in [-1, 1]: the same area of every canvas."""
    return torch.stack([canvas.area(top, left, height, width) for canvas in canvases])[None]


class PictureSource:
    """Some pictures, as templates or as contents."""

    def __init__(
        self,
        pictures: Sequence[Tensor],
        *,
        names: Sequence[str] = (),
        scale: float = 1.0,
        tiling: Tiling = "mirror",
    ) -> None:
        """Keep pictures.

        Args:
            pictures: (3, h, w) uint8 each, of any sizes.
            names: For people; none: numbers.
            scale: They are used at this size.
            tiling: How a picture goes on beyond its border: "mirror" has no seams, "wrap" is for
                pictures that repeat.

        Raises:
            UnsuitablePicture: There are none, or one is too small to be a template.
            ValueError: ``tiling`` or ``scale`` is none, or the names are too few.
        """
        if tiling not in TILINGS:
            raise ValueError(f"tiling must be one of {list(TILINGS)}, got {tiling!r}.")
        if not 0.01 <= scale <= 8.0:
            raise ValueError(f"scale must lie in [0.01, 8], got {scale}.")
        if not pictures:
            raise UnsuitablePicture("There are no pictures.", "Give at least one.")
        self.pictures = list(pictures)
        self.names = tuple(names) or tuple(str(n + 1) for n in range(len(pictures)))
        if len(self.names) != len(self.pictures):
            raise ValueError(f"{len(self.pictures)} pictures have {len(self.names)} names.")
        for name, picture in zip(self.names, self.pictures, strict=True):
            if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] != 3:
                raise ValueError(
                    f"A picture must be (3, h, w) uint8, got {tuple(picture.shape)} {picture.dtype}"
                )
            if min(picture.shape[1:]) < LEAST_SIDE:
                raise UnsuitablePicture(
                    f"The picture {name} is {picture.shape[2]} x {picture.shape[1]} pixels.",
                    f"Each side needs {LEAST_SIDE} at least.",
                )
        self.scale = scale
        self.tiling: Tiling = tiling
        self._resized: dict[tuple[int, float], Tensor] = {}

    @classmethod
    def from_arrays(
        cls,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        names: Sequence[str] = (),
        scale: float = 1.0,
        tiling: Tiling = "mirror",
    ) -> PictureSource:
        """From (h, w, 3) or (h, w, 4) uint8 arrays with straight alpha.

        Where a picture is transparent, it takes the colour of the nearest opaque pixel; wholly
        transparent rows and columns at its borders are cut off.

        Raises:
            UnsuitablePicture: See the class; also for a picture that is wholly transparent.
        """
        tensors = [opaque(picture, str(n + 1)) for n, picture in enumerate(pictures)]
        return cls(tensors, names=names, scale=scale, tiling=tiling)

    @classmethod
    def from_folder(
        cls,
        place: str | Path,
        *,
        scale: float = 1.0,
        tiling: Tiling = "mirror",
        largest_side: int = 4096,
        tick: Callable[[], None] | None = None,
    ) -> PictureSource:
        """From all pictures of a folder, or of a zip file of one, and of the folders in it.

        Args:
            place: The folder.
            scale: See the class.
            tiling: See the class.
            largest_side: Larger pictures are reduced to this.
            tick: Called for every picture; may raise to stop.

        Raises:
            UnsuitablePicture: There is no such folder or no picture in it, or one cannot be read.
        """
        names, pictures = [], []
        for name, data in _files(Path(place)):
            if tick is not None:
                tick()
            names.append(name)
            pictures.append(_read(Path(place), name, data, largest_side))
        if not names:
            raise UnsuitablePicture(
                f"{place} holds no pictures.", f"Put some into it ({', '.join(sorted(SUFFIXES))})."
            )
        return cls.from_arrays(pictures, names=names, scale=scale, tiling=tiling)

    @classmethod
    def from_file(
        cls, file: str | Path, *, scale: float = 1.0, largest_side: int = 4096
    ) -> PictureSource:
        """From one picture; see `from_folder`.

        Raises:
            UnsuitablePicture: It cannot be read.
        """
        path = Path(file)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UnsuitablePicture(f"{path} cannot be read ({error}).", "Name a file.") from error
        picture = _read(path.parent, path.name, data, largest_side)
        return cls.from_arrays([picture], names=[path.name], scale=scale)

    def __len__(self) -> int:
        return len(self.pictures)

    def fingerprint(self) -> str:
        """SHA-256 of the pixels and of how they are used."""
        digest = hashlib.sha256(f"{self.scale:g} {self.tiling}".encode())
        for picture in self.pictures:
            digest.update(str(tuple(picture.shape)).encode())
            digest.update(picture.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def crops(
        self,
        count: int,
        size: int,
        source: torch.Generator,
        *,
        scales: Scales = (1.0, 1.0),
        flips: str = "none",
    ) -> Tensor:
        """Random patches, every pixel of every picture about equally likely.

        Args:
            count: How many.
            size: Their side.
            source: Random numbers, on the CPU.
            scales: Least and greatest size, on top of the source's own.
            flips: "none", "horizontal" or "both".

        Returns:
            (count, 3, size, size) uint8. Pictures smaller than the patch go on beyond their
            borders.
        """
        areas = torch.tensor([float(p.shape[1] * p.shape[2]) for p in self.pictures])
        chosen = torch.multinomial(areas.sqrt(), count, replacement=True, generator=source)
        made = []
        for index in chosen.tolist():
            pixels, _ = self._at_scale(index, scales, source)
            corner = [_corner(side, size, source) for side in pixels.shape[1:]]
            canvas = TemplateCanvas(
                pixels, corner[0], corner[1], False, self.tiling, index, self.names[index], 1.0
            )
            patch = canvas.levels(0, 0, size, size)
            turned = (torch.rand(2, generator=source) < 0.5).tolist()
            if turned[0] and flips != "none":
                patch = patch.flip(-1)
            if turned[1] and flips == "both":
                patch = patch.flip(-2)
            made.append(patch)
        return torch.stack(made)

    def canvases(
        self,
        count: int,
        seed: int,
        *,
        scales: Scales = (1.0, 1.0),
        flips: bool = False,
        size: tuple[int, int] | None = None,
    ) -> list[TemplateCanvas]:
        """Canvases to compose a mosaic of; every picture comes once before one comes twice.

        Args:
            count: K.
            seed: Of the choice, the offsets and the scales.
            scales: See `crops`.
            flips: Whether some are mirrored.
            size: (height, width) of the mosaic: of a picture that would repeat within it, a part of
                random size is taken. Pictures of one size would else all repeat in step, and the
                mosaic with them. None: pictures are taken whole.
        """
        source = torch.Generator().manual_seed(seed)
        order: list[int] = []
        while len(order) < count:
            order += torch.randperm(len(self), generator=source).tolist()
        made = []
        for index in order[:count]:
            pixels, scale = self._at_scale(index, scales, source)
            spread = 2 if self.tiling == "mirror" else 1
            top, left = (
                int(torch.randint(spread * side, (), generator=source)) for side in pixels.shape[1:]
            )
            flipped = bool(torch.rand((), generator=source) < 0.5) and flips
            part, pixels = _part(pixels, size, spread, source)
            name = self.names[index]
            made.append(
                TemplateCanvas(pixels, top, left, flipped, self.tiling, index, name, scale, part)
            )
        return made

    def _at_scale(
        self, index: int, scales: Scales, source: torch.Generator
    ) -> tuple[Tensor, float]:
        """A picture at a random scale, evenly in its logarithm."""
        low, high = (float(np.log2(self.scale * s)) for s in (scales[0], scales[-1]))
        exponent = low + (high - low) * float(torch.rand((), generator=source))
        if high > low:
            exponent = min(high, max(low, round(exponent * SCALE_STEPS) / SCALE_STEPS))
        scale = 2.0**exponent
        key = (index, round(scale, 6))
        if key not in self._resized:
            self._resized[key] = resized(self.pictures[index], scale)
        return self._resized[key], scale


def resized(picture: Tensor, scale: float) -> Tensor:
    """(3, h, w) uint8 at another size, bicubic, antialiased, `LEAST_SIDE` pixels at least."""
    size = [max(LEAST_SIDE, round(side * scale)) for side in picture.shape[1:]]
    if size == list(picture.shape[1:]):
        return picture
    made = F.interpolate(
        picture[None].float(), size, mode="bicubic", antialias=True, align_corners=False
    )
    return made[0].round().clamp(0, 255).byte()


def opaque(picture: NDArray[np.uint8], name: str = "") -> Tensor:
    """(3, h, w) uint8 of an (h, w, 3) or (h, w, 4) array, see `PictureSource.from_arrays`.

    Raises:
        UnsuitablePicture: Nothing of it is opaque.
        ValueError: It is no such array.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or picture.dtype != np.uint8:
        raise ValueError(
            f"A picture must be (h, w, 3) or (h, w, 4) uint8, got {picture.shape} {picture.dtype}."
        )
    colours = picture[..., :3]
    if picture.shape[2] == 4:
        there = picture[..., 3] >= OPAQUE
        if not there.any():
            raise UnsuitablePicture(
                f"The template {name} is transparent everywhere.",
                "Leave it out, or choose a layer with something on it.",
            )
        rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        colours, there = colours[box], there[box]
        if not there.all():
            nearest = distance_transform_edt(~there, return_distances=False, return_indices=True)
            assert isinstance(nearest, np.ndarray)
            colours = colours[tuple(nearest)]
    return torch.from_numpy(np.ascontiguousarray(colours)).permute(2, 0, 1).contiguous()


def _part(
    pixels: Tensor, size: tuple[int, int] | None, spread: int, source: torch.Generator
) -> tuple[tuple[int, int], Tensor]:
    """(top, left) and the pixels of what is repeated, see `PictureSource.canvases`.

    Args:
        pixels: (3, h, w).
        size: Of the mosaic.
        spread: After how many sides a canvas repeats.
        source: Random numbers; two for each side that repeats.
    """
    corner = [0, 0]
    if size is None:
        return (0, 0), pixels
    for axis, whole in enumerate(size):
        side = pixels.shape[axis + 1]
        least = max(LEAST_SIDE, round(side * LEAST_PART))
        if spread * side >= whole or least >= side:
            continue
        length = int(torch.randint(least, side + 1, (), generator=source))
        corner[axis] = int(torch.randint(side - length + 1, (), generator=source))
        pixels = pixels.narrow(axis + 1, corner[axis], length)
    return (corner[0], corner[1]), pixels


def _corner(side: int, size: int, source: torch.Generator) -> int:
    """Where a patch begins; inside the picture where it fits."""
    room = side - size + 1 if side >= size else side
    return int(torch.randint(room, (), generator=source))


def _files(place: Path) -> list[tuple[str, bytes]]:
    """Names and bytes of all pictures."""
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file())
        named = [(path.relative_to(place).as_posix(), path) for path in files]
        return [(name, path.read_bytes()) for name, path in named if _is_picture(name)]
    if place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            names = sorted(name for name in archive.namelist() if _is_picture(name))
            return [(name, archive.read(name)) for name in names]
    raise UnsuitablePicture(f"There is no folder {place}.", "Name a folder of pictures.")


def _is_picture(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in path.parts)


def _read(place: Path, name: str, data: bytes, largest_side: int) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnsuitablePicture(
            f"{place / name} cannot be read as a picture ({error}).",
            "Remove the file, or save it again as PNG or JPEG.",
        ) from error
    picture.thumbnail((largest_side, largest_side), Image.Resampling.LANCZOS)
    return np.asarray(picture)
