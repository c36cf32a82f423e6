"""Mixtures of parts as files of a folder, with a table of what each was made of."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intarsia_daemon.documents import pictures
from intarsia_daemon.output_manifest import Manifest, file_hash, write_whole
from intarsia_daemon.picture_folders import check_free
from intarsia_daemon.recombinations import Combination

TABLE = "recombine.csv"


@dataclass
class RecombinationFiles:
    """Writes mixtures; what an earlier run of the same wishes wrote stays, all else is refused."""

    folder: Path
    recipe: str
    """SHA-256 of what was asked for."""
    count: int
    written: int = 0
    """Files that this run wrote."""
    _rows: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a folder with files of others.

        Raises:
            InvalidRequest: Some of the names are taken.
        """
        self._manifest = Manifest(self.folder)
        self._manifest.load()
        names = [TABLE, *(self.name(number) for number in range(1, self.count + 1))]
        own = [name for name in names if self._is_own(name)]
        check_free(self.folder, sorted(set(names) - set(own)), "Results")

    def name(self, number: int) -> str:
        """Of the file of a mixture."""
        return f"mixture-{number:04d}.png"

    def write(self, mixture: Combination, names: list[str], array: np.ndarray) -> None:
        """Write one, unless it is there.

        Args:
            mixture: What it was made of.
            names: Of the pictures that its parts come from.
            array: (R, R, 4) u8.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        path = self.folder / self.name(mixture.number)
        digest = hashlib.sha256()
        for part in mixture.parts:
            digest.update(part.piece.array.tobytes())
        state = {"recipe_sha256": self.recipe, "input_sha256": digest.hexdigest()}
        if not self._manifest.is_done(path, state["input_sha256"], self.recipe):
            self._manifest.set(path, {"state": "writing", **state})
            write_whole(path, pictures.encode_png(array, None))
            done = {"state": "done", **state, "output_sha256": file_hash(path)}
            self._manifest.set(path, done)
            self.written += 1
        for name, part in zip(names, mixture.parts, strict=True):
            box = [str(value) for value in part.patch.box]
            self._rows.append([path.name, name, *box])

    def finish(self) -> None:
        """Write the table: a line for each part, its box in the visible part of its picture."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "part_of", "x", "y", "width", "height"])
        table.writerows(self._rows)
        path = self.folder / TABLE
        self._manifest.set(path, {"state": "table", "recipe_sha256": self.recipe})
        write_whole(path, text.getvalue().encode("utf-8"))

    def _is_own(self, name: str) -> bool:
        return self._manifest.entry(self.folder / name).get("recipe_sha256") == self.recipe
