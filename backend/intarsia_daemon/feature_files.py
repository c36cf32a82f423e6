"""Features of pictures as files for scripts: an array with a table beside it, or a Parquet file."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.output_manifest import write_whole

Format = Literal["npy", "parquet"]
NAMES: dict[Format, tuple[str, ...]] = {
    "npy": ("features.npy", "features.csv"),
    "parquet": ("features.parquet",),
}
_COLUMNS = ("file", "part", "x", "y", "width", "height", "real")


@dataclass(frozen=True)
class Row:
    """What one row of features was read from."""

    file: str
    """Below the folder."""
    part: int
    """0: the whole picture; else the number of its key patch, the best one being 1."""
    x: int
    """Left edge of what was read, in the picture's visible part."""
    y: int
    width: int
    height: int
    real: float
    """How likely the critic thinks it real, in [0, 1]."""


def check_format(kind: Format) -> None:
    """Refuse a format that this machine cannot write, before work is done for it.

    Raises:
        InvalidRequest: pyarrow is needed and not there.
    """
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InvalidRequest(
            "Parquet files are written with pyarrow, which is not installed.",
            value=kind,
            remedy="Install it (pip install pyarrow), or choose NumPy.",
        )


def write_features(folder: Path, kind: Format, features: np.ndarray, rows: Sequence[Row]) -> None:
    """Write one row of features for each row of the table.

    Args:
        folder: Where.
        kind: "npy": ``features.npy`` (N, F) float32 and ``features.csv``; "parquet":
            ``features.parquet`` with the table's columns and ``features``, a list of F numbers.
        features: (N, F) float32.
        rows: N.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    if kind == "parquet":
        write_whole(folder / NAMES["parquet"][0], _parquet(features, rows))
        return
    array, table = io.BytesIO(), io.StringIO()
    np.save(array, np.ascontiguousarray(features, np.float32), allow_pickle=False)
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(_COLUMNS)
    lines.writerows(astuple(row) for row in rows)
    for name, data in zip(NAMES["npy"], (array.getvalue(), table.getvalue().encode()), strict=True):
        write_whole(folder / name, data)


def _parquet(features: np.ndarray, rows: Sequence[Row]) -> bytes:
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    columns = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    flat = pyarrow.array(np.ascontiguousarray(features, np.float32).ravel())
    columns["features"] = pyarrow.FixedSizeListArray.from_arrays(flat, features.shape[1])
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()
