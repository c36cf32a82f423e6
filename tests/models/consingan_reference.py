"""Reference values of the public ConSinGAN code, where they are at hand."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import reference_data


def reference_folder() -> Path:
    """The folder of reference values; skips the test where there is none."""
    root = reference_data()
    folder = None if root is None else root / "golden" / "06_consingan"
    if folder is None or not folder.is_dir():
        pytest.skip("the reference values of the public ConSinGAN code are not here")
    return folder


@functools.cache
def _arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "io.npz") as stored:
        return {name: stored[name] for name in stored}


def reference_arrays() -> dict[str, np.ndarray]:
    """All arrays by name."""
    return _arrays(reference_folder())


def reference_json(name: str) -> Any:
    """A JSON file of the folder."""
    return json.loads((reference_folder() / name).read_text())
