"""Activations of a picture too large for the memory, in files or in memory, by areas."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.mosaic.tiles import Area

LARGEST_HALF = 65504.0


class StoredLevel:
    """What one level's convolution made of a whole picture; (N, C, H, W), channels last."""

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        place: Path | None,
        *,
        in_memory: bool,
    ) -> None:
        """Make room.

        Args:
            shape: (N, C, H, W).
            dtype: torch.float32 or torch.float16; larger numbers than fit are cut off.
            place: A file that stays; where it exists, its numbers are taken.
            in_memory: Without ``place``: not in a file that vanishes with the process.

        Raises:
            OSError: The disk is full or the file cannot be written.
        """
        rows, channels, height, width = shape
        self._shape = (rows, height, width, channels)
        self._half = dtype == torch.float16
        self._dtype = np.dtype(np.float16 if self._half else np.float32)
        self.place = place
        self._array: np.ndarray[Any, Any] | None = None
        self._file: IO[bytes] | None = None
        if place is not None:
            place.touch()
            with place.open("r+b") as file:
                self._reserve(file)
        elif in_memory:
            self._array = np.empty(self._shape, self._dtype)
        else:
            self._file = TemporaryFile()  # noqa: SIM115 -- open as long as this lives
            self._reserve(self._file)

    def write(self, area: Area, x: Tensor) -> None:
        """Keep (N, C, h, w) of an area."""
        view, lines = self._view(area), x.permute(0, 2, 3, 1)
        if not self._half:
            view.copy_(lines)
            return
        for row, line in zip(view, lines, strict=True):  # what is cut off stays in the cache
            row.copy_(line.clamp(-LARGEST_HALF, LARGEST_HALF))

    def read(self, area: Area, into: Tensor) -> None:
        """Put an area into (N, h, w, C)."""
        into.copy_(self._view(area))

    def remove(self) -> None:
        """Give its room back; it cannot be used any more."""
        self._array = None
        if self._file is not None:
            self._file.close()
        if self.place is not None:
            self.place.unlink(missing_ok=True)

    def _reserve(self, file: IO[bytes]) -> None:
        """All of it at once: a disk that fills up later ends the process without a word."""
        size = int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)

    def _view(self, area: Area) -> Tensor:
        """Of the file only as long as it is looked at: what stays mapped counts as memory."""
        array = self._array
        if array is None:
            file = self._file if self.place is None else self.place
            assert file is not None
            array = np.memmap(file, self._dtype, "r+", shape=self._shape)
        part = array[:, area.top : area.bottom, area.left : area.right]
        return torch.from_numpy(part)
